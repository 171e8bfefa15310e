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
        try site.settings.checkDesiredRef()
        let file = StateFile<ForgeFetch>(site.files)
        do {
            try fetchBranch()
            note(file) { $0.succeeded(at: now) }
        } catch let error as Git.CommandFailure {
            note(file) { $0.failed(error.reason, at: now) }
            throw error
        }
    }

    private var now: Timestamp { Timestamp(seconds: Machine.now) }

    /// Keeps how it went, for `status` and for notices. Nothing depends on it.
    private func note<Value: StateValue & ForgeNote>(_ file: StateFile<Value>, _ change: (inout Value) -> Void) {
        // What was broken off because Ensign ends says nothing about the forge.
        guard isCancelled?() != true else { return }
        var value = file.known() ?? Value()
        change(&value)
        try? file.write(value)
    }

    private func fetchBranch() throws {
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
        let outcome = bring(environment, disagreements)
        if let failure = outcome.failures.first {
            let more = outcome.failures.count > 1 ? ", and \(outcome.failures.count - 1) more" : ""
            note(StateFile<ForgePush>(site.files, environment)) { $0.failedToSettle(failure + more, at: now) }
        } else if !hasBranches(of: environment) {
            note(StateFile<ForgePush>(site.files, environment)) { $0.settled() }
        }
        return outcome.failures + outcome.notes
    }

    /// Whether the forge is not known to lack a rollback branch.
    package func hasBranches(of environment: String) -> Bool {
        StateFile<ForgePush>(site.files, environment).known()?.branchFailure == nil
    }

    private func bring(_ environment: String, _ disagreements: [Disagreement]) -> RollbackPush.Outcome {
        do {
            let branches = RollbackBranches(site: site, environment: environment, today: now.date)
            return try RollbackPush(
                site: site,
                environment: environment,
                branches: branches,
                isCancelled: isCancelled
            ).run(disagreements)
        } catch {
            return RollbackPush.Outcome(failures: ["rollback branches were not brought to \(remote): \(error)"])
        }
    }

    private func fetch(_ refspec: String) throws {
        try Git.check(
            // A forge that was moved, or has refused the ledger, has none of it: ours stays, whatever `fetch.prune` says.
            ["fetch", "--quiet", "--no-tags", "--no-prune", "--", remote, refspec],
            in: site,
            deadline: Self.deadline,
            isCancelled: isCancelled
        )
    }

    /// Pushes an environment's ledger, never forced.
    ///
    /// - Throws: ``Git/CommandFailure`` when the forge did not take it. The record is durable here all the same.
    /// - Returns: Whether the forge had not got all of it yet. False when there is no ledger.
    @discardableResult
    package func push(_ environment: String) throws -> Bool {
        let ledger = site.ledger(environment)
        guard let tip = try ledger.tip() else { return false }
        let file = StateFile<ForgePush>(site.files, environment)
        let outcome = try Git.run(
            Git.push(to: remote) + ["--porcelain", "--", remote, "\(tip.commit):\(ledger.ref)"],
            in: site,
            deadline: Self.deadline,
            isCancelled: isCancelled
        )
        let answer = PushAnswer(outcome.outputText)
        guard outcome.status == 0 else {
            let refusal = answer.refusal(remote, outcome.errorText)
            let reason = refusal ?? Git.reason(outcome, Self.deadline)
            // A forge that has all of it and does not answer lacks nothing: that nothing can be fetched is known already.
            if refusal != nil || file.known()?.sequence != tip.entry.sequence {
                note(file) { $0.failed(reason, at: now) }
            }
            throw Git.CommandFailure(command: "push", status: outcome.status, reason: reason)
        }
        note(file) { $0.succeeded(tip.entry.sequence) }
        return !answer.isUpToDate
    }
}

/// What both kinds of note can do: begin empty.
private protocol ForgeNote {
    init()
}

extension ForgeFetch: ForgeNote {}
extension ForgePush: ForgeNote {}

/// What `git push --porcelain` says of the one ref that is pushed. git-push(1), OUTPUT:
/// `<flag> TAB <from>:<to> TAB <summary> (<reason>)`.
struct PushAnswer {
    private let flag: Character?
    private let summary: String

    init(_ output: String) {
        let line = output.split(separator: "\n").first { line in
            line.dropFirst().first == "\t" && line.contains(":")
        }
        flag = line?.first
        summary = line?.split(separator: "\t").last.map { String($0).cut(utf8: 300) } ?? ""
    }

    var isUpToDate: Bool { flag == "=" }

    /// Why the ref was not taken; nil where git says nothing of the ref itself.
    ///
    /// - Parameter said: What git passed on of the words of the forge.
    func refusal(_ remote: String, _ said: String) -> String? {
        guard flag == "!" else { return nil }
        // Local decisions of git about a ref that does not continue: the forge has entries that are not ours.
        let isForeign = summary.hasPrefix("[rejected]")
        return isForeign
            ? "another host has written this ledger: \(remote) has entries that are not here (\(summary)); docs/recovery.md says how to go on"
            : "\(remote) refuses it: \(GitComplaint.adding(wordsIn: said, to: summary))"
    }
}
