import EnsignJSON
import EnsignModel
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignTelemetry

/// OpenTelemetry's own SDK, in the virtual environment that `make test` makes.
private let python = "\(packageRoot)/.build/otel/bin/python"

@Suite("Files that OpenTelemetry's SDK writes")
struct ExporterTests {
    @Test(
        "Real spans, log records and metrics come out as samples",
        .enabled(if: FileManager.default.isExecutableFile(atPath: python))
    )
    func real() throws {
        let scratch = try ScratchDirectory()
        let script = (#filePath as NSString).deletingLastPathComponent + "/Exporter/export.py"
        var reader = TelemetryReader(directory: scratch.path)
        var attribution = Attribution(environment: "prod")
        var samples: [Sample] = []
        // Twice: the second process appends to the files of the first.
        for _ in 0..<2 {
            let result = try run(
                python,
                [script, scratch.path, "--runs", "6", "--bundle", canaryDigest.description],
                in: scratch.path
            )
            #expect(result.status == 0, "\(result.errors)")
            let now = Moment(nanoseconds: Int64(Date().timeIntervalSince1970 * 1e9))
            let batch = try reader.read()
            #expect(batch.rejections.isEmpty)
            samples += attribution.add(batch, at: now, context).samples
            reader = TelemetryReader(
                directory: scratch.path,
                cursor: try #require(TelemetryCursor(json: reader.cursor.json))
            )
        }
        samples += attribution.finish(context).samples
        func values(_ metric: String) -> [Double] { samples.filter { $0.metric == MetricName(metric) }.map(\.value) }
        #expect(values("success").sorted() == [0, 0, 0, 0] + Array(repeating: 1, count: 8))
        #expect(values("steps") == Array(repeating: 1, count: 12))
        #expect(values("tokens") == Array(repeating: 1_100, count: 12))
        #expect(values("cost").allSatisfy { abs($0 - 0.00342) < 1e-12 })
        #expect(values("cost").count == 12)
        #expect(values("denied-calls").reduce(0, +) == 4)
        #expect(values("evaluation:tone") == Array(repeating: 0.75, count: 12))
        #expect(values("evaluation:grounded").reduce(0, +) == 6)
        #expect(values("latency").allSatisfy { (0...10).contains($0) })
        #expect(samples.allSatisfy { $0.bundle == canaryDigest })
        #expect(attribution.rejections.isEmpty)
    }

    @Test(
        "Numbers are what the official parser reads, in every spelling that it knows",
        .enabled(if: FileManager.default.isExecutableFile(atPath: python))
    )
    func official() throws {
        let codes = ["0", "1", "2", "2.0", "2e0", "0.2e1", #""2""#, #""STATUS_CODE_ERROR""#, #""STATUS_CODE_OK""#]
        let times = [
            "1790000000000000000", "1790000000000000000.0", "1.79e18", "1.795862699344763e+18", "0", "1E3", "12.0",
            #""1790000000000000000""#, #""0001790000000000000000""#, #""9223372036854775807""#, #""0x64""#, #""1 2""#,
            #""\u0031790000000000000000""#, #""""#, "true", "null", "1.5", "-1",
        ]
        let plain = line([SpanText.run(1)])
        let texts =
            codes.map { code in
                var span = SpanText.run(1)
                span.isError = true
                return line([span]).replacingOccurrences(of: #""code":2"#, with: #""code":\#(code)"#)
            } + times.map { plain.replacingOccurrences(of: #""1790000000000000000""#, with: $0) }
        // Hexadecimal ids are OTLP's own; protobuf's parser wants base64.
        let lines = texts.map {
            $0.replacingOccurrences(of: #""0af7651916cd43dd8448eb211c80319c""#, with: #""CvdlGRbNQ92ESOshHIAxnA==""#)
                .replacingOccurrences(of: #""0000000000000001""#, with: #""AAAAAAAAAAE=""#)
        }
        let scratch = try ScratchDirectory()
        let file = scratch.path + "/lines"
        try lines.joined(separator: "\n").write(toFile: file, atomically: true, encoding: .utf8)
        let script = (#filePath as NSString).deletingLastPathComponent + "/Exporter/official.py"
        let result = try run(python, [script, file], in: scratch.path)
        #expect(result.status == 0, "\(result.errors)")
        let answers = result.output.split(separator: "\n")
        try #require(answers.count == lines.count)
        var compared = 0
        for (text, answer) in zip(lines, answers) {
            guard let numbers = try JSONParser.parse(Array(answer.utf8)).array, numbers.count == 3 else { continue }
            let span = try #require(spans(text).first, "\(text)")
            compared += 1
            #expect(span.hasErrorStatus == (numbers[0].int == 2), "\(text)")
            // It reads what is written as a double into one, which has no room for the last nanoseconds.
            let isDouble = text.contains("1.795862699344763e+18")
            for (time, official) in [(span.start, numbers[1].int), (span.end, numbers[2].int)] {
                let read = isDouble ? Int64(Double(time.nanoseconds)) : time.nanoseconds
                #expect(read == official, "\(text)")
            }
        }
        #expect(compared > codes.count + 9, "\(compared)")
    }
}
