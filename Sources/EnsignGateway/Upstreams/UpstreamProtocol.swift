import EnsignJSON
import EnsignMCP
import EnsignModel

/// How a server behind the gateway is spoken to: its messages, without the way they take. Pure.
struct UpstreamProtocol: Sendable {
    /// How requests say which version they are of.
    enum Era: Sendable, Hashable {
        /// Agreed on once.
        case handshake(version: String)
        /// In each request.
        case stateless
    }

    let client: JSONValue

    /// - Parameter version: The gateway's own.
    init(version: String) { client = ["name": "ensign-gateway", "version": .string(version)] }

    /// A request's whole message. Without an era it is part of the handshake.
    func request(_ id: Int64, _ method: String, _ parameters: JSONObject, _ era: Era?) -> JSONValue {
        var parameters = parameters
        if era == .stateless {
            var meta = parameters["_meta"]?.object ?? [:]
            meta[ProtocolVersion.Meta.version] = .string(ProtocolVersion.stateless)
            meta[ProtocolVersion.Meta.client] = client
            meta[ProtocolVersion.Meta.capabilities] = [:]
            parameters["_meta"] = .object(meta)
        }
        var message: JSONObject = ["id": .integer(id), "jsonrpc": "2.0", "method": .string(method)]
        if !parameters.isEmpty { message["params"] = .object(parameters) }
        return .object(message)
    }

    /// The parameters of `initialize`: nothing is offered to the server.
    var handshake: JSONObject {
        ["capabilities": [:], "clientInfo": client, "protocolVersion": .string(ProtocolVersion.handshakes[0])]
    }

    /// - Throws: ``UpstreamFailure`` when what the server says is not a handshake of a version that is spoken here.
    static func era(of handshake: JSONValue) throws(UpstreamFailure) -> Era {
        let version = handshake["protocolVersion"]?.string ?? "none"
        // The oldest one differs in nothing that is used here.
        guard (ProtocolVersion.handshakes + ["2024-11-05"]).contains(version) else {
            throw UpstreamFailure(
                .malformed,
                "the server speaks version \(version.quoted(utf8: 40)), which is not known here"
            )
        }
        return .handshake(version: version)
    }

    static func isStateless(_ discovery: JSONValue) -> Bool {
        discovery["supportedVersions"]?.array?.contains(.string(ProtocolVersion.stateless)) == true
    }

    /// The parameters of `tools/call`.
    static func parameters(of call: UpstreamCall, token: Int64) -> JSONObject {
        var parameters: JSONObject = ["arguments": call.arguments, "name": .string(call.tool)]
        var meta = call.meta
        if call.progress != nil { meta["progressToken"] = .integer(token) }
        if !meta.isEmpty { parameters["_meta"] = .object(meta) }
        return parameters
    }

    /// What headers say of a call besides its name (2026-07-28, "Custom Headers from Tool Parameters").
    ///
    /// - Throws: ``UpstreamFailure`` where that is more than is sent: no server takes it, and libcurl would fail as if there was
    ///   none.
    static func headers(of call: UpstreamCall) throws(UpstreamFailure) -> [(name: String, value: String)] {
        // What is wrong with it was said when it was listed.
        let headers = (try? MirroredArguments(of: call.input))?.headers(of: call.arguments) ?? []
        guard headers.reduce(0, { $0 + $1.name.utf8.count + $1.value.utf8.count }) <= mostInHeaders else {
            let text = "the arguments are longer than the \(mostInHeaders) bytes that headers say"
            throw UpstreamFailure(.oversized, text)
        }
        return headers
    }

    private static let mostInHeaders = 65_536

    /// Why a tool of a server of the stateless era is not taken: by HTTP, its headers must be what the protocol allows.
    static func defect(of tool: ServerListing.Tool) -> String? {
        do throws(MirroringDefect) {
            _ = try MirroredArguments(of: tool.input)
            return nil
        } catch { return error.message }
    }

    static func cancelled(_ id: Int64, _ reason: String) -> JSONValue {
        [
            "jsonrpc": "2.0", "method": "notifications/cancelled",
            "params": ["reason": .string(reason), "requestId": .integer(id)],
        ]
    }

    static let initialized: JSONValue = ["jsonrpc": "2.0", "method": "notifications/initialized"]

    /// The answer to a request of the server's own: `ping` is fine, anything else is not offered.
    static func refusal(of id: JSONValue, _ method: String) -> JSONValue {
        if method == "ping" { return ["id": id, "jsonrpc": "2.0", "result": [:]] }
        return ["error": ["code": -32601, "message": "not offered by this client"], "id": id, "jsonrpc": "2.0"]
    }

    /// Why a result says nothing that can be relied on: nobody knows what came of its call. A member that is null is not there.
    private static func defect(in result: JSONObject) -> String? {
        if let kind = result["resultType"], !kind.isNull, kind != "complete" {
            return "the server's answer is of a kind that is not known here"
        }
        guard let content = result["content"]?.array else { return "the server's answer has no list 'content'" }
        guard content.allSatisfy({ $0["type"]?.string != nil }) else {
            return "the server's answer has content without a type"
        }
        if let isError = result["isError"], !isError.isNull, isError.bool == nil {
            return "the server's answer has an 'isError' that is neither true nor false"
        }
        return nil
    }

    /// What came of a call.
    static func outcome(_ answer: UpstreamAnswer) -> UpstreamOutcome {
        switch answer {
        case .error(let code, let message): return .refused(code: code, message: message)
        case .result(let result):
            guard var members = result.object else {
                return .unknown(UpstreamFailure(.malformed, "the server's answer is not an object"))
            }
            if members["resultType"] == "input_required" {
                // It wants to know more first (2026-07-28, "Multi round-trip requests").
                return .refused(code: -32601, message: "the server asks for more, which is not offered")
            }
            if let defect = defect(in: members) { return .unknown(UpstreamFailure(.malformed, defect)) }
            members["resultType"] = nil
            // What the protocol and the gateway say there is not the server's to say.
            if let meta = members["_meta"]?.object {
                let kept = JSONObject(
                    meta.lazy.filter { key, _ in
                        !key.hasPrefix(ProtocolVersion.Meta.reserved) && !key.hasPrefix(ProtocolVersion.Meta.own)
                    }
                    .map { ($0.key, $0.value) }
                )
                members["_meta"] = kept.isEmpty ? nil : .object(kept)
            }
            return .result(.object(members))
        }
    }
}

/// An answer of a server.
enum UpstreamAnswer: Sendable {
    case result(JSONValue)
    case error(code: Int64, message: String)

    /// - Throws: ``UpstreamFailure`` for an error, and for what is not an object.
    func result(of method: String) throws(UpstreamFailure) -> JSONValue {
        switch self {
        case .result(let result) where result.object != nil: return result
        case .result: throw UpstreamFailure(.malformed, "the server's answer to '\(method)' is not an object")
        case .error(let code, let message):
            throw UpstreamFailure(.malformed, "the server refuses '\(method)': \(message.quoted(utf8: 200)) (\(code))")
        }
    }
}

/// One message of a server.
enum UpstreamMessage: Sendable {
    case answer(id: Int64, UpstreamAnswer)
    case request(id: JSONValue, method: String)
    case notification(method: String, parameters: JSONObject)
    /// It is not a message, or none that can be read. Its id where one can be made out: nobody else's answer comes under it.
    case garbage(id: Int64?)

    init(_ bytes: [UInt8]) {
        guard let value = try? JSONParser.parse(bytes), let message = value.object else {
            self = .garbage(id: Self.guessedID(bytes))
            return
        }
        self.init(message)
    }

    init(_ message: JSONObject) {
        if let method = message["method"]?.string {
            if let id = message["id"], !id.isNull {
                self = .request(id: id, method: method)
            } else {
                self = .notification(method: method, parameters: message["params"]?.object ?? [:])
            }
            return
        }
        guard let id = message["id"]?.int else {
            self = .garbage(id: nil)
            return
        }
        switch MCPResponse(message) {
        case .result(let result): self = .answer(id: id, .result(result))
        case .error(let code, let message): self = .answer(id: id, .error(code: code, message: message))
        case .malformed: self = .garbage(id: id)
        }
    }

    /// The whole number of the member `id` of an object that cannot be read as a whole: some servers write `NaN`.
    static func guessedID(_ bytes: [UInt8]) -> Int64? {
        var depth = 0
        var index = 0
        var key: ArraySlice<UInt8> = []
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            case UInt8(ascii: "\""):
                let start = index + 1
                index = start
                while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
                    index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
                }
                if depth == 1, index < bytes.count { key = bytes[start..<index] }
            case UInt8(ascii: ":") where depth == 1 && key.elementsEqual("id".utf8):
                let rest = bytes[(index + 1)...].drop { $0 == 0x20 }
                let digits = rest.prefix { (0x30...0x39).contains($0) }.prefix(19)
                return Int64(String(decoding: digits, as: UTF8.self))
            default: break
            }
            index += 1
        }
        return nil
    }
}
