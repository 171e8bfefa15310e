import EnsignTestSupport
import Foundation
import Testing

/// A reconcile that dies, or finds the disk full, at every single step.
@Suite struct CrashTests {
    /// A host whose branch has moved on without its hook: prod is to update one agent, create one and delete one.
    private static func prepared() throws -> Host {
        let host = try Host()
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/post-receive")
        try host.edit("environments/prod/agents/support/refund-triage.yaml", "version: 1.4.0", "version: 1.5.0")
        try host.git("rm", "-q", "environments/prod/agents/sales/crm-hygiene.yaml")
        let greeter = "apiVersion: ensign.dev/v1\nkind: Deployment\nspec:\n  version: 1.0.0\n"
        try host.scratch.write("work/environments/prod/agents/it/greeter.yaml", greeter)
        let agent = """
            apiVersion: ensign.dev/v1
            kind: Agent
            spec:
              description: Says hello.
              model: {provider: anthropic, name: claude-haiku-4-5}
              instructions: prompt.md
            """
        try host.scratch.write("work/fleet/agents/it/greeter/1.0.0/agent.yaml", agent)
        try host.scratch.write("work/fleet/agents/it/greeter/1.0.0/prompt.md", "Say hello.\n")
        try host.git("add", "-A")
        try host.git("commit", "-q", "-m", "Three changes")
        try host.git("push", "-q", "origin", "main")
        return host
    }

    private static func copy(_ host: Host, _ name: String) throws -> String {
        let path = "\(host.scratch.path)/\(name)"
        try? FileManager.default.removeItem(atPath: path)
        #expect(try run("cp", ["-a", host.bare, path], in: host.scratch.path).status == 0)
        return path
    }

    private static func files(_ repository: String) throws -> [String: Data] {
        let root = URL(fileURLWithPath: "\(repository)/ensign/live/prod").resolvingSymlinksInPath().path
        var files: [String: Data] = [:]
        for path in try FileManager.default.subpathsOfDirectory(atPath: root) {
            var isFolder: ObjCBool = false
            if unsafe FileManager.default.fileExists(atPath: "\(root)/\(path)", isDirectory: &isFolder),
                !isFolder.boolValue
            {
                files[path] = try Data(contentsOf: URL(fileURLWithPath: "\(root)/\(path)"))
            }
        }
        return files
    }

    /// Every file is the old one or the new one, and every route names a bundle that is there.
    private static func expectWhole(_ found: [String: Data], old: [String: Data], new: [String: Data], _ step: Int)
        throws
    {
        for (path, bytes) in found where !path.contains(".ensign-") && path != "fleet.json" {
            #expect(bytes == old[path] || bytes == new[path], "step \(step): \(path) is neither old nor new")
            guard path.hasPrefix("agents/") else { continue }
            let route = try #require(try JSONSerialization.jsonObject(with: bytes) as? [String: Any])
            for target in route["routes"] as? [[String: Any]] ?? [] {
                let digest = try #require(target["digest"] as? String).dropFirst(7)
                #expect(
                    found["bundles/\(digest.prefix(2))/\(digest.dropFirst(2)).json"] != nil,
                    "step \(step): \(path) names a bundle that is not there"
                )
            }
        }
    }

    @Test(
        "Whatever step it dies at, or finds the disk full at, the next run ends the same",
        arguments: ["kill", "full"]
    )
    func everyStep(_ mode: String) throws {
        let host = try Self.prepared()
        let shim = try Faults.library
        let old = try Self.files(host.bare)
        let whole = try Self.copy(host, "whole.git")
        let counter = "\(host.scratch.path)/count"
        let reconcile = ["reconcile", "--env", "prod"]
        #expect(
            try run(Host.ensign, reconcile, in: whole, environment: ["LD_PRELOAD": shim, "FAULT_COUNT": counter]).status
                == 0
        )
        let new = try Self.files(whole)
        let steps = try #require(
            Int(try String(contentsOfFile: counter, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines))
        )
        #expect(steps > 40)
        // Every third step, another third in each mode: all of them take minutes.
        for step in stride(from: mode == "kill" ? 1 : 2, through: steps, by: 3) {
            let repository = try Self.copy(host, "crash.git")
            let environment = ["LD_PRELOAD": shim, "FAULT_AT": String(step), "FAULT_MODE": mode]
            let crash = try run(Host.ensign, reconcile, in: repository, environment: environment)
            // Not every run makes as many calls: an object's folder may be there already.
            if mode == "kill", step < steps - 4 { #expect(crash.status == 128 + 9, "step \(step): \(crash.errors)") }
            try Self.expectWhole(try Self.files(repository), old: old, new: new, step)
            let again = try run(Host.ensign, reconcile, in: repository)
            #expect(again.status == 0, "step \(step): \(again.output)\(again.errors)")
            var (found, wanted) = (try Self.files(repository), new)
            // The header names the entry, which has another time, and a recovery adds one.
            found["fleet.json"] = nil
            wanted["fleet.json"] = nil
            // A route names the entry that it came with, and a recovery adds one.
            (found, wanted) = (found.mapValues(Host.bare), wanted.mapValues(Host.bare))
            #expect(found == wanted, "step \(step): the live directory ends differently")
            let verify = try run(Host.ensign, ["verify", "--env", "prod"], in: repository)
            #expect(verify.status == 0, "step \(step): \(verify.output)\(verify.errors)")
            let drift = try run(Host.ensign, ["drift", "--env", "prod", "--detailed-exitcode"], in: repository)
            #expect(drift.status == 0, "step \(step): \(drift.output)")
            let log = try run(Host.ensign, ["log", "--env", "prod", "--all", "--output", "json"], in: repository)
            #expect(!log.output.contains("\"kind\": \"drift\""), "step \(step): our own half-done work is not drift")
        }
    }

    /// Runs a command that dies at each step, or finds the disk full there, each time on a copy of the repository.
    ///
    /// - Parameter reset: Takes away what the run before has left outside of its copy.
    private static func eachStep(
        of words: [String],
        _ mode: String,
        on host: Host,
        every stride: Int,
        reset: () -> Void = {},
        _ check: (_ repository: String, _ step: Int) throws -> Void
    ) throws {
        let shim = try Faults.library
        let counter = "\(host.scratch.path)/count"
        let counting = ["LD_PRELOAD": shim, "FAULT_COUNT": counter]
        #expect(try run(Host.ensign, words, in: copy(host, "whole.git"), environment: counting).status == 0)
        let text = try String(contentsOfFile: counter, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
        let steps = try #require(Int(text))
        #expect(steps > 10)
        for step in Swift.stride(from: 1, through: steps, by: stride) {
            let repository = try copy(host, "crash.git")
            let environment = ["LD_PRELOAD": shim, "FAULT_AT": String(step), "FAULT_MODE": mode]
            reset()
            _ = try run(Host.ensign, words, in: repository, environment: environment)
            try check(repository, step)
        }
    }

    @Test(
        "Whatever step a resume dies at, or finds the disk full at, a halt after it stops, and the next run starts nothing",
        arguments: ["kill", "full"],
        [["support/triage"], ["--team", "support"]]
    )
    func resumeThenHalt(_ mode: String, _ scope: [String]) throws {
        let host = try Host(fleet: FleetFixture())
        #expect(try host.ensign(arguments: ["halt"] + scope + ["--env", "prod", "--reason", "first"]).status == 0)
        func phase(_ repository: String) throws -> String? {
            let bytes = try #require(try Self.files(repository)["agents/support/triage.json"])
            return (try JSONSerialization.jsonObject(with: bytes) as? [String: Any])?["phase"] as? String
        }
        let resume = ["resume"] + scope + ["--env", "prod", "--reason", "go on"]
        try Self.eachStep(of: resume, mode, on: host, every: 5) { repository, step in
            let halt = try run(Host.ensign, ["halt"] + scope + ["--env", "prod", "--reason", "second"], in: repository)
            #expect(halt.status == 0, "step \(step): \(halt.errors)")
            #expect(try phase(repository) == "halted", "step \(step): \(halt.output)\(halt.errors)")
            let again = try run(Host.ensign, ["reconcile", "--env", "prod"], in: repository)
            #expect(again.status == 0, "step \(step): \(again.errors)")
            #expect(try phase(repository) == "halted", "step \(step): \(again.output)\(again.errors)")
            let verify = try run(Host.ensign, ["verify", "--env", "prod"], in: repository)
            #expect(verify.status == 0, "step \(step): \(verify.output)\(verify.errors)")
        }
    }

    @Test(
        "A rotation that dies or finds the disk full is done by doing it again, and nothing is signed wrongly before",
        arguments: ["kill", "full"]
    )
    func rotation(_ mode: String) throws {
        let host = try Self.prepared()
        let rotate = ["keys", "--env", "prod", "--rotate"]
        try Self.eachStep(of: rotate, mode, on: host, every: 1) { repository, step in
            let reconcile = try run(Host.ensign, ["reconcile", "--env", "prod"], in: repository)
            let isInterrupted = reconcile.errors.contains("a rotation of the signing key of 'prod' was interrupted")
            #expect(
                reconcile.status == 0 || reconcile.status == 1 && isInterrupted,
                "step \(step): \(reconcile.errors)"
            )
            let again = try run(Host.ensign, rotate, in: repository)
            #expect(again.status == 0, "step \(step): \(again.errors)")
            #expect(try run(Host.ensign, ["reconcile", "--env", "prod"], in: repository).status == 0, "step \(step)")
            let verify = try run(Host.ensign, ["verify", "--env", "prod"], in: repository)
            #expect(verify.status == 0 && verify.errors == "", "step \(step): \(verify.output)\(verify.errors)")
            let keys = "\(repository)/ensign/keys"
            let half = try run("ssh-keygen", ["-y", "-f", "\(keys)/prod"], in: repository).output
            #expect(try String(contentsOfFile: "\(keys)/prod.pub", encoding: .utf8) == half, "step \(step)")
            let names = try FileManager.default.contentsOfDirectory(atPath: keys)
            #expect(!names.contains { $0.hasPrefix("prod.next") }, "step \(step): \(names)")
        }
    }

    @Test("An init that dies or finds the disk full is done by doing it again", arguments: ["kill", "full"])
    func initialising(_ mode: String) throws {
        let host = try Host(fleet: FleetFixture())
        for environment in ["dev", "prod"] { try host.hostGit("update-ref", "-d", "refs/ensign/ledger/\(environment)") }
        try FileManager.default.removeItem(atPath: "\(host.bare)/ensign")
        try Self.eachStep(of: ["init"], mode, on: host, every: 3) { repository, step in
            let again = try run(Host.ensign, ["init"], in: repository)
            #expect(again.status == 0, "step \(step): \(again.errors)")
            let reconcile = try run(Host.ensign, ["reconcile", "--env", "prod"], in: repository)
            #expect(reconcile.status == 0, "step \(step): \(reconcile.errors)")
            #expect(try run(Host.ensign, ["verify", "--env", "prod"], in: repository).status == 0, "step \(step)")
        }
    }

    @Test("A directory of one's own, in which the first run died, is known again", arguments: ["kill", "full"])
    func firstRun(_ mode: String) throws {
        let host = try Host(fleet: FleetFixture())
        for environment in ["dev", "prod"] { try host.hostGit("update-ref", "-d", "refs/ensign/ledger/\(environment)") }
        try FileManager.default.removeItem(atPath: "\(host.bare)/ensign")
        #expect(try run(Host.ensign, ["init"], in: host.bare).status == 0)
        let target = "\(host.scratch.path)/served"
        try host.hostGit("config", "ensign.prod.target", "directory:\(target)")
        // Another copy's: one that this key signed is the witness of a ledger that is not here.
        try Self.eachStep(
            of: ["reconcile", "--env", "prod"],
            mode,
            on: host,
            every: 4,
            reset: { try? FileManager.default.removeItem(atPath: target) }
        ) { repository, step in
            let again = try run(Host.ensign, ["reconcile", "--env", "prod"], in: repository)
            #expect(again.status == 0, "step \(step): \(again.errors)")
            let drift = try run(Host.ensign, ["drift", "--env", "prod", "--detailed-exitcode"], in: repository)
            #expect(drift.status == 0, "step \(step): \(drift.output)")
        }
    }

    @Test("Several reconciles and pushes at once: one chain, nothing lost, nothing doubled")
    func concurrently() throws {
        let host = try Self.prepared()
        let results = ResultBox()
        let group = DispatchGroup()
        for _ in 0..<6 {
            DispatchQueue.global().async(group: group) {
                results.add((try? run(Host.ensign, ["reconcile", "--env", "prod"], in: host.bare).status) ?? -1)
            }
        }
        group.wait()
        #expect(results.all == Array(repeating: 0, count: 6))
        #expect(try host.kinds() == ["genesis", "intent", "outcome", "intent", "outcome"])
        try host.expectSound()
    }
}

private final class ResultBox: @unchecked Sendable {
    private let lock = NSLock()
    private var values: [Int32] = []
    func add(_ value: Int32) { lock.withLock { values.append(value) } }
    var all: [Int32] { lock.withLock { values } }
}
