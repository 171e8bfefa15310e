import EnsignModel
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignTelemetry

@Suite("OTLP/JSON lines")
struct OTLPLineTests {
    @Test("Files of OpenTelemetry's own exporter are read")
    func recorded() throws {
        var all: [TelemetryEvent] = []
        for name in ["traces.jsonl", "logs.jsonl", "metrics.jsonl"] {
            for text in String(decoding: try golden(name), as: UTF8.self).split(separator: "\n") {
                let (events, rejections) = parsed(String(text))
                #expect(rejections.isEmpty)
                all += events
            }
        }
        let runs = all.compactMap { event -> SpanEvent? in
            if case .span(let span) = event, span.operation == .run { span } else { nil }
        }
        #expect(runs.map(\.claim.agent) == ["support/desk", "support/desk", "support/desk"])
        #expect(runs.map(\.hasErrorStatus) == [false, false, true])
        #expect(runs[0].evaluations.map(\.name) == ["tone"])
        #expect(all.count == 15)
    }

    static let variants: [(name: String, old: String, new: String)] = [
        ("ids in base64", #""0af7651916cd43dd8448eb211c80319c""#, #""CvdlGRbNQ92ESOshHIAxnA==""#),
        ("ids in base64 without padding", #""0af7651916cd43dd8448eb211c80319c""#, #""CvdlGRbNQ92ESOshHIAxnA""#),
        ("ids in base64 with an escaped slash", #""0000000000000007""#, #""AAAAAAAAAAc=""#),
        ("ids in capitals", #""0af7651916cd43dd8448eb211c80319c""#, #""0AF7651916CD43DD8448EB211C80319C""#),
        ("numbers for int64", #"{"intValue":"12"}"#, #"{"intValue":12}"#),
        ("whole doubles for int64", #"{"intValue":"12"}"#, #"{"doubleValue":12.0}"#),
        ("times as numbers", #""1790000000000000000""#, "1790000000000000000"),
        ("a status by name", #""code":2"#, #""code":"STATUS_CODE_ERROR""#),
        ("a status as text", #""code":2"#, #""code":"2""#),
        ("a status as a double", #""code":2"#, #""code":2.0"#),
        ("a status with an exponent", #""code":2"#, #""code":2e0"#),
        ("times as doubles", #""1790000000000000000""#, "1.79e+18"),
        ("times as long doubles", #""1790000000000000000""#, "1790000000000000000.0"),
        ("times with a negative exponent", #""1790000000000000000""#, "17900000000000000000e-1"),
        ("times as text with a negative exponent", #""1790000000000000000""#, #""1790000000000000000.000E+0""#),
        ("a status with a negative exponent", #""code":2"#, #""code":20e-1"#),
        ("a byte order mark", #"{"resourceSpans""#, "\u{FEFF}{\"resourceSpans\""),
        ("times with leading zeros", #""1790000000000000000""#, #""0001790000000000000000""#),
        ("times with escapes", #""1790000000000000000""#, #""179\u0030000000000000000""#),
        ("ids with escapes", #""0af7651916cd43dd8448eb211c80319c""#, #""\u0030af7651916cd43dd8448eb211c80319c""#),
        ("keys with escapes", #""traceId""#, #""\u0074raceId""#),
        ("white space", #","spanId""#, " ,\t\"spanId\""),
        ("unknown members", #""name":"x""#, #""name":"x","droppedAttributesCount":3,"links":[{"a":[{}]}],"f":null"#),
        (
            "a value before its key", #"{"key":"gen_ai.tool.name","value":{"stringValue":"t"}}"#,
            #"{"value":{"stringValue":"t"},"key":"gen_ai.tool.name"}"#
        ),
        ("text with escapes", #"{"stringValue":"t"}"#, #"{"stringValue":"\u0074"}"#),
    ]

    @Test("Every spelling that exporters use says the same", arguments: variants)
    func spelling(_ variant: (name: String, old: String, new: String)) {
        var span = SpanText.call(7, in: 8, tool: "t")
        span.isError = true
        span.attributes.append(("gen_ai.usage.input_tokens", SpanText.int(12)))
        let plain = line([span])
        let other = plain.replacingOccurrences(of: variant.old, with: variant.new)
        #expect(other != plain, "the variant applies")
        #expect(spans(other) == spans(plain))
        #expect(spans(plain).first?.operation == .call(ToolCall(tool: "t", arguments: nil, isDenied: false)))
        #expect(spans(plain).first?.hasErrorStatus == true)
    }

    @Test(
        "A time is a whole number, to the last nanosecond",
        arguments: [
            ("1790000000000000001", 1_790_000_000_000_000_001), ("1790000000000000001.0", 1_790_000_000_000_000_001),
            ("17900000000000000010e-1", 1_790_000_000_000_000_001),
            ("1.790000000000000001e18", 1_790_000_000_000_000_001),
            ("1790000000000000001.5", nil), ("179e-1", nil), ("1e19", nil), ("1e999999999999", nil), ("0e-5", 0),
            ("1e-1", nil),
        ] as [(String, Int64?)]
    )
    func wholeTimes(_ text: String, _ time: Int64?) {
        let plain = line([SpanText.run(1)])
        for written in [text, "\"\(text)\""] {
            let end = plain.replacing(#/"endTimeUnixNano":"[0-9]+"/#, with: #""endTimeUnixNano":\#(written)"#)
            #expect(end != plain)
            #expect(spans(end).map(\.end) == [Moment(nanoseconds: time ?? 0)], "\(written)")
        }
    }

    @Test("A line with a byte order mark is read once, and nothing is said of it")
    func byteOrderMark() {
        let (events, rejections) = parsed("\u{FEFF}" + line([SpanText.run(1)]))
        #expect(events.count == 1 && rejections.isEmpty)
        let (none, malformed) = parsed("\u{FEFF}{")
        #expect(none.isEmpty && malformed[.malformedLine] == 1)
    }

    @Test("A resource may be behind its spans")
    func resourceLast() {
        let text =
            #"{"resourceSpans":[{"scopeSpans":[{"spans":[\#(SpanText.run(1).text)]}],"#
            + #""resource":{"attributes":[{"key":"deployment.environment.name","value":{"stringValue":"dev"}}]}}]}"#
        #expect(spans(text).map(\.environments) == [["dev"]])
    }

    @Test("Equal arguments have equal digests, however they are written")
    func arguments() {
        let same = [
            SpanText.string(#"{\"b\":2,\"a\":[1,\"x\"]}"#), SpanText.string(#"{ \"a\": [1.0, \"x\"], \"b\": 2 }"#),
            #"{"kvlistValue":{"values":[{"key":"a","value":{"arrayValue":{"values":[{"intValue":"1"},{"stringValue":"x"}]}}},{"key":"b","value":{"doubleValue":2}}]}}"#,
        ]
        let digests = same.map { value in
            spans(line([SpanText.call(1, in: 2).adding("gen_ai.tool.call.arguments", value)])).first.flatMap {
                if case .call(let call) = $0.operation { call.arguments } else { nil }
            }
        }
        #expect(Set(digests).count == 1)
        #expect(digests[0] != nil)
        let other = spans(
            line([SpanText.call(1, in: 2).adding("gen_ai.tool.call.arguments", SpanText.string(#"{\"b\":3}"#))])
        )
        #expect(other[0].operation != spans(line([SpanText.call(1, in: 2)]))[0].operation)
    }

    @Test("Arguments of any size have a digest, and cost no more than their length")
    func largeArguments() {
        let pairs = (0..<60_000).map { #"{"key":"\#(100_000 - $0)","value":{"intValue":"1"}}"# }.joined(separator: ",")
        let value = #"{"kvlistValue":{"values":[\#(pairs)]}}"#
        let start = ContinuousClock.now
        guard
            case .call(let call) = spans(line([SpanText.call(1, in: 2).adding("gen_ai.tool.call.arguments", value)]))
                .first?.operation
        else {
            Issue.record("a call")
            return
        }
        #expect(call.arguments != nil)
        #expect(ContinuousClock.now - start < .seconds(10))
    }

    static let garbage: [String] = [
        "{", "}", "null", "[]", "{}", "hello", "{\"resourceSpans\":{}}", #"{"resourceSpans":[}"#,
        #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0af7"#, #"{"resourceSpans":[]} trailing"#,
        #"{"resourceSpans":[]}{"resourceSpans":[]}"#, "\u{FEFF}\u{FEFF}{\"resourceSpans\":[]}", "{\"a\":\"\\",
        String(repeating: "[", count: 200_000), "{\"resourceSpans\":[" + String(repeating: "{\"a\":[", count: 100),
        "\0\0\0", #"{"resourceSpans":[{"scopeSpans":[{"spans":[7]}]}]}"#,
    ]

    @Test("What is not telemetry is one rejection", arguments: garbage)
    func malformed(_ text: String) {
        let (events, rejections) = parsed(text)
        #expect(events.isEmpty)
        #expect(rejections[.malformedLine] == 1)
    }

    @Test("An empty line is nothing")
    func empty() {
        #expect(parsed(" \r").rejections.isEmpty)
    }

    @Test("A whole line behind a cut-off one is read")
    func glued() {
        let whole = line([SpanText.run(1), SpanText.call(2, in: 1)])
        for cut in [10, 80, 200, whole.utf8.count - 1] {
            let (events, rejections) = parsed(String(whole.prefix(cut)) + whole)
            #expect(events.count == 2)
            #expect(rejections[.malformedLine] == 1)
        }
        // Text inside a string never looks like a beginning.
        let prompt = SpanText.run(1).adding("p", SpanText.string(#"{\"resourceSpans\":[]}"#))
        #expect(parsed(line([prompt])).events.count == 1)
    }

    @Test("No prefix of a line is taken for a whole one")
    func prefixes() {
        let bytes = Array(line([SpanText.run(1), SpanText.call(2, in: 1)]).utf8)
        for count in 1..<bytes.count { #expect(parsed(bytes: Array(bytes.prefix(count))).events.isEmpty) }
    }

    static let badSpans: [(old: String, new: String, reason: Rejection)] = [
        ("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000", .badID),
        ("0af7651916cd43dd8448eb211c80319c", "0af7", .badID),
        ("0af7651916cd43dd8448eb211c80319c", "xyz7651916cd43dd8448eb211c80319c", .badID),
        (#""spanId":"0000000000000001","#, "", .badID),
    ]

    @Test("Spans without ids are rejected", arguments: badSpans)
    func badIDs(_ bad: (old: String, new: String, reason: Rejection)) {
        let text = line([SpanText.run(1)]).replacingOccurrences(of: bad.old, with: bad.new)
        #expect(parsed(text).events.isEmpty)
        #expect(parsed(text).rejections[bad.reason] == 1)
    }

    @Test(
        "A status code that is none is counted, and the span is not failed; whatever OTLP has is none of these",
        arguments: [
            (#""ERROR""#, 1), ("2.5", 1), ("true", 1), ("3", 1), ("-1", 1), (#""Error""#, 1), ("[2]", 1), (#""""#, 1),
            ("{}", 1),
            ("0", 0), ("1", 0), ("1.0", 0), (#""1""#, 0), (#""STATUS_CODE_OK""#, 0), (#""STATUS_CODE_UNSET""#, 0),
            ("null", 0),
        ]
    )
    func statusCodes(_ code: String, _ rejected: Int64) {
        let text = line([SpanText.run(1)])
        let written = text.replacing(/"status":\{[^}]*\}/, with: #""status":{"code":\#(code)}"#)
        #expect(written != text && spans(written).map(\.hasFailed) == [false], "\(written)")
        #expect(parsed(written).rejections[.badStatus] == rejected)
    }

    static let badTokens = [
        SpanText.int(-1), #"{"doubleValue":"NaN"}"#, #"{"doubleValue":"Infinity"}"#, #"{"doubleValue":1.5}"#,
        #"{"intValue":"99999999999999999999"}"#, #"{"intValue":"1000000000001"}"#, SpanText.string("12"),
        #"{"intValue":"0x64"}"#, #"{"doubleValue":"0x64"}"#, #"{"doubleValue":"inf"}"#, #"{"intValue":"+7"}"#,
        #"{"boolValue":true}"#, #"{"arrayValue":{"values":[{"intValue":"1"}]}}"#, "{}",
    ]

    @Test("Tokens that cannot be are not usage", arguments: badTokens)
    func tokens(_ value: String) {
        let span = SpanText.run(1).adding("gen_ai.usage.input_tokens", value)
        #expect(spans(line([span])).map(\.hasBadUsage) == [true])
        #expect(spans(line([span])).map(\.usage) == [nil])
    }

    @Test("Cached tokens are part of the input, also where the instrumentation left them out")
    func cached() {
        #expect(TokenUsage(input: 1_000, output: 1, cacheRead: 400, cacheWrite: 100).input == 1_000)
        #expect(TokenUsage(input: 10, output: 1, cacheRead: 400, cacheWrite: 100).input == 510)
    }

    @Test("Whatever a line has become, it is read or rejected as a whole, and the line behind it is read")
    func fuzz() {
        var random = SeededGenerator(for: "OTLP lines", standard: 7)
        let hostile = [
            "{\"resource", "\\u", "\"", "[[[[", "}}", "\u{0}", "9999999999999999999999", "NaN", "\\ud800", "💥",
        ]
        let text = Array(
            line([SpanText.run(1), SpanText.chat(3, in: 1, input: 5, output: 6), SpanText.call(2, in: 1)]).utf8
        )
        let whole = parsed(bytes: text)
        #expect(whole.events.count == 3 && whole.rejections.isEmpty)
        var outcomes: [Bool: Int] = [:]
        for _ in 0..<1_500 {
            let bytes = text.mutated(&random, hostile: hostile)
            let (events, rejections) = parsed(bytes: bytes)
            // No mutation is as long as a span: none can make another one.
            #expect(events.count <= 3)
            if rejections[.malformedLine] > 0 { #expect(events.isEmpty || rejections[.malformedLine] == 1) }
            outcomes[events.isEmpty, default: 0] += 1
            // A writer that was stopped there, and started again.
            let both = parsed(bytes: bytes + text)
            #expect(both.events == whole.events, "\(String(decoding: bytes, as: UTF8.self))")
            #expect(both.rejections[.malformedLine] == (bytes.allSatisfy { $0 == 0x20 } ? 0 : 1))
        }
        #expect(outcomes.values.allSatisfy { $0 > 100 } && outcomes.count == 2, "\(outcomes)")
    }

    @Test("One resource with nothing around it is read, with its members in any order")
    func bareResource() {
        let resource = #""resource":{"attributes":[{"key":"ensign.agent","value":{"stringValue":"support/desk"}}]}"#
        let scopes = #""scopeSpans":[{"scope":{"name":"s"},"spans":[\#(SpanText.run(1).text)]}]"#
        let wrapped = parsed("{\"resourceSpans\":[{\(resource),\(scopes)}]}")
        #expect(wrapped.events.count == 1)
        for text in ["{\(resource),\(scopes)}", "{\(scopes),\(resource)}", "{\"a\":[1],\(scopes),\(resource)}"] {
            let bare = parsed(text)
            #expect(bare.events == wrapped.events && bare.rejections.isEmpty, "\(text)")
        }
        #expect(parsed(#"{"resource":{},"scopeMetrics":[]}"#).rejections.isEmpty)
        #expect(parsed(#"{"resource":{}}"#).rejections[.malformedLine] == 1)
    }
}
