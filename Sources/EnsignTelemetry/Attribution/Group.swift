import EnsignModel

/// The sum of the spans below one span: for each agent that they name, and for those that name none.
///
/// A call counts for the agent that it names, whoever's run it is in: a workflow's trace has calls of many agents, and
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
    /// What was done by somebody who is not known yet.
    var waiting: [Waiting] = []
    var evaluations: [Evaluation] = []
    /// Calls of which it is not known whether there is a call around them.
    var tops: [SpanID] = []
    /// When the last agent's span inside the run ended that failed; nil if none did.
    var failed: Moment?
    /// When the last call, inference or agent inside it started; nil if there was none.
    var began: Moment?
    /// What servers call what was asked of them, by the name of the call around.
    var aliases: [String: String] = [:]
    /// What a gateway reported calls of.
    var names: Set<String> = []
    /// How much was said of agents for which there was no room.
    var dropped: Int64 = 0

    /// The most agents that are told apart; those without a route here are one of them. Work of more under one span is made up:
    /// what a span costs is bounded by this.
    static let claimedLimit = 256
    static let waitingLimit = 256
    static let evaluationLimit = 64
    static let aliasLimit = 64
    static let nameLimit = 64

    /// A call that was not reported yet.
    struct Waiting: Sendable {
        var span: SpanID
        /// Nil if it named nobody.
        var claimant: AgentID?
        var call: ToolCall
        /// What of it must be reported.
        var facts: CallFacts
        /// What was already reported of it, through another view of it.
        var shared: (agent: AgentID, facts: CallFacts)?
        var time: Moment

        /// What must still be reported to an agent; nil for nothing.
        func call(for agent: AgentID) -> ToolCall? {
            call.telling(shared?.agent == agent ? facts.subtracting(shared?.facts ?? []) : facts)
        }
    }

    /// All calls, whoever's.
    var calls: Int64 { claimed.values.reduce(unclaimed.made.calls) { $0 + $1.made.calls } }

    /// Whether there was any usage, whoever's.
    var hasUsage: Bool { unclaimed.nested.isKnown || claimed.values.contains { $0.nested.isKnown } }

    /// Calls of others than the run's agent: they are in no sample of it.
    var callsOfOthers: Int64 {
        run == nil ? 0 : claimed.reduce(0) { $0 + ($1.key == run?.agent ? 0 : $1.value.made.calls) }
    }

    /// What counts for an agent: what names it, and in its own run what names nobody.
    func tally(of agent: AgentID) -> Tally {
        let own = claimed[agent] ?? Tally()
        return run?.agent == agent ? own.adding(unclaimed).countingOnce : own
    }

    mutating func change(_ claimant: AgentID?, _ body: (inout Tally) -> Void) {
        guard let claimant else { return body(&unclaimed) }
        guard hasRoom(for: claimant) else { return drop(1) }
        body(&claimed[claimant, default: Tally()])
    }

    private func hasRoom(for agent: AgentID) -> Bool {
        claimed[agent] != nil || claimed.count < Self.claimedLimit || agent == run?.agent
    }

    private mutating func drop(_ count: Int64) { dropped = dropped.adding(saturating: count) }

    /// Takes back what an outer view of a call said and an inner one says too.
    ///
    /// Where one of them names an agent and the other nobody, both stay with their owners, and are put together in that
    /// agent's own run alone: so nobody takes calls away from a run by writing a span around them.
    mutating func countOnce(_ facts: CallFacts, _ outer: AgentID?, _ inner: AgentID?) {
        if outer == inner {
            change(outer) { $0.made.remove(facts) }
        } else if let agent = outer ?? inner {
            change(agent) { $0.shared.add(facts) }
        }
    }

    /// What a run of an agent has cost: what it says itself, or what its inferences say, whichever is more.
    func spending(of agent: AgentID) -> Spending {
        let nested = tally(of: agent).nested
        guard let run, run.agent == agent else { return nested }
        guard let own = run.own else { return nested.priced(by: run.price) }
        return (own.tokens >= nested.tokens ? own.with(nested) : nested.with(own)).priced(by: run.price)
    }

    /// Whether the run came to its end as it should: its span says so, and no agent inside it failed as the last thing
    /// that happened. What goes on afterwards, such as a second attempt, has recovered from it.
    var hasSucceeded: Bool {
        guard run?.hasSucceeded == true else { return false }
        guard let failed else { return true }
        return began.map { $0 > failed } ?? false
    }

    mutating func note(start: Moment) { began = max(began ?? start, start) }

    mutating func note(failure end: Moment) { failed = max(failed ?? end, end) }

    /// Reports what an agent spent beyond what was reported before.
    mutating func tellSpending(of agent: AgentID, at time: Moment, _ activities: inout [Activity]) {
        let spent = spending(of: agent).cost - tally(of: agent).told
        guard spent > 0, spent.isFinite else { return }
        change(agent) { $0.told += spent }
        activities.append(Activity(agent: agent, bundle: bundle(of: agent), kind: .spent(spent), time: time))
    }

    /// The bundle of an agent's run, if this is one.
    func bundle(of agent: AgentID) -> Digest? { run?.agent == agent ? run?.bundle : nil }

    /// The bundle of a call: if it names its agent, what it says itself comes first; a call that names nobody ran with
    /// the run's.
    func bundle(of agent: AgentID, isNamed: Bool, own: Digest?) -> Digest? {
        isNamed ? own ?? bundle(of: agent) : bundle(of: agent) ?? own
    }

    /// Accepts a server's own name for what is called by another one here. A call that is many things under one name
    /// hides what they are: each has one other name.
    mutating func takeAlias(_ alias: String, for name: String) -> Bool {
        if let known = aliases[name] { return known == alias }
        guard aliases.count < Self.aliasLimit else { return false }
        aliases[name] = alias
        return true
    }

    /// Gives the evaluations away once their run is known.
    mutating func takeEvaluations() -> (run: Run, evaluations: [Evaluation])? {
        guard let run, !evaluations.isEmpty else { return nil }
        defer { evaluations = [] }
        return (run, evaluations)
    }

    /// Keeps what was done until its agent is known.
    ///
    /// - Returns: Whether something older had to go for it.
    mutating func wait(for item: Waiting) -> Bool {
        let isFull = waiting.count >= Self.waitingLimit
        if isFull { waiting.removeFirst() }
        waiting.append(item)
        return isFull
    }

    mutating func changeWaiting(_ span: SpanID, _ change: (inout Waiting) -> Void) {
        for index in waiting.indices where waiting[index].span == span { change(&waiting[index]) }
    }

    /// Adds another group, whose span turned out to be below this one's. Its tops are the caller's.
    mutating func add(_ other: Group) {
        unclaimed = unclaimed.adding(other.unclaimed)
        for (agent, tally) in other.claimed {
            if hasRoom(for: agent) {
                claimed[agent] = (claimed[agent] ?? Tally()).adding(tally)
            } else {
                drop(tally.made.calls.adding(saturating: tally.nested.isKnown ? 1 : 0))
            }
        }
        drop(other.dropped)
        waiting = (waiting + other.waiting).suffix(Self.waitingLimit)
        evaluations = (evaluations + other.evaluations).suffix(Self.evaluationLimit)
        for (name, alias) in other.aliases where aliases.count < Self.aliasLimit {
            aliases[name] = aliases[name] ?? alias
        }
        if let began = other.began { note(start: began) }
        if let failed = other.failed { note(failure: failed) }
    }

    /// Adds the same run, seen from inside.
    mutating func add(sameRun other: Group, of agent: AgentID) {
        var other = other
        if let inner = other.run, !inner.isWeak {
            note(start: inner.start)
            if !inner.hasSucceeded { note(failure: inner.end) }
        }
        if run?.session == nil { run?.session = other.run?.session }
        if other.run?.isWorkflow == true || other.run?.isWeak == false { run?.isWorkflow = true }
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

    /// Whether there is nothing in it but calls whose surroundings are not known.
    var isHollow: Bool {
        run == nil && waiting.isEmpty && evaluations.isEmpty && claimed.isEmpty && unclaimed.made == CallCounts()
            && !unclaimed.nested.isKnown
    }

    mutating func forgetOthers() { claimed = claimed.filter { $0.key == run?.agent } }
}

extension ToolCall {
    /// The part of the call that must be reported; nil for nothing.
    func telling(_ facts: CallFacts) -> ToolCall? {
        guard !facts.isDisjoint(with: .told) else { return nil }
        var call = self
        if !facts.contains(.arguments) { call.arguments = nil }
        if !facts.contains(.denied) { call.isDenied = false }
        call.isNamed = facts.contains(.name)
        return call
    }
}
