package import EnsignManifest
package import EnsignModel

/// Answers "may it, and which line says so" for one agent in one environment.
package struct PermissionCheck {
    private let fleet: Fleet
    private let environment: String
    private let today: CalendarDate

    package init(fleet: Fleet, environment: String, today: CalendarDate) {
        self.fleet = fleet
        self.environment = environment
        self.today = today
    }

    /// An answer and the line that decides it.
    package struct Answer: Sendable, Hashable {
        package enum Verdict: String, Sendable {
            case allowed, refused
            case needsApproval = "needs-approval"
        }

        package var verdict: Verdict
        package var approval: Approval
        package var reason: String
        package var path: String
        package var position: Position

        package var json: JSONValue {
            [
                "v": 1, "verdict": .string(verdict.rawValue), "approval": .string(approval.rawValue),
                "reason": .string(reason), "path": .string(path),
                "line": .integer(Int64(position.line)), "column": .integer(Int64(position.column)),
            ]
        }
    }

    /// Whether an agent may call an operation, with these arguments if they are given.
    ///
    /// - Returns: nil when the environment does not deploy the agent, or its manifests cannot be resolved.
    package func answer(
        _ agent: AgentID,
        tool: String,
        operation: String,
        arguments: JSONValue?
    ) throws -> Answer? {
        let compiler = EnvironmentCompiler(fleet: fleet, environment: environment)
        guard let resolved = try compiler.resolve(agent) else { return nil }
        let name = "\(tool).\(operation)"
        func no(_ reason: String, _ path: String, _ position: Position) -> Answer {
            Answer(verdict: .refused, approval: .none, reason: reason, path: path, position: position)
        }
        if resolved.deployment.halted {
            return no(
                "the agent is halted in git",
                resolved.deploymentPath,
                position(of: ["spec", "halted"], below: nil, in: resolved.deploymentPath)
            )
        }
        guard let need = resolved.manifest.tools.first(where: { $0.tool.value == tool }) else {
            return no(
                "the agent does not need '\(tool)', so it gets no grant of it",
                resolved.loaded.path,
                position(of: ["spec", "needs", "tools"], below: nil, in: resolved.loaded.path)
            )
        }
        guard need.operations.contains(where: { $0.value == operation }) else {
            return no("the agent needs '\(tool)' without '\(operation)'", resolved.loaded.path, need.tool.position)
        }
        guard let permission = resolved.permissions.first(where: { $0.tool == tool && $0.operation == operation })
        else {
            return no(
                "nothing in '\(environment)' grants \(name)",
                resolved.deploymentPath,
                resolved.deployment.version?.position ?? .start
            )
        }
        let origin = permission.origin
        guard let approval = permission.effectiveApproval else {
            return no(
                "autonomy '\(resolved.deployment.autonomy.rawValue)' leaves out what does not read",
                resolved.deploymentPath,
                resolved.deployment.autonomyPosition ?? .start
            )
        }
        if let expires = permission.expires, expires < today {
            return no("the grant expired on \(expires)", origin.path, origin.position)
        }
        if let arguments {
            if let refusal = try self.refusal(of: arguments, permission, resolved) { return refusal }
        }
        let path = approval > permission.approval ? resolved.deploymentPath : origin.path
        let position = approval > permission.approval ? resolved.deployment.autonomyPosition ?? .start : origin.position
        let source = origin.role.map { "role '\($0)'" } ?? "the deployment"
        return approval == .none
            ? Answer(
                verdict: .allowed,
                approval: .none,
                reason: "\(source) grants \(name)",
                path: origin.path,
                position: origin.position
            )
            : Answer(
                verdict: .needsApproval,
                approval: approval,
                reason: approval > permission.approval
                    ? "autonomy '\(resolved.deployment.autonomy.rawValue)' asks for it" : "\(source) asks for it",
                path: path,
                position: position
            )
    }

    /// Why arguments are not allowed; nil when they are.
    private func refusal(
        of arguments: JSONValue,
        _ permission: Permission,
        _ resolved: ResolvedDeployment
    ) throws -> Answer? {
        let name = "\(permission.tool).\(permission.operation)"
        if let input = permission.declaration.input,
            let failing = try SchemaCulprit.find(in: input, for: arguments)
        {
            let path = resolved.tools[permission.tool]?.path ?? ""
            return Answer(
                verdict: .refused,
                approval: .none,
                reason: "\(name) does not take these arguments: \(failing.message)",
                path: path,
                position: position(of: ["input"] + failing.pointer, below: permission.declaration.position, in: path)
            )
        }
        if let narrowing = permission.arguments,
            let failing = try SchemaCulprit.find(in: narrowing.value, for: arguments)
        {
            return Answer(
                verdict: .refused,
                approval: .none,
                reason: "the grant does not allow it: \(failing.message)",
                path: permission.origin.path,
                position: position(of: failing.pointer, below: narrowing.position, in: permission.origin.path)
            )
        }
        return nil
    }

    private func position(of pointer: [String], below start: Position?, in path: String) -> Position {
        fleet.source(path).map { ManifestLoader.position(of: pointer, below: start, in: $0) } ?? start ?? .start
    }
}
