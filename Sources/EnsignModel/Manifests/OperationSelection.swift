/// Which operations of a tool a need or a grant means: names, selectors, and what to leave out.
///
/// What a selector means depends on the tool's version: it is resolved against the released version that the agent's
/// version pins, which never changes.
package struct OperationSelection: Sendable {
    package var included: [Located<OperationSelector>]
    /// `except`: left out again, whatever includes them.
    package var excepted: [Located<OperationSelector>]

    package init(_ included: [Located<OperationSelector>], except excepted: [Located<OperationSelector>] = []) {
        self.included = included
        self.excepted = excepted
    }

    /// Whether only names are written: then nothing but the manifest decides what they mean.
    package var isWrittenOut: Bool {
        excepted.isEmpty && included.allSatisfy { $0.value.name != nil }
    }

    /// The names that are written, and where.
    package var names: [Located<String>] { included.compactMap(\.named) }

    /// As fields of a flow mapping: `operations: ["*"], except: [refund]`.
    package var text: String {
        func list(_ selectors: [Located<OperationSelector>]) -> String {
            "[\(selectors.map(\.value.text).joined(separator: ", "))]"
        }
        return "operations: \(list(included))" + (excepted.isEmpty ? "" : ", except: \(list(excepted))")
    }

    /// The operations that it means among those of one version of a tool, each once: names in the order in which they are
    /// written, what a selector adds by name. A name decides the position, if there is one.
    package func selected(from operations: [String: Operation]) -> [Located<String>] {
        let written = Set(names.map(\.value))
        var seen: Set<String> = []
        var found: [Located<String>] = []
        var sorted: [String]?
        for selector in included {
            if let name = selector.named {
                if seen.insert(name.value).inserted { found.append(name) }
                continue
            }
            let all = sorted ?? operations.keys.sorted()
            sorted = all
            for name in all {
                guard let operation = operations[name], selector.value.selects(name, operation),
                    !written.contains(name), seen.insert(name).inserted
                else { continue }
                found.append(Located(name, at: selector.position))
            }
        }
        guard !excepted.isEmpty else { return found }
        return found.filter { exception(from: $0.value, operations[$0.value]) == nil }
    }

    /// What leaves an operation out; nil when nothing does.
    package func exception(from name: String, _ operation: Operation?) -> Located<OperationSelector>? {
        excepted.first { $0.value.selects(name, operation) }
    }
}

/// One element of a list of operations.
package enum OperationSelector: Sendable, Hashable {
    case name(String)
    /// `"*"`
    case all
    /// `{access: read, risk: low}`: what has exactly these; nil means any.
    case matching(access: Access?, risk: Risk?)

    package var name: String? {
        guard case .name(let name) = self else { return nil }
        return name
    }

    /// Whether it means an operation of this name; nil for one that the tool does not have, which only a name can mean.
    package func selects(_ name: String, _ operation: Operation?) -> Bool {
        switch self {
        case .name(let own): own == name
        case .all: operation != nil
        case .matching(let access, let risk):
            operation.map { access ?? $0.access == $0.access && risk ?? $0.risk == $0.risk } ?? false
        }
    }

    /// As it is written in a manifest.
    package var text: String {
        switch self {
        case .name(let name): return OperationName.inYAML(name)
        case .all: return "\"*\""
        case .matching(let access, let risk):
            let parts = [access.map { "access: \($0.rawValue)" }, risk.map { "risk: \($0.rawValue)" }]
            return "{\(parts.compactMap { $0 }.joined(separator: ", "))}"
        }
    }
}

extension Located<OperationSelector> {
    /// The name and where it is written; nil for a selector.
    package var named: Located<String>? { value.name.map { Located<String>($0, at: position) } }
}
