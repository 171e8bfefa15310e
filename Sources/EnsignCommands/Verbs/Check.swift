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
            invocation.json(answer.json)
        } else {
            let console = invocation.console
            let word =
                switch answer.verdict {
                case .allowed: console.paint("allowed", .green)
                case .needsApproval: console.paint("needs \(answer.approval.phrase)", .yellow)
                case .refused: console.paint("refused", .red)
                }
            console.line("\(word): \(answer.reason.onOneLine)")
            console.line("  \(answer.path):\(answer.position.line):\(answer.position.column)")
            if let line = invocation.line(answer.position, of: fleet.source(answer.path)) {
                console.line("    \(line)")
            }
        }
        return answer.verdict == .refused ? .refused : .done
    }
}

extension Invocation {
    /// Why an agent's permissions are not known.
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
        return String(text.drop(while: \.isWhitespace)).onOneLine
    }
}
