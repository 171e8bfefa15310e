import EnsignCommandLine
import EnsignGateway
import EnsignModel

extension Verb {
    static let pins = Verb(
        name: "pins",
        group: .ask,
        summary: "Compare what servers offer now with what was pinned",
        discussion: """
            A pin in git is the repository's word, and only a reviewed change of it changes it ('ensign import mcp'). Of \
            operations without one the gateway keeps what it first saw; --accept takes what a server offers now instead.
            """,
        options: [
            .operatorFile,
            Option(
                name: "accept",
                summary: "Take what the server of TOOL offers now, where git pins nothing",
                value: "TOOL",
                kind: .tool
            ),
        ] + Option.places,
        formats: [.text, .json],
        examples: [
            Example(
                command: "ensign-gateway pins --config gateway.yaml",
                meaning: "each granted operation and its pin"
            ),
            Example(
                command: "ensign-gateway pins --config gateway.yaml --accept crm",
                meaning: "after looking at what has changed: the server's new definitions count from now on"
            ),
        ]
    ) { invocation in
        let operatorFile = try OperatorFile(invocation)
        let console = invocation.console
        let speaker = Speaker(console)
        let gateway = try Gateway(operatorFile.file, version: GatewayApp.version) { speaker.say($0) }
        defer { gateway.end(nil) }
        var survey = Survey(gateway)
        if let name = invocation["accept"] {
            guard let tool = survey.tools.first(where: { $0.name == name }) else {
                throw Failure(message: "no agent is granted anything of '\(name)', and no upstream has this name")
            }
            for operation in tool.operations where operation.isListedTwice {
                console.note("the server lists \(name).\(operation.shown) twice: neither definition is taken")
            }
            for operation in tool.operations where !operation.isPinnedInGit && !operation.isListedTwice {
                guard let offered = operation.offered, operation.pin != offered else { continue }
                try gateway.pins.accept(operation.place(of: name), offered)
                console.note("\(name).\(operation.shown) is pinned to \(offered.short) from now on")
            }
            for operation in tool.operations
            where operation.isPinnedInGit && operation.state == .changed && !operation.isListedTwice {
                console.note(
                    "\(name).\(operation.shown) is pinned in git: only a merged change of its manifest changes it"
                )
            }
            survey = Survey(gateway)
        }
        if invocation.format == .json { invocation.json(survey.json) } else { console.out(table(survey, console)) }
        return survey.tools.contains { $0.operations.contains { $0.state == .changed } } ? .refused : .done
    }

    private static func table(_ survey: Survey, _ console: Console) -> String {
        var table = TextTable(header: ["OPERATION", "STATE", "PINNED BY", "PIN", "OFFERED"])
        for tool in survey.tools {
            for operation in tool.operations {
                // Its pin may be what is offered first.
                let state =
                    operation.isListedTwice ? "listed twice, with different definitions" : operation.state.rawValue
                table.rows.append([
                    "\(tool.name).\(operation.shown)", state,
                    operation.isPinnedInGit ? "git" : operation.pin == nil ? "-" : "first seen",
                    operation.pin?.short ?? "-", operation.offered?.short ?? "-",
                ])
            }
        }
        return table.render(console)
    }
}
