package import EnsignJudge
package import EnsignModel

/// What a reconcile would do in one environment: recorded state against desired state.
package struct Plan: Sendable, Hashable {
    package var environment: String
    package var source: PlanSource
    /// The ledger entry that the plan was made against; nil when there is none yet.
    package var entry: PlanEntry?
    /// Sorted by agent.
    package var changes: [PlannedChange]
    /// Agents that are declared and live, and stay as they are.
    package var unchanged: Int64
    /// Agents that are no longer declared and stay because `prune` is off; sorted.
    package var kept: [AgentID]
    /// Agents that are no longer declared and stay for now, because others hand work to them; sorted.
    package var leaving: [LeavingAgent] = []
    /// Stops of everything and of teams that end, or go on for a team's new name.
    package var fleetChanges: [Change] = []
    /// All that is stopped as a whole afterwards; nil when nothing of that changes.
    package var halts: FleetHalts?
    /// The change of the environment's own rules against those of the recorded source; nil when none changes.
    package var rules: Change?
    /// The change of what all agents share, for whoever holds calls against their bundles; nil when it stays.
    package var policy: PolicyChange?
    /// Changes of what guards agents, loosenings first: they apply as soon as the commit is accepted, without a
    /// rollout.
    package var guards: [GuardChange] = []
    /// Agents that differ from what git asks for, and why; sorted.
    package var held: [HeldAgent] = []
    /// When time alone may change something next: the end of a hold or a deadline. Nil when nothing waits for time.
    package var due: Timestamp?
    /// How many agents are only observed; nil where none is, and until requested.
    package var observing: PlannedObserving?
    /// How many agents are live beforehand.
    package var liveBefore: Int64
    /// Why it must not be applied; nil when it may.
    package var refusal: PruneRefusal?
    /// What is accepted but not yet enforced, in the environment's own manifest.
    package var declaredOnly: [String]
    /// What to know before applying it, in sentences.
    package var warnings: [String] = []
    /// The basis of comparison instead of a ledger; nil when it was a ledger, or nothing.
    package var basis: String?
    /// Whether the source's history no longer contains the recorded source.
    package var historyRewritten: Bool

    package init(
        environment: String,
        source: PlanSource,
        entry: PlanEntry?,
        changes: [PlannedChange],
        unchanged: Int64,
        kept: [AgentID],
        liveBefore: Int64,
        refusal: PruneRefusal?,
        declaredOnly: [String] = [],
        historyRewritten: Bool = false
    ) {
        self.environment = environment
        self.source = source
        self.entry = entry
        self.changes = changes
        self.unchanged = unchanged
        self.kept = kept
        self.liveBefore = liveBefore
        self.refusal = refusal
        self.declaredOnly = declaredOnly
        self.historyRewritten = historyRewritten
    }

    /// Whether it leaves agents as they are; see ``guards`` for the rest.
    package var isEmpty: Bool { changes.isEmpty && fleetChanges.isEmpty }
    /// Whether anything changes: what agents do, or what guards them.
    package var hasDifferences: Bool { !isEmpty || !guards.isEmpty || rules != nil || policy != nil }
    /// What it changes that belongs to no agent.
    package var common: [Change] { fleetChanges + [rules, policy?.change].compactMap { $0 } }
    /// What git asks for but a person has to allow first.
    package var waiting: [HeldAgent] { held.filter { $0.difference != nil } }

    /// Agents of which the plan only records that they wait.
    private var onlyWaiting: Set<AgentID> {
        let waiting = Set(waiting.map(\.agent))
        return Set(changes.filter { $0.movesNothing && waiting.contains($0.agent) }.map(\.agent))
    }
    /// The changes that happen: an agent that only waits is among ``waiting`` alone.
    package var happening: [PlannedChange] {
        let onlyWaiting = onlyWaiting
        return changes.filter { !onlyWaiting.contains($0.agent) }
    }
    /// How many agents stay as they are.
    package var staying: Int64 { unchanged + Int64(onlyWaiting.count) }

    /// Changes by action.
    package var counts: [String: Int64] {
        happening.reduce(into: [:]) { counts, planned in
            for change in planned.all { counts[change.action.rawValue, default: 0] += 1 }
        }
    }

    /// How many agents are live afterwards.
    package var liveAfter: Int64 {
        liveBefore + changes.flatMap(\.all).live
    }
}

/// The source of a plan.
package struct PlanSource: Sendable, Hashable {
    /// `main`, a revision, or `the work tree`.
    package var name: String
    /// Nil for a work tree.
    package var commit: ObjectID?

    package init(name: String, commit: ObjectID?) {
        self.name = name
        self.commit = commit
    }
}

/// The ledger entry that a plan is based on.
package struct PlanEntry: Sendable, Hashable {
    package var sequence: Int64
    package var commit: ObjectID

    package init(sequence: Int64, commit: ObjectID) {
        self.sequence = sequence
        self.commit = commit
    }
}

/// One agent's change, with what is needed to show and to perform it.
package struct PlannedChange: Sendable, Hashable {
    /// Whether no session gets another version by it: it says that a version waits.
    fileprivate var movesNothing: Bool {
        change.action == .weight && change.weight == Change.Weight(from: 0, to: 0) && further.isEmpty
    }

    package var agent: AgentID
    package var change: Change
    /// What else happens to the agent at once, in order: a rollback quarantines the version that it leaves.
    package var further: [Change]
    package var differs: PlannedDifference
    /// The route afterwards; nil removes it.
    @BoxedOptional package var route: Route?
    /// The state afterwards; nil removes it.
    @BoxedOptional package var state: AgentState?
    /// The bundle that git asks for, to publish; nil when none is needed.
    package var bundle: CompiledBundle?
    /// A stable version that no entry has yet: narrowed, restored under the present permissions, or renamed.
    @BoxedOptional package var recompiled: CompiledBundle?
    /// From the present stable version to that one; nil when the stable version comes from git or stays.
    @BoxedOptional package var stableDifference: BundleDifference?
    /// What else a person should know, in sentences without a full stop.
    package var notes: [String] = []
    /// The name under which an agent that is removed goes on; nil when it goes on under none, and for any other.
    @BoxedOptional package var movedTo: AgentID?
    /// What is accepted but not yet enforced, in this agent's deployment.
    package var declaredOnly: [String]
    /// How the agent takes over.
    package var rollout: Rollout
    /// Whether the version that git asks for begins as a canary, or waits to.
    package var startsCanary: Bool
    /// What that canary can detect; nil until requested, and when nothing judges it.
    @BoxedOptional package var power: PlannedPower?
    /// What is known of an agent that is only observed, or no longer; nil until requested, and for any other.
    @BoxedOptional package var observation: PlannedObservation?

    package init(
        agent: AgentID,
        change: Change,
        further: [Change] = [],
        difference: PlannedDifference,
        route: Route?,
        state: AgentState?,
        bundle: CompiledBundle?,
        recompiled: CompiledBundle? = nil,
        declaredOnly: [String],
        rollout: Rollout = .immediate,
        startsCanary: Bool = false
    ) {
        self.agent = agent
        self.change = change
        self.further = further
        self.recompiled = recompiled
        differs = difference
        self.route = route
        self.state = state
        self.bundle = bundle
        self.declaredOnly = declaredOnly
        self.rollout = rollout
        self.startsCanary = startsCanary
    }
}

extension PlannedChange {
    /// The canary that starts; nil when none does.
    package var startingCanary: Canary? {
        guard startsCanary, case .canary(let canary) = rollout else { return nil }
        return canary
    }

    package var all: [Change] { [change] + further }

    package var difference: BundleDifference { get throws { try differs.read() } }

    /// The bundles that must be there before the route names them.
    package var bundles: [CompiledBundle] {
        [bundle, recompiled].compactMap { $0 }
    }
}

/// An agent that git wants to change but that stays as it is for now.
package struct HeldAgent: Sendable, Hashable {
    package var agent: AgentID
    package var wanted: Change.Side
    package var reason: HeldReason
    package var stable: Change.Side?
    /// The reason given when it was halted or quarantined; nil for other reasons.
    package var because: String?
    /// When time alone lets it in, for a version that waits for its soak.
    package var until: Timestamp?
    /// From the stable version to the wanted one, if a person has to lift what holds it and should read this first. Nil
    /// for what continues by itself.
    package var difference: BundleDifference?

    package init(agent: AgentID, wanted: Change.Side, reason: HeldReason) {
        self.agent = agent
        self.wanted = wanted
        self.reason = reason
    }
}

/// An agent whose removal waits.
package struct LeavingAgent: Sendable, Hashable {
    package var agent: AgentID
    package var stable: Change.Side
    /// Sorted, at least one.
    package var users: [User]

    /// A version that hands work to it.
    package struct User: Sendable, Hashable, Comparable {
        package var agent: AgentID
        package var version: AgentVersion

        package static func < (left: User, right: User) -> Bool {
            (left.agent, left.version.description) < (right.agent, right.version.description)
        }
    }

    /// Says who still hands work to it.
    package var sentence: String {
        let names = users.prefix(3).map { "\($0.agent) \($0.version)" }
        let more = users.count > names.count ? " and \(users.count - names.count) more" : ""
        return "\(names.joined(separator: ", "))\(more) \(users.count == 1 ? "hands" : "hand") work to it"
    }
}

/// Why removals are refused.
package struct PruneRefusal: Sendable, Hashable {
    package var removed: Int64
    package var live: Int64
    package var allowed: Int64
    package var isEmpty: Bool

    package var message: String {
        isEmpty
            ? live == 1 ? "this would remove the one live agent" : "this would remove all \(live) live agents"
            : "this would remove \(removed) of \(live) live agents; at most \(allowed) at once"
    }
}
