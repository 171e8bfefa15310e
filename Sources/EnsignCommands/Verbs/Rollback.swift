import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignQueries
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
        return try RevertCommand(site: site, invocation: invocation, agent: agent, environment: environment).run()
    }
}

/// Makes the commit that reverts the last change of a deployment.
private struct RevertCommand {
    let site: Site
    let invocation: Invocation
    let agent: AgentID
    let environment: String

    private var path: String { RepositoryPath.deployment(agent, in: environment) }

    func run() throws -> ExitCode {
        let (_, tip) = try site.fleet(at: nil, today: invocation.today)
        let (change, before) = try lastChange(tip)
        let subject = try site.repository.commit(change.commit).subject
        let reason = invocation["reason"].map { "\n\($0)\n" } ?? ""
        let commit = try UserCommit(site: site).make(
            [path: try site.repository.bytes(of: before, .blob)],
            on: tip,
            message: "Revert \"\(subject)\"\n\n\(change.reverts)\n\(reason)"
        )
        let (plan, findings) = try Proposal(site: site, invocation: invocation).plan(environment, commit, "rolled back")
        guard let plan else {
            if invocation.format == .json { invocation.json(.object(answer(change, findings))) }
            return .invalid
        }
        let place = try put(commit, on: tip)
        if place.commit != commit, invocation["reason"] != nil {
            invocation.console.note(
                "note: branch \(place.branch) was there already with this change: its message stays, without the new reason"
            )
        }
        if invocation.format == .json {
            var answer = answer(change, findings)
            answer["branch"] = .string(place.branch)
            answer["commit"] = .string(place.commit.description)
            answer["plan"] = try PlanReport(plan).json()
            invocation.json(.object(answer))
            return .done
        }
        invocation.console.out(try PlanRenderer(plan: plan, paint: invocation.console.paint).text())
        invocation.console.line(
            "\nBranch \(place.branch) has the commit \(place.commit.short), which reverts \(change.commit.short): \(subject.onOneLine)"
        )
        if !invocation.isQuiet {
            invocation.console.note(
                place.isDirect
                    ? "Next: ensign reconcile --env \(environment)"
                    : "Next: git push origin \(place.branch), and open a pull request; or git merge \(place.branch)."
            )
        }
        return .done
    }

    /// The newest change of the deployment, and what the file was before.
    private func lastChange(_ tip: ObjectID) throws -> (DeploymentHistory.FileChange, before: ObjectID) {
        guard let change = try DeploymentHistory(path, in: site.repository).lastChange(from: tip) else {
            if site.repository.isShallow {
                throw Failure(
                    message: "this clone is shallow: no commit in it changes \(path), and an older one may",
                    hints: ["git fetch --unshallow"]
                )
            }
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
        return (change, before)
    }

    /// Where the commit is now.
    private struct Place {
        var branch: String
        /// Another one where the branch had this change already.
        var commit: ObjectID
        /// Whether it is the branch itself that is desired state.
        var isDirect: Bool
    }

    /// Puts the commit on a branch. In a bare repository that receives pushes, the branch itself is at hand; a forge's is
    /// not, and one that a work tree has checked out would move under it.
    private func put(_ commit: ObjectID, on tip: ObjectID) throws -> Place {
        let ref = site.settings.desiredRef
        if site.repository.workTree == nil, site.settings.remote == nil, invocation["branch"] == nil {
            guard try site.isCheckedOut(ref) else {
                try Git.check(
                    ["update-ref", "-m", "ensign rollback", ref, commit.description, tip.description],
                    in: site
                )
                return Place(branch: site.settings.branch, commit: commit, isDirect: true)
            }
            invocation.console.note(
                "note: a work tree has '\(site.settings.branch)' checked out: the commit is on a branch of its own"
            )
        }
        let branch = invocation["branch"] ?? Disagreement.branch(agent, environment)
        let made = try UserCommit(site: site).branch(branch, at: commit)
        return Place(branch: branch, commit: made, isDirect: false)
    }

    /// What is in every answer; the rest is null when nothing was rolled back.
    private func answer(_ change: DeploymentHistory.FileChange, _ findings: [Finding]) -> JSONObject {
        [
            "v": 1, "agent": .string(agent.description), "environment": .string(environment), "branch": .null,
            "commit": .null, "reverts": .string(change.commit.description), "plan": .null,
            "findings": .array(findings.map(\.json)),
        ]
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
            by: operatorName,
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
