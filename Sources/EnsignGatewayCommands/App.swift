package import EnsignCommandLine
import EnsignGateway
import EnsignModel
import EnsignSystem

/// The command line of the gateway as a whole.
package enum GatewayApp {
    static let name = "ensign-gateway"

    /// Ensign's own version.
    package static let version = Product.version

    package static let program = Program(
        name: name,
        version: version,
        summary: "What merged git lets an agent do, held at every call",
        discussion: """
            Stands between agents and their MCP servers: offers what the live bundle
            grants, checks every call, and records each decision. It needs no repository
            and no key of the ledger: a live directory, the fleet's public keys, and the
            operator's file.
            """,
        groups: [.serve, .approve, .ask, .record, .setUp],
        verbs: [
            .serve, .stdio, .check, .pins, .approvals, .log, .verify, .replay, .schema, .completion(of: name, .setUp),
            .version,
        ],
        common: [.quiet, .noColour, .help],
        names: { _, _ in [] },
        explain: { error, _ in explanation(of: error) },
        slip: { _ in nil }
    )

    /// Runs a command line and returns the exit status.
    package static func run(_ words: [String]) -> Int32 { program.run(words) }

    static func explanation(of error: any Error) -> Explanation {
        switch error {
        case let error as UsageError: Explanation(error, of: name)
        case let error as Failure: Explanation(error)
        case let error as RecordFailure: Explanation(error.message, [], .failed)
        case let error as SystemError: Explanation(error.description, [], .failed)
        default: Explanation("\(error)", [], .failed)
        }
    }
}

extension Verb.Group {
    static let serve = Verb.Group("Serve")
    static let approve = Verb.Group("Agree")
    static let ask = Verb.Group("Ask")
    static let record = Verb.Group("The record")
    static let setUp = Verb.Group("Set up")
}

extension Option {
    static let operatorFile = Option(
        name: "config",
        summary: "Name the operator's file",
        value: "FILE",
        kind: .file,
        isRequired: true
    )

    /// In place of the file's own: for developers, whose live directory is made anew by each `ensign dev`.
    static let places = [
        Option(
            name: "live",
            summary: "Take this live directory instead of the file's, as 'ensign dev' prints it",
            value: "DIR",
            kind: .file
        ),
        Option(name: "keys", summary: "Take these keys instead of the file's", value: "FILE", kind: .file),
        Option(name: "state", summary: "Take this state instead of the file's", value: "DIR", kind: .file),
    ]
}
