import EnsignGateway
import EnsignModel
import EnsignPolicy
import EnsignSystem
import EnsignTestSupport
import Glibc
import Testing

@Suite("What runs have used, where nobody can read it")
struct LostUsageTests {
    private let usage: Usage
    private var folder: String { "\(usage.scratch.path)/spans" }

    init() throws { usage = try Usage() }

    private func remove() throws { try Files.removeTree(folder) }

    @Test("A folder that never was there has nothing in it, and all that it gets counts")
    func neverThere() throws {
        try remove()
        usage.startAnew()
        #expect(usage.used() == RunUsage() && usage.said.all.isEmpty)
        for _ in 0..<3 { try usage.write(usage.span()) }
        #expect(usage.used().tokens == 30)
    }

    @Test("A folder that was there and is gone is missed, also after a restart, until it is there again")
    func gone() throws {
        #expect(usage.used().trouble == nil)
        try remove()
        for _ in 0..<2 { #expect(usage.used().trouble == "the folder that says so is gone") }
        usage.startAnew()
        #expect(usage.used().trouble != nil)
        #expect(usage.said.all.count == 2, "once for each gateway")
        try Files.makeDirectories(folder)
        #expect(usage.used() == RunUsage())
        try remove()
        #expect(usage.used().trouble != nil)
        #expect(usage.said.all.count == 3)
    }

    @Test("What is there and cannot be read as a folder is trouble, though there never was one", arguments: 0..<3)
    func unusable(_ kind: Int) throws {
        try remove()
        switch kind {
        case 0: try usage.scratch.write("spans", "a file")
        case 1: #expect(unsafe symlink(folder, folder) == 0)
        default:
            try usage.scratch.write("not-a-folder", "")
            #expect(unsafe symlink("\(usage.scratch.path)/not-a-folder/spans", folder) == 0)
        }
        usage.startAnew()
        let reason = kind == 1 ? "Too many levels of symbolic links" : "Not a directory"
        #expect(usage.used().trouble == reason && usage.used().trouble == reason)
        let said = usage.said.all
        #expect(said.count == 1 && said[0].contains(reason) && said[0].contains(folder))
        try Files.remove(folder)
        #expect(usage.used() == RunUsage())
    }

    /// Whether permissions hold for whoever runs the tests; not for most who are root.
    private static let isHeldBack: Bool = {
        guard let scratch = try? ScratchDirectory(), (try? scratch.write("closed", "")) != nil else { return false }
        unsafe chmod("\(scratch.path)/closed", 0)
        return (try? scratch.read("closed")) == nil
    }()

    @Test(
        "A file, or a folder of an agent or a team, that cannot be read is trouble until it can be, and said once",
        .enabled(if: isHeldBack),
        arguments: [
            ("a.jsonl", 0), ("support/triage/a.jsonl", 0), ("support/triage", 0), ("support/triage", 0o400),
            ("support", 0),
        ]
    )
    func closed(_ path: String, _ mode: UInt32) throws {
        try Files.makeDirectories("\(folder)/support/triage")
        try usage.write(usage.span())
        try usage.write(usage.span(), to: "support/triage/a.jsonl")
        let usual: UInt32 = path.hasSuffix(".jsonl") ? 0o600 : 0o700
        unsafe chmod("\(folder)/\(path)", mode)
        for _ in 0..<3 { #expect(usage.used().trouble == "something in its folder is closed to the gateway") }
        #expect(usage.said.all.count == 1 && usage.said.all[0].contains("\(folder)/\(path)"))
        unsafe chmod("\(folder)/\(path)", usual)
        #expect(usage.used().trouble == nil && usage.used().tokens == 20)
        // One that is gone is not closed.
        unsafe chmod("\(folder)/\(path)", mode)
        usage.startAnew()
        #expect(usage.used().trouble != nil)
        unsafe chmod("\(folder)/\(path)", usual)
        try Files.removeTree("\(folder)/\(path)")
        #expect(usage.used().trouble == nil)
    }

    @Test("What is no telemetry, and folders of strangers, may be closed", .enabled(if: isHeldBack))
    func closedToEverybody() throws {
        try usage.scratch.write("spans/notes.txt", "")
        unsafe chmod("\(folder)/notes.txt", 0)
        try Files.makeDirectories("\(folder)/lost+found")
        unsafe chmod("\(folder)/lost+found", 0)
        #expect(usage.used() == RunUsage())
    }

    /// What limits tokens or money: of the run, the agent, the team, the environment.
    private enum Limit: CaseIterable { case tokens, costUSD, agent, team, environment }

    private func result(_ limit: Limit?) throws -> (reason: String?, text: String) {
        let fixture = try GateFixture(usage: usage.source)
        try fixture.publishPolicy { policy in
            if limit == .environment { policy.costUSDPerDay = 1 }
            if limit == .team { policy.teams["support"]?.costUSDPerDay = 1 }
        }
        try fixture.publish(
            open { bundle in
                if limit == .tokens { bundle.limits.run.tokens = 1 }
                if limit == .costUSD { bundle.limits.run.costUSD = 1 }
                if limit == .agent { bundle.limits.costUSDPerDay = 1 }
            }
        )
        usage.instant.pass(.seconds(1))
        let answer = fixture.call("crm__list")
        return (answer.reason, answer.text)
    }

    @Test("Then calls that have a limit of tokens or money are refused, and others go on")
    func refused() throws {
        for limit in Limit.allCases { #expect(try result(limit).reason == nil) }
        try remove()
        for limit in Limit.allCases {
            let (reason, text) = try result(limit)
            #expect(reason == "budget", "\(limit)")
            #expect(text.contains("cannot be read: the folder that says so is gone. Nothing was done."))
            #expect(!text.contains(folder), "no paths")
        }
        #expect(try result(nil).reason == nil)
    }
}
