import EnsignModel

/// How a client starts the gateway as its server.
struct ClientLines {
    let program: String
    let arguments: [String]

    /// What `.mcp.json` and Claude Desktop's file hold.
    var json: JSONValue {
        [
            "mcpServers": [
                "fleet": ["command": .string(program), "args": .array(arguments.map { .string($0) })]
            ]
        ]
    }

    /// One line for a POSIX shell.
    var shell: String { ([program] + arguments).map(Self.quoted).joined(separator: " ") }

    private static func quoted(_ word: String) -> String {
        let isPlain =
            !word.isEmpty
            && word.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
                default: "/._-+:,@%=".utf8.contains(byte)
                }
            }
        return isPlain ? word : "'\(word.replacing("'", with: "'\\''"))'"
    }
}
