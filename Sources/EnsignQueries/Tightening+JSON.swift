import EnsignManifest
package import EnsignModel

extension Tightening {
    /// What every answer has beside the proposal's own members.
    package var json: JSONObject {
        [
            "agent": .string(agent.description), "environment": .string(environment), "days": .integer(days),
            "since": .string(since.description), "operations": .array(operations.map(\.json)),
            "unknownCalls": .array(
                unknownCalls.map { ["name": .string($0.name), "lastCall": .string($0.last.description)] }
            ),
        ]
    }
}

extension Tightening.Row {
    /// What grants it: `grant`, or `role reader`.
    package var through: String { origin.role.map { "role \($0)" } ?? "grant" }

    fileprivate var json: JSONValue {
        let reason: JSONValue = if case .keep(let why) = verdict { .string(why) } else { .null }
        return [
            "tool": .string(tool), "operation": .string(operation),
            "lastCall": lastCall.map { .string($0.description) } ?? .null, "through": .string(through),
            "path": .string(origin.path), "line": .integer(Int64(origin.position.line)),
            "verdict": .string(verdict.word), "reason": reason,
        ]
    }
}

extension Tightening.Verdict {
    fileprivate var word: String {
        switch self {
        case .used: "used"
        case .remove: "remove"
        case .keep: "keep"
        }
    }
}
