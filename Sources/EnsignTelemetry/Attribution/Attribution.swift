package import EnsignModel

/// Makes samples and activities from telemetry events: which run counts for which bundle, which call belongs to which
/// run (docs/telemetry.md, "Attribution").
///
/// A pure state machine: the time and the routes come in, samples and activities are returned. Its state is a value that
/// is written together with the reader's cursor and whatever was made of the samples.
package struct Attribution: Sendable {
    package struct Limits: Sendable, Hashable {
        /// How long a run waits, after its span has come, for later calls: two batches of OpenTelemetry's SDKs.
        package var settleMilliseconds: Int64 = 15_000
        /// How long a trace stays open after its last span, for evaluations and runs that last.
        package var idleMilliseconds: Int64 = 3_600_000
        /// How far ahead of ours another machine's clock may be.
        package var skewMilliseconds: Int64 = 300_000
        /// Older telemetry is not evidence of anything.
        package var oldestMilliseconds: Int64 = 7 * 86_400_000
        package var traces = 10_000
        /// Spans of all open traces.
        package var spans = 250_000
        package var spansOfTrace = 10_000
        /// Newest spans among which duplicates are found.
        package var seen = 65_536

        package init() {}
    }

    /// What telemetry is compared with.
    package struct Context: Sendable {
        /// Of every agent of the environment, halted ones included.
        package var routes: [AgentID: Route]
        package var prices: Prices?
        /// Agents with a folder of telemetry of their own: nobody else speaks for them.
        package var bound: Set<AgentID>

        package init(routes: [AgentID: Route], prices: Prices?, bound: Set<AgentID> = []) {
            self.routes = routes
            self.prices = prices
            self.bound = bound
        }
    }

    /// The result of some events or of time passing.
    package struct Output: Sendable {
        package var samples: [Sample] = []
        package var activities: [Activity] = []
        package var rejections = Rejections()

        package init() {}
    }

    package let environment: String
    let limits: Limits
    var traces: TraceTable
    var seen: SeenWindow
    /// Runs by the time at which their samples are made, and once more by the time at which their calls are forgotten.
    var dues = Queue<(due: Moment, trace: TraceKey, span: SpanID)>()
    /// Calls by the time at which their names are judged if no call around them has come.
    var names = Queue<(due: Moment, trace: TraceKey, span: SpanID)>()
    /// All that was ever rejected.
    package internal(set) var rejections = Rejections()
    /// Names of agents that have a route, parsed, and whose room their traces take.
    private var known: [String: (agent: AgentID, share: UInt64)] = [:]

    package init(environment: String, limits: Limits = Limits()) {
        self.environment = environment
        self.limits = limits
        seen = SeenWindow(limit: limits.seen)
        traces = TraceTable(limits: limits)
    }

    /// How long a run waits, after its span was read, until it makes samples; in milliseconds.
    package var settleMilliseconds: Int64 { limits.settleMilliseconds }

    /// When time alone makes samples, so that ``add(_:at:_:)`` should be called; nil if never.
    package var nextDue: Moment? {
        let idle = traces.firstTouched?.advanced(milliseconds: limits.idleMilliseconds)
        return [idle, dues.first?.due, names.first?.due].compactMap { $0 }.min()
    }

    // MARK: - Events

    /// Takes events that were read at a moment.
    package mutating func add(_ batch: TelemetryBatch, at now: Moment, _ context: Context) -> Output {
        var output = Output()
        output.rejections = batch.rejections
        // What is only a link between others comes first: an exporter writes the spans of each library together, and a
        // call is best reported when what is around it is known.
        for event in batch.events {
            if case .span(let span) = event, case .other = span.operation { add(span, at: now, context, &output) }
        }
        for event in batch.events {
            switch event {
            case .span(let span):
                if case .other = span.operation { continue }
                add(span, at: now, context, &output)
            case .evaluation(let evaluation): add(evaluation, at: now, context, &output)
            }
        }
        advance(to: now, context, &output)
        rejections.add(output.rejections)
        return output
    }

    /// Makes the samples of runs that have waited long enough, and forgets what is over.
    private mutating func advance(to now: Moment, _ context: Context, _ output: inout Output) {
        while let next = names.first, next.due <= now {
            _ = names.removeFirst()
            judgeName(of: next.span, in: next.trace, context, &output)
        }
        while let next = dues.first, next.due <= now {
            _ = dues.removeFirst()
            settle(next.trace, next.span, at: now, &output)
        }
        let idle = now.advanced(milliseconds: -limits.idleMilliseconds)
        while let key = traces.nextIdle(since: idle) { close(key, &output) }
        makeRoom(&output)
    }

    /// Closes traces for which there is no more room.
    private mutating func makeRoom(_ output: inout Output) {
        while let key = traces.nextTooMany() {
            output.rejections.add(.evicted)
            close(key, &output)
        }
    }

    private mutating func add(
        _ event: SpanEvent,
        at now: Moment,
        _ context: Context,
        _ output: inout Output
    ) {
        guard event.environments.allSatisfy({ $0 == environment }) else {
            output.rejections.add(.otherEnvironment)
            return
        }
        var event = event
        let mayNotSpeak = admit(&event, context)
        if event.operation == .other {
            guard traces[event.key]?.links[event.span] == nil else { return }
        } else {
            guard seen.insert(SeenWindow.key(event.trace, event.span, folder: event.key.folder)) else {
                output.rejections.add(.duplicate)
                return
            }
        }
        let oldest = now.advanced(milliseconds: -limits.oldestMilliseconds)
        let latest = now.advanced(milliseconds: limits.skewMilliseconds)
        var problem: Rejection?
        if event.start.nanoseconds <= 0 || event.end < event.start {
            problem = .badTime
        } else if event.end > latest {
            problem = .future
        } else if event.end < oldest {
            output.rejections.add(.stale)
            return
        }
        open(event.key, share: share(of: event.claim), at: now, &output)
        let time = problem == nil ? min(event.end, now) : now
        if let mayNotSpeak {
            output.rejections.add(mayNotSpeak)
            refuse(event, at: time, context, &output)
            return
        }
        switch event.operation {
        case .run:
            addRun(event, problem, at: now, context, &output)
        case .call(let call):
            if let problem { output.rejections.add(problem) }
            addCall(call, event, at: time, now: now, context, &output)
        case .inference:
            if let problem { output.rejections.add(problem) }
            addInference(event, at: time, context, &output)
        case .other:
            link(event, at: time, context, &output)
        }
        if event.operation != .run, !event.evaluations.isEmpty {
            for evaluation in event.evaluations {
                add(evaluation, event.key, event.span, at: now, &output)
            }
        }
    }

    /// - Parameter share: Whose room it takes if it is in no folder; 0 while that is not known.
    mutating func open(_ key: TraceKey, share: UInt64, at now: Moment, _ output: inout Output) {
        let share = key.folder != 0 ? key.folder : share
        if let trace = traces[key] {
            guard trace.spanCount >= limits.spansOfTrace else {
                traces.touch(key, share: share, at: now)
                return
            }
            output.rejections.add(.evicted)
            close(key, &output)
        }
        traces.open(key, share: share, at: now)
        makeRoom(&output)
    }

    /// Notes whose child a span is, and moves what was collected for it upwards.
    mutating func link(
        _ event: SpanEvent,
        as link: OpenTrace.Link? = nil,
        at time: Moment,
        _ context: Context,
        _ output: inout Output
    ) {
        var activities: [Activity] = []
        var evaluated: (run: Run, evaluations: [Evaluation])?
        traces.change(event.key) { trace in
            let link = link ?? OpenTrace.Link(parent: event.parent ?? 0)
            guard let joined = trace.attach(event.span, link) else { return }
            let around = link.isBarrier ? .none : trace.enclosure(below: trace.links[event.span]?.parent ?? 0)
            let nesting = trace.nest(joined.tops, in: around)
            for pair in nesting.pairs { trace.tellOnce(pair) }
            trace.tell(joined, nesting, at: time, context, &activities)
            evaluated = trace.groups[joined.root]?.takeEvaluations()
        }
        output.activities += activities
        tell(evaluated, &output)
    }

    // MARK: - Names

    /// The agent that a claim names, if it has a route.
    mutating func agent(_ claim: Claim, _ context: Context) -> AgentID? {
        claimant(claim, context).flatMap { context.routes[$0] != nil ? $0 : nil }
    }

    /// The agent that a claim names, one with a route or not; nil if it names none, or a framework's own part.
    mutating func claimant(_ claim: Claim, _ context: Context) -> AgentID? {
        guard let name = claim.agent else { return nil }
        if let known = known[name] { return known.agent }
        guard let agent = AgentID(name) else { return nil }
        // Names that telemetry makes up are not kept.
        guard context.routes[agent] != nil else { return agent }
        if known.count > 100_000 { known = [:] }
        known[name] = (agent, TraceKey.folder(agent))
        return agent
    }

    /// Whose room a trace takes when a span with this claim joins it: of those that have a route, once requested.
    private func share(of claim: Claim) -> UInt64 { claim.agent.flatMap { known[$0]?.share } ?? 0 }

    struct Unresolved: Error {
        let reason: Rejection
    }

    /// The target that a run counts for: the one with its bundle, else, without a bundle, the only one with its version.
    func resolve(_ claim: Claim, _ agent: AgentID, _ context: Context) -> Result<Digest, Unresolved> {
        let targets = context.routes[agent]?.targets ?? []
        if let bundle = claim.bundle {
            guard let target = targets.first(where: { bundle == $0.digest.description }) else {
                return .failure(Unresolved(reason: .unknownBundle))
            }
            return .success(target.digest)
        }
        let matching = targets.filter { $0.version.description == claim.version }
        guard let first = matching.first else { return .failure(Unresolved(reason: .unknownVersion)) }
        return matching.count == 1 ? .success(first.digest) : .failure(Unresolved(reason: .ambiguousVersion))
    }
}

extension SpanEvent {
    var key: TraceKey { TraceKey(id: trace, folder: TraceKey.folder(folder)) }
}
