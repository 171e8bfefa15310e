import EnsignJudge
package import EnsignModel

/// The rollout of one agent: (state, event, now) gives the next state and what to record. Pure and total.
///
/// docs/rollouts.md draws it. No case is handled by default: a new event or phase does not compile until somebody has
/// considered every pair.
package struct RolloutMachine: Sendable {
    package let agent: AgentID
    package internal(set) var state: AgentState
    /// What happened, in order.
    package internal(set) var changes: [Change] = []
    /// Why an agent that git wants to change stays as it is; nil when it does not.
    package internal(set) var held: HeldReason?
    /// The artifact of the stable version, if known: it decides what an operator's request quarantines.
    package var stableArtifact: Digest?
    /// What git asks for, if anything: the version whose quarantine an operator means.
    package var wanted: VersionIdentity?
    let before: AgentState
    let now: Timestamp
    /// Why a new agent is halted before its first run; nil when it is not.
    var startsHalted: String?
    /// The pause of the canary that it had under its former name: it holds for the one that begins now.
    var paused: CanaryProgress?
    /// What lets in the version that git asks for, if it had to be shown: it is told with the change that brings it.
    var admission: (digest: Digest, verdict: PromotionVerdict)?

    package init(agent: AgentID, state: AgentState, now: Timestamp) {
        self.agent = agent
        self.state = state
        before = state
        self.now = now
    }

    /// Handles one event.
    ///
    /// - Throws: ``RolloutRefusal`` when an operator asks for what cannot be done; nothing has changed then.
    package mutating func handle(_ event: RolloutEvent) throws(RolloutRefusal) {
        // Only an operator's word ends an operator's pause: what else takes the canary away leaves it for the next one.
        let pause = state.pause
        state.pause = state.presentPause
        do throws(RolloutRefusal) { try take(event) } catch {
            state.pause = pause
            throw error
        }
        if event.endsPause || state.stable == nil || state.canary != nil { state.pause = nil }
        // An operator's word is used up by the version that it has brought in.
        if let override = state.soakOverride, state.stable?.version == override.version { state.soakOverride = nil }
    }

    private mutating func take(_ event: RolloutEvent) throws(RolloutRefusal) {
        switch event {
        case .desired(let desired): self.desired(desired)
        case .removed(let successor): removed(movedTo: successor)
        case .stays(let users, let successor, let narrowed):
            stays(for: users, movedTo: successor)
            lose(narrowed)
        case .kept(let narrowed):
            kept()
            lose(narrowed)
        case .succeeds(let succession): succeed(succession)
        case .place(let canary): place(canary)
        case .time(let canary, let verdict, let clockStep): time(canary, verdict, clockStep)
        case .operation(let operation, let by, let reason):
            // Text from people and agents is kept in the state: it is limited here, at the only entrance.
            try operate(operation, by.cut(utf8: 200), reason.cut(utf8: 500))
        }
    }

    // MARK: The state it is in

    /// A candidate beside the stable version.
    struct Trial {
        var stable: Change.Side
        var candidate: Candidate
    }

    enum Phase {
        case absent
        case halted(Change.Side)
        case settled(Change.Side)
        case queued(Trial)
        case canary(Trial, CanaryProgress)
    }

    var phase: Phase {
        guard let stable = state.stable else { return .absent }
        if state.isHalted { return .halted(stable) }
        switch state.rollout {
        case nil: return .settled(stable)
        case .soaking: return .settled(stable)
        case .queued(let candidate): return .queued(Trial(stable: stable, candidate: candidate))
        case .canary(let candidate, let progress):
            return .canary(Trial(stable: stable, candidate: candidate), progress)
        }
    }

    // MARK: Recording

    /// Notes what happened.
    mutating func record(
        _ action: Change.Action,
        from: Change.Side?,
        to: Change.Side?,
        _ kind: Change.Class,
        weight: (from: Int64, to: Int64)? = nil,
        _ why: Evidence? = nil
    ) {
        var why = why
        if let admission, admission.digest == to?.digest, from?.digest != to?.digest {
            var told = why ?? Evidence()
            admission.verdict.tell(&told)
            why = told
            self.admission = nil
        }
        changes.append(
            Change(
                agent: agent,
                action: action,
                from: from,
                to: to,
                kind: kind,
                weight: weight.map { Change.Weight(from: $0.from, to: $0.to) },
                evidence: why
            )
        )
    }

    /// - Parameter replaced: Bundles that lost their last route, though the change does not start from them: `keepFor`
    ///   counts from here.
    func because(_ why: String?, verdict: CanaryVerdict? = nil, replaced: Change.Side? = nil) -> Evidence? {
        guard why != nil || verdict != nil || replaced != nil else { return nil }
        let judged = verdict?.outcome == .notAnalysed ? nil : verdict
        return Evidence(
            reason: why?.cut(utf8: 500),
            verdict: judged?.outcome,
            analysis: judged?.report,
            replaced: replaced.map { [$0.digest] } ?? []
        )
    }
}
