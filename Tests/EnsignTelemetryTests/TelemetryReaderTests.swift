import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignTelemetry

/// A directory of telemetry, written and rotated as exporters and logrotate do.
private struct Writer {
    let scratch: ScratchDirectory

    init() throws { scratch = try ScratchDirectory() }

    var path: String { scratch.path }

    func append(_ text: String, to name: String = "traces.jsonl") throws {
        let file = "\(path)/\(name)"
        if !FileManager.default.fileExists(atPath: file) {
            _ = FileManager.default.createFile(atPath: file, contents: nil)
        }
        let handle = try #require(FileHandle(forWritingAtPath: file))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data(text.utf8))
        try handle.close()
    }

    func rename(_ from: String, _ to: String) throws {
        try FileManager.default.moveItem(atPath: "\(path)/\(from)", toPath: "\(path)/\(to)")
    }

    func copy(_ from: String, _ to: String) throws {
        try FileManager.default.copyItem(atPath: "\(path)/\(from)", toPath: "\(path)/\(to)")
    }

    func truncate(_ name: String = "traces.jsonl", to count: UInt64 = 0) throws {
        let handle = try #require(FileHandle(forWritingAtPath: "\(path)/\(name)"))
        try handle.truncate(atOffset: count)
        try handle.close()
    }

    func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: "\(path)/\(name)") }
}

/// A line with one span of that number, and a newline.
private func numbered(_ number: Int) -> String { line([.call(UInt64(number), in: 99_999)]) + "\n" }

extension TelemetryBatch {
    /// The numbers of the spans.
    fileprivate var numbers: [Int] {
        events.compactMap { if case .span(let span) = $0 { Int(span.span) } else { nil } }
    }
}

extension TelemetryReader {
    /// Reads until there is nothing more.
    fileprivate mutating func readAll(limit: Int = 8 << 20) throws -> (numbers: [Int], rejections: Rejections) {
        var numbers: [Int] = []
        var rejections = Rejections()
        while true {
            let batch = try read(limit: limit)
            numbers += batch.numbers
            rejections.add(batch.rejections)
            if batch.isComplete { return (numbers, rejections) }
        }
    }
}

@Suite("Telemetry files")
struct TelemetryReaderTests {
    private let writer: Writer

    init() throws { writer = try Writer() }

    private func reader(_ cursor: TelemetryCursor = TelemetryCursor()) -> TelemetryReader {
        TelemetryReader(directory: writer.path, cursor: cursor)
    }

    /// The cursor as it would come back from a file.
    private func restored(_ cursor: TelemetryCursor) throws -> TelemetryCursor {
        try #require(TelemetryCursor(json: cursor.json))
    }

    @Test("Only what is new is read")
    func growth() throws {
        var reader = reader()
        #expect(try reader.read().numbers == [])
        try writer.append(numbered(1) + numbered(2))
        #expect(try reader.read().numbers == [1, 2])
        #expect(try reader.read().bytes == 0)
        try writer.append(numbered(3))
        try writer.append(numbered(4), to: "other.json")
        let batch = try reader.read(changed: ["traces.jsonl"])
        #expect(batch.numbers == [3])
        #expect(batch.bytes < 2_000)
        #expect(try reader.read(changed: ["other.json", "gone.jsonl"]).numbers == [4])
        var second = self.reader(try restored(reader.cursor))
        #expect(try second.read().numbers == [])
    }

    @Test("A directory that does not exist yet is empty")
    func missing() throws {
        var reader = TelemetryReader(directory: writer.path + "/later/telemetry")
        #expect(try reader.read().numbers == [])
        #expect(reader.foldersToWatch == [writer.path])
    }

    @Test("Half a line waits for its other half")
    func halfLine() throws {
        let text = numbered(1)
        var reader = reader()
        for cut in [1, 50, text.utf8.count - 2] {
            let fresh = try Writer()
            var reader = TelemetryReader(directory: fresh.path)
            try fresh.append(String(text.prefix(cut)))
            #expect(try reader.readAll().numbers == [])
            try fresh.append(String(text.dropFirst(cut)))
            #expect(try reader.readAll().numbers == [1])
            #expect(try reader.readAll().rejections.isEmpty)
        }
        try writer.append(String(text.dropLast()))
        #expect(try reader.read().numbers == [1], "a whole object needs no newline")
        try writer.append("\n" + numbered(2))
        #expect(try reader.read().numbers == [2])
    }

    @Test("A renamed file is read to its end, and its successor from the start")
    func rename() throws {
        var reader = reader()
        try writer.append(numbered(1))
        #expect(try reader.read().numbers == [1])
        try writer.append(numbered(2))
        try writer.rename("traces.jsonl", "traces-2026-09-21T10-00-00.000.jsonl")
        try writer.append(numbered(3))
        #expect(try reader.read().numbers == [2, 3])
        // Also under a name that is not telemetry's, and after a restart.
        try writer.append(numbered(4))
        try writer.rename("traces.jsonl", "old")
        try writer.append(numbered(5))
        var second = self.reader(try restored(reader.cursor))
        #expect(try second.read().numbers.sorted() == [4, 5])
    }

    @Test("A removed file's end is read while it is still open")
    func removed() throws {
        var reader = reader()
        try writer.append(numbered(1))
        #expect(try reader.read().numbers == [1])
        try writer.append(numbered(2))
        try writer.remove("traces.jsonl")
        try writer.append(numbered(3))
        #expect(try reader.read().numbers.sorted() == [2, 3])
        #expect(try reader.read().numbers == [])
        #expect(reader.cursor.files.count == 1)
    }

    @Test("copytruncate loses and repeats nothing", arguments: [0, 1, 2, 3], [true, false])
    func copyTruncate(_ when: Int, _ restarts: Bool) throws {
        var reader = reader()
        var read: [Int] = []
        func look() throws {
            if restarts { reader = self.reader(try restored(reader.cursor)) }
            read += try reader.readAll().numbers
        }
        // More than the fingerprint's bytes.
        try writer.append((1...60).map(numbered).joined())
        try look()
        try writer.append(numbered(61))
        if when == 0 { try look() }
        try writer.copy("traces.jsonl", "traces.jsonl.1")
        if when == 1 { try look() }
        try writer.truncate()
        if when == 2 { try look() }
        try writer.append(numbered(62))
        if when == 3 { try look() }
        try writer.append(numbered(63))
        try look()
        #expect(read.sorted() == Array(1...63))
    }

    @Test("A file that was cut and has grown beyond its old length is read anew")
    func regrown() throws {
        var reader = reader()
        try writer.append(numbered(1) + numbered(2))
        #expect(try reader.read().numbers == [1, 2])
        try writer.truncate()
        try writer.append((3...9).map(numbered).joined())
        #expect(try reader.read().numbers == Array(3...9))
    }

    @Test("Copies are not news")
    func copies() throws {
        var reader = reader()
        try writer.append((1...60).map(numbered).joined())
        #expect(try reader.read().numbers.count == 60)
        try writer.copy("traces.jsonl", "backup.jsonl")
        #expect(try reader.readAll().numbers == [])
        try writer.append(numbered(61))
        #expect(try reader.readAll().numbers == [61])
    }

    @Test("Garbage, binary and empty lines are passed over")
    func garbage() throws {
        var reader = reader()
        try writer.append("\n\n" + numbered(1) + "garbage\n{\"a\":1}\n\0\u{1}\u{2}\n" + numbered(2))
        let bytes = Data((0..<5_000).map { _ in UInt8.random(in: 0...255) } + [0x0A])
        let handle = try #require(FileHandle(forWritingAtPath: "\(writer.path)/traces.jsonl"))
        try handle.seekToEnd()
        try handle.write(contentsOf: bytes)
        try handle.close()
        try writer.append(numbered(3))
        let (numbers, rejections) = try reader.readAll()
        #expect(numbers == [1, 2, 3])
        #expect(rejections[.malformedLine] >= 4)
    }

    @Test("A line of 10 MB is read, a longer one than allowed is passed over, also across a restart")
    func longLines() throws {
        var reader = reader()
        let long = String(repeating: "x", count: 10_000_000)
        try writer.append(line([SpanText.call(1, in: 2).adding("p", SpanText.string(long))]) + "\n" + numbered(2))
        #expect(try reader.readAll().numbers == [1, 2])

        let fresh = try Writer()
        var limits = TelemetryReader.Limits()
        (limits.line, limits.chunk) = (10_000, 4_096)
        var small = TelemetryReader(directory: fresh.path, limits: limits)
        try fresh.append(numbered(1) + String(repeating: "y", count: 30_000))
        var (numbers, rejections) = try small.readAll()
        #expect(numbers == [1])
        #expect(rejections[.longLine] == 1)
        small = TelemetryReader(directory: fresh.path, cursor: try restored(small.cursor), limits: limits)
        try fresh.append(String(repeating: "y", count: 30_000) + "\n" + numbered(2))
        (numbers, rejections) = try small.readAll()
        #expect(numbers == [2])
        #expect(rejections.isEmpty)
    }

    @Test("What is not a regular file with the right name is left alone")
    func names() throws {
        var reader = reader()
        try writer.append(numbered(1), to: "a.txt")
        try writer.append(numbered(2), to: ".hidden.jsonl")
        try writer.append(numbered(3), to: "b.jsonl.gz")
        try writer.append(numbered(4), to: "c.jsonl.2")
        try writer.append(numbered(5), to: "d.json-20261121")
        try FileManager.default.createDirectory(atPath: "\(writer.path)/e.jsonl", withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: "\(writer.path)/f.jsonl",
            withDestinationPath: "\(writer.path)/a.txt"
        )
        let status = unsafe mkfifo("\(writer.path)/g.jsonl", 0o600)
        #expect(status == 0)
        #expect(try reader.readAll().numbers.sorted() == [4, 5])
    }

    /// Sets when a file was changed last.
    private func touch(_ name: String, _ time: Double) throws {
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSince1970: time)],
            ofItemAtPath: "\(writer.path)/\(name)"
        )
    }

    @Test("Files that are read to their ends make room for others, and are not read again", arguments: [true, false])
    func manyFiles(_ restarts: Bool) throws {
        var limits = TelemetryReader.Limits()
        limits.files = 3
        var reader = TelemetryReader(directory: writer.path, limits: limits)
        func look() throws -> [Int] {
            if restarts {
                reader = TelemetryReader(directory: writer.path, cursor: try restored(reader.cursor), limits: limits)
            }
            let batch = try reader.read()
            #expect(batch.isComplete && batch.unreadFiles == 0)
            #expect(reader.cursor.files.count <= 3)
            return batch.numbers
        }
        for number in 1...10 {
            try writer.append(numbered(number), to: "\(number).jsonl")
            try touch("\(number).jsonl", 1_000_000 + Double(number))
        }
        #expect(try look().sorted() == Array(1...10))
        #expect(reader.cursor.files.count + reader.cursor.resting.count == 10)
        #expect(try look() == [])
        try writer.append(numbered(11), to: "11.jsonl")
        #expect(try look() == [11])
        // One that rested goes on where it was, also cut and written anew; one that is older than all is read too.
        try writer.append(numbered(12), to: "2.jsonl")
        #expect(try look() == [12])
        try writer.truncate("3.jsonl")
        try writer.append(numbered(13) + numbered(14), to: "3.jsonl")
        try writer.append(numbered(15), to: "old.jsonl")
        try touch("old.jsonl", 1_000)
        #expect(try look().sorted() == [13, 14, 15])
        for number in 4...9 { try writer.remove("\(number).jsonl") }
        #expect(try look() == [])
        #expect(reader.cursor.files.count + reader.cursor.resting.count == 6)
        // What is moved is known.
        try writer.rename("1.jsonl", "1.jsonl.1")
        try writer.copy("10.jsonl", "copy.jsonl")
        #expect(try look() == [])
    }

    @Test("A file that arrives is read whatever its times and those of the others, also when none has a place to spare")
    func tooManyFiles() throws {
        var limits = TelemetryReader.Limits()
        limits.files = 2
        var reader = TelemetryReader(directory: writer.path, limits: limits)
        // Lines that were never finished.
        let half = String(numbered(1).prefix(100))
        for name in ["b", "c"] {
            try writer.append(numbered(name == "b" ? 2 : 3) + half, to: "\(name).jsonl")
            try touch("\(name).jsonl", 4_102_444_800)
        }
        #expect(try reader.read().numbers.sorted() == [2, 3])
        try writer.append(numbered(9), to: "a.jsonl")
        try touch("a.jsonl", 0)
        var batch = try reader.read()
        #expect(batch.numbers == [9] && batch.unreadFiles == 0 && batch.isComplete)
        // Those that gave up their places are where they were.
        try writer.append(String(numbered(1).dropFirst(100)), to: "b.jsonl")
        try writer.append(String(numbered(1).dropFirst(100)).replacingOccurrences(of: "\n", with: " \n"), to: "c.jsonl")
        try writer.append(numbered(4), to: "d.jsonl")
        batch = try reader.read()
        #expect(batch.numbers.sorted() == [1, 1, 4] && batch.isComplete)
        #expect(batch.rejections.isEmpty)
        batch = try reader.read(changed: ["d.jsonl"])
        #expect(batch.unreadFiles == nil && batch.numbers == [])
    }

    @Test("Files beyond what is remembered are not begun again")
    func horizon() throws {
        var cursor = TelemetryCursor()
        for number in 0...TelemetryCursor.restingLimit {
            var file = TelemetryCursor.File(TelemetryCursor.FileID(device: 1, inode: UInt64(number + 1)))
            file.offset = 1
            file.writer = TelemetryCursor.Writer(owner: number.isMultiple(of: 10) ? 1 : 2)
            cursor.files[file.id] = file
            cursor.rest(file.id, TelemetryCursor.Seen(size: 1, changed: Int64(number)))
        }
        #expect(cursor.resting.count == TelemetryCursor.restingLimit * 7 / 8 + 1)
        // Whoever has most of them gives them up: the other one's stay.
        #expect(cursor.resting.values.count { $0.writer.owner == 1 } == 1_001)
        #expect(Array(cursor.horizons.keys) == [TelemetryCursor.Writer(owner: 2)])
        #expect(cursor.horizons.values.first == 1_388)
        #expect(try restored(cursor) == cursor)
    }

    @Test("Reading in small portions gives the same")
    func portions() throws {
        try writer.append((1...100).map(numbered).joined())
        var reader = reader()
        let batch = try reader.read(limit: 1_000)
        #expect(!batch.isComplete)
        #expect(batch.numbers.count < 100 || batch.bytes > 0)
        #expect(batch.numbers + (try reader.readAll(limit: 1_000).numbers) == Array(1...100))
    }

    @Test("A damaged cursor is none")
    func damaged() {
        #expect(TelemetryCursor(json: ["v": 2, "files": [], "retired": []]) == nil)
        #expect(TelemetryCursor(json: ["v": 1, "files": [["offset": -1]], "retired": []]) == nil)
        #expect(TelemetryCursor(json: "x") == nil)
    }

    @Test("Chopping, restarts, rotation and crashes never change what is counted")
    func property() throws {
        var random = SeededGenerator(for: "telemetry files", standard: 2_026)
        for _ in 0..<12 { try oneHistory(&random) }
    }

    /// One random history of a directory, read at random moments; a crash goes back to an older cursor and count.
    private func oneHistory(_ random: inout SeededGenerator) throws {
        let writer = try Writer()
        var limits = TelemetryReader.Limits()
        limits.chunk = random.pick([64, 1_000, 1 << 18])
        limits.files = random.pick([3, 1_000])
        var reader = TelemetryReader(directory: writer.path, limits: limits)
        var counts: [Int: Int] = [:]
        var saved = (cursor: TelemetryCursor().json, counts: counts)
        var next = 0
        var rest: [UInt8] = []
        var rotations = 0
        func read() throws {
            var isComplete = false
            while !isComplete {
                let batch = try reader.read(limit: random.pick([500, 8 << 20]))
                for number in batch.numbers { counts[number, default: 0] += 1 }
                isComplete = batch.isComplete
            }
        }
        for _ in 0..<60 {
            switch random.int(0...9) {
            case 0...3:
                next += 1
                rest += Array(numbered(next).utf8)
            case 4:
                // A part of what is to be written.
                let count = random.int(0...rest.count)
                try writer.append(String(decoding: rest.prefix(count), as: UTF8.self))
                rest.removeFirst(count)
            case 5:
                try writer.append(String(decoding: rest, as: UTF8.self))
                rest = []
            case 6:
                try read()
            case 7:
                // What is written together is restored together.
                saved = (reader.cursor.json, counts)
            case 8:
                let cursor = try #require(TelemetryCursor(json: saved.cursor))
                reader = TelemetryReader(directory: writer.path, cursor: cursor, limits: limits)
                counts = saved.counts
            default:
                guard rest.isEmpty, FileManager.default.fileExists(atPath: "\(writer.path)/traces.jsonl") else {
                    continue
                }
                rotations += 1
                if random.once(in: 2) {
                    try writer.rename("traces.jsonl", "traces.jsonl.\(rotations)")
                } else {
                    try writer.copy("traces.jsonl", "traces.jsonl.\(rotations)")
                    try writer.truncate()
                }
            }
        }
        try writer.append(String(decoding: rest, as: UTF8.self))
        try read()
        try read()
        #expect(counts == Dictionary(uniqueKeysWithValues: (0..<next).map { ($0 + 1, 1) }), "seed \(random.seed)")
    }

    @Test("Whatever happens to the files, a run's samples come out once")
    func samples() throws {
        var random = SeededGenerator(for: "telemetry to samples", standard: 77)
        let lines = (1...30).flatMap { number -> [String] in
            let base = UInt64(number * 10)
            let trace = SpanText.id(UInt64(number)) + SpanText.id(7)
            return [
                SpanText.call(base + 2, in: base + 1), SpanText.chat(base + 3, in: base + 1, input: number, output: 1),
                SpanText(span: base + 1, parent: base),
                .run(base, bundle: number % 3 == 0 ? canaryDigest : stableDigest),
            ].map { span in line([span.changed { $0.trace = trace }]) + "\n" }
        }
        func sorted(_ samples: [Sample]) -> [String] {
            samples.map { "\($0.bundle.short) \($0.metric) \($0.value)" }.sorted()
        }
        var expected: [String]?
        for _ in 0..<6 {
            let writer = try Writer()
            var state = (cursor: TelemetryCursor().json, attribution: Attribution(environment: "prod").json)
            var kept: [Sample] = []
            // What a process has in memory; a crash goes back to what was kept.
            var reader = TelemetryReader(directory: writer.path)
            var attribution = Attribution(environment: "prod")
            var samples: [Sample] = []
            var now = after(seconds: 10)
            func look() throws {
                now = now.advanced(milliseconds: 50)
                samples += attribution.add(try reader.read(), at: now, context).samples
            }
            var rest = Array(lines.shuffled(using: &random).joined().utf8)
            var rotations = 0
            while !rest.isEmpty {
                var count = min(rest.count, random.int(1...4_000))
                if random.once(in: 3), let end = rest.dropFirst(count - 1).firstIndex(of: UInt8(ascii: "\n")) {
                    count = end + 1
                }
                try writer.append(String(decoding: rest.prefix(count), as: UTF8.self))
                // No writer's file is rotated in the middle of a line.
                let isAtLineEnd = rest[count - 1] == UInt8(ascii: "\n")
                rest.removeFirst(count)
                switch isAtLineEnd ? random.int(0...3) : random.int(0...5) {
                case 0: try look()
                case 1:
                    try look()
                    state = (reader.cursor.json, attribution.json)
                    kept = samples
                case 2:
                    reader = TelemetryReader(
                        directory: writer.path,
                        cursor: try #require(TelemetryCursor(json: state.cursor))
                    )
                    attribution = try #require(Attribution(json: state.attribution))
                    samples = kept
                case 3:
                    guard isAtLineEnd else { continue }
                    rotations += 1
                    try writer.rename("traces.jsonl", "traces.jsonl.\(rotations)")
                default: break
                }
            }
            try look()
            samples += attribution.advance(to: now.advanced(milliseconds: 20_000), context).samples
            #expect(samples.count == 30 * 7)
            #expect(sorted(samples) == expected ?? sorted(samples))
            expected = expected ?? sorted(samples)
        }
    }
}
