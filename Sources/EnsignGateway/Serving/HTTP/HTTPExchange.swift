import EnsignModel

/// One request by HTTP: its head, its body as it comes, and its answer. For one thread.
final class HTTPExchange {
    private let head: HTTPHead
    private let connection: Int
    private let site: HTTPSite
    private var session: Session?
    private var refusal: HTTPAnswer?
    private var body: [UInt8] = []

    /// Decides whether its message will be looked at. What is refused is read all the same where it is short: a client that
    /// still sends would not see the answer.
    init(_ head: HTTPHead, connection: Int, site: HTTPSite, isKnown: () -> Bool) {
        self.head = head
        self.connection = connection
        self.site = site
        do throws(HTTPAnswer) {
            session = try admit(isKnown)
            refusal = site.rules.refusal(ofBody: head)
        } catch {
            refusal = error
        }
        site.connections.reads(connection)
    }

    deinit { site.connections.giveRoom(body.count) }

    private func admit(_ isKnown: () -> Bool) throws(HTTPAnswer) -> Session {
        if site.wantsCertificate, !site.connections.isKnown(connection, isKnown) {
            throw .refusal(403, "a client here has a certificate of the operator's authority")
        }
        if let refusal = site.rules.refusal(of: head) { throw refusal }
        let peer = try site.rules.peer(of: head)
        guard let session = site.gatekeeper.admit(peer) else { throw HTTPRules.unknown(peer) }
        return session
    }

    /// Whether the body is not waited for.
    var isAnsweredAtOnce: Bool { refusal != nil && (site.rules.isTooLong(head) || head["expect"] != nil) }

    /// - Returns: Whether more is read.
    func take(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        let isTooLong = body.count + bytes.count > ClientMessage.most
        guard refusal == nil else {
            // Refused, and without end.
            passedOver += bytes.count
            return passedOver <= ClientMessage.most
        }
        if isTooLong {
            refusal = HTTPRules.tooLong
        } else if !site.connections.takeRoom(bytes.count) {
            refusal = .refusal(503, "too many requests at the same time: try again", [("Retry-After", "1")])
        } else {
            unsafe body.append(contentsOf: bytes)
        }
        return true
    }

    private var passedOver = 0

    /// The answer; nil where nobody waits for it any more. Blocks as long as a call takes.
    func finish() -> HTTPAnswer? {
        defer { site.connections.answers(connection) }
        if let refusal { return refusal }
        guard let session else { return nil }
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
        case .notification, .answer: break
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
        case .list(let reply): return HTTPAnswer(200, site.gatekeeper.answer(reply, toListFor: session))
        case .call(let reply, let call):
            let cancellation = Cancellation()
            let value = site.connections.call(connection, name(session, reply.id), cancellation) {
                site.gatekeeper.answer(reply, to: call, in: session, cancellation, progress: nil)
            }
            return cancellation.isCancelled ? nil : HTTPAnswer(200, value)
        // It is not offered, since each answer is one text.
        case .listen: return nil
        }
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
