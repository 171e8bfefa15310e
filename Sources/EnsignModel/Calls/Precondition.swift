/// A call that must have succeeded earlier in the same run: `{operation: crm.verify-customer, within: 10m, same: customer}`.
package struct Precondition: Sendable, Hashable, CustomStringConvertible {
    package var tool: String
    package var operation: String
    /// How long ago it may be, at most.
    package var within: TimeSpan
    /// An argument that must have had the same value in both calls; nil asks for none.
    package var same: String?

    package init(tool: String, operation: String, within: TimeSpan, same: String?) {
        self.tool = tool
        self.operation = operation
        self.within = within
        self.same = same
    }

    /// Reads `<tool>.<operation>`; an operation's name may have dots, a tool's has none. Nil for anything else.
    package static func operation(_ text: some StringProtocol) -> (tool: String, operation: String)? {
        guard let dot = text.firstIndex(of: ".") else { return nil }
        let (tool, operation) = (text[..<dot], text[text.index(after: dot)...])
        guard Name.isValid(tool), OperationName.isValid(operation) else { return nil }
        return (String(tool), String(operation))
    }

    /// `<tool>.<operation>`
    package var name: String { "\(tool).\(operation)" }

    /// `after crm.verify-customer within 10m with the same 'customer'`.
    package var description: String {
        "after \(name) within \(within)" + (same.map { " with the same '\($0.onOneLine)'" } ?? "")
    }

    package static func == (left: Precondition, right: Precondition) -> Bool {
        left.tool == right.tool && left.operation == right.operation && left.within == right.within
            && left.same.hasSameUTF8(as: right.same)
    }

    /// Whether a call that fulfils this fulfils the other one too.
    package func implies(_ other: Precondition) -> Bool {
        tool == other.tool && operation == other.operation && within.milliseconds <= other.within.milliseconds
            && (other.same.map { same?.hasSameUTF8(as: $0) ?? false } ?? true)
    }

    /// What must hold where each of them must: those that another one implies are left out. In their order.
    package static func all(_ first: [Precondition], _ second: [Precondition]) -> [Precondition] {
        var found: [Precondition] = []
        for condition in first + second where !found.contains(where: { $0.implies(condition) }) {
            found.removeAll { condition.implies($0) }
            found.append(condition)
        }
        return found
    }

    package var json: JSONValue {
        var object: JSONObject = ["operation": .string(name), "within": .string(within.description)]
        object["same"] = same.map { .string($0) }
        return .object(object)
    }

    /// Reads it back; nil when a field is missing or has the wrong type.
    package init?(json: JSONValue) {
        guard let parts = json["operation"]?.string.flatMap({ Self.operation($0) }),
            let within = json["within"]?.string.flatMap({ TimeSpan($0) })
        else { return nil }
        self.init(tool: parts.tool, operation: parts.operation, within: within, same: json["same"]?.string)
        guard (same == nil) == (json["same"] == nil) else { return nil }
    }
}
