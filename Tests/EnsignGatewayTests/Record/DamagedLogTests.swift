import EnsignCrypto
import EnsignJSON
import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Glibc
import Testing

@testable import EnsignGateway

@Suite("A log that somebody has been at")
struct DamagedLogTests {
    private let scratch: ScratchDirectory
    private let clock = TestClock()
    private static let today = "2026-11-29.jsonl"

    init() throws {
        scratch = try ScratchDirectory()
        // A log of three lines, whose process has ended.
        try {
            let log = try open()
            for _ in 0..<3 { _ = try log.append(decision) }
            try log.signHead(always: true)
        }()
    }

    private var state: StateFolder { get throws { try StateFolder("\(scratch.path)/state") } }
    private var folder: LogFolder { LogFolder("\(scratch.path)/state/log") }

    private func open() throws -> DecisionLog {
        try DecisionLog(state, environment: "prod", clock: { [clock] in clock.now })
    }

    private var decision: Decision {
        var decision = Decision(.refused, agent: AgentID("support/refund-triage"))
        decision.reason = .arguments
        return decision
    }

    private func write(_ name: String, _ bytes: [UInt8]) throws {
        try Files.replace("\(folder.path)/\(name)", with: bytes)
    }

    private func bytes(_ name: String) throws -> [UInt8] {
        try #require(try Files.read("\(folder.path)/\(name)", limit: 1 << 26))
    }

    private func problems() throws -> [String] {
        try LogCheck.check(
            files: folder.names().map { "\(folder.path)/\($0)" },
            heads: ["\(folder.path)/heads.jsonl"],
            keys: LogCheck.Keys(secret: state.logSecret(), heads: state.signingKey().publicKey),
            folder: folder
        ).problems.map { "\($0.file):\($0.line): \($0.message)" }
    }

    /// What a start says, and that it changes nothing of the evidence.
    private func refusal() throws -> String {
        let before = try folder.names().map { try bytes($0) }
        var message = ""
        do { _ = try open().append(decision) } catch let failure as RecordFailure { message = failure.message }
        #expect(try folder.names().map { try bytes($0) } == before)
        return message
    }

    @Test("A good one is whole, and goes on")
    func good() throws {
        #expect(try problems() == [])
        #expect(try open().append(decision) == 4)
        #expect(try problems() == [])
    }

    @Test(
        "A word for the newest file that it cannot have stops the log, with what to do, and is named",
        arguments: [
            ("2030-01-01.jsonl", "which is not the newest file"), ("2020-01-01.jsonl", "which is not the newest file"),
            ("garbage-garbage-", "names no file of a day"), ("2026-13-45.jsonl", "names no file of a day"),
            ("../../x.jsonl", "names no file of a day"), ("2026-11-29.jsonl\n", "names no file of a day"),
            (String(repeating: "x", count: 100), "longer than the name of a file"),
        ]
    )
    func newest(text: String, problem: String) throws {
        // In its place, as an editor that truncates does.
        let file = try FileDescriptor("\(folder.path)/newest", O_WRONLY | O_TRUNC)
        try file.write(Array(text.utf8), to: "newest")
        let message = try refusal()
        #expect(message.contains("\(folder.path)/newest") && message.contains("edited"), "\(message)")
        #expect(message.contains("remove \(folder.path)/newest"), "\(message)")
        #expect(try problems().contains { $0.hasPrefix("newest:") && $0.contains(problem) })
        // What it says is what helps.
        try Files.remove("\(folder.path)/newest")
        #expect(try open().append(decision) == 4)
        #expect(try problems() == [])
        #expect(try folder.names() == [Self.today])
    }

    @Test("A word for the newest file that power took is found out again", arguments: [0, 16])
    func power(count: Int) throws {
        let file = try FileDescriptor("\(folder.path)/newest", O_WRONLY | O_TRUNC)
        try file.write([UInt8](repeating: 0, count: count), to: "newest")
        #expect(try problems() == [])
        #expect(try open().append(decision) == 4)
    }

    @Test("An earlier day that is named goes on in no second chain; a day that has only begun is no later one")
    func earlier() throws {
        clock.advance(days: 1)
        _ = try open().append(decision)
        #expect(try folder.names() == [Self.today, "2026-11-30.jsonl"])
        let file = try FileDescriptor("\(folder.path)/newest", O_WRONLY)
        try file.write(Array(Self.today.utf8), to: "newest")
        #expect(try refusal().contains("newest file is 2026-11-30.jsonl"))
        // Killed between making the file of a day and naming it.
        try Files.remove("\(folder.path)/newest")
        _ = try open().append(decision)
        clock.advance(days: 1)
        try write("2026-12-01.jsonl", [])
        #expect(try open().append(decision) == 6)
        #expect(try problems() == [])
    }

    @Test("A last line that is none stops the log, with its place and what to do")
    func garbage() throws {
        try write(Self.today, bytes(Self.today) + Array("garbage\n".utf8))
        let message = try refusal()
        #expect(message.hasPrefix("\(folder.path)/\(Self.today):4: the last line is not as the gateway writes lines"))
        #expect(message.contains("move \(folder.path) away") && message.contains("verify"))
        #expect(try problems() == ["\(Self.today):4: this line is not as the gateway writes lines"])
        // What it says is what helps: a new log, and the old one as evidence.
        try Files.rename(folder.path, to: "\(scratch.path)/state/log.evidence")
        #expect(try open().append(decision) == 1)
    }

    @Test(
        "Numbers that no log comes to are no numbers, in lines and in heads",
        arguments: [Int64.min, -1, 0, (1 << 40) + 1, .max - 1, .max]
    )
    func numbers(sequence: Int64) throws {
        func numbered(_ file: String) throws -> [UInt8] {
            let last = try #require(try bytes(file).split(separator: 0x0A).last)
            var members = try #require(try JSONParser.parse(Array(last)).object)
            members["seq"] = .integer(sequence)
            return JSONValue.object(members).canonicalBytes() + [0x0A]
        }
        let line = try numbered(Self.today)
        let whole = try bytes(Self.today)
        // First, last, and before lines that are none.
        try write(Self.today, line + whole)
        #expect(try problems().contains { $0.hasSuffix(":1: this line is not as the gateway writes lines") })
        try write(Self.today, whole + line + Array("garbage\n".utf8))
        #expect(try problems().contains { $0.hasSuffix(":4: this line is not as the gateway writes lines") })
        #expect(try refusal().contains("not as the gateway writes lines"))
        try write(Self.today, whole)
        try write("heads.jsonl", bytes("heads.jsonl") + numbered("heads.jsonl"))
        let heads = try problems()
        #expect(heads.count == 1 && heads[0].hasPrefix("heads.jsonl:"))
        #expect(heads[0].hasSuffix(": this is not a signed head"))
    }

    @Test("What is longer than any line is never cut away as the rest of one", arguments: [32_769, 70_000, 300_000])
    func longRest(count: Int) throws {
        try write(Self.today, bytes(Self.today) + [UInt8](repeating: 0x78, count: count))
        #expect(try refusal().contains("\(Self.today):4: the last line"))
        #expect(try problems().contains { $0.hasPrefix("\(Self.today):4: this line is longer than the 32768 bytes") })
    }

    @Test("A file with another day's name than its first line is named")
    func otherDay() throws {
        try Files.rename("\(folder.path)/\(Self.today)", to: "\(folder.path)/2026-11-28.jsonl")
        #expect(
            try problems().contains(
                "2026-11-28.jsonl:1: the first line is of '2026-11-29', and the file has another day's name"
            )
        )
    }

    @Test("A log that is gone while its keys are there is said to begin anew")
    func anew() throws {
        try state.noteLog()
        #expect(try !state.beginsAnew)
        try Files.rename(folder.path, to: "\(scratch.path)/evidence")
        #expect(try state.beginsAnew)
        // Keys that a check made long before the first log are none of that.
        try Files.remove("\(scratch.path)/state/log.begun")
        #expect(try !state.beginsAnew)
    }

    // MARK: What is read

    @Test("A pipe, a device and a folder are not logs, and are not waited for")
    func irregular() throws {
        let pipe = "\(scratch.path)/pipe"
        #expect(unsafe mkfifo(pipe, 0o600) == 0)
        for file in [pipe, "/dev/zero", scratch.path] {
            #expect(throws: RecordFailure("\(file) is not a regular file: a log is read from files that end")) {
                try LogReader.lines(of: file) { _, _ in true }
            }
        }
    }

    @Test("Lines that are too long are named, and a file of nothing but one of them is not read to its end")
    func tooLong() throws {
        let long = [UInt8](repeating: 0x78, count: 200_000)
        var all: [UInt8] = []
        for line in try bytes(Self.today).split(separator: 0x0A) {
            all += Array(line) + [0x0A] as [UInt8] + long + [0x0A] as [UInt8]
        }
        try write(Self.today, all)
        #expect(
            try problems().count { $0.hasSuffix("this line is longer than the 32768 bytes that a line has at most") }
                == 3
        )
        // A hole of a tebibyte: it has no line feed.
        let sparse = "\(scratch.path)/2026-11-29.jsonl"
        try scratch.write("2026-11-29.jsonl", "x")
        #expect(unsafe truncate(sparse, 1 << 40) == 0)
        let check = try LogCheck.check(files: [sparse], heads: [], keys: LogCheck.Keys(secret: nil, heads: nil))
        #expect(check.problems.map(\.message).first?.hasSuffix("what may be behind it was not read") == true)
        var replay = Replay(live: scratch.path, secret: nil)
        try replay.take(sparse)
        #expect(replay.unreadable == 1)
    }

    @Test("A file of nothing but lines that are none is not read to its end")
    func empty() throws {
        try scratch.write("many", String(repeating: "\n", count: 100_000))
        var replay = Replay(live: scratch.path, secret: nil)
        try replay.take("\(scratch.path)/many")
        #expect(replay.unreadable == Replay.mostUnreadable)
    }

    // MARK: Keys

    @Test("Keys that others may read prove nothing", arguments: ["log.key", "gateway.key"])
    func open(name: String) throws {
        let file = "\(scratch.path)/state/\(name)"
        for mode: mode_t in [0o644, 0o640, 0o620, 0o602] {
            #expect(unsafe Glibc.chmod(file, mode) == 0)
            let message = try refusal()
            #expect(message.contains("chmod 600 \(file)"), "\(message)")
        }
        #expect(unsafe Glibc.chmod(file, 0o600) == 0)
        #expect(try open().append(decision) == 4)
    }

    @Test("Keys of another account are refused", .enabled(if: geteuid() == 0), arguments: ["log.key", "gateway.key"])
    func foreign(name: String) throws {
        #expect(unsafe chown("\(scratch.path)/state/\(name)", 12_345, 12_345) == 0)
        #expect(try refusal().contains("belongs to another account"))
    }

    @Test("Whoever checks a log reads its secret, and makes nothing")
    func secret() throws {
        #expect(try StateFolder.logSecret(ofState: "\(scratch.path)/none") == nil)
        #expect(try Files.status("\(scratch.path)/none") == nil)
        #expect(try StateFolder.logSecret(ofState: "\(scratch.path)/state") != nil)
        #expect(unsafe Glibc.chmod("\(scratch.path)/state/log.key", 0o644) == 0)
        #expect(throws: RecordFailure.self) { try StateFolder.logSecret(ofState: "\(scratch.path)/state") }
    }
}
