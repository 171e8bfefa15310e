import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignReconciler
import EnsignSystem

extension Site {
    /// The fleet at a revision, for asking questions; the desired commit when none is named.
    func fleet(at revision: String?, today: CalendarDate) throws -> (fleet: Fleet, commit: ObjectID) {
        let commit: ObjectID
        if let revision {
            commit = try resolve(revision)
        } else if let desired = try desiredCommit() {
            commit = desired
        } else {
            throw Failure(
                message: "\(settings.desiredRef) does not exist yet",
                hints: ["commit a fleet to '\(settings.branch)', or name the branch: git config ensign.branch NAME"]
            )
        }
        let tree = try repository.commit(commit).tree
        return (Fleet(snapshot: GitSnapshot(repository, tree: tree), today: today), commit)
    }

    /// The commit of a fleet that a revision names. A name that is a branch's means the branch, whatever tag is called the
    /// same.
    func resolve(_ revision: String) throws -> ObjectID {
        let commit = try find(revision)
        try refuseLedger(revision, repository.commit(commit).tree)
        return commit
    }

    private func find(_ revision: String) throws -> ObjectID {
        if let commit = try branch(revision) { return commit }
        if Self.asksReflog(revision) { return try resolveInTime(revision) }
        do {
            // libgit2 knows `@` alone as HEAD.
            let isHead = revision.hasPrefix("@~") || revision.hasPrefix("@^")
            return try repository.commit(named: isHead ? "HEAD\(revision.dropFirst())" : revision)
        } catch {
            if error.isNotFound { throw Failure(message: "there is no revision '\(revision)'", code: .usage) }
            // A tree or a file is there, and nothing is damaged.
            guard error.isNoCommit else { throw error }
            throw Failure(
                message: "'\(revision)' names no single commit",
                hints: ["write a branch, a tag, a commit's id, or main~2 (git help revisions)"],
                code: .usage
            )
        }
    }

    private func branch(_ name: String) throws -> ObjectID? {
        if name == settings.branch, reconciles, let commit = try desiredCommit() { return commit }
        guard RefName.isValid(name), !name.contains("@"), !name.hasPrefix("-"), !name.hasPrefix("refs/") else {
            return nil
        }
        return try repository.reference("refs/heads/\(name)")
    }

    /// Whether a revision asks what a ref was at a time: `main@{1 week ago}`, not `main@{3}` and `@{upstream}`.
    private static func asksReflog(_ revision: String) -> Bool {
        guard let open = revision.firstRange(of: "@{"), let close = revision[open.upperBound...].firstIndex(of: "}")
        else { return false }
        let inner = revision[open.upperBound..<close].lowercased()
        return !["u", "upstream", "push"].contains(inner) && Int(inner) == nil
    }

    /// git itself knows what it has forgotten: it takes the oldest entry and warns. libgit2 takes it without a word.
    private func resolveInTime(_ revision: String) throws -> ObjectID {
        let outcome = try Git.run(["rev-parse", "--verify", "--end-of-options", "\(revision)^{commit}"], in: self)
        guard outcome.status == 0, outcome.errorText.isEmpty, let commit = ObjectID(outcome.outputText.prefix(40))
        else {
            let why = outcome.errorText.split(separator: "\n").first.map { ": \(String($0).cut(utf8: 300))" } ?? ""
            throw Failure(
                message: "git cannot say what '\(revision)' was\(why)",
                hints: ["name a commit; what was live at a time: ensign get agents --env ENV --at TIME"],
                code: .usage
            )
        }
        return commit
    }

    /// An entry of a ledger is a commit, and no fleet: what it declares would be nothing.
    private func refuseLedger(_ revision: String, _ tree: ObjectID) throws {
        let names = try repository.tree(tree).map { String(decoding: $0.name, as: UTF8.self) }
        guard names.contains("entry.json"), !names.contains(RepositoryPath.fleet) else { return }
        throw Failure(
            message: "'\(revision)' is an entry of a ledger, not a fleet",
            hints: ["what was live then: ensign get agents --env ENV --entry N"],
            code: .usage
        )
    }

    /// That a branch lacks commits which its upstream had when it was last fetched; nil when it does not.
    ///
    /// - Parameter commit: Where the branch is taken to be; another one says nothing of it.
    func behind(_ branch: String, _ commit: ObjectID) throws -> (sentence: String, upstream: String)? {
        guard !reconciles, try repository.reference("refs/heads/\(branch)") == commit,
            let (upstream, tip) = try upstream(of: branch)
        else { return nil }
        let limit = 1_000
        let count = try repository.commits(from: tip, notIn: commit, limit: limit).count
        guard count > 0 else { return nil }
        let commits = count == 1 ? "1 commit" : count >= limit ? "\(limit) commits or more" : "\(count) commits"
        return ("\(branch) is \(commits) behind \(upstream)", upstream)
    }

    // MARK: The ledger

    /// The newest entry, for questions that only the ledger can answer.
    ///
    /// - Returns: nil on a host where nothing was recorded yet: there the answer is "nothing".
    /// - Throws: ``Failure`` in a clone that has not fetched it: there nobody knows.
    @discardableResult
    func requireLedger(_ environment: String) throws -> RecordedEntry? {
        if let tip = try ledger(environment).checkedTip() { return tip }
        guard !reconciles else { return nil }
        throw Failure(
            message: "there is no ledger of '\(environment)' here: what is live is not known",
            hints: [try fetchHint()]
        )
    }

    /// How a clone gets the ledger.
    func fetchHint() throws -> String {
        if settings.isClient { return "git fetch" }
        let remotes = try Git.run(["remote"], in: self).outputText.split(separator: "\n")
        guard let remote = remotes.first else {
            return "ask in the repository that hosts the fleet, or clone it: this one has no remote"
        }
        return
            "git fetch \(remote) '\(Ledger.prefix)*:\(Ledger.prefix)*'; 'ensign init --client' makes every fetch do so"
    }
}
