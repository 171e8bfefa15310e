import EnsignJudge
import EnsignModel

/// What an agent takes over under another name, and what it leaves behind.
extension RolloutMachine {
    /// What the agent inherits from its other name applies before anything else. Repeating it changes nothing.
    mutating func succeed(_ succession: Succession) {
        if state.stable == nil, let halt = succession.halt, state.halt == nil {
            state.halt = halt
            startsHalted = halt.reason
        }
        if state.leaving != nil, succession.renamedFrom != nil { returns(succession) }
        if state.stable == nil, let stable = succession.stable?.side {
            state.stable = stable
            let why = succession.renamedFrom.map { "it was \($0)" }
            record(.create, from: nil, to: stable, .widening, because(why))
            if let known = succession.state { remember(known) }
        }
        let new = succession.quarantine.filter { quarantine in
            !state.quarantine.contains { $0.mark == quarantine.mark }
        }
        guard !new.isEmpty else { return }
        state.quarantine += new
        let forgotten = forgetOldest()
        // Inherited quarantines that do not concern the wanted version are only in the state.
        let covering = new.last { succession.identity.isCovered(by: $0) }
        guard covering != nil || forgotten != nil else { return }
        let why = [covering?.reason, forgotten].compactMap { $0 }.joined(separator: "; ")
        record(.quarantine, from: succession.wanted, to: state.stable, .none, because(why))
    }

    /// An agent that was leaving gets its name back: what was done to it under the other name holds.
    private mutating func returns(_ succession: Succession) {
        if let known = succession.state { remember(known) }
        guard let stable = state.stable, let halt = succession.halt, state.halt == nil else { return }
        state.halt = halt
        record(.halt, from: stable, to: stable, .none, because(halt.reason))
    }

    /// What was remembered under the former name holds under this one: git's stop, an operator's word, an alarm, a pause.
    private mutating func remember(_ known: AgentState) {
        (state.haltedByGit, state.interrupted) = (known.haltedByGit, known.interrupted)
        state.activityAfterHalt = known.activityAfterHalt
        state.soakOverride = state.soakOverride ?? known.soakOverride
        state.pause = state.pause ?? known.presentPause
        if let progress = known.canary?.progress, progress.pause != nil { paused = progress }
        if case .soaking? = known.rollout { state.rollout = known.rollout }
    }

    /// Git no longer declares the agent, and a version that takes sessions still hands work to it: its own rollout ends,
    /// and its stable version stays until then.
    ///
    /// - Parameters:
    ///   - users: Who hands work to it, in words.
    ///   - successor: The name under which it goes on, if the commit that removes it says one.
    mutating func stays(for users: String, movedTo successor: AgentID?) {
        guard let stable = state.stable else { return }
        let isNew = state.leaving == nil
        if isNew { state.leaving = Leaving(since: now, successor: successor) }
        // Who goes on under another name may go on under a third one.
        let isMoved = !isNew && successor != nil && state.leaving?.successor != successor
        if isMoved { state.leaving?.successor = successor }
        takeOverGitsStop()
        let why = leaving(as: successor, because("its removal waits: \(users)"))
        let canary = state.canary
        state.rollout = nil
        if let (candidate, progress) = canary {
            record(.rollback, from: candidate.side, to: stable, .none, weight: (progress.weight, 0), why)
        } else if isNew {
            record(.weight, from: stable, to: stable, .none, weight: (0, 0), why)
        } else if isMoved, let successor {
            let why = leaving(as: successor, because("it goes on as \(successor)"))
            record(.weight, from: stable, to: stable, .none, weight: (0, 0), why)
        }
    }

    /// For whoever has to find the agent again by the name that it had: a stop may be under way.
    private func leaving(as successor: AgentID?, _ evidence: Evidence?) -> Evidence? {
        guard let successor else { return evidence }
        var evidence = evidence ?? Evidence()
        evidence.successor = successor
        return evidence
    }

    /// Lost permissions are lost for every version, also for one that git no longer declares.
    mutating func lose(_ narrowed: Change.Side?) {
        guard let stable = state.stable, let narrowed, narrowed.digest != stable.digest else { return }
        narrow(stable, to: narrowed)
    }

    /// What it is tried against, and how, is no longer declared: nobody would judge its candidate, or take it back.
    mutating func kept() {
        if state.haltedByGit, let stable = state.stable {
            takeOverGitsStop()
            record(.halt, from: stable, to: stable, .none, because("git had stopped it"))
        }
        guard let stable = state.stable, let rollout = state.rollout else { return }
        let why = because("git no longer declares it")
        state.rollout = nil
        guard case .canary(let candidate, let progress) = rollout else {
            return record(.weight, from: stable, to: stable, .none, weight: (0, 0), why)
        }
        record(.rollback, from: candidate.side, to: stable, .none, weight: (progress.weight, 0), why)
    }

    /// There is no file any more in which git could say that its stop ends: an operator may end it.
    private mutating func takeOverGitsStop() {
        guard state.haltedByGit else { return }
        state.haltedByGit = false
        state.halt = state.halt ?? Halt(since: now, reason: "git had stopped it", by: Halt.git)
    }

    /// Git declares the agent again: its own stop is its own.
    mutating func giveBackGitsStop() {
        guard state.halt?.isGits == true else { return }
        state.halt = nil
        state.haltedByGit = true
    }

    /// Now, and never before it began to leave, whatever the clock says: what was stopped since then stays under this name.
    var notBeforeLeaving: Timestamp { max(now, state.leaving?.since ?? now) }

    /// Halts and quarantines have moved with the agent. What somebody has stopped since then, while its removal waited, holds
    /// under this name: whoever goes on under the other one was not meant.
    private mutating func forgetWhatMoved() {
        func stays(_ since: Timestamp) -> Bool { state.leaving.map { since >= $0.since } ?? false }
        if let halt = state.halt, stays(halt.since), !halt.isGits {
            state.halt?.artifact = stableArtifact ?? halt.artifact
        } else {
            state.halt = nil
        }
        state.quarantine.removeAll { !stays($0.since) }
    }

    mutating func removed(movedTo successor: AgentID?) {
        let why = leaving(as: successor, because(successor.map { "it goes on as \($0)" }))
        switch phase {
        case .absent:
            // What waited to be created is no longer asked for. An operator's word for it stays: it may come before.
            guard state.rollout != nil else { return }
            state.rollout = nil
            return record(.weight, from: nil, to: nil, .none, weight: (0, 0), because("no longer wanted"))
        case .halted(let stable), .settled(let stable):
            record(.delete, from: stable, to: nil, .narrowing, why)
        case .queued(let trial): record(.delete, from: trial.stable, to: nil, .narrowing, why)
        case .canary(let trial, let progress):
            let candidate = trial.candidate.side
            let reason = successor.map { "it goes on as \($0)" } ?? "its candidate \(candidate.version) goes with it"
            let why = leaving(as: successor, because(reason, replaced: candidate))
            record(.delete, from: trial.stable, to: nil, .narrowing, weight: (progress.weight, 0), why)
        }
        if successor == nil {
            // Git's own stop ends with what it said. Halts and quarantine outlive it: neither redeclaring the agent nor
            // renaming it gets around them.
            if state.halt?.isGits == true { state.halt = nil }
            if let stableArtifact { state.halt?.artifact = stableArtifact }
        } else {
            forgetWhatMoved()
        }
        state.stable = nil
        state.rollout = nil
        state.leaving = nil
        state.soakOverride = nil
        state.haltedByGit = false
        if !state.isHalted { state.activityAfterHalt = nil }
    }
}
