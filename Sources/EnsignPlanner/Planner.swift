package import EnsignJudge
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
    /// Whether an agent is live, which is asked of all that are desired.
    package var isLive: (AgentID) throws -> Bool
    /// The live agents of a team.
    package var members: (String) throws -> [AgentID]
    package var bundle: (Digest) throws -> Bundle?
    /// When a digest that is still kept was stable for an agent; nil when it never was.
    package var history: (AgentID, Digest) throws -> StableHistory?
    /// Digests that are still kept and were stable before the present one, the latest first.
    package var earlier: (AgentID) throws -> [Digest]
    /// Agents of which more is recorded than a route, also of those that are gone; sorted.
    package var remembered: () throws -> [AgentID]
    /// Stops of everything and of teams.
    package var halts: FleetHalts

    package init(
        live: Int64,
        agent: @escaping (AgentID) throws -> RecordedAgent?,
        isLive: @escaping (AgentID) throws -> Bool,
        members: @escaping (String) throws -> [AgentID],
        bundle: @escaping (Digest) throws -> Bundle?,
        history: @escaping (AgentID, Digest) throws -> StableHistory?,
        earlier: @escaping (AgentID) throws -> [Digest] = { _ in [] },
        remembered: @escaping () throws -> [AgentID] = { [] },
        halts: FleetHalts = FleetHalts()
    ) {
        self.earlier = earlier
        self.isLive = isLive
        self.members = members
        self.remembered = remembered
        self.halts = halts
        self.live = live
        self.agent = agent
        self.bundle = bundle
        self.history = history
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
    /// A bundle with the part of its permissions that another one has too.
    package var restrict: (Bundle, Bundle) throws -> CompiledBundle
    package var verdict: (AgentID, Candidate, CanaryProgress, Canary) throws -> CanaryVerdict

    package init(
        now: Timestamp,
        clockStep: Int64? = nil,
        source: ObjectID = .zero,
        wanted: Timestamp? = nil,
        keepFor: Int64 = 7 * 86_400,
        concurrentRollouts: Int64? = nil,
        request: OperatorRequest? = nil,
        compile: @escaping (AgentID, AgentVersion) throws -> CompiledBundle?,
        restrict: @escaping (Bundle, Bundle) throws -> CompiledBundle,
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
        self.restrict = restrict
        self.verdict = verdict
    }
}

/// What an operator asks.
package struct OperatorRequest: Sendable, Hashable {
    /// The agents of which it is asked.
    package var agents: Set<AgentID>
    /// With the end of a halt: the team or everything that is no longer stopped as a whole.
    package var scope: FleetHalts.Scope?
    package var operation: RolloutOperation
    package var by: String
    package var reason: String

    package init(agents: Set<AgentID>, operation: RolloutOperation, by: String, reason: String) {
        self.agents = agents
        self.operation = operation
        self.by = by
        self.reason = reason
    }

    package init(agent: AgentID, operation: RolloutOperation, by: String, reason: String) {
        self.init(agents: [agent], operation: operation, by: by, reason: reason)
    }
}

/// One agent on its way through the planner.
private struct AgentWork {
    let item: DesiredAgent
    let before: RecordedAgent?
    var machine: RolloutMachine
    /// What is recorded as stable, where it differs from what git asks for.
    var stableBundle: Bundle?
    var difference: BundleDifference?
    /// A stable version that no entry has yet: narrowed, gone back to under the present permissions, or renamed.
    var recompiled: CompiledBundle?
    var succession: Succession?
    /// The name under which the agent goes on.
    var movedTo: AgentID?

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
        var recorded = recorded
        if let request = context.request {
            if !request.agents.isEmpty, !desired.contains(where: { request.agents.contains($0.agent) }) {
                throw RolloutRefusal.noVersion
            }
            if let scope = request.scope, recorded.halts[scope] != nil {
                recorded.halts[scope] = nil
                plan.halts = recorded.halts
                plan.fleetChange = recorded.halts.change(.resume, scope, reason: request.reason, by: request.by)
            }
        }
        var works: [AgentWork] = []
        let coming = Dictionary(desired.map { ($0.agent, $0) }) { first, _ in first }
        let successions = try Successions(desired, recorded, rules, context)?.find(desired) ?? [:]
        var moved: [AgentID: AgentID] = [:]
        for (agent, succession) in successions { if let old = succession.renamedFrom { moved[old] = agent } }
        for item in desired.sorted(by: { $0.agent < $1.agent }) {
            guard item.compiled != nil || rules.prune else {
                if try recorded.agent(item.agent)?.isLive == true {
                    plan.kept.append(item.agent)
                    plan.unchanged -= 1
                }
                continue
            }
            let names = (successions[item.agent], moved[item.agent])
            works.append(try work(item, coming, names, recorded, context))
        }
        try place(&works, context)
        for work in works {
            if let reason = work.machine.held, let wanted = work.item.compiled?.side {
                var held = HeldAgent(agent: work.item.agent, wanted: wanted, reason: reason)
                held.stable = work.machine.state.stable
                held.because = because(reason, work)
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

    /// What somebody said when the agent was stopped, or its version put aside.
    private static func because(_ reason: HeldReason, _ work: AgentWork) -> String? {
        let state = work.machine.state
        switch reason {
        case .halted: return state.halt?.reason
        case .quarantined:
            guard let wanted = work.item.compiled else { return nil }
            return state.quarantine.last { $0.covers(wanted.digest, artifact: wanted.bundle.artifact) }?.reason
        case .queued, .paused, .inconclusive, .noData, .error: return nil
        }
    }

    /// Hands one agent's events to its state machine: what it takes over, the operator's, git's, then the clock's.
    private static func work(
        _ item: DesiredAgent,
        _ coming: [AgentID: DesiredAgent],
        _ names: (succession: Succession?, movedTo: AgentID?),
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
        work.movedTo = names.movedTo
        work.machine.wanted = item.compiled.map { ($0.digest, $0.bundle.artifact) }
        if let succession = names.succession {
            (work.succession, work.recompiled) = (succession, succession.stable)
            try work.machine.handle(.succeeds(succession))
        }
        if let request = context.request, request.agents.contains(item.agent) {
            try operate(request, &work, recorded, context)
        }
        guard let compiled = item.compiled else {
            let present = try before.stable.flatMap { try recorded.bundle($0.digest) }
            work.machine.stableArtifact = present?.artifact
            try work.machine.handle(.removed(movedTo: names.movedTo))
            return work
        }
        if let stable = work.machine.state.stable, stable.digest != compiled.digest {
            let isNew = work.recompiled?.digest == stable.digest
            work.stableBundle = isNew ? work.recompiled?.bundle : try recorded.bundle(stable.digest)
        }
        work.difference = try difference(work, compiled, coming, recorded)
        let desired = try desired(compiled, &work, recorded, context)
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

    private static func operate(
        _ request: OperatorRequest,
        _ work: inout AgentWork,
        _ recorded: RecordedFleet,
        _ context: RolloutContext
    ) throws {
        let state = work.machine.state
        let present = try state.stable.flatMap { try recorded.bundle($0.digest) }
        work.machine.stableArtifact = present?.artifact
        var operation = request.operation
        if operation == .rollback(to: nil), let previous = try previous(work, present, recorded, context) {
            let kind = BundleDifference(before: present, after: previous.bundle).kind
            operation = .rollback(
                to: PreviousVersion(side: previous.side, artifact: previous.bundle.artifact, kind: kind)
            )
            // An abort of a canary leaves the stable version as it is.
            if state.canary == nil { work.recompiled = previous }
        }
        try work.machine.handle(.operation(operation, by: request.by, reason: request.reason))
    }

    /// From the stable version to the one that git asks for.
    private static func difference(
        _ work: AgentWork,
        _ compiled: CompiledBundle,
        _ coming: [AgentID: DesiredAgent],
        _ recorded: RecordedFleet
    ) throws -> BundleDifference {
        func running(_ agent: AgentID) throws -> Bundle? {
            try recorded.agent(agent)?.stable.flatMap { try recorded.bundle($0.digest) }
        }
        let isStable = work.machine.state.stable?.digest == compiled.digest
        return BundleDifference(
            before: isStable ? compiled.bundle : work.stableBundle,
            after: compiled.bundle,
            delegated: try DelegatedAuthority.gained(before: work.stableBundle, after: compiled.bundle, was: running) {
                try coming[$0].map(\.compiled?.bundle) ?? running($0)
            }
        )
    }

    /// The version that was stable before the present one, has not failed here, and is still another one with what git
    /// allows it now; nil when none is kept.
    private static func previous(
        _ work: AgentWork,
        _ present: Bundle?,
        _ recorded: RecordedFleet,
        _ context: RolloutContext
    ) throws -> CompiledBundle? {
        let agent = work.item.agent
        for digest in try recorded.earlier(agent) {
            guard let bundle = try recorded.bundle(digest),
                !work.machine.state.isQuarantined(digest, artifact: bundle.artifact)
            else { continue }
            let earlier =
                try narrowed(bundle, work.item.compiled, present, context)
                ?? CompiledBundle(bundle: bundle, bytes: bundle.bytes, digest: digest, halted: false)
            // Without what git took away it may be the present one: going back to that changes nothing.
            if let present, BundleDifference(before: present, after: earlier.bundle).isEmpty { continue }
            return earlier
        }
        return nil
    }

    /// What git allows a version now, where that is less than its bundle has; nil when nothing is to be taken from it.
    ///
    /// - Parameters:
    ///   - desired: What git asks for; nil when it says nothing of the agent.
    ///   - present: What is stable: the limit where git says nothing.
    private static func narrowed(
        _ bundle: Bundle,
        _ desired: CompiledBundle?,
        _ present: Bundle?,
        _ context: RolloutContext
    ) throws -> CompiledBundle? {
        let isDesired = bundle.version == desired?.bundle.version
        let allowed = isDesired ? desired : try context.compile(bundle.agent, bundle.version)
        if let allowed {
            switch BundleDifference(before: bundle, after: allowed.bundle).kind {
            case .narrowing: return allowed
            case .none: return nil
            case .behaviour, .widening: break
            }
        }
        // What cannot be compiled any more may do no more than what git asks for.
        guard let limit = allowed?.bundle ?? desired?.bundle ?? present else { return nil }
        let part = try context.restrict(bundle, limit)
        return AuthorityDifference(before: bundle, after: part.bundle).loses ? part : nil
    }

    private static func desired(
        _ compiled: CompiledBundle,
        _ work: inout AgentWork,
        _ recorded: RecordedFleet,
        _ context: RolloutContext
    ) throws -> DesiredVersion {
        let state = work.machine.state
        var desired = DesiredVersion(
            side: compiled.side,
            artifact: compiled.bundle.artifact,
            halted: compiled.halted,
            kind: work.difference?.kind ?? .none,
            rollout: work.item.rollout,
            source: context.source,
            wanted: work.item.wanted ?? context.wanted
        )
        guard let stable = state.stable, stable.digest != compiled.digest else { return desired }
        if let history = try recorded.history(work.item.agent, compiled.digest) {
            desired.isEarlier = history.isEarlier
            desired.isKnownGood =
                desired.kind != .widening && !history.wasTakenBack
                && history.stableUntil.seconds >= context.now.seconds - context.keepFor
        }
        if let (candidate, _) = state.canary, candidate.side.digest != compiled.digest {
            let before = try recorded.bundle(candidate.side.digest)
            desired.kindFromCandidate = before.map { BundleDifference(before: $0, after: compiled.bundle).kind }
        }
        if let present = work.stableBundle, let narrowed = try narrowed(present, compiled, present, context) {
            desired.narrowedStable = narrowed.side
            work.recompiled = narrowed
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
        let after = work.machine.state
        let shown = work.item.compiled?.digest
        let isPublished = shown == after.stable?.digest || shown == after.canary?.candidate.side.digest
        let recompiled = work.recompiled.flatMap { $0.digest == after.stable?.digest ? $0 : nil }
        var planned = PlannedChange(
            agent: agent,
            change: changes[0],
            further: Array(changes.dropFirst()),
            difference: BundleDifference(before: nil, after: nil),
            route: route,
            state: state,
            bundle: isPublished ? work.item.compiled : nil,
            recompiled: recompiled,
            declaredOnly: work.item.declaredOnly,
            rollout: work.item.rollout,
            startsCanary: state?.rollout.map { $0.candidate.side != work.before?.state.rollout?.candidate.side }
                ?? false
        )
        let present = try work.succession?.before ?? work.before?.stable.flatMap { try recorded.bundle($0.digest) }
        if isDeleted {
            // What goes on under another name loses nothing.
            if work.movedTo == nil { planned.difference = BundleDifference(before: present, after: nil) }
        } else if let was = work.before?.state.canary?.candidate.side, first.action == .update, first.from == was {
            // Narrowed in both routes: what is new is what the candidate loses.
            let candidate = try recorded.bundle(was.digest)
            planned.difference = BundleDifference(before: candidate, after: work.item.compiled?.bundle)
            planned.startsCanary = false
        } else if let was = work.succession?.before, shown == after.stable?.digest {
            planned.difference = BundleDifference(before: was, after: work.item.compiled?.bundle)
        } else if shown == after.stable?.digest || shown == after.rollout?.candidate.side.digest {
            planned.difference = work.difference ?? planned.difference
        }
        if let recompiled, let present {
            planned.stableDifference = BundleDifference(before: present, after: recompiled.bundle)
        }
        planned.notes = notes(work, isDeleted: isDeleted)
        return planned
    }

    /// What a person should know of a name that goes or comes: halts and quarantines outlive it.
    private static func notes(_ work: AgentWork, isDeleted: Bool) -> [String] {
        var notes: [String] = []
        let state = work.machine.state
        if isDeleted {
            if let halt = state.halt {
                notes.append("it is halted (\(halt.reason)); what comes in its place is halted too")
            }
            if let name = work.movedTo { notes.append("it goes on as \(name)") }
            for quarantine in state.quarantine {
                notes.append(
                    "\(quarantine.version) is quarantined (\(quarantine.reason)); what comes in its place is held too"
                )
            }
        }
        if let succession = work.succession {
            if let other = succession.renamedFrom { notes.append("it goes on under this name: it was \(other)") }
            if succession.halt != nil, let halt = state.halt {
                notes.append("it starts halted (\(halt.reason)) until 'ensign resume'")
            }
        }
        return notes
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
