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
                kind: .file
            ),
            Option(name: "dry-run", summary: "Say what would change, and make no branch"),
            Option(name: "branch", summary: "Name the new branch", value: "NAME"),
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
        let edits = try edits(fleet)
        let changed = edits.keys.sorted()
        guard !edits.isEmpty else {
            if invocation.format == .json { invocation.json(try json(base: base, changed: [])) }
            invocation.console.note("\(agent): 'next' says this already")
            return .done
        }
        let title = "Propose \(agent)"
        let body = source().map { "\n\nFrom \($0).\n" } ?? "\n"
        let commit = try UserCommit(site: site).make(edits, on: base, message: title + body)
        let snapshot = GitSnapshot(site.repository, tree: try site.repository.commit(commit).tree)
        let before = GitSnapshot(site.repository, tree: try site.repository.commit(base).tree)
        let result = try FleetValidation.run(snapshot, agents: [agent], today: invocation.today)
            .refusingSecrets(newSince: before, today: invocation.today)
        let source = Fleet(snapshot: snapshot, today: invocation.today).source
        let said = FindingRenderer(paint: invocation.console.paintNote, source: source).render(result.findings)
        if !said.isEmpty { invocation.console.note(String(said.dropLast())) }
        guard result.errors == 0 else {
            invocation.console.note("Nothing was proposed: the result would not be valid.")
            if invocation.format == .json {
                invocation.json(try json(base: base, changed: changed, findings: result.findings))
            }
            return .invalid
        }
        let plan = try plan(from: fleet, base, to: Fleet(snapshot: snapshot, today: invocation.today))
        guard !invocation.has("dry-run") else {
            try show(changed, edits, plan)
            if invocation.format == .json {
                invocation.json(try json(base: base, changed: changed, findings: result.findings, plan: plan))
            }
            return .done
        }
        let name = invocation["branch"] ?? "ensign/propose/\(agent)"
        let tip = try UserCommit(site: site).branch(name, at: commit)
        if invocation.format == .json {
            invocation.json(
                try json(
                    base: base,
                    changed: changed,
                    findings: result.findings,
                    plan: plan,
                    branch: name,
                    commit: tip,
                    title: title
                )
            )
        } else {
            try show(changed, edits, plan)
            invocation.console.line("Branch \(name) has the commit \(tip.short): \(title)")
        }
        if !invocation.isQuiet {
            invocation.console.note("Next: git push origin \(name), and open a pull request.")
        }
        return .done
    }

    /// What differs in the agent's `next`; nil where there was none, or none that is valid.
    private func plan(from old: Fleet, _ base: ObjectID, to new: Fleet) throws -> Plan? {
        guard let before = try old.agent(agent, .next).flatMap({ try Compiler.compileAlone($0, fleet: old) }),
            let after = try new.agent(agent, .next).flatMap({ try Compiler.compileAlone($0, fleet: new) })
        else { return nil }
        return try Plan(comparing: agent, before, after, source: PlanSource(name: "the proposal", commit: base))
    }

    private func show(_ changed: [String], _ edits: [String: [UInt8]?], _ plan: Plan?) throws {
        guard invocation.format != .json else { return }
        if let plan, plan.hasDifferences {
            let title = "\(agent) next"
            invocation.console.out(
                try PlanRenderer(plan: plan, title: title, paint: invocation.console.paint).text()
            )
        }
        for path in changed { invocation.console.line("\(edits[path] == .some(nil) ? "-" : "+") \(path)") }
    }

    // MARK: What the folder has

    /// What makes the agent's `next` say what the folder says, by path; nil removes a file.
    private func edits(_ fleet: Fleet) throws -> [String: [UInt8]?] {
        guard let root = Files.canonical(folder) else { throw Failure(message: "there is no folder '\(folder)'") }
        let next = RepositoryPath.version(AgentVersion.next, of: agent)
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

    /// The commit that the folder is of, for the message; nil outside git.
    private func source() -> String? {
        guard let root = Files.canonical(folder), let service = try? invocation.site(at: root),
            let commit = try? service.repository.commit(named: "HEAD")
        else { return nil }
        let name = (service.repository.workTree ?? root).split(separator: "/").last.map(String.init) ?? "a repository"
        return "\(name.onOneLine) at \(commit.description)"
    }

    // MARK: Answers

    private func json(
        base: ObjectID,
        changed: [String],
        findings: [Finding] = [],
        plan: Plan? = nil,
        branch: String? = nil,
        commit: ObjectID? = nil,
        title: String? = nil
    ) throws -> JSONValue {
        [
            "v": 1, "agent": .string(agent.description), "base": .string(base.description),
            "files": .array(changed.map { .string($0) }), "findings": .array(findings.map(\.json)),
            "plan": try plan.map { try PlanReport($0).json() } ?? .null,
            "branch": branch.map { .string($0) } ?? .null,
            "commit": commit.map { .string($0.description) } ?? .null, "title": title.map { .string($0) } ?? .null,
        ]
    }
}
