package import EnsignModel

/// A ledger that cannot be used, and why.
package enum LedgerError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The content is not what was signed.
    case broken(environment: String, sequence: Int64?, why: String)
    /// The ref points to an older entry than this clone has seen.
    case rolledBack(environment: String, at: Int64, seen: Int64)
    /// What is live is signed as of an entry that the ref does not lead to; `at` is -1 where there is no ref.
    case behind(environment: String, at: Int64, signed: Int64)
    /// The ref points to a different chain from the one this clone has seen.
    case forked(environment: String, at: Int64)
    /// Another writer moved the ref; ours was not recorded.
    case lostRace(environment: String)
    /// An entry would exceed the allowed number of bytes.
    case tooLarge(environment: String, bytes: Int)
    /// Something in the recorded state is not what this version of Ensign writes: `the route of support/triage`.
    case unreadableState(String)
    /// A source commit that an entry names is missing here.
    case missingSource(ObjectID)
    /// The signing key cannot be used.
    case key(environment: String, path: String, why: String)

    package var description: String {
        switch self {
        case .broken(let environment, let sequence, let why):
            "the ledger of '\(environment)' is broken\(sequence.map { " at \($0)" } ?? ""): \(why)"
        case .rolledBack(let environment, let at, let seen):
            "the ledger of '\(environment)' was rolled back: it \(at < 0 ? "is gone" : "is at \(at)"), and this clone has seen \(seen)"
        case .behind(let environment, let at, let signed):
            "the ledger of '\(environment)' was rolled back: it \(at < 0 ? "is gone" : "is at \(at)"), and this clone's key has signed what is live as of entry \(signed)"
        case .forked(let environment, let at):
            "the ledger of '\(environment)' was forked: entry \(at) is not the one that this clone has seen"
        case .lostRace(let environment): "another process moved the ledger of '\(environment)'"
        case .tooLarge(let environment, let bytes):
            "an entry of '\(environment)' would take \(bytes) bytes, and \(Entry.maxBytes) are the most: it was not recorded"
        case .unreadableState(let what):
            "cannot read \(what) in the ledger: it is not what this version of Ensign writes"
        case .missingSource(let commit):
            "cannot read object \(commit): the source commit \(commit) is missing"
        case .key(_, let path, let why): "cannot sign with \(path): \(why)"
        }
    }

    /// Whether entries are known that the ref does not lead to.
    package var isLoss: Bool {
        switch self {
        case .rolledBack, .behind, .forked: true
        case .broken, .lostRace, .tooLarge, .unreadableState, .missingSource, .key: false
        }
    }

    /// Whether somebody changed what was signed: exit 5, not 1.
    package var isIntegrity: Bool {
        switch self {
        case .broken, .rolledBack, .behind, .forked: true
        case .lostRace, .tooLarge, .unreadableState, .missingSource, .key: false
        }
    }
}
