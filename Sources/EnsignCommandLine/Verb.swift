/// One verb of a command line.
///
/// Parser, help, completion and the reference in docs/ all read this declaration.
package struct Verb: Sendable {
    package var name: String
    package var group: Group
    /// One line, without a full stop.
    package var summary: String
    /// A paragraph or two for `--help`.
    package var discussion: String
    package var arguments: [Argument]
    package var options: [Option]
    /// Whether `--output` makes sense, and which formats.
    package var formats: [Format]
    package var examples: [Example]
    /// What becomes of it when nobody can read its results.
    package var output: Output
    /// The other program whose all words behind it are, options among them; nil for none. Asked when it is needed.
    package var passesOn: (@Sendable () -> String)?
    package var run: @Sendable (Invocation) throws -> ExitCode

    package init(
        name: String,
        group: Group,
        summary: String,
        discussion: String = "",
        arguments: [Argument] = [],
        options: [Option] = [],
        formats: [Format] = [],
        examples: [Example] = [],
        output: Output = .change,
        passesOn: (@Sendable () -> String)? = nil,
        run: @escaping @Sendable (Invocation) throws -> ExitCode
    ) {
        self.name = name
        self.group = group
        self.summary = summary
        self.discussion = discussion
        self.arguments = arguments
        self.options = options
        self.formats = formats
        self.examples = examples
        self.output = output
        self.passesOn = passesOn
        self.run = run
    }

    /// What a verb's results are to its work. Unless a verb says that it only answers, it may change something.
    package enum Output: Sendable, Hashable {
        /// The results are all that it is for: it ends when they cannot be written.
        case answer
        /// It ends what it has begun to change, and then fails if the results could not be written.
        case change
        /// A service's log: it serves on, whoever reads.
        case log
    }

    /// How the overview arranges verbs.
    package struct Group: Sendable, Hashable {
        package var title: String

        package init(_ title: String) { self.title = title }
    }

    package struct Example: Sendable {
        package var command: String
        package var meaning: String

        package init(command: String, meaning: String) {
            self.command = command
            self.meaning = meaning
        }
    }
}

/// A positional argument.
package struct Argument: Sendable {
    package var name: String
    package var summary: String
    package var isRequired: Bool
    /// Whether it may be given several times; only the last argument.
    package var isRepeatable: Bool
    package var kind: ValueKind
    /// The choices of the first argument that it is for; nil for all.
    package var with: [String]?

    package init(
        name: String,
        summary: String,
        isRequired: Bool = true,
        isRepeatable: Bool = false,
        kind: ValueKind = .text,
        with: [String]? = nil
    ) {
        self.name = name
        self.summary = summary
        self.isRequired = isRequired
        self.isRepeatable = isRepeatable
        self.kind = kind
        self.with = with
    }
}

/// An option with or without a value.
package struct Option: Sendable {
    /// Without dashes.
    package var name: String
    /// One letter for the same.
    package var short: Character?
    /// Imperative, without a full stop.
    package var summary: String
    /// What the value is called; nil for a flag.
    package var value: String?
    package var kind: ValueKind
    package var isRepeatable: Bool
    package var isRequired: Bool
    package var use: OptionUse
    /// Says what is wrong with a value, and a hint; nil where any value will do.
    package var slip: (@Sendable (String) -> (message: String, hint: String?)?)?

    package init(
        name: String,
        short: Character? = nil,
        summary: String,
        value: String? = nil,
        kind: ValueKind = .text,
        isRepeatable: Bool = false,
        isRequired: Bool = false,
        use: OptionUse = .anywhere,
        slip: (@Sendable (String) -> (message: String, hint: String?)?)? = nil
    ) {
        self.name = name
        self.short = short
        self.summary = summary
        self.value = value
        self.kind = kind
        self.isRepeatable = isRepeatable
        self.isRequired = isRequired
        self.use = use
        self.slip = slip
    }

    package static let quiet = Option(
        name: "quiet",
        short: "q",
        summary: "Print results only, and as little as possible"
    )
    package static let noColour = Option(name: "no-color", summary: "Do not colour, even on a terminal")
    package static let help = Option(name: "help", short: "h", summary: "Show help")

    package static func output(_ formats: [Format]) -> Option {
        Option(
            name: "output",
            short: "o",
            summary: "Choose the format",
            value: formats.map(\.rawValue).joined(separator: "|"),
            kind: .choice(formats.map(\.rawValue))
        )
    }
}

/// What a value is, for completion and for checking.
package enum ValueKind: Sendable, Hashable {
    case text, file, environment, agent, team, revision
    /// A tool, or one of its operations.
    case tool
    /// `TOOL.OPERATION`.
    case operation
    /// A version of the agent that an argument names.
    case version
    /// What `diff` compares.
    case side
    /// What something new is made for: the agent of a version, the tool of a binding, as the argument before it says.
    case subject
    case choice([String])
    /// `KEY=VALUE`.
    case setting
}

/// How results are written.
package enum Format: String, Sendable, CaseIterable {
    case text, json, markdown, sarif
}
