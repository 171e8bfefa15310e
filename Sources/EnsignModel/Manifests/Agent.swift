/// `kind: Agent`: one version of an agent.
package struct Agent: Sendable {
    /// Free labels, always text.
    package var labels: [String: String]
    package var description: String
    package var model: Model
    /// The name of the file, beside the manifest, whose text goes into the bundle.
    package var instructions: Located<String>
    /// JSON Schemas of the input and the output.
    package var contract: Contract?
    package var tools: [ToolNeed]
    /// Agents that this one hands work to.
    package var delegates: [Located<AgentID>]
    package var limits: RunLimits
    /// Handed to the runtime untouched.
    package var runtime: JSONValue?

    package init(
        labels: [String: String],
        description: String,
        model: Model,
        instructions: Located<String>,
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
}

/// The language model that an agent calls.
package struct Model: Sendable, Hashable {
    package var provider: String
    package var name: String
    package var parameters: JSONValue?

    package init(provider: String, name: String, parameters: JSONValue?) {
        self.provider = provider
        self.name = name
        self.parameters = parameters
    }

    /// `<provider>/<name>`, the key in a price list.
    package var key: String { "\(provider)/\(name)" }

    package var json: JSONValue {
        ["provider": .string(provider), "name": .string(name), "parameters": parameters ?? [:]]
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
