import EnsignCommandLine
import EnsignModel
import EnsignQueries

extension Registry {
    var table: TextTable {
        switch rows {
        case .agents(let agents, let environments):
            TextTable(
                header: ["AGENT", "VERSIONS"] + environments.map { $0.uppercased() } + ["DESCRIPTION"],
                rows: agents.map { $0.cells(environments) }
            )
        case .tools(let tools):
            TextTable(header: ["TOOL", "VERSION", "OWNER", "OPERATIONS"], rows: tools.map(\.cells))
        case .teams(let teams):
            TextTable(header: ["TEAM", "AGENTS", "MEMBERS", "ESCALATION"], rows: teams.map(\.cells))
        }
    }
}

extension Registry.AgentRow {
    fileprivate func cells(_ environments: [String]) -> [String] {
        [agent.description, versions.map(\.description).joined(separator: " ")]
            + environments.map { environment in
                deployments[environment].map {
                    ($0.version?.description ?? "?") + ($0.isHalted ? " (halted)" : "")
                } ?? "-"
            } + [description.onOneLine.shortened(to: 60)]
    }
}

extension Registry.ToolRow {
    fileprivate var cells: [String] {
        [
            name, version.description, owner,
            operations.map { "\($0.name) (\($0.operation.access.rawValue))" }.joined(separator: ", "),
        ]
    }
}

extension Registry.TeamRow {
    fileprivate var cells: [String] {
        [
            name, String(agents.count), members.joined(separator: ", ").onOneLine,
            (escalation ?? "-").onOneLine,
        ]
    }
}
