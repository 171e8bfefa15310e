extension Bundle {
    /// The file's content. Every field is always present, null where nothing was declared; only those that came after the
    /// first version are left out, so that older bundles keep their digests.
    package var json: JSONValue {
        var object: JSONObject = [
            "agent": .string(agent.description),
            "artifact": .string(artifact.description),
            "autonomy": .string(autonomy.rawValue),
            "contract": contract.json,
            "delegates": .array(delegates.map { .string($0.description) }),
            "description": .string(description),
            "environment": .string(environment),
            "identity": .string(identity),
            "instructions": instructions.map { .string($0) } ?? .null,
            "labels": .object(JSONObject(labels.map { ($0.key, .string($0.value)) })),
            "limits": limits.json,
            "model": model?.json ?? .null,
            "owner": .string(agent.team),
            "runtime": runtime,
            "tools": .array(tools.map(\.json)),
            "version": .string(version.description),
        ]
        if !prompts.isEmpty { object["prompts"] = .object(JSONObject(prompts.map { ($0.key, .string($0.value)) })) }
        if let name { object["name"] = .string(name) }
        if !triggers.isEmpty { object["triggers"] = .array(triggers) }
        if mode != .enforce { object["mode"] = .string(mode.rawValue) }
        return .object(object)
    }

    /// The file's bytes: RFC 8785, plus a final newline.
    package var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity((instructions?.utf8.count ?? 0) + 4_096)
        json.appendCanonical(to: &bytes)
        bytes.append(0x0A)
        return bytes
    }

    /// Reads a bundle back; nil when a field is missing or has the wrong type.
    package init?(json: JSONValue) {
        guard let agent = json["agent"]?.string.flatMap({ AgentID($0) }),
            let version = json["version"]?.string.flatMap({ AgentVersion($0) }),
            let environment = json["environment"]?.string,
            let artifact = json["artifact"]?.string.flatMap({ Digest($0) }),
            let identity = json["identity"]?.string,
            let description = json["description"]?.string,
            let labels = json["labels"]?.object,
            let modelValue = json["model"], let instructions = json["instructions"],
            let tools = json["tools"]?.array,
            let delegates = json["delegates"]?.array,
            let autonomy = json["autonomy"]?.string.flatMap({ Autonomy(rawValue: $0) }),
            let limits = json["limits"].flatMap({ BundleLimits(json: $0) })
        else { return nil }
        let parsedTools = tools.compactMap { BundleTool(json: $0) }
        let parsedDelegates = delegates.compactMap { $0.string.flatMap { AgentID($0) } }
        let model = Model(json: modelValue)
        guard parsedTools.count == tools.count, parsedDelegates.count == delegates.count,
            (model == nil) == modelValue.isNull, (instructions.string == nil) == instructions.isNull
        else { return nil }
        self.init(
            agent: agent,
            version: version,
            environment: environment,
            artifact: artifact,
            identity: identity,
            description: description,
            labels: Dictionary(
                labels.map { ($0.key, $0.value.string ?? "") },
                uniquingKeysWith: { first, _ in first }
            ),
            model: model,
            instructions: instructions.string,
            contract: Contract(
                input: json["contract"]?["input"]?.declared,
                output: json["contract"]?["output"]?.declared
            ),
            tools: parsedTools,
            delegates: parsedDelegates,
            autonomy: autonomy,
            limits: limits,
            runtime: json["runtime"] ?? .null
        )
        for (name, text) in json["prompts"]?.object ?? [:] { prompts[name] = text.string }
        name = json["name"]?.string
        triggers = json["triggers"]?.array ?? []
        if let value = json["mode"] {
            guard let mode = value.string.flatMap({ EnforcementMode(rawValue: $0) }) else { return nil }
            self.mode = mode
        }
    }
}

extension BundleTool {
    fileprivate var json: JSONValue {
        var object: JSONObject = [
            "credentials": credentials.map { ["ref": .string($0)] } ?? .null,
            "description": description.map { .string($0) } ?? .null,
            "operations": .object(JSONObject(operations.map { ($0.key, $0.value.json) })),
            "server": server ?? .null,
            "tool": .string(tool),
            "version": .string(version.description),
        ]
        if let store { object["store"] = store.json }
        if let owner { object["owner"] = .string(owner) }
        return .object(object)
    }

    fileprivate init?(json: JSONValue) {
        guard let tool = json["tool"]?.string,
            let version = json["version"]?.string.flatMap({ SemanticVersion($0) }),
            let operations = json["operations"]?.object
        else { return nil }
        var parsed: [String: BundleOperation] = [:]
        for (name, value) in operations {
            guard let operation = BundleOperation(json: value) else { return nil }
            parsed[name] = operation
        }
        self.init(
            tool: tool,
            version: version,
            description: json["description"]?.string,
            server: json["server"]?.declared,
            credentials: json["credentials"]?["ref"]?.string,
            operations: parsed
        )
        if let value = json["store"] {
            guard let store = Store(json: value) else { return nil }
            self.store = store
        }
        owner = json["owner"]?.string
    }
}

extension BundleOperation {
    fileprivate var json: JSONValue {
        var object: JSONObject = [
            "access": .string(access.rawValue),
            "approval": .string(approval.rawValue),
            "description": description.map { .string($0) } ?? .null,
            "expires": expires.map { .string($0.description) } ?? .null,
            "idempotent": .bool(idempotent),
            "input": input ?? .null,
            "output": output ?? .null,
            "risk": .string(risk.rawValue),
            "timeout": timeout.map { .string($0.description) } ?? .null,
        ]
        if let serverTool { object["mcp"] = ["tool": .string(serverTool)] }
        object["approvers"] = approvers.map { .array($0.map { .string($0.description) }) }
        object["rate"] = rate.map { .string($0.description) }
        if !after.isEmpty { object["after"] = after.count == 1 ? after[0].json : .array(after.map(\.json)) }
        if !record.isEmpty { object["record"] = .array(record.map { .string($0.description) }) }
        object["pin"] = pin.map { .string($0.description) }
        return .object(object)
    }

    fileprivate init?(json: JSONValue) {
        guard let access = json["access"]?.string.flatMap({ Access(rawValue: $0) }),
            let approval = json["approval"]?.string.flatMap({ Approval(rawValue: $0) }),
            let risk = json["risk"]?.string.flatMap({ Risk(rawValue: $0) }),
            let idempotent = json["idempotent"]?.bool
        else { return nil }
        self.init(
            description: json["description"]?.string,
            access: access,
            risk: risk,
            approval: approval,
            idempotent: idempotent,
            timeout: json["timeout"]?.string.flatMap { TimeSpan($0) },
            expires: json["expires"]?.string.flatMap { CalendarDate($0) },
            input: json["input"]?.declared,
            output: json["output"]?.declared,
            serverTool: json["mcp"]?["tool"]?.string
        )
        guard readConditions(json) else { return nil }
    }

    /// Reads what is there only where it is declared; false where one of it cannot be understood: a condition that goes
    /// missing would allow more.
    private mutating func readConditions(_ json: JSONValue) -> Bool {
        if let value = json["approvers"] {
            let texts = value.array?.compactMap(\.string)
            approvers = texts?.compactMap { Approver($0) }
            guard let approvers, approvers.count == value.array?.count else { return false }
        }
        if let value = json["rate"] {
            rate = value.string.flatMap { CallRate($0) }
            guard rate != nil else { return false }
        }
        if let value = json["after"] {
            let conditions = value.array ?? [value]
            after = conditions.compactMap { Precondition(json: $0) }
            guard after.count == conditions.count else { return false }
        }
        if let value = json["record"] {
            record = value.array?.compactMap { $0.string.flatMap { JSONPointer($0) } } ?? []
            guard record.count == value.array?.count else { return false }
        }
        if let value = json["pin"] {
            pin = value.string.flatMap { Digest($0) }
            guard pin != nil else { return false }
        }
        return true
    }
}

extension BundleLimits {
    fileprivate var json: JSONValue {
        var object: JSONObject = [
            "costUSD": run.costUSD.map { JSONValue($0) } ?? .null,
            "costUSDPerDay": costUSDPerDay.map { JSONValue($0) } ?? .null,
            "seconds": run.seconds.map { .integer($0) } ?? .null,
            "steps": run.steps.map { .integer($0) } ?? .null,
            "tokens": run.tokens.map { .integer($0) } ?? .null,
        ]
        object["runs"] = runs.map { .integer($0) }
        return .object(object)
    }

    fileprivate init?(json: JSONValue) {
        self.init(
            run: RunLimits(
                steps: json["steps"]?.int,
                tokens: json["tokens"]?.int,
                costUSD: json["costUSD"]?.double,
                seconds: json["seconds"]?.int
            ),
            costUSDPerDay: json["costUSDPerDay"]?.double,
            runs: json["runs"]?.int
        )
        guard (runs == nil) == (json["runs"] == nil) else { return nil }
    }
}

extension JSONValue {
    /// The value, nil when it is null.
    fileprivate var declared: JSONValue? { isNull ? nil : self }
}
