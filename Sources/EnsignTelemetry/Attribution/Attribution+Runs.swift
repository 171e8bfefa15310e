import EnsignModel

/// Runs: from the span to the samples.
extension Attribution {
    /// - Parameter isWeak: Whether it is a run only if nothing of its agent is around it.
    mutating func addRun(
        _ event: SpanEvent,
        isWeak: Bool,
        _ time: SpanTime,
        _ context: Context,
        _ output: inout Output
    ) {
        let now = time.read
        let link = OpenTrace.Link(parent: event.parent ?? 0, isBarrier: !isWeak)
        guard let claimant = event.claimant else {
            return addNameless(event, as: link, at: now, context, &output)
        }
        let agent = context.routes[claimant] == nil ? nil : claimant
        let target = target(of: event, agent, time.problem, context, &output)
        if isWeak, target == nil {
            self.link(event, as: link, SpanTime(end: event.end, read: now), context, &output)
            return
        }
        let bundle = event.claim.bundle.flatMap { Digest($0) } ?? target
        var run = Run(
            agent: agent,
            bundle: bundle,
            target: target,
            parent: event.parent ?? 0,
            hasSucceeded: !event.hasErrorStatus,
            start: min(event.start, time.end),
            end: time.end,
            own: spending(event, context, &output),
            session: event.session,
            isWeak: isWeak,
            isWorkflow: event.operation == .workflow,
            since: now
        )
        run.price = context.price(of: target ?? bundle)
        if let target, let name = event.run {
            run.gateway = TraceKey.gateway(claimant, target, name, folder: event.key.folder)
        }
        place(run, event, at: now, context, &output)
        for evaluation in event.evaluations { add(evaluation, event.key, event.span, at: now, &output) }
    }

    /// Takes an agent's span that is nobody's: what is below it belongs to the run above it.
    ///
    /// Most are a framework's parts of what somebody else has named, which is nothing to tell of. Whether a run is around it is
    /// known when the trace is quiet.
    private mutating func addNameless(
        _ event: SpanEvent,
        as link: OpenTrace.Link,
        at now: Moment,
        _ context: Context,
        _ output: inout Output
    ) {
        var link = link
        if event.claim.bundle == nil {
            link.isNameless = true
            wait(whetherAnythingComesOf: event.span, in: event.key, at: now)
            if explains { output.fates.append((event.spanKey, .rejected(.unknownAgent))) }
        } else {
            reject(event, .unknownBundle, &output)
        }
        self.link(event, as: link, SpanTime(end: event.end, read: now), context, &output)
    }

    /// The target that a run counts for; nil, and the reason counted, if it counts for none.
    private mutating func target(
        of event: SpanEvent,
        _ agent: AgentID?,
        _ problem: Rejection?,
        _ context: Context,
        _ output: inout Output
    ) -> Digest? {
        if let problem {
            reject(event, problem, &output)
            return nil
        }
        guard let agent else {
            reject(event, .unknownAgent, &output)
            return nil
        }
        switch resolve(event.claim, agent, context) {
        case .success(let digest): return digest
        case .failure(let reason):
            reject(event, reason.reason, &output)
            return nil
        }
    }

    /// Puts a run into its trace.
    private mutating func place(
        _ run: Run,
        _ event: SpanEvent,
        at now: Moment,
        _ context: Context,
        _ output: inout Output
    ) {
        var activities: [Activity] = []
        var evaluated: (run: Run, evaluations: [Evaluation])?
        var arrival = OpenTrace.Arrival()
        var isLate = false
        let span = event.span
        traces.change(event.key) { trace in
            // A span that was a link before has the same id as a run: whoever wrote that is not believed.
            guard trace.links[span] == nil, trace.groups[span]?.run == nil else { return }
            var run = run
            run.isComplete = run.target == nil
            trace.groups[span, default: Group()].run = run
            trace.tellWaiting(at: span, &activities)
            trace.tellTops(of: span, context, &activities)
            if let agent = run.agent, !run.isWeak {
                activities.append(Activity(agent: agent, bundle: run.bundle, kind: .ran, time: run.end))
            }
            trace.groups[span]?.isSettled = run.target == nil
            arrival = trace.arrived(span)
            if run.target != nil {
                isLate = trace.isLatePart(span, run)
                if !isLate { trace.settlePlace(of: span, below: run.parent, &arrival) }
            }
            if let agent = run.agent, trace.groups[span]?.run != nil {
                trace.tellSteps(of: agent, in: span, at: run.end, &activities)
                trace.groups[span]?.tellSpending(of: agent, at: run.end, &activities)
            }
            arrival.grown.remove(span)
            trace.tell(grown: arrival, at: run.end, &activities)
            evaluated = trace.groups[span]?.takeEvaluations()
        }
        output.activities += activities
        tell(evaluated, &output)
        take(arrival, in: event.key, at: now, &output)
        if isLate { reject(event, .late, &output) }
        guard run.target != nil, let placed = traces[event.key]?.groups[span], !placed.isSettled else { return }
        if placed.run?.isComplete == false {
            wait(whetherAnythingComesOf: span, in: event.key, at: now)
        }
    }

    /// Lets runs settle that are known to be whole now, and those not that were counted in parts.
    mutating func take(_ arrival: OpenTrace.Arrival, in key: TraceKey, at now: Moment, _ output: inout Output) {
        for span in arrival.completed { wait(for: key, span, at: now) }
        if explains { for part in arrival.parts { output.fates.append((SpanKey(trace: key, span: part), .part)) } }
        guard !arrival.counted.isEmpty || !arrival.late.isEmpty else { return }
        traces.change(key) { trace in
            for span in arrival.counted { trace.groups[span]?.isSettled = true }
        }
        for span in arrival.counted.sorted() + arrival.late {
            output.rejections.add(.late)
            if explains { output.fates.append((SpanKey(trace: key, span: span), .rejected(.late))) }
        }
    }

    private mutating func wait(for key: TraceKey, _ span: SpanID, at now: Moment) {
        dues.append((now.advanced(milliseconds: limits.settleMilliseconds), key, span))
        forgetClosed(&dues)
    }

    /// Runs of traces that had to go may still wait in a queue.
    private func forgetClosed(_ queue: inout Queue<(due: Moment, trace: TraceKey, span: SpanID)>) {
        guard queue.count > limits.spans + limits.traces else { return }
        let traces = traces
        queue.keep {
            guard let trace = traces[$0.trace] else { return false }
            return trace.groups[$0.span]?.run != nil || trace.links[$0.span]?.isNameless == true
                || trace.forgetting?.span == $0.span
        }
    }

    /// Looks whether anything still comes in the trace of a run whose surroundings are not known.
    mutating func reconsider(_ key: TraceKey, _ span: SpanID, at now: Moment, _ output: inout Output) {
        guard let trace = traces[key] else { return }
        if trace.links[span]?.isNameless == true, trace.groups[trace.root(of: span)]?.run == nil {
            output.rejections.add(.unknownAgent)
            traces.change(key) { $0.links[span]?.isNameless = false }
            return
        }
        guard let group = trace.groups[span], let run = group.run, !run.isComplete, !group.isSettled else { return }
        let quiet = trace.touched.advanced(milliseconds: limits.quietMilliseconds)
        let latest = run.since.advanced(milliseconds: limits.longestWaitMilliseconds)
        guard now < (run.isAnnounced ? latest : min(quiet, latest)) else { return settle(key, span, at: now, &output) }
        wait(whetherAnythingComesOf: span, in: key, at: now)
    }

    /// Looks again in a while whether anything still comes.
    mutating func wait(whetherAnythingComesOf span: SpanID, in key: TraceKey, at now: Moment) {
        let due = now.advanced(milliseconds: limits.quietMilliseconds)
        if key.isGateway {
            reports.append((due, key, span))
            forgetClosed(&reports)
        } else {
            waits.append((due, key, span))
            forgetClosed(&waits)
        }
    }

    /// What a span's tokens cost; nil if it says nothing of tokens.
    func spending(_ event: SpanEvent, _ context: Context, _ output: inout Output) -> Spending? {
        if event.hasBadUsage {
            output.rejections.add(.badUsage)
            return Spending(isKnown: true, isBad: true)
        }
        guard let usage = event.usage else { return nil }
        var result = Spending(tokens: usage.total, isKnown: true)
        if let price = context.prices?.price(of: event.models) {
            result.cost = price.cost(of: usage)
        } else if usage.total > 0 {
            (result.unpriced, result.open, result.openModel) = (1, usage, event.models.first ?? "")
            result = result.priced(by: context.price(of: event.claim.bundle.flatMap { Digest($0) }))
        }
        return result
    }

    /// Forgets a trace's calls a while after its last run was settled: views of them may come for so long.
    private mutating func forget(_ key: TraceKey, behind span: SpanID, at now: Moment) {
        let due = traces[key]?.forgetting?.last.advanced(milliseconds: limits.settleMilliseconds)
        if let due, due > now { return wait(for: key, span, at: now) }
        traces.change(key) { trace in
            trace.forgetting = nil
            trace.forgetCalls()
        }
    }

    /// Makes a run's samples; behind one whose samples are made, forgets its trace's calls.
    mutating func settle(_ key: TraceKey, _ span: SpanID, at now: Moment, _ output: inout Output) {
        if traces[key]?.forgetting?.span == span { return forget(key, behind: span, at: now) }
        var result = Output()
        var isToForget = false
        var isSettled = false
        let (environment, explains) = (environment, explains)
        var fallback: (agent: AgentID, count: Int64, model: String)?
        let gateway = gatewayCalls(of: span, in: key)
        traces.change(key) { trace in
            guard var group = trace.groups[span], let run = group.run, let agent = run.agent, let target = run.target,
                !group.isSettled
            else { return }
            guard !run.isWeak || run.isWorkflow || group.began != nil else {
                // It carries a bundle, and that is all: a query, or whatever else a session does.
                trace.demote(span, to: trace.root(of: run.parent))
                return
            }
            result.samples = Self.samples(of: group, run, agent, target, environment, gateway)
            if run.isWeak || run.isOfGateway {
                result.activities.append(Activity(agent: agent, bundle: run.bundle, kind: .ran, time: run.end))
            }
            let spending = group.spending(of: agent)
            result.rejections.add(.unpriced, spending.unpriced)
            if spending.fallbacks > 0 { fallback = (agent, spending.fallbacks, spending.openModel ?? "") }
            result.rejections.add(.orphan, group.callsOfOthers)
            result.rejections.add(.evicted, group.dropped)
            if explains {
                let cost = Fate.Cost(spending)
                result.fates = trace.fates(
                    of: SpanKey(trace: key, span: span),
                    .run(agent: agent, bundle: target, hasSucceeded: group.hasSucceeded, cost: cost),
                    for: agent,
                    target,
                    isOfGateway: gateway != .none
                )
            }
            group.isSettled = true
            group.waiting = []
            trace.groups[span] = group
            isSettled = true
            isToForget = trace.isToForget(behind: span, at: now)
        }
        output.add(result)
        if let fallback { fallbacks.add(fallback.agent, fallback.count, fallback.model) }
        if isToForget { wait(for: key, span, at: now) }
        if isSettled, case .made(_, let key) = gateway {
            traces.change(key) { $0.groups[OpenTrace.gatewayRun]?.isSettled = true }
        }
    }

    private static func samples(
        of group: Group,
        _ run: Run,
        _ agent: AgentID,
        _ target: Digest,
        _ environment: String,
        _ gateway: GatewayCalls
    ) -> [Sample] {
        var samples: [Sample] = []
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
                    started: run.start,
                    session: run.session
                )
            )
        }
        let hasSucceeded = group.hasSucceeded
        // Who only calls says nothing of how it ended.
        if !run.isOfGateway { add(.success, hasSucceeded ? 1 : 0, occurred: hasSucceeded) }
        add(.latency, Double(run.end.nanoseconds(since: run.start)) / 1e9)
        // What was not counted makes the rest no evidence.
        guard group.dropped == 0 else { return samples }
        if let made = gateway.made(beside: group.tally(of: agent).made) {
            add(.steps, Double(max(0, made.calls)))
            add(.toolErrors, Double(max(0, made.failed)), occurred: made.failed > 0)
            add(.deniedCalls, Double(max(0, made.denied)), occurred: made.denied > 0)
        }
        let spending = group.spending(of: agent)
        if spending.isKnown, !spending.isBad {
            add(.tokens, Double(spending.tokens))
            if !spending.isUnpriced, spending.cost.isFinite { add(.cost, spending.cost) }
        }
        return samples
    }

    /// Makes what samples are left and forgets a trace.
    mutating func close(_ key: TraceKey, _ output: inout Output) {
        guard let trace = traces[key] else { return }
        for (span, group) in trace.groups.sorted(by: { $0.key < $1.key }) where group.run != nil && !group.isSettled {
            settle(key, span, at: trace.touched, &output)
        }
        guard let trace = traces.remove(key) else { return }
        output.rejections.add(.evicted, Int64(trace.pendingNames.count))
        for group in trace.groups.values where group.run == nil {
            output.rejections.add(.evicted, group.dropped)
            output.rejections.add(
                .orphan,
                group.calls + Int64(group.evaluations.count) + (group.hasUsage ? 1 : 0)
            )
        }
        let nameless = trace.links.filter { $0.value.isNameless && trace.groups[trace.root(of: $0.key)]?.run == nil }
        output.rejections.add(.unknownAgent, Int64(nameless.count))
        if explains { output.fates += trace.orphans(in: key) }
    }
}
