package import EnsignModel

/// A span of a trace.
package struct SpanKey: Sendable, Hashable {
    var trace: TraceKey
    var span: SpanID
}

/// What became of a span.
package enum Fate: Sendable, Hashable {
    /// A run that was counted.
    case run(agent: AgentID, bundle: Digest, hasSucceeded: Bool, cost: Cost)
    /// A part of a run of the same agent.
    case part
    /// A call or an inference in a run that was counted.
    case counted(agent: AgentID, bundle: Digest)
    /// Another view of a call in a run that was counted.
    case view
    /// Something else in a run that was counted.
    case inside
    /// A call or an inference that counts for no run; it may be in one of somebody else.
    case orphan(isInRun: Bool)
    /// It does not count.
    case rejected(Rejection)

    /// What is known of what a run cost.
    package enum Cost: Sendable, Hashable {
        /// No span says anything of tokens.
        case none
        case priced
        /// By the price of the bundle's own model, because this one has none.
        case fallback(String)
        case unpriced(String)
        case impossible
    }
}

extension SpanEvent {
    /// Finds the fate that belongs to a span again.
    package var fateKey: SpanKey { spanKey }
}

extension Fate.Cost {
    init(_ spending: Spending) {
        if !spending.isKnown {
            self = .none
        } else if spending.isBad {
            self = .impossible
        } else if spending.isUnpriced {
            self = .unpriced(spending.openModel ?? "")
        } else {
            self = spending.fallbacks > 0 ? .fallback(spending.openModel ?? "") : .priced
        }
    }
}

extension OpenTrace {
    /// What became of a run and of what is in it.
    ///
    /// - Parameters:
    ///   - own: What became of the run itself, which counts for this agent and bundle.
    ///   - isOfGateway: Whether a gateway's report of its calls counts in place of its own.
    func fates(
        of run: SpanKey,
        _ own: Fate,
        for agent: AgentID,
        _ bundle: Digest,
        isOfGateway: Bool
    ) -> [(span: SpanKey, fate: Fate)] {
        var fates: [(span: SpanKey, fate: Fate)] = [(run, own)]
        let outer = outerViews(of: agent)
        // What becomes of a gateway's calls is said where they count.
        for (span, link) in links where !link.isGateway && root(of: span) == run.span {
            let claimant = calls[span]?.claimant ?? link.claimant
            let fate: Fate
            if !link.isWork || isOfGateway && calls[span] != nil && claimant ?? agent == agent {
                fate = .inside
            } else if let claimant, claimant != agent {
                fate = .orphan(isInRun: true)
            } else if outer.contains(span) {
                fate = .view
            } else {
                fate = .counted(agent: agent, bundle: bundle)
            }
            fates.append((SpanKey(trace: run.trace, span: span), fate))
        }
        return fates
    }

    /// Calls that were counted with a view inside them, in runs of an agent.
    private func outerViews(of agent: AgentID) -> Set<SpanID> {
        var spans: Set<SpanID> = []
        for node in calls.values where node.claimant == nil || node.claimant == agent {
            guard let outer = node.outer, calls[outer]?.said.contains(.made) == false else { continue }
            spans.insert(outer)
        }
        return spans
    }

    /// Calls and inferences that are in no run that was counted.
    func orphans(in key: TraceKey) -> [(span: SpanKey, fate: Fate)] {
        links.compactMap { span, link in
            guard link.isWork, !link.isGateway, groups[root(of: span)]?.run?.target == nil else { return nil }
            return (SpanKey(trace: key, span: span), .orphan(isInRun: false))
        }
    }
}

extension Attribution.Output {
    mutating func add(_ other: Attribution.Output) {
        samples += other.samples
        activities += other.activities
        rulings += other.rulings
        rejections.add(other.rejections)
        fates += other.fates
    }
}
