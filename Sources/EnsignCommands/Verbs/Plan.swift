import EnsignGit
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignReconciler

extension Verb {
    static let plan = Verb(
        name: "plan",
        group: .declare,
        summary: "Show what would change in an environment",
        discussion: """
            Compares what a commit or the work tree declares with what the ledger says is live. Without a ledger it \
            compares with the tip of the branch, and says so. Nothing is changed.
            """,
        arguments: [
            Argument(
                name: "REV",
                summary: "The revision to plan; the branch's tip if left out",
                isRequired: false,
                kind: .revision
            )
        ],
        options: [
            .environment,
            Option(name: "worktree", summary: "Plan the files of the work tree instead of a commit"),
            Option(name: "detailed-exitcode", summary: "Exit with 2 when there are changes"),
            Option(name: "allow-prune", summary: "Plan as if removals were allowed"),
            Option(
                name: "runs-per-hour",
                summary: "Say what canaries can see at N runs an hour of each agent",
                value: "N"
            ),
        ],
        formats: [.text, .json, .markdown],
        examples: [
            Example(command: "ensign plan --env prod", meaning: "what the next reconcile of prod would do"),
            Example(command: "ensign plan --env prod --worktree", meaning: "what my uncommitted edits would do"),
            Example(
                command: "ensign plan --env prod origin/feature --output markdown",
                meaning: "the text for a pull request"
            ),
            Example(
                command: "ensign plan --env prod --runs-per-hour 500",
                meaning: "how long a busy agent's canary takes"
            ),
        ]
    ) { invocation in
        let runsPerHour = try invocation.runsPerHour()
        let site = try invocation.site()
        let environment = try invocation.environment()
        let desired = try invocation.desired(site)
        let basis = try PlanBasis(site, environment, invocation)
        let maker = PlanMaker(site: site, environment: environment, today: invocation.today)
        try invocation.requireDeclared(environment, desired, basis)
        let outcome = try maker.plan(
            desired,
            tip: basis.tip,
            incremental: false,
            allowPrune: invocation.has("allow-prune")
        )
        let snapshot = try desired.snapshots()
        let fleet = Fleet(snapshot: snapshot, today: invocation.today)
        let renderer = FindingRenderer(paint: invocation.console.paintNote, source: fleet.source)
        if invocation.format != .json {
            let findings = renderer.render(outcome.findings)
            if !findings.isEmpty { invocation.console.note(String(findings.dropLast())) }
        }
        guard var plan = outcome.plan else {
            if invocation.format == .json {
                invocation.json([
                    "v": 1, "valid": false, "findings": .array(outcome.findings.map(FindingRenderer.json)),
                ])
            }
            return .invalid
        }
        if let (compared, note) = try basis.compare(maker, plan, desired) {
            plan = compared
            if !invocation.isQuiet { invocation.console.note(note) }
        }
        plan.addPower(site, runsPerHour: runsPerHour, now: invocation.now)
        let rendering = PlanRenderer(plan: plan, paint: invocation.console.paint)
        switch invocation.format {
        case .text: invocation.console.out(try rendering.text())
        case .markdown: invocation.console.out(try rendering.markdown())
        case .json: invocation.json(try rendering.json())
        }
        if plan.refusal != nil { return .refused }
        return invocation.has("detailed-exitcode") && plan.hasDifferences ? .differences : .done
    }
}

extension Invocation {
    /// What `--runs-per-hour` says.
    fileprivate func runsPerHour() throws(UsageError) -> Double? {
        guard let text = self["runs-per-hour"] else { return nil }
        guard let number = Double(text), number > 0, number <= 1e9 else {
            throw UsageError(message: "--runs-per-hour must be a number above 0", verb: verb.name)
        }
        return number
    }

    /// What a plan is made from: the work tree, a revision, or the desired commit.
    func desired(_ site: Site) throws -> PlanMaker.Desired {
        if has("worktree") {
            guard argument(0) == nil else {
                throw UsageError(message: "REV and --worktree exclude each other", verb: verb.name)
            }
            guard let path = site.repository.workTree else {
                throw Failure(message: "a bare repository has no work tree", hints: ["name a revision instead"])
            }
            return PlanMaker.Desired(source: PlanSource(name: "the work tree", commit: nil), tree: nil) {
                DirectorySnapshot(path: path)
            }
        }
        let (_, commit) = try site.fleet(at: argument(0), today: today)
        let tree = try site.repository.commit(commit).tree
        return PlanMaker.Desired(
            source: PlanSource(name: argument(0) ?? site.settings.branch, commit: commit),
            tree: tree,
            snapshots: site.snapshots(of: tree)
        )
    }

    /// An environment that neither the manifests nor the ledger know is a slip of the pen.
    func requireDeclared(_ environment: String, _ desired: PlanMaker.Desired, _ basis: PlanBasis) throws {
        guard basis.tip == nil else { return }
        let known = try Fleet(snapshot: desired.snapshots(), today: today).environmentNames()
        if !known.contains(environment) { throw ReconcileError.unknownEnvironment(environment, known: known) }
    }
}

/// What a plan is compared with: the ledger, or without one the branch's tip.
struct PlanBasis {
    let tip: RecordedEntry?
    private let site: Site

    init(_ site: Site, _ environment: String, _ invocation: Invocation) throws {
        self.site = site
        tip = try site.ledger(environment).tip()
    }

    /// The plan as a difference from the branch's tip, with what to tell the user; nil when there is a ledger.
    func compare(_ maker: PlanMaker, _ plan: Plan, _ desired: PlanMaker.Desired) throws -> (Plan, String)? {
        // Where a ledger is about to begin, nothing is live yet: the plan is the first reconcile's.
        guard tip == nil, !site.isInitialised || site.settings.isClient else { return nil }
        guard let commit = try site.desiredCommit() else { return nil }
        let tree = try site.repository.commit(commit).tree
        let tipOfBranch = PlanMaker.Desired(
            source: PlanSource(name: site.settings.branch, commit: commit),
            tree: tree,
            snapshots: site.snapshots(of: tree)
        )
        let base = try maker.plan(tipOfBranch, tip: nil, incremental: false, allowPrune: true)
        guard let base = base.plan else { return nil }
        var compared = plan.compared(with: base)
        compared.guards = try maker.guards(desired, since: tipOfBranch)
        compared.basis = "\(site.settings.branch)@sha1:\(commit.short)"
        return (
            compared,
            "There is no ledger of '\(plan.environment)' here: compared with \(site.settings.branch)@sha1:\(commit.short) instead."
        )
    }
}
