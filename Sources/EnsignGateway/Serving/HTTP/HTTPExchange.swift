import EnsignModel

/// One request by HTTP: its head, its body as it comes, and its answer. For one thread.
final class HTTPExchange {
    private let head: HTTPHead
    private let connection: Int
    private let site: HTTPSite
    private var session: Session?
    private var refusal: HTTPAnswer?
    private var body: [UInt8] = []
    /// What it has taken of the room for messages.
    private var room = 0

    /// Decides whether its message will be looked at. What is refused is read all the same where it is short: a client that
    /// still sends would not see the answer.
    init(_ head: HTTPHead, connection: Int, site: HTTPSite, isKnown: () -> Bool) {
        self.head = head
        self.connection = connection
        self.site = site
        do throws(HTTPAnswer) {
            let session = try admit(isKnown)
            site.connections.proved(connection, session.agent)
            self.session = session
            refusal = site.rules.refusal(ofBody: head)
        } catch {
            refusal = error
        }
        site.connections.reads(connection)
    }

    deinit {
        if let session, room > 0 { site.connections.room.give(room, session.agent) }
    }

    private func takeRoom(_ count: Int) -> Bool {
        guard let session, count > 0 else { return true }
        guard site.connections.room.take(count, session.agent) else { return false }
        room += count
        return true
    }

    private func admit(_ isKnown: () -> Bool) throws(HTTPAnswer) -> Session {
        if site.wantsCertificate, !site.connections.isKnown(connection, isKnown) {
            throw .refusal(403, "a client here has a certificate of the operator's authority")
        }
        let refusal = site.rules.refusal(of: head) { site.connections.address(connection) }
        if let refusal { throw refusal }
        let peer = try site.rules.peer(of: head)
        guard let session = site.gatekeeper.admit(peer) else { throw HTTPRules.unknown(peer) }
        return session
    }

    /// Whether the body is not waited for.
    var isAnsweredAtOnce: Bool {
        guard let refusal else { return false }
        // A body whose end nobody knows is not read until the end of the connection.
        return refusal.status == 501 || site.rules.isTooLong(head) || head["expect"] != nil
    }

    /// - Returns: Whether more is read.
    func take(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        let isTooLong = body.count + bytes.count > ClientMessage.most
        guard refusal == nil else {
            // Refused, and without end.
            passedOver += bytes.count
            return passedOver <= HTTPConnections.mostUnread
        }
        if isTooLong {
            refusal = HTTPRules.tooLong
        } else if !takeRoom(bytes.count) {
            refusal = busy()
        } else {
            unsafe body.append(contentsOf: bytes)
        }
        return true
    }

    private var passedOver = 0
    /// Of the call that it is.
    private var cancellation: Cancellation?

    /// Its answer could not be sent as a whole.
    func lose() { cancellation?.lose() }

    /// Whether no other request of its connection is done.
    var isLast: Bool {
        site.gatekeeper.isClosed || site.connections.isStopping || HTTPRules.refusal(ofFraming: head) != nil
    }

    /// Whether a message that is too long is answered before it has come as a whole, whoever sends it. A client that still sends
    /// would not see the answer where the connection ended at once.
    var isCutShort: Bool { refusal != nil && site.rules.isTooLong(head) }

    /// The body is not read, so nobody knows which request this would answer, nor what it asks for.
    private func busy() -> HTTPAnswer {
        var decision: JSONValue?
        if let session {
            let call = IncomingCall(
                name: head["mcp-name"].flatMap(HTTPRules.decoded) ?? "tools/call",
                arguments: [:],
                protocolVersion: head["mcp-protocol-version"] ?? "2025-03-26",
                cancellation: Cancellation()
            )
            let result = site.gatekeeper.refuse(call, Refusal.noRoom(call.name), in: session)
            decision = result["_meta"]?["dev.ensign/decision"]
        }
        let error = ProtocolError(
            ProtocolError.notAMessage,
            "too many requests at the same time: try again",
            data: decision.map { ["dev.ensign/decision": $0] }
        )
        var answer = HTTPAnswer(503, Reply.message(.null, error))
        answer.headers = [("Retry-After", "1")]
        return answer
    }

    /// The answer; nil where there is none, which ends the connection. Blocks as long as a call takes.
    func finish() -> HTTPAnswer? {
        defer { site.connections.answers(connection) }
        let answer = decide()
        if let session, let count = answer?.body.count {
            // An answer that its client does not read takes memory as well. What was done is told all the same.
            site.connections.room.hold(count, session.agent)
            room += count
        }
        return answer
    }

    private func decide() -> HTTPAnswer? {
        if let refusal { return refusal }
        guard let session else { return nil }
        guard takeRoom(ClientMessage.memory(for: body)) else { return busy() }
        let message = ClientMessage(body)
        var agreed: String?
        switch message {
        case .request(let request):
            do throws(ProtocolError) {
                agreed = try site.rules.version(of: request, head)
            } catch {
                return HTTPAnswer(400, Reply.message(request.id, error))
            }
        case .defect(let id, let error): return HTTPAnswer(400, Reply.message(id, error))
        // By HTTP what cannot be taken has a status that says so (2025-11-25, "Transports").
        case .badNotification(let error): return HTTPAnswer(400, Reply.message(.null, error))
        case .notification, .answer:
            do throws(ProtocolError) { try site.rules.checkVersion(ofNotification: head) } catch {
                return HTTPAnswer(400, Reply.message(.null, error))
            }
        }
        var messages = ClientProtocol(version: site.version, canListen: false, agreed: agreed)
        return answer(messages.take(message), message, session)
    }

    private func answer(_ step: ClientProtocol.Step, _ message: ClientMessage, _ session: Session) -> HTTPAnswer? {
        switch step {
        case .nothing, .initialized: return .accepted
        case .cancel(let id):
            if let name = name(session, id) { site.connections.cancel(name) }
            return .accepted
        case .answer(let value, let failure):
            guard let failure, case .request(let request) = message,
                request.isStateless || request.method == "server/discover"
            else { return HTTPAnswer(200, value) }
            return HTTPAnswer(failure.status, value)
        case .list(let reply, let traceparent):
            return HTTPAnswer(200, site.gatekeeper.answer(reply, toListFor: session, traceparent: traceparent))
        case .call(let reply, let call):
            if reply.isStateless, let error = mismatch(of: call, session) {
                return HTTPAnswer(400, Reply.message(reply.id, error))
            }
            let cancellation = Cancellation { [site, connection] in site.connections.hasLeft(connection) }
            self.cancellation = cancellation
            let value = site.connections.call(connection, name(session, reply.id), cancellation) {
                site.gatekeeper.answer(reply, to: call, in: session, cancellation, progress: nil)
            }
            // Whoever cancels by a notification has its request still open: a connection that ends without an answer would be
            // taken for one that broke. What came of it is told, which may be that it was done.
            return HTTPAnswer(200, value)
        // It is not offered, since each answer is one text.
        case .listen: return nil
        }
    }

    /// Why the headers of a call do not say what its arguments say: whoever stands between may have relied on them.
    private func mismatch(of call: ToolCall, _ session: Session) -> ProtocolError? {
        let traceparent = call.meta["traceparent"]?.string
        return site.gatekeeper.mirrored(by: call.name, for: session, traceparent: traceparent)?
            .difference(of: head.headers, from: call.arguments)
            .map { ProtocolError(ProtocolError.otherHeader, $0) }
    }

    /// Which call an id is, where that can be known: ids of two clients are often the same, and only the run tells them apart.
    private func name(_ session: Session, _ id: JSONValue) -> HTTPConnections.Name? {
        session.run == nil ? nil : HTTPConnections.Name(session: session, id: id)
    }
}

/// What all requests of one server by HTTP share.
struct HTTPSite: Sendable {
    let rules: HTTPRules
    let gatekeeper: any Gatekeeper
    /// The gateway's own.
    let version: String
    let connections: HTTPConnections
    let wantsCertificate: Bool
}
