import EnsignCommandLine
import EnsignModel

extension Verb {
    static let version = Verb(
        name: "version",
        group: .setUp,
        summary: "Print Ensign's version",
        formats: [.text, .json],
        examples: [Example(command: "ensign version", meaning: "the version of this program")],
        output: .answer
    ) { invocation in
        switch invocation.format {
        case .json: invocation.json(["v": 1, "version": .string(App.version)])
        case .text, .markdown, .sarif: invocation.console.line("ensign \(App.version)")
        }
        return .done
    }
}
