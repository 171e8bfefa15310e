import EnsignModel

/// Which span is a run: the outermost one of its agent (docs/telemetry.md, "Runs").
extension OpenTrace {
    /// Where a run is.
    enum Place: Sendable, Hashable {
        /// In a run of the same agent: it is a part of that one.
        case within(SpanID)
        /// In a call or an inference, so that it is not a run: only for what does not say itself that an agent was asked.
        case inside
        /// Nothing of its agent is around it.
        case outermost
        /// Its ancestors have come up to here, the first one that is missing.
        case open(SpanID, isEntered: Bool)
    }

    /// The most runs that wait for one span: it bounds what the span costs.
    static let awaitingLimit = 256

    /// Finds the place of something of an agent that is below this parent.
    func place(of agent: AgentID?, isWeak: Bool, below parent: SpanID) -> Place {
        var span = parent
        var isEntered = false
        for _ in 0..<Self.depthLimit {
            guard span != 0 else { return .outermost }
            if let run = groups[span]?.run {
                return agent != nil && run.agent == agent ? .within(span) : .outermost
            }
            guard let link = links[span] else { return .open(span, isEntered: isEntered) }
            if isWeak, link.isWork { return .inside }
            isEntered = isEntered || link.isEntry
            span = link.parent
        }
        // Further away is as good as unknown.
        return isWeak ? .inside : .outermost
    }

    /// What changed when a span came for which runs had waited.
    struct Arrival: Sendable {
        /// Runs that are known to be outermost ones now.
        var completed: [SpanID] = []
        /// Runs that have grown by others.
        var grown: Set<SpanID> = []
        /// Runs whose parts were counted before they came.
        var counted: Set<SpanID> = []
        /// Spans that turned out to be parts of a run.
        var parts: [SpanID] = []
        /// Parts of runs that were counted before these came.
        var late: [SpanID] = []

        static func += (left: inout Arrival, right: Arrival) {
            left.completed += right.completed
            left.grown.formUnion(right.grown)
            left.counted.formUnion(right.counted)
            left.parts += right.parts
            left.late += right.late
        }
    }

    /// Looks at a run's place, and at it again when a span came for which it had waited.
    mutating func settlePlace(of span: SpanID, below parent: SpanID, _ arrival: inout Arrival) {
        guard let group = groups[span], let run = group.run, let agent = run.agent else { return }
        switch place(of: agent, isWeak: run.isWeak, below: parent) {
        case .within(let outer) where groups[outer]?.run?.target == nil: complete(span, &arrival)
        case .within(let outer):
            let isOver = groups[outer]?.isSettled == true
            if group.isSettled {
                // It was counted by itself: what is around it must not count it again.
                if run.target != nil, !isOver { arrival.counted.insert(outer) }
                return
            }
            absorb(span, into: outer)
            arrival.grown.insert(outer)
            if isOver { arrival.late.append(span) } else { arrival.parts.append(span) }
        case .inside:
            guard !group.isSettled else { return }
            demote(span, to: root(of: parent))
            arrival.parts.append(span)
        case .outermost: complete(span, &arrival)
        case .open(let missing, let isEntered):
            var waiting = awaiting[missing] ?? []
            guard waiting.count < Self.awaitingLimit else { return complete(span, &arrival) }
            waiting.append(span)
            awaiting[missing] = waiting
            if isEntered { complete(span, &arrival) }
        }
    }

    private mutating func complete(_ span: SpanID, _ arrival: inout Arrival) {
        guard groups[span]?.run?.isComplete == false else { return }
        groups[span]?.run?.isComplete = true
        arrival.completed.append(span)
    }

    /// Looks again at runs that waited for a span.
    mutating func arrived(_ span: SpanID) -> Arrival {
        var arrival = Arrival()
        guard let waiting = awaiting.removeValue(forKey: span) else { return arrival }
        for run in waiting { settlePlace(of: run, below: span, &arrival) }
        return arrival
    }

    /// Makes a run a part of the one around it.
    private mutating func absorb(_ span: SpanID, into outer: SpanID) {
        guard var group = groups.removeValue(forKey: span), let run = group.run, let agent = run.agent else { return }
        if run.own != nil || group.hasUsage {
            // Another part around it has said the same tokens.
            if cover(above: run.parent, of: agent) == .counted { group.run?.own = nil }
            group.leaveOut { cover(above: run.parent, of: $0) }
        }
        // What is still to come below it is in its own tokens, if it says any.
        links[span] = Link(
            parent: run.parent,
            coversUsage: run.own != nil,
            isBarrier: !run.isWeak,
            claimant: run.own == nil ? nil : agent
        )
        groups[outer]?.add(sameRun: group, of: agent)
    }

    /// Makes what only carries a bundle a link again, with what was collected for it, before the call or inference around
    /// it is put in its place.
    mutating func demoteWaiting(for span: SpanID) {
        guard let waiting = awaiting[span] else { return }
        var rest: [SpanID] = []
        for part in waiting {
            if let group = groups[part], group.run?.isWeak == true, !group.isSettled {
                demote(part, to: span)
            } else {
                rest.append(part)
            }
        }
        awaiting[span] = rest.isEmpty ? nil : rest
    }

    mutating func demote(_ span: SpanID, to root: SpanID) {
        guard var group = groups.removeValue(forKey: span), let run = group.run else { return }
        group.run = nil
        links[span] = Link(parent: run.parent)
        groups[root, default: Group()].add(group)
    }

    /// Whether a run is a part, come too late, of one whose calls are forgotten, and with them what was around this one.
    func isLatePart(_ span: SpanID, _ run: Run) -> Bool {
        guard let forgotten, run.end <= forgotten,
            case .open = place(of: run.agent, isWeak: run.isWeak, below: run.parent)
        else { return false }
        return true
    }

    /// Rebuilds who waits for whom.
    mutating func rebuildAwaiting() {
        awaiting = [:]
        for (span, group) in groups.sorted(by: { $0.key < $1.key }) {
            guard let run = group.run, let agent = run.agent,
                case .open(let missing, _) = place(of: agent, isWeak: run.isWeak, below: run.parent),
                awaiting[missing]?.count ?? 0 < Self.awaitingLimit
            else { continue }
            awaiting[missing, default: []].append(span)
        }
    }
}
