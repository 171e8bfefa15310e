import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignReconciler
import EnsignSupervisor
import EnsignTargets

extension Verb {
    static let reconcile = Verb(
        name: "reconcile",
        group: .apply,
        summary: "Bring an environment to what the repository says",
        discussion: """
            Compares the newest desired commit with what is live, applies what differs, repairs what was changed by \
            hand, and signs a record of it. Safe to run at any time, twice at once, and again after a crash. A run \
            that finds nothing to do writes nothing. In a clone of a forge (git config ensign.remote) it fetches the \
            branch first, and pushes the ledger back.
            """,
        options: [
            .environment,
            Option(
                name: "allow-prune",
                summary: "Allow more removals at once than maxPruneShare does; the ledger has who did"
            ),
            Option(name: "reason", summary: "With --allow-prune: say why, for the record", value: "TEXT"),
            Option(
                name: "observe",
                summary: "Read every live file instead of a slice",
                value: "all|slice",
                kind: .choice(["all", "slice"])
            ),
            Option(name: "offline", summary: "Neither fetch from the forge nor push to it"),
        ],
        formats: [.text, .json],
        examples: [
            Example(command: "ensign reconcile --env prod", meaning: "apply what main says to prod"),
            Example(command: "ensign reconcile --env dev --observe all", meaning: "also read every live file"),
        ]
    ) { invocation in
        guard invocation["reason"] == nil || invocation.has("allow-prune") else {
            throw UsageError(
                message: "--reason is for --allow-prune: nothing else here is on record with one",
                verb: "reconcile"
            )
        }
        let site = try invocation.site()
        let environment = try invocation.environment()
        guard site.isInitialised else { throw ReconcileError.notInitialised }
        if site.settings.isClient { throw ReconcileError.client }
        let forge = invocation.has("offline") ? nil : Forge(site)
        // One that cannot be read is told by the reconcile itself.
        let before = try? site.desiredCommit()
        // A forge that does not answer must not keep a canary from being judged: what is here comes first.
        let hasRollouts = try forge != nil && site.hasRollouts(environment)
        let reconciler = invocation.reconciler(environment, site)
        var result = hasRollouts ? try invocation.finish(reconciler, reconciler.run(), forge: nil) : .done
        let isFetched = try forge.map { try invocation.fetch($0, site) } ?? true
        try invocation.requireKnown(environment, site)
        if !hasRollouts || (try? site.desiredCommit()) != before {
            result = try invocation.finish(reconciler, reconciler.run(), forge: forge)
        } else if let forge {
            try invocation.settle(environment, site, forge)
        }
        let isPushed = try forge.map { try invocation.push(environment, $0) } ?? true
        return result == .done && !(isFetched && isPushed) ? .failed : result
    }
}

extension Invocation {
    fileprivate func reconciler(_ environment: String, _ site: Site) -> Reconciler {
        var options = Reconciler.Options()
        let actor = actor(.cli)
        if has("allow-prune") {
            options.allowPrune = true
            options.override = Override(
                name: "allow-prune",
                by: "\(actor.name)@\(actor.host)",
                reason: self["reason"]
            )
        }
        options.observeEverything = self["observe"] == "all"
        options.asksPrometheus = true
        options.visitor = .run
        return Reconciler(site: site, environment: environment, actor: actor, options: options)
    }

    /// Shows what a reconcile came to, then tells whoever has to know: the forge, and the operator's command.
    ///
    /// - Parameter forge: Nil when it is told later, or there is none.
    func finish(_ reconciler: Reconciler, _ report: Reconciler.Report, forge: Forge?) throws -> ExitCode {
        let (environment, site) = (reconciler.environment, reconciler.site)
        var report = report
        defer { notify(environment, site) }
        // In JSON everything is one answer.
        if format == .json, let forge {
            report.notes += forge.settle(environment, report.branches.disagreements)
        }
        let code = try show(report, environment, site)
        if format != .json, let forge { tell(forge.settle(environment, report.branches.disagreements), environment) }
        return code
    }

    private func tell(_ notes: [String], _ environment: String) {
        for note in notes { console.note("\(environment): \(note.escapedControls)") }
    }

    /// Brings rollback branches to the forge that were settled before it was asked.
    fileprivate func settle(_ environment: String, _ site: Site, _ forge: Forge) throws {
        let branches = RollbackBranches(site: site, environment: environment, today: today)
        tell(forge.settle(environment, try branches.survey(site.ledger(environment).tip())), environment)
    }
}

extension Invocation {
    /// Fetches from the forge, saying so; false when it does not answer, and what was fetched before is gone by.
    fileprivate func fetch(_ forge: Forge, _ site: Site) throws -> Bool {
        do {
            try forge.fetch()
        } catch let error as Git.CommandFailure {
            console.note(
                "fetch from \(forge.remote) \(console.paintNote("failed", .red)): \(error.reason.escapedControls)"
            )
            if let commit = try site.desiredCommit() {
                console.note("going on with \(site.settings.desiredRef) as it was fetched before (\(commit.short))")
            }
            return false
        }
        if !isQuiet, let commit = try site.desiredCommit() {
            console.note("fetched \(site.settings.branch) from \(forge.remote): \(commit.short)")
        }
        return true
    }

    /// Pushes the ledger to the forge, saying so; false when that is not possible.
    fileprivate func push(_ environment: String, _ forge: Forge) throws -> Bool {
        do {
            if try forge.push(environment), !isQuiet {
                console.note("\(environment): the ledger is pushed to \(forge.remote)")
            }
            return true
        } catch let error as Git.CommandFailure {
            console.note(
                "\(environment): the ledger could not be pushed to \(forge.remote): \(error.reason.escapedControls)"
            )
            return false
        }
    }
}

extension Invocation {
    /// An environment that neither the manifests nor a ledger know is a slip of the pen.
    func requireKnown(_ environment: String, _ site: Site) throws {
        try site.require(environment, among: site.environments([]))
    }

    /// The environment of `--env` for a question: one that this clone does not reconcile may be asked about too.
    func knownEnvironment(_ site: Site) throws -> String {
        let name = try environment()
        try site.require(name, among: site.knownEnvironments())
        return name
    }

    /// Prints what a reconcile came to.
    ///
    /// - Parameter showsWarnings: False where they were shown before.
    func show(
        _ report: Reconciler.Report,
        _ environment: String,
        _ site: Site,
        showsWarnings: Bool = true
    ) throws -> ExitCode {
        if format == .json {
            json(try report.json(environment, WaitingCanary(report, environment, site)))
        } else {
            let text = ReconcileText(report: report, environment: environment, site: site, console: console)
            text.print(quiet: isQuiet, showsWarnings: showsWarnings)
        }
        if let failure = report.failure { throw failure }
        switch report.result {
        case .nothingDeclared, .converged: return .done
        case .invalid: return .invalid
        case .refused, .impossible: return .refused
        }
    }
}

/// What a reconcile says to people.
struct ReconcileText {
    let report: Reconciler.Report
    let environment: String
    let site: Site
    let console: Console
    private let waiting: WaitingCanary?

    init(report: Reconciler.Report, environment: String, site: Site, console: Console) {
        waiting = WaitingCanary(report, environment, site)
        self.report = report
        self.environment = environment
        self.site = site
        self.console = console
    }

    func print(quiet: Bool, showsWarnings: Bool) {
        printFindings(warnings: showsWarnings && !quiet)
        if report.recovered { console.note("\(environment): an interrupted run was recovered") }
        for warning in report.warnings { console.note("\(environment): warning: \(warning.escapedControls)") }
        list(report.behaviour) { $0.sentence }
        list(report.halts) { $0.sentence }
        list(report.drift) { "repaired \($0.path.escapedControls) (\($0.found.words))" }
        // Also while what is desired cannot be applied: time, verdicts and stops go on.
        list(report.guards) { $0.line }
        list([report.plan?.fleetChange].compactMap { $0?.sentence } + (report.plan?.changes ?? []).flatMap(lines)) {
            $0
        }
        if !quiet {
            // What is quarantined is said below, with what to do about it.
            list((report.plan?.held ?? []).filter { !isExplained($0) }) { line($0) }
        }
        switch report.result {
        case .nothingDeclared:
            if !quiet, report.failure == nil { console.note("\(environment): nothing is declared yet") }
        case .invalid:
            console.note(
                "\(environment): \(console.paintNote("not applied", .red)): the manifests are invalid; what was live stays"
            )
        case .refused(let why):
            console.note("\(environment): \(console.paintNote("refused", .red)): \(why); what was live stays")
            console.note("  hint: if it is meant: ensign reconcile --env \(environment) --allow-prune --reason TEXT")
        case .impossible(let refusal): console.note("\(environment): refused: \(refusal.message)")
        case .converged where report.failure == nil: printEntry(quiet: quiet)
        case .converged: break
        }
        if !quiet {
            for branch in report.branches.written { console.note("\(environment): wrote \(branch)") }
            for branch in report.branches.removed { console.note("\(environment): removed \(branch): git agrees") }
        }
        for disagreement in report.branches.disagreements { console.note("\(environment): \(disagreement.sentence)") }
        for note in report.notes { console.note("\(environment): \(note.escapedControls)") }
        if let waiting { console.note("\(environment): \(waiting.sentence)") }
    }

    private func printEntry(quiet: Bool) {
        guard let entry = report.entry, !quiet else { return }
        let isQuietRun =
            report.plan?.isEmpty ?? true && report.drift.isEmpty && !report.recovered && report.halts.isEmpty
            && report.behaviour.isEmpty
        console.note(
            isQuietRun
                ? "\(environment): nothing\(report.guards.isEmpty ? "" : " else") to do, at entry \(entry.sequence)"
                : "\(environment): \(console.paintNote("converged", .green)), recorded as entry \(entry.sequence) (\(entry.commit.short))"
        )
    }

    /// What was done to one agent. What its stable version lost, or what going back changed, is said too.
    private func lines(_ planned: PlannedChange) -> [String] {
        var lines = planned.all.map(\.sentence)
        guard let difference = planned.stableDifference, let side = planned.recompiled?.side else { return lines }
        let authority = difference.authority
        lines += (authority.gained + authority.lost).map { "  \(planned.agent) \(side.version) \($0.escapedControls)" }
        return lines
    }

    private func isExplained(_ held: HeldAgent) -> Bool {
        held.reason == .quarantined && report.branches.disagreements.contains { $0.agent == held.agent }
    }

    private func printFindings(warnings: Bool) {
        let shown = report.findings.filter { $0.severity == .error || warnings }
        guard !shown.isEmpty else { return }
        let fleet = (try? site.fleet(at: nil, today: Timestamp(seconds: 0).date))?.fleet
        let text = FindingRenderer(paint: console.paintNote, source: { fleet?.source($0) }).render(shown)
        console.note(String(text.dropLast()))
    }

    private func line(_ held: HeldAgent) -> String {
        "\(held.agent) stays as it is: \(held.wanted.version) is \(held.reason.text)"
    }

    /// The most changes that are named one by one; the ledger has them all.
    private static let maxLines = 50

    private func list<Item>(_ items: [Item], _ line: (Item) -> String) {
        for item in items.prefix(Self.maxLines) { console.line("\(environment): \(line(item))") }
        let more = items.count - Self.maxLines
        if more > 0 { console.line("\(environment): ... and \(more) more: 'ensign log --env \(environment)'") }
    }
}

extension DriftedFile.Found {
    /// What was found, and where that is not plain what was done about it.
    var words: String { self == .added ? "added, now removed" : rawValue }
}

extension HeldReason {
    /// Completes "1.5.0 is ...".
    var text: String {
        switch self {
        case .quarantined: "quarantined here; 'ensign rollout retry' tries it again"
        case .queued: "queued behind other rollouts"
        case .paused: "paused"
        case .halted: "waiting: the agent is halted"
        case .inconclusive: "waiting for a verdict"
        case .noData: "waiting for data"
        case .error: "waiting: its metrics cannot be read; 'ensign rollout status' says why"
        }
    }
}

extension GuardChange {
    /// What holds from now on, for people.
    var line: String { "\(direction.rawValue): \(sentence.escapedControls)" }
}

extension Change {
    /// What has happened to an agent, for people.
    var sentence: String {
        let why = evidence?.reason.map { " (\($0.escapedControls))" } ?? ""
        if let scope { return "\(scope) \(action.past)\(why)" }
        let name = agent?.description ?? ""
        if action == .quarantine {
            // A quarantine that ends starts from what is stable; the reason says which version it was.
            guard from != to else { return "\(name) out of quarantine\(why)" }
            return "\(name) \(from?.version.description ?? "") quarantined\(why)"
        }
        if let activity = evidence?.activityAfterHalt {
            return "\(name) acts although it is halted: \(activity.what)".escapedControls
        }
        if driftedMetric != nil {
            return "\(name) \(to?.version.description ?? "") drifted: \(evidence?.reason ?? "")"
                .escapedControls
        }
        let versions = Self.versions(from, to)
        let weight = action == .weight ? ", canary \(self.weight?.to ?? 0) %" : ""
        return "\(name) \(action.past) \(versions)\(weight)\(why)"
    }
}

extension Change.Action {
    /// What has happened, for people.
    var past: String {
        switch self {
        case .create: "created"
        case .update: "updated"
        case .delete: "deleted"
        case .weight: "goes"
        case .promote: "promoted"
        case .rollback: "rolled back"
        case .halt: "halted"
        case .resume: "resumed"
        case .repair: "repaired"
        case .quarantine: "quarantined"
        }
    }
}

extension Reconciler.Report {
    /// What guards agents and holds from this run on; nothing where what was planned does not hold.
    var guards: [GuardChange] {
        guard case .converged = result else { return [] }
        return plan?.guards ?? []
    }

    func json(_ environment: String, _ waiting: WaitingCanary?) throws -> JSONValue {
        let (name, message): (String, String?) =
            switch result {
            case .nothingDeclared: ("nothing-declared", nil)
            case .converged: ("converged", nil)
            case .invalid: ("invalid", nil)
            case .refused(let why): ("refused", why)
            case .impossible(let refusal): ("refused", refusal.message)
            }
        return [
            "v": 1, "environment": .string(environment), "result": .string(name),
            "message": message.map { .string($0) } ?? .null, "recovered": .bool(recovered),
            "guards": .array(guards.map(\.json)),
            "changes": .array(
                ([plan?.fleetChange].compactMap { $0 } + (plan?.changes ?? []).flatMap(\.all)).map(\.json)
            ),
            "disagreements": .array(branches.disagreements.map(\.json)),
            "branches": [
                "written": .array(branches.written.map { .string($0) }),
                "removed": .array(branches.removed.map { .string($0) }),
            ],
            "notes": .array(notes.map { .string($0) }), "canaryWaiting": waiting?.json ?? .null,
            "behaviour": .array(behaviour.map(\.json)), "halts": .array(halts.map(\.json)),
            "warnings": .array(warnings.map { .string($0) }),
            "drift": .array(drift.map(\.json)),
            "findings": .array(findings.map(FindingRenderer.json)),
            "entry": entry.map {
                ["seq": .integer($0.sequence), "commit": .string($0.commit.description)]
            } ?? .null,
        ]
    }
}
