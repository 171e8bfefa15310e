import EnsignGit
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
            is new, and deploys the agent where 'next' may run. 'new version' starts 'next' from the newest release.
            """,
        arguments: [
            Argument(
                name: "KIND",
                summary: "agent, version, tool or env",
                kind: .choice(["agent", "version", "tool", "env"])
            ),
            Argument(name: "NAME", summary: "<team>/<agent> for agent and version, else a name"),
        ],
        options: [Option(name: "team", summary: "Name the team that owns a new tool", value: "TEAM")],
        examples: [
            Example(command: "ensign new env dev", meaning: "environments/dev/environment.yaml"),
            Example(
                command: "ensign new agent support/refund-triage",
                meaning: "an agent with a prompt, deployed in dev"
            ),
            Example(command: "ensign new tool crm --team sales", meaning: "fleet/tools/crm/0.1.0.yaml"),
        ]
    ) { invocation in
        let scaffold = try Scaffold(invocation)
        let name = invocation.argument(1) ?? ""
        switch invocation.argument(0) {
        case "agent": return try scaffold.agent(name)
        case "version": return try scaffold.version(name)
        case "tool": return try scaffold.tool(name)
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
        let others = try fleet.environmentNames()
        let isFirst = others.isEmpty
        let text =
            isFirst
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
              promotesFrom: \(others[0])
              maxPruneShare: 0.3        # more removals at once need --allow-prune

            """
        return try write(["environments/\(name)/environment.yaml": text], next: "ensign new agent TEAM/NAME")
    }

    func agent(_ name: String) throws -> ExitCode {
        guard let agent = AgentID(name) else {
            throw UsageError(message: "'\(name)' is not an agent: write <team>/<agent>", verb: "new")
        }
        let folder = "fleet/agents/\(agent)/next"
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
            files["fleet/teams/\(agent.team).yaml"] = """
                apiVersion: ensign.dev/v1
                kind: Team
                spec:
                  members: [you@example.com]
                  escalation: oncall-\(agent.team)@example.com

                """
        }
        for environment in try fleet.environmentNames()
        where try fleet.environment(environment)?.value?.mutableVersions == true {
            files["environments/\(environment)/agents/\(agent).yaml"] = """
                apiVersion: ensign.dev/v1
                kind: Deployment
                spec:
                  version: next
                  autonomy: draft           # only what reads; raise it when you trust it

                """
        }
        return try write(files, next: "edit \(folder)/prompt.md, then ensign release \(agent) 0.1.0")
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
            files["fleet/agents/\(agent)/next/\(file.name)"] = bytes
        }
        return try write(bytes: files, next: "edit fleet/agents/\(agent)/next, then ensign release \(agent) X.Y.Z")
    }

    func tool(_ name: String) throws -> ExitCode {
        try requireName(name)
        let teams = try fleet.names(in: "teams", files: true)
        guard let owner = invocation["team"] ?? teams.first else {
            throw UsageError(message: "there is no team yet: name one with --team", verb: "new")
        }
        try requireName(owner)
        var files = [
            "fleet/tools/\(name)/0.1.0.yaml": """
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
            files["fleet/teams/\(owner).yaml"] = """
                apiVersion: ensign.dev/v1
                kind: Team
                spec: {members: [you@example.com]}

                """
        }
        return try write(files, next: "name it in an agent's needs, and grant it in a deployment")
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
