import EnsignJudge
import EnsignModel

/// Decides what changes. Pure.
package enum Planner {
    /// The most removals at once: `max(1, share x live)`.
    package static func allowedRemovals(share: Double, live: Int64) -> Int64 {
        // 0.29 x 100 is 28.999999999999996: people write decimal shares.
        max(1, Int64(share * Double(live) + 1e-9))
    }

    /// Plans the agents that may have changed; all others stay as they are.
    package static func plan(
        environment: String,
        source: PlanSource,
        entry: PlanEntry?,
        desired: [DesiredAgent],
        recorded: RecordedFleet,
        rules: PlanRules,
        context: RolloutContext
    ) throws -> Plan {
        var plan = Plan(
            environment: environment,
            source: source,
            entry: entry,
            changes: [],
            unchanged: recorded.live,
            kept: [],
            liveBefore: recorded.live,
            refusal: nil
        )
        var recorded = recorded
        if let request = context.request { try follow(request, desired, &recorded, &plan) }
        let delegated = delegated(desired, recorded)
        let all = try Successions(desired, recorded, rules, context)
        let (successions, teams) = try all?.find(desired) ?? ([:], [:])
        for (new, old) in teams.sorted(by: { $0.key < $1.key }) { goOn(new, as: old, &recorded, &plan) }
        var moved: [AgentID: AgentID] = [:]
        for (agent, succession) in successions { if let old = succession.renamedFrom { moved[old] = agent } }
        if let all { moved.merge(all.followed(moved)) { direct, _ in direct } }
        // What goes depends on all others; canaries share the environment's places. Whatever else there is, is planned and
        // let go of one by one: there may be a hundred thousand.
        let removes = desired.contains { $0.compiled == nil }
        var works: [AgentWork] = []
        var failed: Set<Digest> = []
        if recorded.live == 0 { plan.changes.reserveCapacity(desired.count) }
        for item in desired.sorted(by: { $0.agent < $1.agent }) {
            guard item.compiled != nil || rules.prune else {
                guard try recorded.agent(item.agent)?.isLive == true else { continue }
                // Git says nothing of it, and an operator may; what it shares with others may give it less.
                let count = plan.changes.count
                var work = try work(item, delegated, (nil, nil), recorded, context)
                try narrow(&work, recorded, context)
                try work.machine.handle(.kept(narrowed: work.narrowedStable))
                try plan.take(work, recorded, context)
                guard plan.changes.count == count else { continue }
                plan.kept.append(item.agent)
                plan.unchanged -= 1
                continue
            }
            let names = (successions[item.agent], moved[item.agent])
            let work = try work(item, delegated, names, recorded, context)
            failed.formUnion(work.failed)
            if removes || work.machine.state.trial != nil {
                works.append(work)
            } else {
                try plan.take(work, recorded, context)
            }
        }
        try place(&works, except: failed, context)
        plan.leaving = try remove(&works, recorded, context)
        for work in works { try plan.take(work, recorded, context) }
        plan.changes.sort { $0.agent < $1.agent }
        plan.held.sort { $0.agent < $1.agent }
        // What waits to go counts when it begins to, and not again when it goes.
        plan.refusal = refusal(plan, removed: Int64(works.count(where: \.isLeavingNow)), rules)
        return plan
    }

    private static func delegated(_ desired: [DesiredAgent], _ recorded: RecordedFleet) -> DelegatedAuthority {
        let coming = Dictionary(desired.map { ($0.agent, $0) }) { first, _ in first }
        func running(_ agent: AgentID) throws -> Bundle? {
            try recorded.agent(agent)?.stable.flatMap { try recorded.bundle($0.digest) }
        }
        return DelegatedAuthority(was: running) { agent in
            if let item = coming[agent] { return try item.compiled?.bundle }
            return try running(agent)
        }
    }

    /// Ends the stop of a team or of everything that an operator asks to end.
    private static func follow(
        _ request: OperatorRequest,
        _ desired: [DesiredAgent],
        _ recorded: inout RecordedFleet,
        _ plan: inout Plan
    ) throws {
        if !request.agents.isEmpty, !desired.contains(where: { request.agents.contains($0.agent) }) {
            throw RolloutRefusal.noVersion
        }
        guard let scope = request.scope, recorded.halts[scope] != nil else { return }
        recorded.halts[scope] = nil
        plan.halts = recorded.halts
        plan.fleetChanges.append(
            recorded.halts.change(.resume, scope, reason: request.reason, by: request.by)
        )
    }

    /// What stops a team stops it under its new name too; the old name stays stopped.
    private static func goOn(_ new: String, as old: String, _ recorded: inout RecordedFleet, _ plan: inout Plan) {
        guard let halt = recorded.halts.teams[old] else { return }
        recorded.halts.teams[new] = halt
        plan.halts = recorded.halts
        plan.fleetChanges.append(
            recorded.halts.change(
                .halt,
                .team(new),
                reason: "team \(old) is halted, and goes on as \(new): \(halt.reason)",
                by: halt.by
            )
        )
    }

    /// Why an agent is not what git asks for; nil when nothing holds it.
    fileprivate static func held(_ work: AgentWork) throws -> HeldAgent? {
        guard let reason = work.machine.held, let wanted = work.item.compiled?.side else { return nil }
        var held = HeldAgent(agent: work.item.agent, wanted: wanted, reason: reason)
        held.stable = work.machine.state.stable
        held.because = because(reason, work)
        if case .waits(let until, _)? = work.promotion { held.until = until }
        switch reason {
        case .halted, .quarantined, .soaking:
            if held.stable?.digest != wanted.digest { held.difference = try work.difference?.read() }
        case .queued, .paused, .inconclusive, .noData, .error: break
        }
        return held
    }

    /// The reason given when the agent was stopped, or its version quarantined.
    private static func because(_ reason: HeldReason, _ work: AgentWork) -> String? {
        let state = work.machine.state
        switch reason {
        case .halted: return state.halt?.reason
        case .soaking: if case .waits(_, let why)? = work.promotion { return why } else { return nil }
        case .quarantined:
            guard let wanted = work.item.compiled else { return nil }
            return state.quarantine(of: work.machine.wanted ?? wanted.identity)?.reason
        case .queued, .paused, .inconclusive, .noData, .error: return nil
        }
    }

    /// Gives places to candidates that wait: the oldest wanted commit first, then by name.
    ///
    /// - Parameter failed: Artifacts that this plan quarantines or stops: the next one decides about others that bring them.
    private static func place(_ works: inout [AgentWork], except failed: Set<Digest>, _ context: RolloutContext) throws
    {
        var places = context.concurrentRollouts ?? .max
        // The canary of an agent that git no longer declares ends.
        for work in works where work.item.compiled != nil && work.machine.state.canary != nil && places != .max {
            places = max(0, places - 1)
        }
        let queue = works.indices.filter { works[$0].queued != nil }.sorted { left, right in
            let (left, right) = (works[left], works[right])
            // One that was renamed had its place.
            guard left.hadPlace == right.hadPlace else { return left.hadPlace }
            guard let first = left.queued, let second = right.queued else { return false }
            return (first.wanted, left.item.agent) < (second.wanted, right.item.agent)
        }
        for index in queue {
            guard case .canary(let canary) = works[index].item.rollout, places > 0,
                works[index].queued.map({ !failed.contains($0.artifact) }) == true
            else {
                works[index].machine.wait()
                continue
            }
            try works[index].machine.handle(.place(canary))
            if places != .max { places -= 1 }
        }
    }

    /// When the canary's hold or its deadline ends; nil when neither is ahead.
    fileprivate static func due(_ work: AgentWork, _ context: RolloutContext) -> Timestamp? {
        if case .soaking(_, let soak)? = work.machine.state.rollout {
            return soak.until.flatMap { $0 > context.now ? $0 : nil }
        }
        guard let (_, progress) = work.machine.state.canary, case .canary(let canary) = work.item.rollout else {
            return nil
        }
        return progress.due(canary, after: context.now)
    }

    static func refusal(_ plan: Plan, removed: Int64, _ rules: PlanRules) -> PruneRefusal? {
        guard removed > 0, !rules.allowPrune else { return nil }
        let allowed = allowedRemovals(share: rules.maxPruneShare, live: plan.liveBefore)
        let isEmpty = plan.liveAfter == 0
        guard isEmpty || removed > allowed else { return nil }
        return PruneRefusal(removed: removed, live: plan.liveBefore, allowed: allowed, isEmpty: isEmpty)
    }
}

extension Plan {
    /// Takes up what becomes of one agent.
    fileprivate mutating func take(_ work: AgentWork, _ recorded: RecordedFleet, _ context: RolloutContext) throws {
        if let held = try Planner.held(work) { self.held.append(held) }
        if let due = Planner.due(work, context) { self.due = min(self.due ?? due, due) }
        guard let change = try Planner.change(work, recorded, environment) else { return }
        changes.append(change)
        if work.before?.isLive == true { unchanged -= 1 }
    }
}
