import EnsignModel
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignTelemetry

/// 2026-09-21T14:13:20Z, the time at which the recorded files begin.
let start = Moment(nanoseconds: 1_790_000_000_000_000_000)

func after(seconds: Double) -> Moment { Moment(nanoseconds: start.nanoseconds + Int64(seconds * 1e9)) }

let stableDigest = digest("a")
let canaryDigest = digest("b")

/// `support/desk` with a canary, `support/clerk` stable, `support/stopped` halted.
let context = Attribution.Context(
    routes: [
        agent("support/desk"): Route(
            agent: agent("support/desk"),
            environment: "prod",
            phase: .canary,
            targets: [
                Route.Target(version: version("1.1.0"), digest: canaryDigest, weight: 5),
                Route.Target(version: version("1.0.0"), digest: stableDigest, weight: 95),
            ]
        ),
        agent("support/clerk"): Route(
            agent: agent("support/clerk"),
            environment: "prod",
            phase: .stable,
            targets: [Route.Target(version: version("2.0.0"), digest: stableDigest, weight: 100)]
        ),
        agent("support/stopped"): Route(
            agent: agent("support/stopped"),
            environment: "prod",
            phase: .halted,
            targets: []
        ),
    ],
    prices: Prices(models: [
        "anthropic/claude-sonnet-4-5": Prices.Price(input: 3, output: 15, cacheRead: 0.3, cacheWrite: nil)
    ])
)

/// Writes spans as exporters do.
struct SpanText {
    var trace = "0af7651916cd43dd8448eb211c80319c"
    var span: UInt64
    var parent: UInt64 = 0
    var operation: String?
    var name = "x"
    var start = 0.0
    var seconds = 1.0
    var isError = false
    var attributes: [(String, String)] = []
    var events = ""

    static func string(_ text: String) -> String { #"{"stringValue":"\#(text)"}"# }
    static func int(_ number: Int) -> String { #"{"intValue":"\#(number)"}"# }

    var text: String {
        var pairs = attributes
        if let operation { pairs.insert(("gen_ai.operation.name", Self.string(operation)), at: 0) }
        let list = pairs.map { #"{"key":"\#($0.0)","value":\#($0.1)}"# }.joined(separator: ",")
        let from = after(seconds: start).nanoseconds
        let to = after(seconds: start + seconds).nanoseconds
        return #"{"traceId":"\#(trace)","spanId":"\#(Self.id(span))","#
            + (parent == 0 ? "" : #""parentSpanId":"\#(Self.id(parent))","#)
            + #""name":"\#(name)","startTimeUnixNano":"\#(from)","endTimeUnixNano":"\#(to)","attributes":[\#(list)],"#
            + #""events":[\#(events)],"status":{\#(isError ? #""code":2"# : "")}}"#
    }

    static func id(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// A run of the stable version.
    static func run(
        _ span: UInt64,
        agent: String = "support/desk",
        bundle: Digest? = stableDigest,
        parent: UInt64 = 0
    ) -> SpanText {
        var result = SpanText(span: span, parent: parent, operation: "invoke_agent")
        result.attributes.append(("gen_ai.agent.name", string(agent)))
        if let bundle { result.attributes.append(("ensign.bundle", string(bundle.description))) }
        return result
    }

    static func call(_ span: UInt64, in parent: UInt64, tool: String = "crm__lookup") -> SpanText {
        var result = SpanText(span: span, parent: parent, operation: "execute_tool")
        result.attributes = [("gen_ai.tool.name", string(tool))]
        return result
    }

    static func chat(_ span: UInt64, in parent: UInt64, input: Int, output: Int) -> SpanText {
        var result = SpanText(span: span, parent: parent, operation: "chat")
        result.attributes = usage(input: input, output: output)
        return result
    }

    static func usage(input: Int, output: Int) -> [(String, String)] {
        [
            ("gen_ai.provider.name", string("anthropic")), ("gen_ai.request.model", string("claude-sonnet-4-5")),
            ("gen_ai.usage.input_tokens", int(input)), ("gen_ai.usage.output_tokens", int(output)),
        ]
    }

    func adding(_ name: String, _ value: String) -> SpanText {
        var result = self
        result.attributes.append((name, value))
        return result
    }

    func changed(_ change: (inout SpanText) -> Void) -> SpanText {
        var result = self
        change(&result)
        return result
    }
}

/// A line with these spans, without a newline.
func line(_ spans: [SpanText], environment: String? = "prod") -> String {
    let resource = environment.map {
        #"{"key":"deployment.environment.name","value":{"stringValue":"\#($0)"}}"#
    }
    return #"{"resourceSpans":[{"resource":{"attributes":[\#(resource ?? "")]},"scopeSpans":[{"scope":{"name":"s"},"#
        + #""spans":[\#(spans.map(\.text).joined(separator: ","))]}]}]}"#
}

func parsed(_ text: String) -> (events: [TelemetryEvent], rejections: Rejections) {
    parsed(bytes: Array(text.utf8))
}

func parsed(bytes: [UInt8]) -> (events: [TelemetryEvent], rejections: Rejections) {
    var events: [TelemetryEvent] = []
    var rejections = Rejections()
    unsafe bytes.withUnsafeBytes { unsafe OTLPLine.read($0, into: &events, rejections: &rejections) }
    return (events, rejections)
}

/// The spans among events.
func spans(_ text: String) -> [SpanEvent] {
    parsed(text).events.compactMap { if case .span(let span) = $0 { span } else { nil } }
}

/// The result of these lines when they are read one after the other, a second apart, and then all is awaited.
func attributed(
    _ lines: String...,
    limits: Attribution.Limits = Attribution.Limits(),
    environment: String = "prod"
) -> Attribution.Output {
    var attribution = Attribution(environment: environment, limits: limits)
    var result = Attribution.Output()
    func add(_ output: Attribution.Output) {
        result.samples += output.samples
        result.activities += output.activities
        result.rulings += output.rulings
        result.rejections.add(output.rejections)
    }
    for (index, line) in lines.enumerated() {
        var batch = TelemetryBatch()
        (batch.events, batch.rejections) = parsed(line)
        add(attribution.add(batch, at: after(seconds: 10 + Double(index)), context))
    }
    add(attribution.finish(context))
    return result
}

extension Attribution {
    /// Lets time pass, and nothing happen.
    mutating func advance(to now: Moment, _ context: Context) -> Output { add(TelemetryBatch(), at: now, context) }

    /// Lets all time pass: the samples of everything that is open.
    mutating func finish(_ context: Context) -> Output { advance(to: Moment(nanoseconds: .max), context) }
}

extension Attribution.Output {
    /// The values of a metric, in order.
    func values(_ metric: String) -> [Double] {
        samples.filter { $0.metric == MetricName(metric) }.map(\.value)
    }

    func counted(_ reason: Rejection) -> Int64 { rejections[reason] }
}

/// A recorded file's bytes.
func golden(_ name: String) throws -> [UInt8] {
    let path = (#filePath as NSString).deletingLastPathComponent + "/Golden/\(name)"
    return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
}
