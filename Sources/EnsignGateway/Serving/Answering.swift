import EnsignModel

/// How both kinds of requests that take time are answered, whatever way they came.
extension Gatekeeper {
    func answer(_ reply: Reply, toListFor session: Session, traceparent: String?) -> JSONValue {
        switch offer(to: session, traceparent: traceparent) {
        case .success(let tools): reply.list(tools)
        case .failure(let refusal):
            Reply.message(reply.id, ProtocolError(ProtocolError.internalFailure, refusal.text))
        }
    }

    /// - Parameters:
    ///   - reading: Nil where another thread reads what the client says meanwhile.
    ///   - progress: Takes notifications of progress; nil where there is no way for them.
    func answer(
        _ reply: Reply,
        to call: ToolCall,
        in session: Session,
        _ cancellation: Cancellation,
        reading: ClientReading? = nil,
        progress: (@Sendable (JSONValue) -> Void)?
    ) -> JSONValue {
        var incoming = call.incoming(reply.version, cancellation)
        incoming.reading = reading
        if let token = call.progressToken, let progress {
            // Whoever has cancelled wants to hear nothing more of it.
            incoming.progress = { if !cancellation.isCancelled { progress(Reply.progress(token, $0)) } }
        }
        if let refusal = call.refusal { return reply.call(refuse(incoming, refusal, in: session)) }
        return reply.call(self.call(incoming, in: session))
    }

    /// Answers a call that is not passed on.
    func refuse(_ reply: Reply, _ call: ToolCall, _ refusal: Refusal, in session: Session) -> JSONValue {
        reply.call(refuse(call.incoming(reply.version, Cancellation()), refusal, in: session))
    }
}

extension Refusal {
    /// There is no room for one more call.
    static func noRoom(_ name: String) -> Refusal {
        var refusal = Refusal(
            .unavailable,
            "not done: \(name.onOneLine(utf8: 200)): too many calls at the same time. Nothing was done. "
                + "Try again when others have been answered."
        )
        refusal.isOfMany = true
        return refusal
    }
}

extension Refusal {
    /// The gateway ends, and another one may be there in a moment.
    static func stopping(_ name: String) -> Refusal {
        var refusal = Refusal(
            .unavailable,
            "not done: \(name): the gateway is being stopped. Nothing was done. Try again in a moment."
        )
        refusal.isOfMany = true
        return refusal
    }
}

extension ProtocolError {
    /// There is no room for one more question.
    static let noRoom = ProtocolError(
        internalFailure,
        "too many requests at the same time: try again when others have been answered"
    )

    /// Whoever asks may not speak any more.
    static let noSpeaker = ProtocolError(internalFailure, Refusal.noSpeaker("this request").text)
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
        let name = name.onOneLine(utf8: 200)
        guard arguments.object != nil else {
            return Refusal(
                .arguments,
                "refused: \(name): 'arguments' must be an object, and is \(arguments.kind). Nothing was done. "
                    + "The same call will be refused again."
            )
        }
        return inexact.map { place in
            Refusal(
                .arguments,
                "refused: \(name): the number at \(place.dropFirst("/arguments".count)) is beyond 2^53, where whole numbers are not "
                    + "exact. Nothing was done. Give it as a text if the tool takes one, or a smaller number."
            )
        }
    }
}

extension JSONValue {
    /// What it is, for a sentence.
    fileprivate var kind: String {
        switch self {
        case .null: "null"
        case .bool: "true or false"
        case .integer, .number: "a number"
        case .string: "a text"
        case .array: "a list"
        case .object: "an object"
        }
    }
}
