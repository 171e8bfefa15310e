package import EnsignModel

/// What one agent should be.
package struct DesiredAgent: Sendable, Hashable {
    package var agent: AgentID
    /// Nil when the agent is not declared.
    package var compiled: CompiledBundle?
    package var declaredOnly: [String]

    package init(agent: AgentID, compiled: CompiledBundle?, declaredOnly: [String] = []) {
        self.agent = agent
        self.compiled = compiled
        self.declaredOnly = declaredOnly
    }
}

/// What the planner looks up about the recorded state. Pure from the planner's side: same answers, same plan.
package struct RecordedFleet {
    /// How many agents are live.
    package var live: Int64
    package var agent: (AgentID) throws -> RecordedAgent?
    package var bundle: (Digest) throws -> Bundle?
    /// Whether a digest became stable for an agent before its present one did, and its bundle is still kept.
    package var isEarlier: (AgentID, Digest) throws -> Bool

    package init(
        live: Int64,
        agent: @escaping (AgentID) throws -> RecordedAgent?,
        bundle: @escaping (Digest) throws -> Bundle?,
        isEarlier: @escaping (AgentID, Digest) throws -> Bool
    ) {
        self.live = live
        self.agent = agent
        self.bundle = bundle
        self.isEarlier = isEarlier
    }
}

/// The rules of an environment that planning needs.
package struct PlanRules: Sendable, Hashable {
    package var prune: Bool
    package var maxPruneShare: Double
    package var allowPrune: Bool

    package init(prune: Bool, maxPruneShare: Double, allowPrune: Bool) {
        self.prune = prune
        self.maxPruneShare = maxPruneShare
        self.allowPrune = allowPrune
    }
}

/// Decides what changes. Pure.
package enum Planner {
    /// The most removals at once: `max(1, share x live)`.
    package static func allowedRemovals(share: Double, live: Int64) -> Int64 {
        // 0.29 x 100 is 28.999999999999996: the share that people write is decimal.
        max(1, Int64(share * Double(live) + 1e-9))
    }

    /// Plans the agents that may have changed; all others stay as they are.
    package static func plan(
        environment: String,
        source: PlanSource,
        entry: PlanEntry?,
        desired: [DesiredAgent],
        recorded: RecordedFleet,
        rules: PlanRules
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
        for item in desired.sorted(by: { $0.agent < $1.agent }) {
            let live = try recorded.agent(item.agent)
            guard item.compiled != nil || rules.prune else {
                if live != nil {
                    plan.kept.append(item.agent)
                    plan.unchanged -= 1
                }
                continue
            }
            guard let change = try change(item, live, recorded) else { continue }
            plan.changes.append(change)
            if live != nil { plan.unchanged -= 1 }
        }
        plan.refusal = refusal(plan, rules)
        return plan
    }

    private static func change(
        _ item: DesiredAgent,
        _ live: RecordedAgent?,
        _ recorded: RecordedFleet
    ) throws -> PlannedChange? {
        let agent = item.agent
        let from = live?.stable
        guard let compiled = item.compiled else {
            guard let live, let from else { return nil }
            _ = live
            let difference = BundleDifference(before: try recorded.bundle(from.digest), after: nil)
            return PlannedChange(
                agent: agent,
                change: Change(agent: agent, action: .delete, from: from, to: nil, kind: .narrowing),
                difference: difference,
                route: nil,
                state: nil,
                bundle: nil,
                declaredOnly: []
            )
        }
        let isHalted = live?.isHalted ?? false
        if from?.digest == compiled.digest, isHalted == compiled.halted { return nil }
        let before = try from.flatMap { try recorded.bundle($0.digest) }
        let difference = BundleDifference(before: before, after: compiled.bundle)
        let action: Change.Action
        if live == nil {
            action = .create
        } else if compiled.halted, !isHalted {
            action = .halt
        } else if !compiled.halted, isHalted {
            action = .resume
        } else {
            action = try recorded.isEarlier(agent, compiled.digest) ? .rollback : .update
        }
        // The seam where rollouts decide: for now every change takes all sessions at once.
        let target = Route.Target(version: compiled.bundle.version, digest: compiled.digest, weight: 100)
        let route = Route(
            agent: agent,
            environment: compiled.bundle.environment,
            phase: compiled.halted ? .halted : .stable,
            targets: compiled.halted ? [] : [target]
        )
        return PlannedChange(
            agent: agent,
            change: Change(agent: agent, action: action, from: from, to: compiled.side, kind: difference.kind),
            difference: difference,
            route: route,
            state: compiled.halted ? AgentState(stable: compiled.side, haltedByGit: true) : nil,
            bundle: compiled,
            declaredOnly: item.declaredOnly
        )
    }

    private static func refusal(_ plan: Plan, _ rules: PlanRules) -> PruneRefusal? {
        let removed = Int64(plan.changes.count { $0.change.action == .delete })
        guard removed > 0, !rules.allowPrune else { return nil }
        let allowed = allowedRemovals(share: rules.maxPruneShare, live: plan.liveBefore)
        let isEmpty = plan.liveAfter == 0
        guard isEmpty || removed > allowed else { return nil }
        return PruneRefusal(removed: removed, live: plan.liveBefore, allowed: allowed, isEmpty: isEmpty)
    }
}
