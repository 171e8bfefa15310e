import EnsignCommandLine
import EnsignHost
import EnsignJSON
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignPolicy
import EnsignQueries
import EnsignReconciler

extension Verb {
    static let check = Verb(
        name: "check",
        group: .ask,
        summary: "Say whether an agent may make a call, and which line says so",
        discussion: """
            Answers from what sessions have now: allowed, needs approval, or refused, for each version that takes some, \
            and through whom else it may have the call made. With --rev, and where there is no ledger, from the \
            manifests. The call may be written as telemetry, a client or a server has it, payments__refund or refund, \
            where that means one operation alone. Of an agent that is only observed (mode: observe) the gateway lets through what its grants \
            refuse; the answer says so. Exit status 4 means refused for every version.
            """,
        arguments: [
            Argument(name: "AGENT", summary: "The agent, <team>/<agent>", kind: .agent),
            Argument(name: "TOOL.OPERATION", summary: "The call", kind: .operation),
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
        ],
        output: .answer
    ) { invocation in
        let site = try invocation.site()
        let agent = try invocation.agent(0)
        let environment = try invocation.environment()
        let arguments = try invocation["arguments"].map { text in
            do {
                return try JSONParser.parse(Array(text.utf8))
            } catch {
                throw UsageError(message: "--arguments is not JSON: \(error)", verb: "check")
            }
        }
        let source = try invocation.permissionSource(site, environment)
        let call = try invocation.call(
            1,
            needsOperation: true,
            in: invocation.declaring(source, site),
            of: agent
        )
        switch source {
        case .live(let live, let fleet):
            let asked = CallPolicy.Call(tool: call.tool, operation: call.operation ?? "", arguments: arguments)
            let answer = try LiveCheck.make(live, fleet, agent, asked, today: invocation.today)
            guard let answer else {
                try invocation.requireKnown(agent, environment, site)
                throw Refusal(
                    message: "'\(agent)' is not live in '\(environment)': it may do nothing there",
                    hints: ["'ensign get agents --env \(environment)' says why not"]
                )
            }
            return invocation.show(answer, call, fleet)
        case .manifests(let fleet):
            let check = PermissionCheck(fleet: fleet, environment: environment, today: invocation.today)
            let answer: PermissionCheck.Answer?
            do {
                answer = try check.answer(agent, tool: call.tool, operation: call.operation ?? "", arguments: arguments)
            } catch {
                // A schema that cannot be used is a finding of the manifests first of all.
                guard fleet.hasErrors else { throw error }
                answer = nil
            }
            // A Binding that is wrong leaves an answer, and not one to rely on.
            guard let answer, !fleet.hasErrors else { return try invocation.unresolved(agent, environment, fleet) }
            if invocation.format == .json {
                var object = answer.json.object ?? [:]
                object["v"] = 1
                invocation.json(object, call)
            } else {
                invocation.show(answer, "", fleet)
            }
            return answer.verdict == .refused ? .refused : .done
        }
    }
}

extension Invocation {
    /// An answer, with the call that it is about: its name may have been written in another way.
    fileprivate func json(_ answer: JSONObject, _ call: NamedCall) {
        var object = answer
        object["tool"] = .string(call.tool)
        object["operation"] = call.operation.map { .string($0) }
        json(.object(object))
    }

    fileprivate func show(_ check: LiveCheck, _ call: NamedCall, _ fleet: Fleet?) -> ExitCode {
        if format == .json {
            json(check.json.object ?? [:], call)
        } else {
            for version in check.versions {
                show(
                    version.answer,
                    check.versions.count == 1 ? "" : "\(version.version) (\(version.weight) %): ",
                    fleet
                )
            }
            for agent in check.through { console.line("through \(agent): it may have it called") }
        }
        return check.answer.verdict == .refused ? .refused : .done
    }

    fileprivate func show(_ answer: PermissionCheck.Answer, _ whose: String, _ fleet: Fleet?) {
        let word =
            switch answer.verdict {
            case .allowed: console.paint("allowed", .green)
            case .needsApproval: console.paint("needs \(answer.approval.phrase)", .yellow)
            case .refused: console.paint("refused", .red)
            case .wouldRefuse: console.paint("let through, as it is only observed (mode: observe)", .yellow)
            }
        console.line("\(whose)\(word): \(answer.reason.onOneLine)")
        if let agreement = answer.agreement { console.line("  of \(agreement.sentence.onOneLine)") }
        guard let path = answer.path, let position = answer.position else { return }
        console.line("  \(path):\(position.line):\(position.column)")
        if let line = line(position, of: fleet?.source(path)) { console.line("    \(line)") }
    }
}

extension Invocation {
    /// Why an agent's permissions are not known.
    fileprivate func unresolved(_ agent: AgentID, _ environment: String, _ fleet: Fleet) throws -> ExitCode {
        let names = try fleet.environmentNames()
        guard names.contains(environment) else { throw ReconcileError.unknownEnvironment(environment, known: names) }
        let text = FindingRenderer(paint: console.paintNote, source: fleet.source).render(fleet.findings)
        if !text.isEmpty { console.note(String(text.dropLast())) }
        if fleet.hasErrors {
            if format == .json { json(Finding.invalid(fleet.findings)) }
            return .invalid
        }
        try requireKnown(agent, environment, site())
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
