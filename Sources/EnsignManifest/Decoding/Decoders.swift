package import EnsignModel
import EnsignYAML

/// A kind of manifest that can be made from a checked document.
package protocol ManifestValue: Sendable {
    static var kind: ManifestKind { get }

    /// Makes the value from the `spec` of a document; nil when a required part was refused.
    static func decode(spec: ManifestSpec, labels: [String: String]) -> Self?
}

/// The checked `spec` of a document.
package struct ManifestSpec {
    let record: Record
}

extension Agent: ManifestValue {
    package static var kind: ManifestKind { .agent }

    package static func decode(spec: ManifestSpec, labels: [String: String]) -> Agent? {
        let spec = spec.record
        let contract = spec.record("contract")
        let needs = spec.record("needs")
        let limits = spec.record("limits")
        var agent = Agent(
            labels: labels,
            description: spec.text("description") ?? "",
            model: spec.record("model").map(Model.decode),
            instructions: spec.located("instructions"),
            contract: contract.map { Contract(input: $0.schema("input"), output: $0.schema("output")) },
            tools: (needs?.records("tools") ?? []).compactMap { need in
                guard let tool = need.located("tool"), let text = need.located("version"),
                    let version = SemanticVersion(text.value)
                else { return nil }
                return ToolNeed(
                    tool: tool,
                    version: Located(version, at: text.position),
                    operations: need.selection("operations", except: "except")
                )
            },
            delegates: (needs?.texts("agents") ?? []).compactMap { text in
                AgentID(text.value).map { Located($0, at: text.position) }
            },
            limits: RunLimits(
                steps: limits?.integer("steps"),
                tokens: limits?.integer("tokens"),
                costUSD: limits?.number("costUSD"),
                seconds: limits?.integer("seconds")
            ),
            runtime: spec.json("runtime")
        )
        for (name, node) in spec.pairs("prompts") { agent.prompts[name] = spec.located(node) }
        agent.name = spec.located("name")
        agent.triggers = spec.triggers ?? []
        agent.runs = limits?.integer("runs")
        return agent
    }
}

extension Model {
    fileprivate static func decode(_ record: Record) -> Model {
        Model(
            provider: record.text("provider") ?? "",
            name: record.text("name") ?? "",
            parameters: record.json("parameters") ?? [:],
            fallbacks: record.records("fallbacks").map(decode)
        )
    }
}

extension Record {
    /// A value whose scalars are text by their shape: each is the text that it is written as, `1.10` and `0x10` too.
    fileprivate func asWritten(_ node: Int) -> JSONValue {
        switch tape.kind(of: node) {
        case .invalid: return .null
        case .quoted, .plain: return .string(tape.string(of: node))
        case .sequence:
            var elements: [JSONValue] = []
            tape.forEachElement(of: node) { elements.append(asWritten($0)) }
            return .array(elements)
        case .mapping:
            var members = JSONObject()
            tape.forEachPair(of: node) { key, value in members[tape.string(of: key)] = asWritten(value) }
            return .object(members)
        }
    }

    /// What starts a run; nil where nothing is said of it. Only `input` is any value: the rest is text.
    fileprivate var triggers: [JSONValue]? {
        guard let node = node("triggers") else { return nil }
        var triggers = asWritten(node).array ?? []
        for (index, trigger) in records("triggers").enumerated() where triggers.indices.contains(index) {
            guard var fields = triggers[index].object, let input = trigger.json("input") else { continue }
            fields["input"] = input
            triggers[index] = .object(fields)
        }
        return triggers
    }

    /// How a tool is reached.
    fileprivate var server: JSONValue? { node("server").map(asWritten) }
}

extension Tool: ManifestValue {
    package static var kind: ManifestKind { .tool }

    package static func decode(spec: ManifestSpec, labels: [String: String]) -> Tool? {
        let spec = spec.record
        guard let owner = spec.located("owner") else { return nil }
        var operations: [String: Operation] = [:]
        for (name, node) in spec.pairs("operations") {
            guard let record = Record(spec.tape, node) else { continue }
            operations[name] = Operation(
                description: record.text("description"),
                access: record.choice("access") ?? .execute,
                risk: record.choice("risk") ?? .high,
                idempotent: record.boolean("idempotent") ?? false,
                timeout: record.duration("timeout"),
                input: record.schema("input"),
                output: record.schema("output"),
                serverTool: record.record("mcp")?.text("tool"),
                position: record.position
            )
            operations[name]?.pin = record.text("pin").flatMap { Digest($0) }
        }
        var tool = Tool(
            owner: owner,
            description: spec.text("description"),
            server: spec.server,
            operations: operations,
            credentials: spec.record("credentials")?.text("ref")
        )
        if let store = spec.record("store"), let kind: Store.Kind = store.choice("kind"),
            let scope: Store.Scope = store.choice("scope")
        {
            tool.store = Store(
                kind: kind,
                scope: scope,
                retention: store.duration("retention"),
                digest: store.text("digest").flatMap { Digest($0) }
            )
        }
        return tool
    }
}

extension Grant {
    static func decode(_ record: Record) -> Grant? {
        guard let tool = record.located("tool") else { return nil }
        let arguments = record.node("arguments").flatMap { node in
            JSONValue(schema: record.tape, node).map { Located($0, at: Position(record.tape.mark(of: node))) }
        }
        let expires = record.located("expires").flatMap { text in
            CalendarDate(text.value).map { Located($0, at: text.position) }
        }
        var grant = Grant(
            tool: tool,
            operations: record.selection("operations", except: "except"),
            approval: record.choice("approval") ?? .none,
            arguments: arguments,
            expires: expires
        )
        grant.approvers = record.texts("approvers").compactMap { text in
            Approver(text.value).map { Located($0, at: text.position) }
        }
        grant.rate = record.text("rate").flatMap { CallRate($0) }
        grant.after = record.record("after").flatMap(GrantedPrecondition.decode)
        grant.record = record.oneOrMore("record").compactMap { text in
            JSONPointer(text.value).map { Located($0, at: text.position) }
        }
        return grant
    }
}

extension GrantedPrecondition {
    fileprivate static func decode(_ record: Record) -> GrantedPrecondition? {
        guard let operation = record.located("operation"), let parts = Precondition.operation(operation.value),
            let within = record.duration("within")
        else { return nil }
        let same = record.located("same")
        return GrantedPrecondition(
            value: Precondition(tool: parts.tool, operation: parts.operation, within: within, same: same?.value),
            operation: operation.position,
            same: same?.position
        )
    }
}

extension Role: ManifestValue {
    package static var kind: ManifestKind { .role }

    package static func decode(spec: ManifestSpec, labels: [String: String]) -> Role? {
        Role(grants: spec.record.records("grants").compactMap(Grant.decode))
    }
}

extension Team: ManifestValue {
    package static var kind: ManifestKind { .team }

    package static func decode(spec: ManifestSpec, labels: [String: String]) -> Team? {
        Team(
            members: spec.record.texts("members"),
            escalation: spec.record.text("escalation"),
            costUSDPerDay: spec.record.record("limits")?.number("costUSDPerDay")
        )
    }
}

extension Prices: ManifestValue {
    package static var kind: ManifestKind { .prices }

    package static func decode(spec: ManifestSpec, labels: [String: String]) -> Prices? {
        var models: [String: Price] = [:]
        for (name, node) in spec.record.pairs("models") {
            guard let record = Record(spec.record.tape, node), let input = record.number("input"),
                let output = record.number("output")
            else { continue }
            models[name] = Price(
                input: input,
                output: output,
                cacheRead: record.number("cacheRead"),
                cacheWrite: record.number("cacheWrite")
            )
        }
        return Prices(models: models)
    }
}

extension Binding: ManifestValue {
    package static var kind: ManifestKind { .binding }

    package static func decode(spec: ManifestSpec, labels: [String: String]) -> Binding? {
        var binding = Binding(
            server: spec.record.server,
            credentials: spec.record.record("credentials")?.text("ref")
        )
        for (name, node) in spec.record.pairs("operations") {
            guard let pin = Record(spec.record.tape, node)?.located("pin"), let digest = Digest(pin.value) else {
                continue
            }
            binding.pins[name] = Located(digest, at: pin.position)
        }
        return binding
    }
}

extension Environment: ManifestValue {
    package static var kind: ManifestKind { .environment }

    package static func decode(spec: ManifestSpec, labels: [String: String]) -> Environment? {
        let spec = spec.record
        let limits = spec.record("limits")
        guard let week = TimeSpan("7d") else { preconditionFailure("7d is a duration") }
        return Environment(
            trustDomain: spec.text("trustDomain") ?? "fleet.local",
            promotesFrom: spec.located("promotesFrom"),
            soak: spec.duration("soak"),
            mutableVersions: spec.boolean("mutableVersions") ?? false,
            prune: spec.boolean("prune") ?? true,
            maxPruneShare: spec.number("maxPruneShare") ?? 0.3,
            keepFor: spec.duration("keepFor") ?? week,
            costUSDPerDay: limits?.number("costUSDPerDay"),
            concurrentRollouts: limits?.integer("concurrentRollouts"),
            rollout: spec.record("rollout").flatMap(Rollout.decode),
            killSwitch: spec.records("killSwitch").compactMap(KillRule.decode)
        )
    }
}

extension Deployment: ManifestValue {
    package static var kind: ManifestKind { .deployment }

    package static func decode(spec: ManifestSpec, labels: [String: String]) -> Deployment? {
        let spec = spec.record
        let version = spec.located("version").flatMap { text in
            AgentVersion(text.value).map { Located($0, at: text.position) }
        }
        var deployment = Deployment(
            version: version,
            autonomy: spec.choice("autonomy") ?? .full,
            autonomyPosition: spec.located("autonomy")?.position,
            roles: spec.texts("roles"),
            grants: spec.records("grants").compactMap(Grant.decode),
            costUSDPerDay: spec.record("limits")?.number("costUSDPerDay"),
            halted: spec.boolean("halted") ?? false,
            rollout: spec.record("rollout").flatMap(Rollout.decode),
            killSwitch: spec.records("killSwitch").compactMap(KillRule.decode)
        )
        deployment.triggers = spec.triggers
        deployment.runs = spec.record("limits")?.integer("runs")
        deployment.mode = spec.choice("mode") ?? .enforce
        return deployment
    }
}

extension Rollout {
    static func decode(_ record: Record) -> Rollout? {
        if record.node("immediate") != nil { return .immediate }
        guard let canary = record.record("canary") else { return nil }
        let steps = canary.records("steps").compactMap { step -> Canary.Step? in
            guard let weight = step.integer("weight"), let hold = step.duration("hold") else { return nil }
            return Canary.Step(weight: weight, hold: hold)
        }
        let analysis = canary.record("analysis").map(Analysis.decode)
        return .canary(Canary(steps: steps, analysis: analysis))
    }
}

extension Analysis {
    static func decode(_ record: Record) -> Analysis {
        Analysis(
            metrics: record.records("metrics").compactMap(Metric.decode),
            confidence: record.number("confidence") ?? 0.95,
            deadline: record.duration("deadline"),
            onInconclusive: record.choice("onInconclusive") ?? .hold
        )
    }
}

extension Analysis.Metric {
    fileprivate static func decode(_ record: Record) -> Analysis.Metric? {
        guard let name = record.text("name"), let kind: Analysis.Kind = record.choice("kind") else { return nil }
        let margin: Analysis.Margin
        if let text = record.text("margin"), text.hasSuffix("%") {
            margin = .relative((Double(text.dropLast()) ?? 0) / 100)
        } else {
            margin = .absolute(record.number("margin") ?? 0)
        }
        return Analysis.Metric(
            name: name,
            kind: kind,
            good: record.boolean("good") ?? MetricName(name)?.standardGood(kind),
            unit: record.text("unit"),
            margin: margin,
            guarding: record.text("guard") == "halt" ? .halt : record.boolean("guard") == true ? .report : .off,
            query: record.text("query").map {
                PrometheusQuery(text: $0, step: record.duration("step") ?? PrometheusQuery.standardStep)
            }
        )
    }
}

extension KillRule {
    static func decode(_ record: Record) -> KillRule? {
        let within = record.duration("within")
        if let spend = record.number("spend"), let within { return .spend(spend, within: within) }
        if let calls = record.integer("repeatedCall"), let within { return .repeatedCall(calls, within: within) }
        if let calls = record.integer("deniedCalls"), let within { return .deniedCalls(calls, within: within) }
        if let steps = record.integer("steps") { return .steps(steps) }
        if let calls = record.integer("unknownTool") { return .unknownTool(calls) }
        return nil
    }
}
