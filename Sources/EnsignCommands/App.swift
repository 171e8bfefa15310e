import EnsignSystem
import Glibc

/// The command line as a whole.
package enum App {
    /// Ensign's own version.
    package static let version = "0.1.0"

    /// Runs a command line and returns the exit status.
    package static func run(_ words: [String]) -> Int32 {
        // A closed pipe and a limit on the size of files are seen where something is written.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        // A file that is opened in the place of a closed stream would get what is meant for the stream.
        Machine.fillStandardStreams()
        if words.first == CompletionScript.verb {
            let rest = words.dropFirst()
            Console.standard(noColour: true).out(Completer.lines(rest.first ?? "", Array(rest.dropFirst())))
            return ExitCode.done.rawValue
        }
        let console = Console.standard(noColour: words.contains("--no-color"))
        do {
            switch try Parser.parse(words, console: console) {
            case .help(let verb):
                console.out(verb.map(Help.verb) ?? Help.overview())
                return ExitCode.done.rawValue
            case .nothing:
                // Whoever asked for nothing asked for no help either: a caller that lost its words must not be told "done".
                console.note(Help.overview())
                return ExitCode.usage.rawValue
            case .version:
                console.line("ensign \(version)")
                return ExitCode.done.rawValue
            case .run(let invocation):
                do {
                    return try invocation.verb.run(invocation).rawValue
                } catch {
                    throw invocation.explainedIfPartial(error)
                }
            }
        } catch {
            var explanation = Explanation(error)
            if explanation.code == .usage, let hint = Slips.hint(words) { explanation.hints.insert(hint, at: 0) }
            explanation.print(to: console)
            return explanation.code.rawValue
        }
    }
}
