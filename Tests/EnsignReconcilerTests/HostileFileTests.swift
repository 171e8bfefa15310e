import EnsignHost
import EnsignJSON
import EnsignModel
import EnsignSystem
import EnsignTargets
import EnsignTelemetry
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignReconciler

/// Whatever stands in a state file or a cache: it is as if there were none, or what is done with it next comes to an end.
@Suite("Hostile values in state files")
struct HostileFileTests {
    private let scratch: ScratchDirectory

    init() throws { scratch = try ScratchDirectory() }

    /// Every combination of hostile texts in the places of a file of lines.
    private func lines(_ places: Int, for test: String, _ body: (String) throws -> Void) throws {
        var random = SeededGenerator(for: test, standard: 53)
        let words = Hostile.texts + [ObjectID.zero.description, String(repeating: "a", count: 64), "support/triage"]
        for _ in 0..<500 {
            let text = (0..<places).map { _ in
                (0..<random.int(1...3)).map { _ in random.pick(words) }.joined(separator: " ")
            }
            try scratch.write("file", text.joined(separator: "\n") + "\n")
            try body("\(scratch.path)/file")
        }
    }

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
        try status.write(path)
        #expect(try Status.read(path) == status)
        #expect(status.message.utf8.count <= 4_000)
        try Hostile.variants(of: status.json, for: "status", pairs: 100) { json in
            try Files.replace(path, with: json.canonicalBytes(), durable: false)
            guard let read = try Status.read(path) else { return }
            for now in Hostile.times.compactMap({ Timestamp($0) }) {
                _ = now.seconds(since: read.time)
                _ = Attendance(isWatched: false, read.visits, now: now)
                _ = read.visits.adding(.run, at: now)
            }
            try read.write(path)
            #expect(try Status.read(path) == read)
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
        try reading.write(path)
        #expect(TelemetryReading.read(path) == reading)
        try Hostile.variants(of: reading.json, for: "reading", pairs: 100) { json in
            try Files.replace(path, with: json.canonicalBytes(), durable: false)
            guard let read = TelemetryReading.read(path) else { return }
            _ = read.sentences
            try read.write(path)
        }
    }

    @Test("An outbox is none, or its attempts go on, at any time")
    func outbox() throws {
        let path = "\(scratch.path)/outbox"
        var outbox = Outbox(sequence: 1)
        let item = Outbox.Pending(sequence: 1, commit: .zero)
        outbox.add([item, Outbox.Pending(sequence: 2, commit: .zero)], upTo: 2)
        outbox.failed(item, "no", now: 1_795_251_600)
        try outbox.write(path)
        let bytes = try #require(try Files.read(path, limit: 1 << 20))
        try Hostile.variants(of: try JSONParser.parse(bytes), for: "outbox", pairs: 200) { json in
            try Files.replace(path, with: json.canonicalBytes(), durable: false)
            guard var outbox = try Outbox.read(path) else { return }
            for now in Hostile.integers {
                #expect(outbox.wait(now: now).map { (0...3_600).contains($0) } ?? true)
                for item in outbox.pending { outbox.failed(item, Hostile.letter, now: now) }
            }
            outbox.add((0..<200).map { Outbox.Pending(sequence: $0, commit: .zero) }, upTo: .max)
            #expect((outbox.note?.utf8.count ?? 0) < 1_000)
            try outbox.write(path)
            #expect(try Outbox.read(path) != nil)
        }
    }

    @Test("A clock file is none, or any clock can be held against it")
    func clock() throws {
        try lines(3, for: "clock") { path in
            guard let file = try ClockFile.read(path) else { return }
            for wall in Hostile.integers {
                for sinceBoot in Hostile.integers {
                    let now = ClockFile(boot: file.boot, sinceBoot: sinceBoot, wall: wall)
                    _ = (now.step(since: file), now.reference(after: file))
                }
            }
        }
        for wall in Hostile.integers {
            let clock = SystemClock(wall: { wall }, sinceBoot: { ("a", .max) })
            let now = try #require(ClockFile.now(clock))
            #expect(now.step(since: ClockFile(boot: "a", sinceBoot: 0, wall: 0)) != nil)
        }
    }

    @Test("Caches that are lines of text are none, or hold what can be gone by")
    func caches() throws {
        let live = "\(scratch.path)/live"
        try Files.makeDirectories("\(live)/agents/support")
        try lines(5, for: "caches") { path in
            _ = try SettledFile.read(path)
            let cursor = try ObservationFile.read(path, at: .zero)
            let target = DirectoryTarget(path: live)
            _ = try target.observe(Nothing(), .slice(cursor, suspects: []), sweeping: false)
            _ = TrafficFile.read(path)
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
