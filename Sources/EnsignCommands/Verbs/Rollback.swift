import EnsignGit
import EnsignManifest
import EnsignModel
import EnsignReconciler

extension Verb {
    static let rollback = Verb(
        name: "rollback",
        group: .declare,
        summary: "Revert the last change of an agent's deployment",
        discussion: """
            Finds the newest commit that changed the agent's deployment file and makes the commit that reverts it: in \
            a clone on the branch ensign/rollback/ENV/AGENT, ready for a pull request; in a bare repository on the \
            branch itself. The bundle that comes back is the same to the byte.
            """,
        arguments: [Argument(name: "AGENT", summary: "The agent, <team>/<agent>", kind: .agent)],
        options: [
            .environment, .reason,
            Option(name: "branch", summary: "Name the new branch", value: "NAME"),
        ],
        formats: [.text, .json],
        examples: [
            Example(command: "ensign rollback support/refund-triage --env prod", meaning: "back to the version before")
        ]
    ) { invocation in
        let site = try invocation.site()
        let agent = try invocation.agent(0)
        let environment = try invocation.environment()
        let path = "environments/\(environment)/agents/\(agent).yaml"
        let (_, tip) = try site.fleet(at: nil, today: invocation.today)
        guard let change = try DeploymentHistory(site: site).lastChange(of: path, from: tip) else {
            throw Failure(
                message: "\(path) has no earlier state to go back to",
                hints: ["to stop the agent, set halted: true in it, or delete it"]
            )
        }
        guard let before = change.before else {
            throw Failure(
                message: "\(change.commit.short) added \(path): there is no earlier version",
                hints: ["to remove the agent: git rm \(path)"]
            )
        }
        let subject = try site.repository.commit(change.commit).subject
        let merged = change.isMerge ? ", reversing\nchanges made to \(change.parent)" : ""
        let reason = invocation["reason"].map { "\n\($0)\n" } ?? ""
        let message = "Revert \"\(subject)\"\n\nThis reverts commit \(change.commit)\(merged).\n\(reason)"
        let commit = try UserCommit(site: site).make(
            [path: try site.repository.bytes(of: before, .blob)],
            on: tip,
            message: message
        )
        // In a bare repository that is pushed to, the branch itself is at hand; a forge's is not.
        let isDirect = site.repository.workTree == nil && site.settings.remote == nil && invocation["branch"] == nil
        let branch: String
        var tipOfBranch = commit
        if isDirect {
            branch = site.settings.branch
            try Git.check(
                ["update-ref", "-m", "ensign rollback", site.settings.desiredRef, commit.description, tip.description],
                in: site
            )
        } else {
            branch = invocation["branch"] ?? "ensign/rollback/\(environment)/\(agent)"
            tipOfBranch = try UserCommit(site: site).branch(branch, at: commit)
        }
        if tipOfBranch != commit, invocation["reason"] != nil {
            invocation.console.note(
                "note: branch \(branch) was there already with this change: its message stays, without the new reason"
            )
        }
        if invocation.format == .json {
            invocation.json([
                "v": 1, "agent": .string(agent.description), "environment": .string(environment),
                "branch": .string(branch), "commit": .string(tipOfBranch.description),
                "reverts": .string(change.commit.description),
            ])
            return .done
        }
        invocation.console.line(
            "Branch \(branch) has the commit \(tipOfBranch.short), which reverts \(change.commit.short): \(subject)"
        )
        if !invocation.isQuiet {
            invocation.console.note(
                isDirect
                    ? "Next: ensign reconcile --env \(environment)"
                    : "Next: git push origin \(branch), and open a pull request; or git merge \(branch)."
            )
        }
        return .done
    }
}

/// Who last changed a file, along the branch's own line of commits.
private struct DeploymentHistory {
    let site: Site

    struct FileChange {
        var commit: ObjectID
        var parent: ObjectID
        var isMerge: Bool
        /// The file's content before; nil when the commit added it.
        var before: ObjectID?
    }

    /// The newest commit on the first-parent line whose file differs from its first parent's; nil when there is none.
    func lastChange(of path: String, from tip: ObjectID) throws -> FileChange? {
        var id = tip
        let repository = site.repository
        var present = try repository.entry(at: path, in: try repository.commit(id).tree)?.id
        while true {
            let commit = try repository.commit(id)
            guard let parent = commit.parents.first else { return nil }
            let before = try repository.entry(at: path, in: try repository.commit(parent).tree)?.id
            if before != present {
                return FileChange(commit: id, parent: parent, isMerge: commit.parents.count > 1, before: before)
            }
            (id, present) = (parent, before)
        }
    }
}
