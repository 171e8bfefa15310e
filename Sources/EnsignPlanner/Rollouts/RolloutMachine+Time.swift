import EnsignJudge
import EnsignModel

/// What time and evidence do to a candidate.
extension RolloutMachine {
    mutating func place(_ canary: Canary) {
        switch phase {
        case .absent, .halted, .settled, .canary: return
        case .queued(let trial): start(trial, canary, from: 0)
        }
    }

    /// An operator's pause of the candidate that it replaces holds for this one too.
    mutating func start(_ trial: Trial, _ canary: Canary, from weight: Int64, replaced: Change.Side? = nil) {
        let candidate = trial.candidate
        let first = canary.steps.first?.weight ?? 100
        var progress = CanaryProgress(step: 0, weight: first, stepSince: now, started: now, evidenceSince: now)
        if let pause = state.pause {
            progress.pause = CanaryProgress.Pause(since: now, reason: pause.reason)
            held = .paused
        }
        state.rollout = .canary(candidate, progress)
        let replaces = replaced.map { "it replaces \($0.version)" }
        let stays = progress.pause.map { "it stays paused: \($0.reason)" }
        let why = [replaces, stays].compactMap { $0 }
        record(
            .weight,
            from: trial.stable,
            to: candidate.side,
            candidate.kind,
            weight: (weight, first),
            because(why.isEmpty ? nil : why.joined(separator: "; "), replaced: replaced)
        )
    }

    /// Remembers a queued candidate that still has no place, so that the wait is on record.
    package mutating func wait() {
        switch phase {
        case .absent, .halted, .settled, .canary: return
        case .queued(let trial):
            let candidate = trial.candidate
            if held != .paused { held = .queued }
            guard state != before else { return }
            let why = held == .paused ? state.pause.map { "it stays paused: \($0.reason)" } : "queued"
            record(.weight, from: trial.stable, to: candidate.side, candidate.kind, weight: (0, 0), because(why))
        }
    }

    mutating func time(_ canary: Canary, _ verdict: CanaryVerdict, _ clockStep: Int64?) {
        switch phase {
        case .absent, .halted, .settled, .queued: return
        case .canary(let trial, var progress):
            guard verdict.outcome != .fail else { return fail(trial, progress, verdict, verdict.failure) }
            let isPaused = progress.pause != nil
            // A pause absorbs the clock's jumps; but evidence that begins later than now would never count.
            if isPaused ? now < progress.evidenceSince : clockStep != nil || progress.isAhead(of: now) {
                progress.clockWasSet(to: now, by: clockStep)
                state.rollout = .canary(trial.candidate, progress)
                let why = isPaused ? "evidence counts from now on" : "the hold starts again"
                note(trial, progress, "the clock was set: \(why)")
                if isPaused { held = .paused }
                return
            }
            guard !isPaused else { return held = .paused }
            if isPastDeadline(progress, canary) {
                switch (verdict.outcome, canary.analysis?.onInconclusive ?? .hold) {
                case (.inconclusive, .promote), (.noData, .promote):
                    return promote(trial, progress, verdict, "the deadline has passed: promoted unjudged")
                case (.inconclusive, .abort), (.noData, .abort), (.error, .abort):
                    return fail(trial, progress, verdict, "no verdict before the deadline")
                case (.inconclusive, .hold), (.noData, .hold): return held = .inconclusive
                case (.error, .hold), (.error, .promote): return held = .error
                case (.pass, _), (.fail, _), (.notAnalysed, _): break
                }
            }
            advance(trial, progress, canary, verdict)
        }
    }

    private func isPastDeadline(_ progress: CanaryProgress, _ canary: Canary) -> Bool {
        progress.deadline(canary).map { now >= $0 } ?? false
    }

    private mutating func advance(
        _ trial: Trial,
        _ before: CanaryProgress,
        _ canary: Canary,
        _ verdict: CanaryVerdict
    ) {
        let candidate = trial.candidate
        var progress = before
        guard let (index, _) = progress.present(canary) else {
            return promote(trial, progress, verdict, nil)
        }
        guard let ends = progress.holdEnds(canary), now >= ends else { return }
        let next = canary.steps.indices.first { $0 > index && canary.steps[$0].weight > progress.weight }
        switch (verdict.outcome, next) {
        case (.noData, _): held = .noData
        case (.error, _): held = .error
        case (.fail, _): break
        case (.pass, nil), (.notAnalysed, nil): promote(trial, progress, verdict, nil)
        case (.inconclusive, nil): held = .inconclusive
        case (.pass, let next?), (.notAnalysed, let next?), (.inconclusive, let next?):
            progress.step = Int64(next)
            progress.weight = canary.steps[next].weight
            progress.stepSince = now
            state.rollout = .canary(candidate, progress)
            record(
                .weight,
                from: trial.stable,
                to: candidate.side,
                candidate.kind,
                weight: (before.weight, progress.weight),
                because(nil, verdict: verdict)
            )
        }
    }

    mutating func promote(_ trial: Trial, _ progress: CanaryProgress?, _ verdict: CanaryVerdict?, _ why: String?) {
        let candidate = trial.candidate
        state.stable = candidate.side
        state.rollout = nil
        record(
            .promote,
            from: trial.stable,
            to: candidate.side,
            candidate.kind,
            weight: (progress?.weight ?? 0, 100),
            because(why, verdict: verdict)
        )
    }

    mutating func fail(_ trial: Trial, _ progress: CanaryProgress?, _ verdict: CanaryVerdict, _ why: String) {
        let (stable, candidate) = (trial.stable, trial.candidate)
        state.rollout = nil
        record(
            .rollback,
            from: candidate.side,
            to: stable,
            .none,
            weight: (progress?.weight ?? 0, 0),
            because(why, verdict: verdict)
        )
        quarantine(candidate.side, candidate.artifact, stable: stable, verdict.stableArtifact ?? stableArtifact, why)
    }

    /// By artifact if it differs from the stable one's, else by digest.
    mutating func quarantine(
        _ side: Change.Side,
        _ artifact: Digest?,
        stable: Change.Side,
        _ stableArtifact: Digest?,
        _ why: String
    ) {
        var mark = Quarantine.Mark.digest(side.digest)
        if let artifact, artifact != stableArtifact { mark = .artifact(artifact) }
        state.quarantine.removeAll { $0.mark == mark }
        state.quarantine.append(Quarantine(mark: mark, version: side.version, since: notBeforeLeaving, reason: why))
        record(.quarantine, from: side, to: stable, .none, because(forgetOldest().map { "\(why); \($0)" } ?? why))
        held = .quarantined
    }

    /// The newest are kept: nobody will retry more failures than this.
    ///
    /// - Returns: What is forgotten, in words; nil when nothing is.
    mutating func forgetOldest() -> String? {
        let forgotten = Quarantine.versions(Array(state.quarantine.dropLast(Self.maxQuarantined)))
        guard !forgotten.isEmpty else { return nil }
        state.quarantine = Array(state.quarantine.suffix(Self.maxQuarantined))
        let names = forgotten.map(\.description).joined(separator: ", ")
        return "the quarantine of \(names) is no longer remembered: the newest \(Self.maxQuarantined) are"
    }

    /// The most versions of one agent that are remembered as bad.
    package static let maxQuarantined = 200
}
