import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignTelemetry

/// One writer of telemetry keeps nobody else waiting, whatever it writes.
@Suite("Fair reading of telemetry")
struct FairReadingTests {
    private let scratch: ScratchDirectory

    init() throws { scratch = try ScratchDirectory() }

    private var path: String { scratch.path }

    private func numbered(_ number: Int) -> String { line([.call(UInt64(number), in: 99_999)]) + "\n" }

    private func write(_ text: String, to name: String) throws { try write(Data(text.utf8), to: name) }

    /// Appends bytes to a file.
    private func write(_ bytes: Data, to name: String) throws {
        let file = "\(path)/\(name)"
        if let folder = Files.parent(of: file) { try Files.makeDirectories(folder) }
        if !FileManager.default.fileExists(atPath: file) {
            _ = FileManager.default.createFile(atPath: file, contents: nil)
        }
        let handle = try #require(FileHandle(forWritingAtPath: file))
        try handle.seekToEnd()
        try handle.write(contentsOf: bytes)
        try handle.close()
    }

    /// Writes at a place, which may be far behind the end.
    private func write(_ text: String, to name: String, at offset: UInt64) throws {
        let handle = try #require(FileHandle(forWritingAtPath: "\(path)/\(name)"))
        try handle.seek(toOffset: offset)
        try handle.write(contentsOf: Data(text.utf8))
        try handle.close()
    }

    private func extend(_ name: String, to size: UInt64) throws {
        let handle = try #require(FileHandle(forWritingAtPath: "\(path)/\(name)"))
        try handle.truncate(atOffset: size)
        try handle.close()
    }

    private func numbers(_ batch: TelemetryBatch) -> [Int] {
        batch.events.compactMap { if case .span(let span) = $0 { Int(span.span) } else { nil } }
    }

    /// Reads what is left, and says how many steps that took.
    private func readAll(_ reader: inout TelemetryReader, limit: Int = 2 << 20) throws -> ([Int], Rejections, Int) {
        var (found, rejections, steps) = ([Int](), Rejections(), 0)
        while true {
            let batch = try reader.read(changed: steps == 0 ? nil : [], limit: limit)
            steps += 1
            found += numbers(batch)
            rejections.add(batch.rejections)
            if batch.isComplete { return (found, rejections, steps) }
            try #require(steps < 10_000, "it comes to an end")
        }
    }

    @Test("Holes are passed over, wherever they are")
    func holes() throws {
        var reader = TelemetryReader(directory: path)
        try write("", to: "a.jsonl")
        try extend("a.jsonl", to: 4 << 40)
        try write(numbered(1), to: "z.jsonl")
        var (found, rejections, steps) = try readAll(&reader)
        #expect(found == [1] && steps == 1)
        #expect(rejections.isEmpty)
        #expect(try reader.read().bytes == 0, "nothing is read twice")
        // As behind a log that was cut while a writer had it open.
        try write(numbered(2), to: "a.jsonl", at: 1 << 40)
        (found, rejections, steps) = try readAll(&reader)
        #expect(found == [2] && rejections.isEmpty && steps == 1)
        // A line that was never finished ends with the hole behind it.
        try write(String(numbered(3).prefix(60)), to: "a.jsonl", at: 2 << 40)
        try write(numbered(4), to: "a.jsonl", at: (2 << 40) + 65_536)
        (found, rejections, steps) = try readAll(&reader)
        #expect(found == [4] && steps < 10)
        #expect(rejections[.malformedLine] == 1)
        var second = TelemetryReader(
            directory: path,
            cursor: try #require(TelemetryCursor(json: reader.cursor.json))
        )
        #expect(try readAll(&second).0 == [])
    }

    @Test("Zeros in front of a line are not part of it")
    func zeros() throws {
        var reader = TelemetryReader(directory: path)
        try write(Data(count: 3 << 20), to: "a.jsonl")
        try write(numbered(1), to: "a.jsonl")
        let (found, rejections, _) = try readAll(&reader)
        #expect(found == [1] && rejections.isEmpty)
    }

    @Test("A line without end is dropped without being kept, and what comes behind it is read")
    func endlessLine() throws {
        var limits = TelemetryReader.Limits()
        limits.line = 100_000
        var reader = TelemetryReader(directory: path, limits: limits)
        try write(Data(repeating: UInt8(ascii: "x"), count: 40 << 20), to: "a.jsonl")
        try write(numbered(1), to: "z.jsonl")
        let first = try reader.read()
        #expect(numbers(first) == [1], "another file does not wait")
        var (found, rejections, _) = try readAll(&reader)
        #expect(found == [] && first.rejections[.longLine] + rejections[.longLine] == 1)
        try write("\n" + numbered(2), to: "a.jsonl")
        (found, rejections, _) = try readAll(&reader)
        #expect(found == [2] && rejections.isEmpty)
    }

    @Test(
        "Whatever others write, a line is read in the step that sees it",
        arguments: ["{}\n", "[[[[[[[[[\n", "\n", "{\"resourceSpans\":[]}\n", "backlog"]
    )
    func flood(_ kind: String) throws {
        var reader = TelemetryReader(directory: path)
        let text = kind == "backlog" ? numbered(7) : kind
        let bytes = Data(String(repeating: text, count: (24 << 20) / text.utf8.count).utf8)
        try write(bytes, to: "a.jsonl")
        try write(bytes, to: "m.jsonl")
        for file in ["a.jsonl", "m.jsonl"] {
            // As old, and as new, as a writer can make them.
            let date = Date(timeIntervalSince1970: file == "a.jsonl" ? 0 : 4_102_444_800)
            try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: "\(path)/\(file)")
        }
        _ = try reader.read()
        for number in 1...5 {
            try write(numbered(number * 1_000), to: "z\(number % 2).jsonl")
            let start = ContinuousClock.now
            let batch = try reader.read(changed: ["z\(number % 2).jsonl", "a.jsonl", "m.jsonl"])
            #expect(numbers(batch).contains(number * 1_000))
            #expect(!batch.isComplete && batch.backlog.files >= 2 && batch.backlog.bytes > 20 << 20)
            #expect(ContinuousClock.now - start < .seconds(5))
            #expect(batch.bytes < 8 << 20, "a step is bounded")
        }
    }

    @Test("Long lines save up for their turn, and short ones do not wait for them")
    func longLines() throws {
        var reader = TelemetryReader(directory: path)
        let long = String(repeating: "x", count: 3_000_000)
        for number in 1...8 {
            let span = SpanText.call(UInt64(number), in: 99_999).adding("p", SpanText.string(long))
            try write(line([span]) + "\n", to: "\(number).jsonl")
        }
        try write(numbered(9), to: "z.jsonl")
        var batch = try reader.read(limit: 1 << 20)
        #expect(numbers(batch) == [9])
        var found = numbers(batch)
        var most = 0
        while !batch.isComplete {
            batch = try reader.read(changed: [], limit: 1 << 20)
            found += numbers(batch)
            most = max(most, numbers(batch).count)
        }
        #expect(found.sorted() == Array(1...9))
        #expect(most <= 2, "in a step no more than fit")
    }

    @Test("A line has no more events than a collector would write")
    func eventsOfALine() throws {
        var reader = TelemetryReader(directory: path)
        let spans = (UInt64(1)...20_000).map {
            #"{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"\#(SpanText.id($0))"}"#
        }
        let text = #"{"resourceSpans":[{"scopeSpans":[{"spans":[\#(spans.joined(separator: ","))]}]}]}"#
        try write(text + "\n" + numbered(1), to: "a.jsonl")
        let (found, rejections, _) = try readAll(&reader)
        #expect(found == [1])
        #expect(rejections[.longLine] == 1)
    }

    @Test("Of more files than can be followed each is read once, those of a folder before a flood beside it is over")
    func manyFiles() throws {
        var limits = TelemetryReader.Limits()
        (limits.files, limits.names) = (10, 50)
        var reader = TelemetryReader(directory: path, limits: limits)
        for number in 1...300 { try write(numbered(number) + "{", to: "\(number).jsonl") }
        try write(numbered(1_000), to: "support/desk/a.jsonl")
        var batch = try reader.read(limit: 100_000)
        var all = numbers(batch)
        var steps = 1
        while !all.contains(1_000) {
            batch = try reader.read(changed: [], limit: 100_000)
            all += numbers(batch)
            steps += 1
            // Names are looked at in pieces, those of folders first.
            try #require(steps < 10)
        }
        let (found, rejections, _) = try readAll(&reader, limit: 100_000)
        #expect((all + found).sorted() == Array(1...300) + [1_000], "each once")
        #expect(rejections[.tooManyFiles] == 0)
        for _ in 0..<3 { #expect(try readAll(&reader, limit: 100_000).0 == [], "and not again") }
        // Nor after a restart.
        reader = TelemetryReader(
            directory: path,
            cursor: try #require(TelemetryCursor(json: reader.cursor.json)),
            limits: limits
        )
        #expect(try readAll(&reader, limit: 100_000).0 == [])
        #expect(reader.cursor.files.count <= 10)
        // A file in a folder of its own has a place, whatever the others hold.
        for number in 1...300 { try write("{\"x\":", to: "\(number).jsonl") }
        try write(numbered(1_001), to: "support/desk/b.jsonl")
        #expect(numbers(try reader.read(changed: ["support/desk/b.jsonl"], limit: 100_000)) == [1_001])
    }

    // MARK: Folders

    private func folders(_ batch: TelemetryBatch) -> [String: String?] {
        var found: [String: String?] = [:]
        for case .span(let span) in batch.events { found["\(span.span)"] = .some(span.folder?.description) }
        return found
    }

    @Test("What is in the folder of an agent is known to be; folders are found, and gone, at once")
    func agentFolders() throws {
        var reader = TelemetryReader(directory: path)
        try write(numbered(1), to: "a.jsonl")
        try write(numbered(2), to: "support/desk/a.jsonl")
        try write(numbered(3), to: "support/clerk/b.json.1")
        try write(numbered(4), to: "support/clerk/deeper/c.jsonl")
        try write(numbered(5), to: "support/d.jsonl")
        try write(numbered(6), to: "Support/desk/a.jsonl")
        var batch = try reader.read()
        #expect(folders(batch) == ["1": nil, "2": "support/desk", "3": "support/clerk"])
        #expect(batch.bound == [agent("support/desk"), agent("support/clerk")])
        #expect(
            Set(reader.foldersToWatch) == [
                path, "\(path)/support", "\(path)/support/desk", "\(path)/support/clerk",
            ]
        )
        try write(numbered(7), to: "support/desk/a.jsonl")
        #expect(folders(try reader.read(changed: ["support/desk/a.jsonl"])) == ["7": "support/desk"])
        // Rotated as in the top folder, also across a restart.
        try FileManager.default.moveItem(
            atPath: "\(path)/support/desk/a.jsonl",
            toPath: "\(path)/support/desk/a.jsonl.1"
        )
        try write(numbered(8), to: "support/desk/a.jsonl")
        reader = TelemetryReader(directory: path, cursor: try #require(TelemetryCursor(json: reader.cursor.json)))
        batch = try reader.read()
        #expect(folders(batch) == ["8": "support/desk"])
        try FileManager.default.removeItem(atPath: "\(path)/support/desk")
        #expect(try reader.read().bound == [agent("support/clerk")])
    }

    @Test("A link is not a folder, and a folder that others may make binds nobody")
    func strangeFolders() throws {
        var reader = TelemetryReader(directory: path)
        try write(numbered(1), to: "elsewhere/desk/a.jsonl")
        try FileManager.default.moveItem(atPath: "\(path)/elsewhere", toPath: "\(path).elsewhere")
        defer { try? FileManager.default.removeItem(atPath: "\(path).elsewhere") }
        try FileManager.default.createSymbolicLink(atPath: "\(path)/support", withDestinationPath: "\(path).elsewhere")
        try FileManager.default.createDirectory(atPath: "\(path)/sales", withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: "\(path)/sales/desk",
            withDestinationPath: "\(path).elsewhere/desk"
        )
        try write(numbered(2), to: "it/desk/a.jsonl")
        let status = unsafe chmod("\(path)/it", 0o777)
        #expect(status == 0)
        let batch = try reader.read()
        #expect(batch.events.isEmpty && batch.bound.isEmpty)
        #expect(reader.problems.count == 1 && reader.problems[0].hasPrefix("it/ binds nobody"), "\(reader.problems)")
        #expect(numbers(try reader.read(changed: ["support/desk/a.jsonl", "it/desk/a.jsonl", "../x.jsonl"])) == [])
        let status2 = unsafe chmod("\(path)/it", 0o755)
        #expect(status2 == 0)
        #expect(folders(try reader.read()) == ["2": "it/desk"])
        #expect(reader.problems.isEmpty)
    }

    @Test("A copy in another folder is not a copy: whoever repeats a file does not silence it")
    func copiesElsewhere() throws {
        var reader = TelemetryReader(directory: path)
        try write((1...60).map(numbered).joined(), to: "support/clerk/a.jsonl")
        #expect(numbers(try reader.read()).count == 60)
        try write((1...60).map(numbered).joined(), to: "support/desk/a.jsonl")
        #expect(folders(try reader.read()).values.allSatisfy { $0 == "support/desk" })
    }
}
