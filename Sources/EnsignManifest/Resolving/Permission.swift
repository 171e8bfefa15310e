package import EnsignModel

/// One operation that a deployment allows, and the lines that decided it.
package struct Permission: Sendable {
    package var tool: String
    package var version: SemanticVersion
    package var operation: String
    package var declaration: Operation
    /// What the grant asks for, before autonomy.
    package var approval: Approval
    /// Of `approval` and `autonomy`, the stricter one; nil when the autonomy leaves the operation out.
    package var effectiveApproval: Approval?
    /// The tool's own schema, narrowed by the grant.
    package var input: JSONValue?
    package var arguments: Located<JSONValue>?
    package var expires: CalendarDate?
    /// Who may agree, sorted; nil where the grant names nobody.
    package var approvers: [Approver]?
    package var rate: CallRate?
    package var after: GrantedPrecondition?
    /// Sorted.
    package var record: [JSONPointer] = []
    package var origin: GrantOrigin
}

/// Where a grant is written.
package struct GrantOrigin: Sendable, Hashable {
    package var path: String
    package var position: Position
    /// Nil for the deployment's own grants.
    package var role: String?
}

/// The result of resolving a deployment: everything that its bundle needs.
package struct ResolvedDeployment: Sendable {
    package var agent: AgentID
    package var environment: String
    package var deployment: Deployment
    package var deploymentPath: String
    package var version: AgentVersion
    package var loaded: LoadedAgent
    package var manifest: Agent
    package var settings: Environment
    /// The tools it needs, by name.
    package var tools: [String: ResolvedTool]
    /// Every permission that covers a need, sorted by tool and operation.
    package var permissions: [Permission]
}

/// A tool as one environment reaches it.
package struct ResolvedTool: Sendable {
    package var name: String
    package var version: SemanticVersion
    package var value: Tool
    package var path: String
    package var binding: Binding?
    /// What of it is needed, each operation once.
    package let needed: [Located<String>]
    private let neededNames: Set<String>

    /// - Parameter needs: Resolved against `value`.
    package init(
        name: String,
        version: SemanticVersion,
        value: Tool,
        path: String,
        binding: Binding?,
        needs: OperationSelection
    ) {
        self.name = name
        self.version = version
        self.value = value
        self.path = path
        self.binding = binding
        needed = needs.selected(from: value.operations)
        neededNames = Set(needed.map(\.value))
    }

    package func needs(_ operation: String) -> Bool { neededNames.contains(operation) }
}

extension Permission {
    /// What a grant gives of one operation.
    init(
        _ operation: String,
        _ declaration: Operation,
        of tool: ResolvedTool,
        _ grant: Grant,
        _ autonomy: Autonomy,
        _ origin: GrantOrigin
    ) {
        self.init(
            tool: tool.name,
            version: tool.version,
            operation: operation,
            declaration: declaration,
            approval: grant.approval,
            effectiveApproval: autonomy.approval(
                for: declaration.access,
                risk: declaration.risk,
                granted: grant.approval
            ),
            input: grant.arguments.map { Narrowing.combine(declaration.input, $0.value) } ?? declaration.input,
            arguments: grant.arguments,
            expires: grant.expires?.value,
            approvers: grant.approvers.isEmpty ? nil : Set(grant.approvers.map(\.value)).sorted(),
            rate: grant.rate,
            after: grant.after,
            record: Set(grant.record.map(\.value)).sorted(),
            origin: origin
        )
    }

    /// Whether two grants of one operation say the same.
    func grantsSame(as other: Permission) -> Bool {
        approval == other.approval && arguments?.value == other.arguments?.value && expires == other.expires
            && approvers == other.approvers && rate == other.rate && after?.value == other.after?.value
            && record == other.record
    }
}
