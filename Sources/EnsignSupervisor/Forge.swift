import EnsignGit
package import EnsignHost
import EnsignLedger
import EnsignModel
package import EnsignReconciler
import EnsignSystem

/// The forge that a repository is a clone of (`ensign.remote`): its branch is desired state, and it gets the ledger.
///
/// Stock git talks to it, with the operator's own credentials.
package struct Forge {
    private let site: Site
    package let remote: String
    private let isCancelled: (@Sendable () -> Bool)?

    /// Nil when the repository follows no forge.
    package init?(_ site: Site, isCancelled: (@Sendable () -> Bool)? = nil) {
        guard let remote = site.settings.remote else { return nil }
        self.isCancelled = isCancelled
        self.site = site
        self.remote = remote
    }

    /// Fetches the desired branch and the ledgers.
    ///
    /// - Throws: ``Git/CommandFailure`` when the branch could not be fetched, not when a ledger does not continue ours:
    ///   that is usual while our own entries wait to be pushed, and a real fork shows when pushing is refused too.
    package func fetch() throws {
        let branch = site.settings.branch
        // The refspec is given: a clone made with --bare has none of its own.
        try fetch("+refs/heads/\(branch):refs/remotes/\(remote)/\(branch)")
        // Without '+': a forge that holds another chain is refused by git, and nothing is overwritten.
        do { try fetch("\(Ledger.prefix)*:\(Ledger.prefix)*") } catch is Git.CommandFailure {}
    }

    private static let deadline = Duration.seconds(60)

    /// Brings an environment's rollback branches there, and removes those that are no longer needed.
    ///
    /// - Returns: What could not be done, in sentences.
    package func settle(_ environment: String, _ disagreements: [Disagreement]) -> [String] {
        do {
            let today = Timestamp(seconds: Machine.now).date
            let branches = RollbackBranches(site: site, environment: environment, today: today)
            return try RollbackPush(
                site: site,
                environment: environment,
                branches: branches,
                isCancelled: isCancelled
            ).run(disagreements)
        } catch {
            return ["rollback branches were not brought to \(remote): \(error)"]
        }
    }

    private func fetch(_ refspec: String) throws {
        try Git.check(
            ["fetch", "--quiet", "--no-tags", "--", remote, refspec],
            in: site,
            deadline: Self.deadline,
            isCancelled: isCancelled
        )
    }

    /// Pushes an environment's ledger, never forced.
    ///
    /// - Returns: Whether the forge had not got all of it yet. False when there is no ledger.
    @discardableResult
    package func push(_ environment: String) throws -> Bool {
        let ref = site.ledger(environment).ref
        guard try site.repository.reference(ref) != nil else { return false }
        let output = try Git.check(
            ["push", "--porcelain", "--", remote, "\(ref):\(ref)"],
            in: site,
            deadline: Self.deadline,
            isCancelled: isCancelled
        )
        // git-push(1), OUTPUT: '=' marks a ref that was up to date.
        return !output.split(separator: "\n").contains { $0.hasPrefix("=\t") }
    }
}
