import EnsignGit
import EnsignHost
import EnsignModel
package import EnsignReconciler

/// Brings rollback branches to the forge of a clone, and removes them again. Stock git does it.
///
/// What the forge was last known to have is in `refs/remotes/<remote>/ensign/rollback/...`, as for any other branch: a
/// branch that somebody has deleted there, with its pull request, is not pushed again.
package struct RollbackPush {
    let site: Site
    let environment: String
    let branches: RollbackBranches
    var isCancelled: (@Sendable () -> Bool)?

    private static let deadline = Duration.seconds(30)

    /// What came of it, in sentences.
    package struct Outcome: Sendable, Hashable {
        /// What could not be done; it is tried again.
        package var failures: [String] = []
        /// What was left alone.
        package var notes: [String] = []
    }

    /// Does what is left to do, without network when nothing is.
    package func run(_ disagreements: [Disagreement]) throws -> Outcome {
        guard let remote = site.settings.remote else { return Outcome() }
        var outcome = Outcome()
        var wanted: [String: ObjectID] = [:]
        for disagreement in disagreements {
            switch disagreement.remedy {
            case .merge(let commit): wanted[disagreement.branch] = commit
            // Neither pushed nor taken away.
            case .foreign, .failed, .pending: wanted[disagreement.branch] = .some(.zero)
            case .byHand: break
            }
        }
        let prefix = "refs/remotes/\(remote)/"
        let known = try site.repository.references(matching: "\(prefix)ensign/rollback/\(environment)/*")
        let tracked = Dictionary(known.map { (String($0.name.dropFirst(prefix.count)), $0.id) }) { first, _ in first }
        for (branch, commit) in wanted.sorted(by: { $0.key < $1.key }) where commit != .zero {
            guard tracked[branch] != commit else { continue }
            do {
                if let note = try push(branch, commit, remote) { outcome.notes.append(note) }
            } catch let error as Git.CommandFailure {
                outcome.failures.append("\(branch) could not be pushed to \(remote): \(error.reason)")
            }
        }
        for (branch, commit) in tracked.sorted(by: { $0.key < $1.key }) where wanted[branch] == nil {
            guard try branches.own(commit) != nil else { continue }
            do {
                try remove(branch, remote)
            } catch let error as Git.CommandFailure {
                outcome.failures.append("\(branch) could not be removed from \(remote): \(error.reason)")
            }
        }
        return outcome
    }

    private func push(_ branch: String, _ commit: ObjectID, _ remote: String) throws -> String? {
        let present = try ask(branch, remote)
        if let present, present != commit {
            if try !isOwn(present, branch, remote) {
                try track(branch, present, remote)
                return "\(branch) at \(remote) has commits that Ensign did not make and is left alone"
            }
        }
        if present != commit {
            // Never over what is not known to be there.
            let lease = "--force-with-lease=refs/heads/\(branch):\(present?.description ?? "")"
            try git(Git.push(to: remote) + ["--quiet", lease, "--", remote, "\(commit):refs/heads/\(branch)"])
        }
        try track(branch, commit, remote)
        return nil
    }

    private func remove(_ branch: String, _ remote: String) throws {
        if let present = try ask(branch, remote) {
            guard try isOwn(present, branch, remote) else { return try track(branch, present, remote) }
            let lease = "--force-with-lease=refs/heads/\(branch):\(present)"
            try git(Git.push(to: remote) + ["--quiet", lease, "--", remote, ":refs/heads/\(branch)"])
        }
        let tracking = "refs/remotes/\(remote)/\(branch)"
        if try site.repository.reference(tracking) != nil { try git(["update-ref", "-d", tracking]) }
    }

    /// What the forge has; nil when it has no such branch.
    private func ask(_ branch: String, _ remote: String) throws -> ObjectID? {
        let line = try git(["ls-remote", "--quiet", remote, "refs/heads/\(branch)"])
        return ObjectID(line.prefix(40))
    }

    private func isOwn(_ commit: ObjectID, _ branch: String, _ remote: String) throws -> Bool {
        if !site.repository.contains(commit) {
            try git(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", remote, "refs/heads/\(branch)"])
        }
        return try branches.own(commit) != nil
    }

    private func track(_ branch: String, _ commit: ObjectID, _ remote: String) throws {
        if !site.repository.contains(commit) {
            try git(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", remote, "refs/heads/\(branch)"])
        }
        try git(["update-ref", "-m", "ensign", "refs/remotes/\(remote)/\(branch)", commit.description])
    }

    @discardableResult
    private func git(_ arguments: [String]) throws -> String {
        try Git.check(arguments, in: site, deadline: Self.deadline, isCancelled: isCancelled)
    }
}
