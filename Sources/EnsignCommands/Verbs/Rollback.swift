import EnsignGit
import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignReconciler
import EnsignSupervisor

extension Verb {
    static let rollback = Verb(
        name: "rollback",
        group: .declare,
        summary: "Revert the last change of an agent's deployment",
        discussion: """
            Finds the newest commit that changed the agent's deployment file and makes the commit that reverts it: in \
            a clone on the branch ensign/rollback/ENV/AGENT, ready for a pull request; in a bare repository on the \
            branch itself. The bundle that comes back is the same to the byte. With --now, on the host: first makes \
            the version before live at once and quarantines the one that is, whatever git says; then makes the commit \
            for git to agree.
            """,
        arguments: [Argument(name: "AGENT", summary: "The agent, <team>/<agent>", kind: .agent)],
        options: [
            .environment,
            Option(name: "now", summary: "Make the version before live at once; needs --reason"),
            Option(name: "to", summary: "With --now: go back to this version", value: "X.Y.Z", kind: .version),
            .reason,
            Option(name: "branch", summary: "Name the new branch", value: "NAME"),
        ],
        formats: [.text, .json],
        examples: [
            Example(command: "ensign rollback support/refund-triage --env prod", meaning: "back to the version before"),
            Example(
                command: "ensign rollback support/refund-triage --env prod --now --reason \"refuses everything\"",
                meaning: "the same on the host, for every session and at once"
            ),
        ]
    ) { invocation in
        let site = try invocation.site()
        let agent = try invocation.agent(0)
        let environment = try invocation.environment()
        try invocation.requireKnown(agent, nil, site)
        guard invocation["to"] == nil || invocation.has("now") else {
            throw UsageError(
                message: "--to is for --now; in git, edit the version in the deployment file",
                verb: "rollback"
            )
        }
        if invocation.has("now") { return try invocation.goBackNow(agent, environment, site) }
        let path = RepositoryPath.deployment(agent, in: environment)
        let (_, tip) = try site.fleet(at: nil, today: invocation.today)
        guard let change = try DeploymentHistory(path, in: site.repository).lastChange(from: tip) else {
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
        let reason = invocation["reason"].map { "\n\($0)\n" } ?? ""
        let message = "Revert \"\(subject)\"\n\n\(change.reverts)\n\(reason)"
        let commit = try UserCommit(site: site).make(
            [path: try site.repository.bytes(of: before, .blob)],
            on: tip,
            message: message
        )
        // In a bare repository that receives pushes, the branch itself is at hand; a forge's is not.
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
            branch = invocation["branch"] ?? Disagreement.branch(agent, environment)
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
            "Branch \(branch) has the commit \(tipOfBranch.short), which reverts \(change.commit.short): \(subject.onOneLine)"
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

extension Invocation {
    /// The version before, live at once; the commit for git comes with it.
    fileprivate func goBackNow(_ agent: AgentID, _ environment: String, _ site: Site) throws -> ExitCode {
        guard let reason = self["reason"], !reason.allSatisfy(\.isWhitespace) else {
            throw UsageError(
                message: "--now needs --reason: it is what others read when they ask why",
                verb: "rollback"
            )
        }
        try requireKnown(environment, site)
        let actor = actor(.cli)
        var options = Reconciler.Options()
        options.request = OperatorRequest(
            agent: agent,
            operation: .rollback(to: nil),
            by: "\(actor.name)@\(actor.host)",
            reason: reason
        )
        options.request?.version = try version("to")
        let reconciler = Reconciler(site: site, environment: environment, actor: actor, options: options)
        let report = try reconciler.run()
        if case .impossible(.alreadyStable(let version)) = report.result {
            // Asked again after it was done: it is done.
            if !isQuiet { console.note("\(environment): \(agent) \(version) is what sessions have already") }
            return .done
        }
        if case .impossible(let refusal) = report.result {
            throw Refusal(
                message: "\(agent) was not rolled back: \(refusal.message)",
                hints: refusal.hints(agent, environment)
            )
        }
        return try finish(reconciler, report, forge: Forge(site))
    }
}

extension RolloutRefusal {
    fileprivate func hints(_ agent: AgentID, _ environment: String) -> [String] {
        switch self {
        case .justTakenBack(_, _, _, let next):
            [
                "if that is meant: ensign rollback \(agent) --env \(environment) --now --to \(next) --reason ...",
                "what happened: ensign log \(agent) --env \(environment)",
            ]
        case .isHalted, .haltedByGit: ["ensign log \(agent) --env \(environment)"]
        default:
            ["to stop it: set halted: true in environments/\(environment)/agents/\(agent).yaml, or delete that file"]
        }
    }
}
