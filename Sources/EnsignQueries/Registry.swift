package import EnsignManifest
package import EnsignModel

/// What a commit declares of one kind: agents, tools or teams.
package struct Registry: Sendable {
    package var commit: ObjectID
    package var rows: Rows

    package enum Kind: String, Sendable, CaseIterable {
        case agents, tools, teams
    }

    package enum Rows: Sendable {
        /// With the environments that there are, sorted.
        case agents([AgentRow], environments: [String])
        case tools([ToolRow])
        case teams([TeamRow])
    }

    package struct AgentRow: Sendable {
        package var agent: AgentID
        /// Oldest first.
        package var versions: [AgentVersion]
        /// Of the newest version; empty when it cannot be read.
        package var description: String
        /// By environment; nothing where the agent is not deployed.
        package var deployments: [String: Deployed]
        /// Of the newest version; nil when it cannot be read.
        package var model: Model?
        package var labels: [String: String] = [:]
        /// The tools that the newest version needs, sorted.
        package var tools: [String] = []
    }

    /// What an environment runs of an agent.
    package struct Deployed: Sendable {
        /// Nil where the deployment does not say.
        package var version: AgentVersion?
        package var isHalted: Bool
    }

    package struct ToolRow: Sendable {
        package var name: String
        package var version: SemanticVersion
        package var owner: String
        package var description: String?
        /// Sorted by name.
        package var operations: [(name: String, operation: Operation)]
    }

    package struct TeamRow: Sendable {
        package var name: String
        package var members: [String]
        package var escalation: String?
        package var agents: [AgentID]
    }

    /// Reads what a fleet declares.
    package static func read(_ kind: Kind, _ fleet: Fleet, at commit: ObjectID) throws -> Registry {
        let rows: Rows =
            switch kind {
            case .agents: .agents(try agents(fleet), environments: try PromotionChain(fleet).order)
            case .tools: .tools(try tools(fleet))
            case .teams: .teams(try teams(fleet))
            }
        return Registry(commit: commit, rows: rows)
    }

    private static func agents(_ fleet: Fleet) throws -> [AgentRow] {
        let environments = try fleet.environmentNames()
        return try fleet.agents().map { agent in
            let versions = try fleet.agentVersions(agent)
            var deployments: [String: Deployed] = [:]
            for environment in environments {
                guard let deployment = try fleet.deployment(agent, in: environment)?.value else { continue }
                deployments[environment] = Deployed(
                    version: deployment.version?.value,
                    isHalted: deployment.halted
                )
            }
            let newest = try versions.last.flatMap { try fleet.agent(agent, $0)?.value }
            return AgentRow(
                agent: agent,
                versions: versions,
                description: newest?.description ?? "",
                deployments: deployments,
                model: newest?.model,
                labels: newest?.labels ?? [:],
                tools: (newest?.tools.map(\.tool.value) ?? []).sorted()
            )
        }
    }

    private static func tools(_ fleet: Fleet) throws -> [ToolRow] {
        var rows: [ToolRow] = []
        for name in try fleet.names(in: "tools", files: false) {
            for version in try fleet.toolVersions(name) {
                guard let tool = try fleet.tool(name, version)?.value else { continue }
                rows.append(
                    ToolRow(
                        name: name,
                        version: version,
                        owner: tool.owner.value,
                        description: tool.description,
                        operations: tool.operations.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
                    )
                )
            }
        }
        return rows
    }

    private static func teams(_ fleet: Fleet) throws -> [TeamRow] {
        let agents = try fleet.agents()
        return try fleet.names(in: "teams", files: true).compactMap { name in
            guard let team = try fleet.team(name)?.value else { return nil }
            return TeamRow(
                name: name,
                members: team.members.map(\.value),
                escalation: team.escalation,
                agents: agents.filter { $0.team == name }
            )
        }
    }
}

extension Registry {
    /// The agents that fulfil the filter, by their newest version; tools and teams as they are.
    package func filtered(_ filter: AgentFilter) -> Registry {
        guard case .agents(let agents, let environments) = rows, !filter.isEmpty else { return self }
        let found = agents.filter { row in
            guard filter.matches(team: row.agent.team) else { return false }
            return filter.matches(labels: row.labels, model: row.model, tools: row.tools)
        }
        return Registry(commit: commit, rows: .agents(found, environments: environments))
    }

    package var json: JSONValue {
        let rows: (kind: Kind, json: [JSONValue]) =
            switch self.rows {
            case .agents(let agents, let environments): (.agents, agents.map { $0.json(environments) })
            case .tools(let tools): (.tools, tools.map(\.json))
            case .teams(let teams): (.teams, teams.map(\.json))
            }
        return ["v": 1, "commit": .string(commit.description), rows.kind.rawValue: .array(rows.json)]
    }
}

extension Registry.AgentRow {
    fileprivate func json(_ environments: [String]) -> JSONValue {
        var object = JSONObject()
        for environment in environments {
            object[environment] = deployments[environment]?.version.map { .string($0.description) } ?? .null
        }
        return [
            "agent": .string(agent.description), "team": .string(agent.team), "description": .string(description),
            "versions": .array(versions.map { .string($0.description) }), "environments": .object(object),
            "model": model.map { .string($0.key) } ?? .null,
            "labels": .object(JSONObject(labels.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })),
            "tools": .array(tools.map { .string($0) }),
        ]
    }
}

extension Registry.ToolRow {
    fileprivate var json: JSONValue {
        [
            "tool": .string(name), "version": .string(version.description), "owner": .string(owner),
            "description": .string(description ?? ""),
            "operations": .object(JSONObject(operations.map { ($0.name, $0.operation.json) })),
        ]
    }
}

extension Registry.TeamRow {
    fileprivate var json: JSONValue {
        [
            "team": .string(name), "members": .array(members.map { .string($0) }),
            "escalation": escalation.map { .string($0) } ?? .null,
            "agents": .array(agents.map { .string($0.description) }),
        ]
    }
}
