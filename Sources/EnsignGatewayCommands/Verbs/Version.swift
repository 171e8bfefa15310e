import EnsignCommandLine
import EnsignModel

extension Verb {
    static let version = Verb(
        name: "version",
        group: .setUp,
        summary: "Print the gateway's version",
        formats: [.text, .json],
        examples: [Example(command: "ensign-gateway version", meaning: "the version of this program")],
        output: .answer
    ) { invocation in
        switch invocation.format {
        case .json: invocation.json(["v": 1, "version": .string(GatewayApp.version)])
        case .text, .markdown, .sarif: invocation.console.line("\(GatewayApp.name) \(GatewayApp.version)")
        }
        return .done
    }
}
