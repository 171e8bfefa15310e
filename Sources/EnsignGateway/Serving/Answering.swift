import EnsignModel

/// How both kinds of requests that take time are answered, whatever way they came.
extension Gatekeeper {
    func answer(_ reply: Reply, toListFor session: Session) -> JSONValue {
        switch offer(to: session) {
        case .success(let tools): reply.list(tools)
        case .failure(let refusal):
            Reply.message(reply.id, ProtocolError(ProtocolError.internalFailure, refusal.text))
        }
    }

    /// - Parameter progress: Takes notifications of progress; nil where there is no way for them.
    func answer(
        _ reply: Reply,
        to call: ToolCall,
        in session: Session,
        _ cancellation: Cancellation,
        progress: (@Sendable (JSONValue) -> Void)?
    ) -> JSONValue {
        var incoming = call.incoming(reply.version, cancellation)
        if let token = call.progressToken, let progress {
            incoming.progress = { progress(Reply.progress(token, $0)) }
        }
        if let refusal = call.refusal { return reply.call(refuse(incoming, refusal, in: session)) }
        return reply.call(self.call(incoming, in: session))
    }
}

extension ToolCall {
    /// The call as the gatekeeper takes it.
    func incoming(_ version: String, _ cancellation: Cancellation) -> IncomingCall {
        IncomingCall(
            name: name,
            arguments: arguments,
            traceparent: meta["traceparent"]?.string,
            tracestate: meta["tracestate"]?.string,
            asked: meta[ProtocolVersion.Meta.asked]?.string,
            protocolVersion: version,
            cancellation: cancellation
        )
    }

    /// Why it cannot be passed on, where that is so.
    var refusal: Refusal? {
        inexact.map { place in
            Refusal(
                .arguments,
                "refused: the number at \(place.dropFirst("/arguments".count)) is beyond 2^53, where whole numbers are not "
                    + "exact. Nothing was done. Give it as a text if the tool takes one, or a smaller number."
            )
        }
    }
}
