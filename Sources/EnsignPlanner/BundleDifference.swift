package import EnsignModel

/// What a reviewer needs to know about a changed bundle.
package struct BundleDifference: Sendable, Hashable {
    /// One thing that differs, in words.
    package struct Line: Sendable, Hashable {
        /// The place in the bundle: `model`, `limits`, `tools`.
        package var field: String
        package var text: String
        /// Whether it does not affect the agent's behaviour. Said where the line is made: a field may have any name.
        package var isInert = false
    }

    /// A text before and after.
    package struct Text: Sendable, Hashable {
        /// Its place in the bundle: `instructions`, `prompts.reply`.
        package var field: String
        package var before: String
        package var after: String
    }

    package private(set) var lines: [Line] = []
    /// The texts that differ.
    package private(set) var texts: [Text] = []
    package let authority: AuthorityDifference
    /// What kind of change it is for those who must approve it.
    package private(set) var kind: Change.Class

    /// Nothing differs.
    package init() {
        authority = AuthorityDifference(before: nil, after: nil)
        kind = .none
    }

    /// Compares two bundles; nil means that there is no agent.
    ///
    /// - Parameters:
    ///   - delegated: What is gained through its delegates.
    ///   - former: Who the agent was, where the bundle before has its new name already.
    package init(
        before: Bundle?,
        after: Bundle?,
        delegated: [AuthorityChange.What] = [],
        former: AgentID? = nil
    ) {
        authority = AuthorityDifference(before: before, after: after, delegated: delegated, former: former)
        kind = .none
        if let before, let after { compare(before, after) }
        let behaves = !lines.allSatisfy(\.isInert) || !texts.isEmpty
        if authority.gains || before == nil {
            kind = .widening
        } else if behaves {
            kind = .behaviour
        } else if authority.loses || after == nil {
            kind = .narrowing
        }
    }

    /// Whether the two say the same, whatever their versions' names.
    package var isEmpty: Bool { lines.isEmpty && texts.isEmpty && authority.changes.isEmpty }

    private mutating func compare(_ before: Bundle, _ after: Bundle) {
        compareTexts("instructions", before.instructions, after.instructions)
        for name in Set(before.prompts.keys).union(after.prompts.keys).sorted() {
            compareTexts("prompts.\(name)", before.prompts[name], after.prompts[name])
        }
        compareModels(before.model, after.model)
        add("name", before.name ?? "none", after.name ?? "none", isInert: true)
        add("triggers", triggers(before), triggers(after))
        compareSchema("contract.input", before.contract.input, after.contract.input)
        compareSchema("contract.output", before.contract.output, after.contract.output)
        compareObjects("runtime", before.runtime, after.runtime)
        // Runtimes give it to models as the agent's goal.
        add("description", before.description, after.description)
        add("labels", labels(before.labels), labels(after.labels), isInert: true)
        let old = before.toolsByName
        for tool in after.tools {
            if let was = old[tool.tool] { compareTools(was, tool) }
        }
        // The last line of defence: what no comparison has found is no reason to publish it unseen.
        if lines.allSatisfy(\.isInert), texts.isEmpty, authority.changes.isEmpty, !before.isKnownToEqual(after) {
            lines.append(Line(field: "bundle", text: "differs in what no comparison knows"))
        }
    }

    private mutating func compareModels(_ was: Model?, _ now: Model?) {
        add("model", was?.key ?? "none", now?.key ?? "none")
        compareObjects("model.parameters", was?.parameters, now?.parameters)
        add("model.fallbacks", fallbacks(was), fallbacks(now))
        // The same words can be said of different models: `a/b` and `c`, or `a` and `b/c`.
        let isSaid = lines.contains { $0.field.hasPrefix("model") }
        if was?.json != now?.json, !isSaid {
            add("model", was?.json.text ?? "none", now?.json.text ?? "none")
        }
    }

    private mutating func compareTools(_ was: BundleTool, _ now: BundleTool) {
        add("tools", "\(now.tool) \(was.version)", "\(now.tool) \(now.version)")
        add("tools.\(now.tool).description", was.description ?? "none", now.description ?? "none")
        if was.owner != nil, now.owner != nil {
            add("tools.\(now.tool).owner", was.owner ?? "", now.owner ?? "", isInert: true)
        }
        for (name, operation) in now.operations.sorted(by: { $0.key < $1.key }) {
            if let before = was.operations[name] { compareOperations("tools.\(now.tool).\(name)", before, operation) }
        }
    }

    private mutating func compareOperations(_ field: String, _ was: BundleOperation, _ now: BundleOperation) {
        // Limits that keep nothing out are not a narrowing: they are shown, and treated like any change.
        if SchemaOrder.change(from: was.taken, to: now.taken) == .unenforced {
            let details = SchemaDetails.summary(was.taken, now.taken)
            lines.append(
                Line(
                    field: "\(field).input",
                    text: "\(details); this keeps nothing out: values of another type get past it"
                )
            )
        }
        // Where nobody is asked, before or now, they are not authority.
        if was.approval == .none || now.approval == .none {
            add("\(field).approvers", approvers(was), approvers(now), isInert: true)
        }
        compareSchema("\(field).output", was.output, now.output)
        compareWords("\(field).input", was.input, now.input)
        compareWords("\(field).output", was.output, now.output)
        add("\(field).description", was.description ?? "none", now.description ?? "none")
        if was.timeout?.milliseconds != now.timeout?.milliseconds {
            add("\(field).timeout", was.timeout?.description ?? "none", now.timeout?.description ?? "none")
        }
        add("\(field).idempotent", String(was.idempotent), String(now.idempotent))
    }

    private mutating func compareTexts(_ field: String, _ was: String?, _ now: String?) {
        guard !was.hasSameUTF8(as: now) else { return }
        texts.append(Text(field: field, before: was ?? "", after: now ?? ""))
    }

    private func fallbacks(_ model: Model?) -> String {
        guard let model, !model.fallbacks.isEmpty else { return "none" }
        return model.fallbacks.map { fallback in
            guard let parameters = fallback.parameters.object, !parameters.isEmpty else { return fallback.key }
            return "\(fallback.key) \(JSONValue.object(parameters).text)"
        }.joined(separator: ", ")
    }

    private func approvers(_ operation: BundleOperation) -> String {
        operation.approvers?.map(\.description).joined(separator: ", ") ?? "not named"
    }

    private func triggers(_ bundle: Bundle) -> String {
        bundle.triggers.isEmpty ? "none" : bundle.triggers.map(\.text).joined(separator: ", ")
    }

    private mutating func add(_ field: String, _ was: String, _ now: String, isInert: Bool = false) {
        guard !was.hasSameUTF8(as: now) else { return }
        lines.append(Line(field: field, text: "\(now) (was \(was))", isInert: isInert))
    }

    private mutating func compareObjects(_ field: String, _ was: JSONValue?, _ now: JSONValue?) {
        let (old, new) = (was?.object ?? [:], now?.object ?? [:])
        for key in old.keys(with: new) {
            add("\(field).\(key)", old[key]?.text ?? "not set", new[key]?.text ?? "not set")
        }
    }

    private mutating func compareSchema(_ field: String, _ was: JSONValue?, _ now: JSONValue?) {
        // The same meaning, written differently.
        let isSame =
            SchemaOrder.isProvablyNarrower(was, than: now) && SchemaOrder.isProvablyNarrower(now, than: was)
        guard was != now, !isSame else { return }
        let details = SchemaDetails.summary(was, now)
        lines.append(Line(field: field, text: details.isEmpty ? "reworded" : details))
    }

    /// What a model reads of a schema, and nothing else of it.
    private mutating func compareWords(_ field: String, _ was: JSONValue?, _ now: JSONValue?) {
        let found = SchemaWords.differences(was, now)
        for difference in found.prefix(Self.mostWords) {
            lines.append(Line(field: "\(field).\(difference.place)", text: difference.text))
        }
        if found.count > Self.mostWords {
            lines.append(Line(field: field, text: "and \(found.count - Self.mostWords) more texts differ"))
        }
    }

    /// The most texts of one schema that are shown.
    private static let mostWords = 20

    private func labels(_ labels: [String: String]) -> String {
        labels.isEmpty
            ? "none" : labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ", ")
    }
}

extension Bundle {
    /// Whether the bytes are the same apart from what affects no behaviour, and what is compared by its meaning.
    fileprivate func isKnownToEqual(_ other: Bundle) -> Bool {
        var same = other
        (same.agent, same.version, same.environment, same.artifact) = (agent, version, environment, artifact)
        (same.labels, same.name, same.contract) = (labels, name, contract)
        guard same.tools.count == tools.count else { return false }
        for (index, was) in tools.enumerated() {
            same.tools[index].owner = was.owner
            for (name, operation) in was.operations {
                guard var now = same.tools[index].operations[name] else { return false }
                (now.input, now.output, now.timeout) = (operation.input, operation.output, operation.timeout)
                (now.approvers, now.rate, now.after) = (operation.approvers, operation.rate, operation.after)
                now.record = operation.record
                if (now.serverTool ?? name).hasSameUTF8(as: operation.serverTool ?? name) {
                    now.serverTool = operation.serverTool
                }
                same.tools[index].operations[name] = now
            }
        }
        return same.bytes == bytes
    }
}
