import EnsignModel
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignTelemetry

/// Whatever runtimes, Prometheus or a checkpoint say: it is rejected, or what is done with it next comes to an end.
@Suite("Hostile values in telemetry")
struct HostileTelemetryTests {
    private static let spans: [SpanText] = [
        SpanText.run(1).changed { $0.attributes += SpanText.usage(input: 100, output: 20) },
        SpanText.call(2, in: 1).adding("gen_ai.tool.call.arguments", SpanText.string(#"{\"a\":1}"#)),
        SpanText.chat(3, in: 1, input: 100, output: 20),
        SpanText.call(4, in: 9).adding("gen_ai.agent.name", SpanText.string("support/clerk")),
    ]

    /// A line with an evaluation as a log record.
    private static let evaluation =
        #"{"resourceLogs":[{"resource":{"attributes":[]},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1790000001000000000","#
        + #""eventName":"gen_ai.evaluation.result","traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"0000000000000001","#
        + #""attributes":[{"key":"gen_ai.evaluation.name","value":{"stringValue":"tone"}},"#
        + #"{"key":"gen_ai.evaluation.score.value","value":{"doubleValue":0.5}}]}]}]}]}"#

    /// Adds events at odd times and takes everything that follows.
    private func take(_ attribution: inout Attribution, _ lines: [[UInt8]]) {
        for now in [start, after(seconds: 10), Moment(nanoseconds: .max)] {
            var batch = TelemetryBatch()
            for line in lines {
                let (events, rejections) = parsed(bytes: line)
                batch.events += events
                batch.rejections.add(rejections)
            }
            _ = attribution.add(batch, at: now, context)
            _ = attribution.advance(to: now, context)
            _ = Attribution(json: attribution.json)
        }
        _ = attribution.finish(context)
    }

    @Test("A line with hostile values is read, rejected or counted", arguments: [0, 1])
    func lines(which: Int) throws {
        let text = which == 0 ? line(Self.spans) : Self.evaluation
        let json = try #require(try? JSONSerialization.jsonObject(with: Data(text.utf8)))
        let other = Array(line(Self.spans).utf8)
        Hostile.variants(of: JSONValue(foundation: json), for: "lines", pairs: 200) { json in
            var attribution = Attribution(environment: "prod")
            take(&attribution, [json.canonicalBytes(), other])
        }
    }

    @Test("Numbers that JSON can write and nothing can hold are rejected or counted")
    func numbers() {
        for number in ["1e400", "-1e400", "1e-400", "-0", "9223372036854775808", "18446744073709551616", "0.1", "1e18"]
        {
            for quoted in [number, "\"\(number)\""] {
                for old in ["\"intValue\":\"100\"", "\"endTimeUnixNano\":\"1790000001000000000\""] {
                    let key = old.prefix(while: { $0 != ":" })
                    let text = line(Self.spans).replacing(old, with: "\(key):\(quoted)")
                    var attribution = Attribution(environment: "prod")
                    take(&attribution, [Array(text.utf8)])
                }
            }
        }
    }

    @Test("An attribution is refused, or goes on")
    func attributions() throws {
        var full = Attribution(environment: "prod")
        var batch = TelemetryBatch()
        for text in [line(Self.spans), Self.evaluation] {
            let (events, rejections) = parsed(text)
            batch.events += events
            batch.rejections.add(rejections)
        }
        batch.rejections.add(.badID)
        _ = full.add(batch, at: after(seconds: 3), context)
        let json = full.json
        #expect(Attribution(json: json)?.json == json)
        var read = 0
        Hostile.variants(of: json, for: "attributions", pairs: 200) { json in
            guard var attribution = Attribution(json: json) else { return }
            read += 1
            take(&attribution, [Array(line(Self.spans).utf8), Array(Self.evaluation.utf8)])
        }
        #expect(read > 50)
    }

    @Test("A cursor is refused, or reading goes on; files of any size and any time are read")
    func cursors() throws {
        let scratch = try ScratchDirectory()
        try scratch.write("a.jsonl", line(Self.spans) + "\n")
        try scratch.write("b.jsonl", line(Self.spans))
        var reader = TelemetryReader(directory: scratch.path, cursor: TelemetryCursor())
        _ = try reader.read()
        _ = try reader.read()
        let cursor = reader.cursor
        #expect(TelemetryCursor(json: cursor.json) == cursor)
        try scratch.write("b.jsonl", line(Self.spans) + "\n" + line(Self.spans) + "\n")
        // Anybody can stamp a file, and a hole costs nothing.
        try scratch.write("c.jsonl", "")
        let stamp = try run("touch", ["-d", "2400-01-01T00:00:00Z", "c.jsonl"], in: scratch.path)
        #expect(stamp.status == 0)
        try scratch.write("d.jsonl", "")
        _ = try run("truncate", ["-s", "9223372036854775807", "d.jsonl"], in: scratch.path)
        var read = 0
        try Hostile.variants(of: cursor.json, for: "cursors", pairs: 100) { json in
            guard let cursor = TelemetryCursor(json: json) else { return }
            read += 1
            var reader = TelemetryReader(directory: scratch.path, cursor: cursor)
            for _ in 0..<2 {
                _ = try reader.read(limit: 65_536)
                _ = reader.cursor.json.canonicalBytes()
            }
        }
        #expect(read > 20)
    }

    @Test("Files of the largest size that there is keep nobody from being read", .timeLimit(.minutes(1)))
    func largestFiles() throws {
        // Where a file may have 2^63 - 1 bytes, all of them a hole.
        let folder = "/dev/shm/ensign-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for name in ["a", "b", "c"] {
            let made = try run("truncate", ["-s", "\(Int64.max)", "\(name).jsonl"], in: folder)
            guard made.status == 0 else { return }
        }
        try (line(Self.spans) + "\n").write(toFile: "\(folder)/d.jsonl", atomically: true, encoding: .utf8)
        var reader = TelemetryReader(directory: folder, cursor: TelemetryCursor())
        var events = 0
        for _ in 0..<20 where events == 0 { events += try reader.read().events.count }
        #expect(events == Self.spans.count)
    }

    @Test("A label of any size is none of ours, and takes no time to tell from one")
    func label() {
        let value = Hostile.letter + String(repeating: "\u{323}\u{301}", count: 100_000)
        let answer: JSONValue = [
            "status": "success",
            "data": [
                "resultType": "matrix",
                "result": [["metric": ["version": .string(value)], "values": [[1_790_000_000.5, "0.25"]]]],
            ],
        ]
        let body = answer.canonicalBytes()
        let client = PrometheusClient(
            base: "http://prometheus",
            fetch: { _, _, _ in .success(HTTPResponse(status: 200, body: body)) },
            sleep: { _ in }
        )
        let outcome = client.series("x", from: start, to: after(seconds: 10), step: .seconds(10))
        guard case .value(let series) = outcome else {
            Issue.record("no series")
            return
        }
        #expect(series.map(\.labels) == [[:]])
    }

    @Test("An answer of Prometheus is refused, or its points have times and values")
    func prometheus() {
        let vector: JSONValue = [
            "status": "success",
            "data": [
                "resultType": "vector",
                "result": [["metric": ["version": "1.5.0"], "value": [1_790_000_000.5, "0.25"]]],
            ],
        ]
        let matrix: JSONValue = [
            "status": "success",
            "data": [
                "resultType": "matrix",
                "result": [
                    ["metric": ["version": "1.5.0"], "values": [[1_790_000_000.5, "0.25"], [1_790_000_010.5, "1"]]]
                ],
            ],
        ]
        for (answer, isRange) in [(vector, false), (matrix, true)] {
            Hostile.variants(of: answer, for: "prometheus") { json in
                let body = json.canonicalBytes()
                let client = PrometheusClient(
                    base: "http://prometheus",
                    fetch: { _, _, _ in .success(HTTPResponse(status: 200, body: body)) },
                    sleep: { _ in }
                )
                if isRange {
                    let outcome = client.series("x", from: start, to: after(seconds: 10), step: .seconds(10))
                    if case .error(let error) = outcome { #expect(error.message.utf8.count < 1_000) }
                } else if case .error(let error) = client.query("x", at: Moment(nanoseconds: .min)) {
                    #expect(error.message.utf8.count < 1_000)
                }
            }
        }
    }
}

extension JSONValue {
    /// A value that Foundation has parsed: whole numbers as integers.
    fileprivate init(foundation value: Any) {
        switch value {
        case let text as String: self = .string(text)
        case let list as [Any]: self = .array(list.map { JSONValue(foundation: $0) })
        case let object as [String: Any]:
            self = .object(JSONObject(object.map { ($0.key, JSONValue(foundation: $0.value)) }))
        case let number as NSNumber: self = JSONValue(number.doubleValue)
        default: self = .null
        }
    }
}
