import EnsignModel

extension OTLPReader {
    mutating func readSpan(
        _ resource: Resource,
        _ events: inout [TelemetryEvent],
        _ rejections: inout Rejections
    ) throws(MalformedJSON) {
        var attributes = Attributes()
        var trace: TraceID?
        var span: SpanID?
        var parent: SpanID?
        var start: Int64?
        var end: Int64?
        var hasErrorStatus = false
        var evaluations: [Evaluation] = []
        var badEvaluations: Int64 = 0

        try scanner.beginObject()
        var isFirst = true
        while let key = try scanner.nextKey(&isFirst) {
            if scanner.equals(key, "attributes"), scanner.peek() == UInt8(ascii: "[") {
                try readAttributes(&attributes)
            } else if scanner.equals(key, "traceId") {
                trace = try scanner.otlpID(bytes: 16).map { TraceID(high: $0.high, low: $0.low) }
            } else if scanner.equals(key, "spanId") {
                span = try scanner.otlpID(bytes: 8)?.low
            } else if scanner.equals(key, "parentSpanId") {
                parent = try scanner.otlpID(bytes: 8)?.low
            } else if scanner.equals(key, "startTimeUnixNano") {
                start = try scanner.otlpInteger()
            } else if scanner.equals(key, "endTimeUnixNano") {
                end = try scanner.otlpInteger()
            } else if scanner.equals(key, "status"), scanner.peek() == UInt8(ascii: "{") {
                hasErrorStatus = try readStatus()
            } else if scanner.equals(key, "events"), scanner.peek() == UInt8(ascii: "[") {
                try readEvents(&evaluations, &badEvaluations)
            } else {
                try scanner.skip()
            }
        }

        guard let trace, let span, span != 0, trace.high != 0 || trace.low != 0 else {
            rejections.add(.badID)
            return
        }
        rejections.add(.badEvaluation, badEvaluations)
        let (usage, hasBadUsage) = usage(attributes)
        events.append(
            .span(
                SpanEvent(
                    trace: trace,
                    span: span,
                    parent: parent == 0 || parent == span ? nil : parent,
                    start: Moment(nanoseconds: start ?? 0),
                    end: Moment(nanoseconds: end ?? 0),
                    hasFailed: hasErrorStatus || attributes.errorType != nil,
                    hasErrorStatus: hasErrorStatus,
                    operation: operation(attributes),
                    claim: claim(attributes, resource),
                    environments: environments(attributes, resource),
                    usage: usage,
                    hasBadUsage: hasBadUsage,
                    models: usage == nil ? [] : models(attributes),
                    evaluations: evaluations,
                    isProtocolCall: attributes.method.map { scanner.equals($0, "tools/call") } ?? false,
                    session: session(attributes)
                )
            )
        )
    }

    func operation(_ attributes: Attributes) -> SpanEvent.Operation {
        guard let name = attributes.operation else { return .other }
        if scanner.equals(name, "invoke_agent") { return .run }
        if scanner.equals(name, "execute_tool") {
            return .call(
                ToolCall(
                    tool: attributes.tool ?? "",
                    arguments: attributes.arguments,
                    isDenied: attributes.errorType.map { scanner.equals($0, "permission_denied") } ?? false
                )
            )
        }
        let isInference =
            scanner.equals(name, "chat") || scanner.equals(name, "generate_content")
            || scanner.equals(name, "text_completion") || scanner.equals(name, "embeddings")
        return isInference ? .inference : .other
    }

    func claim(_ attributes: Attributes, _ resource: Resource) -> Claim {
        // A bundle or version beside another agent's name would be somebody else's: the innermost name decides for all.
        if attributes.claim.agent != nil, attributes.claim.agent != resource.claim.agent { return attributes.claim }
        return Claim(
            agent: attributes.claim.agent ?? resource.claim.agent,
            version: attributes.claim.version ?? resource.claim.version,
            bundle: attributes.claim.bundle ?? resource.claim.bundle
        )
    }

    /// A hash of the session's key: keys may be customers' names, and are not kept.
    func session(_ attributes: Attributes) -> UInt64? {
        guard let key = attributes.session ?? attributes.conversation, key.count > 0 else { return nil }
        return StableHash.of(scanner.string(key).utf8)
    }

    func environments(_ attributes: Attributes, _ resource: Resource) -> [String] {
        switch (resource.environment, attributes.environment) {
        case (nil, nil): []
        case (let one?, nil), (nil, let one?): [one]
        case (let one?, let other?): one == other ? [one] : [one, other]
        }
    }

    func models(_ attributes: Attributes) -> [String] {
        guard let provider = attributes.provider ?? attributes.system else { return [] }
        return [attributes.requestModel, attributes.responseModel].compactMap { $0.map { "\(provider)/\($0)" } }
    }

    func usage(_ attributes: Attributes) -> (usage: TokenUsage?, isBad: Bool) {
        guard attributes.input != nil || attributes.output != nil else { return (nil, false) }
        guard let input = tokens(attributes.input), let output = tokens(attributes.output),
            let read = tokens(attributes.cacheRead), let written = tokens(attributes.cacheWrite)
        else { return (nil, true) }
        return (TokenUsage(input: input, output: output, cacheRead: read, cacheWrite: written), false)
    }

    /// - Returns: 0 for what is not given; nil for what cannot be.
    func tokens(_ value: OTLPScalar?) -> Int64? {
        switch value {
        case nil: return 0
        case .integer(let count)?: return (0...TokenUsage.most).contains(count) ? count : nil
        case .number(let number)?:
            guard let count = Int64(exactly: number), (0...TokenUsage.most).contains(count) else { return nil }
            return count
        case .text?, .bool?, .other?: return nil
        }
    }

    /// Whether a status code is ERROR. Some writers have doubles alone: 2.0 is 2.
    private mutating func isErrorCode() throws(MalformedJSON) -> Bool {
        let start = scanner.index
        if scanner.peek() == UInt8(ascii: "\"") {
            if scanner.equals(try scanner.text(), "STATUS_CODE_ERROR") { return true }
            scanner.rewind(to: start)
        }
        return try scanner.otlpInteger() == 2
    }

    /// Whether a status is ERROR: 2, or its name (protobuf's JSON mapping allows both).
    mutating func readStatus() throws(MalformedJSON) -> Bool {
        var isError = false
        try scanner.beginObject()
        var isFirst = true
        while let key = try scanner.nextKey(&isFirst) {
            if scanner.equals(key, "code") {
                isError = try isErrorCode()
            } else {
                try scanner.skip()
            }
        }
        return isError
    }
}
