/// `kind: Tool`: one released version of a tool.
package struct Tool: Sendable {
    /// The team responsible for the tool.
    package var owner: Located<String>
    package var description: String?
    /// How the agent's runtime reaches it; Ensign never starts or calls it.
    package var server: JSONValue?
    package var operations: [String: Operation]
    package var credentials: String?
    /// What it keeps, if it is a store.
    package var store: Store?

    package init(
        owner: Located<String>,
        description: String?,
        server: JSONValue?,
        operations: [String: Operation],
        credentials: String?
    ) {
        self.owner = owner
        self.description = description
        self.server = server
        self.operations = operations
        self.credentials = credentials
    }
}

/// One thing that a tool can do.
package struct Operation: Sendable {
    package var description: String?
    package var access: Access
    package var risk: Risk
    package var idempotent: Bool
    package var timeout: TimeSpan?
    /// JSON Schema of its arguments.
    package var input: JSONValue?
    package var output: JSONValue?
    /// What the tool's MCP server calls it; nil where that is the operation's own name.
    package var serverTool: String?
    /// The digest that its server's definition must have; a Binding may say another one.
    package var pin: Digest?
    /// Where the operation is declared in the tool's manifest.
    package var position: Position

    package init(
        description: String?,
        access: Access,
        risk: Risk,
        idempotent: Bool,
        timeout: TimeSpan?,
        input: JSONValue?,
        output: JSONValue?,
        serverTool: String?,
        position: Position
    ) {
        self.description = description
        self.access = access
        self.risk = risk
        self.idempotent = idempotent
        self.timeout = timeout
        self.input = input
        self.output = output
        self.serverTool = serverTool
        self.position = position
    }

    /// The declaration without its position, as it is digested for `artifact`: what came after the first version is there
    /// only where it is declared.
    package var json: JSONValue {
        var object: JSONObject = [
            "access": .string(access.rawValue), "risk": .string(risk.rawValue), "idempotent": .bool(idempotent),
            "timeout": timeout.map { .string($0.description) } ?? .null, "input": input ?? .null,
            "output": output ?? .null, "description": description.map { .string($0) } ?? .null,
        ]
        if let serverTool { object["mcp"] = ["tool": .string(serverTool)] }
        object["pin"] = pin.map { .string($0.description) }
        return .object(object)
    }
}

/// What an operation does to the world, from least to most.
package enum Access: String, Sendable, CaseIterable, Comparable {
    case read, write, execute

    package static func < (left: Access, right: Access) -> Bool { left.rank < right.rank }
    private var rank: Int {
        switch self {
        case .read: 0
        case .write: 1
        case .execute: 2
        }
    }
}

/// How bad a wrong call can be, from least to most.
package enum Risk: String, Sendable, CaseIterable, Comparable {
    case low, medium, high

    package static func < (left: Risk, right: Risk) -> Bool { left.rank < right.rank }
    private var rank: Int {
        switch self {
        case .low: 0
        case .medium: 1
        case .high: 2
        }
    }
}

/// `kind: Binding`: one environment's server, credentials and pins for a tool.
package struct Binding: Sendable {
    package var server: JSONValue?
    package var credentials: String?
    /// By operation, in place of the tool's own.
    package var pins: [String: Located<Digest>] = [:]

    package init(server: JSONValue?, credentials: String?) {
        self.server = server
        self.credentials = credentials
    }
}
