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
}
