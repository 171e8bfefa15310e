import EnsignModel

/// Who speaks on a connection that stays open.
///
/// Whoever was admitted once may be taken out of the operator's file, and tokens and their keys end: each message asks anew,
/// as each request by HTTP does.
struct Speaker: Sendable {
    /// As it was admitted first: the connection is this agent's.
    let first: Session
    private let ask: @Sendable () -> Session?

    /// - Parameter ask: Who it is now; nil where it may not speak.
    init(_ first: Session, ask: @escaping @Sendable () -> Session?) {
        self.first = first
        self.ask = ask
    }

    /// The session as it is now; nil where it may not speak for this agent any more.
    var session: Session? {
        guard let now = ask(), now.agent == first.agent else { return nil }
        return now
    }
}

extension Refusal {
    /// The connection's agent may not be spoken for on it any more.
    static func noSpeaker(_ name: String) -> Refusal {
        var refusal = Refusal(
            .notGranted,
            "refused: \(name.onOneLine(utf8: 200)): whoever speaks on this connection may not speak for this agent any more. "
                + "Nothing was done. The same call will be refused again."
        )
        refusal.isOfMany = true
        return refusal
    }
}
