/// One verb of the command line.
///
/// Parser, help, completion and the reference in docs/ all read this declaration.
struct Verb: Sendable {
    var name: String
    var group: Group
    /// One line, without a full stop.
    var summary: String
    /// A paragraph or two for `--help`.
    var discussion: String = ""
    var arguments: [Argument] = []
    var options: [Option] = []
    /// Whether `--output` makes sense, and which formats.
    var formats: [Format] = []
    var examples: [Example] = []
    var run: @Sendable (Invocation) throws -> ExitCode

    /// How the overview arranges verbs.
    enum Group: String, Sendable, CaseIterable {
        case declare = "Declare"
        case apply = "Apply"
        case ask = "Ask"
        case record = "The record"
        case setUp = "Set up"
    }

    struct Example: Sendable {
        var command: String
        var meaning: String
    }
}

/// A positional argument.
struct Argument: Sendable {
    var name: String
    var summary: String
    var isRequired = true
    var kind: ValueKind = .text
}

/// An option with or without a value.
struct Option: Sendable {
    /// Without dashes.
    var name: String
    /// One letter for the same.
    var short: Character?
    /// Imperative, without a full stop.
    var summary: String
    /// What the value is called; nil for a flag.
    var value: String?
    var kind: ValueKind = .text
    var isRepeatable = false
    var isRequired = false
}

/// What a value is, for completion and for checking.
enum ValueKind: Sendable, Hashable {
    case text, file, environment, agent, team, revision
    /// A tool, or one of its operations.
    case tool
    /// `TOOL.OPERATION`.
    case operation
    /// A version of the agent that an argument names.
    case version
    /// What `diff` compares.
    case side
    case choice([String])
}

/// How results are written.
enum Format: String, Sendable, CaseIterable {
    case text, json, markdown, sarif
}

extension Option {
    static let environment = Option(
        name: "env",
        summary: "Name the environment",
        value: "ENV",
        kind: .environment,
        isRequired: true
    )

    static let anyEnvironment = Option(
        name: "env",
        summary: "Name the environment; all of them if left out",
        value: "ENV",
        kind: .environment
    )

    static let reason = Option(name: "reason", summary: "Say why, for the record", value: "TEXT")

    /// Options that every verb takes.
    static let common: [Option] = [
        Option(name: "repo", summary: "Work on the repository at DIR instead of here", value: "DIR", kind: .file),
        Option(
            name: "config",
            short: "c",
            summary: "Set a git config value for this call",
            value: "KEY=VALUE",
            isRepeatable: true
        ),
        Option(name: "quiet", short: "q", summary: "Print results only, and as little as possible"),
        Option(name: "no-color", summary: "Do not colour, even on a terminal"),
        Option(name: "help", short: "h", summary: "Show help"),
    ]

    static func output(_ formats: [Format]) -> Option {
        Option(
            name: "output",
            short: "o",
            summary: "Choose the format",
            value: formats.map(\.rawValue).joined(separator: "|"),
            kind: .choice(formats.map(\.rawValue))
        )
    }
}
