import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignQueries
import EnsignReconciler
import EnsignSystem

extension Verb {
    static let propose = Verb(
        name: "propose",
        group: .declare,
        summary: "Offer a service's own agent.yaml and prompts to the fleet",
        discussion: """
            Prompts and graphs often live beside a service's code. This takes agent.yaml and the files that it names from \
            DIR, and makes a branch in a clone of the fleet's repository whose commit sets the agent's 'next' to them. \
            Nothing is made when the result would not be valid. What the agent may do is not touched: that is in its \
            deployments.
            """,
        arguments: [Argument(name: "DIR", summary: "The folder with agent.yaml, in git or not", kind: .file)],
        options: [
            Option(name: "agent", summary: "The agent, <team>/<agent>", value: "AGENT", kind: .agent),
            Option(
                name: "to",
                summary: "A clone of the fleet's repository; here if absent",
                value: "FLEET",
                kind: .file,
                use: OptionUse(excludes: ["repo"])
            ),
            Option(name: "dry-run", summary: "Say what would change, and make no branch"),
            Option(
                name: "branch",
                summary: "Name the new branch",
                value: "NAME",
                use: OptionUse(excludes: ["dry-run"])
            ),
        ],
        formats: [.text, .json],
        examples: [
            Example(
                command: "ensign propose ./agent --agent support/refund-triage --to ../fleet",
                meaning: "from the service's repository: a branch in the fleet's clone"
            )
        ]
    ) { invocation in
        guard let text = invocation["agent"], let agent = AgentID(text) else {
            throw UsageError(message: "--agent needs <team>/<agent>", verb: "propose")
        }
        return try ProposeCommand(invocation: invocation, agent: agent, folder: invocation.argument(0) ?? ".").run()
    }
}

/// One call of `propose`.
private struct ProposeCommand {
    let invocation: Invocation
    let agent: AgentID
    let folder: String

    /// The most bytes of all files together, as of a version in the fleet.
    private static let maxBytes = 4 << 20

    func run() throws -> ExitCode {
        let site = try invocation.site(at: invocation["to"])
        let (fleet, base) = try site.fleet(at: nil, today: invocation.today)
        let files = try files()
        let edits = try edits(files, fleet)
        guard !edits.isEmpty else {
            if invocation.format == .json { invocation.json(try answer(nil, changed: [], base: base)) }
            invocation.console.note("\(agent): 'next' says this already")
            return .done
        }
        let proposal = Proposal(
            site: site,
            invocation: invocation,
            edits: edits,
            base: base,
            title: "Propose \(agent)",
            body: try source(files.keys.sorted()).map { "From \($0)." } ?? "",
            done: "proposed"
        )
        let report = try proposal.make {
            try check($0, in: site, against: base, fleet)
        } put: { commit in
            guard !invocation.has("dry-run") else { return nil }
            return try proposal.branch("ensign/propose/\(agent)", at: commit)
        }
        if invocation.format == .json {
            invocation.json(try answer(report, changed: edits.keys.sorted(), base: base))
        }
        guard report.isValid else { return .invalid }
        if invocation.format != .json { try show(report, edits) }
        if !invocation.isQuiet, let next = report.next { invocation.console.note(next) }
        return .done
    }

    /// What differs in the agent's `next`; no plan where there was none, or none that is valid.
    private func check(
        _ commit: ObjectID,
        in site: Site,
        against base: ObjectID,
        _ old: Fleet
    ) throws -> Proposal.Outcome {
        let snapshot = GitSnapshot(site.repository, tree: try site.repository.commit(commit).tree)
        let before = GitSnapshot(site.repository, tree: try site.repository.commit(base).tree)
        let result = try FleetValidation.run(snapshot, agents: [agent], today: invocation.today)
            .refusingSecrets(newSince: before, today: invocation.today)
        var outcome = Proposal.Outcome(findings: result.findings, isValid: result.errors == 0)
        guard outcome.isValid else { return outcome }
        let new = Fleet(snapshot: snapshot, today: invocation.today)
        if let before = try old.agent(agent, .next).flatMap({ try Compiler.compileAlone($0, fleet: old) }),
            let after = try new.agent(agent, .next).flatMap({ try Compiler.compileAlone($0, fleet: new) })
        {
            let source = PlanSource(name: "the proposal", commit: base)
            outcome.plan = try Plan(comparing: agent, before, after, source: source)
        }
        return outcome
    }

    private func show(_ report: ProposalReport, _ edits: [String: [UInt8]?]) throws {
        if let plan = report.plan, plan.hasDifferences {
            let title = "\(agent) next"
            invocation.console.out(
                try PlanRenderer(plan: plan, title: title, paint: invocation.console.paint).text()
            )
        }
        for path in edits.keys.sorted() {
            invocation.console.line("\(edits[path] == .some(nil) ? "-" : "+") \(path)")
        }
        if let sentence = report.sentence { invocation.console.line(sentence) }
    }

    private func answer(_ report: ProposalReport?, changed: [String], base: ObjectID) throws -> JSONValue {
        let own: JSONObject = [
            "agent": .string(agent.description), "base": .string(base.description),
            "files": .array(changed.map { .string($0) }),
        ]
        return .object(try ProposalReport.answer(own, report))
    }

    // MARK: What the folder has

    /// agent.yaml and what it names, by name.
    private func files() throws -> [String: [UInt8]] {
        guard let root = Files.canonical(folder) else { throw Failure(message: "there is no folder '\(folder)'") }
        var files = [RepositoryPath.manifestName: try read(RepositoryPath.manifestName, in: root)]
        let manifest = ManifestLoader.load(
            Agent.self,
            files[RepositoryPath.manifestName] ?? [],
            path: "\(folder)/\(RepositoryPath.manifestName)"
        )
        // With errors it may name anything: they are shown of the file alone.
        for file in manifest.isValid ? manifest.value?.files ?? [] : [] {
            files[file.value] = try read(file.value, in: root)
        }
        guard files.values.reduce(0, { $0 + $1.count }) <= Self.maxBytes else {
            throw Failure(message: "the files of '\(folder)' have more than \(Self.maxBytes >> 20) MiB")
        }
        return files
    }

    /// What makes the agent's `next` say what the folder says, by path; nil removes a file.
    private func edits(_ files: [String: [UInt8]], _ fleet: Fleet) throws -> [String: [UInt8]?] {
        let next = RepositoryPath.version(AgentVersion.next, of: agent)
        var edits: [String: [UInt8]?] = [:]
        for (name, bytes) in files where fleet.source("\(next)/\(name)") != bytes {
            edits["\(next)/\(name)"] = .some(bytes)
        }
        for file in try fleet.agent(agent, .next)?.files ?? [] where files[file.name] == nil && file.kind == .file {
            edits["\(next)/\(file.name)"] = .some(nil)
        }
        return edits
    }

    private func read(_ name: String, in root: String) throws -> [UInt8] {
        // A link may lead out of the folder.
        guard try Files.status("\(root)/\(name)")?.kind == .file,
            let bytes = try Files.read("\(root)/\(name)", limit: 1 << 20)
        else {
            throw Failure(
                message: "there is no file '\(name)' of at most 1 MiB in '\(folder)'",
                hints: name == RepositoryPath.manifestName
                    ? ["'ensign new agent \(agent)' shows one"] : ["agent.yaml names it"]
            )
        }
        return bytes
    }

    /// Where the files are from, for the message; nil where git does not have them.
    private func source(_ files: [String]) throws -> String? {
        guard let root = Files.canonical(folder), let service = try? invocation.site(at: root),
            let workTree = service.repository.workTree,
            let commit = try? service.repository.commit(named: "HEAD")
        else { return nil }
        let paths = files.map { "\(root)/\($0)" }
        // Git itself: what is checked out may differ from what is committed, by its line ends alone.
        let status = try Git.run(
            [
                "--no-optional-locks", "--literal-pathspecs", "--work-tree", workTree, "status", "--porcelain",
                "--untracked-files=all", "--ignored", "--",
            ] + paths,
            in: service
        )
        guard status.status == 0 else { return nil }
        let changes = status.outputText.split(separator: "\n")
        guard changes.count(where: { line in ["??", "!!", "A"].contains { line.hasPrefix($0) } }) < files.count else {
            return nil
        }
        let name = workTree.split(separator: "/").last.map(String.init) ?? "a repository"
        return "\(name.onOneLine) at \(commit.description)" + (changes.isEmpty ? "" : ", with uncommitted changes")
    }
}
