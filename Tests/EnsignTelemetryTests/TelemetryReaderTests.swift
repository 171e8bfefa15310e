import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignTelemetry

/// A directory of telemetry, written and rotated as exporters and logrotate do.
struct Writer {
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
func numbered(_ number: Int) -> String { line([.call(UInt64(number), in: 99_999)]) + "\n" }

extension TelemetryBatch {
    /// The numbers of the spans.
    var numbers: [Int] {
        events.compactMap { if case .span(let span) = $0 { Int(span.span) } else { nil } }
    }
}

extension TelemetryReader {
    /// Reads until there is nothing more.
    mutating func readAll(limit: Int = 8 << 20) throws -> (numbers: [Int], rejections: Rejections) {
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
    let writer: Writer

    init() throws { writer = try Writer() }

    func reader(_ cursor: TelemetryCursor = TelemetryCursor()) -> TelemetryReader {
        TelemetryReader(directory: writer.path, cursor: cursor)
    }

    /// The cursor as it would come back from a file.
    func restored(_ cursor: TelemetryCursor) throws -> TelemetryCursor {
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
}
