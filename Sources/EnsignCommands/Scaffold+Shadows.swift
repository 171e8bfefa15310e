import EnsignCommandLine
import EnsignManifest
import EnsignModel
import EnsignReconciler

/// Manifests to start from for agents that were found at work.
extension Scaffold {
    /// The most agents for which manifests are written at once: more are no longer read by anybody.
    private static let shadowLimit = 50

    func shadows(_ report: ShadowReport) throws -> ExitCode {
        let team = invocation["team"]
        if let team {
            try requireName(team)
            try refuseSlip(in: team)
        }
        var files: [String: String] = [:]
        var unknown: [String] = []
        let shadows = report.agents.prefix(Self.shadowLimit)
        for shadow in shadows {
            guard let agent = self.agent(shadow, team) else { continue }
            if try fleet.team(agent.team) == nil {
                files[RepositoryPath.team(agent.team)] = ManifestTemplate.team(agent.team, member: member)
            }
            let tool = "\(agent.name)-tools"
            let operations = try toolFile(shadow, tool, owner: agent.team, &files)
            let folder = RepositoryPath.version(AgentVersion.next, of: agent)
            files["\(folder)/agent.yaml"] = ManifestTemplate.shadow(
                called: shadow.name ?? shadow.service ?? "",
                model: shadow.models.first,
                tool: operations.isEmpty ? nil : tool,
                operations
            )
            files["\(folder)/prompt.md"] = ManifestTemplate.prompt(agent.name)
            if shadow.models.isEmpty { unknown.append("\(folder)/agent.yaml: which model it asks") }
            unknown.append("\(folder)/prompt.md: its instructions, and in agent.yaml its limits")
            if !operations.isEmpty {
                unknown.append("\(RepositoryPath.tool(tool, "0.1.0")): arguments, access and risk of each operation")
            }
        }
        guard !files.isEmpty else {
            note("there is no agent to write manifests for")
            return .done
        }
        let result = try write(files, next: "ensign validate, then say in each file what could not be known:")
        for line in unknown { note("  \(line)") }
        if team == nil, files[RepositoryPath.team(ShadowReport.nobody)] != nil {
            note("Their team is '\(ShadowReport.nobody)': --team names the one that owns them.")
        }
        let rest = report.agents.count - shadows.count
        if rest > 0 {
            note("\(counted(rest, "agent was", "agents were")) left out: run it again when these are declared.")
        }
        return result
    }

    private func agent(_ shadow: ShadowReport.Agent, _ team: String?) -> AgentID? {
        guard let suggestion = AgentID(shadow.suggestion) else { return nil }
        guard let team, suggestion.team == ShadowReport.nobody else { return suggestion }
        let agent = AgentID(team: team, name: suggestion.name)
        return (try? fleet.declares(agent)) == true ? nil : agent
    }

    /// A tool with the operations that it called; those that the fleet has already are not written again.
    private func toolFile(
        _ shadow: ShadowReport.Agent,
        _ tool: String,
        owner: String,
        _ files: inout [String: String]
    ) throws -> [String] {
        guard try fleet.toolVersions(tool).isEmpty else { return [] }
        let names = Set(
            shadow.tools.compactMap { OperationName.isValid($0) ? $0 : ShadowReport.folded($0) }
        ).sorted()
        guard !names.isEmpty else { return [] }
        files[RepositoryPath.tool(tool, "0.1.0")] = ManifestTemplate.shadowTool(tool, owner: owner, names)
        return names
    }
}

extension ManifestTemplate {
    /// - Parameters:
    ///   - name: As telemetry names it, any text.
    ///   - model: `<provider>/<model>` as telemetry names it; nil if it is not known.
    static func shadow(called name: String, model: String?, tool: String?, _ operations: [String]) -> String {
        let parts = (model ?? "").split(separator: "/", maxSplits: 1).map(String.init)
        let isKnown = parts.count == 2
        let provider = isKnown ? parts[0] : "anthropic"
        let hint = isKnown ? "" : "      # a guess: telemetry names none"
        var text = """
            apiVersion: ensign.dev/v1
            kind: Agent
            spec:
              description: \(quoted("Found at work in telemetry as '\(name.onOneLine(utf8: 128))'."))
              model: {provider: \(quoted(provider)), name: \(quoted(isKnown ? parts[1] : "claude-sonnet-4-5"))}\(hint)
              instructions: prompt.md

            """
        if let tool {
            text += "  needs:\n    tools:\n"
            text +=
                "      - {tool: \(tool), version: 0.1.0, operations: [\(operations.map(OperationName.inYAML).joined(separator: ", "))]}\n"
        }
        return text + "  limits: {steps: 8, tokens: 20000, costUSD: 0.50, seconds: 90}      # guesses\n"
    }

    /// A tool whose operations were called and are not known any better.
    static func shadowTool(_ name: String, owner: String, _ operations: [String]) -> String {
        var text = """
            apiVersion: ensign.dev/v1
            kind: Tool
            spec:
              owner: \(owner)
              description: What \(name) is.
              server: {mcp: {command: [\(name)]}}      # a guess: telemetry does not say where it is
              operations:

            """
        for operation in operations {
            text += """
                    \(OperationName.inYAML(operation)):
                      access: write          # a guess, on the safe side
                      risk: high             # a guess, on the safe side
                      input: {type: object}  # a guess: any arguments

                """
        }
        return text
    }

    /// Any text in double quotes, as YAML and JSON write it.
    private static func quoted(_ text: String) -> String {
        String(decoding: JSONValue.string(text.onOneLine(utf8: 256)).canonicalBytes(), as: UTF8.self)
    }
}
