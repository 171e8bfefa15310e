/// Everything that an agent's runtime needs in one environment, as one canonical JSON file.
///
/// docs/formats/live-directory.md describes the file. Its digest is the SHA-256 of its bytes.
package struct Bundle: Sendable, Hashable {
    /// The most bytes that its file may have: the host and the clients read no more.
    package static let maxBytes = 64 << 20

    package var agent: AgentID
    package var version: AgentVersion
    package var environment: String
    /// Digest of the part that does not depend on the environment.
    package var artifact: Digest
    /// SPIFFE id: `spiffe://<trust domain>/<env>/<team>/<agent>`.
    package var identity: String
    package var description: String
    package var labels: [String: String]
    /// Nil for an agent whose `runtime` names what it runs.
    package var model: Model?
    /// The full text; nil without any.
    package var instructions: String?
    /// Further texts by name; in the file only where there are any.
    package var prompts: [String: String] = [:]
    /// What telemetry may call the agent too; in the file only where it is declared.
    package var name: String?
    /// What starts a run, as data for the runtime; in the file only where there are any.
    package var triggers: [JSONValue] = []
    package var contract: Contract
    /// Sorted by tool.
    package var tools: [BundleTool]
    /// Sorted.
    package var delegates: [AgentID]
    package var autonomy: Autonomy
    package var limits: BundleLimits
    package var runtime: JSONValue
    /// What a refusal of the gateway does; in the file only where it is `observe`.
    package var mode: EnforcementMode = .enforce

    package init(
        agent: AgentID,
        version: AgentVersion,
        environment: String,
        artifact: Digest,
        identity: String,
        description: String,
        labels: [String: String],
        model: Model?,
        instructions: String?,
        contract: Contract,
        tools: [BundleTool],
        delegates: [AgentID],
        autonomy: Autonomy,
        limits: BundleLimits,
        runtime: JSONValue
    ) {
        self.agent = agent
        self.version = version
        self.environment = environment
        self.artifact = artifact
        self.identity = identity
        self.description = description
        self.labels = labels
        self.model = model
        self.instructions = instructions
        self.contract = contract
        self.tools = tools
        self.delegates = delegates
        self.autonomy = autonomy
        self.limits = limits
        self.runtime = runtime
    }

    /// The operation `tool.operation`, if the agent may call it at all.
    package func operation(_ tool: String, _ operation: String) -> BundleOperation? {
        tools.first { $0.tool == tool }?.operations[operation]
    }
}

/// A tool in a bundle, with the operations that are granted.
package struct BundleTool: Sendable, Hashable {
    package var tool: String
    package var version: SemanticVersion
    package var description: String?
    package var server: JSONValue?
    package var credentials: String?
    /// What it keeps, if it is a store; in the file only where it is declared.
    package var store: Store?
    package var operations: [String: BundleOperation]
    /// The team that answers for it; in the file only where an operation names its approvers, to whom this is an
    /// alternative.
    package var owner: String?

    package init(
        tool: String,
        version: SemanticVersion,
        description: String?,
        server: JSONValue?,
        credentials: String?,
        operations: [String: BundleOperation]
    ) {
        self.tool = tool
        self.version = version
        self.description = description
        self.server = server
        self.credentials = credentials
        self.operations = operations
    }
}

/// An operation that a bundle allows, and within which limits.
package struct BundleOperation: Sendable, Hashable {
    package var description: String?
    package var access: Access
    package var risk: Risk
    package var approval: Approval
    package var idempotent: Bool
    package var timeout: TimeSpan?
    package var expires: CalendarDate?
    /// JSON Schema of the arguments that are allowed: the tool's own, narrowed by the grant.
    package var input: JSONValue?
    package var output: JSONValue?
    /// What the tool's MCP server calls it; nil where that is the operation's own name.
    package var serverTool: String?
    /// Who may agree to a call, sorted; nil for the agent's team and the tool's owner team. Empty: nobody may, where two
    /// lists without anybody in common both count.
    package var approvers: [Approver]?
    /// How often an agent may call it.
    package var rate: CallRate?
    /// What must have succeeded in the same run before; all of them.
    package var after: [Precondition] = []
    /// Values of the arguments that the record of calls keeps in clear, sorted.
    package var record: [JSONPointer] = []
    /// The digest that the upstream's definition of it must have; nil where git says nothing of it.
    package var pin: Digest?

    package init(
        description: String?,
        access: Access,
        risk: Risk,
        approval: Approval,
        idempotent: Bool,
        timeout: TimeSpan?,
        expires: CalendarDate?,
        input: JSONValue?,
        output: JSONValue?,
        serverTool: String? = nil
    ) {
        self.description = description
        self.access = access
        self.risk = risk
        self.approval = approval
        self.idempotent = idempotent
        self.timeout = timeout
        self.expires = expires
        self.input = input
        self.output = output
        self.serverTool = serverTool
    }
}

/// Limits of each run, of a day and of a moment; nil means unlimited.
package struct BundleLimits: Sendable, Hashable {
    package var run: RunLimits
    /// US dollars.
    package var costUSDPerDay: Double?
    /// Runs at a time; in the file only where it is declared.
    package var runs: Int64?

    package init(run: RunLimits, costUSDPerDay: Double?, runs: Int64? = nil) {
        self.run = run
        self.costUSDPerDay = costUSDPerDay
        self.runs = runs
    }
}

/// What becomes of a call that the gateway would refuse.
package enum EnforcementMode: String, Sendable, CaseIterable {
    /// It is forwarded, and logged as `would-refuse`.
    case observe
    /// It is refused.
    case enforce
}
