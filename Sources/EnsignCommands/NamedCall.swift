import EnsignCommandLine
import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignPolicy
import EnsignReconciler

/// What somebody asks about: an operation of a tool, or a whole tool.
struct NamedCall {
    var tool: String
    /// Nil for all of the tool's.
    var operation: String?
}

extension Invocation {
    /// The call that an argument names.
    ///
    /// `TOOL.OPERATION`, and where a question may be about all of a tool, `TOOL`; else any spelling that telemetry, a
    /// client or a server has for an operation (``ToolNames``) and that means one alone. What such a spelling means is
    /// said.
    ///
    /// - Parameters:
    ///   - fleet: Where tools are declared; nil where that is not known, and then only what is written counts.
    ///   - agent: Whose call it is: of several operations its own counts, as a gateway takes it.
    /// - Throws: ``UsageError`` for what means several, and for what means nothing and is not a `TOOL.OPERATION`.
    func call(_ index: Int, needsOperation: Bool, in fleet: Fleet?, of agent: AgentID? = nil) throws -> NamedCall {
        let text = argument(index) ?? ""
        let written = Self.written(text, needsOperation: needsOperation)
        // Reports no findings: what is wrong elsewhere is not asked about.
        guard let fleet = fleet.map({ Fleet(snapshot: $0.snapshot, today: today) }) else {
            return try written ?? self.nameless(text, needsOperation, hint: nil)
        }
        if let written, try fleet.declares(written) { return written }
        let names = try ToolNames(declaredIn: fleet)
        func take(_ found: ToolNames.Operation) -> NamedCall {
            if !isQuiet, format == .text { console.note("\(text.quoted(utf8: 100)) is \(found)") }
            return NamedCall(tool: found.tool, operation: found.name)
        }
        switch names.resolve(text) {
        case .operation(let found): return take(found)
        case .ambiguous(let several):
            let needed = try agent.map { try fleet.toolsNeeded(by: $0) } ?? []
            let own = several.filter { needed.contains($0.tool) }
            if own.count == 1 { return take(own[0]) }
            let named = several.prefix(8).map(\.description).joined(separator: ", ")
            throw UsageError(
                message: "\(text.quoted(utf8: 100)) may be one of \(several.count) operations",
                hint: "name one: \(named)\(several.count > 8 ? ", ..." : "")",
                verb: verb.name
            )
        case .nothing:
            let nearest = Self.nearest(to: text, in: names)
            guard let written else { return try nameless(text, needsOperation, hint: nearest) }
            // The answer to this is no, which alone does not say that nothing is called so.
            if needsOperation, !isQuiet, format == .text {
                console.note("no tool declares \(text.quoted(utf8: 100))" + (nearest.map { ": \($0)" } ?? ""))
            }
            return written
        }
    }

    private func nameless(_ text: String, _ needsOperation: Bool, hint: String?) throws(UsageError) -> NamedCall {
        throw UsageError(
            message: "\(text.quoted(utf8: 100)) is not \(needsOperation ? "TOOL.OPERATION" : "TOOL or TOOL.OPERATION")",
            hint: hint ?? "such as payments.refund",
            verb: verb.name
        )
    }

    /// The operation that a name is nearest to, written out or alone.
    private static func nearest(to text: String, in names: ToolNames) -> String? {
        let whole = names.operations.map(\.description)
        if let near = Suggestion.nearest(to: text, in: whole) { return "did you mean '\(near)'?" }
        guard let near = Suggestion.nearest(to: text, in: names.operations.map(\.name)) else { return nil }
        return names.operations.first { $0.name == near }.map { "did you mean '\($0)'?" }
    }

    /// What is written out: `TOOL.OPERATION`, or `TOOL` alone.
    private static func written(_ text: String, needsOperation: Bool) -> NamedCall? {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let isCall = Name.isValid(parts[0]) && parts.dropFirst().allSatisfy { OperationName.isValid($0) }
        guard isCall, parts.count == 2 || !needsOperation else { return nil }
        return NamedCall(tool: parts[0], operation: parts.count == 2 ? parts[1] : nil)
    }
}

extension Fleet {
    /// The tools that some version of an agent needs.
    fileprivate func toolsNeeded(by agent: AgentID) throws -> Set<String> {
        var tools: Set<String> = []
        for version in try agentVersions(agent) {
            tools.formUnion(try self.agent(agent, version)?.value?.tools.map(\.tool.value) ?? [])
        }
        return tools
    }

    /// Whether some version of the tool has the operation, or one that cannot be read may have it.
    fileprivate func declares(_ call: NamedCall) throws -> Bool {
        let versions = try toolVersions(call.tool)
        guard let operation = call.operation else { return !versions.isEmpty }
        return try versions.contains { version in
            guard let tool = try tool(call.tool, version)?.value else { return true }
            return tool.operations[operation] != nil
        }
    }
}
