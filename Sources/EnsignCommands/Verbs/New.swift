import EnsignGit
import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignReconciler
import EnsignSystem

extension Verb {
    static let new = Verb(
        name: "new",
        group: .declare,
        summary: "Write manifests to start from",
        discussion: """
            Writes files that validate as they are and never overwrites one. 'new agent' also declares the team if it \
            is new, and deploys the agent where 'next' may run. 'new version' starts 'next' from the newest release. \
            'new tool' continues a tool that is there with its next minor version. 'new deployment' lets an agent run \
            in an environment, with no grants yet.
            """,
        arguments: [
            Argument(
                name: "KIND",
                summary: "agent, version, tool, role, env or deployment",
                kind: .choice(["agent", "version", "tool", "role", "env", "deployment"])
            ),
            Argument(name: "NAME", summary: "<team>/<agent> for agent, version and deployment, else a name"),
        ],
        options: [
            Option(name: "team", summary: "Name the team that owns a new tool", value: "TEAM"),
            Option(name: "env", summary: "Name the environment of a deployment", value: "ENV", kind: .environment),
        ],
        examples: [
            Example(command: "ensign new env dev", meaning: "environments/dev/environment.yaml"),
            Example(
                command: "ensign new agent support/refund-triage",
                meaning: "an agent with a prompt, deployed in dev"
            ),
            Example(command: "ensign new tool crm --team sales", meaning: "fleet/tools/crm/0.1.0.yaml"),
            Example(
                command: "ensign new deployment support/refund-triage --env prod",
                meaning: "its newest release, with nothing granted yet"
            ),
        ]
    ) { invocation in
        let scaffold = try Scaffold(invocation)
        let name = invocation.argument(1) ?? ""
        switch invocation.argument(0) {
        case "agent": return try scaffold.agent(name)
        case "version": return try scaffold.version(name)
        case "tool": return try scaffold.tool(name)
        case "role": return try scaffold.role(name)
        case "deployment": return try scaffold.deployment(name)
        default: return try scaffold.environment(name)
        }
    }
}

/// Writes new manifests into a work tree, or into any directory that `--repo` names.
private struct Scaffold {
    let invocation: Invocation
    /// Ends in `/`.
    let root: String
    let fleet: Fleet

    init(_ invocation: Invocation) throws {
        self.invocation = invocation
        // Manifests can be started before there is a repository.
        let workTree = (try? invocation.site())?.repository.workTree
        let place = workTree ?? Files.canonical(invocation.directory).map { $0 + "/" }
        guard let place else { throw Failure(message: "there is no directory '\(invocation.directory)'") }
        root = place
        fleet = Fleet(snapshot: DirectorySnapshot(path: place), today: invocation.today)
    }

    func environment(_ name: String) throws -> ExitCode {
        try requireName(name)
        let source = try PromotionChain(fleet).end
        let text =
            source == nil
            ? """
            apiVersion: ensign.dev/v1
            kind: Environment
            spec:
              mutableVersions: true     # deployments here may name version: next

            """
            : """
            apiVersion: ensign.dev/v1
            kind: Environment
            spec:
              promotesFrom: \(source?.name ?? "")
              maxPruneShare: 0.3        # more removals at once need --allow-prune

            """
        let hasAgents = try !fleet.agents().isEmpty
        let result = try write(
            [RepositoryPath.environment(name): text],
            next: hasAgents
                ? "ensign new deployment TEAM/AGENT --env \(name), for each agent that runs there"
                : "ensign new agent TEAM/NAME"
        )
        if let source {
            note("It promotes from '\(source.name)', \(source.why). Edit promotesFrom if another is meant.")
        }
        return result
    }

    func agent(_ name: String) throws -> ExitCode {
        guard let agent = AgentID(name) else {
            throw UsageError(message: "'\(name)' is not an agent: write <team>/<agent>", verb: "new")
        }
        try refuseSlip(in: agent.team)
        let folder = RepositoryPath.version(AgentVersion.next, of: agent)
        var files = [
            "\(folder)/agent.yaml": """
            apiVersion: ensign.dev/v1
            kind: Agent
            spec:
              description: What \(agent.name) is for, in a sentence.
              model: {provider: anthropic, name: claude-sonnet-4-5}
              instructions: prompt.md
              # needs:
              #   tools:
              #     - {tool: NAME, version: 1.0.0, operations: [lookup]}
              limits: {steps: 8, tokens: 20000, costUSD: 0.50, seconds: 90}

            """,
            "\(folder)/prompt.md": """
            # \(agent.name)

            Say who the agent is, what it decides, by which rules, and when it hands over to a person.

            """,
        ]
        if try fleet.team(agent.team) == nil {
            files[RepositoryPath.team(agent.team)] = """
                apiVersion: ensign.dev/v1
                kind: Team
                spec:
                  members: [you@example.com]
                  escalation: oncall-\(agent.team)@example.com

                """
        }
        let environments = try fleet.environmentNames()
        for environment in environments
        where try fleet.environment(environment)?.value?.mutableVersions == true {
            files[RepositoryPath.deployment(agent, in: environment)] = Self.deployment(.next, needs: [])
        }
        let isDeployed = files.keys.contains { $0.hasPrefix("\(RepositoryPath.environments)/") }
        var next = "edit \(folder)/prompt.md, then ensign release \(agent) 0.1.0"
        if environments.isEmpty { next += ", and ensign new env dev, which it needs to run in" }
        if !isDeployed {
            next += ", then ensign new deployment \(agent) --env \(environments.first ?? "dev")"
        }
        return try write(files, next: next)
    }

    func deployment(_ name: String) throws -> ExitCode {
        guard let agent = AgentID(name) else {
            throw UsageError(message: "'\(name)' is not an agent: write <team>/<agent>", verb: "new")
        }
        guard let target = invocation["env"] else {
            throw UsageError(message: "'new deployment' needs --env ENV", verb: "new")
        }
        let names = try fleet.environmentNames()
        guard names.contains(target), let environment = try fleet.environment(target)?.value else {
            throw ReconcileError.unknownEnvironment(target, known: names)
        }
        let versions = try fleet.agentVersions(agent)
        guard !versions.isEmpty else {
            throw Failure(
                message: "there is no agent '\(agent)'",
                hints: [
                    Suggestion.hint(
                        for: agent.description,
                        among: try fleet.agents().map(\.description),
                        plural: "agents"
                    ) ?? "", "ensign new agent \(agent)",
                ]
            )
        }
        let version = environment.mutableVersions ? versions.last : versions.last { $0 != .next }
        guard let version else {
            throw Refusal(
                message: "'\(target)' deploys released versions only, and '\(agent)' has none",
                hints: ["ensign release \(agent) 0.1.0"]
            )
        }
        let manifest = try fleet.agent(agent, version)?.value
        let path = RepositoryPath.deployment(agent, in: target)
        let result = try write(
            [path: Self.deployment(version, needs: manifest?.tools ?? [])],
            next: "grant in \(path) what it may call there, then ensign plan --env \(target) --worktree"
        )
        for delegate in manifest?.delegates ?? [] where try !fleet.deploys(delegate.value, in: target) {
            note("It hands work to \(delegate.value): ensign new deployment \(delegate.value) --env \(target)")
        }
        return result
    }

    private static func deployment(_ version: AgentVersion, needs: [ToolNeed]) -> String {
        var text = """
            apiVersion: ensign.dev/v1
            kind: Deployment
            spec:
              version: \(version)
              autonomy: draft           # only what reads; raise it when you trust it

            """
        guard !needs.isEmpty else { return text }
        text += "  # Nothing is granted that does not stand here. What it needs:\n  # grants:\n"
        for need in needs {
            let operations = need.operations.map(\.value).joined(separator: ", ")
            text += "  #   - {tool: \(need.tool.value), operations: [\(operations)]}\n"
        }
        return text
    }

    func role(_ name: String) throws -> ExitCode {
        try requireName(name)
        for tool in try fleet.names(in: "tools", files: false) {
            guard let version = try fleet.toolVersions(tool).last, let value = try fleet.tool(tool, version)?.value
            else {
                continue
            }
            let operations = value.operations.sorted { $0.key < $1.key }
            guard let operation = operations.first(where: { $0.value.access == .read }) ?? operations.first else {
                continue
            }
            let path = RepositoryPath.role(name)
            let text = """
                apiVersion: ensign.dev/v1
                kind: Role
                spec:
                  grants:
                    - {tool: \(tool), operations: [\(operation.key)]}

                """
            return try write([path: text], next: "edit the grants, then name it under roles: in a deployment")
        }
        throw Failure(message: "there is no tool to grant yet", hints: ["ensign new tool NAME"])
    }

    func version(_ name: String) throws -> ExitCode {
        guard let agent = AgentID(name) else {
            throw UsageError(message: "'\(name)' is not an agent: write <team>/<agent>", verb: "new")
        }
        let versions = try fleet.agentVersions(agent)
        guard !versions.contains(.next) else {
            throw Refusal(
                message: "'\(agent)' has a 'next' already: fleet/agents/\(agent)/next",
                hints: ["edit it, then ensign release \(agent) X.Y.Z"]
            )
        }
        guard let newest = versions.last, let loaded = try fleet.agent(agent, newest) else {
            throw Failure(message: "there is no agent '\(agent)'", hints: ["ensign new agent \(agent)"])
        }
        var files: [String: [UInt8]] = [:]
        for file in loaded.files where file.kind == .file {
            guard let location = file.location, let bytes = try Files.read(location, limit: 1 << 22) else { continue }
            files["\(RepositoryPath.version(AgentVersion.next, of: agent))/\(file.name)"] = bytes
        }
        return try write(bytes: files, next: "edit fleet/agents/\(agent)/next, then ensign release \(agent) X.Y.Z")
    }

    func tool(_ name: String) throws -> ExitCode {
        try requireName(name)
        if let newest = try fleet.toolVersions(name).last { return try nextMinor(of: name, after: newest) }
        let teams = try fleet.names(in: "teams", files: true)
        guard let owner = invocation["team"] ?? teams.first else {
            throw UsageError(message: "there is no team yet: name one with --team", verb: "new")
        }
        try requireName(owner)
        try refuseSlip(in: owner)
        var files = [
            RepositoryPath.tool(name, "0.1.0"): """
            apiVersion: ensign.dev/v1
            kind: Tool
            spec:
              owner: \(owner)
              description: What \(name) is.
              server: {mcp: {command: [\(name)-mcp]}}
              operations:
                lookup:
                  access: read
                  risk: low
                  idempotent: true
                  timeout: 5s
                  input:
                    type: object
                    required: [id]
                    additionalProperties: false
                    properties:
                      id: {type: string}
              credentials: {ref: "vault:\(name)"}

            """
        ]
        if !teams.contains(owner) {
            files[RepositoryPath.team(owner)] = """
                apiVersion: ensign.dev/v1
                kind: Team
                spec: {members: [you@example.com]}

                """
        }
        if invocation["team"] == nil { note("Its owner is '\(owner)': --team names another team.") }
        return try write(files, next: Self.useOfTool)
    }

    private static let useOfTool = "edit it, name it under needs: in an agent's next, and grant it in a deployment"

    /// A tool that is there goes on from its newest version: what its versions promise must not fall behind.
    private func nextMinor(of tool: String, after newest: SemanticVersion) throws -> ExitCode {
        guard invocation["team"] == nil else {
            throw UsageError(
                message: "'\(tool)' has an owner: the one in \(newest)",
                hint: "--team is for a new tool; edit 'owner' in the new version",
                verb: "new"
            )
        }
        let numbers = newest.description.prefix { $0 != "-" && $0 != "+" }.split(separator: ".")
        guard numbers.count == 3, let minor = UInt64(numbers[1]),
            let bytes = fleet.source(RepositoryPath.tool(tool, newest))
        else { throw Failure(message: "\(RepositoryPath.tool(tool, newest)) cannot be read") }
        let path = RepositoryPath.tool(tool, "\(numbers[0]).\(minor + 1).0")
        note("It starts as a copy of \(newest).")
        return try write(bytes: [path: bytes], next: Self.useOfTool)
    }

    /// A team that is nearly one that exists is a slip of the pen, and not quietly made.
    private func refuseSlip(in team: String) throws {
        let teams = try fleet.names(in: "teams", files: true)
        guard !teams.contains(team), let nearest = Suggestion.nearest(to: team, in: teams) else { return }
        throw UsageError(
            message: "there is no team '\(team)'",
            hint: "did you mean '\(nearest)'? If it is another team, write fleet/teams/\(team).yaml first",
            verb: "new"
        )
    }

    private func note(_ text: String) {
        if !invocation.isQuiet { invocation.console.note(text) }
    }

    private func requireName(_ name: String) throws {
        guard Name.isValid(name) else {
            throw UsageError(message: "'\(name)' is not a name: \(Name.rule)", verb: "new")
        }
    }

    private func write(_ files: [String: String], next: String) throws -> ExitCode {
        try write(bytes: files.mapValues { Array($0.utf8) }, next: next)
    }

    private func write(bytes files: [String: [UInt8]], next: String) throws -> ExitCode {
        let paths = files.keys.sorted()
        for path in paths where try Files.status(root + path) != nil {
            throw Refusal(message: "\(path) exists already: nothing was written")
        }
        for path in paths {
            guard let folder = Files.parent(of: root + path), let bytes = files[path] else { continue }
            try Files.makeDirectories(folder)
            guard try Files.create(root + path, with: bytes, mode: 0o644) else {
                throw Refusal(message: "\(path) exists already")
            }
            invocation.console.line(path)
        }
        if !invocation.isQuiet { invocation.console.note("Next: \(next)") }
        return .done
    }
}

/// Who promotes from whom.
struct PromotionChain {
    /// The environment that a new one continues, and why that one.
    let end: (name: String, why: String)?
    /// Every environment, the first of a chain before those that promote from it.
    let order: [String]

    init(_ fleet: Fleet) throws {
        let names = try fleet.environmentNames()
        var sources: [String: String] = [:]
        for name in names { sources[name] = try fleet.environment(name)?.value?.promotesFrom?.value }
        func chain(_ name: String) -> [String] {
            var chain = [name]
            while let source = sources[chain[0]], !chain.contains(source), names.contains(source) {
                chain.insert(source, at: 0)
            }
            return chain
        }
        order = names.sorted { (chain($0).count, $0) < (chain($1).count, $1) }
        let ends = names.filter { name in !sources.values.contains(name) }.map(chain)
        guard let longest = ends.max(by: { $0.count < $1.count }), let last = longest.last else {
            end = names.first.map { ($0, "the first by name") }
            return
        }
        let why =
            longest.count == 1
            ? names.count == 1 ? "the only other environment" : "the first of those that nothing promotes from"
            : "the end of \(longest.joined(separator: " -> "))"
        end = (last, why)
    }
}
