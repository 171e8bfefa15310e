import EnsignCommandLine
import EnsignGateway
import EnsignJSON
import EnsignModel
import EnsignSystem

extension Verb {
    static let stdio = Verb(
        name: "stdio",
        group: .serve,
        summary: "Serve one agent over standard input and output",
        discussion: """
            For clients that start a process: the command of a server in .mcp.json, Claude Desktop, LangChain and others. \
            Where the operator's file names a socket it speaks to the gateway that serves there, and never works alone; \
            else it does all the work itself. It keeps nothing that the next process would miss. Where the file knows \
            the agent by a token, ENSIGN_TOKEN holds it.
            """,
        options: [
            .operatorFile,
            Option(name: "agent", summary: "Name the agent, <team>/<agent>", value: "T/A", isRequired: true),
            Option(name: "key", summary: "Give the session's key: which of a canary's versions it takes", value: "K"),
            Option(name: "run", summary: "Name the run: what belongs together, and what its limits count", value: "R"),
        ] + Option.places,
        examples: [
            Example(
                command: "ensign-gateway stdio --config gateway.yaml --agent support/refund-triage --key ticket-4711",
                meaning: "what .mcp.json names as the server's command"
            )
        ],
        output: .log
    ) { invocation in
        guard let agent = AgentID(invocation["agent"] ?? "") else {
            throw UsageError(message: "'--agent' names an agent: <team>/<agent>", verb: "stdio")
        }
        for name in ["run", "key"] {
            guard let text = invocation[name] else { continue }
            guard ClientName.isValid(text) else {
                throw UsageError(message: "'--\(name)' is \(ClientName.rule)", verb: "stdio")
            }
        }
        let operatorFile = try OperatorFile(invocation)
        let file = operatorFile.file
        let run = invocation["run"].map { RunName($0, .option) }
        if let socket = file.listen.socket {
            let hello = SocketHello(
                agent: agent,
                key: invocation["key"],
                run: invocation["run"],
                token: Machine.environment("ENSIGN_TOKEN")
            )
            switch SocketConnector.run(path: socket.value, hello: hello, version: GatewayApp.version) {
            case .done: return .done
            case .refused(let why): throw Failure(message: why, code: .refused)
            }
        }
        let surroundings = Surroundings()
        try operatorFile.requireSafe(surroundings, invocation.console)
        let speaker = Speaker(invocation.console)
        let gateway = try Gateway(file, version: GatewayApp.version, surroundings: surroundings) { speaker.say($0) }
        // Whoever may start it may read the file and the state: there is nobody to keep out.
        let peer = Peer(.started, agent: agent, run: run, key: invocation["key"])
        guard let session = gateway.gate.admit(peer) else {
            throw Failure(message: "\(agent) cannot be served", code: .refused)
        }
        if let agents = try? gateway.live.ready().agents(), !agents.contains(agent) {
            let nearest = closestMatch(to: agent.description, among: agents.map(\.description))
            speaker.tell("\(agent) is not live here\(nearest.map { "; did you mean \($0)?" } ?? "")")
        }
        gateway.start(Claim(file, isStarted: true))
        StdioFront.serve(gatekeeper: gateway.gate, session: session, version: GatewayApp.version)
        gateway.end(nil)
        return .done
    }
}
