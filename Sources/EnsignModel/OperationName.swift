/// Names of operations: any name that a tool of an MCP server may have (Model Context Protocol 2025-11-25, "Tools", "Tool
/// Names").
///
/// An operation is never part of a path, so its name may be what the server calls it: `git_status`, `getPayment`,
/// `repo.read`. Capitals count: `getX` and `getx` are two operations.
package enum OperationName {
    /// The most bytes of a name.
    package static let maxBytes = 128

    /// The rule in words, for messages.
    package static let rule = "1 to \(maxBytes) of A-Z, a-z, 0-9, '_', '-' and '.'"

    /// A name as YAML reads it as text everywhere: quoted where it may be taken for something else.
    package static func inYAML(_ name: String) -> String {
        let words: Set = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
        let isPlain = name.utf8.first.map { $0 == 0x5F || $0 | 0x20 >= 0x61 } ?? false
        return isPlain && !words.contains(name.lowercased()) ? name : "\"\(name)\""
    }

    /// Whether `text` is the name of an operation.
    package static func isValid(_ text: some StringProtocol) -> Bool {
        (1...maxBytes).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x61...0x7A, 0x41...0x5A, 0x30...0x39, 0x5F, 0x2D, 0x2E: true
                default: false
                }
            }
    }
}
