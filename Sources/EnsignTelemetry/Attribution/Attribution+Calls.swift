import EnsignModel

/// Calls and inferences.
extension Attribution {
    mutating func addCall(
        _ call: ToolCall,
        _ event: SpanEvent,
        _ time: SpanTime,
        _ context: Context,
        _ output: inout Output
    ) {
        let claimant = event.claimant
        let bundle = event.claim.bundle.flatMap { Digest($0) }
        var rejection: Rejection?
        var arrival = OpenTrace.Arrival()
        var activities: [Activity] = []
        var evaluated: (run: Run, evaluations: [Evaluation])?
        var waitsForName = false
        traces.change(event.key) { trace in
            let span = event.span
            trace.demoteWaiting(for: span)
            var link = OpenTrace.Link(parent: event.parent ?? 0, isWork: true)
            link.isEntry = event.isEntry && event.claim.bundle == nil
            var joined = trace.attach(span, link) ?? .init(root: trace.root(of: span))
            trace.groups[joined.root, default: Group()].note(start: event.start)
            let node = CallNode(call, isProtocol: event.isProtocolCall, claimant: claimant, hasFailed: event.hasFailed)
            trace.calls[span] = node
            trace.groups[joined.root, default: Group()].change(claimant) { $0.made.add(node.said) }
            let around = trace.enclosure(below: trace.links[span]?.parent ?? 0)
            var nesting = trace.nest(joined.tops, in: .call(span))
            let outwards = trace.nest([span], in: around)
            nesting += outwards

            var facts = node.said.intersection(.told)
            switch trace.naming(of: node, outwards.pairs.first?.outer, around, at: time.end) {
            case .own: break
            case .outer: facts.remove(.name)
            case .unknown:
                facts.remove(.name)
                trace.pendingNames[span] = OpenTrace.PendingName(bundle: bundle, time: time.end)
                waitsForName = true
            }
            let group = trace.groups[joined.root] ?? Group()
            // A view of a call that was counted changes nothing, however late.
            let isCounted = outwards.pairs.first?.shared.contains(.made) == true
            if group.isSettled, let run = group.run, run.target != nil, !isCounted {
                rejection = claimant == nil || claimant == run.agent ? .late : .orphan
            }
            let agent = (claimant ?? group.run?.agent).flatMap { context.routes[$0] == nil ? nil : $0 }
            let shared = trace.tellOnce(of: span, to: agent, nesting, &facts)
            if let agent {
                trace.calls[span]?.told = agent
                if let call = call.telling(facts) {
                    let known = group.bundle(of: agent, isNamed: claimant != nil, own: bundle)
                    activities.append(Activity(agent: agent, bundle: known, kind: .call(call), time: time.end))
                }
                trace.tellSteps(of: agent, in: joined.root, at: time.end, &activities)
                joined.agents = joined.agents.map { ($0.agent, $0.hasCalls && $0.agent != agent) }
            } else if group.run == nil {
                let item = Group.Waiting(
                    span: span,
                    claimant: claimant,
                    call: call,
                    facts: facts,
                    shared: shared,
                    time: time.end
                )
                if trace.groups[joined.root]?.wait(for: item) == true { rejection = .evicted }
            }
            trace.tell(joined, nesting, at: time.end, context, &activities)
            arrival = trace.arrived(span)
            trace.tell(grown: arrival, at: time.end, &activities)
            evaluated = trace.groups[joined.root]?.takeEvaluations()
        }
        take(arrival, in: event.key, at: time.read, &output)
        if waitsForName { wait(forNameOf: event.span, in: event.key, at: time.read) }
        output.activities += activities
        tell(evaluated, &output)
        if let rejection { reject(event, rejection, &output) }
    }

    private mutating func wait(forNameOf span: SpanID, in key: TraceKey, at now: Moment) {
        names.append((now.advanced(milliseconds: limits.settleMilliseconds), key, span))
        guard names.count > limits.spans else { return }
        // Names of traces that had to go may still wait here.
        let traces = traces
        names.keep { traces[$0.trace]?.pendingNames[$0.span] != nil }
    }

    /// Reports the name of a call that has waited long enough for a call around it.
    mutating func judgeName(of span: SpanID, in key: TraceKey, _ context: Context, _ output: inout Output) {
        var activities: [Activity] = []
        traces.change(key) { $0.tellName(of: span, context, &activities) }
        output.activities += activities
    }

    mutating func addInference(
        _ event: SpanEvent,
        _ time: SpanTime,
        _ context: Context,
        _ output: inout Output
    ) {
        guard let own = spending(event, context, &output) else {
            let link = OpenTrace.Link(parent: event.parent ?? 0, isBarrier: true, isWork: true)
            self.link(event, as: link, time, context, &output)
            return
        }
        let claimant = event.claimant
        var isLate = false
        var arrival = OpenTrace.Arrival()
        var activities: [Activity] = []
        var evaluated: (run: Run, evaluations: [Evaluation])?
        traces.change(event.key) { trace in
            trace.demoteWaiting(for: event.span)
            // Inferences below this one that have come already: one instrumentation inside another.
            var spent = Group()
            if trace.groups[event.span]?.run == nil {
                spent = trace.groups.removeValue(forKey: event.span) ?? Group()
            }
            let tops = spent.tops
            spent.tops = []
            let link = OpenTrace.Link(
                parent: event.parent ?? 0,
                coversUsage: true,
                isBarrier: true,
                claimant: claimant,
                isWork: true
            )
            _ = trace.attach(event.span, link)
            spent.cover(with: own, of: claimant)
            if let parent = event.parent { spent.leaveOut { trace.cover(above: parent, of: $0) } }
            let place = event.parent.map { trace.root(of: $0) } ?? event.span
            spent.note(start: event.start)
            if let group = trace.groups[place], group.isSettled, let run = group.run, run.target != nil {
                isLate = claimant == nil || claimant == run.agent
            }
            var joined = OpenTrace.Joined(root: place, agents: trace.add(spent, at: place))
            if let claimant, !joined.agents.contains(where: { $0.agent == claimant }) {
                joined.agents.append((claimant, hasCalls: false))
            }
            trace.tell(joined, trace.nest(tops, in: .none), at: time.end, context, &activities)
            arrival = trace.arrived(event.span)
            trace.tell(grown: arrival, at: time.end, &activities)
            evaluated = trace.groups[place]?.takeEvaluations()
        }
        output.activities += activities
        tell(evaluated, &output)
        take(arrival, in: event.key, at: time.read, &output)
        if isLate { reject(event, .late, &output) }
    }
}

extension OpenTrace {
    /// The name by which a call is compared with what was granted.
    fileprivate enum Naming {
        case own
        /// That of the call around it.
        case outer
        /// It is a server's, and the call around it may still come.
        case unknown
    }

    fileprivate func naming(
        of node: CallNode,
        _ outer: SpanID?,
        _ around: Enclosure,
        at time: Moment
    ) -> Naming {
        if let outer = outer.flatMap({ calls[$0] }) { return node.isNamed(by: outer) ? .outer : .own }
        guard node.isProtocol, case .open = around else { return .own }
        // After a run is over, the call around a late view is forgotten.
        return forgotten.map { time <= $0 } == true ? .outer : .unknown
    }
}
