import EnsignHost
import EnsignJSON
import EnsignLedger
import EnsignModel
import EnsignSystem
import EnsignTargets
import EnsignTelemetry
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignReconciler

/// Whatever a state file or a cache contains: it counts as missing, or what is done with it next comes to an end.
@Suite("Hostile values in state files")
struct HostileFileTests {
    private let scratch: ScratchDirectory

    init() throws { scratch = try ScratchDirectory() }

    @Test("A status is none, or its age can be told; what it says is bounded, so that the next run can read it")
    func status() throws {
        let time = Timestamp(seconds: 1_795_251_600)
        let status = Status(
            environment: "prod",
            time: time,
            result: "failed",
            message: Hostile.letter,
            source: ObjectID.zero.description,
            mode: .watch,
            lastSuccess: time,
            visits: Visits(watch: time, run: time, timer: time)
        )
        let path = "\(scratch.path)/status"
        let file = StateFile<Status>(path: path)
        try file.write(status)
        #expect(try file.read() == status)
        #expect(status.message.utf8.count <= 4_000)
        try Hostile.variants(of: status.json, for: "status", pairs: 100) { json in
            try Files.replace(path, with: json.canonicalBytes(), durable: false)
            guard let read = try file.read() else { return }
            for now in Hostile.times.compactMap({ Timestamp($0) }) {
                _ = now.seconds(since: read.time)
                _ = Attendance(isWatched: false, read.visits, now: now)
                _ = read.visits.adding(.run, at: now)
            }
            try file.write(read)
            #expect(try file.read() == read)
        }
    }

    @Test("How far telemetry was read is not known, or can be said")
    func reading() throws {
        let moment = Moment(Timestamp(seconds: 1_795_251_600))
        let reading = TelemetryReading(
            time: moment,
            lastRead: moment,
            behind: TelemetryReading.Behind(backlog: TelemetryBacklog(files: 2, bytes: 4_096), since: moment),
            unreadFiles: 3,
            problems: ["x"]
        )
        let path = "\(scratch.path)/reading"
        let file = StateFile<TelemetryReading>(path: path)
        try file.write(reading)
        #expect(file.known() == reading)
        try Hostile.variants(of: reading.json, for: "reading", pairs: 100) { json in
            try Files.replace(path, with: json.canonicalBytes(), durable: false)
            guard let read = file.known() else { return }
            _ = read.sentences
            try file.write(read)
        }
    }

    @Test("An outbox is none, or its attempts go on, at any time")
    func outbox() throws {
        let path = "\(scratch.path)/outbox"
        var outbox = Outbox(sequence: 1)
        let item = Outbox.Pending(sequence: 1, commit: .zero)
        outbox.add([item, Outbox.Pending(sequence: 2, commit: .zero)], upTo: 2)
        outbox.failed(item, "no", now: 1_795_251_600)
        let file = StateFile<Outbox>(path: path)
        try file.write(outbox)
        let bytes = try #require(try Files.read(path, limit: 1 << 20))
        try Hostile.variants(of: try JSONParser.parse(bytes), for: "outbox", pairs: 200) { json in
            try Files.replace(path, with: json.canonicalBytes(), durable: false)
            guard var outbox = try file.read() else { return }
            for now in Hostile.integers {
                #expect(outbox.wait(now: now).map { (0...3_600).contains($0) } ?? true)
                for item in outbox.pending { outbox.failed(item, Hostile.letter, now: now) }
            }
            outbox.add((0..<200).map { Outbox.Pending(sequence: $0, commit: .zero) }, upTo: .max)
            #expect((outbox.note?.utf8.count ?? 0) < 1_000)
            try file.write(outbox)
            #expect(try file.read() != nil)
        }
    }

    @Test("Any clock can be held against any other")
    func clock() throws {
        for earlier in Hostile.integers {
            for later in Hostile.integers {
                let file = ClockReading(boot: "a", sinceBoot: earlier, wall: later)
                let now = ClockReading(boot: "a", sinceBoot: later, wall: earlier)
                _ = (now.step(since: file), now.reference(after: file))
            }
        }
        for wall in Hostile.integers {
            let clock = SystemClock(wall: { wall }, sinceBoot: { ("a", .max) })
            let now = try #require(ClockReading.now(clock))
            #expect(now.step(since: ClockReading(boot: "a", sinceBoot: 0, wall: 0)) != nil)
        }
    }

    @Test("Whatever the file of a slice says, what it leads to is an observation")
    func observation() throws {
        let live = "\(scratch.path)/live"
        try Files.makeDirectories("\(live)/agents/support")
        let target = DirectoryTarget(path: live)
        let path = "\(scratch.path)/observation"
        let file = StateFile<ObservationPlace>(path: path)
        try file.write(ObservationPlace(entry: .zero, cursor: SliceCursor(next: "a", lookedAt: ["a": 1]).cursor))
        let bytes = try #require(try Files.read(path, limit: 1 << 20))
        try Hostile.variants(of: try JSONParser.parse(bytes), for: "observation", pairs: 100) { json in
            try Files.replace(path, with: json.canonicalBytes(), durable: false)
            let cursor = try ObservationPlace.cursor(in: file, at: .zero)
            _ = try target.observe(Nothing(), .slice(cursor, suspects: []), sweeping: false)
        }
        for number in Hostile.integers where number >= 0 {
            let cursor = SliceCursor(next: "", roundStart: number, verifiedBefore: number).cursor
            _ = try DirectoryTarget(path: live).observe(Nothing(), .slice(cursor, suspects: []), sweeping: false)
        }
    }

    @Test("Live files may be stamped with any time and be of any size")
    func stamps() throws {
        let live = "\(scratch.path)/live"
        try Files.makeDirectories("\(live)/agents/support")
        try scratch.write("live/agents/support/a.json", "{}")
        for time in ["1901-12-14T00:00:00Z", "2262-04-12T00:00:00Z", "2400-01-01T00:00:00Z"] {
            _ = try run("touch", ["-d", time, "live/agents/support/a.json"], in: scratch.path)
            #expect(try Files.status("\(live)/agents/support/a.json") != nil)
            _ = try DirectoryTarget(path: live).observe(Nothing(), .everything, sweeping: false)
        }
    }

    @Test("A halt with a reason, a name and a rule of any size is kept, and read back")
    func halts() throws {
        let file = HaltsFile(path: "\(scratch.path)/halts/prod")
        try file.prepare()
        let texts = ["", "\u{0}\u{1}\"\\", Hostile.letter, String(repeating: "\u{1}", count: 5_000)]
        let longest = String(repeating: "a", count: 63)
        var count = 0
        for text in texts {
            for nanoseconds in Hostile.integers {
                let record = HaltRecord(
                    scope: .agent(AgentID(team: longest, name: longest)),
                    reason: text,
                    by: text,
                    time: Moment(nanoseconds: nanoseconds),
                    rule: text,
                    observed: Double(nanoseconds)
                )
                #expect(record.slot.count == HaltRecord.size)
                try file.append([record])
                count += 1
            }
        }
        let contents = try file.read()
        #expect(contents.pending.count == count && contents.damaged == 0 && contents.unknown == 0)
        for record in contents.pending { _ = record.time.timestamp.description }
    }
}

/// Nothing is recorded but the folders.
private struct Nothing: ExpectedFiles {
    func children(of folder: String) throws -> [String: ExpectedNode]? {
        switch folder {
        case "": ["agents": .folder]
        case "agents": ["support": .folder]
        case "agents/support": ["a.json": .file]
        default: nil
        }
    }

    func bytes(at path: String) throws -> [UInt8] { [] }

    func matches(_ bytes: [UInt8], at path: String) throws -> Bool { false }
}
