import EnsignSystem
import Glibc

/// A program of this package: its verbs, and how it is run.
package struct Program: Sendable {
    package var name: String
    package var version: String
    /// One line, without a full stop.
    package var summary: String
    /// A paragraph of the overview, in lines of at most 80 characters: it is shown as it is written.
    package var discussion: String
    /// In the order of the overview.
    package var groups: [Verb.Group]
    package var verbs: [Verb]
    /// Options that every verb takes.
    package var common: [Option]
    /// What may be given for a value that is neither a choice nor a text nor a file.
    package var names: @Sendable (ValueKind, Completer) -> [String]
    /// What a person reads about an error. It decides about all kinds.
    package var explain: @Sendable (any Error, Invocation?) -> Explanation
    /// What somebody meant whose words are wrong use; nil when nothing is near.
    package var slip: @Sendable ([String]) -> String?

    package init(
        name: String,
        version: String,
        summary: String,
        discussion: String,
        groups: [Verb.Group],
        verbs: [Verb],
        common: [Option],
        names: @escaping @Sendable (ValueKind, Completer) -> [String],
        explain: @escaping @Sendable (any Error, Invocation?) -> Explanation,
        slip: @escaping @Sendable ([String]) -> String?
    ) {
        self.name = name
        self.version = version
        self.summary = summary
        self.discussion = discussion
        self.groups = groups
        self.verbs = verbs
        self.common = common
        self.names = names
        self.explain = explain
        self.slip = slip
    }

    package func verb(named name: String) -> Verb? { verbs.first { $0.name == name } }

    /// Runs a command line and returns the exit status.
    package func run(_ words: [String]) -> Int32 {
        // A closed pipe and a limit on the size of files are seen where something is written.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        // A file that is opened in the place of a closed stream would get what is meant for the stream.
        Machine.fillStandardStreams()
        if words.first == CompletionScript.verb {
            complete(words.dropFirst().first ?? "", Array(words.dropFirst(2)))
            return ExitCode.done.rawValue
        }
        let console = Console.standard(name, noColour: words.contains("--no-color"))
        var invocation: Invocation?
        do {
            switch try Parser(self).parse(words, console: console) {
            case .help(let verb):
                console.out(verb.map(Help(self).verb) ?? Help(self).overview())
                return ExitCode.done.rawValue
            case .nothing:
                // Whoever asked for nothing asked for no help either: a caller that lost its words must not be told "done".
                console.note(Help(self).overview())
                return ExitCode.usage.rawValue
            case .version:
                console.line("\(name) \(version)")
                return ExitCode.done.rawValue
            case .run(let parsed):
                invocation = parsed
                return parsed.console.status(try parsed.verb.run(parsed)).rawValue
            }
        } catch {
            var explanation = explain(error, invocation)
            if explanation.code == .usage, let hint = slip(words) { explanation.hints.insert(hint, at: 0) }
            explanation.print(to: console)
            return explanation.code.rawValue
        }
    }

    /// Prints what may come next. Where that is another program's, that is asked; what is not installed offers nothing.
    private func complete(_ shell: String, _ words: [String]) {
        let completer = Completer(self, words)
        if let passed = completer.passedOn, let other = completer.verb?.passesOn {
            _ = Machine.become(other(), [CompletionScript.verb, shell] + passed)
            return
        }
        Console.standard(name, noColour: true).out(completer.lines(shell))
    }
}
