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
        return try Promotion(site: site, invocation: invocation).run()
    }
}

/// One call of `promote`.
private struct Promotion {
    let site: Site
    let invocation: Invocation

    private struct Move {
        var agent: AgentID
        var from: AgentVersion
        var to: AgentVersion
    }

    func run() throws -> ExitCode {
        guard let target = invocation["to"], Name.isValid(target) else {
            throw UsageError(message: "--to needs the name of an environment", verb: "promote")
        }
        let (fleet, base) = try site.fleet(at: nil, today: invocation.today)
        guard let environment = try fleet.environment(target)?.value else {
            throw ReconcileError.unknownEnvironment(target, known: try fleet.environmentNames())
        }
        let (moves, leftOut) = try self.moves(fleet, target, environment)
        for agent in leftOut { invocation.console.note("left out: \(agent.agent): \(agent.reason)") }
        guard !moves.isEmpty else { return try nothing(target, leftOut, base) }
        var files: [String: [UInt8]?] = [:]
        for move in moves {
            let path = RepositoryPath.deployment(move.agent, in: target)
            guard let bytes = fleet.source(path), let edited = VersionEdit.replacing(bytes, with: move.to) else {
                throw Failure(message: "\(path): the version is not written as one word", hints: ["edit it by hand"])
            }
            files[path] = edited
        }
        let title = Self.title(moves, target)
        let body = moves.map { "\($0.agent) \($0.from) -> \($0.to)" }.joined(separator: "\n")
        let commit = try UserCommit(site: site).make(files, on: base, message: "\(title)\n\n\(body)\n")
        let (plan, findings) = try plan(target, commit, base)
        guard let plan else {
            if invocation.format == .json {
                invocation.json(.object(json(base: base, findings: findings, leftOut: leftOut)))
            }
            return .invalid
        }
        let name = invocation["branch"] ?? Self.branch(moves, target, commit)
        let tip = try UserCommit(site: site).branch(name, at: commit)
        return try show(plan, findings, title, name, tip, base, leftOut)
    }

    /// An agent that `--all` does not promote, and why.
    private struct LeftOut: Error {
        var agent: AgentID
        var reason: String
        var hint: String
    }

    private func nothing(_ target: String, _ leftOut: [LeftOut], _ base: ObjectID) throws -> ExitCode {
        if invocation.format == .json { invocation.json(.object(json(base: base, findings: [], leftOut: leftOut))) }
        invocation.console.note(
            leftOut.isEmpty
                ? "\(target) has nothing to promote: its files name the same versions already"
                : "\(target) has nothing to promote: \(counted(leftOut.count, "agent")) left out, for every other the file names the same version already"
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

    private func moves(
        _ fleet: Fleet,
        _ target: String,
        _ environment: Environment
    ) throws -> (moves: [Move], leftOut: [LeftOut]) {
        let asked: [AgentID]
        if invocation.has("all") {
            guard invocation.argument(0) == nil else {
                throw UsageError(message: "AGENT and --all exclude each other", verb: "promote")
            }
            let source = try environment.promotesFrom.map { try fleet.deployedAgents(in: $0.value) } ?? []
            asked = Set(try fleet.deployedAgents(in: target) + source).sorted()
        } else {
            guard invocation.argument(0) != nil else {
                throw UsageError(message: "'promote' needs AGENT or --all", verb: "promote")
            }
            let agent = try invocation.agent(0)
            try invocation.requireKnown(agent, nil, site)
            asked = [agent]
        }
        var moves: [Move] = []
        var leftOut: [LeftOut] = []
        for agent in asked {
            do {
                guard let present = try fleet.deployment(agent, in: target)?.value?.version?.value else {
                    let hint =
                        "ensign new deployment \(agent) --env \(target) starts the file: what it may do there is yours to say"
                    if invocation.has("all") {
                        throw LeftOut(agent: agent, reason: "'\(target)' does not deploy it", hint: hint)
                    }
                    throw Failure(message: "'\(target)' does not deploy '\(agent)'", hints: [hint])
                }
                let wanted = try wanted(agent, fleet, target, environment)
                guard wanted != present else { continue }
                if let objection = try objection(to: wanted, of: agent, present, environment) { throw objection }
                moves.append(Move(agent: agent, from: present, to: wanted))
            } catch let agent as LeftOut {
                guard invocation.has("all") else { throw Refusal(message: agent.reason, hints: [agent.hint]) }
                leftOut.append(agent)
            }
        }
        return (moves, leftOut)
    }

    /// Why a version should not be promoted; nil when nothing speaks against it, or with `--force`.
    private func objection(
        to wanted: AgentVersion,
        of agent: AgentID,
        _ present: AgentVersion,
        _ environment: Environment
    ) throws -> LeftOut? {
        guard !invocation.has("force") else { return nil }
        if case .release(let old) = present, case .release(let new) = wanted, new < old {
            return LeftOut(
                agent: agent,
                reason: "\(wanted) goes back from \(present)",
                hint: "to go back: 'ensign rollback'; if it is meant: --force"
            )
        }
        guard let source = environment.promotesFrom?.value,
            let objection = try PromotionSource(site, source).objection(to: wanted, of: agent)
        else { return nil }
        // A version that is named need not be the one that its source asks for, but what failed or is under way there
        // counts.
        guard invocation["version"] == nil || objection.isTried else { return nil }
        return LeftOut(
            agent: agent,
            reason: objection.reason,
            hint: "to promote it all the same: --force"
                + (objection.stable.map { "; what runs there: --version \($0)" } ?? "")
        )
    }

    /// The version to promote.
    ///
    /// - Throws: ``LeftOut`` when the agent cannot be promoted and others still can.
    private func wanted(
        _ agent: AgentID,
        _ fleet: Fleet,
        _ target: String,
        _ environment: Environment
    ) throws -> AgentVersion {
        let version: AgentVersion
        if let text = invocation["version"] {
            guard let parsed = AgentVersion(text) else {
                throw UsageError(message: "'\(text)' is not SemVer: write MAJOR.MINOR.PATCH", verb: "promote")
            }
            version = parsed
        } else {
            guard let source = environment.promotesFrom?.value else {
                throw Refusal(
                    message: "'\(target)' promotes from no environment",
                    hints: ["set promotesFrom in environments/\(target)/environment.yaml, or name it: --version X.Y.Z"]
                )
            }
            guard let found = try fleet.deployment(agent, in: source)?.value?.version?.value else {
                throw LeftOut(
                    agent: agent,
                    reason: "'\(source)' does not deploy '\(agent)'",
                    hint: "name a version: --version X.Y.Z"
                )
            }
            version = found
        }
        if version == .next, !environment.mutableVersions {
            let newest = try fleet.agentVersions(agent).compactMap { if case .release = $0 { $0 } else { nil } }.last
            throw LeftOut(
                agent: agent,
                reason: "'\(agent)' runs 'next' there, and '\(target)' deploys released versions only",
                hint: "release it: ensign release \(agent) X.Y.Z"
                    + (newest.map { "; or promote the newest release: --version \($0)" } ?? "")
            )
        }
        guard try fleet.agentVersions(agent).contains(version) else {
            throw Failure(message: "'\(agent)' has no version \(version)")
        }
        return version
    }

    /// The plan and the findings; no plan when the result would not be valid.
    private func plan(_ target: String, _ commit: ObjectID, _ base: ObjectID) throws -> (Plan?, [Finding]) {
        try Proposal(site: site, invocation: invocation).plan(target, commit, "promoted")
    }

    private func show(
        _ plan: Plan,
        _ findings: [Finding],
        _ title: String,
        _ branch: String,
        _ commit: ObjectID,
        _ base: ObjectID,
        _ leftOut: [LeftOut]
    ) throws -> ExitCode {
        switch invocation.format {
        case .json:
            var object = json(base: base, findings: findings, leftOut: leftOut)
            object["branch"] = .string(branch)
            object["commit"] = .string(commit.description)
            object["title"] = .string(title)
            object["plan"] = try PlanReport(plan).json()
            invocation.json(.object(object))
        case .markdown:
            invocation.console.out("# \(title)\n\n" + (try PlanRenderer(plan: plan).markdown()))
            let warnings = findings.filter { $0.severity == .warning }
            if !warnings.isEmpty {
                invocation.console.out(
                    "\n#### Warnings\n\n"
                        + warnings.map { "- \($0.message.inMarkdown) (`\($0.path):\($0.position.line)`)\n" }.joined()
                )
            }
        case .text, .sarif:
            invocation.console.out(try PlanRenderer(plan: plan, paint: invocation.console.paint).text())
            invocation.console.line("\nBranch \(branch) has the commit \(commit.short): \(title)")
        }
        if !invocation.isQuiet {
            invocation.console.note("Next: git push origin \(branch), and open a pull request.")
        }
        return .done
    }

    /// What is in every answer; the rest is null when nothing was promoted.
    private func json(base: ObjectID, findings: [Finding], leftOut: [LeftOut]) -> JSONObject {
        [
            "v": 1, "branch": .null, "commit": .null, "base": .string(base.description), "title": .null, "plan": .null,
            "findings": .array(findings.map(\.json)),
            "leftOut": .array(
                leftOut.map { ["agent": .string($0.agent.description), "reason": .string($0.reason)] }
            ),
        ]
    }

    private static func title(_ moves: [Move], _ target: String) -> String {
        moves.count == 1
            ? "Promote \(moves[0].agent) \(moves[0].from) -> \(moves[0].to) to \(target)"
            : "Promote \(moves.count) agents to \(target)"
    }

    private static func branch(_ moves: [Move], _ target: String, _ commit: ObjectID) -> String {
        moves.count == 1
            ? "ensign/promote/\(target)/\(moves[0].agent)-\(moves[0].to)"
            : "ensign/promote/\(target)/all-\(commit.short)"
    }
}
