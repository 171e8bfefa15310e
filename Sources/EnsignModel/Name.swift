/// Names of teams, agents, tools, roles and environments: `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`. Operations have
/// an ``OperationName``.
package enum Name {
    /// The rule in words, for messages.
    package static let rule = "1 to 63 of a-z, 0-9 and '-', not starting or ending with '-'"

    /// Whether `text` is a name.
    package static func isValid(_ text: some StringProtocol) -> Bool {
        let bytes = text.utf8
        guard (1...63).contains(bytes.count) else { return false }
        for byte in bytes {
            switch byte {
            case 0x61...0x7A, 0x30...0x39, 0x2D: continue
            default: return false
            }
        }
        return !text.hasPrefix("-") && !text.hasSuffix("-")
    }
}

/// An agent's identity: `<team>/<agent>`.
package struct AgentID: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The team that owns the agent.
    package let team: String
    package let name: String

    package init(team: String, name: String) {
        self.team = team
        self.name = name
    }

    /// Parses `<team>/<agent>`; nil unless both are names.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count <= 127 else { return nil }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, Name.isValid(parts[0]), Name.isValid(parts[1]) else { return nil }
        self.init(team: String(parts[0]), name: String(parts[1]))
    }

    package var description: String { "\(team)/\(name)" }

    package static func < (left: AgentID, right: AgentID) -> Bool {
        (left.team, left.name) < (right.team, right.name)
    }
}
