import EnsignJudge
import EnsignModel

/// What people ask for.
extension RolloutMachine {
    mutating func operate(_ operation: RolloutOperation, _ by: String, _ reason: String)
        throws(RolloutRefusal)
    {
        switch operation {
        case .pause: try pause(reason)
        case .resume: try resume(reason)
        case .promote: try promote(reason)
        case .abort: try abort(reason)
        case .retry(let version): try retry(version, reason)
        case .override(let version): try override(version, by, reason)
        case .halt: try halt(by, reason)
        case .unhalt: try unhalt(reason)
        case .rollback(let previous): try rollback(to: previous, reason)
        }
    }

    /// Why there is no rollout to steer.
    private var noRollout: RolloutRefusal {
        if case .soaking? = state.rollout { .soaking } else { .noRollout }
    }

    private mutating func pause(_ reason: String) throws(RolloutRefusal) {
        guard state.presentPause == nil else { throw .alreadyPaused }
        switch phase {
        case .absent, .halted, .settled: throw noRollout
        case .queued: throw .notStarted
        case .canary(let trial, var progress):
            progress.pause = CanaryProgress.Pause(since: now, reason: reason)
            state.rollout = .canary(trial.candidate, progress)
            note(trial, progress, "paused: \(reason)")
        }
    }

    private mutating func resume(_ reason: String) throws(RolloutRefusal) {
        switch phase {
        case .absent, .halted, .settled:
            guard state.pause != nil else { throw noRollout }
            let why = because("the next canary does not begin paused: \(reason)")
            record(.weight, from: state.stable, to: state.stable, .none, weight: (0, 0), why)
        case .queued(let trial):
            guard state.pause != nil else { throw .notPaused }
            let candidate = trial.candidate
            let why = because("resumed: \(reason)")
            record(.weight, from: trial.stable, to: candidate.side, candidate.kind, weight: (0, 0), why)
        case .canary(let trial, var progress):
            guard let pause = progress.pause else { throw .notPaused }
            let paused = max(0, now.seconds(since: pause.since))
            progress.pause = nil
            progress.stepSince = progress.stepSince.advanced(seconds: paused)
            progress.started = progress.started.advanced(seconds: paused)
            state.rollout = .canary(trial.candidate, progress)
            note(trial, progress, "resumed: \(reason)")
        }
    }

    mutating func note(_ trial: Trial, _ progress: CanaryProgress, _ why: String) {
        let weight = (progress.weight, progress.weight)
        record(
            .weight,
            from: trial.stable,
            to: trial.candidate.side,
            trial.candidate.kind,
            weight: weight,
            because(why)
        )
    }

    private mutating func promote(_ reason: String) throws(RolloutRefusal) {
        switch phase {
        case .absent, .halted, .settled: throw noRollout
        case .queued(let trial): promote(trial, nil, nil, "by hand: \(reason)")
        case .canary(let trial, let progress): promote(trial, progress, nil, "by hand: \(reason)")
        }
    }

    private mutating func abort(_ reason: String) throws(RolloutRefusal) {
        switch phase {
        case .absent, .halted, .settled: throw noRollout
        case .queued(let trial): fail(trial, nil, CanaryVerdict(.notAnalysed), "aborted: \(reason)")
        case .canary(let trial, let progress):
            fail(trial, progress, CanaryVerdict(.notAnalysed), "aborted: \(reason)")
        }
    }

    /// Lifts one quarantine and leaves the others: each has its own failure.
    private mutating func retry(_ version: AgentVersion?, _ reason: String) throws(RolloutRefusal) {
        guard !state.quarantine.isEmpty else { throw .notQuarantined }
        let lifted = try quarantine(of: version)
        state.quarantine.removeAll { lifted.contains($0) }
        let names = Quarantine.versions(lifted).map(\.description).joined(separator: ", ")
        record(.quarantine, from: state.stable, to: state.stable, .none, because("\(names) lifted: \(reason)"))
    }

    private func quarantine(of version: AgentVersion?) throws(RolloutRefusal) -> [Quarantine] {
        if let version {
            let named = state.quarantine.filter { $0.version == version }
            guard !named.isEmpty else { throw .otherQuarantined(state.quarantinedVersions) }
            return named
        }
        if let wanted {
            let asked = state.quarantine.filter { wanted.isCovered(by: $0) }
            if !asked.isEmpty { return asked }
        }
        guard state.quarantinedVersions.count == 1 else { throw .otherQuarantined(state.quarantinedVersions) }
        return state.quarantine
    }

    /// Lets a version in that was not proven where it comes from: the one that waits, or one that is yet to come.
    private mutating func override(_ version: AgentVersion?, _ by: String, _ reason: String) throws(RolloutRefusal) {
        var waiting: Candidate?
        if case .soaking(let candidate, _)? = state.rollout { waiting = candidate }
        guard let version = version ?? waiting?.side.version else { throw .noSoak }
        var override = SoakOverride(version: version, since: now, by: by, reason: reason)
        if let waiting, waiting.side.version == version { override.artifact = waiting.artifact }
        state.soakOverride = override
        record(
            .weight,
            from: state.stable,
            to: state.stable,
            .none,
            weight: (0, 0),
            because("\(version) may come in without its soak: \(reason)")
        )
    }

    private mutating func halt(_ by: String, _ reason: String) throws(RolloutRefusal) {
        guard state.halt == nil else { throw .alreadyHalted }
        let weight = state.canary.map { ($0.progress.weight, Int64(0)) }
        let candidate = state.canary?.candidate
        state.halt = Halt(
            since: notBeforeLeaving,
            reason: reason,
            by: by,
            stopped: [candidate?.artifact].compactMap { $0 }
        )
        state.activityAfterHalt = nil
        stopTrial()
        let why = because(reason, replaced: candidate?.side)
        record(.halt, from: state.stable, to: state.stable, .none, weight: weight, why)
    }

    private mutating func unhalt(_ reason: String) throws(RolloutRefusal) {
        guard state.halt != nil else { throw state.haltedByGit ? .haltedByGit : .notHalted }
        guard !state.haltedByGit else { throw .haltedByGit }
        state.halt = nil
        state.activityAfterHalt = nil
        record(.resume, from: state.stable, to: state.stable, .none, because(reason))
    }

    private mutating func rollback(to previous: PreviousVersion?, _ reason: String) throws(RolloutRefusal) {
        switch phase {
        case .absent: throw .noVersion
        case .halted: throw .isHalted
        case .canary: try abort(reason)
        case .settled(let stable): try rollback(from: stable, to: previous, "by hand: \(reason)")
        case .queued(let trial): try rollback(from: trial.stable, to: previous, "by hand: \(reason)")
        }
    }

    private mutating func rollback(
        from stable: Change.Side,
        to previous: PreviousVersion?,
        _ why: String
    ) throws(RolloutRefusal) {
        guard let previous else { throw .noPrevious }
        state.stable = previous.side
        state.rollout = nil
        record(.rollback, from: stable, to: previous.side, previous.kind, because(why))
        quarantine(stable, stableArtifact, stable: previous.side, previous.artifact, why)
    }
}
