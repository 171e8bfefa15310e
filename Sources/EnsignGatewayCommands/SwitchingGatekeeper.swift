import EnsignCommandLine
import EnsignGateway
import EnsignModel
import EnsignSystem
import Synchronization

/// The gateway that serves now: another one after the operator's file was read again.
final class SwitchingGatekeeper: Gatekeeper {
    private let serving: Mutex<Gateway>
    /// Those that served before, as long as anything of theirs is under way; the oldest first.
    private let earlier = Mutex<[Gateway]>([])
    private let retiring = WorkerPool(most: 4)

    init(_ gateway: Gateway) { serving = Mutex(gateway) }

    var current: Gateway { serving.withLock { $0 } }

    /// Reads the file again and serves by it. What is under way goes on by the one before.
    ///
    /// - Throws: ``Failure``, or whatever keeps a gateway from being made: then nothing has changed.
    func reload(_ invocation: Invocation, _ speaker: Speaker) throws {
        let operatorFile = try OperatorFile(invocation)
        let surroundings = Surroundings()
        let findings = operatorFile.findings + surroundings.findings(of: operatorFile.file)
        operatorFile.show(findings, invocation.console)
        // What serves is not given up for what has errors.
        guard !findings.contains(where: { $0.severity == .error }) else {
            throw Failure(message: "it has errors, and the file before still counts")
        }
        let before = current
        guard operatorFile.file.isServed(like: before.file) else {
            throw Failure(message: "addresses, the live directory and the state need a new start")
        }
        let next = try Gateway(
            operatorFile.file,
            version: GatewayApp.version,
            surroundings: surroundings,
            after: before
        ) { speaker.say($0) }
        let claim = Claim(operatorFile.file, isStarted: false)
        next.start(claim)
        serving.withLock { $0 = next }
        speaker.tell("the file was read again; claim \(claim.sentence)")
        earlier.withLock { $0.append(before) }
        let isTaken = retiring.run { [self] in
            before.retire()
            earlier.withLock { $0.removeAll { $0 === before } }
        }
        if !isTaken { speaker.tell("servers of an earlier file go on until the end") }
    }

    /// Makes no call any more. Returns when those under way are answered, and at the latest after `patience`.
    func finish(within patience: Duration) {
        let gates = (earlier.withLock { $0 } + [current]).map(\.gate)
        for gate in gates { gate.close() }
        let end = ContinuousClock.now + patience
        while !gates.allSatisfy(\.isIdle), ContinuousClock.now < end { Machine.pause(milliseconds: 20) }
        // The last answers are on their way yet.
        Machine.pause(milliseconds: 100)
    }

    /// Ends all servers, those of earlier files, too. What is under way was finished before.
    ///
    /// - Parameter note: For the log.
    func end(_ note: String) {
        for gateway in earlier.withLock({ $0 }) { gateway.end(nil) }
        current.end(note)
    }

    func admit(_ peer: Peer) -> Session? { current.gate.admit(peer) }

    func offer(to session: Session, traceparent: String?) -> Result<[OfferedTool], Refusal> {
        current.gate.offer(to: session, traceparent: traceparent)
    }

    func mirrored(by name: String, for session: Session, traceparent: String?) -> MirroredArguments? {
        current.gate.mirrored(by: name, for: session, traceparent: traceparent)
    }

    func call(_ call: IncomingCall, in session: Session) -> JSONValue { current.gate.call(call, in: session) }

    func refuse(_ call: IncomingCall, _ refusal: Refusal, in session: Session) -> JSONValue {
        current.gate.refuse(call, refusal, in: session)
    }

    func offerMark(for session: Session) -> Int { current.gate.offerMark(for: session) }

    var isClosed: Bool { current.gate.isClosed }
}

extension GatewayFile {
    /// Whether another file is served at the same places.
    fileprivate func isServed(like other: GatewayFile) -> Bool {
        live.value == other.live.value && state.value == other.state.value
            && listen.http == other.listen.http && listen.socket?.value == other.listen.socket?.value
            && listen.https?.address == other.listen.https?.address
            && listen.https?.certificate.value == other.listen.https?.certificate.value
            && listen.https?.key.value == other.listen.https?.key.value
            && listen.https?.clientCA?.value == other.listen.https?.clientCA?.value
    }
}
