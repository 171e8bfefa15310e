package import EnsignModel

/// Agents, tools and models that act in telemetry, as they name themselves: who of them is declared is asked by the caller.
///
/// Bounded: the first names of each kind are kept, and of the traces those that were touched last.
package struct ShadowSurvey: Sendable {
    /// When something was seen, and how often.
    package struct Sighting: Sendable, Hashable {
        package var spans: Int64 = 0
        package var first = Moment(nanoseconds: .max)
        package var last = Moment(nanoseconds: .min)

        mutating func add(_ time: Moment) {
            spans += 1
            (first, last) = (min(first, time), max(last, time))
        }

        mutating func add(_ other: Sighting) {
            spans += other.spans
            (first, last) = (min(first, other.first), max(last, other.last))
        }
    }

    package struct Agent: Sendable, Hashable {
        /// As telemetry names it; nil if it names nobody.
        package var name: String?
        /// `service.name`; nil if there is none.
        package var service: String?
    }

    package struct Doings: Sendable {
        package var sighting = Sighting()
        /// Spans that say that an agent was asked.
        package var runs: Int64 = 0
        package var tools: [String: Int64] = [:]
        package var models: [String: Int64] = [:]
        package var scopes: Set<String> = []
    }

    /// Who is not declared.
    package private(set) var agents: [Agent: Doings] = [:]
    /// All that was called and asked, whoever did.
    package private(set) var tools: [String: Sighting] = [:]
    package private(set) var models: [String: Sighting] = [:]
    /// What did not find a place any more.
    package private(set) var unlisted: Int64 = 0
    /// Traces in which somebody declared is at work, and others.
    package private(set) var declaredTraces: Int64 = 0
    package private(set) var otherTraces: Int64 = 0

    /// Whether a name is declared.
    private let isDeclared: @Sendable (String) -> Bool
    private var traces: [TraceID: Trace] = [:]
    private var order = Queue<TraceID>()

    private struct Trace: Sendable {
        var isDeclared = false
        var service: String?
        var names: [String: Doings] = [:]
        var all = Doings()
    }

    package static let agentLimit = 1_000
    package static let nameLimit = 2_000
    private static let traceLimit = 20_000
    private static let perTrace = 64

    /// - Parameter isDeclared: Whether a name, as telemetry has it, is a declared agent's.
    package init(isDeclared: @escaping @Sendable (String) -> Bool) { self.isDeclared = isDeclared }

    package mutating func add(_ events: [TelemetryEvent]) {
        for case .span(let span) in events { add(span) }
        while traces.count > Self.traceLimit, let oldest = order.removeFirst() { finish(oldest) }
    }

    /// Takes what is left of traces: there is nothing more to come.
    package mutating func finish() {
        while let next = order.removeFirst() { finish(next) }
    }

    private mutating func add(_ span: SpanEvent) {
        guard span.start.nanoseconds > 0, span.end >= span.start else { return }
        if traces[span.trace] == nil {
            guard span.isOfAgents else { return }
            order.append(span.trace)
        }
        var trace = traces.removeValue(forKey: span.trace) ?? Trace()
        trace.service = trace.service ?? span.details?.service
        // A bundle comes from Ensign's own clients.
        if span.claim.bundle != nil { trace.isDeclared = true }
        var doings = Doings()
        doings.sighting.add(span.end)
        if span.operation == .run { doings.runs = 1 }
        if let scope = span.details?.scope { doings.scopes = [scope.cut(utf8: 128)] }
        if case .call(let call) = span.operation, !call.tool.isEmpty {
            doings.tools[call.tool] = 1
            Self.note(call.tool, span.end, &tools, &unlisted)
        }
        if span.operation == .inference, let model = span.models.first {
            doings.models[model] = 1
            Self.note(model, span.end, &models, &unlisted)
        }
        if let name = span.claim.name {
            if isDeclared(name) {
                trace.isDeclared = true
            } else if trace.names[name] != nil || trace.names.count < Self.perTrace {
                trace.names[name, default: Doings()].add(doings)
            }
        }
        if span.isOfAgents { trace.all.add(doings) }
        traces[span.trace] = trace
    }

    private static func note(_ name: String, _ time: Moment, _ names: inout [String: Sighting], _ unlisted: inout Int64)
    {
        guard names[name] != nil || names.count < nameLimit else {
            unlisted += 1
            return
        }
        names[name, default: Sighting()].add(time)
    }

    private mutating func finish(_ id: TraceID) {
        guard let trace = traces.removeValue(forKey: id), trace.all.sighting.spans > 0 else { return }
        if trace.isDeclared { declaredTraces += 1 } else { otherTraces += 1 }
        // In the work of somebody declared, names that are none of a fleet are parts of a framework.
        let names = trace.names.filter { !trace.isDeclared || AgentID($0.key) != nil }
        for (name, doings) in names {
            var doings = doings
            // Who is alone in a trace has done all of it.
            if !trace.isDeclared, names.count == 1 {
                let runs = doings.runs
                doings = trace.all
                doings.runs = max(runs, 1)
            }
            note(Agent(name: name, service: trace.service), doings)
        }
        if names.isEmpty, !trace.isDeclared { note(Agent(name: nil, service: trace.service), trace.all) }
    }

    private mutating func note(_ agent: Agent, _ doings: Doings) {
        guard agents[agent] != nil || agents.count < Self.agentLimit else {
            unlisted += 1
            return
        }
        agents[agent, default: Doings()].add(doings)
    }
}

extension ShadowSurvey.Doings {
    /// The most tools, models and scopes that are remembered of one agent.
    private static let limit = 200

    fileprivate mutating func add(_ other: Self) {
        sighting.add(other.sighting)
        runs += other.runs
        for (name, count) in other.tools where tools[name] != nil || tools.count < Self.limit {
            tools[name, default: 0] += count
        }
        for (name, count) in other.models where models[name] != nil || models.count < Self.limit {
            models[name, default: 0] += count
        }
        if scopes.count < Self.limit { scopes.formUnion(other.scopes) }
    }
}

extension SpanEvent {
    /// Whether it says that an agent, a tool or a model was at work.
    fileprivate var isOfAgents: Bool { !operation.isAround || operation == .workflow }
}
