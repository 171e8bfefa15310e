package import EnsignModel

/// What a reviewer needs to know about a changed bundle.
package struct BundleDifference: Sendable, Hashable {
    /// One thing that differs, in words.
    package struct Line: Sendable, Hashable {
        /// The place in the bundle: `model`, `limits`, `tools`.
        package var field: String
        package var text: String
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
    /// - Parameter delegated: What is gained through its delegates.
    package init(before: Bundle?, after: Bundle?, delegated: [AuthorityChange.What] = []) {
        authority = AuthorityDifference(before: before, after: after, delegated: delegated)
        kind = .none
        if let before, let after { compare(before, after) }
        let behaves = !lines.allSatisfy { Self.isInert($0.field) } || !texts.isEmpty
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

    /// Fields that do not affect the agent's behaviour.
    private static func isInert(_ field: String) -> Bool {
        ["description", "labels", "name"].contains(field) || field.hasSuffix(".approvers") || field.hasSuffix(".owner")
    }

    private mutating func compare(_ before: Bundle, _ after: Bundle) {
        compareTexts("instructions", before.instructions, after.instructions)
        for name in Set(before.prompts.keys).union(after.prompts.keys).sorted() {
            compareTexts("prompts.\(name)", before.prompts[name], after.prompts[name])
        }
        compareModels(before.model, after.model)
        add("name", before.name ?? "none", after.name ?? "none")
        add("triggers", triggers(before), triggers(after))
        compareSchema("contract.input", before.contract.input, after.contract.input)
        compareSchema("contract.output", before.contract.output, after.contract.output)
        compareObjects("runtime", before.runtime, after.runtime)
        add("description", before.description, after.description)
        if before.labels != after.labels {
            add("labels", labels(before.labels), labels(after.labels))
        }
        let old = before.toolsByName
        for tool in after.tools {
            if let was = old[tool.tool] { compareTools(was, tool) }
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
            add("tools.\(now.tool).owner", was.owner ?? "", now.owner ?? "")
        }
        for (name, operation) in now.operations.sorted(by: { $0.key < $1.key }) {
            if let before = was.operations[name] { compareOperations("tools.\(now.tool).\(name)", before, operation) }
        }
    }

    private mutating func compareOperations(_ field: String, _ was: BundleOperation, _ now: BundleOperation) {
        // Limits that keep nothing out are not a narrowing: they are shown, and treated like any change.
        if SchemaOrder.change(from: was.input, to: now.input) == .unenforced {
            let details = SchemaDetails.summary(was.input, now.input)
            lines.append(
                Line(
                    field: "\(field).input",
                    text: "\(details); this keeps nothing out: values of another type get past it"
                )
            )
        }
        // Where nobody is asked, before or now, they are not authority.
        if was.approval == .none || now.approval == .none {
            add("\(field).approvers", approvers(was), approvers(now))
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
        guard was != now else { return }
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

    private mutating func add(_ field: String, _ was: String, _ now: String) {
        guard was != now else { return }
        lines.append(Line(field: field, text: "\(now) (was \(was))"))
    }

    private mutating func compareObjects(_ field: String, _ was: JSONValue?, _ now: JSONValue?) {
        let (old, new) = (was?.object ?? [:], now?.object ?? [:])
        for key in Set(old.map(\.key)).union(new.map(\.key)).sorted() {
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
