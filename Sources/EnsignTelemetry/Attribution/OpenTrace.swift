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
        /// Whose it says that it is, where that matters: of those that cover usage.
        var claimant: AgentID?
    }

    var links: [SpanID: Link] = [:]
    var groups: [SpanID: Group] = [:]
    /// When something of it came last.
    var touched: Moment

    init(touched: Moment) { self.touched = touched }

    /// Ancestors that are looked at. Further away is as good as unknown: it bounds what a span costs.
    static let depthLimit = 64

    /// Where a span's group is: the nearest run at or above it, else the topmost ancestor that is known of.
    func root(of span: SpanID) -> SpanID {
        var span = span
        for _ in 0..<Self.depthLimit {
            if groups[span]?.run != nil { break }
            guard let link = links[span], link.parent != 0 else { break }
            span = link.parent
        }
        return span
    }

    /// Whether an inference of somebody's below a span is counted with an inference above it.
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
            if groups[span]?.run != nil { break }
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

    /// Forgets the spans below runs once all runs are settled: only evaluations can still come, and they name runs or
    /// inferences.
    mutating func forgetCalls() {
        guard groups.values.allSatisfy({ $0.run != nil && $0.isSettled }) else { return }
        var kept: [SpanID: Link] = [:]
        for (span, link) in links where link.coversUsage {
            kept[span] = Link(parent: root(of: span), coversUsage: true, claimant: link.claimant)
        }
        links = kept
        // What others did in these runs needs no room any more.
        for span in groups.keys { groups[span]?.forgetOthers() }
    }
}

/// What the spans below one span add up to: for each agent that they name, and for those that name none.
///
/// A call counts for the agent that it names, whoever's run it stands in: a workflow's trace has calls of many agents, and
/// nobody may be charged with what another one wrote into their trace. What names nobody is the run's.
struct Group: Sendable {
    /// The run, once its span has come.
    var run: Run?
    /// Whether the run's samples are out: what comes now is late.
    var isSettled = false
    /// What names no agent.
    var unclaimed = Tally()
    /// What names an agent, one with a route or not.
    var claimed: [AgentID: Tally] = [:]
    /// What was done while it is not known by whom.
    var waiting: [Waiting] = []
    var evaluations: [Evaluation] = []

    static let waitingLimit = 256
    static let evaluationLimit = 64

    struct Waiting: Sendable {
        /// Nil if it named nobody.
        var claimant: AgentID?
        var kind: Activity.Kind
        var time: Moment
    }

    /// All calls, whoever's.
    var calls: Int64 { claimed.values.reduce(unclaimed.calls) { $0 + $1.calls } }

    /// Whether there was any usage, whoever's.
    var hasUsage: Bool { unclaimed.nested.isKnown || claimed.values.contains { $0.nested.isKnown } }

    /// Calls of others than the run's agent: they are in no sample of it.
    var callsOfOthers: Int64 { run == nil ? 0 : claimed.reduce(0) { $0 + ($1.key == run?.agent ? 0 : $1.value.calls) } }

    /// What counts for an agent: what names it, and in its own run what names nobody.
    func tally(of agent: AgentID) -> Tally {
        let own = claimed[agent] ?? Tally()
        return run?.agent == agent ? own.adding(unclaimed).countingOnce : own
    }

    /// Those for whom something counts.
    var agents: [AgentID] {
        var agents = claimed.keys.sorted()
        if let agent = run?.agent, claimed[agent] == nil { agents.append(agent) }
        return agents
    }

    mutating func change(_ claimant: AgentID?, _ body: (inout Tally) -> Void) {
        guard let claimant else { return body(&unclaimed) }
        body(&claimed[claimant, default: Tally()])
    }

    /// What a run of an agent has cost: what it says itself, or what its inferences say, whichever is more.
    func spending(of agent: AgentID) -> Spending {
        let nested = tally(of: agent).nested
        guard run?.agent == agent, let own = run?.own else { return nested }
        return own.tokens >= nested.tokens ? own.with(nested) : nested.with(own)
    }

    /// Tells what was done before it was known by whom.
    mutating func tell(_ activities: inout [Activity]) {
        guard let run, !waiting.isEmpty else { return }
        if let agent = run.agent {
            for item in waiting where item.claimant == nil || item.claimant == agent {
                activities.append(Activity(agent: agent, bundle: run.bundle, kind: item.kind, time: item.time))
            }
        }
        waiting = []
    }

    /// Tells how many calls an agent has made in the run.
    func tellSteps(of agent: AgentID, at time: Moment, _ activities: inout [Activity]) {
        let calls = tally(of: agent).calls
        guard calls > 0 else { return }
        activities.append(Activity(agent: agent, bundle: bundle(of: agent), kind: .steps(calls), time: time))
    }

    /// Tells what an agent spent beyond what was told before.
    mutating func tellSpending(of agent: AgentID, at time: Moment, _ activities: inout [Activity]) {
        let spent = spending(of: agent).cost - tally(of: agent).told
        guard spent > 0, spent.isFinite else { return }
        change(agent) { $0.told += spent }
        activities.append(Activity(agent: agent, bundle: bundle(of: agent), kind: .spent(spent), time: time))
    }

    /// The bundle of an agent's run, if this is one.
    func bundle(of agent: AgentID) -> Digest? { run?.agent == agent ? run?.bundle : nil }

    /// Gives the evaluations away once it is known of which run they are.
    mutating func takeEvaluations() -> (run: Run, evaluations: [Evaluation])? {
        guard let run, !evaluations.isEmpty else { return nil }
        defer { evaluations = [] }
        return (run, evaluations)
    }

    /// Keeps what was done until it is known by whom.
    ///
    /// - Returns: Whether something older had to go for it.
    mutating func wait(for kind: Activity.Kind, of claimant: AgentID?, at time: Moment) -> Bool {
        let isFull = waiting.count >= Self.waitingLimit
        if isFull { waiting.removeFirst() }
        waiting.append(Waiting(claimant: claimant, kind: kind, time: time))
        return isFull
    }

    /// Adds another group, whose span turned out to stand below this one's.
    mutating func add(_ other: Group) {
        unclaimed = unclaimed.adding(other.unclaimed)
        for (agent, tally) in other.claimed { claimed[agent] = (claimed[agent] ?? Tally()).adding(tally) }
        waiting = (waiting + other.waiting).suffix(Self.waitingLimit)
        evaluations = (evaluations + other.evaluations).suffix(Self.evaluationLimit)
    }

    /// Adds the same run, seen from the called side.
    mutating func add(sameRun other: Group, of agent: AgentID) {
        var other = other
        let spending = other.spending(of: agent)
        other.unclaimed.nested = Spending()
        other.change(agent) { ($0.nested, $0.inside) = (spending, Spending()) }
        add(other)
    }

    /// Puts an inference's own usage around that of the inferences below it: of the two the larger total counts.
    ///
    /// - Parameter claimant: Whom the inference names.
    mutating func cover(with own: Spending, of claimant: AgentID?) {
        var below = unclaimed.nested
        unclaimed.nested = Spending()
        if let claimant {
            below.add(claimed[claimant]?.countingOnce.nested ?? Spending())
        } else {
            for (agent, tally) in claimed {
                claimed[agent]?.inside = own.tokens >= tally.nested.tokens ? tally.nested : own
            }
        }
        change(claimant) { tally in
            tally.nested = own.tokens >= below.tokens ? own.with(below) : below.with(own)
            if claimant != nil { tally.inside = Spending() }
        }
    }

    /// Takes out what is counted with an inference above.
    mutating func leaveOut(_ cover: (_ claimant: AgentID?) -> OpenTrace.Cover) {
        if cover(nil) != .none { unclaimed.nested = Spending() }
        for (agent, tally) in claimed where tally.nested.isKnown {
            switch cover(agent) {
            case .none: break
            case .unclaimed: claimed[agent]?.inside = tally.nested
            case .counted:
                claimed[agent]?.nested = Spending()
                claimed[agent]?.inside = Spending()
            }
        }
    }

    mutating func forgetOthers() { claimed = claimed.filter { $0.key == run?.agent } }
}

/// What calls and inferences add up to.
struct Tally: Sendable {
    var calls: Int64 = 0
    var failed: Int64 = 0
    var denied: Int64 = 0
    /// Tokens of inferences that are in nobody else's.
    var nested = Spending()
    /// Of that, what inferences around them that name nobody have counted too.
    var inside = Spending()
    /// US dollars that activities have told.
    var told = 0.0

    /// With an agent's own inferences and those that name nobody together, what is in both counts once.
    var countingOnce: Tally {
        var result = self
        result.nested.tokens = max(0, nested.tokens - inside.tokens)
        result.nested.cost = max(0, nested.cost - inside.cost)
        result.inside = Spending()
        return result
    }

    func adding(_ other: Tally) -> Tally {
        var result = self
        result.calls += other.calls
        result.failed += other.failed
        result.denied += other.denied
        result.nested.add(other.nested)
        result.inside.add(other.inside)
        result.told += other.told
        return result
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
