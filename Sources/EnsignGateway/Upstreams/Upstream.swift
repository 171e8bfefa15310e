package import EnsignMCP
package import EnsignModel

/// A server behind the gateway, shared by all who may use it. Started at the first use, started again after it ended, and
/// ended when nobody used it for a while.
///
/// Safe from any number of threads; calls run beside each other. Knows nothing of agents and grants.
package protocol Upstream: Sendable {
    /// What it offers now, all pages. Kept until it says that its list has changed, or its connection ends.
    ///
    /// - Parameters:
    ///   - time: How long it may take, besides its start.
    ///   - waitsForStart: Whether a start that somebody else has begun is waited for as long as it may take.
    func listing(within time: Duration, waitsForStart: Bool) throws(UpstreamFailure) -> ServerListing

    /// The list that would be given without asking; nil where the server has to be asked.
    var kept: ServerListing? { get }

    /// Makes one call and blocks until it is over. A server that has started again since the call was held against its list
    /// gets nothing: `ended`, not sent.
    func call(_ call: UpstreamCall) -> UpstreamOutcome

    /// Ends it, with everything that it started. It may be used again.
    func end()

    /// Is to be asked with other credentials: begins anew. What is under way goes on as far as that may be.
    func renew()

    /// Is not started any more: whoever waits for its start, or asks for one, is told that nothing was sent. What runs goes on.
    func startNoMore()

    /// The end of what the server wrote to standard error, as it wrote it; empty where it has none. For operators only, without
    /// secrets and escaped.
    var said: [UInt8] { get }
}

extension Upstream {
    package var kept: ServerListing? { nil }

    package func listing(within time: Duration) throws(UpstreamFailure) -> ServerListing {
        try listing(within: time, waitsForStart: true)
    }

    package func renew() { end() }

    package func startNoMore() {}

    package var said: [UInt8] { [] }
}

/// What is sent, and nothing else of the client's.
package struct UpstreamCall: Sendable {
    /// The server's own name of the operation.
    package var tool: String
    /// Checked; the canonical bytes of exactly this are sent.
    package var arguments: JSONValue
    /// The schema of arguments of the server's own definition that the call was held against: it says which of them stand in
    /// headers, too.
    package var input: JSONValue?
    /// Trace context for `_meta`; empty without any.
    package var meta: JSONObject
    /// From sending to the answer.
    package var timeout: Duration
    /// The most bytes of an answer.
    package var most: Int
    /// The server is told (`notifications/cancelled`), and the answer dropped.
    package var cancellation: Cancellation
    package var progress: (@Sendable (JSONObject) -> Void)?
    /// Told at most once: the result that came when the time was over already. Only a program can say it then.
    package var late: (@Sendable (JSONValue) -> Void)?
    /// What the calling thread looks after besides; nil where another one does.
    package var reading: ClientReading?
    /// The start of the server whose list the call was held against; nil where that is not known.
    package var start: Int?
    /// Whether it may be sent: asked right before the first byte, behind everything that was waited for.
    package var mayBeSent: @Sendable () -> Bool = { true }

    package init(
        tool: String,
        arguments: JSONValue,
        input: JSONValue? = nil,
        meta: JSONObject = [:],
        timeout: Duration,
        most: Int = 4 << 20,
        cancellation: Cancellation,
        progress: (@Sendable (JSONObject) -> Void)? = nil,
        reading: ClientReading? = nil
    ) {
        self.tool = tool
        self.arguments = arguments
        self.input = input
        self.meta = meta
        self.timeout = timeout
        self.most = most
        self.cancellation = cancellation
        self.progress = progress
        self.reading = reading
    }
}

/// How a call ended.
package enum UpstreamOutcome: Sendable {
    /// Its `CallToolResult`, as it came: it may say `isError`.
    case result(JSONValue)
    /// A JSON-RPC error: the server did not do it, and says so.
    case refused(code: Int64, message: String)
    /// It certainly did not happen: nothing was sent.
    case notSent(UpstreamFailure)
    /// It was sent, and no answer came.
    case unknown(UpstreamFailure)
}

/// Why a server did not answer.
package struct UpstreamFailure: Error, Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        /// It cannot be started or reached.
        case unreachable
        /// It ended, or closed the connection.
        case ended
        case timedOut
        case cancelled
        /// It says what is not the protocol, or too much.
        case malformed
        /// It wants other credentials (HTTP 401): nothing was done.
        case unauthorized
        /// It answered with a status of HTTP and no message: it is there.
        case answered(status: Int)
        /// It no longer knows the session, and has done nothing. The next request begins a new one.
        case forgotten
        /// The call has more to say in headers than is sent: nothing was tried, and nothing new is known of the server.
        case oversized
        /// What was waited for took so long that the call may not be sent any more: nothing was tried.
        case withdrawn
        /// It failed a moment ago and is not asked before it had a rest: nothing was tried, and nothing new is known of it.
        case resting
    }

    package var kind: Kind
    /// One sentence for the operator, printable. Never for a model.
    package var message: String

    package init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    static let withdrawn = UpstreamFailure(.withdrawn, "the call may not be sent any more")
}

/// How to get at an upstream: the operator's words, with secrets resolved when it is started.
package enum UpstreamAddress: Sendable, Hashable {
    /// A program: absolute path and arguments, its whole environment, where it runs, and as whom.
    case program(ProgramAddress)
    /// `https://...`, or `http://` of this machine.
    case web(url: String)
}

/// A program that is a server.
package struct ProgramAddress: Sendable, Hashable {
    /// The program's absolute path and its arguments, one or more. No shell reads them. With a sandbox, these are its words.
    package var words: [String]
    /// The file that is the server: the first word, or what the sandbox runs.
    package var program: String
    package var directory: String?
    /// The SHA-256 that ``program`` must have, in hexadecimal; nil where any will do.
    package var sha256: String?
    /// The account that it runs as; nil for this process's own.
    package var user: String?
    /// How long it may take until it serves.
    package var startTimeout = ProgramAddress.startTimeout

    /// Where the operator says nothing.
    package static let startTimeout = Duration.seconds(30)

    /// - Parameter program: Nil for the first word.
    package init(
        words: [String],
        program: String? = nil,
        directory: String? = nil,
        sha256: String? = nil,
        user: String? = nil
    ) {
        self.words = words
        self.program = program ?? words.first ?? ""
        self.directory = directory
        self.sha256 = sha256
        self.user = user
    }
}

/// What is put into an upstream's environment or headers, with the secrets in it. Asked for at each start of a program and
/// each request by HTTP; whoever gives it keeps secrets for at most five minutes.
package typealias UpstreamSecrets = @Sendable () throws(UpstreamFailure) -> [(name: String, value: String)]
