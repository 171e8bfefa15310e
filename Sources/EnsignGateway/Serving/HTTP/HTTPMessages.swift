import EnsignModel

/// The head of a request (RFC 9112).
struct HTTPHead: Sendable {
    var method: String
    /// Without its query.
    var path: String
    /// By names in small letters; a name that is there twice has two values.
    var headers: [String: [String]]
    /// In bytes; 0 where nobody knows.
    var size = 0
    /// Whether its lines are what was sent, and nothing was joined or left out.
    var isPlain = true
    /// As the request says it: `HTTP/1.1`.
    var version = "HTTP/1.1"

    /// The most bytes of a head.
    static let most = 32_768
    /// What a connection has for it, so that one that is too long can be answered in words.
    static let memory = 131_072

    /// The first name that is none: with a blank before the colon it would be another one to another reader (RFC 9112, section
    /// 5.1).
    var badName: String? { headers.keys.filter { !Self.isToken($0) }.min() }

    /// A `token` (RFC 9110, section 5.6.2).
    static func isToken(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }

    /// Those that decide something. Where one is there twice, two readers could read two things.
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
