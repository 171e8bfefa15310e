package import EnsignModel

/// What one agent should be.
package struct DesiredAgent: Sendable, Hashable {
    package var agent: AgentID
    /// Nil when the agent is not declared.
    package var compiled: CompiledBundle?
    /// How it takes over: the deployment's own rollout, else the environment's, else at once.
    package var rollout: Rollout
    /// When it was asked for; nil stands for the time of the desired commit.
    package var wanted: Timestamp?
    package var declaredOnly: [String]

    package init(
        agent: AgentID,
        compiled: CompiledBundle?,
        rollout: Rollout = .immediate,
        wanted: Timestamp? = nil,
        declaredOnly: [String] = []
    ) {
        self.wanted = wanted
        self.agent = agent
        self.compiled = compiled
        self.rollout = rollout
        self.declaredOnly = declaredOnly
    }
}

/// What the planner looks up about the recorded state. Pure from the planner's side: same answers, same plan.
package struct RecordedFleet {
    /// How many agents are live.
    package var live: Int64
    package var agent: (AgentID) throws -> RecordedAgent?
    package var bundle: (Digest) throws -> Bundle?
    /// When a digest that is still kept was stable for an agent; nil when it never was.
    package var history: (AgentID, Digest) throws -> StableHistory?
    /// Digests that are still kept and were stable before the present one, the latest first.
    package var earlier: (AgentID) throws -> [Digest]

    package init(
        live: Int64,
        agent: @escaping (AgentID) throws -> RecordedAgent?,
        bundle: @escaping (Digest) throws -> Bundle?,
        history: @escaping (AgentID, Digest) throws -> StableHistory?,
        earlier: @escaping (AgentID) throws -> [Digest] = { _ in [] }
    ) {
        self.earlier = earlier
        self.live = live
        self.agent = agent
        self.bundle = bundle
        self.history = history
    }
}

/// What the ledger says of a digest's time as the stable one.
package struct StableHistory: Sendable, Hashable {
    /// Whether it first became stable before the present one first did.
    package var isEarlier: Bool
    /// When it was last replaced.
    package var stableUntil: Timestamp

    package init(isEarlier: Bool, stableUntil: Timestamp) {
        self.isEarlier = isEarlier
        self.stableUntil = stableUntil
    }
}

/// What rollouts depend on besides git and the ledger: the time, the operator, the evidence.
package struct RolloutContext {
    package var now: Timestamp
    /// By how many seconds the clock was set since the last run, forwards if positive; nil when it was not.
    package var clockStep: Int64?
    /// The commit that is desired, and when it was made.
    package var source: ObjectID
    package var wanted: Timestamp
    /// In seconds.
    package var keepFor: Int64
    package var concurrentRollouts: Int64?
    package var request: OperatorRequest?
    /// Compiles another version of an agent under the permissions that are desired now; nil when that cannot be done.
    package var compile: (AgentID, AgentVersion) throws -> CompiledBundle?
    package var verdict: (AgentID, Candidate, CanaryProgress, Canary) throws -> CanaryVerdict

    package init(
        now: Timestamp,
        clockStep: Int64? = nil,
        source: ObjectID = .zero,
        wanted: Timestamp? = nil,
        keepFor: Int64 = 7 * 86_400,
        concurrentRollouts: Int64? = nil,
        request: OperatorRequest? = nil,
        compile: @escaping (AgentID, AgentVersion) throws -> CompiledBundle? = { _, _ in nil },
        verdict: @escaping (AgentID, Candidate, CanaryProgress, Canary) throws -> CanaryVerdict = { _, _, _, canary in
            CanaryVerdict(canary.analysis == nil ? .notAnalysed : .noData)
        }
    ) {
        self.now = now
        self.clockStep = clockStep
        self.source = source
        self.wanted = wanted ?? now
        self.keepFor = keepFor
        self.concurrentRollouts = concurrentRollouts
        self.request = request
        self.compile = compile
        self.verdict = verdict
    }
}

/// What an operator asks of one agent.
package struct OperatorRequest: Sendable, Hashable {
    package var agent: AgentID
    /// Further agents of which the same is asked.
    package var others: Set<AgentID> = []
    package var operation: RolloutOperation
    package var by: String
    package var reason: String

    package init(agent: AgentID, operation: RolloutOperation, by: String, reason: String) {
        self.agent = agent
        self.operation = operation
        self.by = by
        self.reason = reason
    }

    package func covers(_ agent: AgentID) -> Bool { agent == self.agent || others.contains(agent) }
}

/// One agent on its way through the planner.
private struct AgentWork {
    let item: DesiredAgent
    let before: RecordedAgent?
    var machine: RolloutMachine
    var stableBundle: Bundle?
    var difference: BundleDifference?
    var narrowedStable: CompiledBundle?

    var queued: Candidate? {
        guard case .queued(let candidate) = machine.state.rollout else { return nil }
        return candidate
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
        if let request = context.request, !desired.contains(where: { $0.agent == request.agent }) {
            throw RolloutRefusal.noVersion
        }
        var works: [AgentWork] = []
        let coming = Dictionary(desired.map { ($0.agent, $0) }) { first, _ in first }
        for item in desired.sorted(by: { $0.agent < $1.agent }) {
            guard item.compiled != nil || rules.prune else {
                if try recorded.agent(item.agent)?.isLive == true {
                    plan.kept.append(item.agent)
                    plan.unchanged -= 1
                }
                continue
            }
            works.append(try work(item, coming, recorded, context))
        }
        try place(&works, context)
        for work in works {
            if let reason = work.machine.held, let wanted = work.item.compiled?.side {
                var held = HeldAgent(agent: work.item.agent, wanted: wanted, reason: reason)
                held.stable = work.machine.state.stable
                switch reason {
                case .halted, .quarantined:
                    if held.stable?.digest != wanted.digest { held.difference = work.difference }
                case .queued, .paused, .inconclusive, .noData, .error: break
                }
                plan.held.append(held)
            }
            if let due = due(work, context) { plan.due = min(plan.due ?? due, due) }
            guard let change = try change(work, recorded, environment) else { continue }
            plan.changes.append(change)
            if work.before?.isLive == true { plan.unchanged -= 1 }
        }
        plan.refusal = refusal(plan, rules)
        return plan
    }

    /// Hands one agent's events to its state machine: the operator's, git's, then the clock's.
    private static func work(
        _ item: DesiredAgent,
        _ coming: [AgentID: DesiredAgent],
        _ recorded: RecordedFleet,
        _ context: RolloutContext
    ) throws -> AgentWork {
        let live = try recorded.agent(item.agent)
        let before = live?.state ?? AgentState(stable: nil)
        var work = AgentWork(
            item: item,
            before: live,
            machine: RolloutMachine(agent: item.agent, state: before, now: context.now)
        )
        if let request = context.request, request.covers(item.agent) {
            let present = try before.stable.flatMap { try recorded.bundle($0.digest) }
            work.machine.stableArtifact = present?.artifact
            var operation = request.operation
            if operation == .rollback(to: nil) {
                operation = .rollback(to: try previous(item.agent, before, present, recorded))
            }
            try work.machine.handle(.operation(operation, by: request.by, reason: request.reason))
        }
        guard let compiled = item.compiled else {
            try work.machine.handle(.removed)
            return work
        }
        let state = work.machine.state
        if let stable = state.stable, stable.digest != compiled.digest {
            work.stableBundle = try recorded.bundle(stable.digest)
        }
        func running(_ agent: AgentID) throws -> Bundle? {
            try recorded.agent(agent)?.stable.flatMap { try recorded.bundle($0.digest) }
        }
        work.difference = BundleDifference(
            before: state.stable?.digest == compiled.digest ? compiled.bundle : work.stableBundle,
            after: compiled.bundle,
            delegated: try DelegatedAuthority.gained(before: work.stableBundle, after: compiled.bundle, was: running) {
                try coming[$0].map(\.compiled?.bundle) ?? running($0)
            }
        )
        let desired = try desired(item, compiled, state, &work, recorded, context)
        try work.machine.handle(.desired(desired))
        // Time passes for a canary that was under way before; one that begins or changes now has just begun.
        if work.machine.changes.isEmpty, case .canary(let canary) = item.rollout,
            let (candidate, progress) = work.machine.state.canary
        {
            var verdict = try context.verdict(item.agent, candidate, progress, canary)
            verdict.stableArtifact = work.stableBundle?.artifact
            try work.machine.handle(.time(canary, verdict, clockStep: context.clockStep))
        }
        return work
    }

    /// The version that was stable before the present one and has not failed here; nil when none is kept.
    private static func previous(
        _ agent: AgentID,
        _ state: AgentState,
        _ present: Bundle?,
        _ recorded: RecordedFleet
    ) throws -> PreviousVersion? {
        for digest in try recorded.earlier(agent) {
            guard let bundle = try recorded.bundle(digest), !state.isQuarantined(digest, artifact: bundle.artifact)
            else { continue }
            return PreviousVersion(
                side: Change.Side(version: bundle.version, digest: digest),
                artifact: bundle.artifact,
                kind: BundleDifference(before: present, after: bundle).kind
            )
        }
        return nil
    }

    private static func desired(
        _ item: DesiredAgent,
        _ compiled: CompiledBundle,
        _ state: AgentState,
        _ work: inout AgentWork,
        _ recorded: RecordedFleet,
        _ context: RolloutContext
    ) throws -> DesiredVersion {
        var desired = DesiredVersion(
            side: compiled.side,
            artifact: compiled.bundle.artifact,
            halted: compiled.halted,
            kind: work.difference?.kind ?? .none,
            rollout: item.rollout,
            source: context.source,
            wanted: item.wanted ?? context.wanted
        )
        desired.stableArtifact = work.stableBundle?.artifact
        guard let stable = state.stable, stable.digest != compiled.digest else { return desired }
        if let history = try recorded.history(item.agent, compiled.digest) {
            desired.isEarlier = history.isEarlier
            desired.isKnownGood =
                desired.kind != .widening && history.stableUntil.seconds >= context.now.seconds - context.keepFor
        }
        if let (candidate, _) = state.canary, candidate.side.digest != compiled.digest {
            let before = try recorded.bundle(candidate.side.digest)
            desired.kindFromCandidate = before.map { BundleDifference(before: $0, after: compiled.bundle).kind }
            // The same permissions for the version that most sessions have: only if they are narrower there too.
            if let other = try context.compile(item.agent, stable.version), let present = work.stableBundle {
                switch BundleDifference(before: present, after: other.bundle).kind {
                case .narrowing, .none:
                    desired.narrowedStable = other.side
                    work.narrowedStable = other
                case .behaviour, .widening: break
                }
            }
        }
        return desired
    }

    /// Gives places to candidates that wait: the oldest wanted commit first, then by name.
    private static func place(_ works: inout [AgentWork], _ context: RolloutContext) throws {
        var places = context.concurrentRollouts ?? .max
        for work in works where work.machine.state.canary != nil && places != .max { places = max(0, places - 1) }
        let queue = works.indices.filter { works[$0].queued != nil }.sorted { left, right in
            guard let first = works[left].queued, let second = works[right].queued else { return left < right }
            return (first.wanted, works[left].item.agent) < (second.wanted, works[right].item.agent)
        }
        for index in queue {
            guard case .canary(let canary) = works[index].item.rollout, places > 0 else {
                works[index].machine.wait()
                continue
            }
            try works[index].machine.handle(.place(canary))
            if places != .max { places -= 1 }
        }
    }

    /// When the canary's hold or its deadline ends; nil when neither lies ahead.
    private static func due(_ work: AgentWork, _ context: RolloutContext) -> Timestamp? {
        guard let (_, progress) = work.machine.state.canary, case .canary(let canary) = work.item.rollout else {
            return nil
        }
        return progress.due(canary, after: context.now)
    }

    private static func change(_ work: AgentWork, _ recorded: RecordedFleet, _ environment: String) throws
        -> PlannedChange?
    {
        var changes = work.machine.changes
        guard let first = changes.first, let last = changes.indices.last else { return nil }
        let agent = work.item.agent
        let state = work.machine.state.isWorthKeeping ? work.machine.state : nil
        // What the entry says must be enough to know the route and the state that follow from it.
        if let state { changes[last].remember(state) }
        let route = work.machine.state.route(agent, environment)
        let isDeleted = first.action == .delete
        let shown = work.item.compiled?.digest
        let isWanted =
            shown == work.machine.state.stable?.digest || shown == work.machine.state.canary?.candidate.side.digest
        let isNarrowed = work.narrowedStable != nil && work.narrowedStable?.digest == work.machine.state.stable?.digest
        let difference =
            isDeleted
            ? BundleDifference(before: try first.from.flatMap { try recorded.bundle($0.digest) }, after: nil)
            : work.difference ?? BundleDifference(before: nil, after: nil)
        return PlannedChange(
            agent: agent,
            change: changes[0],
            further: Array(changes.dropFirst()),
            difference: difference,
            route: route,
            state: state,
            bundle: isWanted ? work.item.compiled : nil,
            narrowedStable: isNarrowed ? work.narrowedStable : nil,
            declaredOnly: work.item.declaredOnly,
            rollout: work.item.rollout,
            startsCanary: state?.rollout.map { $0.candidate.side != work.before?.state.rollout?.candidate.side }
                ?? false
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
