package import EnsignModel

/// The 16 bytes that name a trace.
package struct TraceID: Sendable, Hashable {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// The 8 bytes that name a span within its trace; never zero.
package typealias SpanID = UInt64

/// What telemetry says happened, before anybody has asked whether it can be true.
package enum TelemetryEvent: Sendable, Hashable {
    case span(SpanEvent)
    case evaluation(EvaluationEvent)
}

/// Who ran, as a span and its resource say.
///
/// What is certain comes before what is a name: a bundle's digest names one version of one agent, and nothing but a name is
/// what a framework calls its own parts.
package struct Claim: Sendable, Hashable {
    /// Where the bundle is.
    package enum Source: Sendable, Hashable {
        /// On the span itself, in an attribute of its own or one that carries baggage.
        case span
        /// On the resource.
        case resource
        /// On the resource, and the span has another name of its own: it counts only if somebody's bundle it is.
        case borrowed
    }

    /// `gen_ai.agent.name`, else `agent.name`: what somebody calls it.
    package var agent: String?
    /// `gen_ai.agent.version`.
    package var version: String?
    /// `ensign.bundle`.
    package var bundle: String?
    /// `ensign.agent`: the agent's name in the fleet, from somebody who knows it.
    package var named: String?
    package var source = Source.span
    /// Where the bundle came in with baggage, whoever the process says that it is: its bundle, else its agent.
    package var host: String?

    package init(agent: String? = nil, version: String? = nil, bundle: String? = nil, named: String? = nil) {
        self.agent = agent
        self.version = version
        self.bundle = bundle
        self.named = named
    }

    /// The agent's name: the certain one, if there is one.
    package var name: String? { named ?? agent }
}

/// One span, reduced to what Ensign reads (docs/telemetry.md, "What is read").
package struct SpanEvent: Sendable, Hashable {
    package enum Operation: Sendable, Hashable {
        /// `invoke_agent`, or an agent of OpenInference or Traceloop.
        case run
        /// `invoke_workflow`, a chain of OpenInference, a workflow or task of Traceloop: something around what agents do. With
        /// a bundle it may be a run, otherwise it only says which span is whose parent.
        case workflow
        /// `execute_tool`, or a tool of OpenInference or Traceloop.
        case call(ToolCall)
        /// `chat`, `generate_content`, `text_completion`, `embeddings`, or a model's answer in the words of the others.
        case inference
        /// Any other: it only says which span is whose parent, unless it carries a bundle.
        case other
    }

    package var trace: TraceID
    package var span: SpanID
    package var parent: SpanID?
    package var start: Moment
    package var end: Moment
    /// Whether its status is ERROR, or it has an `error.type`.
    package var hasFailed: Bool
    /// Whether its status is ERROR.
    package var hasErrorStatus: Bool
    package var operation: Operation
    package var claim: Claim
    /// The environments that the resource and the span itself name: nil where they name none.
    package var environments: [String]
    package var usage: TokenUsage?
    /// Whether impossible usage was given: negative, not whole, or more than 10^12 tokens.
    package var hasBadUsage: Bool
    /// `<provider>/<model>`, the requested one first.
    package var models: [String]
    package var evaluations: [Evaluation]
    /// Whether a library of the Model Context Protocol reports a call: `mcp.method.name` is `tools/call`.
    package var isProtocolCall = false
    /// The session that it is part of, as a hash of its key: `ensign.session`, else `gen_ai.conversation.id`.
    package var session: UInt64?
    /// The run's name by `ensign.run`, on the span or on its resource.
    package var run: String?
    /// Whether a gateway reports a call: `ensign.gateway`, on the span or on its resource.
    package var isGateway = false
    /// Why a gateway would have refused the call, which it made because it only observes; nil for any other.
    package var wouldRefuse: String?
    /// The agent in whose folder it was; nil for none.
    package var folder: AgentID?
    /// Whether it is never a run by itself: one end of a connection, or the making of an agent.
    package var isPassive = false
    /// Whether work came in with it from another process: what asked for it is not told by its parents.
    package var isEntry = false
    /// Whether arguments are recorded that say nothing of the call, such as the tool's schema.
    package var hasUnusableArguments = false
    /// Whose it is, once somebody has asked; one with a route or not.
    package var claimant: AgentID?
    /// What it is called; only where a reader was asked for it.
    package var details: SpanDetails?
}

/// What people know a span by. Reading does without.
package final class SpanDetails: Sendable, Hashable {
    /// `name` of the span.
    package let name: String
    /// The instrumentation scope's name.
    package let scope: String
    /// `service.name` of the resource.
    package let service: String?

    package init(name: String, scope: String, service: String?) {
        self.name = name
        self.scope = scope
        self.service = service
    }

    package static func == (left: SpanDetails, right: SpanDetails) -> Bool {
        left.name == right.name && left.scope == right.scope && left.service == right.service
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(name)
        hasher.combine(scope)
        hasher.combine(service)
    }
}

/// Tokens of one span.
package struct TokenUsage: Sendable, Hashable {
    /// All input tokens, those read from and written to caches included.
    package var input: Int64
    package var output: Int64
    package var cacheRead: Int64
    package var cacheWrite: Int64

    /// The most that is believed of one span.
    package static let most: Int64 = 1_000_000_000_000

    /// - Parameter input: As `gen_ai.usage.input_tokens` gives it. The conventions include cached tokens there; where
    ///   there are more cached tokens than that, the instrumentation has left them out.
    package init(input: Int64, output: Int64, cacheRead: Int64, cacheWrite: Int64) {
        self.input = cacheRead + cacheWrite > input ? input + cacheRead + cacheWrite : input
        self.output = output
        self.cacheRead = cacheRead
        self.cacheWrite = cacheWrite
    }

    package var total: Int64 { input + output }
}

/// A `gen_ai.evaluation.result`.
package struct Evaluation: Sendable, Hashable {
    /// `gen_ai.evaluation.name`, 1 to 128 bytes.
    package var name: String
    /// `gen_ai.evaluation.score.value`, else 1 or 0 by the label; finite.
    package var score: Double
    /// By `gen_ai.evaluation.score.label` if it says `pass` or `fail` in some way, else whether the score is 0.5 or more.
    package var hasPassed: Bool
    package var time: Moment
}

/// A `gen_ai.evaluation.result` that came as a log record.
package struct EvaluationEvent: Sendable, Hashable {
    package var trace: TraceID?
    package var span: SpanID?
    package var claim: Claim
    package var environments: [String]
    package var evaluation: Evaluation
    /// The agent in whose folder it was; nil for none.
    package var folder: AgentID?
}

extension TelemetryEvent {
    /// The same, from an agent's folder.
    func from(_ folder: AgentID) -> TelemetryEvent {
        switch self {
        case .span(var span):
            span.folder = folder
            return .span(span)
        case .evaluation(var evaluation):
            evaluation.folder = folder
            return .evaluation(evaluation)
        }
    }
}
