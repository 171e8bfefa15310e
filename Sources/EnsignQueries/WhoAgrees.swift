package import EnsignModel
package import EnsignPolicy

/// Who may agree to a call that needs it, for people and scripts.
package struct WhoAgrees: Sendable, Hashable {
    /// How many different people it takes: 1 or 2.
    package var needed: Int
    /// Teams and people, as the bundle or the default names them.
    package var approvers: [String]
    /// Those of them who have a key, sorted.
    package var people: [String]

    /// - Returns: nil where nobody has to agree.
    package init?(_ rule: ApprovalRule) {
        guard rule.needed > 0 else { return nil }
        needed = rule.needed
        approvers = rule.approvers.map(\.description)
        people = rule.people.keys.sorted()
    }

    /// `one of ada@example.com, bo@example.com`.
    package var sentence: String {
        let names = people.prefix(5).joined(separator: ", ") + (people.count > 5 ? " and \(people.count - 5) more" : "")
        if people.isEmpty {
            return approvers.isEmpty ? "nobody" : "nobody of \(approvers.joined(separator: ", ")) has \(Self.key)"
        }
        guard people.count >= needed else { return "\(names) alone has \(Self.key), and two people must agree" }
        return needed == 1 && people.count == 1 ? names : "\(needed == 1 ? "one" : "two") of \(names)"
    }

    /// Whoever has another key is told what it lacks.
    private static let key = "a key in the namespace \(GatewayPolicy.namespace)"

    package var json: JSONValue {
        [
            "needed": .integer(Int64(needed)), "approvers": .array(approvers.map { .string($0) }),
            "people": .array(people.map { .string($0) }),
        ]
    }
}
