import EnsignHost
import EnsignJSON
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignQueries
import EnsignReconciler

extension Verb {
    static let check = Verb(
        name: "check",
        group: .ask,
        summary: "Say whether an agent may make a call, and which line says so",
        discussion: """
            Answers from the manifests of the branch's tip: allowed, needs approval, or refused. Exit status 4 means \
            refused.
            """,
        arguments: [
            Argument(name: "AGENT", summary: "The agent, <team>/<agent>", kind: .agent),
            Argument(name: "TOOL.OPERATION", summary: "The call", kind: .tool),
        ],
        options: [
            .environment,
            Option(name: "arguments", summary: "Give the call's arguments as JSON", value: "JSON"),
            Option(name: "rev", summary: "Read this revision", value: "REV", kind: .revision),
        ],
        formats: [.text, .json],
        examples: [
            Example(
                command:
                    "ensign check support/refund-triage payments.refund --env prod --arguments '{\"payment\": \"pay_9f3k2m8q1x\", \"amount\": 140, \"reason\": \"damaged\", \"ticket\": \"T-20417\"}'",
                meaning: "may it pay back 140?"
            )
        ]
    ) { invocation in
        let site = try invocation.site()
        let agent = try invocation.agent(0)
        let environment = try invocation.environment()
        let (tool, operation) = try invocation.call(1, needsOperation: true)
        let arguments = try invocation["arguments"].map { text in
            do {
                return try JSONParser.parse(Array(text.utf8))
            } catch {
                throw UsageError(message: "--arguments is not JSON: \(error)", verb: "check")
            }
        }
        let (fleet, _) = try site.fleet(at: invocation["rev"], today: invocation.today)
        let check = PermissionCheck(fleet: fleet, environment: environment, today: invocation.today)
        guard let answer = try check.answer(agent, tool: tool, operation: operation ?? "", arguments: arguments) else {
            return try invocation.unresolved(agent, environment, fleet)
        }
        // A Binding that is wrong leaves an answer, and not one to rely on.
        if fleet.hasErrors { return try invocation.unresolved(agent, environment, fleet) }
        if invocation.format == .json {
            invocation.json([
                "v": 1, "verdict": .string(answer.verdict.rawValue), "approval": .string(answer.approval.rawValue),
                "reason": .string(answer.reason), "path": .string(answer.path),
                "line": .integer(Int64(answer.position.line)), "column": .integer(Int64(answer.position.column)),
            ])
        } else {
            let console = invocation.console
            let word =
                switch answer.verdict {
                case .allowed: console.paint("allowed", .green)
                case .needsApproval: console.paint("needs \(answer.approval.phrase)", .yellow)
                case .refused: console.paint("refused", .red)
                }
            console.line("\(word): \(answer.reason.escapedControls)")
            console.line("  \(answer.path):\(answer.position.line):\(answer.position.column)")
            if let line = invocation.line(answer.position, of: fleet.source(answer.path)) {
                console.line("    \(line)")
            }
        }
        return answer.verdict == .refused ? .refused : .done
    }

    static let whoCan = Verb(
        name: "who-can",
        group: .ask,
        summary: "List the agents that may call a tool",
        discussion:
            "Through which role or grant, with which limits and approvals, from the manifests of the branch's tip.",
        arguments: [Argument(name: "TOOL[.OPERATION]", summary: "The tool, or one of its operations", kind: .tool)],
        options: [
            .environment,
            Option(name: "rev", summary: "Read this revision", value: "REV", kind: .revision),
        ],
        formats: [.text, .json],
        examples: [Example(command: "ensign who-can payments.refund --env prod", meaning: "who can move money?")]
    ) { invocation in
        let site = try invocation.site()
        let environment = try invocation.environment()
        let (tool, operation) = try invocation.call(0, needsOperation: false)
        let (fleet, _) = try site.fleet(at: invocation["rev"], today: invocation.today)
        guard try fleet.environmentNames().contains(environment) else {
            throw ReconcileError.unknownEnvironment(environment, known: try fleet.environmentNames())
        }
        guard try !fleet.toolVersions(tool).isEmpty else {
            throw Failure(
                message: "there is no tool '\(tool)'",
                hints: [
                    Suggestion.hint(for: tool, among: try fleet.names(in: "tools", files: false), plural: "tools") ?? ""
                ]
            )
        }
        if let operation { try invocation.requireOperation(operation, of: tool, fleet) }
        let check = PermissionCheck(fleet: fleet, environment: environment, today: invocation.today)
        let holders = try check.holders(tool: tool, operation: operation)
        let text = FindingRenderer(paint: invocation.console.paintNote, source: fleet.source).render(
            fleet.findings.filter { $0.severity == .error }
        )
        if !text.isEmpty { invocation.console.note("\(text)Agents may be missing here: their manifests are invalid.") }
        let result = text.isEmpty ? ExitCode.done : .invalid
        if invocation.format == .json {
            invocation.json(["v": 1, "environment": .string(environment), "holders": .array(holders.map(\.json))])
            return result
        }
        var table = TextTable(header: ["AGENT", "VERSION", "OPERATION", "THROUGH", "APPROVAL", "LIMITS", "WHERE"])
        for holder in holders {
            var limits = holder.arguments.map { $0.text.shortened(to: 60) } ?? "-"
            if let expires = holder.expires { limits += holder.isExpired ? " expired \(expires)" : " until \(expires)" }
            table.rows.append([
                holder.agent.description, holder.version.description, "\(holder.tool).\(holder.operation)",
                holder.origin,
                holder.approval.rawValue, limits.escapedControls, "\(holder.path):\(holder.position.line)",
            ])
        }
        invocation.console.out(table.render(invocation.console))
        if holders.isEmpty, !invocation.isQuiet { invocation.console.note("no agent in '\(environment)' may call it") }
        return result
    }
}

extension Invocation {
    /// `TOOL` or `TOOL.OPERATION`.
    fileprivate func call(_ index: Int, needsOperation: Bool) throws -> (tool: String, operation: String?) {
        let text = argument(index) ?? ""
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.allSatisfy({ Name.isValid($0) }), parts.count == 2 || !needsOperation else {
            throw UsageError(
                message: "'\(text)' is not \(needsOperation ? "TOOL.OPERATION" : "TOOL or TOOL.OPERATION")",
                hint: "such as payments.refund",
                verb: verb.name
            )
        }
        return (parts[0], parts.count == 2 ? parts[1] : nil)
    }

    /// An operation that no version of the tool has is a slip of the pen. A version that cannot be read may have it.
    fileprivate func requireOperation(_ name: String, of tool: String, _ fleet: Fleet) throws {
        let versions = try fleet.toolVersions(tool).map { try fleet.tool(tool, $0)?.value }
        let operations = Set(versions.flatMap { $0?.operations.keys.map { $0 } ?? [] })
        guard !operations.contains(name), !versions.contains(where: { $0 == nil }) else { return }
        throw Failure(
            message: "no version of tool '\(tool)' has an operation '\(name)'",
            hints: [Suggestion.hint(for: name, among: operations.sorted(), plural: "operations") ?? ""]
        )
    }

    /// Why an agent's permissions cannot be told.
    fileprivate func unresolved(_ agent: AgentID, _ environment: String, _ fleet: Fleet) throws -> ExitCode {
        let names = try fleet.environmentNames()
        guard names.contains(environment) else { throw ReconcileError.unknownEnvironment(environment, known: names) }
        let text = FindingRenderer(paint: console.paintNote, source: fleet.source).render(fleet.findings)
        if !text.isEmpty { console.note(String(text.dropLast())) }
        if fleet.hasErrors { return .invalid }
        throw Refusal(message: "'\(environment)' does not deploy '\(agent)': it may do nothing there")
    }

    fileprivate func line(_ position: Position, of bytes: [UInt8]?) -> String? {
        guard let bytes else { return nil }
        let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
        guard Int(position.line) <= lines.count else { return nil }
        let text = String(decoding: lines[Int(position.line) - 1], as: UTF8.self)
        return String(text.drop(while: \.isWhitespace)).escapedControls
    }
}

extension PermissionCheck.Holder {
    fileprivate var json: JSONValue {
        [
            "agent": .string(agent.description), "version": .string(version.description), "tool": .string(tool),
            "operation": .string(operation), "approval": .string(approval.rawValue), "through": .string(origin),
            "path": .string(path), "line": .integer(Int64(position.line)), "arguments": arguments ?? .null,
            "expires": expires.map { .string($0.description) } ?? .null, "expired": .bool(isExpired),
        ]
    }
}
