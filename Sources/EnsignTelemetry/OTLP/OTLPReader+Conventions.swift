import EnsignJSON
import EnsignModel

/// Conventions of instrumentations beside OpenTelemetry's: OpenInference
/// (https://github.com/Arize-ai/openinference, spec/semantic_conventions.md) and OpenLLMetry's of Traceloop.
extension OTLPReader {
    /// `llm.*`: OpenInference's words for a model's answer, and older ones of Traceloop.
    mutating func readModelAttribute(
        _ name: JSONScanner.Text,
        _ attributes: inout Attributes
    ) throws(MalformedJSON) {
        if scanner.equals(name, "llm.token_count.prompt") || scanner.equals(name, "llm.usage.prompt_tokens") {
            attributes.otherInput = try scanner.otlpScalar()
        } else if scanner.equals(name, "llm.token_count.completion")
            || scanner.equals(name, "llm.usage.completion_tokens")
        {
            attributes.otherOutput = try scanner.otlpScalar()
        } else if scanner.equals(name, "llm.token_count.prompt_details.cache_read") {
            attributes.otherCacheRead = try scanner.otlpScalar()
        } else if scanner.equals(name, "llm.token_count.prompt_details.cache_write") {
            attributes.otherCacheWrite = try scanner.otlpScalar()
        } else if scanner.equals(name, "llm.model_name") {
            attributes.openModel = try string(most: 256)
        } else if scanner.equals(name, "llm.provider") {
            attributes.openProvider = try string(most: 128)
        } else if scanner.equals(name, "llm.system") {
            attributes.openSystem = try string(most: 128)
        } else if scanner.equals(name, "llm.request.type") {
            attributes.requestType = try text()
        } else {
            try scanner.skip()
        }
    }

    /// Kinds of spans, tools, and what baggage carries.
    mutating func readOtherConvention(
        _ name: JSONScanner.Text,
        _ attributes: inout Attributes
    ) throws(MalformedJSON) {
        if scanner.equals(name, "openinference.span.kind") {
            attributes.openKind = try text()
        } else if scanner.equals(name, "tool.name") {
            attributes.openTool = try string(most: 256)
        } else if scanner.equals(name, "input.value") {
            attributes.openInput = try place()
        } else if scanner.equals(name, "input"), isScope("logfire.openai_agents") {
            attributes.functionInput = try place()
        } else if scanner.equals(name, "tool.parameters") {
            attributes.parameters = try place()
        } else if scanner.equals(name, "tool_arguments") {
            attributes.runnerArguments = try place()
        } else if scanner.equals(name, "agent.name") {
            attributes.openAgent = try string(most: 256)
        } else if scanner.hasPrefix(name, "traceloop.association.properties.ensign.")
            || scanner.hasPrefix(name, "baggage.ensign.")
        {
            try readCarried(name, &attributes)
        } else if scanner.equals(name, "traceloop.span.kind") {
            attributes.loopKind = try text()
        } else if scanner.equals(name, "traceloop.entity.name") {
            attributes.entity = try string(most: 256)
        } else if scanner.equals(name, "traceloop.entity.input") {
            attributes.entityInput = try place()
        } else {
            try scanner.skip()
        }
    }

    /// `ai.*`: the Vercel AI SDK's words (https://ai-sdk.dev/docs/ai-sdk-core/telemetry).
    mutating func readSDKAttribute(
        _ name: JSONScanner.Text,
        _ attributes: inout Attributes
    ) throws(MalformedJSON) {
        if scanner.equals(name, "ai.operationId") {
            attributes.sdkOperation = try text()
        } else if scanner.equals(name, "ai.toolCall.name") {
            attributes.sdkTool = try string(most: 256)
        } else if scanner.equals(name, "ai.toolCall.args") {
            attributes.sdkArguments = try place()
        } else if scanner.equals(name, "ai.usage.inputTokens") || scanner.equals(name, "ai.usage.promptTokens") {
            attributes.otherInput = try scanner.otlpScalar()
        } else if scanner.equals(name, "ai.usage.outputTokens") || scanner.equals(name, "ai.usage.completionTokens") {
            attributes.otherOutput = try scanner.otlpScalar()
        } else if scanner.equals(name, "ai.usage.cachedInputTokens") {
            attributes.otherCacheRead = try scanner.otlpScalar()
        } else if scanner.equals(name, "ai.model.id") {
            attributes.openModel = try string(most: 256)
        } else if scanner.equals(name, "ai.model.provider") {
            attributes.openProvider = try string(most: 128)
        } else if scanner.hasPrefix(name, "ai.telemetry.metadata.ensign.") {
            try readCarried(name, &attributes)
        } else {
            try scanner.skip()
        }
    }

    /// What came with W3C baggage, or with what a framework passes on to its spans.
    private mutating func readCarried(
        _ name: JSONScanner.Text,
        _ attributes: inout Attributes
    ) throws(MalformedJSON) {
        let key = scanner.string(name)
        let place: WritableKeyPath<Attributes, Claim> = key.hasPrefix("baggage.") ? \.baggage : \.carried
        if key.hasSuffix(".ensign.bundle") {
            // Some write the header's value as it is, where a colon may be escaped.
            attributes[keyPath: place].bundle = try string(most: 128).map(Self.unescaped)
        } else if key.hasSuffix(".ensign.agent") {
            attributes[keyPath: place].named = try string(most: 256).map(Self.unescaped)
        } else if key.hasSuffix(".ensign.run") {
            let run = try string(most: 256).map(Self.unescaped)
            attributes.run = attributes.run ?? run
        } else if key.hasSuffix(".ensign.session") {
            let session = try text()
            attributes.session = attributes.session ?? session
        } else {
            try scanner.skip()
        }
    }

    /// `metadata`, JSON as text: where OpenInference puts what a framework was given for its spans.
    mutating func readMetadata(
        _ name: JSONScanner.Text,
        _ attributes: inout Attributes
    ) throws(MalformedJSON) {
        if scanner.equals(name, "mcp.method.name") {
            attributes.method = try text()
            return
        }
        guard scanner.equals(name, "metadata"), let text = try text() else {
            if !scanner.equals(name, "metadata") { try scanner.skip() }
            return
        }
        guard text.count <= 65_536, scanner.contains(text, "ensign."),
            let values = try? JSONParser.parse(Array(scanner.string(text).utf8), maxDepth: 32)
        else { return }
        func value(_ key: String, most: Int) -> String? {
            values[key]?.string.flatMap { $0.isEmpty || $0.utf8.count > most ? nil : $0 }
        }
        attributes.carried.bundle = attributes.carried.bundle ?? value("ensign.bundle", most: 128)
        attributes.carried.named = attributes.carried.named ?? value("ensign.agent", most: 256)
    }

    /// `%3A` and `%2F` as the characters that they stand for: all that a digest or an agent's name can have.
    private static func unescaped(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
        var result: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), let high = rest.first.flatMap(hexDigit),
                let low = rest.dropFirst().first.flatMap(hexDigit)
            {
                result.append(high << 4 | low)
                rest = rest.dropFirst(2)
            } else {
                result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}

extension OTLPReader.Attributes {
    /// What it says of itself: its own words first, then what was carried along, and what came with baggage.
    var ownClaim: Claim {
        let passed = carried.bundle == nil && carried.named == nil ? baggage : carried
        return Claim(
            agent: claim.agent ?? openAgent,
            version: claim.version,
            bundle: claim.bundle ?? passed.bundle,
            // A name beside another bundle would be somebody else's.
            named: claim.named ?? (claim.bundle == nil ? passed.named : nil)
        )
    }

    /// Whether its bundle came with baggage alone.
    var isFromBaggage: Bool {
        claim.bundle == nil && carried.bundle == nil && carried.named == nil && baggage.bundle != nil
    }
}
