import EnsignCommandLine
import EnsignGateway
import EnsignModel
import EnsignSystem
import Glibc

extension Verb {
    static let serve = Verb(
        name: "serve",
        group: .serve,
        summary: "Serve the agents of a host, over HTTP and a Unix socket",
        discussion: """
            Runs until SIGTERM or SIGINT. Then no call is made any more, and those under way have 10 seconds to be \
            answered; what only reads is cancelled after that, and what changes something is waited for. Servers behind \
            it are ended. SIGHUP reads the operator's file again: what it says of agents, servers, limits and approvals counts \
            from then on, and a file that is not valid, or has errors that the one before has not, changes nothing. Addresses \
            and the state need a new start. A renewed certificate is taken then, too, and without it within ten seconds.
            """,
        options: [.operatorFile] + Option.places,
        examples: [
            Example(
                command: "ensign-gateway serve --config /etc/ensign/prod-gateway.yaml",
                meaning: "what the systemd unit runs"
            )
        ],
        output: .log
    ) { invocation in
        let operatorFile = try OperatorFile(invocation)
        let surroundings = Surroundings()
        let speaker = Speaker(invocation.console)
        operatorFile.show(operatorFile.findings + surroundings.findings(of: operatorFile.file), invocation.console)
        try operatorFile.requireSafe(surroundings, nil)
        let file = operatorFile.file
        guard file.listen.http != nil || file.listen.https != nil || file.listen.socket != nil else {
            throw Failure(
                message: "the operator's file names nothing to listen on",
                hints: ["listen: {socket: /run/ensign-gateway/prod.sock}", "'stdio' needs none"],
                code: .invalid
            )
        }
        // Threads that are started from here on leave these signals to this one.
        TerminationSignals.block()
        FileLimit.raise()
        let gateway = try Gateway(file, version: GatewayApp.version, surroundings: surroundings) { speaker.say($0) }
        let service = SwitchingGatekeeper(gateway)
        var fronts = try Fronts(file, service)
        let claim = Claim(file, isStarted: false)
        gateway.start(claim)
        for address in fronts.addresses { speaker.tell("listening on \(address)") }
        speaker.tell("claim \(claim.sentence)")
        loop: while true {
            switch TerminationSignals.wait(for: Verb.look) {
            case SIGHUP:
                do {
                    try service.reload(invocation, speaker)
                } catch {
                    // Whatever it is, what serves goes on.
                    speaker.tell("the file was not taken: \(GatewayApp.explanation(of: error).message)")
                }
            case nil: break
            default: break loop
            }
            fronts.encrypted?.renew(speaker.tell)
        }
        service.finish(within: Verb.patience)
        fronts.stop()
        service.end("stopped")
        speaker.tell("stopped")
        return .done
    }
}

extension Verb {
    /// How long the end waits for answers that are due.
    private static let patience = Duration.seconds(10)
    /// How often files are looked at that are renewed without a word.
    private static let look = Duration.seconds(10)
}

/// What is listened on.
private struct Fronts {
    private var web: HTTPFront?
    var encrypted: ServedEncryption?
    private var socket: SocketFront?
    var addresses: [String] = []

    init(_ file: GatewayFile, _ service: SwitchingGatekeeper) throws {
        if let http = file.listen.http {
            web = try HTTPFront(ListeningSocket(http), gatekeeper: service, version: GatewayApp.version)
            addresses.append("http://\(http)")
        }
        encrypted = try ServedEncryption(file, service)
        if let encrypted { addresses.append(encrypted.address) }
        if let path = file.listen.socket {
            socket = try SocketFront(path.value, gatekeeper: service, version: GatewayApp.version) { question, uid in
                ApprovalOffice(service.current).answer(question, uid: uid)
            }
            addresses.append(path.value)
        }
    }

    func stop() {
        web?.stop()
        encrypted?.front.stop()
        socket?.stop()
    }
}
