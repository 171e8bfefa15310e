import EnsignModel

/// The versions of the Model Context Protocol that are spoken, and the names that it reserves.
package enum ProtocolVersion {
    /// Each request says its version: no handshake, no sessions.
    package static let stateless = "2026-07-28"
    /// Agreed on once by `initialize`, newest first.
    package static let handshakes = ["2025-11-25", "2025-06-18", "2025-03-26"]

    /// What a client that asks for a version gets (2025-11-25, "Lifecycle", version negotiation): that one, or the newest.
    package static func agreed(on asked: String) -> String {
        handshakes.contains(asked) ? asked : handshakes[0]
    }

    /// Keys of `_meta` (2026-07-28, "Base protocol", per-request fields).
    enum Meta {
        static let version = "io.modelcontextprotocol/protocolVersion"
        static let capabilities = "io.modelcontextprotocol/clientCapabilities"
        static let client = "io.modelcontextprotocol/clientInfo"
        static let server = "io.modelcontextprotocol/serverInfo"
        static let subscription = "io.modelcontextprotocol/subscriptionId"
        /// Everything that the protocol itself says there.
        static let reserved = "io.modelcontextprotocol/"
        /// Everything that the gateway says there.
        static let own = "dev.ensign/"
        static let asked = "dev.ensign/for"
    }
}

/// An error of JSON-RPC 2.0 (section 5.1), and of the protocol.
struct ProtocolError: Error, Sendable, Hashable {
    var code: Int64
    var message: String
    var data: JSONValue?

    init(_ code: Int64, _ message: String, data: JSONValue? = nil) {
        self.code = code
        self.message = message
        self.data = data
    }

    /// What came is not JSON, or not JSON that has one reading.
    static let unreadable: Int64 = -32700
    /// It is JSON, but not one message.
    static let notAMessage: Int64 = -32600
    static let unknownMethod: Int64 = -32601
    static let badParameters: Int64 = -32602
    static let internalFailure: Int64 = -32603
    /// A header of HTTP says something else than the body (2026-07-28).
    static let otherHeader: Int64 = -32020
    /// The version is not spoken (2026-07-28).
    static let otherVersion: Int64 = -32022

    static func unsupported(_ asked: String) -> ProtocolError {
        ProtocolError(
            otherVersion,
            "this version of the protocol is not spoken here",
            data: ["supported": [.string(ProtocolVersion.stateless)], "requested": .string(asked.cut(utf8: 64))]
        )
    }

    /// The status of HTTP that it comes with in the stateless era (2026-07-28, "Streamable HTTP").
    var status: Int {
        switch code {
        case Self.unknownMethod: 404
        case Self.internalFailure: 200
        default: 400
        }
    }
}
