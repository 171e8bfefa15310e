import EnsignCommandLine
import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignQueries

extension Verb {
    static let whoCan = Verb(
        name: "who-can",
        group: .ask,
        summary: "List the agents that may call a tool",
        discussion:
            "Through which role or grant, or through which agent that it hands work to, with which limits and approvals. Answers from what sessions have now: every version that takes some, and halted agents apart. Agents of which the gateway only observes are named below, as it lets them call every tool. An operation may be written as telemetry, a client or a server has it, payments__refund or refund, where that means one alone. With --rev, and where there is no ledger, from the manifests.",
        arguments: [Argument(name: "TOOL[.OPERATION]", summary: "The tool, or one of its operations", kind: .tool)],
        options: [
            .environment,
            Option(name: "rev", summary: "Read this revision", value: "REV", kind: .revision),
        ],
        formats: [.text, .json],
        examples: [Example(command: "ensign who-can payments.refund --env prod", meaning: "who can move money?")],
        output: .answer
    ) { invocation in
        let site = try invocation.site()
        let environment = try invocation.environment()
        let source = try invocation.permissionSource(site, environment)
        let call = try invocation.call(0, needsOperation: false, in: invocation.declaring(source, site))
        let (tool, operation) = (call.tool, call.operation)
        let found: ToolHolders
        var result = ExitCode.done
        switch source {
        case .live(let live, let fleet):
            found = try ToolHolders.find(live: live, fleet, tool: tool, operation: operation, today: invocation.today)
            if found.isEmpty {
                try invocation.requireTool(tool, operation, site.fleet(at: nil, today: invocation.today).fleet)
            }
        case .manifests(let fleet):
            try invocation.requireTool(tool, operation, fleet)
            found = try ToolHolders.find(fleet, environment, tool: tool, operation: operation, today: invocation.today)
            let text = FindingRenderer(paint: invocation.console.paintNote, source: fleet.source).render(
                fleet.findings.filter { $0.severity == .error }
            )
            if !text.isEmpty {
                invocation.console.note("\(text)Agents may be missing here: their manifests are invalid.")
                result = .invalid
            }
        }
        if invocation.format == .json {
            invocation.json(found.json)
            return result
        }
        invocation.console.out(found.table.render(invocation.console))
        if found.holders.isEmpty, !invocation.isQuiet {
            invocation.console.note("no agent in '\(environment)' may call it")
        }
        for holder in found.halted where !invocation.isQuiet {
            invocation.console.note(
                "\(environment): \(holder.agent) \(holder.version) is halted; resumed it may call \(holder.tool).\(holder.operation)"
            )
        }
        if !found.observed.isEmpty, !invocation.isQuiet {
            invocation.console.note("\(environment): \(found.observedSentence.onOneLine)")
        }
        return result
    }
}

extension ToolHolders {
    /// The most versions that are named.
    private static let maxNamed = 20

    /// Who may call it without a grant.
    fileprivate var observedSentence: String {
        let named = observed.prefix(Self.maxNamed).map(\.text).joined(separator: ", ")
        let more = observed.count > Self.maxNamed ? " and \(observed.count - Self.maxNamed) more" : ""
        return
            "only observed (mode: observe), so the gateway lets through what grants, limits and approvals refuse, of any "
            + "tool: \(named)\(more)"
    }

    fileprivate var isEmpty: Bool { holders.isEmpty && halted.isEmpty }

    var table: TextTable {
        let asks = holders.contains { $0.agreement != nil }
        var table = TextTable(
            header: ["AGENT", "VERSION", "OPERATION", "THROUGH", "APPROVAL"] + (asks ? ["OF"] : []) + [
                "LIMITS", "WHERE",
            ]
        )
        for holder in holders {
            var limits = holder.limits.isEmpty ? "-" : holder.limits.joined(separator: ", ").shortened(to: 60)
            if let expires = holder.expires { limits += holder.isExpired ? " expired \(expires)" : " until \(expires)" }
            let share = holder.weight.map { $0 == 100 ? "" : " (\($0) %)" } ?? ""
            let who = holder.agreement?.sentence.onOneLine ?? "-"
            table.rows.append(
                [
                    holder.agent.description, "\(holder.version)\(share)", "\(holder.tool).\(holder.operation)",
                    holder.origin, holder.approval.rawValue + (holder.isObserved ? " (observed)" : ""),
                ] + (asks ? [who] : []) + [
                    limits.onOneLine,
                    holder.path.map { "\($0):\(holder.position?.line ?? 1)" } ?? "an earlier commit",
                ]
            )
        }
        return table
    }
}

extension Invocation {
    /// A tool that the fleet does not have, or an operation, is a typo.
    fileprivate func requireTool(_ tool: String, _ operation: String?, _ fleet: Fleet) throws {
        guard try !fleet.toolVersions(tool).isEmpty else {
            throw Failure(
                message: "there is no tool '\(tool)'",
                hints: [
                    Suggestion.hint(for: tool, among: try fleet.names(in: "tools", files: false), plural: "tools") ?? ""
                ],
                code: .usage
            )
        }
        if let operation { try requireOperation(operation, of: tool, fleet) }
    }

    /// An operation that no version of the tool has is a typo. A version that cannot be read may have it.
    fileprivate func requireOperation(_ name: String, of tool: String, _ fleet: Fleet) throws {
        let versions = try fleet.toolVersions(tool).map { try fleet.tool(tool, $0)?.value }
        let operations = Set(versions.flatMap { $0?.operations.keys.map { $0 } ?? [] })
        guard !operations.contains(name), !versions.contains(where: { $0 == nil }) else { return }
        throw Failure(
            message: "no version of tool '\(tool)' has an operation '\(name)'",
            hints: [Suggestion.hint(for: name, among: operations.sorted(), plural: "operations") ?? ""],
            code: .usage
        )
    }
}
