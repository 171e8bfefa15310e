import EnsignCommandLine
import EnsignSystem

extension Verb {
    static let gateway = Verb(
        name: "gateway",
        group: .ask,
        summary: "Run ensign-gateway, which holds what is merged at every call",
        discussion: """
            Replaces itself by ensign-gateway, with all that follows: it listens, and never has a key of the ledger. It \
            is looked for beside this program, then in PATH. 'ensign gateway --help' is its own help.
            """,
        arguments: [
            Argument(name: "WORD...", summary: "What ensign-gateway is given", isRequired: false, isRepeatable: true)
        ],
        examples: [
            Example(
                command: "ensign gateway check --config gateway.yaml",
                meaning: "the operator's file, the live directory, and every server"
            )
        ],
        passesOn: true
    ) { invocation in
        let program = GatewayProgram.path
        let error = Machine.become(program, invocation.arguments)
        throw Failure(
            message: "cannot run \(program): \(error.reason)",
            hints: ["'make install' installs both programs"]
        )
    }
}

/// The other program of this package.
enum GatewayProgram {
    private static let name = "ensign-gateway"

    /// Where it is: beside this program, else wherever PATH leads.
    static var path: String {
        let beside = Machine.executable.flatMap { path in
            path.lastIndex(of: "/").map { "\(path[...$0])\(name)" }
        }
        return beside.flatMap { Files.isExecutable($0) ? $0 : nil } ?? name
    }
}
