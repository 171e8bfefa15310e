/// The state of one agent's rollout.
package enum RolloutState: Sendable, Hashable {
    /// The candidate waits for a place: `limits.concurrentRollouts` of the environment are under way.
    case queued(Candidate)
    /// The candidate takes some of the sessions.
    case canary(Candidate, CanaryProgress)
    /// The candidate may not come in yet: it was not stable for long enough in the environment that it comes from.
    case soaking(Candidate, Soak)

    package var candidate: Candidate {
        switch self {
        case .queued(let candidate), .canary(let candidate, _), .soaking(let candidate, _): candidate
        }
    }
}

/// Why a candidate may not come in yet.
package struct Soak: Sendable, Hashable {
    /// When time alone lets it in; nil when something else has to happen first.
    package var until: Timestamp?
    /// In words.
    package var why: String
    /// What was demanded when the candidate came; nil where an earlier Ensign wrote it.
    package var rule: PromotionRule?

    package init(until: Timestamp?, why: String, rule: PromotionRule? = nil) {
        self.until = until
        self.why = why
        self.rule = rule
    }
}

/// An operator's word that a version may come in although it was not proven elsewhere.
package struct SoakOverride: Sendable, Hashable {
    package var version: AgentVersion
    /// What it is said of; nil while nobody has seen the version yet: the first one of that name is meant.
    package var artifact: Digest?
    package var since: Timestamp
    package var by: String
    package var reason: String

    package init(version: AgentVersion, since: Timestamp, by: String, reason: String) {
        self.version = version
        self.since = since
        self.by = by
        self.reason = reason
    }

    /// Whether it is said of a version.
    package func lets(_ version: AgentVersion, _ identity: VersionIdentity) -> Bool {
        version == self.version && (artifact == nil || identity.isNamed(by: artifact))
    }
}

/// A version on its way to become the stable one.
package struct Candidate: Sendable, Hashable {
    package var side: Change.Side
    /// The digest of the part that does not depend on the environment; quarantine recognises it wherever it runs.
    package var artifact: Digest
    /// The kind of change from the stable version.
    package var kind: Change.Class
    /// The source commit that asked for it.
    package var source: ObjectID
    /// When that commit was made; the oldest goes first.
    package var wanted: Timestamp

    package init(side: Change.Side, artifact: Digest, kind: Change.Class, source: ObjectID, wanted: Timestamp) {
        self.side = side
        self.artifact = artifact
        self.kind = kind
        self.source = source
        self.wanted = wanted
    }
}

/// How far a canary has come. All times are recorded wall time.
package struct CanaryProgress: Sendable, Hashable {
    /// Index into the steps of the rollout's `canary.steps`.
    package var step: Int64
    /// Per cent of the sessions that the candidate takes.
    package var weight: Int64
    /// When the present step began, moved later by pauses.
    package var stepSince: Timestamp
    /// When the first step began.
    package var started: Timestamp
    /// The time from which telemetry counts.
    package var evidenceSince: Timestamp
    package var pause: Pause?

    /// An operator's stop of the clock.
    package struct Pause: Sendable, Hashable {
        package var since: Timestamp
        package var reason: String

        package init(since: Timestamp, reason: String) {
            self.since = since
            self.reason = reason
        }
    }

    package init(
        step: Int64,
        weight: Int64,
        stepSince: Timestamp,
        started: Timestamp,
        evidenceSince: Timestamp,
        pause: Pause? = nil
    ) {
        self.step = step
        self.weight = weight
        self.stepSince = stepSince
        self.started = started
        self.evidenceSince = evidenceSince
        self.pause = pause
    }
}

extension CanaryProgress {
    /// The step that the rollout is in; steps may have been edited since it began. Nil when there are none.
    package func present(_ canary: Canary) -> (index: Int, step: Canary.Step)? {
        let index = min(Int(step), canary.steps.count - 1)
        return index < 0 ? nil : (index, canary.steps[index])
    }

    /// When the present hold ends; nil while it is paused.
    package func holdEnds(_ canary: Canary) -> Timestamp? {
        guard pause == nil, let (_, step) = present(canary) else { return nil }
        return stepSince.advanced(seconds: step.hold.seconds)
    }

    /// When the analysis must have come to a verdict; nil without a deadline and while it is paused.
    package func deadline(_ canary: Canary) -> Timestamp? {
        guard pause == nil, let deadline = canary.analysis?.deadline else { return nil }
        return started.advanced(seconds: deadline.seconds)
    }

    /// Whether one of its times is still to come: then the clock has been set back.
    package func isAhead(of now: Timestamp) -> Bool { max(stepSince, started, evidenceSince) > now }

    /// Continues after the clock was set: the hold starts again, and only runs from now on count if earlier ones would
    /// not.
    ///
    /// - Parameter step: By how many seconds, if known. A jump ahead does not count towards the deadline. A step back
    ///   is not subtracted from it: repeated after a crash, that would use up the deadline.
    package mutating func clockWasSet(to now: Timestamp, by step: Int64?) {
        started = min(started.advanced(seconds: max(step ?? 0, 0)), now)
        evidenceSince = min(evidenceSince, now)
        guard let pause else { return stepSince = now }
        // The hold does not move, and a pause cannot have begun later than now.
        stepSince = min(stepSince, now)
        self.pause?.since = min(pause.since, now)
    }

    /// The next moment after `now` when time alone may change something.
    package func due(_ canary: Canary, after now: Timestamp) -> Timestamp? {
        [holdEnds(canary), deadline(canary)].compactMap { $0 }.filter { $0 > now }.min()
    }
}

/// A version that failed in an environment and is not tried again there until somebody allows it.
package struct Quarantine: Sendable, Hashable {
    /// How it is recognised: by the artifact if it differed from the stable one's, else by the bundle alone.
    package enum Mark: Sendable, Hashable {
        case artifact(Digest)
        case digest(Digest)
    }

    package var mark: Mark
    package var version: AgentVersion
    package var since: Timestamp
    package var reason: String

    package init(mark: Mark, version: AgentVersion, since: Timestamp, reason: String) {
        self.mark = mark
        self.version = version
        self.since = since
        self.reason = reason
    }

    /// The versions of a list, each once, in its order.
    package static func versions(_ list: [Quarantine]) -> [AgentVersion] {
        list.reduce(into: []) { if !$0.contains($1.version) { $0.append($1.version) } }
    }
}

/// A stop that an operator or the kill switch asked for; only `ensign resume` ends it.
package struct Halt: Sendable, Hashable {
    package var since: Timestamp
    package var reason: String
    /// Who: `ada@host`, or one of those below.
    package var by: String
    /// What was stopped, for an agent that is gone: the same artifact under another name is halted too. Nil while the
    /// agent is declared, because then its stable version says it.
    package var artifact: Digest?
    /// What else ran when it was stopped: a candidate that was tried, a stable version in whose place another has come
    /// since, without a run. The same under another name is halted too. At most ``maxStopped``.
    package var stopped: [Digest]

    package static let maxStopped = 8

    package init(since: Timestamp, reason: String, by: String, artifact: Digest? = nil, stopped: [Digest] = []) {
        self.since = since
        self.reason = reason
        self.by = by
        self.artifact = artifact
        self.stopped = stopped
    }

    // Whoever is not a person; those have a machine in their name.

    /// Stopped an agent that git had stopped, once git says nothing of it any more.
    package static let git = "git"
    package static let killSwitch = "kill-switch"
    /// Stops what behaves otherwise than it did.
    package static let guardian = "guard"

    /// Whether it is git's own stop of this very agent: nobody else is subject to it.
    package var isGits: Bool { by == Self.git }
    package var isGuards: Bool { by == Self.guardian }
}
