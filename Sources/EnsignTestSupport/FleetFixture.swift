package import EnsignManifest
package import EnsignModel

/// A small valid fleet, for tests that change one thing: a team, a tool, two agents, and the environments `dev` and
/// `prod`.
package struct FleetFixture {
    package var entries: [String: MemorySnapshot.Entry] = [:]
    /// The texts with markers, by path.
    private var marks: [String: MarkedText] = [:]
    package var today = "2026-06-01"

    /// Makes the small fleet.
    package init() {
        for (path, text) in Self.small { entries[path] = .text(text) }
    }

    /// Makes a fleet of these entries alone.
    package init(only entries: [String: MemorySnapshot.Entry]) {
        self.entries = entries
    }

    /// The text at a path; markers in it name positions. Nil removes the file.
    package subscript(path: String) -> String? {
        get {
            guard case .text(let text)? = entries[path] else { return nil }
            return text
        }
        set {
            let marked = newValue.map { MarkedText($0) }
            marks[path] = marked
            entries[path] = marked.map { .text($0.text) }
        }
    }

    /// Replaces a part of a text, which must occur exactly once; markers in the new part name positions.
    package mutating func replace(_ old: String, with new: String, in path: String) {
        guard let text = self[path] else { preconditionFailure("there is no \(path)") }
        let parts = text.parts(around: old)
        precondition(parts.count == 2, "'\(old)' stands \(parts.count - 1) times in \(path)")
        self[path] = parts[0] + new + parts[1]
    }

    package var snapshot: MemorySnapshot { MemorySnapshot(entries) }

    package func fleet(_ snapshot: (any Snapshot)? = nil) -> Fleet {
        guard let today = CalendarDate(today) else { preconditionFailure("\(today) is not a date") }
        return Fleet(snapshot: snapshot ?? self.snapshot, today: today)
    }

    // MARK: Checking

    /// Everything that checking the whole fleet finds, as `ensign validate` does.
    package func findings(_ snapshot: (any Snapshot)? = nil) throws -> [Finding] {
        let fleet = fleet(snapshot)
        var checker = FleetChecker(fleet: fleet)
        try checker.checkShared()
        for team in try FleetChecker.teams(fleet) { try checker.checkTeam(team) }
        let cycles = checker.delegations.sorted { $0.key < $1.key }.flatMap { $0.value.cycles(in: $0.key) }
        var seen: Set<Finding> = []
        return (checker.findings + cycles).filter { seen.insert($0).inserted }.sorted()
    }

    /// The findings as text: one line each, with hint and notes below it. Markers replace positions.
    ///
    ///     fleet/teams/support.yaml:①: error: unknown field 'membrs' [unknown-field]
    ///       hint: did you mean 'members'?
    ///
    /// - Parameters:
    ///   - path: Leaves out findings about other files.
    ///   - snapshot: Used instead of the fixture's own.
    /// - Returns: Nothing when there is nothing to find. An error that checking threw, as text.
    package func check(only path: String? = nil, in snapshot: (any Snapshot)? = nil) -> String {
        do {
            return render(try findings(snapshot).filter { path == nil || $0.path == path })
        } catch {
            return "threw \(error)"
        }
    }

    package func render(_ findings: [Finding]) -> String {
        func place(_ path: String, _ position: Position) -> String {
            "\(path):\(marks[path]?.name(position) ?? "\(position.line):\(position.column)")"
        }
        return findings.flatMap { finding in
            ["\(place(finding.path, finding.position)): \(finding.severity): \(finding.message) [\(finding.code)]"]
                + (finding.hint.map { ["  hint: \($0)"] } ?? [])
                + finding.notes.map { "  \(place($0.path, $0.position)): note: \($0.message)" }
        }.joined(separator: "\n")
    }

    // MARK: Compiling

    /// One compiled deployment; nil when findings say why there is none.
    package func compile(_ agent: AgentID = .triage, in environment: String = "prod") throws -> CompiledBundle? {
        let compiler = EnvironmentCompiler(fleet: fleet(), environment: environment)
        return try compiler.compile(agent)?.bundle
    }

    // MARK: The small fleet

    package static let agentPath = "fleet/agents/support/triage/1.0.0/agent.yaml"
    package static let promptPath = "fleet/agents/support/triage/1.0.0/prompt.md"
    package static let toolPath = "fleet/tools/crm/1.0.0.yaml"
    package static let deploymentPath = "environments/prod/agents/support/triage.yaml"
    package static let environmentPath = "environments/prod/environment.yaml"
    package static let rolePath = "fleet/roles/reader.yaml"
    package static let teamPath = "fleet/teams/support.yaml"
    package static let pricesPath = "fleet/prices.yaml"
    package static let bindingPath = "environments/prod/tools/crm.yaml"

    private static let small: [String: String] = [
        teamPath: """
        apiVersion: ensign.dev/v1
        kind: Team
        spec: {members: [ada@example.com], escalation: oncall@example.com}

        """,
        toolPath: """
        apiVersion: ensign.dev/v1
        kind: Tool
        spec:
          owner: support
          server: {mcp: {command: [crm-mcp, --stdio]}}
          credentials: {ref: "vault:crm"}
          operations:
            find:
              access: read
              risk: low
              input: {type: object, properties: {name: {type: string}}}
            update:
              access: write
              risk: medium
              idempotent: true
              timeout: 5s
              input:
                type: object
                required: [customer]
                additionalProperties: false
                properties:
                  customer: {type: string}
                  credit: {type: number, minimum: 0, maximum: 500}
              output: {type: object}
            erase: {access: execute, risk: high}

        """,
        rolePath: """
        apiVersion: ensign.dev/v1
        kind: Role
        spec: {grants: [{tool: crm, operations: [find]}]}

        """,
        agentPath: """
        apiVersion: ensign.dev/v1
        kind: Agent
        metadata: {labels: {domain: tickets}}
        spec:
          description: Sorts tickets.
          model: {provider: anthropic, name: claude-sonnet-4-5, parameters: {temperature: 0.2}}
          instructions: prompt.md
          contract:
            input: {type: object, required: [ticket]}
          needs:
            tools:
              - {tool: crm, version: 1.0.0, operations: [find, update, erase]}
            agents: [support/desk]
          limits: {steps: 8, tokens: 20000, costUSD: 0.5, seconds: 90}
          runtime: {kind: langgraph, graph: "tickets:graph"}

        """,
        promptPath: "Sort the ticket.\n",
        "fleet/agents/support/desk/1.0.0/agent.yaml": """
        apiVersion: ensign.dev/v1
        kind: Agent
        spec:
          description: Hands work to people.
          model: {provider: anthropic, name: claude-haiku-4-5}
          instructions: prompt.md

        """,
        "fleet/agents/support/desk/1.0.0/prompt.md": "Call somebody.\n",
        pricesPath: """
        apiVersion: ensign.dev/v1
        kind: Prices
        spec: {models: {anthropic/claude-sonnet-4-5: {input: 3.00, output: 15.00, cacheRead: 0.30}}}

        """,
        "environments/dev/environment.yaml": """
        apiVersion: ensign.dev/v1
        kind: Environment
        spec: {mutableVersions: true}

        """,
        environmentPath: """
        apiVersion: ensign.dev/v1
        kind: Environment
        spec:
          trustDomain: agents.example.com
          promotesFrom: dev
          keepFor: 7d

        """,
        bindingPath: """
        apiVersion: ensign.dev/v1
        kind: Binding
        spec: {server: {mcp: {url: "https://crm.example.com/mcp"}}, credentials: {ref: "vault:crm-prod"}}

        """,
        deploymentPath: """
        apiVersion: ensign.dev/v1
        kind: Deployment
        spec:
          version: 1.0.0
          roles: [reader]
          grants:
            - tool: crm
              operations: [update]
              approval: manager
              arguments:
                properties:
                  credit: {maximum: 100}
              expires: 2027-06-30
            - {tool: crm, operations: [erase], approval: dual}
          limits: {costUSDPerDay: 40}

        """,
        "environments/prod/agents/support/desk.yaml": """
        apiVersion: ensign.dev/v1
        kind: Deployment
        spec: {version: 1.0.0}

        """,
    ]
}

extension AgentID {
    /// The agent of the small fleet that has tools.
    package static let triage = AgentID(team: "support", name: "triage")
    /// The agent that `triage` hands work to.
    package static let desk = AgentID(team: "support", name: "desk")
}

extension String {
    /// The parts between the occurrences of `separator`.
    fileprivate func parts(around separator: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return parts + [String(rest)]
    }
}
