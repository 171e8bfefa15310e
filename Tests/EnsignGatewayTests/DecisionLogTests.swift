import EnsignCrypto
import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Glibc
import Synchronization
import Testing

@testable import EnsignGateway

@Suite("Decision log")
struct DecisionLogTests {
    private let folder: ScratchDirectory
    private let clock = TestClock()

    init() throws { folder = try ScratchDirectory() }

    private func state() throws -> StateFolder { try StateFolder("\(folder.path)/state") }

    private func open(_ anchor: @escaping DecisionLog.Anchor = { _ in }) throws -> DecisionLog {
        try DecisionLog(state(), environment: "prod", clock: { [clock] in clock.now }, anchor: anchor)
    }

    private func intent(_ amount: Int64) -> Decision {
        var decision = Decision(.intent, agent: AgentID("support/refund-triage"))
        decision.operation = "payments.refund"
        decision.arguments = ["amount": .integer(amount)]
        decision.key = "ticket-4711"
        decision.run = RunName("run-1", .header)
        decision.verdict = .allowed
        return decision
    }

    private func outcome(_ intent: Int64) -> Decision {
        var decision = Decision(.outcome, agent: AgentID("support/refund-triage"))
        decision.intent = intent
        decision.outcome = .ok
        return decision
    }

    private func check(secret: Bool = true, heads: [String]? = nil) throws -> LogCheck {
        let state = try state()
        let log = LogFolder("\(state.path)/log")
        let own = try Files.status("\(log.path)/heads.jsonl") == nil ? [] : ["\(log.path)/heads.jsonl"]
        return try LogCheck.check(
            files: log.names().map { "\(log.path)/\($0)" },
            heads: heads ?? own,
            keys: LogCheck.Keys(secret: secret ? state.logSecret() : nil, heads: state.signingKey().publicKey),
            isAll: true
        )
    }

    private func file(_ name: String) throws -> String { "\(try state().path)/log/\(name)" }

    private func text(_ name: String) throws -> String {
        String(decoding: try #require(try Files.read(file(name), limit: 1 << 24)), as: UTF8.self)
    }

    @Test("lines have dense numbers, each names the one before, and no value of a call")
    func chain() throws {
        let log = try open()
        for amount in Int64(1)...20 { _ = try log.append(outcome(try log.append(intent(amount)))) }
        let check = try check()
        #expect(check.problems == [])
        #expect((check.lines, check.first, check.last, check.open) == (40, 1, 40, 0))
        let text = try text("2026-11-29.jsonl")
        for secret in ["amount", "ticket-4711"] { #expect(!text.contains(secret)) }
        #expect(text.contains("\"prev\":null") && text.contains("\"runFrom\":\"header\""))
        let first = try #require(text.split(separator: "\n").first)
        // sha256sum checks the chain.
        #expect(text.contains("\"prev\":\"sha256:\(SHA256.hex(of: Array(first.utf8)))\""))
    }

    @Test("the same arguments have the same HMAC within a gateway, and another one in the next gateway")
    func hidden() throws {
        let other = try ScratchDirectory()
        let log = try open()
        let foreign = try DecisionLog(StateFolder(other.path + "/state"), environment: "prod")
        #expect(log.mac(ofArguments: ["a": 1, "b": 2]) == log.mac(ofArguments: ["b": 2, "a": 1]))
        #expect(log.mac(ofArguments: ["a": 1]) != log.mac(ofArguments: ["a": 2]))
        #expect(log.mac(ofArguments: ["a": 1]) != foreign.mac(ofArguments: ["a": 1]))
    }

    @Test("several logs over one folder write one chain")
    func shared() throws {
        let logs = try (0..<4).map { _ in try open() }
        let threads = try logs.map { log in
            try Thread { [self] in
                for amount in Int64(1)...100 {
                    guard let number = try? log.append(intent(amount)) else { continue }
                    _ = try? log.append(outcome(number))
                }
            }
        }
        for thread in threads { thread.join() }
        let check = try check()
        #expect(check.problems == [])
        #expect((check.lines, check.open) == (800, 0))
    }

    @Test("a day ends with a signed head; earlier days are compressed, and removed by age, and the chain holds")
    func days() throws {
        let heads = Mutex<[LogHead]>([])
        let log = try open { head in heads.withLock { $0.append(head) } }
        for day in 0..<4 {
            for _ in 0..<3 { _ = try log.append(outcome(try log.append(intent(1)))) }
            if day < 3 { clock.advance(days: 1) }
        }
        #expect(try LogFolder("\(state().path)/log").names().count == 4)
        try log.tidy(keep: 2)
        #expect(
            try LogFolder("\(state().path)/log").names() == [
                "2026-11-30.jsonl.gz", "2026-12-01.jsonl.gz", "2026-12-02.jsonl",
            ]
        )
        #expect(try check().problems == [])
        #expect(try check().first == 7)
        // Goes on after a new start, too.
        _ = try open().append(intent(2))
        #expect(try check().problems == [])
        #expect(heads.withLock { $0.count } >= 3)
        let unzipped = try Subprocess("gzip", ["-dc", file("2026-11-30.jsonl.gz")]).run()
        #expect(unzipped.outputText.split(separator: "\n").count == 6)
    }

    @Test("lines that are gone in front, and were not removed by age, were cut away")
    func cutInFront() throws {
        let kept = Mutex<[LogHead]>([])
        let log = try open { head in kept.withLock { $0.append(head) } }
        for day in 0..<5 {
            for _ in 0..<3 { _ = try log.append(outcome(try log.append(intent(1)))) }
            if day < 4 { clock.advance(days: 1) }
        }
        func problems(_ heads: [String]? = nil) throws -> [String] { try check(heads: heads).problems.map(\.message) }
        try log.tidy(keep: 3)
        #expect(try problems() == [] && check().first == 7)
        // Each day in front, one more at a time: neither the log's own heads nor those that were kept elsewhere allow it.
        let anchored = "\(try state().path)/anchored"
        try Files.replace(anchored, with: kept.withLock { $0.flatMap { $0.json.canonicalBytes() + [0x0A] } })
        for day in ["2026-11-30", "2026-12-01"] {
            try Files.remove(file("\(day).jsonl.gz"))
            let cut = "the lines before this one were cut away"
            let message = "\(cut): by signed heads, only those before 7 were removed by age"
            #expect(try problems() == [message] && problems([anchored]) == [message])
        }
        // Removing by age goes on, and says what it does itself.
        clock.advance(days: 4)
        _ = try log.append(intent(2))
        try log.tidy(keep: 3)
        #expect(try problems() == [] && check().first == 31)
    }

    @Test("some files of a log may be checked by themselves")
    func someFiles() throws {
        let log = try open()
        for _ in 0..<2 {
            _ = try log.append(outcome(try log.append(intent(1))))
            clock.advance(days: 1)
        }
        let check = try LogCheck.check(
            files: [file("2026-11-30.jsonl")],
            heads: [file("heads.jsonl")],
            keys: LogCheck.Keys(secret: state().logSecret(), heads: state().signingKey().publicKey)
        )
        #expect(check.problems == [])
    }

    @Test("a clock that is a year ahead removes nothing; where a year has passed, the second day does")
    func ahead() throws {
        let log = try open()
        _ = try log.append(outcome(try log.append(intent(1))))
        clock.advance(days: 365)
        try log.tidy(keep: 180)
        _ = try log.append(outcome(try log.append(intent(2))))
        try log.tidy(keep: 180)
        #expect(try check().first == 1)
        clock.advance(days: 1)
        _ = try log.append(outcome(try log.append(intent(3))))
        try log.tidy(keep: 180)
        #expect(try check().first == 3)
        #expect(try check().problems == [])
    }

    @Test("a clock that goes back goes on in the file of the newest day")
    func clockBack() throws {
        let log = try open()
        _ = try log.append(intent(1))
        clock.advance(days: -3)
        _ = try log.append(intent(2))
        #expect(try check().problems == [])
        #expect(try LogFolder("\(state().path)/log").names() == ["2026-11-29.jsonl"])
    }

    @Test("a flipped byte anywhere is named, with and without the secret")
    func flipped() throws {
        let log = try open()
        for _ in 0..<5 { _ = try log.append(outcome(try log.append(intent(1)))) }
        try log.signHead(always: true)
        let whole = try Array(text("2026-11-29.jsonl").utf8)
        for position in stride(from: 0, to: whole.count, by: 37) where whole[position] != 0x0A {
            var bytes = whole
            bytes[position] ^= 1
            try Files.replace(file("2026-11-29.jsonl"), with: bytes)
            #expect(try !check().isWhole, "with the secret, byte \(position)")
            #expect(try !check(secret: false).isWhole, "without, byte \(position)")
        }
        try Files.replace(file("2026-11-29.jsonl"), with: whole)
        #expect(try check().isWhole)
    }

    @Test("a log that was cut, or written anew with the secret, disagrees with a signed head")
    func cut() throws {
        let log = try open()
        for _ in 0..<5 { _ = try log.append(outcome(try log.append(intent(1)))) }
        try log.signHead(always: true)
        let lines = try text("2026-11-29.jsonl").split(separator: "\n")
        try Files.replace(
            file("2026-11-29.jsonl"),
            with: Array((lines.dropLast(2).joined(separator: "\n") + "\n").utf8)
        )
        #expect(try check().problems.map(\.message).contains { $0.hasSuffix("names 10: it was cut") })
        // And nothing is written behind the cut.
        #expect(throws: RecordFailure.self) { try log.append(intent(7)) }
        // Written anew by somebody who has the secret, and without the heads that are kept here.
        let kept = "\(folder.path)/kept.jsonl"
        try Files.replace(kept, with: Array(try text("heads.jsonl").utf8))
        try Files.remove(file("heads.jsonl"))
        try Files.remove(file("2026-11-29.jsonl"))
        let anew = try open()
        for _ in 0..<6 { _ = try anew.append(outcome(try anew.append(intent(2)))) }
        #expect(try check().isWhole)
        #expect(try check(heads: [kept]).problems.map(\.message).contains { $0.contains("written anew") })
    }

    @Test("ssh-keygen verifies a head over the canonical JSON of the rest")
    func stockHead() throws {
        let log = try open()
        _ = try log.append(intent(1))
        try log.signHead(always: true)
        let head = try #require(LogHead(Array(try text("heads.jsonl").utf8.dropLast())))
        var members = try #require(head.json.object)
        members["signature"] = nil
        try Files.replace("\(folder.path)/head.sig", with: Array(head.signature.utf8))
        let line = try #require(try Files.read("\(state().path)/gateway.pub", limit: 4_096))
        try Files.replace("\(folder.path)/allowed", with: Array("gateway ".utf8) + line)
        let verified = try Subprocess(
            "ssh-keygen",
            [
                "-Y", "verify", "-f", "\(folder.path)/allowed", "-I", "gateway", "-n", "ensign-log", "-s",
                "\(folder.path)/head.sig",
            ],
            input: JSONValue.object(members).canonicalBytes() + [0x0A]
        ).run()
        #expect(verified.status == 0, "\(verified.errorText)")
    }

    @Test("an intent without an outcome is unknown at the next start, once")
    func unknown() throws {
        // The first log is gone, with its lock, when it goes out of scope.
        try {
            let log = try open()
            _ = try log.append(outcome(try log.append(intent(1))))
            _ = try log.append(intent(2))
        }()
        #expect(try check().open == 1)
        let next = try open()
        _ = try open()
        let check = try check()
        #expect((check.problems, check.open, check.lines) == ([], 0, 4))
        #expect(try text("2026-11-29.jsonl").split(separator: "\n").last?.contains("\"outcome\":\"unknown\"") == true)
        _ = next
    }

    @Test("an unknown outcome says all that its intent says of the call")
    func unknownMembers() throws {
        try {
            let log = try open()
            var decision = intent(1)
            decision.version = AgentVersion("1.4.0")
            decision.bundle = Digest(hex: String(repeating: "a", count: 64))
            decision.present = Digest(hex: String(repeating: "b", count: 64))
            (decision.entry, decision.trace, decision.verdict) = (9, String(repeating: "c", count: 32), .wouldRefuse)
            decision.asked = Decision.Asked(issuer: "https://idp.example.com", subject: "u1")
            _ = try log.append(decision)
        }()
        _ = try open()
        let (begun, outcome) = (try #require(try line(of: 1)), try #require(try line(of: 2)))
        for name in [
            "agent", "version", "bundle", "present", "entry", "environment", "run", "runFrom", "key", "for",
            "operation",
            "arguments", "verdict", "trace",
        ] {
            #expect(begun[name] != nil && outcome[name] == begun[name], "\(name)")
        }
        #expect(outcome["intent"] == 1 && outcome["outcome"] == "unknown")
    }

    @Test("an outcome that could not be written is written as soon as that is possible, with a word about it")
    func late() throws {
        let log = try open()
        let number = try log.append(intent(1))
        let place = try file("newest")
        try Files.remove(place)
        try Files.makeDirectories(place)
        #expect(throws: RecordFailure.self) { try log.append(outcome(number)) }
        #expect(throws: RecordFailure.self) { try log.append(intent(2)) }
        _ = unsafe rmdir(place)
        #expect(try check().open == 1)
        try log.signHead()
        #expect(try check().open == 0)
        _ = try log.append(intent(3))
        let lines = try text("2026-11-29.jsonl").split(separator: "\n")
        #expect(lines.count == 3 && lines[1].contains("\"note\":\"it came at 2026-11-29T"))
        #expect(try check().problems == [])
    }

    @Test(
        "what is long is cut, and every line is canonical",
        arguments: ["x", "\u{1}", "\"", "é", "👩‍👩‍👧", "\n"]
    )
    func long(piece: String) throws {
        let log = try open()
        for count in [1, 10, 11, 31, 32, 42, 43, 64, 127, 128, 170, 171, 256, 257, 1_024, 1_025, 5_000] {
            let text = String(repeating: piece, count: count)
            var decision = intent(1)
            (decision.note, decision.operation, decision.pointer, decision.trace) = (text, text, text, text)
            decision.run = RunName(text, .header)
            let number = try log.append(decision)
            let last = try #require(try line(of: number))
            #expect(last["note"]?.string == text.cut(utf8: 1_024) && last["at"]?.string == text.cut(utf8: 1_024))
            #expect(last["operation"]?.string == text.cut(utf8: 256) && last["run"]?.string == text.cut(utf8: 256))
            #expect(last["trace"]?.string == text.cut(utf8: 64))
        }
        #expect(try check().problems == [])
    }

    @Test("all values that a grant names are kept in clear; what stands for those that are too long is their HMAC")
    func recorded() throws {
        let log = try open()
        var decision = intent(1)
        decision.recorded = (10..<30).map { ("/f\($0)", .string("v\($0)")) }
        decision.recorded[3].value = .string(String(repeating: "x", count: 1_022))
        decision.recorded[4].value = .string(String(repeating: "x", count: 1_023))
        let record = try #require(try line(of: try log.append(decision))?["record"]?.object)
        #expect(record.count == 20 && record["/f10"] == "v10" && record["/f29"] == "v29")
        #expect(record["/f13"] == decision.recorded[3].value)
        #expect(try record["/f14"] == .string(state().logSecret().mac(ofArguments: decision.recorded[4].value)))
    }

    @Test("a line that has everything, each as long as it can be, has room")
    func longest() throws {
        let log = try open()
        var decision = intent(1)
        let text = String(repeating: "x", count: 2_000)
        (decision.note, decision.operation, decision.pointer, decision.trace) = (text, text, text, text)
        decision.run = RunName(text, .header)
        decision.asked = Decision.Asked(issuer: text, subject: text)
        decision.approval = ("3f2a-9b1c04d2-1", (0..<9).map { "\($0)\(text)" })
        decision.recorded = (10..<60).map {
            ("/\($0)" + String(repeating: "p", count: 253), .string(String(repeating: "v", count: 1_022)))
        }
        let record = try #require(try line(of: try log.append(decision))?["record"]?.object)
        #expect(record.count == 40)
        #expect(record.filter { $0.value.string?.hasPrefix("vv") == true }.count == 12)
        #expect(try check().problems == [])
    }

    @Test(
        "however names and values are written, a line has room: values that find none are left out, and counted",
        arguments: ["x", "\"", "\u{1}"],
        [1, 2_000]
    )
    func escaped(piece: String, around: Int) throws {
        let log = try open()
        var decision = intent(1)
        let text = String(repeating: piece, count: around)
        (decision.note, decision.operation, decision.pointer, decision.trace) = (text, text, text, text)
        decision.run = RunName(text, .header)
        decision.asked = Decision.Asked(issuer: text, subject: text)
        decision.approval = ("3f2a-9b1c04d2-1", (0..<9).map { "\($0)\(text)" })
        decision.recorded = (10..<50).map {
            ("/\($0)" + String(repeating: piece, count: 253), .string(String(repeating: "v", count: 700)))
        }
        let line = try #require(try line(of: try log.append(decision)))
        let (record, out) = (line["record"]?.object ?? [:], line["recordLeftOut"]?.int ?? 0)
        let isTooLong = piece == "\u{1}" || piece == "\"" && around > 1
        #expect(record.count + Int(out) == 40 && isTooLong == (out > 0))
        #expect(around > 1 || record.contains { $0.value == decision.recorded[0].value })
        #expect(try check().problems == [])
    }

    private func line(of number: Int64) throws -> JSONValue? {
        let lines = try text("2026-11-29.jsonl").split(separator: "\n")
        return LogLine(Array(lines[Int(number) - 1].utf8))?.json
    }

    @Test("the intent of a process that still runs stays open")
    func living() throws {
        let log = try open()
        let number = try log.append(intent(1))
        _ = try open()
        #expect(try check().open == 1)
        _ = try log.append(outcome(number))
        #expect(try check().open == 0)
    }

    @Test("a line that lost power in the middle is removed, and the chain goes on")
    func torn() throws {
        try { _ = try open().append(intent(1)) }()
        let whole = try text("2026-11-29.jsonl")
        try Files.replace(file("2026-11-29.jsonl"), with: Array((whole + whole.prefix(100)).utf8))
        _ = try open().append(intent(2))
        #expect(try check().problems == [])
    }

    @Test("a state folder that others may enter is refused")
    func open777() throws {
        let path = "\(folder.path)/loose"
        try Files.makeDirectories(path, mode: 0o755)
        #expect(throws: RecordFailure.self) { try StateFolder(path) }
    }
}

/// A clock that only tests move; it begins at 2026-11-29T03:00:00Z.
final class TestClock: Sendable {
    private let moment = Mutex(Moment(Timestamp(seconds: 1_795_921_200)))

    var now: Moment { moment.withLock { $0 } }

    func advance(days: Int64 = 0, seconds: Int64 = 0) {
        moment.withLock { $0 = $0.advanced(milliseconds: (days * 86_400 + seconds) * 1_000) }
    }
}
