package import EnsignPlanner

/// An agent that git wants otherwise and that stays as it is, in words.
extension HeldReason {
    /// Completes `1.5.0 is ...`.
    package var words: String {
        switch self {
        case .quarantined: "quarantined here; 'ensign rollout retry' tries it again"
        case .queued: "queued behind other rollouts"
        case .paused: "paused"
        case .halted: "waiting: the agent is halted"
        case .soaking: "waiting for its soak"
        case .inconclusive: "waiting for a verdict"
        case .noData: "waiting for data"
        case .error: "waiting: its metrics cannot be read; 'ensign rollout status' says why"
        }
    }

    /// Completes `it waits for ...`: what has to happen, and what a person can do about it.
    ///
    /// - Parameters:
    ///   - isHost: Whether verdicts are known here.
    ///   - silence: Why metrics say nothing though there are runs; nil when that is not known.
    package func waitsFor(isHost: Bool, silence: String?) -> String {
        switch self {
        case .quarantined: "a person: the version is quarantined; 'ensign rollout retry', or revert it in git"
        case .queued: "other rollouts to end"
        case .paused: "'ensign rollout resume'"
        case .soaking: "its soak; 'ensign rollout override' lets it in without"
        case .halted: "'ensign resume', or 'halted: false' in git"
        case .inconclusive: "a verdict: there are too few samples yet"
        case .noData where !isHost: "a verdict: it is not known here"
        case .noData: "data: \(silence ?? "no telemetry of both versions yet")"
        case .error: "metrics that can be read: 'ensign rollout status AGENT' and 'ensign evidence' say why not"
        }
    }

    /// What lets it through, where a person must: for a change that is held and shown all the same.
    package var lifting: String {
        switch self {
        case .halted: "held, the agent is halted: it comes with 'ensign resume'"
        case .quarantined: "held, the version is quarantined here: it comes with 'ensign rollout retry'"
        case .soaking: "held, not proven yet: it comes by itself, or with 'ensign rollout override'"
        case .queued, .paused, .inconclusive, .noData, .error: "held, \(words)"
        }
    }
}
