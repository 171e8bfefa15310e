package import EnsignJudge
package import EnsignModel

/// What can happen to an agent's rollout.
package enum RolloutEvent: Sendable {
    /// Git asks for this version.
    case desired(DesiredVersion)
    /// Git no longer declares the agent, and it may be removed; `movedTo`: the name under which it continues.
    case removed(movedTo: AgentID?)
    /// Git no longer declares the agent, and others still hand work to it: who, in words; `narrowed`: the stable version with
    /// what git still allows it, if that is less than it has.
    case stays(users: String, movedTo: AgentID?, narrowed: Change.Side?)
    /// Git no longer declares the agent, and it is kept because pruning is off.
    case kept(narrowed: Change.Side?)
    /// The agent is about to be created, and may be an existing one under a new name.
    case succeeds(Succession)
    /// A waiting candidate may begin.
    case place(Canary)
    /// Time has passed; the analysis was consulted. `clockStep`: by how many seconds the clock was set since the last
    /// time, forwards if positive; nil when it was not.
    case time(Canary, CanaryVerdict, clockStep: Int64?)
    case operation(RolloutOperation, by: String, reason: String)
}

extension RolloutEvent {
    /// Whether it is an operator's word about the canary itself, which ends a pause of it.
    var endsPause: Bool {
        switch self {
        case .operation(let operation, _, _):
            switch operation {
            case .resume, .promote, .abort, .rollback: true
            case .pause, .retry, .override, .halt, .unhalt: false
            }
        case .desired, .removed, .stays, .kept, .succeeds, .place, .time: false
        }
    }
}

/// What an operator can ask for.
package enum RolloutOperation: Sendable, Hashable {
    case pause
    case resume
    /// The candidate becomes the stable version at once.
    case promote
    case abort
    /// Lifts the quarantine of one version; nil for the one that git asks for, else the only one.
    case retry(AgentVersion?)
    /// Lets a version in without its soak; nil for the one that waits.
    case override(AgentVersion?)
    case halt
    /// Ends a halt.
    case unhalt
    /// The version before the present one, at once; the live version is quarantined. During a canary: back to stable.
    ///
    /// Operators leave the version out: the planner looks it up, so the latest record decides.
    case rollback(to: PreviousVersion?)
}

/// A version that was stable before the present one and can be again.
package struct PreviousVersion: Sendable, Hashable {
    package var side: Change.Side
    package var artifact: Digest
    /// The kind of change from the present one.
    package var kind: Change.Class

    package init(side: Change.Side, artifact: Digest, kind: Change.Class) {
        self.side = side
        self.artifact = artifact
        self.kind = kind
    }
}

/// A version that git asks for, with the planner's findings about it.
package struct DesiredVersion: Sendable, Hashable {
    package var side: Change.Side
    package var identity: VersionIdentity
    /// Git's own stop.
    package var halted: Bool
    /// The kind of change from the stable version.
    package var kind: Change.Class
    /// The kind of change from the candidate; nil when there is none.
    package var kindFromCandidate: Change.Class?
    /// Whether it was stable within `keepFor` and allows nothing more than the present one.
    package var isKnownGood: Bool
    /// Whether it became stable before the present one did.
    package var isEarlier: Bool
    package var rollout: Rollout
    /// The stable version with what git allows it now, if that is less than it has; nil when it loses nothing.
    package var narrowedStable: Change.Side?
    /// Whether it may come in; nil where nothing has to be shown.
    package var promotion: PromotionVerdict?
    /// What has to be shown; nil for nothing.
    package var promotionRule: PromotionRule?
    package var source: ObjectID
    package var wanted: Timestamp

    package init(
        side: Change.Side,
        identity: VersionIdentity,
        halted: Bool,
        kind: Change.Class,
        kindFromCandidate: Change.Class? = nil,
        isKnownGood: Bool = false,
        isEarlier: Bool = false,
        rollout: Rollout,
        narrowedStable: Change.Side? = nil,
        source: ObjectID,
        wanted: Timestamp
    ) {
        self.side = side
        self.identity = identity
        self.halted = halted
        self.kind = kind
        self.kindFromCandidate = kindFromCandidate
        self.isKnownGood = isKnownGood
        self.isEarlier = isEarlier
        self.rollout = rollout
        self.narrowedStable = narrowedStable
        self.source = source
        self.wanted = wanted
    }

    /// Whether it does no more than the stable version, or was stable here before.
    var goesBack: Bool {
        switch kind {
        case .narrowing, .none: true
        case .behaviour, .widening: isKnownGood
        }
    }

    /// Whether it takes all sessions without a canary.
    var isImmediate: Bool {
        switch rollout {
        case .immediate: true
        case .canary: goesBack
        }
    }
}
