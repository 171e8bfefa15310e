package import EnsignManifest
package import EnsignModel
import EnsignPolicy

/// The agents of an environment that may call a tool: what `who-can` answers.
package struct ToolHolders: Sendable {
    package var environment: String
    /// Sorted by agent.
    package var holders: [Holder]

    /// One agent that may call an operation.
    package struct Holder: Sendable, Hashable {
        package var agent: AgentID
        package var version: AgentVersion
        package var tool: String
        package var operation: String
        package var approval: Approval
        /// `role support-agent`, or `grant`.
        package var origin: String
        package var path: String
        package var position: Position
        package var arguments: JSONValue?
        package var expires: CalendarDate?
        package var isExpired: Bool
    }

    /// Finds them.
    ///
    /// - Parameter operation: Nil for all operations of the tool.
    package static func find(
        _ fleet: Fleet,
        _ environment: String,
        tool: String,
        operation: String?,
        today: CalendarDate
    ) throws -> ToolHolders {
        var holders: [Holder] = []
        let compiler = EnvironmentCompiler(fleet: fleet, environment: environment)
        for agent in try fleet.deployedAgents(in: environment) {
            guard let resolved = try compiler.resolve(agent), let instructions = resolved.loaded.instructions else {
                continue
            }
            let standing = CallPolicy.Standing(resolved, instructions: instructions)
            for permission in resolved.permissions where permission.tool == tool {
                guard operation == nil || permission.operation == operation, let approval = permission.effectiveApproval
                else { continue }
                let call = CallPolicy.Call(tool: tool, operation: permission.operation, arguments: nil)
                let isExpired: Bool
                switch try CallPolicy.decide(call, by: standing, today: today) {
                case .allowed, .needsApproval: isExpired = false
                case .refused(.expired): isExpired = true
                case .refused(.halted), .refused(.notGranted), .refused(.arguments): continue
                }
                holders.append(
                    Holder(
                        agent: agent,
                        version: resolved.version,
                        tool: tool,
                        operation: permission.operation,
                        approval: approval,
                        origin: permission.origin.role.map { "role \($0)" } ?? "grant",
                        path: permission.origin.path,
                        position: permission.origin.position,
                        arguments: permission.arguments?.value,
                        expires: permission.expires,
                        isExpired: isExpired
                    )
                )
            }
        }
        return ToolHolders(environment: environment, holders: holders)
    }

    package var json: JSONValue {
        ["v": 1, "environment": .string(environment), "holders": .array(holders.map(\.json))]
    }
}

extension ToolHolders.Holder {
    fileprivate var json: JSONValue {
        [
            "agent": .string(agent.description), "version": .string(version.description), "tool": .string(tool),
            "operation": .string(operation), "approval": .string(approval.rawValue), "through": .string(origin),
            "path": .string(path), "line": .integer(Int64(position.line)), "arguments": arguments ?? .null,
            "expires": expires.map { .string($0.description) } ?? .null, "expired": .bool(isExpired),
        ]
    }
}
