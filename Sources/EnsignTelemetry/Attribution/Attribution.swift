package import EnsignModel

/// Makes samples and activities of telemetry events: which run counts for which bundle, which call belongs to which run
/// (docs/telemetry.md, "Attribution").
///
/// A pure state machine: the time and the routes come in, samples and activities are returned. Its state is a value that
/// is written together with the reader's cursor and whatever was made of the samples.
package struct Attribution: Sendable {
    package struct Limits: Sendable, Hashable {
        /// How long after its span has come a run waits for calls that come later: two batches of OpenTelemetry's SDKs.
        package var settleMilliseconds: Int64 = 15_000
        /// How long a trace stays open after its last span, for evaluations and runs that last.
        package var idleMilliseconds: Int64 = 3_600_000
        /// How far ahead of ours another machine's clock may be.
        package var skewMilliseconds: Int64 = 300_000
        /// Older telemetry is no evidence of anything.
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

        package init(routes: [AgentID: Route], prices: Prices?) {
            self.routes = routes
            self.prices = prices
        }
    }

    /// What came of some events or of time passing.
    package struct Output: Sendable {
        package var samples: [Sample] = []
        package var activities: [Activity] = []
        package var rejections = Rejections()

        package init() {}
    }

    package let environment: String
    let limits: Limits
    var traces: [TraceID: OpenTrace] = [:]
    var spans = 0
    var seen: SeenWindow
    /// One entry for each open trace, about the order in which they were last touched.
    var touches = Queue<(touched: Moment, trace: TraceID)>()
    /// Runs by the time at which their samples are made.
    var dues = Queue<(due: Moment, trace: TraceID, span: SpanID)>()
    /// All that was ever rejected.
    package internal(set) var rejections = Rejections()
    /// Names of agents that have a route, parsed.
    private var names: [String: AgentID] = [:]

    package init(environment: String, limits: Limits = Limits()) {
        self.environment = environment
        self.limits = limits
        seen = SeenWindow(limit: limits.seen)
    }

    /// Traces that are held open.
    package var openTraces: Int { traces.count }

    /// When ``advance(to:_:)`` has something to do next; nil if never.
    package var nextDue: Moment? {
        let idle = touches.first.map { $0.touched.advanced(milliseconds: limits.idleMilliseconds) }
        guard let due = dues.first?.due else { return idle }
        return idle.map { min($0, due) } ?? due
    }

    // MARK: - Events

    /// Takes events that were read at a moment.
    package mutating func add(_ batch: TelemetryBatch, at now: Moment, _ context: Context) -> Output {
        var output = Output()
        output.rejections = batch.rejections
        for event in batch.events {
            switch event {
            case .span(let span): add(span, at: now, context, &output)
            case .evaluation(let evaluation): add(evaluation, at: now, context, &output)
            }
        }
        advance(to: now, context, &output)
        rejections.add(output.rejections)
        return output
    }

    /// Makes the samples of runs that have waited long enough, and forgets what is over.
    package mutating func advance(to now: Moment, _ context: Context) -> Output {
        var output = Output()
        advance(to: now, context, &output)
        rejections.add(output.rejections)
        return output
    }

    private mutating func advance(to now: Moment, _ context: Context, _ output: inout Output) {
        while let next = dues.first, next.due <= now {
            _ = dues.removeFirst()
            settle(next.trace, next.span, &output)
        }
        while let next = touches.first {
            guard let trace = traces[next.trace] else {
                _ = touches.removeFirst()
                continue
            }
            let isOver = next.touched.advanced(milliseconds: limits.idleMilliseconds) <= now
            let isTooMuch = traces.count > limits.traces || spans > limits.spans
            guard isOver || isTooMuch else { break }
            _ = touches.removeFirst()
            if trace.touched > next.touched {
                // In use since: it goes to the end of the queue once.
                touches.append((trace.touched, next.trace))
                continue
            }
            if !isOver { output.rejections.add(.evicted) }
            close(next.trace, &output)
        }
    }

    /// Makes all samples that there are to be made, as at the end of a test or a replay.
    package mutating func finish(_ context: Context) -> Output {
        var output = Output()
        while let next = dues.removeFirst() { settle(next.trace, next.span, &output) }
        for trace in traces.keys.sorted(by: { ($0.high, $0.low) < ($1.high, $1.low) }) { close(trace, &output) }
        rejections.add(output.rejections)
        return output
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
        if case .other = event.operation {
            guard traces[event.trace]?.links[event.span] == nil else { return }
        } else {
            guard seen.insert(SeenWindow.key(event.trace, event.span)) else {
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
        open(event.trace, at: now, &output)
        switch event.operation {
        case .run:
            addRun(event, problem, at: now, context, &output)
        case .call(let call):
            if let problem { output.rejections.add(problem) }
            addCall(call, event, at: problem == nil ? min(event.end, now) : now, context, &output)
        case .inference:
            if let problem { output.rejections.add(problem) }
            addInference(event, at: problem == nil ? min(event.end, now) : now, context, &output)
        case .other:
            link(event, at: min(event.end, now), context, &output)
        }
        if event.operation != .run, !event.evaluations.isEmpty {
            for evaluation in event.evaluations {
                add(evaluation, event.trace, event.span, at: now, &output)
            }
        }
    }

    mutating func open(_ id: TraceID, at now: Moment, _ output: inout Output) {
        if let trace = traces[id] {
            if trace.spanCount >= limits.spansOfTrace {
                output.rejections.add(.evicted)
                close(id, &output)
                // The queues still have it; a trace of the same name is simply another one.
                traces[id] = OpenTrace(touched: now)
                touches.append((now, id))
            } else if now > trace.touched {
                traces[id]?.touched = now
            }
        } else {
            traces[id] = OpenTrace(touched: now)
            touches.append((now, id))
        }
    }

    /// Notes whose child a span is, and moves what was collected for it upwards.
    ///
    /// - Parameter claimant: Of an inference, whom it names; nil if the span is none.
    private mutating func link(
        _ event: SpanEvent,
        coversUsageOf claimant: AgentID?? = nil,
        at time: Moment,
        _ context: Context,
        _ output: inout Output
    ) {
        var activities: [Activity] = []
        var evaluated: (run: Run, evaluations: [Evaluation])?
        withTrace(event.trace) { trace in
            var parent = event.parent ?? 0
            // Spans that are each other's ancestors are no tree: the last one then stands alone.
            if parent != 0, trace.root(of: parent) == event.span { parent = 0 }
            guard trace.links[event.span] == nil, trace.groups[event.span]?.run == nil else { return }
            let group = trace.groups.removeValue(forKey: event.span)
            trace.links[event.span] = OpenTrace.Link(
                parent: parent,
                coversUsage: claimant != nil,
                claimant: claimant ?? nil
            )
            guard let group else { return }
            let root = trace.root(of: event.span)
            var above = trace.groups[root] ?? Group()
            above.take(group, at: time, context, &activities)
            evaluated = above.takeEvaluations()
            trace.groups[root] = above
        }
        output.activities += activities
        tell(evaluated, &output)
    }

    mutating func withTrace(_ id: TraceID, _ body: (inout OpenTrace) -> Void) {
        guard var trace = traces.removeValue(forKey: id) else { return }
        let before = trace.spanCount
        body(&trace)
        spans += trace.spanCount - before
        traces[id] = trace
    }

    // MARK: - Runs

    private mutating func addRun(
        _ event: SpanEvent,
        _ problem: Rejection?,
        at now: Moment,
        _ context: Context,
        _ output: inout Output
    ) {
        guard claimant(event.claim, context) != nil else {
            // A framework's own name for a part of itself: what is below it belongs to the run above it.
            output.rejections.add(.unknownAgent)
            link(event, at: min(event.end, now), context, &output)
            return
        }
        let agent = agent(event.claim, context)
        var target: Digest?
        if let problem {
            output.rejections.add(problem)
        } else if let agent {
            switch resolve(event.claim, agent, context) {
            case .success(let digest): target = digest
            case .failure(let reason): output.rejections.add(reason.reason)
            }
        } else {
            output.rejections.add(.unknownAgent)
        }
        let end = problem == nil ? min(event.end, now) : now
        let run = Run(
            agent: agent,
            bundle: event.claim.bundle.flatMap { Digest($0) } ?? target,
            target: target,
            parent: event.parent ?? 0,
            hasSucceeded: !event.hasErrorStatus,
            start: min(event.start, end),
            end: end,
            own: spending(event, context, &output)
        )
        var activities: [Activity] = []
        var evaluated: (run: Run, evaluations: [Evaluation])?
        withTrace(event.trace) { trace in
            // A span that was a link before has the same id as a run: whoever wrote that is not believed.
            guard trace.links[event.span] == nil else { return }
            var group = trace.groups[event.span] ?? Group()
            guard group.run == nil else { return }
            group.run = run
            group.tell(&activities)
            if let agent {
                activities.append(Activity(agent: agent, bundle: run.bundle, kind: .ran, time: end))
                group.tellSteps(of: agent, at: end, &activities)
                group.tellSpending(of: agent, at: end, &activities)
            }
            group.isSettled = run.target == nil
            evaluated = group.takeEvaluations()
            trace.groups[event.span] = group
        }
        output.activities += activities
        tell(evaluated, &output)
        for evaluation in event.evaluations { add(evaluation, event.trace, event.span, at: now, &output) }
        guard target != nil else { return }
        dues.append((now.advanced(milliseconds: limits.settleMilliseconds), event.trace, event.span))
    }

    /// The agent that a claim names, if it has a route.
    mutating func agent(_ claim: Claim, _ context: Context) -> AgentID? {
        claimant(claim, context).flatMap { context.routes[$0] != nil ? $0 : nil }
    }

    /// The agent that a claim names, one with a route or not; nil if it names none, or a framework's own part.
    mutating func claimant(_ claim: Claim, _ context: Context) -> AgentID? {
        guard let name = claim.agent else { return nil }
        if let known = names[name] { return known }
        guard let agent = AgentID(name) else { return nil }
        // Names that telemetry makes up are not kept.
        guard context.routes[agent] != nil else { return agent }
        if names.count > 100_000 { names = [:] }
        names[name] = agent
        return agent
    }

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

    /// What a span's tokens cost; nil if it says nothing of tokens.
    private func spending(_ event: SpanEvent, _ context: Context, _ output: inout Output) -> Spending? {
        if event.hasBadUsage {
            output.rejections.add(.badUsage)
            return Spending(isKnown: true, isBad: true)
        }
        guard let usage = event.usage else { return nil }
        var result = Spending(tokens: usage.total, isKnown: true)
        if let cost = context.prices?.cost(of: usage, models: event.models) {
            result.cost = cost
        } else if usage.total > 0 {
            output.rejections.add(.unpriced)
            result.isUnpriced = true
        }
        return result
    }

    /// Makes a run's samples.
    private mutating func settle(_ id: TraceID, _ span: SpanID, _ output: inout Output) {
        var samples: [Sample] = []
        var orphans: Int64 = 0
        let environment = environment
        withTrace(id) { trace in
            guard var group = trace.groups[span], let run = group.run, !group.isSettled, let agent = run.agent,
                let target = run.target
            else { return }
            // A run of the same agent around this one is the same run, seen from the caller's side.
            if run.parent != 0 {
                let outer = trace.root(of: run.parent)
                if outer != span, let other = trace.groups[outer], other.run?.agent == agent, !other.isSettled {
                    trace.groups[span] = nil
                    trace.links[span] = OpenTrace.Link(parent: run.parent, coversUsage: false)
                    trace.groups[outer]?.add(sameRun: group, of: agent)
                    return
                }
            }
            func add(_ metric: MetricName, _ value: Double, occurred: Bool? = nil) {
                samples.append(
                    Sample(
                        agent: agent,
                        environment: environment,
                        bundle: target,
                        metric: metric,
                        value: value,
                        occurred: occurred,
                        time: run.end,
                        started: run.start
                    )
                )
            }
            add(.success, run.hasSucceeded ? 1 : 0, occurred: run.hasSucceeded)
            add(.latency, Double(run.end.nanoseconds(since: run.start)) / 1e9)
            let tally = group.tally(of: agent)
            add(.steps, Double(tally.calls))
            add(.toolErrors, Double(tally.failed), occurred: tally.failed > 0)
            add(.deniedCalls, Double(tally.denied), occurred: tally.denied > 0)
            let spending = group.spending(of: agent)
            if spending.isKnown, !spending.isBad {
                add(.tokens, Double(spending.tokens))
                if !spending.isUnpriced, spending.cost.isFinite { add(.cost, spending.cost) }
            }
            orphans = group.callsOfOthers
            group.isSettled = true
            group.waiting = []
            trace.groups[span] = group
            trace.forgetCalls()
        }
        output.samples += samples
        output.rejections.add(.orphan, orphans)
    }

    /// Makes what samples are left and forgets a trace.
    private mutating func close(_ id: TraceID, _ output: inout Output) {
        guard let trace = traces[id] else { return }
        for (span, group) in trace.groups.sorted(by: { $0.key < $1.key }) where group.run != nil && !group.isSettled {
            settle(id, span, &output)
        }
        guard let trace = traces.removeValue(forKey: id) else { return }
        spans -= trace.spanCount
        for group in trace.groups.values where group.run == nil {
            output.rejections.add(
                .orphan,
                group.calls + Int64(group.evaluations.count) + (group.hasUsage ? 1 : 0)
            )
        }
    }

    // MARK: - Calls and inferences

    private mutating func addCall(
        _ call: ToolCall,
        _ event: SpanEvent,
        at time: Moment,
        _ context: Context,
        _ output: inout Output
    ) {
        link(event, at: time, context, &output)
        let claimant = claimant(event.claim, context)
        let bundle = event.claim.bundle.flatMap { Digest($0) }
        var rejection: Rejection?
        var activities: [Activity] = []
        withTrace(event.trace) { trace in
            let root = trace.root(of: event.span)
            var group = trace.groups[root] ?? Group()
            group.change(claimant) { tally in
                tally.calls += 1
                if call.isDenied {
                    tally.denied += 1
                } else if event.hasFailed {
                    tally.failed += 1
                }
            }
            if group.isSettled, let run = group.run, run.target != nil {
                rejection = claimant == nil || claimant == run.agent ? .late : .orphan
            }
            if let agent = claimant ?? group.run?.agent, context.routes[agent] != nil {
                // What a call says itself comes first; one that names nobody ran with the run's.
                let known = claimant == nil ? group.bundle(of: agent) ?? bundle : bundle ?? group.bundle(of: agent)
                activities.append(Activity(agent: agent, bundle: known, kind: .call(call), time: time))
                group.tellSteps(of: agent, at: time, &activities)
            } else if group.run == nil, group.wait(for: .call(call), of: claimant, at: time) {
                rejection = .evicted
            }
            trace.groups[root] = group
        }
        output.activities += activities
        if let rejection { output.rejections.add(rejection) }
    }

    private mutating func addInference(
        _ event: SpanEvent,
        at time: Moment,
        _ context: Context,
        _ output: inout Output
    ) {
        guard let own = spending(event, context, &output) else {
            link(event, at: time, context, &output)
            return
        }
        let claimant = claimant(event.claim, context)
        // Inferences below this one that have come already: one instrumentation inside another.
        var spent = Group()
        withTrace(event.trace) { trace in
            guard trace.groups[event.span]?.run == nil else { return }
            spent = trace.groups.removeValue(forKey: event.span) ?? Group()
        }
        link(event, coversUsageOf: .some(claimant), at: time, context, &output)
        var isLate = false
        var activities: [Activity] = []
        var evaluated: (run: Run, evaluations: [Evaluation])?
        withTrace(event.trace) { trace in
            let place = event.parent.map { trace.root(of: $0) } ?? event.span
            var group = trace.groups[place] ?? Group()
            spent.cover(with: own, of: claimant)
            if let parent = event.parent { spent.leaveOut { trace.cover(above: parent, of: $0) } }
            isLate = group.isSettled && group.run?.target != nil && (claimant == nil || claimant == group.run?.agent)
            group.take(spent, at: time, context, &activities)
            evaluated = group.takeEvaluations()
            trace.groups[place] = group
        }
        output.activities += activities
        tell(evaluated, &output)
        if isLate { output.rejections.add(.late) }
    }
}

extension Group {
    /// Adds another group, and tells what that means for those who can be told of.
    fileprivate mutating func take(
        _ other: Group,
        at time: Moment,
        _ context: Attribution.Context,
        _ activities: inout [Activity]
    ) {
        add(other)
        tell(&activities)
        var other = other
        other.run = run
        for agent in other.agents where context.routes[agent] != nil {
            if other.tally(of: agent).calls > 0 { tellSteps(of: agent, at: time, &activities) }
            tellSpending(of: agent, at: time, &activities)
        }
    }
}
