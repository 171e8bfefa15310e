/// `kind: Agent`: one version of an agent.
package struct Agent: Sendable {
    /// Free labels, always text.
    package var labels: [String: String]
    package var description: String
    /// Nil for an agent whose `runtime` names what it runs, models included.
    package var model: Model?
    /// The name of the file, beside the manifest, whose text goes into the bundle; nil without one.
    package var instructions: Located<String>?
    /// Further files, by the name under which the runtime finds their text.
    package var prompts: [String: Located<String>] = [:]
    /// What frameworks that cannot bear `<team>/<agent>` call it.
    package var name: Located<String>?
    /// What starts a run, as data for the runtime, each with exactly one of `cron`, `webhook` and `queue`.
    package var triggers: [JSONValue] = []
    /// JSON Schemas of the input and the output.
    package var contract: Contract?
    package var tools: [ToolNeed]
    /// Agents that this one hands work to.
    package var delegates: [Located<AgentID>]
    package var limits: RunLimits
    /// Runs at a time; nil means unlimited.
    package var runs: Int64?
    /// Handed to the runtime untouched.
    package var runtime: JSONValue?

    package init(
        labels: [String: String],
        description: String,
        model: Model?,
        instructions: Located<String>?,
        contract: Contract?,
        tools: [ToolNeed],
        delegates: [Located<AgentID>],
        limits: RunLimits,
        runtime: JSONValue?
    ) {
        self.labels = labels
        self.description = description
        self.model = model
        self.instructions = instructions
        self.contract = contract
        self.tools = tools
        self.delegates = delegates
        self.limits = limits
        self.runtime = runtime
    }

    /// The files that it names.
    package var files: [Located<String>] {
        [instructions].compactMap { $0 } + prompts.sorted { $0.key < $1.key }.map(\.value)
    }
}

/// The texts that a version brings.
package struct AgentTexts: Sendable, Hashable {
    /// Nil where none are declared.
    package var instructions: String?
    package var prompts: [String: String]

    package init(instructions: String?, prompts: [String: String] = [:]) {
        self.instructions = instructions
        self.prompts = prompts
    }
}

/// The language model that an agent calls.
package struct Model: Sendable, Hashable {
    package var provider: String
    package var name: String
    /// An object, empty when nothing was declared.
    package var parameters: JSONValue
    /// The models that take over when this one cannot answer, in their order; they have no fallbacks themselves.
    package var fallbacks: [Model]

    package init(provider: String, name: String, parameters: JSONValue = [:], fallbacks: [Model] = []) {
        self.provider = provider
        self.name = name
        self.parameters = parameters
        self.fallbacks = fallbacks
    }

    /// `<provider>/<name>`, the key in a price list.
    package var key: String { "\(provider)/\(name)" }

    /// The keys of the model and its fallbacks.
    package var keys: [String] { [key] + fallbacks.map(\.key) }

    package var json: JSONValue {
        var object: JSONObject = [
            "provider": .string(provider), "name": .string(name), "parameters": parameters,
        ]
        if !fallbacks.isEmpty { object["fallbacks"] = .array(fallbacks.map(\.json)) }
        return .object(object)
    }

    /// Reads a model back; nil when a field is missing or has the wrong type.
    package init?(json: JSONValue) {
        guard let provider = json["provider"]?.string, let name = json["name"]?.string else { return nil }
        let fallbacks = json["fallbacks"]?.array ?? []
        let known = fallbacks.compactMap { Model(json: $0) }
        guard known.count == fallbacks.count else { return nil }
        self.init(provider: provider, name: name, parameters: json["parameters"] ?? [:], fallbacks: known)
    }
}

/// JSON Schemas of an agent's input and output.
package struct Contract: Sendable, Hashable {
    package var input: JSONValue?
    package var output: JSONValue?

    package init(input: JSONValue?, output: JSONValue?) {
        self.input = input
        self.output = output
    }

    package var json: JSONValue { ["input": input ?? .null, "output": output ?? .null] }
}

/// One tool that an agent asks for.
package struct ToolNeed: Sendable {
    package var tool: Located<String>
    package var version: Located<SemanticVersion>
    package var operations: OperationSelection

    package init(tool: Located<String>, version: Located<SemanticVersion>, operations: OperationSelection) {
        self.tool = tool
        self.version = version
        self.operations = operations
    }
}

/// What one run may use; nil means unlimited.
package struct RunLimits: Sendable, Hashable {
    package var steps: Int64?
    package var tokens: Int64?
    /// US dollars.
    package var costUSD: Double?
    package var seconds: Int64?

    package init(steps: Int64? = nil, tokens: Int64? = nil, costUSD: Double? = nil, seconds: Int64? = nil) {
        self.steps = steps
        self.tokens = tokens
        self.costUSD = costUSD
        self.seconds = seconds
    }
}
