import EnsignModel

/// What is reported to the kill switch about a trace, each thing once.
extension OpenTrace {
    /// Reports what was done before its agent was known.
    mutating func tellWaiting(at root: SpanID, _ activities: inout [Activity]) {
        guard let group = groups[root], let run = group.run, !group.waiting.isEmpty else { return }
        groups[root]?.waiting = []
        guard let agent = run.agent else { return }
        for item in group.waiting where item.claimant == nil || item.claimant == agent {
            calls[item.span]?.told = agent
            guard let call = item.call(for: agent) else { continue }
            activities.append(Activity(agent: agent, bundle: run.bundle, kind: .call(call), time: item.time))
        }
    }

    /// Reports what is known now that spans were put together.
    mutating func tell(
        _ joined: Joined,
        _ nesting: Nesting,
        at time: Moment,
        _ context: Attribution.Context,
        _ activities: inout [Activity]
    ) {
        // The call around them is judged by its own name.
        for pair in nesting.pairs { pendingNames[pair.inner] = nil }
        for span in nesting.alone { tellName(of: span, context, &activities) }
        tellWaiting(at: joined.root, &activities)
        for (agent, hasCalls) in joined.agents where context.routes[agent] != nil {
            if hasCalls { tellSteps(of: agent, in: joined.root, at: time, &activities) }
            groups[joined.root]?.tellSpending(of: agent, at: time, &activities)
        }
    }

    /// Puts calls into what is around a run, if it only carries a bundle; no call around a run that says itself that an
    /// agent was asked is a view of them.
    mutating func tellTops(of span: SpanID, _ context: Attribution.Context, _ activities: inout [Activity]) {
        guard let group = groups[span], let run = group.run, !group.tops.isEmpty else { return }
        groups[span]?.tops = []
        var nesting = Nesting()
        if run.isWeak {
            nesting = nest(group.tops, in: enclosure(below: run.parent))
            for pair in nesting.pairs { tellOnce(pair) }
            for pair in nesting.pairs { pendingNames[pair.inner] = nil }
        } else {
            nesting.alone = group.tops
        }
        for top in nesting.alone { tellName(of: top, context, &activities) }
    }

    /// Reports what runs that have grown by their parts add up to.
    mutating func tell(grown arrival: OpenTrace.Arrival, at time: Moment, _ activities: inout [Activity]) {
        for run in arrival.grown.sorted() {
            guard let agent = groups[run]?.run?.agent else { continue }
            tellSteps(of: agent, in: run, at: time, &activities)
            groups[run]?.tellSpending(of: agent, at: time, &activities)
        }
    }

    /// Reports how many calls an agent has made in a run.
    ///
    /// Parts of a run that wait for the span around them count together: a graph's own span comes when its last step is
    /// done, and who takes too many steps is to be stopped before that.
    func tellSteps(of agent: AgentID, in root: SpanID, at time: Moment, _ activities: inout [Activity]) {
        guard let group = groups[root] else { return }
        var calls = group.tally(of: agent).made.calls
        guard calls > 0 else { return }
        if let run = group.run, run.isWeak, !run.isComplete, !group.isSettled,
            case .open(let missing, _) = place(of: run.agent, isWeak: true, below: run.parent)
        {
            for part in awaiting[missing] ?? [] where part != root {
                guard let other = groups[part], other.run?.isWeak == true, !other.isSettled else { continue }
                calls += other.tally(of: agent).made.calls
            }
        }
        activities.append(Activity(agent: agent, bundle: group.bundle(of: agent), kind: .steps(calls), time: time))
    }

    /// Reports the name of a call that waited for a call around it, now that there is none.
    mutating func tellName(of span: SpanID, _ context: Attribution.Context, _ activities: inout [Activity]) {
        guard let pending = pendingNames.removeValue(forKey: span), let node = calls[span] else { return }
        let root = root(of: span)
        let group = groups[root] ?? Group()
        let call = ToolCall(tool: node.tool, arguments: nil, isDenied: false)
        if let agent = node.claimant ?? group.run?.agent {
            guard context.routes[agent] != nil else { return }
            let bundle = group.bundle(of: agent, isNamed: node.claimant != nil, own: pending.bundle)
            activities.append(Activity(agent: agent, bundle: bundle, kind: .call(call), time: pending.time))
        } else if group.run == nil {
            let item = Group.Waiting(span: span, call: call, facts: .name, time: pending.time)
            // A place is not taken from what others did: what it did itself is there already.
            if group.waiting.contains(where: { $0.span == span }) {
                groups[root]?.changeWaiting(span) { $0.facts.insert(.name) }
            } else {
                _ = groups[root, default: Group()].wait(for: item)
            }
        }
    }

    /// Removes from the report of a new call what was reported through another view of it, and notes with views that
    /// still wait what is reported now.
    ///
    /// - Parameter agent: To whom the call is reported; nil while that is not known.
    /// - Returns: For a call that waits: what was reported of it.
    mutating func tellOnce(
        of span: SpanID,
        to agent: AgentID?,
        _ nesting: Nesting,
        _ facts: inout CallFacts
    ) -> (agent: AgentID, facts: CallFacts)? {
        var known: (agent: AgentID, facts: CallFacts)?
        for pair in nesting.pairs {
            let other = pair.inner == span ? pair.outer : pair.inner
            switch (agent, calls[other]?.told) {
            case (nil, nil): facts.subtract(pair.shared)
            case (let agent?, nil): share(pair.shared, of: other, with: agent)
            case (nil, let told?):
                let before = known?.agent == told ? known?.facts ?? [] : []
                known = (told, before.union(pair.shared))
            case (let agent?, let told?):
                if agent == told { facts.subtract(pair.shared) }
            }
        }
        return known
    }

    /// Makes sure that a call is not reported twice when both spans had come before they were known to be views of it.
    mutating func tellOnce(_ pair: (inner: SpanID, outer: SpanID, shared: CallFacts)) {
        guard let inner = calls[pair.inner], let outer = calls[pair.outer] else { return }
        switch (inner.told, outer.told) {
        case (nil, nil): groups[root(of: pair.outer)]?.changeWaiting(pair.outer) { $0.facts.subtract(pair.shared) }
        case (let agent?, nil): share(pair.shared, of: pair.outer, with: agent)
        case (nil, let agent?): share(pair.shared, of: pair.inner, with: agent)
        case (_?, _?): break
        }
    }

    /// Notes what was already reported of a call that still waits.
    private mutating func share(_ facts: CallFacts, of span: SpanID, with agent: AgentID) {
        groups[root(of: span)]?.changeWaiting(span) { item in
            let before = item.shared?.agent == agent ? item.shared?.facts ?? [] : []
            item.shared = (agent, before.union(facts))
        }
    }
}
