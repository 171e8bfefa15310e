package import EnsignModel

/// Why an operator's request cannot be done.
package enum RolloutRefusal: Error, Sendable, Hashable {
    case noRollout, notStarted, alreadyPaused, notPaused, notQuarantined, alreadyHalted, notHalted, haltedByGit
    case noVersion, noPrevious, isHalted, noSoak, soaking
    /// It is what sessions have already.
    case alreadyStable(AgentVersion)
    /// The version that was named is not one to go back to; these are.
    case notKept(AgentVersion, others: [AgentVersion])
    /// A version was taken back so few seconds ago that this is more likely the same request again than another one.
    case justTakenBack(Quarantine, seconds: Int64, stable: AgentVersion, next: AgentVersion)
    /// The quarantined version is not the named one, or there are several and none was named.
    case otherQuarantined([AgentVersion])

    package var message: String {
        switch self {
        case .soaking: "the candidate waits for its soak: 'ensign rollout override' lets it in without"
        case .noSoak: "no version of it waits for its soak; to let one in before it comes: --version X.Y.Z"
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
        case .alreadyStable(let version): "\(version) is what sessions have already"
        case .notKept(let version, let others):
            others.isEmpty
                ? "\(version) is not one to go back to, and none is"
                : "\(version) is not one to go back to; these are: \(others.map(\.description).joined(separator: ", "))"
        case .justTakenBack(let quarantine, let seconds, let stable, let next):
            "\(quarantine.version) was taken back \(seconds) s ago, and sessions have \(stable) now; once more would go to \(next) and quarantine \(stable)"
        case .otherQuarantined(let versions):
            "quarantined here: \(versions.map(\.description).joined(separator: ", ")); name the one that is meant: --version X.Y.Z"
        case .isHalted: "it is halted, and no session has any version of it: resume it first"
        }
    }
}
