import EnsignCrypto
import EnsignGit
package import EnsignHost
package import EnsignLedger
import EnsignManifest
package import EnsignModel
import EnsignPlanner
import EnsignSystem

/// The branches `ensign/rollback/<env>/<team>/<agent>`: each has the commit that makes git agree with what is live.
///
/// Decided from what is recorded and what git asks for, never from the event that led to it: a run that dies before the
/// commit leaves it to the next one.
package struct RollbackBranches {
    private let site: Site
    private let environment: String
    private let today: CalendarDate

    package init(site: Site, environment: String, today: CalendarDate) {
        self.site = site
        self.environment = environment
        self.today = today
    }

    private var repository: Repository { site.repository }
    private var prefix: String { "refs/heads/ensign/rollback/\(environment)/" }

    /// The result of a look at the branches.
    package struct Report: Sendable, Hashable {
        /// Sorted by agent.
        package var disagreements: [Disagreement] = []
        /// Branches that were written anew, and those that were removed because git agrees.
        package var written: [String] = []
        package var removed: [String] = []
    }

    // MARK: Looking

    /// Where git asks for what is quarantined. Changes nothing.
    package func survey(_ tip: RecordedEntry?) throws -> [Disagreement] {
        guard let tip, let desired = try site.desiredCommit() else { return [] }
        return try questions(tip, desired).map { question in
            var disagreement = question.disagreement
            if let stable = disagreement.stable {
                disagreement.remedy = try remedy(question, stable, desired, tip)
            }
            return disagreement
        }
    }

    private func remedy(_ question: Question, _ stable: Change.Side, _ desired: ObjectID, _ tip: RecordedEntry) throws
        -> Disagreement.Remedy
    {
        let commit = commit(question.disagreement, stable)
        if let present = try branch(question.disagreement.branch) {
            guard let own = try own(present) else { return .foreign(commit: present) }
            if commit.isSaid(by: own, on: desired) { return .merge(commit: present) }
        }
        return try file(question, stable, desired, tip) == nil ? .byHand : .pending
    }

    /// The branch here; in a clone that does not write it, as it was fetched.
    private func branch(_ name: String) throws -> ObjectID? {
        if let here = try repository.reference("refs/heads/\(name)") { return here }
        return site.reconciles ? nil : try repository.references(matching: "refs/remotes/*/\(name)").first?.id
    }

    /// An agent whose desired version is quarantined.
    private struct Question {
        var disagreement: Disagreement
        /// Whether git stops the agent: that is to stay as it is.
        var isHalted: Bool
    }

    private func questions(_ tip: RecordedEntry, _ desired: ObjectID) throws -> [Question] {
        let recorded = RecordedTree(repository: repository, tip: tip)
        var questions: [Question] = []
        var tree: ObjectID?
        for agent in try recorded.remembered() {
            guard let state = try recorded.agent(agent)?.state, !state.quarantine.isEmpty else { continue }
            let desiredTree = try tree ?? repository.commit(desired).tree
            tree = desiredTree
            let fleet = Fleet(snapshot: GitSnapshot(repository, tree: desiredTree), today: today)
            // What does not compile says nothing; validation says what is wrong with it.
            guard
                let compiled = try EnvironmentCompiler(fleet: fleet, environment: environment).compile(agent)?.bundle,
                compiled.digest != state.stable?.digest,
                let quarantine = try state.quarantine(of: compiled.identity(state, recorded.bundle))
            else { continue }
            questions.append(
                Question(
                    disagreement: Disagreement(
                        environment: environment,
                        agent: agent,
                        wanted: compiled.side,
                        stable: state.stable,
                        quarantine: quarantine,
                        remedy: .byHand
                    ),
                    isHalted: compiled.halted
                )
            )
        }
        return questions
    }

    private func commit(_ disagreement: Disagreement, _ stable: Change.Side) -> RollbackCommit {
        RollbackCommit(
            environment: environment,
            agent: disagreement.agent,
            wanted: disagreement.wanted,
            stable: stable,
            reason: disagreement.quarantine.reason
        )
    }

    private func file(_ question: Question, _ stable: Change.Side, _ desired: ObjectID, _ tip: RecordedEntry) throws
        -> AgreeingFile.Found?
    {
        // A search that found nothing is not made again before something changes: it may read a thousand commits.
        let agent = question.disagreement.agent
        let fruitless = FruitlessSearch(
            desired: desired,
            stable: stable.digest,
            wanted: question.disagreement.wanted.digest
        )
        let file = StateFile<FruitlessSearch>(site.files, environment, part: "\(agent.team).\(agent.name)")
        if file.known() == fruitless { return nil }
        let search = AgreeingFile(site: site, environment: environment, today: today, agent: agent)
        let found = try search.find(in: desired, stable: stable, isHalted: question.isHalted, tip: tip)
        if found == nil {
            // A reader without the right to write searches again.
            try? file.write(fruitless)
        }
        return found
    }

    /// A commit that Ensign made for a branch of this environment; nil for anybody else's.
    package func own(_ id: ObjectID) throws -> RollbackCommit.Found? {
        guard repository.contains(id), try repository.header(of: id).kind == .commit else { return nil }
        let found = try RollbackCommit.Found(try repository.commit(id)) { key in
            let path = site.settings.signingKey(environment, site.files)
            if try LedgerKey.load(environment, path: path)?.publicKey == key { return true }
            return try site.ledger(environment).keys().contains { $0.line == key.line }
        }
        return found?.about.hasPrefix("\(environment) ") == true ? found : nil
    }

    // MARK: Settling

    /// Writes the commits that are missing and removes the branches that are no longer needed. The caller holds the
    /// environment's lock.
    package func settle(_ tip: RecordedEntry, _ desired: ObjectID, key: LedgerKey, now: Timestamp) throws -> Report {
        var report = Report()
        for question in try questions(tip, desired) {
            var disagreement = question.disagreement
            if let stable = disagreement.stable {
                do {
                    let writing = Writing(question: question, stable: stable, desired: desired, tip: tip, now: now)
                    if try write(writing, key, &disagreement) { report.written.append(disagreement.branch) }
                } catch {
                    disagreement.remedy = .failed("\(error)")
                }
            }
            report.disagreements.append(disagreement)
        }
        let needed = Set(report.disagreements.map { "refs/heads/\($0.branch)" })
        for (name, id) in try repository.references(matching: prefix + "*") where !needed.contains(name) {
            guard let agent = AgentID(name.dropFirst(prefix.count)), try !isUnknown(agent, desired),
                try own(id) != nil, try remove(name, id)
            else { continue }
            report.removed.append(String(name.dropFirst("refs/heads/".count)))
        }
        return report
    }

    private struct Writing {
        var question: Question
        var stable: Change.Side
        var desired: ObjectID
        var tip: RecordedEntry
        var now: Timestamp
    }

    /// Settles the branch of one agent.
    ///
    /// - Returns: Whether a commit was written.
    private func write(_ writing: Writing, _ key: LedgerKey, _ disagreement: inout Disagreement) throws -> Bool {
        let ref = "refs/heads/\(disagreement.branch)"
        var commit = commit(disagreement, writing.stable)
        let present = try repository.reference(ref)
        var before: RollbackCommit.Found?
        if let present {
            guard let own = try own(present) else {
                disagreement.remedy = .foreign(commit: present)
                return false
            }
            if commit.isSaid(by: own, on: writing.desired) {
                disagreement.remedy = .merge(commit: present)
                return false
            }
            before = own
        }
        guard let file = try file(writing.question, writing.stable, writing.desired, writing.tip) else {
            disagreement.remedy = .byHand
            // A commit on an older tip would not do what it says.
            if let present { _ = try remove(ref, present) }
            return false
        }
        try explain(&commit, disagreement, before, writing.tip)
        var writer = ObjectWriter(repository)
        let blob = try writer.write(file.bytes, .blob)
        let base = try repository.commit(writing.desired).tree
        guard let tree = try writer.tree(base, edits: [disagreement.path: .some(blob)]) else {
            preconditionFailure("a tree with a deployment is not empty")
        }
        let signed = SignedCommit(
            tree: tree,
            parent: writing.desired,
            environment: environment,
            time: writing.now,
            message: commit.message(
                reverts: file.reverts?.reverts,
                branch: disagreement.branch,
                desired: site.settings.branch
            )
        )
        let id = try signed.write(&writer, signedBy: key)
        try move(ref, from: present, to: id, message: "ensign: roll back \(disagreement.agent)")
        disagreement.remedy = .merge(commit: id)
        return true
    }

    /// Adds what the ledger says of the quarantine. A renewed commit repeats the one before it.
    private func explain(
        _ commit: inout RollbackCommit,
        _ disagreement: Disagreement,
        _ before: RollbackCommit.Found?,
        _ tip: RecordedEntry
    ) throws {
        if let before, before.quarantined == disagreement.wanted.digest.description, before.entry != nil {
            (commit.verdict, commit.entry) = (before.verdict, before.entry)
            return
        }
        let ledger = site.ledger(environment)
        let quarantine = disagreement.quarantine
        try ledger.walk(from: tip) { entry in
            guard entry.entry.time >= quarantine.since else { return false }
            guard entry.entry.kind == .outcome || entry.entry.kind == .recovery else { return true }
            let changes = try ledger.changes(of: entry).filter { $0.agent == disagreement.agent }
            guard changes.contains(where: { $0.action == .quarantine && $0.from?.version == quarantine.version }) else {
                return true
            }
            commit.entry = "\(entry.entry.sequence) \(entry.commit)"
            commit.verdict = changes.lazy.compactMap { $0.evidence?.analysis }.first?.explanation
            return false
        }
    }

    /// Whether the deployment is there and cannot be compiled: then nobody knows what git asks for.
    private func isUnknown(_ agent: AgentID, _ desired: ObjectID) throws -> Bool {
        let tree = try repository.commit(desired).tree
        guard try repository.entry(at: RepositoryPath.deployment(agent, in: environment), in: tree) != nil else {
            return false
        }
        let fleet = Fleet(snapshot: GitSnapshot(repository, tree: tree), today: today)
        return try EnvironmentCompiler(fleet: fleet, environment: environment).compile(agent) == nil
    }

    // MARK: References

    private func move(_ ref: String, from present: ObjectID?, to id: ObjectID, message: String) throws {
        if present != nil, try site.isCheckedOut(ref) {
            throw BranchObstacle.checkedOut(ref)
        }
        removeAbandonedLock(ref)
        if present == nil, let obstacle = try obstacle(to: ref) {
            throw BranchObstacle.inTheWay(of: ref, branch: String(obstacle))
        }
        try repository.move(ref, from: present, to: id, message: message)
    }

    /// A branch that is where this one needs a folder.
    private func obstacle(to ref: String) throws -> Substring? {
        let parts = ref.split(separator: "/")
        for count in 3..<parts.count {
            let name = parts[..<count].joined(separator: "/")
            if try repository.reference(name) != nil { return name.dropFirst("refs/heads/".count) }
        }
        return nil
    }

    /// Removes a branch that is Ensign's own; in a clone of a forge, also remembers what to remove there.
    private func remove(_ ref: String, _ id: ObjectID) throws -> Bool {
        guard try !site.isCheckedOut(ref) else { return false }
        if let remote = site.settings.remote {
            let tracking = "refs/remotes/\(remote)/\(ref.dropFirst("refs/heads/".count))"
            if try repository.reference(tracking) == nil {
                try repository.move(tracking, from: nil, to: id, message: "ensign: to be removed")
            }
        }
        removeAbandonedLock(ref)
        try Git.check(["update-ref", "-d", ref, id.description], in: site)
        return true
    }

    /// A process that was killed while it moved the ref leaves a lock, which would block every later one.
    private func removeAbandonedLock(_ ref: String) {
        let path = "\(site.commonDirectory)\(ref).lock"
        guard let status = try? Files.status(path),
            Machine.fileTime.subtracting(saturating: status.changed) > 60_000_000_000
        else { return }
        try? Files.remove(path)
    }
}

/// Why a branch cannot be written.
private enum BranchObstacle: Error, CustomStringConvertible {
    case checkedOut(String)
    case inTheWay(of: String, branch: String)

    var description: String {
        switch self {
        case .checkedOut(let ref): "cannot move \(ref): a work tree has it checked out"
        case .inTheWay(let ref, let branch):
            "cannot make \(ref): there is a branch '\(branch)', and git cannot have both: rename it with 'git branch -m'"
        }
    }
}
