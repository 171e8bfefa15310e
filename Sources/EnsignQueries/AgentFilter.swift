package import EnsignManifest
import EnsignModel

/// Which agents are asked for; every condition that is set must hold.
package struct AgentFilter: Sendable, Hashable {
    package var team: String?
    /// Labels with the values that they must have: of two for one label no agent has both.
    package var labels: [String: Set<String>] = [:]
    /// `<provider>/<name>` or the name alone.
    package var model: String?
    package var tool: String?

    package init() {}

    package var isEmpty: Bool { self == AgentFilter() }

    func matches(team: String) -> Bool { self.team == nil || self.team == team }

    func matches(labels: [String: String], model: Model?, tools: [String]) -> Bool {
        self.labels.allSatisfy { name, values in values.allSatisfy { $0 == labels[name] } }
            && (self.model.map { wanted in model.map { $0.isNamed(wanted) } ?? false } ?? true)
            && (tool.map(tools.contains) ?? true)
    }

    func matches(_ row: LiveAgents.Row) -> Bool {
        guard matches(team: row.agent.team) else { return false }
        guard !labels.isEmpty || model != nil || tool != nil else { return true }
        return row.bundles.contains {
            matches(labels: $0.labels, model: $0.model, tools: $0.tools.map(\.tool))
        }
    }
}

extension AgentFilter {
    /// The names that a filter may have: others are typos.
    package struct Known: Sendable, Hashable {
        package var teams: Set<String>
        package var tools: Set<String>

        init(teams: Set<String>, tools: Set<String>) { (self.teams, self.tools) = (teams, tools) }

        /// Those that a commit declares.
        package init(_ fleet: Fleet) throws {
            teams = Set(try fleet.names(in: "teams", files: true))
            tools = Set(try fleet.names(in: "tools", files: false))
        }

        package func union(_ other: Known) -> Known {
            Known(teams: teams.union(other.teams), tools: tools.union(other.tools))
        }
    }
}

extension Registry {
    /// The teams and the tools of its agents.
    package var known: AgentFilter.Known {
        guard case .agents(let agents, _) = rows else { return AgentFilter.Known(teams: [], tools: []) }
        return AgentFilter.Known(teams: Set(agents.map(\.agent.team)), tools: Set(agents.flatMap(\.tools)))
    }
}

extension LiveAgents {
    /// The teams and the tools of those that are live.
    package var known: AgentFilter.Known {
        AgentFilter.Known(
            teams: Set(rows.map(\.agent.team)),
            tools: Set(rows.flatMap(\.bundles).flatMap { $0.tools.map(\.tool) })
        )
    }
}

extension Model {
    /// Whether it, or one of its fallbacks, is called so: `<provider>/<name>` or the name alone.
    fileprivate func isNamed(_ text: String) -> Bool {
        ([self] + fallbacks).contains { $0.key == text || $0.name == text }
    }
}
