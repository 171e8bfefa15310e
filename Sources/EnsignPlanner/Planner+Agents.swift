import EnsignJudge
import EnsignModel

/// One agent: the events of its rollout, in their order.
extension Planner {
    /// Hands one agent's events to its state machine: the takeover's, the operator's, git's, then the clock's.
    static func work(
        _ item: DesiredAgent,
        _ delegated: DelegatedAuthority,
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
        let identity = try item.compiled.map { try $0.identity(before, recorded.bundle) }
        work.machine.wanted = identity
        if let succession = names.succession {
            (work.succession, work.recompiled) = (succession, succession.stable)
            try work.machine.handle(.succeeds(succession))
        }
        if let request = context.request, request.agents.contains(item.agent) {
            try operate(request, &work, recorded, context)
        }
        guard let compiled = item.compiled, let identity else {
            let present = try before.stable.flatMap { try recorded.bundle($0.digest) }
            work.machine.stableArtifact = present?.artifact
            // Whether it may go is known when all others are.
            return work
        }
        if let stable = work.machine.state.stable, stable.digest != compiled.digest {
            let isNew = work.recompiled?.digest == stable.digest
            work.stableBundle = try isNew ? work.recompiled?.bundle : recorded.bundle(stable.digest)
        }
        work.machine.stableArtifact = work.stableBundle?.artifact
        work.difference = try difference(work, compiled, delegated)
        let desired = try desired(compiled, identity, &work, recorded, context)
        try work.machine.handle(.desired(desired))
        // Time only passes for a canary that was already under way, not for one that begins or changes now.
        if work.machine.changes.isEmpty, case .canary(let canary) = item.rollout,
            work.machine.state.canary != nil
        {
            var verdict = try context.verdict(item.agent, canary)
            verdict.stableArtifact = work.stableBundle?.artifact
            try work.machine.handle(.time(canary, verdict, clockStep: context.clockStep))
        }
        return work
    }

    /// Looks what git still allows an agent that stays although it is no longer declared.
    static func narrow(_ work: inout AgentWork, _ recorded: RecordedFleet, _ context: RolloutContext) throws {
        guard let stable = work.machine.state.stable, stable == work.before?.state.stable,
            let present = try recorded.bundle(stable.digest),
            let narrowed = try narrowed(present, nil, present, context)
        else { return }
        work.recompiled = narrowed
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
        if operation == .rollback(to: nil), let previous = try previous(request, work, present, recorded, context) {
            let kind = BundleDifference(before: present, after: try previous.bundle).kind
            operation = .rollback(
                to: PreviousVersion(side: previous.side, artifact: previous.artifact, kind: kind)
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
        _ delegated: DelegatedAuthority
    ) throws -> PlannedDifference {
        if work.machine.state.stable?.digest == compiled.digest { return .nothing }
        guard let before = work.stableBundle else { return .all(of: compiled) }
        let after = try compiled.bundle
        let gained = try delegated.gained(before: before, after: after)
        return PlannedDifference(BundleDifference(before: before, after: after, delegated: gained))
    }

    /// The version to go back to; nil when there is none, and during a canary, which goes back to the stable one.
    ///
    /// A request that comes again, after a connection was lost or an agent was just taken back by its rules, must not go
    /// back twice: soon after a version was taken back, the one to go to has to be named.
    private static func previous(
        _ request: OperatorRequest,
        _ work: AgentWork,
        _ present: Bundle?,
        _ recorded: RecordedFleet,
        _ context: RolloutContext
    ) throws -> CompiledBundle? {
        let state = work.machine.state
        guard state.canary == nil, !state.isHalted, let stable = state.stable else {
            return try previous(work, present, recorded, context).first
        }
        guard request.version != stable.version else { throw RolloutRefusal.alreadyStable(stable.version) }
        let earlier = try previous(work, present, recorded, context)
        if let named = request.version {
            if let found = earlier.first(where: { $0.version == named }) { return found }
            var others: [AgentVersion] = []
            for version in earlier.map(\.version) where !others.contains(version) { others.append(version) }
            throw RolloutRefusal.notKept(named, others: others)
        }
        if let next = earlier.first, let newest = state.quarantine.max(by: { $0.since < $1.since }) {
            let seconds = context.now.seconds(since: newest.since)
            if (0..<soonAgain).contains(seconds), try isBack(work.item.agent, stable, since: newest.since, recorded) {
                throw RolloutRefusal.justTakenBack(
                    newest,
                    seconds: seconds,
                    stable: stable.version,
                    next: next.version
                )
            }
        }
        return earlier.first
    }

    /// Whether sessions have the stable version because another one was taken back, and not because one came after that.
    private static func isBack(
        _ agent: AgentID,
        _ stable: Change.Side,
        since quarantine: Timestamp,
        _ recorded: RecordedFleet
    ) throws -> Bool {
        // It went back from a stable version ...
        if let last = try recorded.earlier(agent).first, try recorded.history(agent, last)?.wasTakenBack == true {
            return true
        }
        // ... or from a canary, beside which it stayed.
        return try recorded.history(agent, stable.digest).map { $0.stableUntil < quarantine } ?? false
    }

    /// In seconds: who asks again within this time has to name the version.
    private static let soonAgain: Int64 = 600

    /// The versions that were stable before the present one, have not failed here, and still differ from it under git's
    /// present permissions; the latest first.
    private static func previous(
        _ work: AgentWork,
        _ present: Bundle?,
        _ recorded: RecordedFleet,
        _ context: RolloutContext
    ) throws -> [CompiledBundle] {
        let agent = work.item.agent
        var found: [CompiledBundle] = []
        for digest in try recorded.earlier(agent) {
            guard let bundle = try recorded.bundle(digest) else { continue }
            var known = VersionIdentity(digest: digest, artifact: bundle.artifact)
            // Its artifact may have another name since it was recorded.
            if let compiled = try context.compile(agent, bundle.version), compiled.identity.isArtifact(of: bundle) {
                known.artifact = compiled.artifact
                known.formerArtifact = compiled.formerArtifact
            }
            for quarantine in work.machine.state.quarantine where quarantine.version == bundle.version {
                guard case .digest(let marked) = quarantine.mark, marked != digest,
                    let failed = try recorded.bundle(marked), known.isArtifact(of: failed),
                    BundleDifference(before: failed, after: bundle).isEmpty
                else { continue }
                known.formerDigests.insert(marked)
            }
            if work.machine.state.quarantine(of: known) != nil { continue }
            let earlier =
                try narrowed(bundle, work.item.compiled, present, context)
                ?? CompiledBundle(bundle: bundle, bytes: bundle.bytes, digest: digest, halted: false)
            // Without the permissions that git took away it may equal the present one: going back would change nothing.
            if let present, BundleDifference(before: present, after: try earlier.bundle).isEmpty { continue }
            found.append(earlier)
        }
        return found
    }

    /// What git allows a version now, if that is less than its bundle has; nil when it loses nothing.
    ///
    /// - Parameters:
    ///   - desired: What git asks for; nil when it says nothing about the agent.
    ///   - present: The stable version: the limit if git says nothing.
    private static func narrowed(
        _ bundle: Bundle,
        _ desired: CompiledBundle?,
        _ present: Bundle?,
        _ context: RolloutContext
    ) throws -> CompiledBundle? {
        let isDesired = bundle.version == desired?.version
        let allowed = isDesired ? desired : try context.compile(bundle.agent, bundle.version)
        if let allowed {
            switch BundleDifference(before: bundle, after: try allowed.bundle).kind {
            case .narrowing: return allowed
            case .none: return nil
            case .behaviour, .widening: break
            }
        }
        // A version that can no longer be compiled may do no more than what git asks for.
        guard let limit = try allowed?.bundle ?? desired?.bundle ?? present else { return nil }
        let part = try context.restrict(bundle, limit)
        return AuthorityDifference(before: bundle, after: try part.bundle).loses ? part : nil
    }

    private static func desired(
        _ compiled: CompiledBundle,
        _ identity: VersionIdentity,
        _ work: inout AgentWork,
        _ recorded: RecordedFleet,
        _ context: RolloutContext
    ) throws -> DesiredVersion {
        let state = work.machine.state
        var desired = DesiredVersion(
            side: compiled.side,
            identity: identity,
            halted: compiled.halted,
            kind: work.difference?.kind ?? .none,
            rollout: work.item.rollout,
            source: context.source,
            wanted: work.item.wanted ?? context.wanted
        )
        desired.promotionRule = try promotionRule(compiled, state, context)
        work.promotion = try desired.promotionRule.flatMap {
            try promotion(compiled, $0, work, recorded, context)
        }
        desired.promotion = work.promotion
        guard let stable = state.stable, stable.digest != compiled.digest else { return desired }
        if let history = try recorded.history(work.item.agent, compiled.digest) {
            desired.isEarlier = history.isEarlier
            desired.isKnownGood =
                desired.kind != .widening && !history.wasTakenBack
                && history.stableUntil.seconds >= context.now.seconds - context.keepFor
        }
        if let (candidate, _) = state.canary, candidate.side.digest != compiled.digest {
            let before = try recorded.bundle(candidate.side.digest)
            if let before, try before.saysTheSame(as: compiled) {
                // Only Ensign's way of writing it has changed: the canary goes on with its evidence, and what becomes
                // stable is written anew then.
                desired.side = candidate.side
            } else {
                desired.kindFromCandidate = try before.map {
                    BundleDifference(before: $0, after: try compiled.bundle).kind
                }
            }
        }
        if let present = work.stableBundle, let narrowed = try narrowed(present, compiled, present, context) {
            desired.narrowedStable = narrowed.side
            work.recompiled = narrowed
        }
        return desired
    }
}
