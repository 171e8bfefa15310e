import EnsignCommandLine
import EnsignGateway
import EnsignModel
import EnsignSystem
import Synchronization

/// The gateway that serves now: another one after the operator's file was read again.
final class SwitchingGatekeeper: Gatekeeper {
    private let serving: Mutex<Gateway>
    /// Those that served before, as long as anything of theirs is under way; the oldest first.
    private let earlier = Mutex<[Earlier]>([])
    /// One looks at all of them; the next may begin before the thread of the last one has come to rest.
    private let retiring = WorkerPool(most: 2)

    private struct Earlier {
        let gateway: Gateway
        let since = ContinuousClock.now
    }

    /// How long a gateway is kept for what is under way.
    private static let longest = Duration.seconds(3_600)

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
        let before = current
        // What serves is not given up for what has errors, unless it has them, too, and serves with them.
        let known = Set(surroundings.findings(of: before.file).map { [$0.code, $0.message] })
        let stops = findings.contains { finding in
            finding.severity == .error
                && (OperatorFile.unsafe.contains(finding.code) || !known.contains([finding.code, finding.message]))
        }
        guard !stops else { throw Failure(message: "it has errors, and the file before still counts") }
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
        before.rest()
        let isFirst = earlier.withLock { earlier in
            earlier.append(Earlier(gateway: before))
            return earlier.count == 1
        }
        guard isFirst, !retiring.run({ [self] in retireEarlier() }) else { return }
        speaker.tell("servers of an earlier file go on until the end")
    }

    /// Ends those of which nothing is under way any more, until there is none.
    private func retireEarlier() {
        while true {
            let all = earlier.withLock { $0 }
            for one in all where one.gateway.gate.isIdle || ContinuousClock.now - one.since > Self.longest {
                one.gateway.retire()
                // Whoever adds the next one behind the last begins anew.
                let isOver = earlier.withLock { earlier in
                    earlier.removeAll { $0.gateway === one.gateway }
                    return earlier.isEmpty
                }
                if isOver { return }
            }
            Machine.pause(milliseconds: 100)
        }
    }

    /// Makes no call any more. Returns when those under way are answered, and at the latest after `patience`.
    func finish(within patience: Duration) {
        let gates = (earlier.withLock { $0.map(\.gateway) } + [current]).map(\.gate)
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
        for one in earlier.withLock({ $0 }) { one.gateway.end(nil) }
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
