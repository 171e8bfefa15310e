/// Why a reconcile was not tried.
package enum ReconcileError: Error, Sendable, Hashable, CustomStringConvertible {
    case notInitialised
    case client
    case missingKey(environment: String, path: String)
    /// The newest entry hands over to a key that has not taken the old one's place.
    case rotationInterrupted(environment: String)
    case target(String)
    case missingBranch(String)
    /// Of a clone of a forge: the branch was never fetched.
    case notFetched(String, remote: String)
    case unknownEnvironment(String, known: [String])

    package var description: String {
        switch self {
        case .notInitialised: "Ensign is not set up in this repository"
        case .client: "this is a developer's clone: it never reconciles"
        case .missingKey(let environment, let path): "the signing key of '\(environment)' is missing: \(path)"
        case .rotationInterrupted(let environment):
            "a rotation of the signing key of '\(environment)' was interrupted: nothing is signed before it is done"
        case .target(let why): why
        case .missingBranch(let ref): "\(ref) no longer exists: what is live stays as the last accepted commit has it"
        case .notFetched(let ref, let remote): "\(ref) is not here: nothing was fetched from '\(remote)' yet"
        case .unknownEnvironment(let name, _): "there is no environment '\(name)'"
        }
    }
}
