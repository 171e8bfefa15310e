import EnsignJudge
package import EnsignModel

/// The rollout of one agent: (state, event, now) gives the next state and what to record. Pure and total.
///
/// docs/rollouts.md draws it. No case is handled by default: a new event or phase does not compile before somebody has
/// thought about every pair.
package struct RolloutMachine: Sendable {
    package let agent: AgentID
    package private(set) var state: AgentState
    /// What happened, in order.
    package private(set) var changes: [Change] = []
    /// Why an agent that git wants otherwise stays as it is; nil when it does not.
    package private(set) var held: HeldReason?
    /// The artifact of the stable version, where it is known: it decides what an operator's request quarantines.
    package var stableArtifact: Digest?
    /// What git asks for, where it asks for something: whose quarantine an operator means.
    package var wanted: (digest: Digest, artifact: Digest)?
    private let before: AgentState
    private let now: Timestamp
    /// Why a new agent is halted before it ever ran; nil when it is not.
    private var startsHalted: String?

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
        switch event {
        case .desired(let desired): self.desired(desired)
        case .removed(let successor): removed(movedTo: successor)
        case .succeeds(let succession): succeed(succession)
        case .place(let canary): place(canary)
        case .time(let canary, let verdict, let clockStep): time(canary, verdict, clockStep)
        case .operation(let operation, let by, let reason):
            // What people and agents write is kept in the state: it is bounded here, at the one way in.
            try operate(operation, by.cut(utf8: 200), reason.cut(utf8: 500))
        }
    }

    // MARK: What git wants

    private enum Phase {
        case absent
        case halted(Change.Side)
        case settled(Change.Side)
        case queued(Change.Side, Candidate)
        case canary(Change.Side, Candidate, CanaryProgress)
    }

    private var phase: Phase {
        guard let stable = state.stable else { return .absent }
        if state.isHalted { return .halted(stable) }
        switch state.rollout {
        case nil: return .settled(stable)
        case .queued(let candidate): return .queued(stable, candidate)
        case .canary(let candidate, let progress): return .canary(stable, candidate, progress)
        }
    }

    private mutating func desired(_ desired: DesiredVersion) {
        follow(haltedByGit: desired.halted, desired)
        let stable = state.stable
        follow(desired)
        // Less permission is less for everybody, whatever becomes of the version that git asks for.
        if let stable, state.stable == stable, let narrowed = desired.narrowedStable { narrow(stable, to: narrowed) }
    }

    /// The stable version goes on with what git still allows it; what was measured before is past.
    private mutating func narrow(_ stable: Change.Side, to narrowed: Change.Side) {
        state.stable = narrowed
        if case .canary(let candidate, var progress) = state.rollout {
            progress.evidenceSince = now
            state.rollout = .canary(candidate, progress)
        }
        record(.update, from: stable, to: narrowed, .narrowing, because: "git allows it less")
    }

    private mutating func follow(_ desired: DesiredVersion) {
        let isQuarantined = state.isQuarantined(desired.side.digest, artifact: desired.artifact)
        switch phase {
        case .absent:
            guard !isQuarantined else { return held = .quarantined }
            state.stable = desired.side
            let why = startsHalted.map { "it starts halted, \($0)" }
            record(.create, from: nil, to: desired.side, desired.kind, because: why)
        case .halted(let stable):
            guard desired.side.digest != stable.digest else { return }
            guard !isQuarantined else { return held = .quarantined }
            guard desired.isImmediate else { return held = .halted }
            replace(stable, desired)
        case .settled(let stable):
            guard desired.side.digest != stable.digest else { return }
            guard !isQuarantined else { return held = .quarantined }
            if desired.isImmediate { replace(stable, desired) } else { state.rollout = .queued(candidate(desired)) }
        case .queued(let stable, let queued):
            if desired.side.digest == queued.side.digest, !desired.isImmediate { return }
            guard !isQuarantined, desired.side.digest != stable.digest else {
                held = isQuarantined ? .quarantined : nil
                state.rollout = nil
                record(.weight, from: stable, to: stable, .none, weight: (0, 0), because: "no longer wanted")
                return
            }
            if desired.isImmediate { replace(stable, desired) } else { state.rollout = .queued(candidate(desired)) }
        case .canary(let stable, let candidate, let progress):
            guard !isQuarantined, desired.side.digest != stable.digest else {
                held = isQuarantined ? .quarantined : nil
                state.rollout = nil
                let weight = (progress.weight, Int64(0))
                record(.rollback, from: candidate.side, to: stable, .none, weight: weight, because: "no longer wanted")
                return
            }
            if desired.isImmediate {
                state.stable = desired.side
                state.rollout = nil
                let isCandidate = desired.side.digest == candidate.side.digest
                record(
                    isCandidate ? .promote : desired.isEarlier ? .rollback : .update,
                    from: stable,
                    to: desired.side,
                    desired.kind,
                    weight: (progress.weight, 100)
                )
                return
            }
            if desired.side.digest == candidate.side.digest { return }
            replaceCandidate(stable, candidate, progress, desired)
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
        if halted { state.rollout = nil }
        switch (wasHalted, state.isHalted) {
        case (false, true):
            record(.halt, from: stable, to: stable, .none, weight: weight, because: "git", replaced: candidate)
        case (true, false): record(.resume, from: stable, to: stable, .none, because: "git")
        case (true, true): record(.halt, from: stable, to: stable, .none, because: halted ? "git" : "operator")
        case (false, false): break
        }
    }

    private mutating func replace(_ stable: Change.Side, _ desired: DesiredVersion) {
        state.stable = desired.side
        state.rollout = nil
        record(desired.isEarlier ? .rollback : .update, from: stable, to: desired.side, desired.kind)
    }

    private mutating func replaceCandidate(
        _ stable: Change.Side,
        _ candidate: Candidate,
        _ progress: CanaryProgress,
        _ desired: DesiredVersion
    ) {
        var next = progress
        switch (desired.kindFromCandidate, desired.narrowedStable) {
        case (.narrowing?, let narrowed?), (Change.Class.none?, let narrowed?):
            // Less permission is less for everyone: both routes have it at once, and what was measured before is past.
            next.evidenceSince = now
            state.stable = narrowed
            state.rollout = .canary(self.candidate(desired), next)
            record(
                .update,
                from: candidate.side,
                to: desired.side,
                .narrowing,
                weight: (progress.weight, progress.weight),
                because: "narrowed in both routes",
                replaced: stable
            )
        case (.narrowing?, nil), (Change.Class.none?, nil), (.behaviour?, _), (.widening?, _), (nil, _):
            guard case .canary(let canary) = desired.rollout else { return }
            start(stable, self.candidate(desired), canary, from: progress.weight, replaced: candidate.side)
        }
    }

    private func candidate(_ desired: DesiredVersion) -> Candidate {
        Candidate(
            side: desired.side,
            artifact: desired.artifact,
            kind: desired.kind,
            source: desired.source,
            wanted: desired.wanted
        )
    }

    // MARK: Names

    /// What the agent is under another name holds before anything else is looked at. Doing it again changes nothing.
    private mutating func succeed(_ succession: Succession) {
        if state.stable == nil, let halt = succession.halt, state.halt == nil {
            state.halt = halt
            startsHalted = halt.reason
        }
        if state.stable == nil, let stable = succession.stable?.side {
            state.stable = stable
            let why = succession.renamedFrom.map { "it was \($0)" }
            record(.create, from: nil, to: stable, .widening, because: why)
        }
        let new = succession.quarantine.filter { quarantine in
            !state.quarantine.contains { $0.mark == quarantine.mark }
        }
        guard let last = new.last else { return }
        state.quarantine = Array((state.quarantine + new).suffix(Self.maxQuarantined))
        // What goes along and is not asked for now stands in the state alone.
        guard new.contains(where: { $0.covers(succession.wanted.digest, artifact: succession.artifact) }) else {
            return
        }
        record(.quarantine, from: succession.wanted, to: state.stable, .none, because: last.reason)
    }

    private mutating func removed(movedTo successor: AgentID?) {
        let why = successor.map { "it goes on as \($0)" }
        switch phase {
        case .absent: return
        case .halted(let stable), .settled(let stable), .queued(let stable, _):
            record(.delete, from: stable, to: nil, .narrowing, because: why)
        case .canary(let stable, _, let progress):
            record(.delete, from: stable, to: nil, .narrowing, weight: (progress.weight, 0), because: why)
        }
        if successor == nil {
            // Halts and quarantine outlive it: neither declaring the agent again nor another name is a way around them.
            if let stableArtifact { state.halt?.artifact = stableArtifact }
        } else {
            // They have gone along.
            (state.halt, state.quarantine) = (nil, [])
        }
        state.stable = nil
        state.rollout = nil
        state.haltedByGit = false
        if !state.isHalted { state.activityAfterHalt = nil }
    }

    // MARK: Time

    private mutating func place(_ canary: Canary) {
        switch phase {
        case .absent, .halted, .settled, .canary: return
        case .queued(let stable, let candidate): start(stable, candidate, canary, from: 0)
        }
    }

    private mutating func start(
        _ stable: Change.Side,
        _ candidate: Candidate,
        _ canary: Canary,
        from weight: Int64,
        replaced: Change.Side? = nil
    ) {
        let first = canary.steps.first?.weight ?? 100
        state.rollout = .canary(
            candidate,
            CanaryProgress(step: 0, weight: first, stepSince: now, started: now, evidenceSince: now)
        )
        record(
            .weight,
            from: stable,
            to: candidate.side,
            candidate.kind,
            weight: (weight, first),
            because: replaced.map { "it replaces \($0.version)" },
            replaced: replaced
        )
    }

    /// A queued candidate that still has no place: remembered, so that the wait is on record.
    package mutating func wait() {
        switch phase {
        case .absent, .halted, .settled, .canary: return
        case .queued(let stable, let candidate):
            held = .queued
            guard state != before else { return }
            record(.weight, from: stable, to: candidate.side, candidate.kind, weight: (0, 0), because: "queued")
        }
    }

    private mutating func time(_ canary: Canary, _ verdict: CanaryVerdict, _ clockStep: Int64?) {
        switch phase {
        case .absent, .halted, .settled, .queued: return
        case .canary(let stable, let candidate, var progress):
            guard verdict.outcome != .fail else {
                return fail(stable, candidate, progress, verdict, verdict.failure)
            }
            let isPaused = progress.pause != nil
            // A pause takes up what the clock jumps; but evidence that begins later than now would never count.
            if isPaused ? now < progress.evidenceSince : clockStep != nil || progress.isAhead(of: now) {
                progress.clockWasSet(to: now, by: clockStep)
                state.rollout = .canary(candidate, progress)
                let why = isPaused ? "evidence counts from now on" : "the hold starts again"
                note(stable, candidate, progress, "the clock was set: \(why)")
                if isPaused { held = .paused }
                return
            }
            guard !isPaused else { return held = .paused }
            if isPastDeadline(progress, canary) {
                switch (verdict.outcome, canary.analysis?.onInconclusive ?? .hold) {
                case (.inconclusive, .promote), (.noData, .promote):
                    return promote(stable, candidate, progress, verdict, "the deadline has passed: promoted unjudged")
                case (.inconclusive, .abort), (.noData, .abort), (.error, .abort):
                    return fail(stable, candidate, progress, verdict, "no verdict before the deadline")
                case (.inconclusive, .hold), (.noData, .hold): return held = .inconclusive
                case (.error, .hold), (.error, .promote): return held = .error
                case (.pass, _), (.fail, _), (.notAnalysed, _): break
                }
            }
            advance(stable, candidate, progress, canary, verdict)
        }
    }

    private func isPastDeadline(_ progress: CanaryProgress, _ canary: Canary) -> Bool {
        progress.deadline(canary).map { now >= $0 } ?? false
    }

    private mutating func advance(
        _ stable: Change.Side,
        _ candidate: Candidate,
        _ before: CanaryProgress,
        _ canary: Canary,
        _ verdict: CanaryVerdict
    ) {
        var progress = before
        guard let (index, _) = progress.present(canary) else {
            return promote(stable, candidate, progress, verdict, nil)
        }
        guard let ends = progress.holdEnds(canary), now >= ends else { return }
        let next = canary.steps.indices.first { $0 > index && canary.steps[$0].weight > progress.weight }
        switch (verdict.outcome, next) {
        case (.noData, _): held = .noData
        case (.error, _): held = .error
        case (.fail, _): break
        case (.pass, nil), (.notAnalysed, nil): promote(stable, candidate, progress, verdict, nil)
        case (.inconclusive, nil): held = .inconclusive
        case (.pass, let next?), (.notAnalysed, let next?), (.inconclusive, let next?):
            progress.step = Int64(next)
            progress.weight = canary.steps[next].weight
            progress.stepSince = now
            state.rollout = .canary(candidate, progress)
            record(
                .weight,
                from: stable,
                to: candidate.side,
                candidate.kind,
                weight: (before.weight, progress.weight),
                analysis: verdict
            )
        }
    }

    private mutating func promote(
        _ stable: Change.Side,
        _ candidate: Candidate,
        _ progress: CanaryProgress?,
        _ verdict: CanaryVerdict?,
        _ why: String?
    ) {
        state.stable = candidate.side
        state.rollout = nil
        record(
            .promote,
            from: stable,
            to: candidate.side,
            candidate.kind,
            weight: (progress?.weight ?? 0, 100),
            because: why,
            analysis: verdict
        )
    }

    private mutating func fail(
        _ stable: Change.Side,
        _ candidate: Candidate,
        _ progress: CanaryProgress?,
        _ verdict: CanaryVerdict,
        _ why: String
    ) {
        state.rollout = nil
        record(
            .rollback,
            from: candidate.side,
            to: stable,
            .none,
            weight: (progress?.weight ?? 0, 0),
            because: why,
            analysis: verdict
        )
        quarantine(candidate.side, candidate.artifact, stable: stable, verdict.stableArtifact ?? stableArtifact, why)
    }

    /// By artifact if it differs from the stable one's, else by digest.
    private mutating func quarantine(
        _ side: Change.Side,
        _ artifact: Digest?,
        stable: Change.Side,
        _ stableArtifact: Digest?,
        _ why: String
    ) {
        var mark = Quarantine.Mark.digest(side.digest)
        if let artifact, artifact != stableArtifact { mark = .artifact(artifact) }
        state.quarantine.removeAll { $0.mark == mark }
        state.quarantine.append(Quarantine(mark: mark, version: side.version, since: now, reason: why))
        // The newest are kept: an agent does not fail in more ways than anyone will try again.
        state.quarantine = Array(state.quarantine.suffix(Self.maxQuarantined))
        record(.quarantine, from: side, to: stable, .none, because: why)
        held = .quarantined
    }

    /// The most versions of one agent that are remembered as bad.
    package static let maxQuarantined = 50

    // MARK: Operators

    private mutating func operate(_ operation: RolloutOperation, _ by: String, _ reason: String)
        throws(RolloutRefusal)
    {
        switch operation {
        case .pause: try pause(reason)
        case .resume: try resume(reason)
        case .promote: try promote(reason)
        case .abort: try abort(reason)
        case .retry(let version): try retry(version, reason)
        case .halt: try halt(by, reason)
        case .unhalt: try unhalt(reason)
        case .rollback(let previous): try rollback(to: previous, reason)
        }
    }

    private mutating func pause(_ reason: String) throws(RolloutRefusal) {
        switch phase {
        case .absent, .halted, .settled: throw .noRollout
        case .queued: throw .notStarted
        case .canary(let stable, let candidate, var progress):
            guard progress.pause == nil else { throw .alreadyPaused }
            progress.pause = CanaryProgress.Pause(since: now, reason: reason)
            state.rollout = .canary(candidate, progress)
            note(stable, candidate, progress, "paused: \(reason)")
        }
    }

    private mutating func resume(_ reason: String) throws(RolloutRefusal) {
        switch phase {
        case .absent, .halted, .settled: throw .noRollout
        case .queued: throw .notPaused
        case .canary(let stable, let candidate, var progress):
            guard let pause = progress.pause else { throw .notPaused }
            let paused = max(0, now.seconds(since: pause.since))
            progress.pause = nil
            progress.stepSince = progress.stepSince.advanced(seconds: paused)
            progress.started = progress.started.advanced(seconds: paused)
            state.rollout = .canary(candidate, progress)
            note(stable, candidate, progress, "resumed: \(reason)")
        }
    }

    private mutating func note(
        _ stable: Change.Side,
        _ candidate: Candidate,
        _ progress: CanaryProgress,
        _ why: String
    ) {
        let weight = (progress.weight, progress.weight)
        record(.weight, from: stable, to: candidate.side, candidate.kind, weight: weight, because: why)
    }

    private mutating func promote(_ reason: String) throws(RolloutRefusal) {
        switch phase {
        case .absent, .halted, .settled: throw .noRollout
        case .queued(let stable, let candidate): promote(stable, candidate, nil, nil, "by hand: \(reason)")
        case .canary(let stable, let candidate, let progress):
            promote(stable, candidate, progress, nil, "by hand: \(reason)")
        }
    }

    private mutating func abort(_ reason: String) throws(RolloutRefusal) {
        switch phase {
        case .absent, .halted, .settled: throw .noRollout
        case .queued(let stable, let candidate):
            fail(stable, candidate, nil, CanaryVerdict(.notAnalysed), "aborted: \(reason)")
        case .canary(let stable, let candidate, let progress):
            fail(stable, candidate, progress, CanaryVerdict(.notAnalysed), "aborted: \(reason)")
        }
    }

    /// Lifts one quarantine and leaves the others: each has a failure of its own.
    private mutating func retry(_ version: AgentVersion?, _ reason: String) throws(RolloutRefusal) {
        guard !state.quarantine.isEmpty else { throw .notQuarantined }
        let lifted = try quarantine(of: version)
        state.quarantine.removeAll { lifted.contains($0) }
        let names = Quarantine.versions(lifted).map(\.description).joined(separator: ", ")
        record(.quarantine, from: state.stable, to: state.stable, .none, because: "\(names) lifted: \(reason)")
    }

    private func quarantine(of version: AgentVersion?) throws(RolloutRefusal) -> [Quarantine] {
        if let version {
            let named = state.quarantine.filter { $0.version == version }
            guard !named.isEmpty else { throw .otherQuarantined(state.quarantinedVersions) }
            return named
        }
        if let wanted {
            let asked = state.quarantine.filter { $0.covers(wanted.digest, artifact: wanted.artifact) }
            if !asked.isEmpty { return asked }
        }
        guard state.quarantinedVersions.count == 1 else { throw .otherQuarantined(state.quarantinedVersions) }
        return state.quarantine
    }

    private mutating func halt(_ by: String, _ reason: String) throws(RolloutRefusal) {
        guard state.halt == nil else { throw .alreadyHalted }
        let weight = state.canary.map { ($0.progress.weight, Int64(0)) }
        let candidate = state.canary?.candidate.side
        state.halt = Halt(since: now, reason: reason, by: by)
        state.activityAfterHalt = nil
        state.rollout = nil
        record(
            .halt,
            from: state.stable,
            to: state.stable,
            .none,
            weight: weight,
            because: reason,
            replaced: candidate
        )
    }

    private mutating func unhalt(_ reason: String) throws(RolloutRefusal) {
        guard state.halt != nil else { throw state.haltedByGit ? .haltedByGit : .notHalted }
        guard !state.haltedByGit else { throw .haltedByGit }
        state.halt = nil
        state.activityAfterHalt = nil
        record(.resume, from: state.stable, to: state.stable, .none, because: reason)
    }

    private mutating func rollback(to previous: PreviousVersion?, _ reason: String) throws(RolloutRefusal) {
        switch phase {
        case .absent: throw .noVersion
        case .halted: throw .isHalted
        case .canary: try abort(reason)
        case .settled(let stable), .queued(let stable, _):
            guard let previous else { throw .noPrevious }
            state.stable = previous.side
            state.rollout = nil
            let why = "by hand: \(reason)"
            record(.rollback, from: stable, to: previous.side, previous.kind, because: why)
            quarantine(stable, stableArtifact, stable: previous.side, previous.artifact, why)
        }
    }

    // MARK: Recording

    private mutating func record(
        _ action: Change.Action,
        from: Change.Side?,
        to: Change.Side?,
        _ kind: Change.Class,
        weight: (from: Int64, to: Int64)? = nil,
        because why: String? = nil,
        analysis: CanaryVerdict? = nil,
        replaced: Change.Side? = nil
    ) {
        var evidence: Evidence?
        if why != nil || analysis != nil || replaced != nil {
            let judged = analysis?.outcome == .notAnalysed ? nil : analysis
            evidence = Evidence(
                reason: why?.cut(utf8: 500),
                verdict: judged?.outcome,
                analysis: judged?.report,
                // Its last route is gone, though the change does not start from it: `keepFor` counts from here.
                replaced: replaced.map { [$0.digest] } ?? []
            )
        }
        changes.append(
            Change(
                agent: agent,
                action: action,
                from: from,
                to: to,
                kind: kind,
                weight: weight.map { Change.Weight(from: $0.from, to: $0.to) },
                evidence: evidence
            )
        )
    }
}

/// Why an agent that git wants otherwise stays as it is: a state, not a failure.
package enum HeldReason: String, Sendable, CaseIterable {
    case quarantined, queued, paused, halted, inconclusive
    case noData = "no-data"
    /// A metric of its analysis cannot be read.
    case error
}

/// Why an operator's request cannot be done.
package enum RolloutRefusal: Error, Sendable, Hashable {
    case noRollout, notStarted, alreadyPaused, notPaused, notQuarantined, alreadyHalted, notHalted, haltedByGit
    case noVersion, noPrevious, isHalted
    /// Not the version that was named, or several and none was named.
    case otherQuarantined([AgentVersion])

    package var message: String {
        switch self {
        case .noRollout: "no rollout is under way"
        case .notStarted: "the candidate still waits for its turn"
        case .alreadyPaused: "the rollout is paused already"
        case .notPaused: "the rollout is not paused"
        case .notQuarantined: "no version of it is quarantined here"
        case .alreadyHalted: "it is halted already"
        case .notHalted: "it is not halted"
        case .haltedByGit: "git says 'halted: true': change the deployment and push"
        case .noVersion: "nothing of it is live"
        case .noPrevious: "there is no earlier version to go back to: none was live here whose bundle is still kept"
        case .otherQuarantined(let versions):
            "quarantined here: \(versions.map(\.description).joined(separator: ", ")); name the one that is meant: --version X.Y.Z"
        case .isHalted: "it is halted, and no session has any version of it: resume it first"
        }
    }
}
