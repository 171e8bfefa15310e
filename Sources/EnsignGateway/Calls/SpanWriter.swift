package import EnsignModel
import EnsignSystem
import Glibc
import Synchronization

/// One call as a span.
package struct CallSpan: Sendable {
    package var trace: TraceContext
    package var agent: AgentID
    package var version: AgentVersion?
    package var bundle: Digest?
    package var run: String
    /// `TOOL.OPERATION`, or what was asked for where there is none.
    package var operation: String
    /// A text that is equal for equal arguments, and tells nothing of them.
    package var arguments: String?
    /// Nanoseconds since 1970.
    package var start: Int64
    package var end: Int64
    package var reason: Refusal.Reason?
    /// Whether it was made all the same, because the agent is only observed.
    package var isObserved = false
    /// Whether it shares what came of the same call, which was under way.
    package var isJoined = false
    /// `error.type`: `permission_denied` for refusals by the grant, `tool_error`, `timeout`.
    package var error: String?
}

/// Writes a span for each call: OTLP's JSON, a line each, into a file a day and process.
///
/// Spans are evidence, not the record: where one cannot be written the operator is told, and the call goes on.
package final class SpanWriter: Sendable {
    private struct State {
        var day: Day?
        var file: FileDescriptorBox?
        /// Whether a part of a line may be the last that was written.
        var isTorn = false
        var losses = SpanLosses()
    }

    private final class FileDescriptorBox: Sendable {
        let file: FileDescriptor
        init(_ file: consuming FileDescriptor) { self.file = file }
    }

    private let folder: String
    private let environment: @Sendable () -> String
    private let instant: @Sendable () -> ContinuousClock.Instant
    private let say: @Sendable (String) -> Void
    private let state = Mutex(State())

    /// - Parameters:
    ///   - environment: Asked for each span: a gateway may start before its live directory is there.
    ///   - say: Says something to the operator.
    package init(
        folder: String,
        environment: @escaping @autoclosure @Sendable () -> String,
        instant: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        say: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.folder = folder
        self.environment = environment
        (self.instant, self.say) = (instant, say)
    }

    private var resource: JSONValue {
        [
            "attributes": .array([
                Self.text("service.name", "ensign-gateway"), Self.text("deployment.environment.name", environment()),
            ])
        ]
    }

    package func write(_ span: CallSpan) {
        var line = JSONValue.object([
            "resourceSpans": [
                [
                    "resource": resource,
                    "scopeSpans": [["scope": ["name": "ensign-gateway"], "spans": [Self.json(span)]]],
                ]
            ]
        ]).canonicalBytes()
        line.append(0x0A)
        let day = Day(Timestamp(seconds: span.end / 1_000_000_000))
        let news = state.withLock { state in
            do throws(SystemError) { try append(line, of: day, &state) } catch {
                state.losses.add("\(error)")
                state.file = nil
            }
            return state.losses.news(instant())
        }
        if let news { say(news) }
    }

    private func append(_ line: [UInt8], of day: Day, _ state: inout State) throws(SystemError) {
        let file = try file(of: day, &state)
        let line = state.isTorn ? [0x0A] + line : line
        state.isTorn = true
        try file.file.write(line, to: folder)
        state.isTorn = false
    }

    /// The file that is open, as long as it is the day's and still has a name; else the one at the day's name.
    private func file(of day: Day, _ state: inout State) throws(SystemError) -> FileDescriptorBox {
        if let file = state.file, state.day == day, try file.file.status(folder).links > 0 { return file }
        try Files.makeDirectories(folder, mode: 0o755)
        let path = "\(folder)/gateway-\(day)-\(getpid()).jsonl"
        let file = FileDescriptorBox(
            try FileDescriptor(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, mode: 0o640)
        )
        (state.file, state.day) = (file, day)
        return file
    }

    /// Says what is not said yet of spans that could not be written.
    ///
    /// - Parameter all: Also where something was said within the last minute.
    func settle(all: Bool) {
        if let news = state.withLock({ $0.losses.news(instant(), all: all) }) { say(news) }
    }

    private static func json(_ span: CallSpan) -> JSONValue {
        var attributes = [
            text("gen_ai.operation.name", "execute_tool"), text("gen_ai.tool.name", span.operation),
            text("gen_ai.agent.name", span.agent.description), text("ensign.run", span.run),
            ["key": "ensign.gateway", "value": ["boolValue": true]], text("mcp.method.name", "tools/call"),
        ]
        if let version = span.version { attributes.append(text("gen_ai.agent.version", version.description)) }
        if let bundle = span.bundle { attributes.append(text("ensign.bundle", bundle.description)) }
        if let arguments = span.arguments { attributes.append(text("ensign.arguments", arguments)) }
        if let reason = span.reason { attributes.append(text("ensign.reason", reason.rawValue)) }
        if span.isObserved {
            attributes.append(text("ensign.verdict", Decision.Verdict.wouldRefuse.rawValue))
        }
        if span.isJoined { attributes.append(["key": "ensign.joined", "value": ["boolValue": true]]) }
        if let error = span.error { attributes.append(text("error.type", error)) }
        var members: JSONObject = [
            "traceId": .string(span.trace.trace), "spanId": .string(span.trace.span),
            "name": .string("execute_tool \(span.operation)"), "kind": 1,
            "startTimeUnixNano": .string("\(span.start)"), "endTimeUnixNano": .string("\(max(span.start, span.end))"),
            "attributes": .array(attributes),
        ]
        if let parent = span.trace.parent { members["parentSpanId"] = .string(parent) }
        if span.error != nil { members["status"] = ["code": 2] }
        return .object(members)
    }

    private static func text(_ key: String, _ value: String) -> JSONValue {
        ["key": .string(key), "value": ["stringValue": .string(value)]]
    }
}
