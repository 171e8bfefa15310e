import EnsignCommandLine
import EnsignManifest
import EnsignModel
import EnsignPolicy
import EnsignQueries
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
        let names = try ToolNames(declaredIn: fleet)
        let shadows = report.agents.prefix(Self.shadowLimit)
        for shadow in shadows {
            let called = shadow.name ?? shadow.service ?? ""
            guard !LiteralSecrets.isSecret(called) else {
                note("An agent whose name looks like a secret is left out.")
                continue
            }
            guard let agent = try self.agent(shadow, team) else { continue }
            if try fleet.team(agent.team) == nil {
                files[RepositoryPath.team(agent.team)] = ManifestTemplate.team(agent.team, member: member)
            }
            let calls = try ShadowCalls(shadow, of: agent, names, fleet)
            if !calls.new.isEmpty {
                let path = RepositoryPath.tool(calls.tool, "0.1.0")
                files[path] = ManifestTemplate.shadowTool(calls.tool, owner: agent.team, calls.new)
                unknown.append("\(path): its server, and arguments, access and risk of each operation")
            }
            let folder = RepositoryPath.version(AgentVersion.next, of: agent)
            let model = shadow.models.first { !LiteralSecrets.isSecret($0) }
            files["\(folder)/agent.yaml"] = ManifestTemplate.shadow(
                called: called,
                name: shadow.name.flatMap { AgentID($0) == nil ? $0 : nil },
                model: model,
                calls.needs
            )
            files["\(folder)/prompt.md"] = ManifestTemplate.prompt(agent.name)
            if model == nil { unknown.append("\(folder)/agent.yaml: which model it asks") }
            unknown.append("\(folder)/prompt.md: its instructions, and in agent.yaml its limits")
            for name in calls.leftOut { unknown.append("\(folder)/agent.yaml: the tool \(name), which is left out") }
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

    /// How the agent is called in the fleet; nil, which is said, for one that is there.
    private func agent(_ shadow: ShadowReport.Agent, _ team: String?) throws -> AgentID? {
        guard let suggestion = AgentID(shadow.suggestion) else { return nil }
        // Without a team in its name it may be any team's, and what was written for it has a team.
        if suggestion.team == ShadowReport.nobody {
            let name = ShadowReport.folded(shadow.name ?? shadow.service ?? "agent")
            if let present = try fleet.agents().first(where: { $0.name == name ?? suggestion.name }) {
                let called = (shadow.name ?? shadow.service ?? "(no name)").quoted(utf8: 128)
                note("\(called) may be \(present), which is declared: nothing is written for it.")
                return nil
            }
        }
        guard let team, suggestion.team == ShadowReport.nobody else { return suggestion }
        return AgentID(team: team, name: suggestion.name)
    }
}

/// What an agent that was found at work called: operations that the fleet has, and those of a tool to start from.
private struct ShadowCalls {
    /// What the tool to start from is called.
    let tool: String
    /// Its operations, sorted; empty where none is to be written.
    private(set) var new: [String] = []
    /// What the agent is to need, by tool, sorted.
    private(set) var needs: [(tool: String, version: String, operations: [String])] = []
    /// Names that are not written: they look like secrets, or are not names. Printable.
    private(set) var leftOut: [String] = []

    /// The most operations of a tool.
    private static let most = 500

    init(_ shadow: ShadowReport.Agent, of agent: AgentID, _ names: ToolNames, _ fleet: Fleet) throws {
        tool = "\(agent.name.prefix(57))-tools"
        var known: [String: Set<String>] = [:]
        var others: Set<String> = []
        for name in shadow.tools {
            if case .operation(let found) = names.resolve(name) {
                known[found.tool, default: []].insert(found.name)
            } else if LiteralSecrets.isSecret(name) {
                leftOut.append("'***', which looks like a secret")
            } else if let valid = OperationName.isValid(name) ? name : ShadowReport.folded(name) {
                others.insert(valid)
            } else {
                leftOut.append(name.quoted(utf8: 128))
            }
        }
        for (tool, operations) in known.sorted(by: { $0.key < $1.key }) {
            guard let newest = try fleet.toolVersions(tool).last,
                let declared = try fleet.tool(tool, newest)?.value?.operations
            else { continue }
            let there = operations.filter { declared[$0] != nil }.sorted()
            if !there.isEmpty { needs.append((tool, newest.description, there)) }
        }
        // What is there is not written again.
        guard try fleet.toolVersions(tool).isEmpty, !others.isEmpty else { return }
        new = Array(others.sorted().prefix(Self.most))
        needs.append((tool, "0.1.0", new))
    }
}

extension ManifestTemplate {
    /// - Parameters:
    ///   - called: As telemetry names it or its service, any text.
    ///   - name: What telemetry goes on to call it; nil where that is the agent's own name, or nothing.
    ///   - model: `<provider>/<model>` as telemetry names it; nil if it is not known.
    static func shadow(
        called: String,
        name: String?,
        model: String?,
        _ needs: [(tool: String, version: String, operations: [String])]
    ) -> String {
        let parts = (model ?? "").split(separator: "/", maxSplits: 1).map(String.init)
        let isKnown = parts.count == 2
        let provider = isKnown ? parts[0] : "anthropic"
        let hint = isKnown ? "" : "      # a guess: telemetry names none"
        var text = """
            apiVersion: ensign.dev/v1
            kind: Agent
            spec:
              description: \(quoted("Found at work in telemetry as '\(called.onOneLine(utf8: 128))'."))

            """
        // What a manifest cannot say as it is would name another one.
        if let name, TextForm.alias.problem(of: name) == nil, name == name.onOneLine(utf8: TextForm.alias.maxBytes) {
            text += "  name: \(quoted(name))      # what its framework calls it\n"
        }
        text += """
              model: {provider: \(quoted(provider)), name: \(quoted(isKnown ? parts[1] : "claude-sonnet-4-5"))}\(hint)
              instructions: prompt.md

            """
        if !needs.isEmpty { text += "  needs:\n    tools:\n" }
        for need in needs {
            let operations = need.operations.map(OperationName.inYAML).joined(separator: ", ")
            text += "      - {tool: \(need.tool), version: \(need.version), operations: [\(operations)]}\n"
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
              # server: telemetry does not say how it is reached
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
