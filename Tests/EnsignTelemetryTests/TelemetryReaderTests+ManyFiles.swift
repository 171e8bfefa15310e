import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignTelemetry

/// More files than have a place each.
extension TelemetryReaderTests {
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
}
