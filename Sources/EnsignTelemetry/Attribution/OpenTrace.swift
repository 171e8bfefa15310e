import EnsignModel

/// What is known of a trace while more of it may come.
///
/// Spans of a trace come in any order: children mostly before their parents, as a span is written when it ends. So calls
/// are not kept; what they add up to is kept in a *group*, at the topmost ancestor that is known by name. When a span
/// comes that links this ancestor to one further up, its group is added to that one's. A run is where this ends.
struct OpenTrace: Sendable {
    /// A span that has come and is no run.
    struct Link: Sendable {
        /// 0: none.
        var parent: SpanID
        /// Whether the tokens of inferences below it are in its own.
        var coversUsage: Bool
    }

    var links: [SpanID: Link] = [:]
    var groups: [SpanID: Group] = [:]
    /// When something of it came last.
    var touched: Moment

    init(touched: Moment) { self.touched = touched }

    /// Ancestors that are looked at. Further away is as good as unknown: it bounds what a span costs.
    static let depthLimit = 64

    /// Where a span's group is: the nearest run at or above it, else the topmost ancestor that is known of.
    ///
    /// - Returns: Also whether tokens on the way down from there are counted already.
    func root(of span: SpanID) -> (root: SpanID, isCovered: Bool) {
        var span = span
        var isCovered = false
        for _ in 0..<Self.depthLimit {
            if groups[span]?.run != nil { break }
            guard let link = links[span] else { break }
            isCovered = isCovered || link.coversUsage
            guard link.parent != 0 else { break }
            span = link.parent
        }
        return (span, isCovered)
    }

    var spanCount: Int { links.count + groups.count }

    /// Forgets the spans below runs once all runs are settled: only evaluations can still come, and they name runs or
    /// inferences.
    mutating func forgetCalls() {
        guard groups.values.allSatisfy({ $0.run != nil && $0.isSettled }) else { return }
        var kept: [SpanID: Link] = [:]
        for (span, link) in links where link.coversUsage {
            kept[span] = Link(parent: root(of: span).root, coversUsage: true)
        }
        links = kept
    }
}

/// What the spans below one span add up to.
struct Group: Sendable {
    /// The run, once its span has come.
    var run: Run?
    /// Whether the run's samples are out: what comes now is late.
    var isSettled = false
    /// Who the calls themselves say it is, while there is no run.
    var claimed: AgentID?
    var calls: Int64 = 0
    var failed: Int64 = 0
    var denied: Int64 = 0
    /// Tokens of inferences that are in nobody else's.
    var nested = Spending()
    /// US dollars of this group that activities have told.
    var told = 0.0
    /// What was done while it is not known by whom.
    var waiting: [Waiting] = []
    var evaluations: [Evaluation] = []

    static let waitingLimit = 256
    static let evaluationLimit = 64

    struct Waiting: Sendable {
        var kind: Activity.Kind
        var time: Moment
    }

    /// The agent that an activity is told of.
    var agent: AgentID? { run != nil ? run?.agent : claimed }

    /// What the run has cost: what it says itself, or what its inferences say, whichever is more.
    var spending: Spending {
        guard let own = run?.own else { return nested }
        return own.tokens >= nested.tokens ? own.with(nested) : nested.with(own)
    }

    /// Tells what was done before it was known by whom.
    mutating func tell(_ activities: inout [Activity]) {
        guard let agent, !waiting.isEmpty else { return }
        for item in waiting {
            activities.append(Activity(agent: agent, bundle: run?.bundle, kind: item.kind, time: item.time))
        }
        waiting = []
    }

    /// Tells how many calls the run has made.
    func tellSteps(at time: Moment, _ activities: inout [Activity]) {
        guard let agent, calls > 0 else { return }
        activities.append(Activity(agent: agent, bundle: run?.bundle, kind: .steps(calls), time: time))
    }

    /// Tells what was spent beyond what was told before.
    mutating func tellSpending(at time: Moment, _ activities: inout [Activity]) {
        guard let agent else { return }
        let spent = spending.cost - told
        guard spent > 0, spent.isFinite else { return }
        told += spent
        activities.append(Activity(agent: agent, bundle: run?.bundle, kind: .spent(spent), time: time))
    }

    /// Gives the evaluations away once it is known of which run they are.
    mutating func takeEvaluations() -> (run: Run, evaluations: [Evaluation])? {
        guard let run, !evaluations.isEmpty else { return nil }
        defer { evaluations = [] }
        return (run, evaluations)
    }

    /// Keeps what was done until it is known by whom.
    ///
    /// - Returns: Whether something older had to go for it.
    mutating func wait(for kind: Activity.Kind, at time: Moment) -> Bool {
        let isFull = waiting.count >= Self.waitingLimit
        if isFull { waiting.removeFirst() }
        waiting.append(Waiting(kind: kind, time: time))
        return isFull
    }

    /// Adds another group, whose span turned out to stand below this one's.
    mutating func add(_ other: Group) {
        calls += other.calls
        failed += other.failed
        denied += other.denied
        nested.add(other.spending)
        told += other.told
        claimed = claimed ?? other.claimed
        waiting = (waiting + other.waiting).suffix(Self.waitingLimit)
        evaluations = (evaluations + other.evaluations).suffix(Self.evaluationLimit)
    }
}

/// Tokens and what they cost.
struct Spending: Sendable {
    var tokens: Int64 = 0
    /// US dollars.
    var cost = 0.0
    /// Whether there was any usage at all.
    var isKnown = false
    /// Whether some of it cannot be: then no samples are made of it.
    var isBad = false
    /// Whether some of it has no price: then there is no sample of the cost.
    var isUnpriced = false

    mutating func add(_ other: Spending) {
        tokens = tokens.addingReportingOverflow(other.tokens).overflow ? .max : tokens + other.tokens
        cost += other.cost
        isKnown = isKnown || other.isKnown
        isBad = isBad || other.isBad
        isUnpriced = isUnpriced || other.isUnpriced
    }

    /// This amount, doubtful if the other one is bad.
    func with(_ other: Spending) -> Spending {
        var result = self
        result.isBad = isBad || other.isBad
        return result
    }
}

/// A run: an `invoke_agent` span.
struct Run: Sendable {
    /// Nil for a run of somebody who is not of this fleet: what is below it is not counted.
    var agent: AgentID?
    /// What the span says.
    var bundle: Digest?
    /// The target of the route that it counts for; nil if it counts for none.
    var target: Digest?
    /// 0: none.
    var parent: SpanID
    var hasSucceeded: Bool
    var start: Moment
    var end: Moment
    /// The run's own usage, if it has any.
    var own: Spending?
}
