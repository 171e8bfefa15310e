import EnsignModel

/// What a span says that it is.
extension OTLPReader {
    /// - Parameter name: The span's own.
    func operation(_ attributes: Attributes, named name: JSONScanner.Text?) -> SpanEvent.Operation {
        switch kind(attributes, named: name) {
        case .call:
            let call = call(attributes, named: name)
            return isControl(call, attributes, named: name) ? .other : .call(call)
        case .run: return .run
        case .workflow: return .workflow
        case .inference: return .inference
        case .other: return .other
        }
    }

    private enum Kind {
        case run, workflow, call, inference, other
    }

    private func kind(_ attributes: Attributes, named name: JSONScanner.Text?) -> Kind {
        if let operation = attributes.operation {
            if scanner.equalsInAnyCase(operation, "invoke_agent") { return .run }
            if scanner.equalsInAnyCase(operation, "execute_tool") { return .call }
            if scanner.equalsInAnyCase(operation, "invoke_workflow") { return .workflow }
            let isInference =
                scanner.equalsInAnyCase(operation, "chat") || scanner.equalsInAnyCase(operation, "generate_content")
                || scanner.equalsInAnyCase(operation, "text_completion")
                || scanner.equalsInAnyCase(operation, "embeddings")
            if isInference { return .inference }
            if isMaking(attributes) { return .other }
        }
        if let kind = attributes.openKind {
            if scanner.equals(kind, "AGENT") { return .run }
            if scanner.equals(kind, "CHAIN") { return .workflow }
            if scanner.equals(kind, "TOOL") { return .call }
            if scanner.equals(kind, "LLM") || scanner.equals(kind, "EMBEDDING") { return .inference }
        }
        if let kind = attributes.loopKind {
            if scanner.equals(kind, "agent") { return .run }
            if scanner.equals(kind, "workflow") || scanner.equals(kind, "task") { return .workflow }
            if scanner.equals(kind, "tool") { return .call }
        }
        if let kind = sdkKind(attributes) { return kind }
        if isScope("logfire.openai_agents"), let name, scanner.equals(name, "Function: {name}") { return .call }
        if let type = attributes.requestType {
            let isInference =
                scanner.equals(type, "chat") || scanner.equals(type, "completion")
                || scanner.equals(type, "embedding")
            if isInference { return .inference }
        }
        return .other
    }

    /// The Vercel AI SDK's spans: `ai.generateText` is everything that was asked for, `ai.generateText.doGenerate` one
    /// answer of a model.
    private func sdkKind(_ attributes: Attributes) -> Kind? {
        guard let operation = attributes.sdkOperation, operation.count <= 128 else { return nil }
        switch scanner.string(operation) {
        case "ai.toolCall": return .call
        case "ai.generateText", "ai.streamText", "ai.generateObject", "ai.streamObject": return .workflow
        case let text where text.hasPrefix("ai.") && text.contains(".do"): return .inference
        default: return nil
        }
    }

    /// Whether it says that an agent was made: nothing ran.
    func isMaking(_ attributes: Attributes) -> Bool {
        attributes.operation.map { scanner.equalsInAnyCase($0, "create_agent") } ?? false
    }

    /// What frameworks write as a call although no tool was called: how they hand over, and give their answer.
    private func isControl(_ call: ToolCall, _ attributes: Attributes, named name: JSONScanner.Text?) -> Bool {
        switch call.tool {
        // Google ADK's span around calls that were made side by side, each of which has its own.
        case "(merged tools)": true
        // OpenInference's for OpenAI's agents.
        case "": attributes.openKind != nil && name.map { scanner.hasPrefix($0, "handoff to ") } ?? false
        case "final_answer": isScope("openinference.instrumentation.smolagents")
        case let tool where tool == "final_result" || tool.hasPrefix("final_result_"): isScope("pydantic-ai")
        default: false
        }
    }

    /// The call, with an empty name where nothing says one.
    private func call(_ attributes: Attributes, named name: JSONScanner.Text?) -> ToolCall {
        let tool = attributes.tool ?? attributes.openTool ?? attributes.sdkTool ?? attributes.functionName
        return ToolCall(
            tool: tool ?? attributes.entity ?? nameOfTool(in: name) ?? "",
            arguments: nil,
            isDenied: attributes.errorType.map { scanner.equals($0, "permission_denied") } ?? false
        )
    }

    /// The tool in `execute_tool lookup`, as the conventions name such a span.
    private func nameOfTool(in name: JSONScanner.Text?) -> String? {
        guard let name, name.count <= 256, scanner.hasPrefix(name, "execute_tool ") else { return nil }
        let tool = scanner.string(name).dropFirst("execute_tool ".count)
        return tool.isEmpty ? nil : String(tool)
    }

    /// Reads the arguments of a call: the first that say something of it.
    mutating func arguments(_ attributes: Attributes) throws(MalformedJSON) -> (digest: UInt64?, areUnusable: Bool) {
        let end = scanner.index
        var areUnusable = false
        let places = [
            attributes.arguments, attributes.sdkArguments, attributes.runnerArguments, attributes.functionInput,
            attributes.entityInput, attributes.openInput, attributes.message, attributes.prompt,
        ]
        for case let place? in places + [attributes.parameters] {
            scanner.rewind(to: place)
            let isParameters = place == attributes.parameters
            let arguments = try isParameters ? scanner.otlpParameters() : scanner.otlpArguments()
            scanner.rewind(to: end)
            switch arguments {
            case .usable(let digest): return (digest, false)
            case .unusable: areUnusable = true
            case .none: break
            }
        }
        return (nil, areUnusable)
    }
}
