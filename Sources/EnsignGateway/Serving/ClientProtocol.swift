import EnsignModel

/// What a client wants, message by message: the protocol without its transport, for both eras.
///
/// Pure: no clock, no files, no gatekeeper. One for a connection; one for each request by HTTP.
struct ClientProtocol: Sendable {
    /// What the shell does about a message.
    enum Step: Sendable {
        /// Nothing: it was a notification that says nothing here.
        case nothing
        /// Send this.
        case answer(JSONValue, failure: ProtocolError?)
        /// With the `traceparent` of its `_meta`.
        case list(Reply, traceparent: String?)
        case call(Reply, ToolCall)
        /// Somebody no longer wants the answer to the request with this id.
        case cancel(id: JSONValue)
        /// From now on say so when the list of tools changes.
        case initialized
        /// A request of the stateless era that ends when it is cancelled: the same until then, where that was asked for.
        case listen(Reply, wantsList: Bool)
    }

    /// The version that `initialize` agreed on; nil before it, and in the stateless era.
    private(set) var agreed: String?
    /// Whether requests can be listened to for long: not by HTTP, where each answer is one JSON text.
    let canListen: Bool
    private let server: JSONValue

    /// - Parameters:
    ///   - version: The gateway's own version, for clients that want to know.
    ///   - agreed: What the transport says was agreed on, where each request stands alone.
    init(version: String, canListen: Bool, agreed: String? = nil) {
        self.canListen = canListen
        self.agreed = agreed
        server = ["name": "ensign-gateway", "version": .string(version)]
    }

    mutating func take(_ message: ClientMessage) -> Step {
        switch message {
        case .answer, .badNotification: .nothing
        case .defect(let id, let error): .answer(Reply.message(id, error), failure: error)
        case .notification(let method, let parameters): take(method, parameters)
        case .request(let request): take(request)
        }
    }

    private func take(_ method: String, _ parameters: JSONObject) -> Step {
        switch method {
        case "notifications/cancelled": parameters["requestId"].map { .cancel(id: $0) } ?? .nothing
        case "notifications/initialized": .initialized
        default: .nothing
        }
    }

    private mutating func take(_ request: ClientRequest) -> Step {
        do throws(ProtocolError) {
            let version = try version(of: request)
            if let place = request.inexact,
                request.method != "tools/call" || !(place == "/arguments" || place.hasPrefix("/arguments/"))
            {
                throw ProtocolError(
                    ProtocolError.badParameters,
                    "the number at \(place.quoted(utf8: 200)) is beyond 2^53, where numbers have no one reading"
                )
            }
            let isStateless = version == ProtocolVersion.stateless
            let reply = Reply(id: request.id, version: version, server: server)
            switch (request.method, isStateless) {
            case ("initialize", _): return .answer(reply.message(try initialize(request)), failure: nil)
            case ("ping", false):
                try Self.only(["_meta"], in: request)
                return .answer(reply.message([:]), failure: nil)
            case ("server/discover", true): return .answer(reply.message(discovery), failure: nil)
            case ("tools/list", _):
                try Self.only(["_meta", "cursor"], in: request)
                // There is one page: nobody was given a place in it.
                if request.parameters["cursor"].given != nil {
                    throw ProtocolError(ProtocolError.badParameters, "there is no such cursor: the list has one page")
                }
                return .list(reply, traceparent: request.meta?["traceparent"]?.string)
            case ("tools/call", _): return .call(reply, try ToolCall(request))
            case ("subscriptions/listen", true) where canListen:
                return .listen(reply, wantsList: try Self.wantsList(request))
            default:
                throw ProtocolError(
                    ProtocolError.unknownMethod,
                    "\(request.method.quoted(utf8: 64)) is not offered here"
                )
            }
        } catch {
            return .answer(Reply.message(request.id, error), failure: error)
        }
    }

    /// Whether a listener asks for changes of the list of tools. Nothing else is ever said.
    private static func wantsList(_ request: ClientRequest) throws(ProtocolError) -> Bool {
        guard let wanted = request.parameters["notifications"].given else { return false }
        guard let members = wanted.object else {
            throw ProtocolError(ProtocolError.badParameters, "'notifications' is an object")
        }
        guard let wantsList = members["toolsListChanged"].given else { return false }
        guard let wantsList = wantsList.bool else {
            throw ProtocolError(ProtocolError.badParameters, "'toolsListChanged' is true or false")
        }
        return wantsList
    }

    // MARK: Versions

    private func version(of request: ClientRequest) throws(ProtocolError) -> String {
        guard request.method != "initialize" else { return ProtocolVersion.handshakes[0] }
        if request.parameters["_meta"].given != nil, request.meta == nil {
            throw ProtocolError(ProtocolError.badParameters, "'_meta' is an object")
        }
        guard request.isStateless || request.method == "server/discover" else {
            return agreed ?? ProtocolVersion.handshakes[0]
        }
        let keys = [ProtocolVersion.Meta.version, ProtocolVersion.Meta.capabilities]
        let missing = keys.filter { request.meta?[$0] == nil }
        guard missing.isEmpty else {
            throw ProtocolError(
                ProtocolError.badParameters,
                "'_meta' must have \(missing.joined(separator: " and "))"
            )
        }
        guard let version = request.meta?[ProtocolVersion.Meta.version]?.string else {
            throw ProtocolError(ProtocolError.badParameters, "\(ProtocolVersion.Meta.version) is a text")
        }
        guard version == ProtocolVersion.stateless else { throw .unsupported(version) }
        return version
    }

    private mutating func initialize(_ request: ClientRequest) throws(ProtocolError) -> JSONObject {
        guard let asked = request.parameters["protocolVersion"]?.string else {
            throw ProtocolError(ProtocolError.badParameters, "'initialize' says its 'protocolVersion'")
        }
        let version = ProtocolVersion.agreed(on: asked)
        agreed = version
        return ["protocolVersion": .string(version), "capabilities": capabilities, "serverInfo": server]
    }

    private var capabilities: JSONValue { ["tools": ["listChanged": .bool(canListen)]] }

    private var discovery: JSONObject {
        [
            "supportedVersions": [.string(ProtocolVersion.stateless)], "capabilities": capabilities,
            "ttlMs": 0, "cacheScope": "private",
        ]
    }

    fileprivate static func only(_ names: [String], in request: ClientRequest) throws(ProtocolError) {
        guard let unknown = request.parameters.first(where: { !names.contains($0.key) }) else { return }
        throw ProtocolError(
            ProtocolError.badParameters,
            "\(request.method.quoted(utf8: 64)) takes no \(unknown.key.quoted(utf8: 64))"
        )
    }
}

/// What a `tools/call` says.
struct ToolCall: Sendable {
    var name: String
    /// What is not an object is refused as a call, so that its model reads why.
    var arguments: JSONValue
    var meta: JSONObject
    var progressToken: JSONValue?
    /// Where there is a number that does not have one reading.
    var inexact: String?

    fileprivate init(_ request: ClientRequest) throws(ProtocolError) {
        // `task` asks for something that is not offered: whoever does not offer it ignores it (2025-11-25, "Tasks").
        try ClientProtocol.only(["name", "arguments", "_meta", "task"], in: request)
        guard let name = request.parameters["name"]?.string, !name.isEmpty else {
            throw ProtocolError(ProtocolError.badParameters, "'tools/call' says the 'name' of the tool")
        }
        let arguments = request.parameters["arguments"].given ?? [:]
        let meta = request.meta ?? [:]
        let token = meta["progressToken"].given
        switch token {
        case nil, .string, .integer: progressToken = token
        default: throw ProtocolError(ProtocolError.badParameters, "'progressToken' is a text or a whole number")
        }
        self.name = name
        self.arguments = arguments
        self.meta = meta
        inexact = request.inexact
    }
}

/// How a request is answered, in the form of its era.
struct Reply: Sendable {
    var id: JSONValue
    /// The version of the protocol.
    var version: String
    var server: JSONValue

    var isStateless: Bool { version == ProtocolVersion.stateless }

    /// The whole message of a result.
    func message(_ result: JSONObject) -> JSONValue {
        var result = result
        if isStateless {
            if result["resultType"] == nil { result["resultType"] = "complete" }
            var meta = result["_meta"]?.object ?? [:]
            meta[ProtocolVersion.Meta.server] = server
            result["_meta"] = .object(meta)
        }
        return ["id": id, "jsonrpc": "2.0", "result": .object(result)]
    }

    /// The answer to `tools/list`.
    func list(_ tools: [OfferedTool]) -> JSONValue {
        var result: JSONObject = ["tools": .array(tools.map { known($0).json })]
        if isStateless {
            result["cacheScope"] = "private"
            result["ttlMs"] = 0
        }
        return message(result)
    }

    /// The answer to `tools/call`: a `CallToolResult`, without what only servers behind the gateway say.
    func call(_ result: JSONValue) -> JSONValue {
        var result = known(result.object ?? [:])
        result["resultType"] = nil
        return message(result)
    }

    /// A tool as this version knows it: an output schema is an object's before 2026-07-28.
    private func known(_ tool: OfferedTool) -> OfferedTool {
        guard !isStateless, let output = tool.output, output["type"] != "object" else { return tool }
        var tool = tool
        tool.output = nil
        return tool
    }

    /// A result as this version knows it: structured content is an object before 2026-07-28, and another value is a text.
    private func known(_ result: JSONObject) -> JSONObject {
        guard !isStateless, let structured = result["structuredContent"], structured.object == nil else {
            return result
        }
        var result = result
        result["structuredContent"] = nil
        if result["content"]?.array?.isEmpty ?? true { result["content"] = [.text(structured.text)] }
        return result
    }

    static func message(_ id: JSONValue, _ error: ProtocolError) -> JSONValue {
        var members: JSONObject = ["code": .integer(error.code), "message": .string(error.message)]
        if let data = error.data { members["data"] = data }
        return ["error": .object(members), "id": id, "jsonrpc": "2.0"]
    }

    /// A notification of what a call has done so far.
    static func progress(_ token: JSONValue, _ said: JSONObject) -> JSONValue {
        var parameters: JSONObject = ["progressToken": token]
        for name in ["message", "progress", "total"] {
            if let value = said[name] { parameters[name] = value }
        }
        return ["jsonrpc": "2.0", "method": "notifications/progress", "params": .object(parameters)]
    }
}
