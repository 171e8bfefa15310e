import EnsignModel

/// Checks everything that one version of an agent names: tools, operations, delegates, its team.
struct AgentChecker {
    let fleet: Fleet

    func check(_ loaded: LoadedAgent) throws {
        guard let agent = loaded.value else { return }
        var seen: [String: Position] = [:]
        for need in agent.tools {
            if let first = seen[need.tool.value] {
                report(
                    loaded,
                    "duplicate-need",
                    "tool '\(need.tool.value)' is in needs twice",
                    need.tool.position,
                    hint: "list all its operations in one place",
                    notes: [Finding.Note(path: loaded.path, position: first, message: "first here")]
                )
            }
            seen[need.tool.value] = need.tool.position
            try check(need, loaded)
        }
        for delegate in agent.delegates {
            if delegate.value == loaded.id {
                report(loaded, "delegation-cycle", "the agent delegates to itself", delegate.position)
            } else if try !fleet.declares(delegate.value) {
                report(
                    loaded,
                    "unknown-agent",
                    "there is no agent '\(delegate.value)'",
                    delegate.position,
                    hint: Suggestion.hint(
                        for: delegate.value.description,
                        among: try fleet.agents().map(\.description),
                        plural: "agents"
                    )
                )
            }
        }
    }

    private func check(_ need: ToolNeed, _ loaded: LoadedAgent) throws {
        let name = need.tool.value
        let versions = try fleet.toolVersions(name)
        guard !versions.isEmpty else {
            report(
                loaded,
                "unknown-tool",
                "there is no tool '\(name)'",
                need.tool.position,
                hint: Suggestion.hint(
                    for: name,
                    among: try fleet.names(in: "tools", files: false),
                    plural: "tools"
                )
            )
            return
        }
        guard let tool = try fleet.tool(name, need.version.value) else {
            report(
                loaded,
                "unknown-version",
                "tool '\(name)' has no version \(need.version.value)",
                need.version.position,
                hint: Suggestion.versions(versions.map(\.description))
            )
            return
        }
        guard let operations = tool.value?.operations else { return }
        for operation in need.operations where operations[operation.value] == nil {
            report(
                loaded,
                "unknown-operation",
                "tool '\(name)' \(need.version.value) has no operation '\(operation.value)'",
                operation.position,
                hint: Suggestion.hint(for: operation.value, among: operations.keys.sorted(), plural: "its operations")
            )
        }
    }

    private func report(
        _ loaded: LoadedAgent,
        _ code: String,
        _ message: String,
        _ position: Position,
        hint: String? = nil,
        notes: [Finding.Note] = []
    ) {
        fleet.report(Finding(code: code, message, path: loaded.path, at: position, hint: hint, notes: notes))
    }
}
