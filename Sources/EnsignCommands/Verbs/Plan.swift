import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignQueries
import EnsignReconciler

extension Verb {
    static let plan = Verb(
        name: "plan",
        group: .declare,
        summary: "Show what would change in an environment, or in all",
        discussion: """
            Compares what a commit or the work tree declares with what the ledger says is live. Without REV it plans the \
            desired branch, and on another branch what is checked out. Without a ledger it compares with the tip of the \
            desired branch, and that with what was pushed of it, and says so. On the host it is what the next reconcile \
            does; another clone says what it cannot know. Of an agent of which the gateway only observes, or no longer \
            (mode), it says what would have been refused. Nothing is changed.
            """,
        arguments: [
            Argument(
                name: "REV",
                summary: "The revision to plan; see above for what it is if left out",
                isRequired: false,
                kind: .revision
            )
        ],
        options: [
            .anyEnvironment,
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
            Example(command: "ensign plan", meaning: "what is checked out, in every environment"),
            Example(command: "ensign plan --env prod --worktree", meaning: "what my uncommitted edits would do"),
            Example(
                command: "ensign plan --env prod origin/feature --output markdown",
                meaning: "the text for a pull request"
            ),
            Example(
                command: "ensign plan --env prod --runs-per-hour 500",
                meaning: "how long a busy agent's canary takes"
            ),
        ],
        output: .answer
    ) { invocation in
        let site = try invocation.site()
        let desired = try invocation.desired(site)
        var command = try PlanCommand(invocation: invocation, site: site, desired: desired)
        return try invocation["env"] == nil ? command.all() : command.one(invocation.environment())
    }
}

/// One call of `plan`.
private struct PlanCommand {
    let invocation: Invocation
    let site: Site
    let desired: Desired
    let runsPerHour: Double?
    /// Findings that were shown: those of the fleet concern every environment.
    private var shown: Set<Finding> = []

    init(invocation: Invocation, site: Site, desired: Desired) throws {
        (self.invocation, self.site, self.desired) = (invocation, site, desired)
        runsPerHour = try invocation.runsPerHour()
    }

    /// Every environment that is declared or live, the first of a chain of promotions before those that follow.
    mutating func all() throws -> ExitCode {
        let fleet = Fleet(snapshot: try desired.snapshots(), today: invocation.today)
        let declared = try PromotionChain(fleet).order
        let live = try Ledger.environments(in: site.repository).filter { name in
            try !declared.contains(name) && (site.ledger(name).tip()?.agents ?? 0) > 0
        }
        let names = declared + live.sorted()
        guard !names.isEmpty else {
            throw Failure(
                message: "\(desired.source.name) declares no environment",
                hints: ["'ensign new env dev' starts one"]
            )
        }
        var worst = ExitCode.done
        var answers: [JSONValue] = []
        for (index, name) in names.enumerated() {
            if index > 0, invocation.format != .json { invocation.console.line() }
            worst = worst.worst(try plan(name) { answers.append($0) })
        }
        if invocation.format == .json { invocation.json(["v": 1, "plans": .array(answers)]) }
        return worst
    }

    mutating func one(_ environment: String) throws -> ExitCode { try plan(environment, invocation.json) }

    private mutating func plan(_ environment: String, _ answer: (JSONValue) throws -> Void) throws -> ExitCode {
        let basis = try PlanBasis(site, environment, version: App.version, asksPrometheus: true)
        try invocation.requireDeclared(environment, desired, basis)
        let isDesired = try desired.source.commit == site.desiredCommit() && !invocation.has("worktree")
        var situation = basis.situation
        situation.allowPrune = invocation.has("allow-prune")
        let decision = try situation.decide(desired, fallsBack: isDesired)
        try decision.checkReadable()
        try show(decision.findings)
        let refusal =
            try site.reconciles
            ? nil
            : RefusedCommit.find(Set([desired.source.commit].compactMap { $0 }), site.ledger(environment), basis.tip)
        let meanwhile = decision.meanwhile.flatMap { $0.isEmpty && $0.held.isEmpty ? nil : $0 }
        guard var plan = decision.shown else {
            if invocation.format == .json {
                try answer(PlanReport.invalid(decision.findings, meanwhile: meanwhile))
            } else {
                try invocation.show(meanwhile: meanwhile)
            }
            if let refusal { invocation.console.note("\(environment): \(refusal.sentence.onOneLine)") }
            return .invalid
        }
        if let (compared, note) = try basis.compare(plan, desired, allowPrune: invocation.has("allow-prune")) {
            plan = compared
            if !invocation.isQuiet { invocation.console.note(note) }
        }
        let behind = try desired.source.commit.flatMap { try site.behind(desired.source.name, $0) }
        plan.warnings += [
            behind.map { "\($0.sentence): 'git pull', or 'ensign plan ... \($0.upstream)'" }, refusal?.sentence,
        ].compactMap { $0 }
        plan.addEvidence(site, runsPerHour: runsPerHour, now: invocation.now)
        let rendering = PlanRenderer(plan: plan, paint: invocation.console.paint)
        switch invocation.format {
        case .text, .sarif: invocation.console.out(try rendering.text())
        case .markdown: invocation.console.out(try rendering.markdown())
        case .json: try answer(PlanReport(plan, findings: decision.findings).json())
        }
        if plan.refusal != nil {
            try invocation.show(meanwhile: meanwhile)
            return .refused
        }
        return invocation.has("detailed-exitcode") && plan.hasDifferences ? .differences : .done
    }

    private mutating func show(_ findings: [Finding]) throws {
        guard invocation.format != .json else { return }
        let new = findings.filter { shown.insert($0).inserted }
        let fleet = Fleet(snapshot: try desired.snapshots(), today: invocation.today)
        let text = FindingRenderer(paint: invocation.console.paintNote, source: fleet.source).render(new)
        if !text.isEmpty { invocation.console.note(String(text.dropLast())) }
    }
}

extension Invocation {
    /// What follows the last accepted commit while the desired one cannot be applied.
    fileprivate func show(meanwhile: Plan?) throws {
        guard let meanwhile, format == .text, let commit = meanwhile.source.commit else { return }
        console.note(
            "It cannot be applied. Meanwhile \(meanwhile.environment) goes by \(commit.short), the last accepted:"
        )
        console.out(try PlanRenderer(plan: meanwhile, paint: console.paint).text())
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

    /// The source of a plan: the work tree, a revision, or the desired commit.
    func desired(_ site: Site) throws -> Desired {
        if has("worktree") {
            guard argument(0) == nil else {
                throw UsageError(message: "REV and --worktree exclude each other", verb: verb.name)
            }
            guard let path = site.repository.workTree else {
                throw Failure(
                    message: "a bare repository has no work tree",
                    hints: ["name a revision instead"],
                    code: .usage
                )
            }
            let source = PlanSource(name: "the work tree", commit: nil)
            return Desired(source: source, tree: nil, snapshots: try site.workTreeSnapshots(path))
        }
        if argument(0) == nil, let (name, commit) = try site.checkedOut() {
            return try Desired(site, commit, name: name)
        }
        let (_, commit) = try site.fleet(at: argument(0), today: today)
        return try Desired(site, commit, name: argument(0) ?? site.settings.branch)
    }

    /// An environment that neither the manifests nor the ledger know is a typo.
    func requireDeclared(_ environment: String, _ desired: Desired, _ basis: PlanBasis) throws {
        guard basis.tip == nil else { return }
        let known = try Fleet(snapshot: desired.snapshots(), today: today).environmentNames()
        if !known.contains(environment) { throw ReconcileError.unknownEnvironment(environment, known: known) }
    }
}

extension Site {
    /// The branch that is checked out instead of the desired one, and its commit; nil where the desired one is meant.
    fileprivate func checkedOut() throws -> (name: String, commit: ObjectID)? {
        // Whoever follows a forge has no checkout that means anything.
        guard repository.workTree != nil, !(reconciles && settings.remote != nil) else { return nil }
        let head = try repository.headReference()
        guard head != "refs/heads/\(settings.branch)", let commit = try? repository.commit(named: "HEAD") else {
            return nil
        }
        return (head.map { String($0.dropFirst("refs/heads/".count)) } ?? "HEAD", commit)
    }
}
