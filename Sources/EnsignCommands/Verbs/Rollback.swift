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
            Option(
                name: "to",
                summary: "Go back to this version",
                value: "X.Y.Z",
                kind: .version,
                use: OptionUse(needs: ["now"], because: "in git, edit the version in the deployment file")
            ),
            .reason,
            Option(name: "branch", summary: "Name the new branch", value: "NAME", use: OptionUse(excludes: ["now"])),
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
        let environment = try invocation.knownEnvironment(site)
        try invocation.requireKnown(agent, nil, site)
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
        let reason = try invocation.reason().map { "\n\n\($0)" } ?? ""
        let (_, tip) = try site.fleet(at: nil, today: invocation.today)
        let (change, before) = try lastChange(tip)
        let subject = try site.repository.commit(change.commit).subject
        let proposal = Proposal(
            site: site,
            invocation: invocation,
            edits: [path: try site.repository.bytes(of: before, .blob)],
            base: tip,
            title: "Revert \"\(subject)\"",
            body: change.reverts + reason,
            done: "rolled back"
        )
        let report = try proposal.make(in: environment) { try put(proposal, $0, on: tip) }
        if invocation.format == .json { invocation.json(try answer(change, report)) }
        guard report.isValid else { return .invalid }
        if invocation.format != .json {
            try show(report, "which reverts \(change.commit.short): \(subject.onOneLine)")
        }
        return .done
    }

    private func show(_ report: ProposalReport, _ what: String) throws {
        guard let plan = report.plan, let branch = report.branch else { return }
        invocation.console.out(try PlanRenderer(plan: plan, paint: invocation.console.paint).text())
        invocation.console.line("\nBranch \(branch.name) has the commit \(branch.commit.short), \(what)")
        if !invocation.isQuiet {
            invocation.console.note(
                branch.isDesired
                    ? "Next: ensign reconcile --env \(environment)"
                    : "Next: git push origin \(branch.name), and open a pull request; or git merge \(branch.name)."
            )
        }
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
                hints: ["to stop the agent, set halted: true in it, or delete it"],
                code: .refused
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

    /// Puts the commit on a branch. In a bare repository that receives pushes, the branch itself is at hand; a forge's is
    /// not, and one that a work tree has checked out would move under it.
    private func put(_ proposal: Proposal, _ commit: ObjectID, on tip: ObjectID) throws -> ProposalReport.Branch {
        let ref = site.settings.desiredRef
        if site.repository.workTree == nil, site.settings.remote == nil, invocation["branch"] == nil {
            guard try site.isCheckedOut(ref) else {
                try Git.check(
                    ["update-ref", "-m", "ensign rollback", ref, commit.description, tip.description],
                    in: site
                )
                return ProposalReport.Branch(name: site.settings.branch, commit: commit, isDesired: true)
            }
            invocation.console.note(
                "note: a work tree has '\(site.settings.branch)' checked out: the commit is on a branch of its own"
            )
        }
        let branch = try proposal.branch(Disagreement.branch(agent, environment), at: commit)
        if branch.commit != commit, invocation["reason"] != nil {
            invocation.console.note(
                "note: branch \(branch.name) was there already with this change: its message stays, without the new reason"
            )
        }
        return branch
    }

    private func answer(_ change: DeploymentHistory.FileChange, _ report: ProposalReport) throws -> JSONValue {
        var answer = try ProposalReport.answer(
            [
                "agent": .string(agent.description), "environment": .string(environment),
                "reverts": .string(change.commit.description),
            ],
            report
        )
        // A rollback never had one: the commit that it reverts says what it is.
        answer["title"] = nil
        return .object(answer)
    }
}

extension Invocation {
    /// The version before, live at once; the commit for git comes with it.
    fileprivate func goBackNow(_ agent: AgentID, _ environment: String, _ site: Site) throws -> ExitCode {
        let reason = try requiredReason("--now")
        try requireKnown(environment, site)
        try requireHost(site)
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
            var done = report
            done.result = .converged
            if format == .json { json(ReconcileReport.make(done, environment, site, now: now).json) }
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
