import EnsignModel

/// Checks everything that one version of an agent names: tools, operations, delegates, its team.
struct AgentChecker {
    let fleet: Fleet
    /// Whether an environment deploys the version.
    var isDeployed: () throws -> Bool = { true }

    func check(_ loaded: LoadedAgent) throws {
        guard let agent = loaded.value else { return }
        var seen: [String: Position] = [:]
        for need in agent.tools {
            if let first = seen[need.tool.value] {
                try report(
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
                try report(loaded, "delegation-cycle", "the agent delegates to itself", delegate.position)
            } else if try !fleet.declares(delegate.value) {
                try missing(
                    loaded,
                    "unknown-agent",
                    "there is no agent '\(delegate.value)'",
                    delegate.position,
                    hint: Suggestion.hint(
                        for: delegate.value.description,
                        among: try fleet.agentNames(),
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
            try missing(
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
            try missing(
                loaded,
                "unknown-version",
                "tool '\(name)' has no version \(need.version.value)",
                need.version.position,
                hint: Suggestion.versions(versions.map(\.description))
            )
            return
        }
        guard let operations = tool.value?.operations else { return }
        for operation in need.operations.names where operations[operation.value] == nil {
            try missing(
                loaded,
                "unknown-operation",
                "tool '\(name)' \(need.version.value) has no operation '\(operation.value)'",
                operation.position,
                hint: Suggestion.hint(for: operation.value, among: operations.keys.sorted(), plural: "its operations")
            )
        }
        for problem in EmptySelection.problems(need.operations, operations) {
            try missing(
                loaded,
                EmptySelection.code,
                "\(problem.message) of tool '\(name)' \(need.version.value)",
                problem.position,
                hint: problem.hint
            )
        }
        let unknown = try fleet.unknownExceptions(of: need.operations, name, beside: operations)
        for operation in unknown?.operations ?? [] {
            try missing(
                loaded,
                "unknown-operation",
                Fleet.inNoVersion(operation, name),
                operation.position,
                hint: Suggestion.hint(
                    for: operation.value,
                    among: unknown?.known.sorted() ?? [],
                    plural: "its operations"
                )
            )
        }
    }

    /// Reports what is not there. An error where the version is deployed or is the one that people edit; of a release
    /// that none deploys a warning: it must not stand in the way of renaming and retiring what it once needed.
    private func missing(
        _ loaded: LoadedAgent,
        _ code: String,
        _ message: String,
        _ position: Position,
        hint: @autoclosure () throws -> String?
    ) throws {
        guard loaded.version != .next, try !isDeployed() else {
            return try report(loaded, code, message, position, hint: hint())
        }
        try report(
            loaded,
            code,
            "\(message); no environment deploys \(loaded.version)",
            position,
            hint: "delete this release, or keep it as history: it cannot be deployed as it is",
            severity: .warning
        )
    }

    /// Finding the likely name among many takes longer than anything else here: only for what is kept.
    private func report(
        _ loaded: LoadedAgent,
        _ code: String,
        _ message: String,
        _ position: Position,
        hint: @autoclosure () throws -> String? = nil,
        notes: [Finding.Note] = [],
        severity: Finding.Severity = .error
    ) throws {
        try fleet.report(
            severity,
            in: loaded.path,
            at: position,
            Finding(severity, code: code, message, path: loaded.path, at: position, hint: hint(), notes: notes)
        )
    }
}
