import EnsignModel

/// Runs: from the span to the samples.
extension Attribution {
    mutating func addRun(
        _ event: SpanEvent,
        _ problem: Rejection?,
        at now: Moment,
        _ context: Context,
        _ output: inout Output
    ) {
        guard claimant(event.claim, context) != nil else {
            // A framework's own name for a part of itself: what is below it belongs to the run above it.
            output.rejections.add(.unknownAgent)
            let link = OpenTrace.Link(parent: event.parent ?? 0, isBarrier: true)
            self.link(event, as: link, at: min(event.end, now), context, &output)
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
            own: spending(event, context, &output),
            session: event.session
        )
        var activities: [Activity] = []
        var evaluated: (run: Run, evaluations: [Evaluation])?
        traces.change(event.key) { trace in
            // A span that was a link before has the same id as a run: whoever wrote that is not believed.
            guard trace.links[event.span] == nil, trace.groups[event.span]?.run == nil else { return }
            trace.groups[event.span, default: Group()].run = run
            trace.tellWaiting(at: event.span, &activities)
            // No call around these is a view of them.
            let tops = trace.groups[event.span]?.tops ?? []
            trace.groups[event.span]?.tops = []
            for top in tops { trace.tellName(of: top, context, &activities) }
            if let agent {
                activities.append(Activity(agent: agent, bundle: run.bundle, kind: .ran, time: end))
                trace.groups[event.span]?.tellSteps(of: agent, at: end, &activities)
                trace.groups[event.span]?.tellSpending(of: agent, at: end, &activities)
            }
            trace.groups[event.span]?.isSettled = run.target == nil
            evaluated = trace.groups[event.span]?.takeEvaluations()
        }
        output.activities += activities
        tell(evaluated, &output)
        for evaluation in event.evaluations { add(evaluation, event.key, event.span, at: now, &output) }
        guard target != nil else { return }
        wait(for: event.key, event.span, at: now)
    }

    private mutating func wait(for key: TraceKey, _ span: SpanID, at now: Moment) {
        dues.append((now.advanced(milliseconds: limits.settleMilliseconds), key, span))
        // Runs of traces that had to go may still wait here.
        guard dues.count > limits.spans + limits.traces else { return }
        let traces = traces
        dues.keep { traces[$0.trace]?.groups[$0.span]?.run != nil }
    }

    /// What a span's tokens cost; nil if it says nothing of tokens.
    func spending(_ event: SpanEvent, _ context: Context, _ output: inout Output) -> Spending? {
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

    /// Makes a run's samples, and when that was done before, forgets its calls.
    mutating func settle(_ key: TraceKey, _ span: SpanID, at now: Moment, _ output: inout Output) {
        var samples: [Sample] = []
        var orphans: Int64 = 0
        var isSettled = false
        let environment = environment
        traces.change(key) { trace in
            guard var group = trace.groups[span], let run = group.run, let agent = run.agent, let target = run.target
            else { return }
            guard !group.isSettled else {
                trace.forgetCalls()
                return
            }
            // A run of the same agent around this one is the same run, seen from the caller's side.
            if run.parent != 0 {
                let outer = trace.root(of: run.parent)
                if outer != span, let other = trace.groups[outer], other.run?.agent == agent, !other.isSettled {
                    trace.groups[span] = nil
                    trace.links[span] = OpenTrace.Link(parent: run.parent, isBarrier: true)
                    trace.groups[outer]?.add(sameRun: group, of: agent)
                    return
                }
            }
            samples = Self.samples(of: group, run, agent, target, environment)
            orphans = group.callsOfOthers
            group.isSettled = true
            group.waiting = []
            trace.groups[span] = group
            isSettled = true
        }
        output.samples += samples
        output.rejections.add(.orphan, orphans)
        // Views of its calls may still come for a while.
        if isSettled { wait(for: key, span, at: now) }
    }

    private static func samples(
        of group: Group,
        _ run: Run,
        _ agent: AgentID,
        _ target: Digest,
        _ environment: String
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
        add(.success, run.hasSucceeded ? 1 : 0, occurred: run.hasSucceeded)
        add(.latency, Double(run.end.nanoseconds(since: run.start)) / 1e9)
        let made = group.tally(of: agent).made
        add(.steps, Double(max(0, made.calls)))
        add(.toolErrors, Double(max(0, made.failed)), occurred: made.failed > 0)
        add(.deniedCalls, Double(max(0, made.denied)), occurred: made.denied > 0)
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
            output.rejections.add(
                .orphan,
                group.calls + Int64(group.evaluations.count) + (group.hasUsage ? 1 : 0)
            )
        }
    }
}
