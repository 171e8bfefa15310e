import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignQueries
import EnsignReconciler
import EnsignSystem
import Glibc

/// A rule that says no: exit 4.
struct Refusal: Error, Sendable, Hashable {
    var message: String
    var hints: [String] = []
}

/// What a person reads about an error, and the exit status: the one place that decides.
extension Explanation {
    init(_ error: any Error) {
        switch error {
        case let error as UsageError: self.init(error, of: App.name)
        case let error as Refusal: self.init(error.message, error.hints, .refused)
        case let error as Failure: self.init(error)
        case let error as NoRepository:
            self.init(
                "there is no git repository at \(error.place)",
                ["run it inside one, or name it with --repo DIR"],
                .failed
            )
        case let error as ReconcileError: self.init(error)
        case let error as LedgerError:
            self.init(error.description, error.repair, error.isIntegrity ? .integrity : .failed)
        case let error as LedgerCheck.NoLedger: self.init(error.description, [Ledger.fetching], .failed)
        case let error as GitError: self.init(error.description, error.repair, .failed)
        case let error as SystemError: self.init(error.description, error.repair, .failed)
        case let error as NoSuchMoment: self.init(error.description, [], .usage)
        case let error as Git.CommandFailure: self.init(error.description, [], .failed)
        case let error as SettingsError: self.init(error.description, [], .failed)
        default: self.init("\(error)", [], .failed)
        }
    }

    private init(_ error: ReconcileError) {
        switch error {
        case .notInitialised: self.init(error.description, ["run 'ensign init' here first"], .failed)
        case .client:
            self.init(error.description, ["run it in the repository that hosts the fleet"], .refused)
        case .missingKey(_, let path):
            self.init(
                error.description,
                ["restore \(path) from your backup: a ledger that has begun never gets another key by itself"],
                .failed
            )
        case .rotationInterrupted(let environment):
            self.init(error.description, ["it goes on with: ensign keys --env \(environment) --rotate"], .failed)
        case .target: self.init(error.description, ["git config ensign.ENV.target names the directory"], .failed)
        case .missingBranch:
            self.init(
                error.description,
                ["push the branch again, or name another one: git config ensign.branch NAME"],
                .failed
            )
        case .notFetched(_, let remote):
            self.init(
                error.description,
                ["'ensign reconcile' without --offline fetches it, and so does 'ensign watch', if '\(remote)' answers"],
                .failed
            )
        case .unknownEnvironment(let name, let known):
            let nearest = Suggestion.nearest(to: name, in: known).map { "did you mean '\($0)'?" }
            let all = known.isEmpty ? "none are declared" : "environments: \(known.joined(separator: ", "))"
            self.init(error.description, [nearest, all].compactMap { $0 }, .usage)
        }
    }
}

extension Ledger {
    /// How the ledgers come into a clone.
    static let fetching = "git fetch origin '\(prefix)*:\(prefix)*'"
}

extension LedgerError {
    fileprivate var repair: [String] {
        switch self {
        case .lostRace: ["run it again"]
        case .unreadableState, .missingSource: GitError.damage
        case .rolledBack, .behind, .forked:
            [
                "docs/recovery.md says how to go on from a mirror; if none has what is missing: "
                    + "'ensign reconcile --env ENV --accept-loss'"
            ]
        case .broken: ["'ensign verify' says what is wrong; docs/recovery.md says how to go on from a mirror"]
        case .key, .tooLarge: []
        }
    }
}

extension GitError {
    fileprivate var repair: [String] {
        isLocked
            ? ["if no git process is running here, remove the .lock file that git names"]
            : isOfSystem
                ? [
                    "make room, or mend what the system reports, and run it again: the next run ends what this one began"
                ]
                : Self.damage
    }

    fileprivate static let damage = [
        "'git fsck' lists what is damaged; docs/recovery.md says how to get it back from a mirror"
    ]
}

extension SystemError {
    fileprivate var repair: [String] {
        switch code {
        case EWOULDBLOCK: ["another ensign holds the lock; see what runs with: ps -C ensign"]
        case ENOSPC, EDQUOT: ["make room and run it again: the next run ends what this one began"]
        case EACCES, EPERM, EROFS:
            ["look at who owns what it names, and at its mode; the repository's owner may change both"]
        default: []
        }
    }
}
