import EnsignJSON
package import EnsignModel

/// The first line on the gateway's socket: who speaks, or what an operator wants. One JSON object.
package struct SocketHello: Sendable, Hashable {
    /// Nil where the account or the token has to say it.
    package var agent: AgentID?
    package var key: String?
    package var run: String?
    /// Who asked: a JWT.
    package var asked: String?
    package var token: String?
    /// The version that the client has agreed on, by a connection before this one.
    var agreed: String?
    /// Whether the client wants to know when its tools change: it said so on a connection before this one.
    var isTold = false

    package init(
        agent: AgentID?,
        key: String? = nil,
        run: String? = nil,
        asked: String? = nil,
        token: String? = nil
    ) {
        self.agent = agent
        self.key = key
        self.run = run
        self.asked = asked
        self.token = token
    }

    var json: JSONValue {
        var members: JSONObject = ["ensign": "hello"]
        for (name, value) in texts where value != nil { members[name] = value.map { .string($0) } }
        if isTold { members["told"] = true }
        return .object(members)
    }

    private var texts: [(String, String?)] {
        [
            ("agent", agent?.description), ("agreed", agreed), ("for", asked), ("key", key), ("run", run),
            ("token", token),
        ]
    }

    /// Whoever connects, as the gatekeeper is asked.
    func peer(uid: UInt32) -> Peer {
        Peer(
            .account(uid: uid, token: token),
            agent: agent,
            run: run.map { RunName($0, .option) },
            key: key,
            asked: asked
        )
    }
}

/// What the first line says.
enum SocketOpening: Sendable {
    case hello(SocketHello)
    case admin(JSONObject)
    case defect(String)

    /// The most bytes of the line.
    static let most = 256 << 10

    init(_ line: [UInt8]) {
        guard let value = try? JSONParser.parse(line), let members = value.object else {
            self = .defect("the first line is one JSON object")
            return
        }
        switch members["ensign"] {
        case "admin": self = .admin(members)
        case "hello": self = Self.hello(members)
        default: self = .defect("the first line says what is wanted: \"ensign\": \"hello\" or \"admin\"")
        }
    }

    private static func hello(_ members: JSONObject) -> SocketOpening {
        var hello = SocketHello(agent: nil)
        for (name, value) in members {
            switch (name, value) {
            case ("ensign", _): break
            case ("agent", .string(let text)):
                guard let agent = AgentID(text) else { return .defect("'agent' is TEAM/AGENT") }
                hello.agent = agent
            case ("agreed", .string(let text)) where ProtocolVersion.handshakes.contains(text): hello.agreed = text
            case ("for", .string(let text)): hello.asked = text
            case ("key", .string(let text)), ("run", .string(let text)):
                guard ClientName.isValid(text) else {
                    return .defect("'\(name)' is \(ClientName.rule)")
                }
                if name == "key" { hello.key = text } else { hello.run = text }
            case ("token", .string(let text)): hello.token = text
            case ("told", .bool(let isTold)): hello.isTold = isTold
            default: return .defect("a hello has no such \(name.quoted(utf8: 40))")
            }
        }
        return .hello(hello)
    }
}

/// What the gateway says to a hello.
enum SocketWelcome {
    static func welcome(_ agent: AgentID) -> JSONValue {
        ["ensign": "welcome", "agent": .string(agent.description)]
    }

    static func refusal(_ text: String) -> JSONValue { ["ensign": "refused", "message": .string(text)] }
}
