import EnsignCrypto
package import EnsignModel

/// Turns a resolved deployment into its bundle.
///
/// Reads no clock, no commit and no setting of this clone: a revert compiles to the digest it had before, on any machine.
package enum Compiler {
    package static func compile(_ resolved: ResolvedDeployment, _ texts: AgentTexts) -> CompiledBundle {
        let former = artifactWithoutRuntime(resolved, texts)
        let bundle = bundle(resolved, texts, artifact(resolved.manifest.runtime, former))
        let bytes = bundle.bytes
        return CompiledBundle(
            bundle: bundle,
            bytes: bytes,
            digest: digest(of: bytes),
            halted: resolved.deployment.halted,
            formerArtifact: resolved.manifest.runtime == nil ? nil : former
        )
    }

    /// The bundle without its bytes.
    package static func bundle(_ resolved: ResolvedDeployment, _ texts: AgentTexts) -> Bundle {
        bundle(resolved, texts, artifact(resolved.manifest.runtime, artifactWithoutRuntime(resolved, texts)))
    }

    private static func bundle(_ resolved: ResolvedDeployment, _ texts: AgentTexts, _ artifact: Digest) -> Bundle {
        var bundle = Bundle(
            agent: resolved.agent,
            version: resolved.version,
            environment: resolved.environment,
            artifact: artifact,
            identity: "spiffe://\(resolved.settings.trustDomain)/\(resolved.environment)/\(resolved.agent)",
            description: resolved.manifest.description,
            labels: resolved.manifest.labels,
            model: resolved.manifest.model,
            instructions: texts.instructions,
            contract: resolved.manifest.contract ?? Contract(input: nil, output: nil),
            tools: tools(resolved),
            delegates: resolved.manifest.delegates.map(\.value).sorted(),
            autonomy: resolved.deployment.autonomy,
            limits: BundleLimits(
                run: resolved.manifest.limits,
                costUSDPerDay: resolved.deployment.costUSDPerDay,
                runs: [resolved.manifest.runs, resolved.deployment.runs].compactMap { $0 }.min()
            ),
            runtime: resolved.manifest.runtime ?? .null
        )
        bundle.prompts = texts.prompts
        bundle.name = resolved.manifest.name?.value
        bundle.triggers = resolved.deployment.triggers ?? resolved.manifest.triggers
        bundle.mode = resolved.deployment.mode
        return bundle
    }

    /// A bundle with its bytes and their digest.
    package static func seal(_ bundle: Bundle, halted: Bool) -> CompiledBundle {
        let bytes = bundle.bytes
        return CompiledBundle(bundle: bundle, bytes: bytes, digest: digest(of: bytes), halted: halted)
    }

    package static func digest(of bytes: [UInt8]) -> Digest {
        guard let digest = Digest(hex: SHA256.hex(of: bytes)) else {
            preconditionFailure("SHA-256 has 64 hexadecimal digits")
        }
        return digest
    }

    private static func tools(_ resolved: ResolvedDeployment) -> [BundleTool] {
        var tools: [BundleTool] = []
        for tool in resolved.tools.values.sorted(by: { $0.name < $1.name }) {
            var operations: [String: BundleOperation] = [:]
            for permission in resolved.permissions where permission.tool == tool.name {
                guard let approval = permission.effectiveApproval else { continue }
                let declaration = permission.declaration
                var operation = BundleOperation(
                    description: declaration.description,
                    access: declaration.access,
                    risk: declaration.risk,
                    approval: approval,
                    idempotent: declaration.idempotent,
                    timeout: declaration.timeout,
                    expires: permission.expires,
                    input: permission.input,
                    output: declaration.output,
                    serverTool: declaration.serverTool
                )
                operation.approvers = permission.approvers
                operation.rate = permission.rate
                operation.after = [permission.after?.value].compactMap { $0 }
                operation.record = permission.record
                operation.pin = tool.binding?.pins[permission.operation]?.value ?? declaration.pin
                operations[permission.operation] = operation
            }
            // A tool with nothing granted is not one of the agent's tools: it gets no server and no credentials.
            guard !operations.isEmpty else { continue }
            var granted = BundleTool(
                tool: tool.name,
                version: tool.version,
                description: tool.value.description,
                server: tool.binding?.server ?? tool.value.server,
                credentials: tool.binding?.credentials ?? tool.value.credentials,
                operations: operations
            )
            granted.store = tool.value.store
            if operations.values.contains(where: { $0.approvers != nil }) { granted.owner = tool.value.owner.value }
            tools.append(granted)
        }
        return tools
    }

    /// The digest of what does not depend on the environment: model, instructions, contract, needs, tool operations, and
    /// `runtime` where it is declared.
    private static func artifact(_ runtime: JSONValue?, _ rest: Digest) -> Digest {
        guard let runtime else { return rest }
        let part: JSONValue = ["artifact": .string(rest.description), "runtime": runtime]
        return digest(of: part.canonicalBytes())
    }

    private static func artifactWithoutRuntime(_ resolved: ResolvedDeployment, _ texts: AgentTexts) -> Digest {
        let manifest = resolved.manifest
        var tools: [JSONValue] = []
        for tool in resolved.tools.values.sorted(by: { $0.name < $1.name }) {
            var operations = JSONObject()
            for name in tool.needed { operations[name.value] = tool.value.operations[name.value]?.json }
            var part: JSONObject = [
                "tool": .string(tool.name), "version": .string(tool.version.description),
                "operations": .object(operations),
            ]
            if let store = tool.value.store { part["store"] = store.json }
            tools.append(.object(part))
        }
        var part: JSONObject = [
            "model": manifest.model?.json ?? .null, "instructions": texts.instructions.map { .string($0) } ?? .null,
            "contract": (manifest.contract ?? Contract(input: nil, output: nil)).json, "tools": .array(tools),
            "delegates": .array(manifest.delegates.map(\.value).sorted().map { .string($0.description) }),
        ]
        if !texts.prompts.isEmpty {
            part["prompts"] = .object(JSONObject(texts.prompts.map { ($0.key, .string($0.value)) }))
        }
        return digest(of: JSONValue.object(part).canonicalBytes())
    }
}

extension Compiler {
    /// The bundle that a version would have in an environment that grants exactly what it needs, for comparing versions.
    ///
    /// - Returns: nil when the version or a tool that it needs cannot be read.
    package static func compileAlone(_ loaded: LoadedAgent, fleet: Fleet) throws -> CompiledBundle? {
        guard let manifest = loaded.value, let texts = loaded.texts,
            let deployment = Deployment.granting, let settings = Environment.any
        else { return nil }
        var tools: [String: ResolvedTool] = [:]
        var permissions: [Permission] = []
        for need in manifest.tools {
            guard let tool = try fleet.tool(need.tool.value, need.version.value), let value = tool.value else {
                return nil
            }
            tools[need.tool.value] = ResolvedTool(
                name: need.tool.value,
                version: need.version.value,
                value: value,
                path: tool.path,
                binding: nil,
                needs: need.operations
            )
            permissions += self.permissions(need, value, path: loaded.path)
        }
        let resolved = ResolvedDeployment(
            agent: loaded.id,
            environment: "any",
            deployment: deployment,
            deploymentPath: "",
            version: loaded.version,
            loaded: loaded,
            manifest: manifest,
            settings: settings,
            tools: tools,
            permissions: permissions
        )
        return compile(resolved, texts)
    }

    /// All that an agent needs of a tool, without a limit.
    private static func permissions(_ need: ToolNeed, _ tool: Tool, path: String) -> [Permission] {
        need.operations.selected(from: tool.operations).compactMap { name in
            guard let declaration = tool.operations[name.value] else { return nil }
            return Permission(
                tool: need.tool.value,
                version: need.version.value,
                operation: name.value,
                declaration: declaration,
                approval: .none,
                effectiveApproval: Approval.none,
                input: declaration.input,
                arguments: nil,
                expires: nil,
                origin: GrantOrigin(path: path, position: name.position, role: nil)
            )
        }
    }
}

extension Deployment {
    /// One that limits nothing.
    fileprivate static var granting: Deployment? {
        AgentVersion("next").map { version in
            Deployment(
                version: Located(version, at: .start),
                autonomy: .full,
                autonomyPosition: nil,
                roles: [],
                grants: [],
                costUSDPerDay: nil,
                halted: false,
                rollout: nil,
                killSwitch: []
            )
        }
    }
}

extension Environment {
    /// One that asks for nothing.
    fileprivate static var any: Environment? {
        TimeSpan("1d").map { day in
            Environment(
                trustDomain: "any",
                promotesFrom: nil,
                soak: nil,
                mutableVersions: true,
                prune: true,
                maxPruneShare: 1,
                keepFor: day,
                costUSDPerDay: nil,
                concurrentRollouts: nil,
                rollout: nil,
                killSwitch: []
            )
        }
    }
}
