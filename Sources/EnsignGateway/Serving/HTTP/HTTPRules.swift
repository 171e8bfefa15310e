import EnsignCrypto
import EnsignModel

/// What is asked of a request by HTTP besides its message. Pure.
///
/// Sources: 2025-11-25 and 2026-07-28, "Transports", Streamable HTTP; RFC 9110; RFC 6750 for the token.
struct HTTPRules: Sendable {
    let isEncrypted: Bool
    /// Whether a host, in small letters and without brackets, is this server's name, on a connection that came in at an address.
    typealias Names = @Sendable (_ host: String, _ address: () -> TCPAddress?) -> Bool

    /// A page of another server that a resolver points here must not get in ("DNS rebinding").
    let isOwn: Names

    /// Where requests go.
    static let paths = ["/mcp", "/"]

    // MARK: The head

    /// Why a request cannot be for this server; nil where it can be.
    ///
    /// - Parameter entry: The address at which its connection came in.
    func refusal(of head: HTTPHead, at entry: () -> TCPAddress?) -> HTTPAnswer? {
        guard head.size <= HTTPHead.most else {
            return .refusal(431, "the head of a request is longer than \(HTTPHead.most) bytes")
        }
        if let refusal = Self.refusal(ofFraming: head) { return refusal }
        guard let host = head["host"].flatMap(address(host:)), isOwn(host.host, entry) else {
            return .refusal(403, "this is not the server that 'Host' names")
        }
        if let origin = head["origin"], address(origin: origin) != host {
            return .refusal(403, "pages of other servers may not send requests here ('Origin')")
        }
        guard Self.paths.contains(head.path) else {
            return .refusal(404, "there is nothing here: send requests to /mcp")
        }
        guard head.method == "POST" else {
            return .refusal(405, "only POST is taken: there are no streams and no sessions", [("Allow", "POST")])
        }
        return nil
    }

    /// Why two readers could read two things, or see two ends of a request; nil where all see one.
    ///
    /// Nobody knows where the next request of its connection begins: there is none (RFC 9112, sections 6.1 and 6.3).
    static func refusal(ofFraming head: HTTPHead) -> HTTPAnswer? {
        guard head.isPlain else {
            return .refusal(400, "a line of the head is folded, has a byte 0 in it, or does not end with CR LF")
        }
        if let name = head.badName {
            return .refusal(
                400,
                "\(name.quoted(utf8: 100)) is not a name of a header: there is no blank before the colon"
            )
        }
        if let name = HTTPHead.single.first(where: { (head.headers[$0]?.count ?? 0) > 1 }) {
            return .refusal(400, "the header '\(name)' is there more than once")
        }
        if let length = head["content-length"], !length.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            return .refusal(400, "'Content-Length' is a number")
        }
        guard let coding = head["transfer-encoding"] else { return nil }
        guard head["content-length"] == nil else {
            return .refusal(400, "a request has either 'Content-Length' or 'Transfer-Encoding'")
        }
        guard head.version != "HTTP/1.0" else {
            return .refusal(400, "'Transfer-Encoding' is of HTTP/1.1, and the request says HTTP/1.0")
        }
        // Whoever codes a body in another way means another end of it than is seen here.
        guard coding.lowercased() == "chunked" else {
            return .refusal(501, "'Transfer-Encoding' is chunked, or not there")
        }
        return nil
    }

    private func address(host: String) -> WebAddress? {
        guard !host.contains("/"), !host.contains("?") else { return nil }
        return WebAddress("\(isEncrypted ? "https" : "http")://\(host)")
    }

    private func address(origin: String) -> WebAddress? {
        guard let address = WebAddress(origin), origin.filter({ $0 == "/" }).count == 2, !origin.contains("?") else {
            return nil
        }
        return address
    }

    /// Whoever asks, by its own words.
    func peer(of head: HTTPHead) throws(HTTPAnswer) -> Peer {
        for name in ["ensign-run", "ensign-key"] {
            guard let value = head[name] else { continue }
            guard ClientName.isValid(value) else { throw .refusal(400, "'\(name)' is \(ClientName.rule)") }
        }
        return Peer(
            .bearer(head["authorization"].flatMap(Self.token)),
            run: head["ensign-run"].map { RunName($0, .header) },
            key: head["ensign-key"],
            asked: head["ensign-for"]
        )
    }

    private static func token(_ authorization: String) -> String? {
        let parts = authorization.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        let token = parts[1].drop { $0 == " " }
        return token.isEmpty || token.contains(" ") ? nil : String(token)
    }

    /// For whom nobody vouches.
    static func unknown(_ peer: Peer) -> HTTPAnswer {
        guard case .bearer(nil) = peer.proof else {
            return .refusal(
                401,
                "this token is nobody's here",
                [("WWW-Authenticate", "Bearer error=\"invalid_token\"")]
            )
        }
        return .refusal(401, "send a token: Authorization: Bearer ...", [("WWW-Authenticate", "Bearer")])
    }

    /// Why a body is not taken, before it is read.
    func refusal(ofBody head: HTTPHead) -> HTTPAnswer? {
        if isTooLong(head) { return Self.tooLong }
        guard Self.isJSON(head["content-type"] ?? "") else {
            return .refusal(415, "'Content-Type' must be application/json, in UTF-8")
        }
        guard ["identity", nil].contains(head["content-encoding"]?.lowercased()) else {
            return .refusal(415, "'Content-Encoding' must be identity")
        }
        return nil
    }

    /// Whether a media type is JSON's (RFC 9110, section 8.3.1). It is UTF-8 always (RFC 8259, section 8.1): whoever says that
    /// it is something else means other text than is read here. Other parameters say nothing.
    static func isJSON(_ type: String) -> Bool {
        let parts = type.split(separator: ";", omittingEmptySubsequences: false).map { part in
            part.drop { $0 == " " || $0 == "\t" }.lowercased()
        }
        func trimmed(_ text: String) -> Substring {
            text.lastIndex { $0 != " " && $0 != "\t" }.map { text[...$0] } ?? ""
        }
        guard trimmed(parts[0]) == "application/json" else { return false }
        return parts.dropFirst().allSatisfy { part in
            let words = trimmed(part).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard words[0] == "charset" else { return !words[0].hasPrefix("charset") }
            return words.count == 2 && ["utf-8", "\"utf-8\"", "utf8"].contains(words[1])
        }
    }

    func isTooLong(_ head: HTTPHead) -> Bool {
        guard head["content-length"] != nil else { return false }
        return head.length.map { $0 > ClientMessage.most } ?? true
    }

    static let tooLong = HTTPAnswer(
        413,
        Reply.message(.null, ProtocolError(ProtocolError.unreadable, ClientMessage.tooLong))
    )

    // MARK: The message

    /// The version of the handshake that a request is of.
    ///
    /// - Throws: ``ProtocolError`` where the head says something else than the message, which comes with status 400.
    func version(of request: ClientRequest, _ head: HTTPHead) throws(ProtocolError) -> String? {
        let said = head["mcp-protocol-version"]
        if request.isStateless || request.method == "server/discover" {
            // Without one in the message the message itself is refused.
            guard let version = request.meta?[ProtocolVersion.Meta.version]?.string else { return nil }
            try agree("MCP-Protocol-Version", said, version)
            try agree("Mcp-Method", head["mcp-method"], request.method)
            if request.method == "tools/call", let name = request.parameters["name"]?.string {
                try agree("Mcp-Name", head["mcp-name"].flatMap(Self.decoded), name)
            }
            return nil
        }
        // Its version is in the message, and is agreed on there.
        if request.method == "initialize" { return nil }
        return try handshake(said)
    }

    /// The version of a handshake that the head names: the oldest one where it names none (2025-06-18, "Transports").
    func handshake(_ said: String?) throws(ProtocolError) -> String {
        guard let said else { return "2025-03-26" }
        if said == ProtocolVersion.stateless {
            throw ProtocolError(
                ProtocolError.otherHeader,
                "'MCP-Protocol-Version' says \(said), and the message does not: '_meta' must say it too"
            )
        }
        guard ProtocolVersion.handshakes.contains(said) else {
            throw ProtocolError(
                ProtocolError.notAMessage,
                "version \(said.quoted(utf8: 40)) of the protocol is not spoken here"
            )
        }
        return said
    }

    /// Whether what needs no answer is of a version that is spoken here. The stateless one is said in the head alone there.
    func checkVersion(ofNotification head: HTTPHead) throws(ProtocolError) {
        guard let said = head["mcp-protocol-version"], said != ProtocolVersion.stateless else { return }
        _ = try handshake(said)
    }

    private func agree(_ name: String, _ said: String?, _ meant: String) throws(ProtocolError) {
        guard let said, said.utf8.elementsEqual(meant.utf8) else {
            throw ProtocolError(
                ProtocolError.otherHeader,
                "the header '\(name)' must say what the message says: \(meant.quoted(utf8: 100))"
            )
        }
    }

    /// The other way round.
    static func encoded(_ value: String) -> String {
        let isPlain =
            value.utf8.allSatisfy { (0x20...0x7E).contains($0) } && !value.hasPrefix("=?base64?")
            && value.utf8.first != 0x20 && value.utf8.last != 0x20
        return isPlain ? value : "=?base64?\(Base64.encode(Array(value.utf8)))?="
    }

    /// A value that a header cannot hold as it is comes as `=?base64?...?=` (2026-07-28, "Streamable HTTP").
    ///
    /// - Returns: Nil for what is not that, and for a value that no header can hold.
    static func decoded(_ value: String) -> String? {
        guard value.utf8.allSatisfy({ (0x20...0x7E).contains($0) || $0 == 0x09 }) else { return nil }
        guard value.hasPrefix("=?base64?"), value.hasSuffix("?="), value.utf8.count >= 11 else { return value }
        return Base64.decode(String(value.dropFirst(9).dropLast(2))).flatMap { String(validating: $0, as: UTF8.self) }
    }
}
