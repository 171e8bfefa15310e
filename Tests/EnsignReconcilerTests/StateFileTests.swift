import EnsignGit
import EnsignHost
import EnsignJSON
import EnsignJudge
import EnsignModel
import EnsignSystem
import EnsignTargets
import EnsignTelemetry
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignLedger
@testable import EnsignReconciler

/// One kind of state, with everything that a test does with it.
private struct KindOfState: Sendable, CustomTestStringConvertible {
    var kind: StateKind
    /// The bytes of a value, as they are written.
    var bytes: @Sendable () -> [UInt8]
    /// The bytes of what is read from a file, or from where it was formerly.
    var readBack: @Sendable (_ path: String, _ former: String?) throws -> [UInt8]?
    var write: @Sendable (_ path: String, _ former: String?) throws -> Void
    var takeOver: @Sendable (_ path: String, _ former: String?) throws -> Void

    var testDescription: String { kind.pattern }

    init<Value: StateValue>(_ value: @escaping @Sendable () -> Value) {
        @Sendable func bytes(_ value: Value) -> [UInt8] { value.contents.bytes(version: Value.kind.version) }
        kind = Value.kind
        self.bytes = { bytes(value()) }
        readBack = { try StateFile<Value>(path: $0, former: $1).read().map(bytes) }
        write = { try StateFile<Value>(path: $0, former: $1).write(value()) }
        takeOver = { try StateFile<Value>(path: $0, former: $1).takeOver() }
    }

    private static var teamUse: TeamUse {
        var use = OperationUse()
        _ = use.note("find", ["crm.find"], Day(number: 20_000))
        _ = use.note("\u{1F4A5}\"", [], Day(number: -1))
        return TeamUse(since: Day(number: 19_000), agents: [agent: use])
    }

    private static var watchedDays: WatchedDays {
        var days = WatchedDays()
        for number in [1, 2, 3, 7, 20_000] { days.insert(Day(number: Int64(number))) }
        return days
    }

    private static let id = ObjectID.zero
    private static let digest = EnsignTestSupport.digest("a")
    private static let time = Timestamp(seconds: 1_795_251_600)
    private static let agent = AgentID(team: "support", name: "triage")

    static let all: [KindOfState] = [
        KindOfState { ClockReading(boot: "a-b", sinceBoot: 5, wall: time.seconds) },
        KindOfState { OwnTarget(device: .max, inode: 7, path: "/srv/\"live\"\n") },
        KindOfState { AcceptedCommit(recorded: id, commit: id) },
        KindOfState { AnalysisState(json: ["trials": [1, "a"]]) },
        KindOfState { checkpoint },
        KindOfState { traffic },
        KindOfState { teamUse },
        KindOfState { watchedDays },
        KindOfState {
            Status(
                environment: "prod",
                time: time,
                result: "failed",
                message: Hostile.letter,
                source: id.description,
                mode: .watch,
                lastSuccess: time,
                visits: Visits(watch: time, run: nil, timer: time)
            )
        },
        KindOfState {
            var outbox = Outbox(sequence: 1)
            let item = Outbox.Pending(sequence: 1, commit: id)
            outbox.add([item, Outbox.Pending(sequence: 2, commit: id)], upTo: 2)
            outbox.failed(item, "no", now: time.seconds)
            return outbox
        },
        KindOfState { KnownValidTree(tree: id, version: "0.1.0") },
        KindOfState { SettledCommit(desired: id, entry: id, version: "0.1.0") },
        KindOfState { FruitlessSearch(desired: id, stable: digest, wanted: digest) },
        KindOfState {
            var uses = SharedUses()
            uses.set("support", key: "a-b", ["triage": ["role:reader", "tool:crm"], "desk": []])
            uses.set("ops", key: "none-c", ["helper": ["agent:support/desk"]])
            return uses
        },
        KindOfState {
            ObservationPlace(
                entry: id,
                cursor: SliceCursor(
                    next: "agents/support",
                    roundStart: 1_795_251_600_123_456_789,
                    verifiedBefore: 3,
                    lookedAt: ["agents/a b\n": .max, "bundles/00": 0]
                ).cursor
            )
        },
        KindOfState {
            TelemetryReading(
                time: Moment(time),
                lastRead: Moment(time),
                behind: TelemetryReading.Behind(
                    backlog: TelemetryBacklog(files: 2, bytes: 4_096),
                    since: Moment(time)
                ),
                unreadFiles: 3,
                problems: ["x"]
            )
        },
        KindOfState { RetiredBundles(covering: CoveredEntry(sequence: 9, commit: id)) },
        KindOfState { BehaviourRecord(covering: CoveredEntry(sequence: 9, commit: id)) },
    ]

    private static var checkpoint: TelemetryCheckpoint {
        var checkpoint = TelemetryCheckpoint(environment: "prod")
        checkpoint.consumer = ["a": 1]
        checkpoint.keep([sample(1), sample(0)])
        return checkpoint
    }

    private static var traffic: TrafficBook {
        var book = TrafficBook()
        for value in [1.0, 0, 1] { book.take(sample(value), stable: digest) }
        return book
    }

    private static func sample(_ value: Double) -> Sample {
        Sample(
            agent: agent,
            environment: "prod",
            bundle: digest,
            metric: .success,
            value: value,
            occurred: value == 1,
            time: Moment(time),
            started: Moment(time)
        )
    }
}

/// One way of keeping things between runs, for everything that is kept.
@Suite("State files")
struct StateFileTests {
    private let scratch: ScratchDirectory
    private let path: String
    private let former: String

    init() throws {
        scratch = try ScratchDirectory()
        path = "\(scratch.path)/state/prod/file"
        former = "\(scratch.path)/cache/prod/file"
    }

    private func put(_ bytes: [UInt8], at path: String) throws {
        if let folder = Files.parent(of: path) { try Files.makeDirectories(folder) }
        try Files.replace(path, with: bytes, durable: false)
    }

    @Test("What is written is read back, in a folder that is made for it", arguments: KindOfState.all)
    fileprivate func roundTrip(_ state: KindOfState) throws {
        #expect(try state.readBack(path, nil) == nil)
        try state.write(path, nil)
        #expect(try state.readBack(path, nil) == state.bytes())
    }

    @Test(
        "What can be made again is in the cache, and nothing else is; no two kinds share a place",
        arguments: [KindOfState.all]
    )
    fileprivate func places(_ states: [KindOfState]) {
        for state in states {
            #expect(state.kind.pattern.hasPrefix("cache/") == state.kind.reason.canBeMadeAgain, "\(state.kind.pattern)")
            #expect(state.kind.formerPattern == nil || !state.kind.reason.canBeMadeAgain)
        }
        #expect(Set(states.map(\.kind.pattern)).count == states.count)
    }

    @Test("What was cut, at any byte, is nothing, or a value that can be written again", arguments: KindOfState.all)
    fileprivate func cut(_ state: KindOfState) throws {
        let bytes = state.bytes()
        for count in Set((0..<bytes.count).prefix(600) + bytes.indices.suffix(40)) {
            try put(Array(bytes[..<count]), at: path)
            let read = try state.readBack(path, nil)
            // All but the last newline is all.
            #expect(read == nil || count == bytes.count - 1, "cut at \(count)")
        }
    }

    @Test("Hostile values are nothing, or a value that can be written and read again", arguments: KindOfState.all)
    fileprivate func hostile(_ state: KindOfState) throws {
        let bytes = state.bytes()
        let end = try #require(bytes.firstIndex(of: 0x0A))
        let rest = bytes[end...]
        try Hostile.variants(of: try JSONParser.parse(Array(bytes[..<end])), for: state.kind.pattern, pairs: 60) {
            json in
            try put(json.canonicalBytes() + rest, at: path)
            guard let read = try state.readBack(path, nil) else { return }
            try put(read, at: path)
            #expect(try state.readBack(path, nil) == read)
        }
    }

    @Test("Text that is not a state is nothing", arguments: KindOfState.all)
    fileprivate func garbage(_ state: KindOfState) throws {
        let texts = [
            "", "\n", "0", "[]\n", "{}\n", "99\n99\n99\n", "\0\0\0\0", "{\"v\":1}{}\n", "{\"v\":1}\n[\"a\"]\n",
        ]
        for text in texts + Hostile.texts {
            try put(Array(text.utf8), at: path)
            let read = try state.readBack(path, nil)
            // A checkpoint that holds nothing but its version may be one of nothing.
            #expect(read == nil || text == "{\"v\":1}\n", "\(text.prefix(40))")
        }
    }

    @Test("What another version wrote, or another kind is, is nothing", arguments: KindOfState.all)
    fileprivate func foreign(_ state: KindOfState) throws {
        let text = String(decoding: state.bytes(), as: UTF8.self)
        for version in ["0", "2", "99", "null", "\"1\""] {
            try put(Array(text.replacing("\"v\":1", with: "\"v\":\(version)", maxReplacements: 1).utf8), at: path)
            #expect(try state.readBack(path, nil) == nil)
        }
        for other in KindOfState.all where other.kind != state.kind {
            try put(other.bytes(), at: path)
            // Unknown members are ignored: what is read is one of this kind.
            if let read = try state.readBack(path, nil) {
                try put(read, at: path)
                #expect(try state.readBack(path, nil) == read)
            }
        }
    }

    @Test("What is too large is nothing; a folder or a pipe in the way is an error", arguments: KindOfState.all)
    fileprivate func unreadable(_ state: KindOfState) throws {
        if state.kind.limit <= 1 << 20 {
            try put(state.bytes() + [UInt8](repeating: 0x20, count: state.kind.limit), at: path)
            #expect(try state.readBack(path, nil) == nil)
            try Files.remove(path)
        }
        try Files.makeDirectories(path)
        #expect(throws: SystemError.self) { try state.readBack(path, nil) }
        Files.removeEmptyDirectory(path)
        #expect(try run("mkfifo", [path], in: scratch.path).status == 0)
        #expect(throws: SystemError.self) { try state.readBack(path, nil) }
    }

    @Test(
        "What an earlier release kept elsewhere is read until it is written, and taken over once",
        arguments: KindOfState.all.filter { $0.kind.formerPattern != nil }
    )
    fileprivate func takenOver(_ state: KindOfState) throws {
        let zero = ObjectID.zero.description
        let old: [String: String] = [
            "cache/<env>/clock": "a-b\n5\n1795251600\n",
            "cache/<env>/target": "\(UInt64.max) 7\n/srv/\"live\"\n\n",
            "accepted/<env>": "\(zero)\n\(zero)\n",
            "cache/<env>/analysis": #"{"trials":[1,"a"]}"# + "\n",
        ]
        let pattern = try #require(state.kind.formerPattern)
        // Telemetry's had the same form.
        let bytes = pattern.hasSuffix("traffic") ? oldTraffic(state.bytes()) : Array((old[pattern] ?? "").utf8)
        try put(bytes.isEmpty ? state.bytes() : bytes, at: former)
        #expect(try state.readBack(path, former) == state.bytes(), "it is read where it was")
        #expect(try Files.status(former) != nil, "reading moves nothing")
        try state.takeOver(path, former)
        #expect(try Files.status(former) == nil)
        #expect(try state.readBack(path, nil) == state.bytes())
        try state.takeOver(path, former)
        #expect(try state.readBack(path, former) == state.bytes(), "what was taken over stays")
    }

    /// A line of its own for each agent, without a header.
    private func oldTraffic(_ bytes: [UInt8]) -> [UInt8] {
        bytes.split(separator: 0x0A).dropFirst().flatMap { line in
            Array(line.drop { $0 != UInt8(ascii: "{") }.dropLast()) + [0x0A]
        }
    }

    @Test("A damaged file of an earlier release is nothing, and does not come back")
    fileprivate func damagedFormer() throws {
        for state in KindOfState.all
        where state.kind.formerPattern != nil && state.kind.pattern != TrafficBook.kind.pattern {
            for text in ["", "\0\0", "{\"v\":7", "a\nb\n", "1\n2\n3\n4\n"] {
                try put(Array(text.utf8), at: former)
                #expect(try state.readBack(path, former) == nil, "\(state.kind.pattern): \(text)")
                try state.takeOver(path, former)
                #expect(try Files.status(former) == nil)
            }
        }
    }

    @Test("A question writes into a folder that is there, and makes none")
    fileprivate func questions() throws {
        let file = StateFile<SettledCommit>(path: path)
        try file.write(SettledCommit(desired: .zero, entry: .zero, version: "1"), inNewFolder: false)
        #expect(try Files.status("\(scratch.path)/state") == nil && !file.isThere)
        try Files.makeDirectories("\(scratch.path)/state/prod")
        try file.write(SettledCommit(desired: .zero, entry: .zero, version: "1"), inNewFolder: false)
        #expect(file.isThere)
    }

    @Test("Of a memo of uses, the teams that are asked for are parsed; a damaged one costs that team alone")
    fileprivate func uses() throws {
        var uses = SharedUses()
        uses.set("ops", key: "a-b", ["helper": ["tool:crm"]])
        uses.set("support", key: "c-d", ["triage": ["role:reader"]])
        let file = StateFile<SharedUses>(path: path)
        try file.write(uses)
        let text = try scratch.read("state/prod/file").replacing("[\"role:reader\"]", with: "[\"role:reader\"}")
        try put(Array(text.utf8), at: path)
        let read = try #require(try file.read())
        #expect(read.users(of: ["tool:crm"], team: "ops", key: "a-b") == [AgentID(team: "ops", name: "helper")])
        #expect(read.users(of: ["tool:crm"], team: "ops", key: "x") == nil)
        #expect(read.users(of: ["role:reader"], team: "support", key: "c-d") == nil)
        #expect(read.users(of: ["role:reader"], team: "sales", key: "c-d") == nil)
    }
}
