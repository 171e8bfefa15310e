import EnsignModel

/// The head of a request (RFC 9112).
struct HTTPHead: Sendable {
    var method: String
    /// Without its query.
    var path: String
    /// By names in small letters; a name that stands there twice has two values.
    var headers: [String: [String]]

    /// Those that decide something. Where one stands twice, two readers could read two things.
    static let single = [
        "authorization", "content-encoding", "content-length", "content-type", "ensign-for", "ensign-key", "ensign-run",
        "host", "mcp-method", "mcp-name", "mcp-protocol-version", "origin", "transfer-encoding",
    ]

    subscript(name: String) -> String? { headers[name]?.first }

    /// The bytes that it announces; nil where it does not say.
    var length: Int? { self["content-length"].flatMap { Int($0) } }
}

/// An answer, whole.
struct HTTPAnswer: Error, Sendable {
    var status: Int
    var headers: [(name: String, value: String)] = []
    /// Empty, or JSON.
    var body: [UInt8] = []

    static let accepted = HTTPAnswer(status: 202)

    init(status: Int) { self.status = status }

    init(_ status: Int, _ message: JSONValue) {
        self.status = status
        body = message.canonicalBytes()
    }

    /// A refusal before any message was read.
    static func refusal(_ status: Int, _ text: String, _ headers: [(name: String, value: String)] = []) -> HTTPAnswer {
        var answer = HTTPAnswer(status, Reply.message(.null, ProtocolError(ProtocolError.notAMessage, text)))
        answer.headers = headers
        return answer
    }

    /// What every answer says besides.
    var allHeaders: [(name: String, value: String)] {
        var all = headers + [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
        if !body.isEmpty { all.append(("Content-Type", "application/json")) }
        return all
    }
}
