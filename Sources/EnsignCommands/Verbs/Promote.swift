import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignQueries
import EnsignReconciler

extension Verb {
    static let promote = Verb(
        name: "promote",
        group: .declare,
        summary: "Take an agent's version to the next environment",
        discussion: """
            Sets the version in the environment's deployment file to the one that the environment it promotes from \
            runs, on a new branch, with a commit and the text of a pull request. Nothing else in the file changes, and \
            neither your work tree nor your branch does.
            """,
        arguments: [
            Argument(
                name: "AGENT",
                summary: "The agent, <team>/<agent>; left out with --all",
                isRequired: false,
                kind: .agent
            )
        ],
        options: [
            Option(
                name: "to",
                summary: "Name the environment to promote to",
                value: "ENV",
                kind: .environment,
                isRequired: true
            ),
            Option(name: "all", summary: "Promote every agent whose version differs"),
            Option(name: "version", summary: "Promote this version instead", value: "X.Y.Z", kind: .version),
            Option(
                name: "force",
                summary: "Also what its source has not proven, and what goes back to an older version"
            ),
            Option(name: "branch", summary: "Name the new branch", value: "NAME"),
        ],
        formats: [.text, .json, .markdown],
        examples: [
            Example(command: "ensign promote support/refund-triage --to prod", meaning: "what staging runs, to prod"),
            Example(
                command: "ensign promote --all --to prod --output markdown > pull-request.md",
                meaning: "everything that differs, with the text for the pull request"
            ),
        ]
    ) { invocation in
        let site = try invocation.site()
        return try PromoteCommand(site: site, invocation: invocation).run()
    }
}

/// One call of `promote`.
private struct PromoteCommand {
    let site: Site
    let invocation: Invocation

    func run() throws -> ExitCode {
        guard let target = invocation["to"], Name.isValid(target) else {
            throw UsageError(message: "--to needs the name of an environment", verb: "promote")
        }
        let (fleet, base) = try site.fleet(at: nil, today: invocation.today)
        guard let environment = try fleet.environment(target)?.value else {
            throw ReconcileError.unknownEnvironment(target, known: try fleet.environmentNames())
        }
        let request = try request(target)
        do {
            let found = try PromotionProposal.find(site, fleet, environment, request)
            for agent in found.leftOut { invocation.console.note("left out: \(agent.agent): \(agent.reason)") }
            guard !found.moves.isEmpty else { return try nothing(found, base) }
            return try propose(found, try found.edits(fleet), base)
        } catch let obstacle as PromotionProposal.Obstacle {
            switch obstacle.kind {
            case .refusal: throw Refusal(message: obstacle.message, hints: obstacle.hints)
            case .unknownName: throw Failure(message: obstacle.message, hints: obstacle.hints, code: .usage)
            case .failure: throw Failure(message: obstacle.message, hints: obstacle.hints)
            }
        }
    }

    private func request(_ target: String) throws -> PromotionProposal.Request {
        guard !invocation.has("all") || invocation.argument(0) == nil else {
            throw UsageError(message: "AGENT and --all exclude each other", verb: "promote")
        }
        guard invocation.has("all") || invocation.argument(0) != nil else {
            throw UsageError(message: "'promote' needs AGENT or --all", verb: "promote")
        }
        let agent = invocation.has("all") ? nil : try invocation.agent(0)
        if let agent { try invocation.requireKnown(agent, nil, site) }
        let version = try invocation["version"].map { text in
            guard let version = AgentVersion(text) else {
                throw UsageError(message: "'\(text)' is not SemVer: write MAJOR.MINOR.PATCH", verb: "promote")
            }
            return version
        }
        return PromotionProposal.Request(
            environment: target,
            agent: agent,
            version: version,
            isForced: invocation.has("force")
        )
    }

    private func nothing(_ found: PromotionProposal, _ base: ObjectID) throws -> ExitCode {
        let target = found.environment
        if invocation.format == .json { invocation.json(try found.answer(nil, base)) }
        invocation.console.note(
            found.leftOut.isEmpty
                ? "\(target) has nothing to promote: its files name the same versions already"
                : "\(target) has nothing to promote: \(counted(found.leftOut.count, "agent")) left out, for every other the file names the same version already"
        )
        try tellOfLive(target)
        return .done
    }

    /// What the files name is not always what runs.
    private func tellOfLive(_ target: String) throws {
        guard try site.ledger(target).checkedTip() != nil else { return }
        let live = try LiveAgents.make(site, target, at: .newest, version: App.version)
        for row in live.rows where row.wanted != nil && row.wanted != row.stable?.version {
            guard try invocation.has("all") || row.agent == invocation.agent(0) else { continue }
            let runs = row.stable.map { "runs \($0.version)" } ?? "runs none"
            let why = row.reason.map { ": \($0.onOneLine)" } ?? ""
            invocation.console.note("\(target): \(row.agent) \(runs), not \(row.wanted?.description ?? "")\(why)")
        }
    }

    private func propose(
        _ found: PromotionProposal,
        _ edits: [String: [UInt8]?],
        _ base: ObjectID
    ) throws -> ExitCode {
        let proposal = Proposal(
            site: site,
            invocation: invocation,
            edits: edits,
            base: base,
            title: found.title,
            body: found.body,
            done: "promoted"
        )
        let report = try proposal.make(in: found.environment) { try proposal.branch(found.branch($0), at: $0) }
        if invocation.format == .json { invocation.json(try found.answer(report, base)) }
        guard report.isValid else { return .invalid }
        try show(report)
        if !invocation.isQuiet, let next = report.next { invocation.console.note(next) }
        return .done
    }

    private func show(_ report: ProposalReport) throws {
        guard let plan = report.plan else { return }
        switch invocation.format {
        case .json: break
        case .markdown:
            invocation.console.out("# \(report.title)\n\n" + (try PlanRenderer(plan: plan).markdown()))
            let warnings = report.findings.filter { $0.severity == .warning }
            if !warnings.isEmpty {
                invocation.console.out(
                    "\n#### Warnings\n\n"
                        + warnings.map { "- \($0.message.inMarkdown) (`\($0.path):\($0.position.line)`)\n" }.joined()
                )
            }
        case .text, .sarif:
            invocation.console.out(try PlanRenderer(plan: plan, paint: invocation.console.paint).text())
            if let sentence = report.sentence { invocation.console.line("\n" + sentence) }
        }
    }
}

extension PromotionProposal {
    fileprivate func answer(_ report: ProposalReport?, _ base: ObjectID) throws -> JSONValue {
        var own = json
        own["base"] = .string(base.description)
        return .object(try ProposalReport.answer(own, report))
    }
}
