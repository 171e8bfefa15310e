import EnsignJudge
import EnsignModel

/// What git wants.
extension RolloutMachine {
    mutating func desired(_ desired: DesiredVersion) {
        giveBackGitsStop()
        // What git alone has stopped follows it: nothing returns that git no longer names, not even for a moment.
        let follows = state.haltedByGit && state.halt == nil
        let interrupted = state.interrupted ?? state.trial?.artifact
        follow(haltedByGit: desired.halted, desired)
        state.interrupted = state.haltedByGit ? interrupted : nil
        // A candidate that was being tried is not a fix: it starts its canary anew.
        let isTried = desired.identity.isNamed(by: interrupted)
        // What is left of the stable version may be what git asks for: there is nothing to try then.
        if let stable = state.stable, let narrowed = desired.narrowedStable, narrowed.digest == desired.side.digest,
            !desired.isImmediate
        {
            narrow(stable, to: narrowed)
        }
        let stable = state.stable
        let waited = stopWaiting()
        // No session can be moved while git alone has stopped it; an operator's pause is still an operator's.
        let isFree = follows || state.haltedByGit && state.halt == nil
        follow(desired, atOnce: isFree && !isTried && state.presentPause == nil)
        // Lost permissions are lost for every version, whatever happens to the one that git asks for.
        if let stable, state.stable == stable, let narrowed = desired.narrowedStable, narrowed != stable {
            narrow(stable, to: narrowed)
        }
        noteWait(since: waited, desired)
        guard state.leaving != nil else { return }
        state.leaving = nil
        if changes.isEmpty { noteState("git declares it again") }
    }

    /// What is remembered changes, and nothing live does.
    mutating func noteState(_ why: String) {
        record(.weight, from: state.stable, to: state.stable, .none, weight: (0, 0), because(why))
    }

    /// Takes the candidate away. One that waits for its soak has nothing to lose, and goes on waiting by the same rule.
    mutating func stopTrial() {
        if case .soaking? = state.rollout { return }
        state.rollout = nil
    }

    /// Whether a version that waits for its soak still does is decided anew each time.
    private mutating func stopWaiting() -> RolloutState? {
        guard case .soaking? = state.rollout else { return nil }
        defer { state.rollout = nil }
        return state.rollout
    }

    /// Remembers the wait, so that time can end it, and what was demanded, whatever else holds the version back; what is on
    /// record already is not recorded again.
    private mutating func noteWait(since before: RolloutState?, _ desired: DesiredVersion) {
        if held == .soaking || held == .quarantined, case .waits(let until, let why)? = desired.promotion {
            let soak = Soak(until: until, why: why.cut(utf8: 500), rule: desired.promotionRule)
            state.rollout = .soaking(waiting(desired, since: before), soak)
            if case .soaking(let candidate, let known)? = before, candidate.side == desired.side, known.until == until,
                known.rule == soak.rule
            {
                // As it was recorded: the reason may tell of another moment.
                state.rollout = before
            } else {
                noteState("\(desired.side.version) waits: \(why)")
            }
        } else if before != nil, state.rollout == nil, changes.isEmpty {
            noteState("no version waits for its soak any more")
        }
    }

    /// The candidate that waits, with the commit that asked for it first.
    private func waiting(_ desired: DesiredVersion, since before: RolloutState?) -> Candidate {
        var candidate = candidate(desired)
        if case .soaking(let known, _)? = before, known.artifact == candidate.artifact {
            (candidate.source, candidate.wanted) = (known.source, known.wanted)
        }
        return candidate
    }

    /// Why the version may not come in; nil when it may.
    private func obstacle(_ desired: DesiredVersion) -> HeldReason? {
        if state.quarantine(of: desired.identity) != nil { return .quarantined }
        if case .waits? = desired.promotion { return .soaking }
        return nil
    }

    private mutating func admit(_ desired: DesiredVersion) {
        guard let verdict = desired.promotion else { return }
        // The word is used for what comes in now, and not for what another commit may put in its place.
        if case .overridden = verdict { state.soakOverride?.artifact = desired.identity.artifact }
        admission = (desired.side.digest, verdict)
    }

    /// The stable version continues with what git still allows; earlier measurements no longer count.
    mutating func narrow(_ stable: Change.Side, to narrowed: Change.Side) {
        state.stable = narrowed
        if case .canary(let candidate, var progress) = state.rollout {
            progress.evidenceSince = now
            state.rollout = .canary(candidate, progress)
        }
        record(.update, from: stable, to: narrowed, .narrowing, because("git allows it less"))
    }

    /// - Parameter atOnce: Whether no session can be moved by it, because git has stopped the agent.
    private mutating func follow(_ desired: DesiredVersion, atOnce: Bool) {
        let obstacle = obstacle(desired)
        if obstacle == nil { admit(desired) }
        switch phase {
        case .absent:
            guard obstacle == nil else { return held = obstacle }
            state.stable = desired.side
            let why = (startsHalted ?? state.halt?.reason).map { "it starts halted, \($0)" }
            record(.create, from: nil, to: desired.side, desired.kind, because(why))
        case .halted(let stable):
            guard desired.side.digest != stable.digest else { return }
            guard obstacle == nil else { return held = obstacle }
            guard desired.isImmediate && !waitsForPause(desired) || atOnce else { return held = .halted }
            replace(stable, desired)
        case .settled(let stable):
            guard desired.side.digest != stable.digest else { return }
            guard obstacle == nil else { return held = obstacle }
            if let paused, !atOnce, !desired.goesBack {
                goOn(stable, paused, desired)
            } else if desired.isImmediate && !waitsForPause(desired) || atOnce {
                replace(stable, desired)
            } else {
                queue(desired)
            }
        case .queued(let trial):
            let stable = trial.stable
            if obstacle == nil, desired.side.digest == trial.candidate.side.digest, !desired.isImmediate { return }
            guard obstacle == nil, desired.side.digest != stable.digest else {
                held = obstacle
                state.rollout = nil
                record(.weight, from: stable, to: stable, .none, weight: (0, 0), because("no longer wanted"))
                return
            }
            if desired.isImmediate, !waitsForPause(desired) { replace(stable, desired) } else { queue(desired) }
        case .canary(let trial, let progress):
            let (stable, candidate) = (trial.stable, trial.candidate)
            guard obstacle == nil, desired.side.digest != stable.digest else {
                held = obstacle
                state.rollout = nil
                let weight = (progress.weight, Int64(0))
                record(.rollback, from: candidate.side, to: stable, .none, weight: weight, because("no longer wanted"))
                return
            }
            if desired.isImmediate, waitsForPause(desired) { return stayPaused(trial, progress, desired) }
            if desired.isImmediate {
                guard desired.side.digest == candidate.side.digest else {
                    let weight = (progress.weight, Int64(0))
                    let why = because("no longer wanted")
                    record(.rollback, from: candidate.side, to: stable, .none, weight: weight, why)
                    return replace(stable, desired)
                }
                (state.stable, state.rollout) = (desired.side, nil)
                return record(
                    .promote,
                    from: stable,
                    to: desired.side,
                    desired.kind,
                    weight: (progress.weight, 100)
                )
            }
            if desired.side.digest == candidate.side.digest { return }
            replaceCandidate(trial, progress, desired)
        }
    }

    /// Git's own stop. Ending it starts the agent only when no operator has stopped it too.
    private mutating func follow(haltedByGit halted: Bool, _ desired: DesiredVersion) {
        guard halted != state.haltedByGit else { return }
        let wasHalted = state.isHalted
        let weight = state.canary.map { ($0.progress.weight, Int64(0)) }
        let candidate = state.canary?.candidate.side
        state.haltedByGit = halted
        if !state.isHalted { state.activityAfterHalt = nil }
        guard let stable = state.stable else { return }
        if halted { stopTrial() }
        switch (wasHalted, state.isHalted) {
        case (false, true):
            record(.halt, from: stable, to: stable, .none, weight: weight, because("git", replaced: candidate))
        case (true, false): record(.resume, from: stable, to: stable, .none, because("git"))
        case (true, true): record(.halt, from: stable, to: stable, .none, because(halted ? "git" : "operator"))
        case (false, false): break
        }
    }

    /// An operator's pause outlives the rule that no canary is needed. What loses or goes back does not wait.
    private func waitsForPause(_ desired: DesiredVersion) -> Bool {
        state.presentPause != nil && !desired.goesBack
    }

    private mutating func queue(_ desired: DesiredVersion) {
        if desired.isImmediate { held = .paused }
        state.rollout = .queued(candidate(desired))
    }

    private mutating func replace(_ stable: Change.Side, _ desired: DesiredVersion) {
        // What was stopped stays so, under whatever name it comes back.
        if let stableArtifact, let halt = state.halt, halt.stopped.count < Halt.maxStopped,
            !desired.identity.isNamed(by: stableArtifact), !halt.stopped.contains(stableArtifact)
        {
            state.halt?.stopped.append(stableArtifact)
        }
        state.stable = desired.side
        state.rollout = nil
        record(desired.isEarlier ? .rollback : .update, from: stable, to: desired.side, desired.kind)
    }

    /// The canary that was paused under the agent's former name is under way under this one, and is paused.
    private mutating func goOn(_ stable: Change.Side, _ paused: CanaryProgress, _ desired: DesiredVersion) {
        var progress = paused
        progress.evidenceSince = now
        if case .canary(let canary) = desired.rollout, let first = canary.steps.first?.weight {
            // It begins again.
            (progress.step, progress.weight) = (0, first)
            (progress.stepSince, progress.started) = (now, now)
            progress.pause?.since = now
        }
        let trial = Trial(stable: stable, candidate: candidate(desired))
        state.rollout = .canary(trial.candidate, progress)
        held = .paused
        record(
            .weight,
            from: stable,
            to: trial.candidate.side,
            desired.kind,
            weight: (0, progress.weight),
            because(progress.pause.map { "it stays paused: \($0.reason)" })
        )
    }

    /// Git asks for no canary any more, and the one that is paused goes on: without what it loses, and only as long as it is
    /// what git asks for. Another version waits until the pause ends.
    private mutating func stayPaused(_ trial: Trial, _ progress: CanaryProgress, _ desired: DesiredVersion) {
        held = .paused
        guard desired.side.digest != trial.candidate.side.digest else { return }
        switch desired.kindFromCandidate {
        case .narrowing?, Change.Class.none?: narrowCandidate(trial, progress, desired)
        case .behaviour?, .widening?, nil:
            state.rollout = .queued(candidate(desired))
            let weight = (progress.weight, Int64(0))
            let why = because("no longer wanted")
            record(.rollback, from: trial.candidate.side, to: trial.stable, .none, weight: weight, why)
        }
    }

    /// Lost permissions are lost at once: earlier measurements no longer count.
    private mutating func narrowCandidate(_ trial: Trial, _ progress: CanaryProgress, _ desired: DesiredVersion) {
        var next = progress
        next.evidenceSince = now
        state.rollout = .canary(candidate(desired), next)
        var why = because("git allows it less")
        if let narrowed = desired.narrowedStable {
            state.stable = narrowed
            why = because("narrowed in both routes", replaced: trial.stable)
        }
        let weight = (progress.weight, progress.weight)
        record(.update, from: trial.candidate.side, to: desired.side, .narrowing, weight: weight, why)
    }

    private mutating func replaceCandidate(_ trial: Trial, _ progress: CanaryProgress, _ desired: DesiredVersion) {
        switch (desired.kindFromCandidate, desired.narrowedStable) {
        case (.narrowing?, _?), (Change.Class.none?, _?): narrowCandidate(trial, progress, desired)
        case (.narrowing?, nil), (Change.Class.none?, nil), (.behaviour?, _), (.widening?, _), (nil, _):
            guard case .canary(let canary) = desired.rollout else { return }
            let next = Trial(stable: trial.stable, candidate: candidate(desired))
            start(next, canary, from: progress.weight, replaced: trial.candidate.side)
        }
    }

    private func candidate(_ desired: DesiredVersion) -> Candidate {
        Candidate(
            side: desired.side,
            artifact: desired.identity.artifact,
            kind: desired.kind,
            source: desired.source,
            wanted: desired.wanted
        )
    }
}
