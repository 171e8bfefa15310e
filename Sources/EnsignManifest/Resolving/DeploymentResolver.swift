package import EnsignModel

/// Checks a deployment against everything that it names.
///
/// Findings go to the fleet. What concerns only one file is checked with that file; here are the checks that take two:
/// a version that exists, an operation that the tool has, a need that is granted.
package struct DeploymentResolver {
    let fleet: Fleet
    let environment: String
    let agent: AgentID
    private let path: String

    package init(fleet: Fleet, environment: String, agent: AgentID) {
        self.fleet = fleet
        self.environment = environment
        self.agent = agent
        path = RepositoryPath.deployment(agent, in: environment)
    }

    /// Resolves the deployment as its file in the snapshot declares it.
    ///
    /// - Parameters:
    ///   - other: A version to deploy instead of the file's.
    ///   - load: Gives a version of the agent; the caller may have read it already.
    /// - Returns: nil when something essential is missing or refused; the findings say what.
    package func resolve(
        as other: AgentVersion? = nil,
        load: (AgentVersion) throws -> LoadedAgent?
    ) throws -> ResolvedDeployment? {
        guard let file = try fleet.deployment(agent, in: environment) else { return nil }
        guard var deployment = file.value else { return nil }
        if let other { deployment.version?.value = other }
        let settings = try fleet.environment(environment)
        if settings == nil { fleet.reportMissing(environment: environment) }
        let loaded = try version(of: deployment, settings?.value, load)
        let roles = try roles(of: deployment)
        guard let loaded, let manifest = loaded.value, let version = deployment.version?.value else {
            try checkGrantsAlone(deployment)
            return nil
        }
        let tools = try tools(of: manifest)
        // If a need or a grant was refused, one without the other means nothing.
        let isWhole =
            file.isValid && loaded.isValid && roles.allSatisfy(\.role.isValid)
            && roles.count == Set(deployment.roles.map(\.value)).count
            && tools.count == manifest.tools.count
        let permissions = try permissions(deployment, roles: roles, tools: tools, isWhole: isWhole)
        if isWhole { warnAboutUngranted(deployment, tools, permissions) }
        try checkDelegates(of: manifest, loaded, deployment)
        guard let settings = settings?.value else { return nil }
        let resolved = ResolvedDeployment(
            agent: agent,
            environment: environment,
            deployment: deployment,
            deploymentPath: path,
            version: version,
            loaded: loaded,
            manifest: manifest,
            settings: settings,
            tools: tools,
            permissions: permissions
        )
        checkSize(resolved)
        return resolved
    }

    /// An agent with so few tools and prompts cannot have too large a bundle: each is a file of 1 MiB at most.
    private static let fewTools = 20

    /// What nobody reads back must not be published.
    private func checkSize(_ resolved: ResolvedDeployment) {
        guard let texts = resolved.loaded.texts,
            resolved.tools.count > Self.fewTools || texts.prompts.count > Self.fewTools
        else { return }
        let size = Compiler.bundle(resolved, texts).bytes.count
        guard size > Bundle.maxBytes else { return }
        report(
            "too-large",
            "the bundle of '\(agent)' has \(size >> 20) MiB, and nobody reads more than \(Bundle.maxBytes >> 20)",
            at: resolved.deployment.version?.position ?? .start,
            hint: "split the agent, or shorten the descriptions and schemas of its tools"
        )
    }

    // MARK: Version

    private func version(
        of deployment: Deployment,
        _ settings: Environment?,
        _ load: (AgentVersion) throws -> LoadedAgent?
    ) throws -> LoadedAgent? {
        guard let version = deployment.version else { return nil }
        guard try fleet.declares(agent) else {
            try report(
                "unknown-agent",
                "there is no agent '\(agent)' in fleet/agents",
                at: .start,
                hint: Suggestion.hint(for: agent.description, among: try fleet.agentNames(), plural: "agents")
            )
            return nil
        }
        if version.value == .next, let settings, !settings.mutableVersions {
            report(
                "mutable-version",
                "'\(environment)' deploys released versions only, and this is 'next'",
                at: version.position,
                hint:
                    "release it with 'ensign release \(agent) X.Y.Z', or set mutableVersions: true in environments/\(environment)/environment.yaml"
            )
        }
        guard let loaded = try load(version.value) else {
            let known = try fleet.agentVersions(agent).map(\.description)
            report(
                "unknown-version",
                "agent '\(agent)' has no version \(version.value)",
                at: version.position,
                hint: Suggestion.versions(known)
            )
            return nil
        }
        return loaded
    }

    // MARK: Tools

    private func tools(of manifest: Agent) throws -> [String: ResolvedTool] {
        var tools: [String: ResolvedTool] = [:]
        for need in manifest.tools {
            // Whether tool and version exist is checked with the agent's manifest.
            guard let tool = try fleet.tool(need.tool.value, need.version.value), let value = tool.value else {
                continue
            }
            let binding = try fleet.binding(environment, need.tool.value)
            tools[need.tool.value] = ResolvedTool(
                name: need.tool.value,
                version: need.version.value,
                value: value,
                path: tool.path,
                binding: binding?.value,
                needs: need.operations
            )
        }
        return tools
    }

    // MARK: Grants

    private func roles(of deployment: Deployment) throws -> [(role: Loaded<Role>, name: Located<String>)] {
        var roles: [(Loaded<Role>, Located<String>)] = []
        var seen: Set<String> = []
        for name in deployment.roles {
            guard seen.insert(name.value).inserted else {
                report(
                    "duplicate-role",
                    "role '\(name.value)' is here twice",
                    at: name.position,
                    hint: "remove one",
                    severity: .warning
                )
                continue
            }
            if let role = try fleet.role(name.value) {
                roles.append((role, name))
            } else {
                try report(
                    "unknown-role",
                    "there is no role '\(name.value)'",
                    at: name.position,
                    hint: Suggestion.hint(
                        for: name.value,
                        among: try fleet.names(in: "roles", files: true),
                        plural: "roles"
                    )
                )
            }
        }
        return roles
    }

    private func permissions(
        _ deployment: Deployment,
        roles: [(role: Loaded<Role>, name: Located<String>)],
        tools: [String: ResolvedTool],
        isWhole: Bool
    ) throws -> [Permission] {
        var granted: [String: Permission] = [:]
        for (role, name) in roles {
            var helps = false
            for grant in role.value?.grants ?? [] {
                let added = try add(grant, path: role.path, role: name.value, deployment, tools, &granted)
                helps = helps || added
            }
            if !helps, isWhole {
                report(
                    "grant-without-need",
                    "role '\(name.value)' grants nothing that the agent needs",
                    at: name.position,
                    hint: "remove it, or add the need to the agent",
                    severity: .warning
                )
            }
        }
        for grant in deployment.grants {
            let added = try add(grant, path: path, role: nil, deployment, tools, &granted)
            if !added, isWhole, try isKnown(grant, tools) {
                report(
                    "grant-without-need",
                    "the agent does not need what this grants on '\(grant.tool.value)'",
                    at: grant.tool.position,
                    hint: "remove the grant, or add the need to the agent",
                    severity: .warning
                )
            }
        }
        if isWhole { try CallConditionChecker.checkPreconditions(granted, fleet) }
        return granted.values.sorted { ($0.tool, $0.operation) < ($1.tool, $1.operation) }
    }

    /// Adds the needs that a grant covers; false when it covers none.
    private func add(
        _ grant: Grant,
        path: String,
        role: String?,
        _ deployment: Deployment,
        _ tools: [String: ResolvedTool],
        _ granted: inout [String: Permission]
    ) throws -> Bool {
        warnIfExpired(grant, path)
        guard let tool = tools[grant.tool.value] else {
            if role == nil { try checkExists(grant) }
            return false
        }
        try checkSelection(grant, path, role, tool)
        let conditions = CallConditionChecker(fleet: fleet, path: path)
        try conditions.checkApprovers(of: grant)
        var helps = false
        for name in grant.operations.selected(from: tool.value.operations) {
            guard let declaration = tool.value.operations[name.value] else {
                if role == nil {
                    fleet.reportUnknown(
                        name,
                        "tool '\(tool.name)' \(tool.version) has no operation '\(name.value)'",
                        among: Set(tool.value.operations.keys),
                        in: path
                    )
                } else {
                    // Another version of the tool may have it.
                    if fleet.isFirstCheck(of: grant, in: path) {
                        try GrantChecker(fleet: fleet, path: path).checkNames(of: grant)
                    }
                }
                continue
            }
            guard tool.needs(name.value) else { continue }
            helps = true
            if let arguments = grant.arguments {
                fleet.checkNarrowing(arguments, of: declaration, "\(tool.name).\(name.value)", in: path)
            }
            conditions.checkArguments(of: grant, declaration, "\(tool.name).\(name.value)")
            let origin = GrantOrigin(path: path, position: name.position, role: role)
            let permission = Permission(name.value, declaration, of: tool, grant, deployment.autonomy, origin)
            warnIfNobodyIsAsked(permission, grant)
            let key = "\(tool.name).\(name.value)"
            guard let other = granted[key] else {
                granted[key] = permission
                continue
            }
            if !other.grantsSame(as: permission) { reportTwice(key, permission, other) }
        }
        return helps
    }

    /// Checks what is more than a list of names.
    private func checkSelection(_ grant: Grant, _ path: String, _ role: String?, _ tool: ResolvedTool) throws {
        guard !grant.operations.isWrittenOut else { return }
        try GrantChecker(fleet: fleet, path: path)
            .checkExceptions(of: grant.operations, tool.name, beside: tool.value.operations)
        // A role is for agents with other versions of the tool too.
        guard role == nil else { return }
        for problem in EmptySelection.problems(grant.operations, tool.value.operations) {
            report(
                EmptySelection.code,
                "\(problem.message) of tool '\(tool.name)' \(tool.version)",
                at: problem.position,
                hint: problem.hint
            )
        }
    }

    private func warnIfExpired(_ grant: Grant, _ path: String) {
        guard let expires = grant.expires, expires.value < fleet.today else { return }
        fleet.report(
            Finding(
                .warning,
                code: "expired-grant",
                "this grant expired on \(expires.value)",
                path: path,
                at: expires.position,
                hint: "renew it or remove it"
            )
        )
    }

    /// Approvers of an operation that needs no approval: probably `approval` was forgotten.
    private func warnIfNobodyIsAsked(_ permission: Permission, _ grant: Grant) {
        guard permission.effectiveApproval == Approval.none, let first = grant.approvers.first else { return }
        fleet.report(
            Finding(
                .warning,
                code: "approvers-without-approval",
                "calls of \(permission.tool).\(permission.operation) need no approval: nobody of 'approvers' is asked",
                path: permission.origin.path,
                at: first.position,
                hint: "add approval: manager or dual, or remove the approvers"
            )
        )
    }

    private func reportTwice(_ name: String, _ permission: Permission, _ other: Permission) {
        fleet.report(
            Finding(
                code: "granted-twice",
                "'\(name)' is granted twice, with different limits",
                path: permission.origin.path,
                at: permission.origin.position,
                hint:
                    "keep one of the grants, or name it under 'except' in the other: Ensign does not guess which one is meant",
                notes: [
                    Finding.Note(
                        path: other.origin.path,
                        position: other.origin.position,
                        message: "also granted here"
                    )
                ]
            )
        )
    }

    /// Checks the deployment's own grants when there is no agent to compare them with.
    private func checkGrantsAlone(_ deployment: Deployment) throws {
        for grant in deployment.grants { try checkExists(grant) }
    }

    private func checkExists(_ grant: Grant) throws {
        try GrantChecker(fleet: fleet, path: path).check(grant)
    }

    /// Whether everything that a grant names exists; if not, reports that.
    private func isKnown(_ grant: Grant, _ tools: [String: ResolvedTool]) throws -> Bool {
        guard let tool = tools[grant.tool.value] else { return try !fleet.toolVersions(grant.tool.value).isEmpty }
        return grant.operations.selected(from: tool.value.operations).contains {
            tool.value.operations[$0.value] != nil
        }
    }

    private static let shownNeeds = 10

    private func warnAboutUngranted(
        _ deployment: Deployment,
        _ tools: [String: ResolvedTool],
        _ permissions: [Permission]
    ) {
        for tool in tools.values.sorted(by: { $0.name < $1.name }) {
            let granted = Set(permissions.lazy.filter { $0.tool == tool.name }.map(\.operation))
            let missing = tool.needed.map(\.value).filter { name in
                tool.value.operations[name] != nil && !granted.contains(name)
            }
            guard !missing.isEmpty else { continue }
            let shown = missing.prefix(Self.shownNeeds).map { "\(tool.name).\($0)" }.joined(separator: ", ")
            let more = missing.count > Self.shownNeeds ? " and \(missing.count - Self.shownNeeds) more" : ""
            report(
                "need-without-grant",
                "the agent needs \(shown)\(more), which nothing here grants",
                at: deployment.version?.position ?? .start,
                hint: "add a grant or a role; without it the agent runs without the operation",
                severity: .warning
            )
        }
    }

    // MARK: Delegates

    private func checkDelegates(of manifest: Agent, _ loaded: LoadedAgent, _ deployment: Deployment) throws {
        for delegate in manifest.delegates where delegate.value != agent {
            guard try !fleet.deploys(delegate.value, in: environment), try fleet.declares(delegate.value) else {
                continue
            }
            fleet.report(
                Finding(
                    code: "delegate-not-deployed",
                    "'\(agent)' \(loaded.version) delegates to '\(delegate.value)', which '\(environment)' does not deploy",
                    path: path,
                    at: deployment.version?.position ?? .start,
                    hint: "add environments/\(environment)/agents/\(delegate.value).yaml",
                    notes: [
                        Finding.Note(path: loaded.path, position: delegate.position, message: "delegated to here")
                    ]
                )
            )
        }
    }

    private func report(
        _ code: String,
        _ message: String,
        at position: Position,
        hint: @autoclosure () throws -> String? = nil,
        severity: Finding.Severity = .error
    ) rethrows {
        try fleet.report(
            severity,
            in: path,
            at: position,
            Finding(severity, code: code, message, path: path, at: position, hint: hint())
        )
    }
}
