import EnsignModel

/// What is known of a trace while more of it may come.
///
/// Spans of a trace come in any order: children mostly before their parents, as a span is written when it ends. What calls
/// add up to is kept in a *group*, at the topmost ancestor that is known by name. When a span comes that links this
/// ancestor to one further up, its group is added to that one's. A run is where this ends.
struct OpenTrace: Sendable {
    /// A span that has come and is not a run.
    struct Link: Sendable {
        /// 0: none.
        var parent: SpanID
        /// Whether the tokens of inferences below it are in its own.
        var coversUsage = false
        /// Whether a call below it is never a view of one above it: somebody was asked, a model or another agent.
        var isBarrier = false
        /// Whose it claims to be, where that matters: for those that cover usage.
        var claimant: AgentID?
        /// Whether it is a call or an inference: what is inside it is never a run, unless it says so itself.
        var isWork = false
        /// Whether work came in with it from another process, which may write its spans elsewhere.
        var isEntry = false
        /// Whether it says that an agent was asked that is none of a fleet: a framework's part of itself, if a run is around
        /// it.
        var isNameless = false
        /// Whether it is a call that counts elsewhere, as a gateway reported it.
        var isGateway = false
    }

    /// The name of a call; the call around it, if there is one, has not come yet.
    struct PendingName: Sendable {
        var bundle: Digest?
        var time: Moment
    }

    var links: [SpanID: Link] = [:]
    var groups: [SpanID: Group] = [:]
    var calls: [SpanID: CallNode] = [:]
    var pendingNames: [SpanID: PendingName] = [:]
    /// Runs of which it is not known whether they are the outermost ones, by the first span around them that has not come.
    var awaiting: [SpanID: [SpanID]] = [:]
    /// Nil while no run was settled since calls were forgotten.
    var forgetting: Forgetting?
    /// The end of the last run whose calls were forgotten: the call around a late one may be among them.
    var forgotten: Moment?
    /// Where calls are that a gateway reports of agents in this trace.
    var gateways: [AgentID: TraceKey] = [:]
    /// When something of it came last.
    var touched: Moment
    /// Tells it from an earlier one of the same id.
    var serial = 0
    /// Whose room it takes: a hash of the agent in whose folder it is, or that it names first; 0 while nobody is known.
    var share: UInt64 = 0

    init(touched: Moment) { self.touched = touched }

    /// The most ancestors to look at. Further away is as good as unknown: it bounds what a span costs.
    static let depthLimit = 64

    /// Where a span's group is: the nearest run at or above it, else the topmost known ancestor.
    func root(of span: SpanID) -> SpanID {
        var span = span
        for _ in 0..<Self.depthLimit {
            if groups[span]?.run != nil { break }
            guard let link = links[span], link.parent != 0 else { break }
            span = link.parent
        }
        return span
    }

    /// Whether somebody's inference below a span is counted with an inference above it.
    enum Cover: Sendable, Hashable {
        case none
        /// With one that names nobody: whether the two are the same is known when the run is.
        case unclaimed
        case counted
    }

    /// An inference inside another is the same one, seen by another instrumentation, unless they name different agents.
    func cover(above span: SpanID, of claimant: AgentID?) -> Cover {
        var span = span
        var cover = Cover.none
        for _ in 0..<Self.depthLimit {
            if let run = groups[span]?.run {
                guard run.isWeak, run.parent != 0 else { break }
                span = run.parent
                continue
            }
            guard let link = links[span] else { break }
            if link.coversUsage {
                if claimant == nil || link.claimant == claimant { return .counted }
                if link.claimant == nil { cover = .unclaimed }
            }
            guard link.parent != 0 else { break }
            span = link.parent
        }
        return cover
    }

    var spanCount: Int { links.count + groups.count }

    // MARK: Putting together

    /// What was collected below a span before it came itself.
    struct Joined: Sendable {
        /// Where it is now.
        var root: SpanID
        /// Whose it is.
        var agents: [(agent: AgentID, hasCalls: Bool)] = []
        /// Calls with no known call around them.
        var tops: [SpanID] = []
    }

    /// Puts a span that is not a run below its parent, and what was collected for it into the group above.
    ///
    /// - Returns: Nil when the span is known already.
    mutating func attach(_ span: SpanID, _ link: Link) -> Joined? {
        var link = link
        // Spans that are each other's ancestors are not a tree: the last one is then alone.
        if link.parent != 0, root(of: link.parent) == span { link.parent = 0 }
        guard links[span] == nil, groups[span]?.run == nil else { return nil }
        var below = groups.removeValue(forKey: span)
        links[span] = link
        var joined = Joined(root: root(of: span))
        guard below != nil else { return joined }
        joined.tops = below?.tops ?? []
        below?.tops = []
        if below?.hasUsage == true, link.parent != 0 { below?.leaveOut { cover(above: link.parent, of: $0) } }
        if let below { joined.agents = add(below, at: joined.root) }
        return joined
    }

    /// Adds a group to the one at a root.
    ///
    /// - Returns: Those whose sums are new by that, sorted. What stands in one of the two alone is as it was: a chain of spans, each
    ///   one further up, must not report all that is below it anew.
    mutating func add(_ other: Group, at root: SpanID) -> [(agent: AgentID, hasCalls: Bool)] {
        var other = other
        guard let group = groups[root] else {
            (other.run, other.isSettled, other.tops, other.names) = (nil, false, [], [])
            groups[root] = other
            return []
        }
        groups[root]?.add(other)
        other.run = group.run
        let grown = other.claimed.keys.filter { group.claimed[$0] != nil && $0 != group.run?.agent }
        return (grown + [group.run?.agent].compactMap { $0 }).sorted().map { ($0, other.tally(of: $0).made.calls > 0) }
    }

    /// What stands in the queue for when calls are forgotten.
    struct Forgetting: Sendable {
        /// The run that it waits behind.
        var span: SpanID
        /// When the last run was settled.
        var last: Moment
    }

    /// Notes that a run is settled.
    ///
    /// - Returns: Whether the run is to be waited for: one at a time is, however many runs a trace has.
    mutating func isToForget(behind span: SpanID, at now: Moment) -> Bool {
        guard forgetting == nil else {
            forgetting?.last = now
            return false
        }
        forgetting = Forgetting(span: span, last: now)
        return true
    }

    /// Forgets the spans below runs once all runs are settled: only evaluations can still come, and they name runs or
    /// inferences.
    mutating func forgetCalls() {
        guard groups.values.allSatisfy({ $0.run != nil && $0.isSettled || $0.isHollow }) else { return }
        groups = groups.filter { $0.value.run != nil }
        var kept: [SpanID: Link] = [:]
        for (span, link) in links where link.coversUsage {
            kept[span] = Link(parent: root(of: span), coversUsage: true, isBarrier: true, claimant: link.claimant)
        }
        links = kept
        (calls, pendingNames) = ([:], [:])
        forgotten = groups.values.compactMap { $0.run?.end }.max()
        // What others did in these runs no longer needs room.
        for span in groups.keys { groups[span]?.forgetOthers() }
    }
}
