import EnsignCommandLine
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignQueries
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
            Option(
                name: "accept-loss",
                summary:
                    "Go on from the ledger as it is, though newer entries are known to be lost; what they halted stays so"
            ),
            .reason.used(
                OptionUse(needs: ["allow-prune"], because: "nothing else here is on record with one")
            ),
            Option(
                name: "observe",
                summary: "Read every live file instead of a slice",
                value: "all|slice",
                kind: .choice(["all", "slice"])
            ),
            Option(
                name: "no-cache",
                summary: "Compile every agent and read every live file, whatever is known of them"
            ),
            Option(name: "offline", summary: "Neither fetch from the forge nor push to it"),
        ],
        formats: [.text, .json],
        examples: [
            Example(command: "ensign reconcile --env prod", meaning: "apply what main says to prod"),
            Example(command: "ensign reconcile --env dev --observe all", meaning: "also read every live file"),
        ]
    ) { invocation in
        _ = try invocation.reason()
        let site = try invocation.site()
        let environment = try invocation.environment()
        try invocation.requireHost(site)
        let forge = invocation.has("offline") ? nil : Forge(site)
        // The reconcile itself reports one that cannot be read.
        let before = try? site.desiredCommit()
        // A forge that does not answer must not keep a canary from being judged: what is here comes first.
        let waitsForTime = try forge != nil && site.waitsForTime(environment)
        let reconciler = invocation.reconciler(environment, site)
        var result = waitsForTime ? try invocation.finish(reconciler, reconciler.run(), forge: nil) : .done
        let isFetched = try forge.map { try invocation.fetch($0, site) } ?? true
        try invocation.requireKnown(environment, site)
        if !waitsForTime || (try? site.desiredCommit()) != before {
            result = try invocation.finish(reconciler, reconciler.run(), forge: forge)
        } else if let forge {
            try invocation.settle(environment, site, forge)
        }
        let isPushed = try forge.map { try invocation.push(environment, $0) && $0.hasBranches(of: environment) } ?? true
        // How the forge did is known only now.
        if forge != nil { invocation.notify(environment, site) }
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
                by: operatorName,
                reason: self["reason"]
            )
        }
        options.acceptsLoss = has("accept-loss")
        options.ignoresCache = has("no-cache")
        options.observeEverything = self["observe"] == "all" || options.ignoresCache || options.acceptsLoss
        options.asksPrometheus = true
        options.visitor = .run
        return Reconciler(site: site, environment: environment, actor: actor, options: options)
    }

    /// Shows the result of a reconcile, then informs whoever must know: the forge, and the operator's command.
    ///
    /// - Parameter forge: Nil when it is informed later, or there is none.
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
        for note in notes { console.note("\(environment): \(note.onOneLine)") }
    }

    /// Brings rollback branches to the forge that were settled before it was asked.
    fileprivate func settle(_ environment: String, _ site: Site, _ forge: Forge) throws {
        let branches = RollbackBranches(site: site, environment: environment, today: today)
        tell(forge.settle(environment, try branches.survey(site.ledger(environment).tip())), environment)
    }
}

extension Invocation {
    /// Fetches from the forge, saying so; false when it does not answer, and what was fetched before is used.
    fileprivate func fetch(_ forge: Forge, _ site: Site) throws -> Bool {
        do {
            try forge.fetch()
        } catch let error as Git.CommandFailure {
            console.note(
                "fetch from \(forge.remote) \(console.paintNote("failed", .red)): \(error.reason.onOneLine)"
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
                "\(environment): the ledger could not be pushed to \(forge.remote): \(error.reason.onOneLine)"
            )
            return false
        }
    }
}

extension Invocation {
    /// Prints the result of a reconcile.
    ///
    /// - Parameters:
    ///   - showsWarnings: False where they were shown before.
    ///   - appliedBefore: What others did about the same commit meanwhile, said where nothing was left to do.
    func show(
        _ report: Reconciler.Report,
        _ environment: String,
        _ site: Site,
        showsWarnings: Bool = true,
        appliedBefore: [AppliedCommit] = []
    ) throws -> ExitCode {
        let answer = ReconcileReport.make(report, environment, site, now: now)
        if format == .json {
            json(answer.json)
        } else {
            // Once: it is asked for each finding's file.
            let fleet = report.findings.isEmpty ? nil : (try? site.fleet(at: nil, today: today))?.fleet
            var renderer = ReconcileRenderer(answer: answer, console: console) { fleet?.source($0) }
            renderer.appliedBefore = appliedBefore
            console.say(renderer.lines(quiet: isQuiet, showsWarnings: showsWarnings))
        }
        if let failure = report.failure { throw failure }
        switch report.result {
        case .nothingDeclared, .converged: return .done
        case .invalid: return .invalid
        case .refused, .impossible: return .refused
        }
    }
}
