/// Who may agree to a call: everybody of a team, or one person.
package enum Approver: Sendable, Hashable, Comparable, CustomStringConvertible {
    case team(String)
    /// As `fleet/trust/allowed_signers` and the teams write it, with an `@`.
    case principal(String)

    /// Reads a team's name, or a principal, which has an `@`; nil for anything else.
    package init?(_ text: some StringProtocol) {
        if Name.isValid(text) {
            self = .team(String(text))
        } else if text.dropFirst().dropLast().contains("@"), Self.isExact(text) {
            self = .principal(String(text))
        } else {
            return nil
        }
    }

    /// Whether a principal names exactly one person, and looks like no other: ASCII without blanks, without patterns of
    /// OpenSSH's.
    package static func isExact(_ principal: some StringProtocol) -> Bool {
        (1...256).contains(principal.utf8.count)
            && principal.utf8.allSatisfy { byte in
                switch byte {
                case 0x2A, 0x3F, 0x21, 0x2C, 0x22, 0x5C: false
                default: (0x21...0x7E).contains(byte)
                }
            }
    }

    package var description: String {
        switch self {
        case .team(let name): name
        case .principal(let name): name
        }
    }

    package static func < (left: Approver, right: Approver) -> Bool { left.description < right.description }
}
