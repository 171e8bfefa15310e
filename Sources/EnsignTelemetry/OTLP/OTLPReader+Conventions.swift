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

    // MARK: What a span is

    func operation(_ attributes: Attributes) -> SpanEvent.Operation {
        if let name = attributes.operation {
            if scanner.equals(name, "invoke_agent") { return .run }
            if scanner.equals(name, "execute_tool") { return .call(call(attributes)) }
            if scanner.equals(name, "invoke_workflow") { return .workflow }
            let isInference =
                scanner.equals(name, "chat") || scanner.equals(name, "generate_content")
                || scanner.equals(name, "text_completion") || scanner.equals(name, "embeddings")
            if isInference { return .inference }
            if isMaking(attributes) { return .other }
        }
        if let kind = attributes.openKind {
            if scanner.equals(kind, "AGENT") { return .run }
            if scanner.equals(kind, "CHAIN") { return .workflow }
            if scanner.equals(kind, "TOOL") { return .call(call(attributes)) }
            if scanner.equals(kind, "LLM") || scanner.equals(kind, "EMBEDDING") { return .inference }
        }
        if let kind = attributes.loopKind {
            if scanner.equals(kind, "agent") { return .run }
            if scanner.equals(kind, "workflow") || scanner.equals(kind, "task") { return .workflow }
            if scanner.equals(kind, "tool") { return .call(call(attributes)) }
        }
        if let type = attributes.requestType {
            let isInference =
                scanner.equals(type, "chat") || scanner.equals(type, "completion")
                || scanner.equals(type, "embedding")
            if isInference { return .inference }
        }
        return .other
    }

    /// Whether it says that an agent was made: nothing ran.
    func isMaking(_ attributes: Attributes) -> Bool {
        attributes.operation.map { scanner.equals($0, "create_agent") } ?? false
    }

    private func call(_ attributes: Attributes) -> ToolCall {
        ToolCall(
            tool: attributes.tool ?? attributes.openTool ?? attributes.entity ?? "",
            arguments: nil,
            isDenied: attributes.errorType.map { scanner.equals($0, "permission_denied") } ?? false
        )
    }

    /// Reads the arguments of a call: the first that say something of it.
    mutating func arguments(_ attributes: Attributes) throws(MalformedJSON) -> (digest: UInt64?, areUnusable: Bool) {
        let end = scanner.index
        var areUnusable = false
        for place in [attributes.arguments, attributes.entityInput, attributes.openInput] {
            guard let place else { continue }
            scanner.rewind(to: place)
            let arguments = try scanner.otlpArguments()
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
