package import EnsignManifest
package import EnsignModel
import EnsignPolicy

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
            /// The grants do not allow it, and the gateway lets it through all the same: it only observes.
            case wouldRefuse = "would-refuse"
        }

        package var verdict: Verdict
        package var approval: Approval
        /// Who may agree; nil where nobody has to.
        package var agreement: WhoAgrees?
        package var reason: String
        /// Nil where the manifests no longer say the same as what is live.
        package var path: String?
        package var position: Position?

        /// The same for an agent of which the gateway may only observe: then it forwards what the grants do not allow, and
        /// waits for nobody.
        func held(_ mode: EnforcementMode) -> Answer {
            guard mode == .observe, verdict != .allowed else { return self }
            var answer = self
            answer.verdict = .wouldRefuse
            answer.agreement = nil
            if verdict == .needsApproval { answer.reason = "\(approval.phrase) is not waited for: \(reason)" }
            return answer
        }

        package var json: JSONValue {
            [
                "verdict": .string(verdict.rawValue), "approval": .string(approval.rawValue),
                "agreement": agreement?.json ?? .null, "reason": .string(reason),
                "path": path.map { .string($0) } ?? .null,
                "line": position.map { .integer(Int64($0.line)) } ?? .null,
                "column": position.map { .integer(Int64($0.column)) } ?? .null,
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
        guard let (resolved, texts) = try resolve(agent) else { return nil }
        let call = CallPolicy.Call(tool: tool, operation: operation, arguments: arguments)
        let answer = try granted(call, resolved, texts)
        // A halt holds whoever is observed.
        return resolved.deployment.halted ? answer : answer?.held(resolved.deployment.mode)
    }

    /// The same by the grants alone, whatever the gateway does with it, for a version that need not be the deployment's.
    func granted(_ agent: AgentID, _ version: AgentVersion, _ call: CallPolicy.Call) throws -> Answer? {
        guard let (resolved, texts) = try resolve(agent, as: version) else { return nil }
        return try granted(call, resolved, texts)
    }

    private func resolve(_ agent: AgentID, as version: AgentVersion? = nil) throws -> (ResolvedDeployment, AgentTexts)?
    {
        let compiler = EnvironmentCompiler(fleet: fleet, environment: environment)
        guard let resolved = try compiler.resolve(agent, as: version), let texts = resolved.loaded.texts else {
            return nil
        }
        return (resolved, texts)
    }

    private func granted(
        _ call: CallPolicy.Call,
        _ resolved: ResolvedDeployment,
        _ texts: AgentTexts
    ) throws -> Answer? {
        let (tool, operation) = (call.tool, call.operation)
        let standing = CallPolicy.Standing(resolved, texts)
        let permission = resolved.permissions.first { $0.tool == tool && $0.operation == operation }
        switch try CallPolicy.decide(call, by: standing, today: today) {
        case .refused(let refusal): return try why(refusal, call, permission, resolved)
        case .allowed: return permission.map { granted(call, $0, .none, resolved) }
        case .needsApproval(let approval):
            guard let permission else { return nil }
            var answer = granted(call, permission, approval, resolved)
            // Reports no findings: what is wrong elsewhere is not asked about.
            let policy = try Fleet(snapshot: fleet.snapshot, today: today).policy(of: environment)
            let bundle = Compiler.bundle(resolved, texts)
            answer.agreement = WhoAgrees(ApprovalRule(bundle, tool: tool, operation: operation, policy: policy))
            return answer
        }
    }

    // MARK: Which line says so

    private func granted(
        _ call: CallPolicy.Call,
        _ permission: Permission,
        _ approval: Approval,
        _ resolved: ResolvedDeployment
    ) -> Answer {
        let origin = permission.origin
        let source = origin.role.map { "role '\($0)'" } ?? "the deployment"
        guard approval != .none else {
            return Answer(
                verdict: .allowed,
                approval: .none,
                reason: "\(source) grants \(call.name)",
                path: origin.path,
                position: origin.position
            )
        }
        let isForAutonomy = approval > permission.approval
        return Answer(
            verdict: .needsApproval,
            approval: approval,
            reason: isForAutonomy
                ? "autonomy '\(resolved.deployment.autonomy.rawValue)' asks for it" : "\(source) asks for it",
            path: isForAutonomy ? resolved.deploymentPath : origin.path,
            position: isForAutonomy ? resolved.deployment.autonomyPosition ?? .start : origin.position
        )
    }

    private func why(
        _ refusal: CallPolicy.Refusal,
        _ call: CallPolicy.Call,
        _ permission: Permission?,
        _ resolved: ResolvedDeployment
    ) throws -> Answer {
        switch refusal {
        case .halted:
            let path = resolved.deploymentPath
            return no("the agent is halted in git", path, position(of: ["spec", "halted"], below: nil, in: path))
        case .notGranted: return notGranted(call, permission, resolved)
        case .expired(let date):
            let origin = permission?.origin
            return no("the grant expired on \(date)", origin?.path ?? "", origin?.position ?? .start)
        // Nothing of these is asked for here: only whoever makes calls counts them.
        case .precondition(let condition):
            let origin = permission?.origin
            return no("it may be called only \(condition)", origin?.path ?? "", origin?.position ?? .start)
        case .exhausted(let limit): return no(limit.sentence, resolved.deploymentPath, .start)
        case .looping(let loop): return no(loop.sentence, resolved.deploymentPath, .start)
        case .arguments(_, let message): return try arguments(call, message, permission, resolved)
        }
    }

    private func no(_ reason: String, _ path: String, _ position: Position) -> Answer {
        Answer(verdict: .refused, approval: .none, reason: reason, path: path, position: position)
    }

    private func notGranted(
        _ call: CallPolicy.Call,
        _ permission: Permission?,
        _ resolved: ResolvedDeployment
    ) -> Answer {
        guard let need = resolved.manifest.tools.first(where: { $0.tool.value == call.tool }) else {
            return no(
                "the agent does not need '\(call.tool)', so it gets no grant of it",
                resolved.loaded.path,
                position(of: ["spec", "needs", "tools"], below: nil, in: resolved.loaded.path)
            )
        }
        let tool = resolved.tools[call.tool]
        let declaration = tool?.value.operations[call.operation]
        guard tool?.needs(call.operation) == true else {
            return no(
                "the agent needs '\(call.tool)' without '\(call.operation)'",
                resolved.loaded.path,
                need.operations.exception(from: call.operation, declaration)?.position ?? need.tool.position
            )
        }
        guard permission == nil else {
            return no(
                "autonomy '\(resolved.deployment.autonomy.rawValue)' leaves out what does not read",
                resolved.deploymentPath,
                resolved.deployment.autonomyPosition ?? .start
            )
        }
        let exceptions = resolved.deployment.grants.filter { $0.tool.value == call.tool }.compactMap {
            $0.operations.exception(from: call.operation, declaration)
        }
        if let exception = exceptions.first {
            return no("the deployment's grant leaves out \(call.name)", resolved.deploymentPath, exception.position)
        }
        return no(
            "nothing in '\(environment)' grants \(call.name)",
            resolved.deploymentPath,
            resolved.deployment.version?.position ?? .start
        )
    }

    /// The tool's own schema, or the grant that narrows it: the bundle has both in one.
    private func arguments(
        _ call: CallPolicy.Call,
        _ message: String,
        _ permission: Permission?,
        _ resolved: ResolvedDeployment
    ) throws -> Answer {
        if let permission, let arguments = call.arguments, let input = permission.declaration.input,
            let failing = try SchemaCulprit.find(in: input, for: arguments)
        {
            let path = resolved.tools[call.tool]?.path ?? ""
            return no(
                "\(call.name) does not take these arguments: \(failing.message)",
                path,
                position(of: ["input"] + failing.pointer, below: permission.declaration.position, in: path)
            )
        }
        if let permission, permission.declaration.input == nil, call.arguments?.object?.isEmpty != true {
            return no(
                "\(call.name) declares no input, so it takes no arguments",
                resolved.tools[call.tool]?.path ?? "",
                permission.declaration.position
            )
        }
        let path = permission?.origin.path ?? resolved.deploymentPath
        let reason = "the grant does not allow it: "
        guard let arguments = call.arguments, let narrowing = permission?.arguments,
            let failing = try SchemaCulprit.find(in: narrowing.value, for: arguments)
        else { return no(reason + message, path, permission?.origin.position ?? .start) }
        let place = position(of: failing.pointer, below: narrowing.position, in: path)
        return no(reason + failing.message, path, place)
    }

    private func position(of pointer: [String], below start: Position?, in path: String) -> Position {
        fleet.source(path).map { ManifestLoader.position(of: pointer, below: start, in: $0) } ?? start ?? .start
    }
}

extension CallPolicy.Standing {
    /// What a deployment comes to.
    init(_ resolved: ResolvedDeployment, _ texts: AgentTexts) {
        self =
            resolved.deployment.halted ? .halted : .live(Compiler.bundle(resolved, texts))
    }
}
