package import EnsignModel

/// What answers the messages of clients. The front of the gateway speaks the protocol and asks here; it decides nothing.
///
/// Safe from any number of threads. Nothing here throws: what goes wrong is an answer.
package protocol Gatekeeper: Sendable {
    /// Who a peer is, and what it may speak for.
    ///
    /// - Returns: Nil when the operator's file names nobody like it: HTTP 401, or the end of the connection.
    func admit(_ peer: Peer) -> Session?

    /// What `tools/list` shows: the granted operations of the session's bundle, sorted by name.
    ///
    /// Empty for an agent that is halted or not there. Fails, as `unavailable`, where nobody can say.
    ///
    /// - Parameter traceparent: Of the request's `_meta`, unchecked: it may name the run, as with a call.
    func offer(to session: Session, traceparent: String?) -> Result<[OfferedTool], Refusal>

    /// What headers of a call by HTTP must say, by what the list shows of the operation that a name means; nil where it shows none.
    func mirrored(by name: String, for session: Session, traceparent: String?) -> MirroredArguments?

    /// Decides about one call, makes it, and answers with a `CallToolResult`. Blocks until then.
    func call(_ call: IncomingCall, in session: Session) -> JSONValue

    /// Records a call that the front cannot pass on, such as one with a number that has no one reading, and answers with a
    /// `CallToolResult`. Nothing is forwarded.
    func refuse(_ call: IncomingCall, _ refusal: Refusal, in session: Session) -> JSONValue

    /// Changes when the offer may have changed; costs one read of the route. Clients of open connections are told
    /// (`notifications/tools/list_changed`) when it does.
    func offerMark(for session: Session) -> Int

    /// Whether it makes no call any more: whoever asks next on the same connection is only refused.
    var isClosed: Bool { get }
}

extension Gatekeeper {
    package var isClosed: Bool { false }

    package func refuse(_ call: IncomingCall, _ refusal: Refusal, in session: Session) -> JSONValue {
        refusal.result(decision: nil)
    }
}

/// What the transport knows of whoever speaks. Its words (`run`, `key`, `asked`) are the client's and prove nothing.
package struct Peer: Sendable, Hashable {
    package enum Proof: Sendable, Hashable {
        /// The token of `Authorization: Bearer`; nil without one.
        case bearer(String?)
        /// The account at the other end of a Unix socket (`SO_PEERCRED`), and a token if it gave one.
        case account(uid: UInt32, token: String?)
        /// This process was started for one agent, by whoever may read the operator's file.
        case started
    }

    package var proof: Proof
    /// The agent that it wants to speak for; nil where the proof has to say it.
    package var agent: AgentID?
    /// A run's name by `--run` or `Ensign-Run`.
    package var run: RunName?
    /// A session's key by `--key` or `Ensign-Key`.
    package var key: String?
    /// Who asked: a JWT by `Ensign-For`.
    package var asked: String?

    package init(
        _ proof: Proof,
        agent: AgentID? = nil,
        run: RunName? = nil,
        key: String? = nil,
        asked: String? = nil
    ) {
        self.proof = proof
        self.agent = agent
        self.run = run
        self.key = key
        self.asked = asked
    }
}

/// A run's name, and who gave it.
package struct RunName: Sendable, Hashable {
    package enum Source: String, Sendable, Hashable {
        /// `--run`.
        case option
        /// `Ensign-Run`.
        case header
        /// The trace's id in `_meta`.
        case trace
        /// Agent and key, for ten minutes.
        case window
    }

    package var name: String
    package var source: Source

    package init(_ name: String, _ source: Source) {
        self.name = name
        self.source = source
    }
}

/// Somebody who was admitted. One for each connection, or for each request by HTTP.
package struct Session: Sendable, Hashable {
    package var agent: AgentID
    /// The account that the agent acts as; it never approves. Nil where the operator's file names none.
    package var principal: String?
    package var run: RunName?
    package var key: String?
    /// Who asked, a JWT that is not verified yet.
    package var asked: String?

    package init(
        agent: AgentID,
        principal: String? = nil,
        run: RunName? = nil,
        key: String? = nil,
        asked: String? = nil
    ) {
        self.agent = agent
        self.principal = principal
        self.run = run
        self.key = key
        self.asked = asked
    }
}

/// One tool of `tools/list`.
package struct OfferedTool: Sendable, Hashable {
    /// The name that a model calls it by.
    package var name: String
    package var description: String?
    /// An object's schema.
    package var input: JSONValue
    package var output: JSONValue?

    package init(name: String, description: String?, input: JSONValue, output: JSONValue?) {
        self.name = name
        self.description = description
        self.input = input
        self.output = output
    }

    package var json: JSONValue {
        var members: JSONObject = ["name": .string(name), "inputSchema": input]
        if let description { members["description"] = .string(description) }
        if let output { members["outputSchema"] = output }
        return .object(members)
    }
}

/// A `tools/call` that was read strictly.
package struct IncomingCall: Sendable {
    /// As the client wrote it.
    package var name: String
    /// An object, empty where the client gave none; something else only in what is refused for it.
    package var arguments: JSONValue
    /// `traceparent` and `tracestate` of `_meta`, unchecked.
    package var traceparent: String?
    package var tracestate: String?
    /// `dev.ensign/for` of `_meta`: a JWT that is not verified yet.
    package var asked: String?
    /// The version of the protocol, for the log.
    package var protocolVersion: String
    /// The client's request, which it may cancel.
    package var cancellation: Cancellation
    /// Takes `progress`, `total` and `message` of the upstream's notifications; nil where the client asked for none.
    package var progress: (@Sendable (JSONObject) -> Void)?
    /// Nil where another thread reads what the client says meanwhile.
    package var reading: ClientReading?

    package init(
        name: String,
        arguments: JSONValue,
        traceparent: String? = nil,
        tracestate: String? = nil,
        asked: String? = nil,
        protocolVersion: String,
        cancellation: Cancellation,
        progress: (@Sendable (JSONObject) -> Void)? = nil
    ) {
        self.name = name
        self.arguments = arguments
        self.traceparent = traceparent
        self.tracestate = tracestate
        self.asked = asked
        self.protocolVersion = protocolVersion
        self.cancellation = cancellation
        self.progress = progress
    }
}
