package import EnsignCommandLine

/// The command line as a whole.
package enum App {
    static let name = "ensign"

    /// Ensign's own version.
    package static let version = Product.version

    package static let program = Program(
        name: name,
        version: version,
        summary: "GitOps for fleets of AI agents",
        discussion: """
            Ensign keeps a fleet of AI agents exactly as a git repository says, and signs
            a record of every change.
            """,
        groups: [.declare, .apply, .ask, .record, .setUp],
        verbs: Verbs.all,
        common: Option.common,
        names: { kind, line in line.repositoryNames(kind) },
        explain: { error, invocation in Explanation(invocation?.explainedIfPartial(error) ?? error) },
        slip: Slips.hint
    )

    /// Runs a command line and returns the exit status.
    package static func run(_ words: [String]) -> Int32 { program.run(words) }
}
