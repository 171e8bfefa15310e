import EnsignJSON
import EnsignModel

/// Asks one server what it offers. It speaks both eras of the protocol: `initialize` (2024-11-05 to 2025-11-25), and
/// `server/discover` with requests that each say their version (2026-07-28).
///
/// Nothing is offered to the server: what it asks for itself, elicitation and sampling among it, is refused.
package struct MCPClient {
    private var transport: any MCPTransport
    private var budget: MCPBudget
    private let version: String
    private var era: Era?
    private var lastID: Int64 = 0
    /// Whether a question that was given up may still be refused, without its id: a server need not know that to be one.
    private var owesRefusal = false

    /// How requests say which version they are of.
    private enum Era {
        /// Agreed on once.
        case handshake(version: String)
        /// In each request.
        case stateless(version: String)
    }

    private static let stateless = "2026-07-28"
    private static let handshakes = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]

    /// - Parameter version: Ensign's own, for servers that want to know who asks.
    package init(_ transport: any MCPTransport, budget: MCPBudget, version: String) {
        self.transport = transport
        self.budget = budget
        self.version = version
    }

    /// What the server is and offers: the whole conversation, which ends with it.
    ///
    /// - Parameter open: Opens a way to the server; asked again when the server ends at the first question.
    package static func listing(
        _ open: () throws(MCPError) -> any MCPTransport,
        budget: MCPBudget,
        version: String
    ) throws(MCPError) -> ServerListing {
        var client = MCPClient(try open(), budget: budget, version: version)
        defer { client.transport.finish() }
        let info = try client.begin(open)
        return try client.list(info)
    }

    // MARK: Beginning

    /// Finds out which era the server is of. Its first message decides: a server of both answers the newer one.
    private mutating func begin(_ open: () throws(MCPError) -> any MCPTransport) throws(MCPError) -> JSONValue {
        do throws(MCPError) {
            // Old servers may not answer what they do not know.
            if let info = try discover(patience: .seconds(5)) { return info }
        } catch  where error.code == .ended {
            // Some end at what they do not know. In a conversation of its own, the old question is the first.
            transport.finish()
            transport = try open()
        }
        do throws(MCPError) {
            return try shakeHands()
        } catch  where error.code == .refused(Self.otherEra) {
            // It only was slow to start: the first question has made it one of the newer era.
            guard let info = try discover(patience: nil) else { throw error }
            return info
        }
    }

    /// The protocol's code for a version that the server does not speak, or no longer on this connection.
    private static let otherEra: Int64 = -32022

    private mutating func discover(patience: Duration?) throws(MCPError) -> JSONValue? {
        let era = Era.stateless(version: Self.stateless)
        guard case .result(let result)? = try request("server/discover", [:], era: era, patience: patience) else {
            return nil
        }
        let versions = result["supportedVersions"]?.array?.compactMap(\.string) ?? []
        guard versions.contains(Self.stateless) else { return nil }
        self.era = era
        return result["_meta"]?["io.modelcontextprotocol/serverInfo"] ?? result["serverInfo"] ?? .null
    }

    private mutating func shakeHands() throws(MCPError) -> JSONValue {
        let parameters: JSONObject = [
            "protocolVersion": .string(Self.handshakes[0]), "capabilities": [:], "clientInfo": client,
        ]
        guard let answer = try request("initialize", parameters, era: nil, patience: nil) else {
            throw budget.timedOut("initialize")
        }
        let result = try answer.result(of: "initialize")
        guard let agreed = result["protocolVersion"]?.string, Self.handshakes.contains(agreed) else {
            let theirs = result["protocolVersion"]?.string ?? "none"
            throw MCPError(.malformed, "the server speaks version \(theirs.quoted(utf8: 40)), which is not known here")
        }
        era = .handshake(version: agreed)
        _ = try transport.exchange(
            ["jsonrpc": "2.0", "method": "notifications/initialized"],
            method: "notifications/initialized",
            version: agreed,
            patience: nil,
            budget: &budget,
            take: nil
        )
        return result["serverInfo"] ?? .null
    }

    private var client: JSONValue { ["name": "ensign", "version": .string(version)] }

    // MARK: Listing

    private mutating func list(_ info: JSONValue) throws(MCPError) -> ServerListing {
        var listing = ServerListing(info: info)
        var cursor: String?
        var cursors: Set<String> = []
        repeat {
            let parameters: JSONObject = cursor.map { ["cursor": .string($0)] } ?? [:]
            guard let answer = try request("tools/list", parameters, era: era, patience: nil) else {
                throw budget.timedOut("tools/list")
            }
            let page = try answer.result(of: "tools/list")
            try listing.add(page)
            cursor = ServerListing.cursor(behind: page)
            if let cursor, !cursors.insert(cursor).inserted {
                throw MCPError(.malformed, "the server's pages go round in a circle")
            }
            guard cursors.count <= ServerListing.mostPages else {
                throw MCPError(.limit, "the server has more than \(ServerListing.mostPages) pages of tools")
            }
        } while cursor != nil
        return listing
    }

    // MARK: Requests

    private enum Answer {
        case result(JSONValue)
        case error(code: Int64, message: String)

        func result(of method: String) throws(MCPError) -> JSONValue {
            switch self {
            case .result(let result) where result.object != nil: return result
            case .result: throw MCPError(.malformed, "the server's answer to '\(method)' is not an object")
            case .error(let code, let message):
                throw MCPError(.refused(code), "the server refuses '\(method)': \(message.quoted(utf8: 200)) (\(code))")
            }
        }
    }

    /// Asks, and waits for the answer with the same id. What the server asks or says meanwhile is refused or passed over.
    ///
    /// - Returns: Nil when the patience ended first.
    private mutating func request(
        _ method: String,
        _ parameters: JSONObject,
        era: Era?,
        patience: Duration?
    ) throws(MCPError) -> Answer? {
        lastID += 1
        let id = lastID
        var parameters = parameters
        var version: String?
        switch era {
        case .stateless(let own):
            version = own
            parameters["_meta"] = [
                "io.modelcontextprotocol/protocolVersion": .string(own),
                "io.modelcontextprotocol/clientInfo": client,
                "io.modelcontextprotocol/clientCapabilities": [:],
            ]
        case .handshake(let own): version = own
        case nil: break
        }
        var message: JSONObject = ["jsonrpc": "2.0", "id": .integer(id), "method": .string(method)]
        if !parameters.isEmpty { message["params"] = .object(parameters) }
        var answer: Answer?
        var refusals: [JSONValue] = []
        var next: JSONValue = .object(message)
        // Each refusal is sent before more is read, as far as the transport can.
        let canAnswer = transport.takesAnswers
        var owesRefusal = owesRefusal
        defer { self.owesRefusal = owesRefusal }
        while true {
            let isProbe = method == "server/discover"
            do throws(MCPError) {
                let isDone = try transport.exchange(
                    next,
                    method: method,
                    version: version,
                    patience: patience,
                    budget: &budget
                ) { (value) throws(MCPError) -> Bool in
                    if owesRefusal, value["id"] == .null, value["error"]?.object != nil {
                        owesRefusal = false
                        return false
                    }
                    if let found = try Self.answer(in: value, to: id) {
                        answer = found
                        return true
                    }
                    guard canAnswer, let refusal = Self.refusal(of: value) else { return false }
                    refusals.append(refusal)
                    return true
                }
                if !isDone {
                    owesRefusal = isProbe && canAnswer
                    return nil
                }
            } catch  where isProbe && error.isOnlyRefused {
                return nil
            }
            if let answer { return answer }
            guard let refusal = refusals.popLast() else { return nil }
            next = refusal
        }
    }

    private static func answer(in value: JSONValue, to id: Int64) throws(MCPError) -> Answer? {
        let isOurs = value["id"] == .integer(id) || (value["id"] == .null && value["error"]?.object != nil)
        guard isOurs, value["method"]?.isNull ?? true, let message = value.object else { return nil }
        switch MCPResponse(message) {
        case .result(let result): return .result(result)
        case .error(let code, let message): return .error(code: code, message: message)
        case .malformed: throw MCPError(.malformed, "an answer has neither a result nor an error, or both")
        }
    }

    /// The answer to a request of the server's own: `ping` is fine, anything else is not offered.
    private static func refusal(of value: JSONValue) -> JSONValue? {
        guard let method = value["method"]?.string, let id = value["id"], !id.isNull else { return nil }
        if method == "ping" { return ["jsonrpc": "2.0", "id": id, "result": [:]] }
        return ["jsonrpc": "2.0", "id": id, "error": ["code": -32601, "message": "not offered by this client"]]
    }
}

extension MCPError {
    /// Whether another era may be what the server speaks.
    fileprivate var isOnlyRefused: Bool {
        if case .refused = code { return true }
        return false
    }
}
