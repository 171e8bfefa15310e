package import EnsignGit
package import EnsignLedger
package import EnsignManifest
package import EnsignModel
package import EnsignSystem
package import EnsignTargets

/// One repository with the operator's settings: where Ensign works.
package struct Site {
    package let repository: Repository
    package let settings: Settings
    package let configuration: GitConfiguration
    package let files: LedgerFiles
    /// What git gets with each command: settings of the command line, for this call.
    let settingsOfGit: [(key: String, value: String)]
    /// The target that replaces the directory in the settings; nil except in tests.
    package var substitute: (any Target)?
    /// Runs stock git.
    package var runGit: @Sendable (Subprocess) throws(SystemError) -> Subprocess.Outcome = {
        (process) throws(SystemError) in try process.run()
    }

    /// Runs ssh-keygen.
    package var runKeygen: @Sendable (Subprocess) throws(SystemError) -> Subprocess.Outcome = {
        (process) throws(SystemError) in try process.run()
    }

    package init(_ opening: Repository.Opening, overrides: [(key: String, value: String)] = []) throws {
        repository = try opening.open()
        settingsOfGit = overrides.filter { SettingsForOneCall.isOfGit(Settings.normalized($0.key)) }
        configuration = try GitConfiguration.read(repository).setting(settingsOfGit)
        settings = try Settings(configuration: configuration.values, overrides: overrides)
        files = LedgerFiles(commonDirectory: repository.commonDirectory)
    }

    /// The git directory that all work trees share, ending in `/`.
    package var commonDirectory: String { repository.commonDirectory }

    /// This work tree's own git directory, ending in `/`.
    package var gitDirectory: String { repository.gitDirectory }

    package func ledger(_ environment: String) -> Ledger {
        Ledger(repository: repository, environment: environment) { newest in
            try witness(environment)?.entry(after: newest)
        }
    }

    /// What is live, as a witness of the ledger; nil where this repository does not reconcile.
    package func witness(_ environment: String) throws -> LiveWitness? {
        guard reconciles, let target = try? target(environment) else { return nil }
        return LiveWitness(target, self, environment)
    }

    /// Environments whose ledger this clone has written to, sorted, also where its ref is gone.
    package func writtenEnvironments() throws -> [String] {
        var names = Set(try Ledger.environments(in: repository) + files.seenEnvironments())
        let others = try Set(files.keyedEnvironments()).union((try? environmentNames()) ?? []).subtracting(names)
        names.formUnion(try others.filter { try witness($0)?.entry(after: -1) != nil })
        return inOrder(names)
    }

    package func target(_ environment: String) throws -> any Target {
        try substitute ?? DirectoryTarget(path: settings.directory(environment, files))
    }

    /// Whether `ensign init` was run here.
    package var isInitialised: Bool {
        // What cannot be looked at is not missing: whoever goes on meets the failure, and says it.
        do { return try Files.status(files.root) != nil } catch { return true }
    }

    /// Whether this clone reconciles at all: a developer's never does.
    package var reconciles: Bool { isInitialised && !settings.isClient }

    /// The desired commit; nil when the branch does not exist.
    ///
    /// - Throws: ``SettingsError`` when it cannot be the name of one.
    package func desiredCommit() throws -> ObjectID? {
        try settings.checkDesiredRef()
        return try repository.reference(settings.desiredRef)
    }

    /// The commit of the desired branch that cannot be taken back: where it is pushed to, the branch itself; in a clone what
    /// was pushed of it, as far as that was fetched, and where nothing shows that, the branch itself. Nil for nothing.
    package func pushedCommit() throws -> ObjectID? {
        guard repository.workTree != nil, !reconciles else { return try desiredCommit() }
        let branch = settings.branch
        if let upstream = try upstream(of: branch) { return upstream.commit }
        let others = configuration.values.keys.filter { $0.hasPrefix("remote.") && $0.hasSuffix(".url") }.sorted()
            .map { String($0.dropFirst("remote.".count).dropLast(".url".count)) }
        for remote in ["origin", settings.remote].compactMap({ $0 }) + others {
            if let commit = try repository.reference("refs/remotes/\(remote)/\(branch)") { return commit }
        }
        return try repository.reference("refs/heads/\(branch)")
    }

    /// The upstream of a local branch as it was last fetched, `origin/main`; nil when it has none.
    package func upstream(of branch: String) throws -> (name: String, commit: ObjectID)? {
        let configuration = configuration.values
        let prefix = "refs/heads/"
        guard let remote = configuration["branch.\(branch).remote"],
            let merge = configuration["branch.\(branch).merge"], merge.hasPrefix(prefix)
        else { return nil }
        let name = "\(remote)/\(merge.dropFirst(prefix.count))"
        return try repository.reference("refs/remotes/\(name)").map { (name, $0) }
    }

    /// Whether some work tree has a branch checked out: what moves it would move under somebody's hands.
    package func isCheckedOut(_ ref: String) throws -> Bool {
        guard repository.workTree != nil || (try? Files.status("\(commonDirectory)worktrees")) != nil else {
            return false
        }
        return try !Git.check(["for-each-ref", "--format=%(worktreepath)", ref], in: self).allSatisfy(\.isWhitespace)
    }

    /// Whether time and evidence may change something that is live.
    package func waitsForTime(_ environment: String) throws -> Bool {
        try RecordedTree(repository: repository, tip: ledger(environment).tip()).waitsForTime()
    }

    /// A snapshot factory for a tree; each call opens the repository anew, for another thread.
    package func snapshots(of tree: ObjectID) -> @Sendable () throws -> any Snapshot {
        let opening = repository.opening
        return { GitSnapshot(try opening.open(), tree: tree) }
    }

    /// The environments to work on: those asked for, else those that the settings or the desired commit name, in the order
    /// of promotion.
    package func environments(_ asked: [String]) throws -> [String] {
        if !asked.isEmpty { return asked }
        if let configured = settings.environments { return configured }
        return try inOrder(environmentNames())
    }

    /// The same as names alone: their order takes reading each environment's file.
    package func environmentNames() throws -> Set<String> {
        if let configured = settings.environments { return Set(configured) }
        var names = Set(try Ledger.environments(in: repository))
        do {
            if let commit = try desiredCommit() {
                names.formUnion(try environments(in: try repository.commit(commit).tree))
            }
        } catch {
            // What is live follows the last accepted commit; each environment says what is wrong.
            guard !names.isEmpty else { throw error }
        }
        return names
    }

    /// In the order of promotion, as far as the desired commit says it: dev, staging, prod.
    package func inOrder(_ names: Set<String>) -> [String] {
        guard names.count > 1, let commit = try? desiredCommit(),
            let tree = try? repository.commit(commit).tree,
            let chain = try? PromotionChain(
                Fleet(snapshot: GitSnapshot(repository, tree: tree), today: Timestamp(seconds: 0).date),
                among: names
            )
        else { return names.sorted() }
        return chain.order
    }

    /// Every environment that exists or existed: questions may name any of them.
    package func knownEnvironments() throws -> Set<String> {
        var names = try environmentNames().union(Ledger.environments(in: repository)).union(files.seenEnvironments())
        if let commit = try desiredCommit() {
            names.formUnion(try environments(in: try repository.commit(commit).tree))
        }
        return names
    }

    /// Throws ``ReconcileError/unknownEnvironment(_:known:)`` for a name that is not among those that are known.
    ///
    /// Before the branch exists nothing is known, and nothing can be said.
    package func require(_ environment: String, among known: Set<String>) throws {
        guard !known.contains(environment), try desiredCommit() != nil else { return }
        throw ReconcileError.unknownEnvironment(environment, known: inOrder(known))
    }

    /// Environments that a tree declares, sorted.
    package func environments(in tree: ObjectID) throws -> [String] {
        try Fleet(snapshot: GitSnapshot(repository, tree: tree), today: Timestamp(seconds: 0).date).environmentNames()
    }
}
