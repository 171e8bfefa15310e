import EnsignModel

/// What a span says beside its attributes.
struct WrittenSpan {
    var trace: TraceID?
    var span: SpanID?
    var parent: SpanID?
    var start: Int64?
    var end: Int64?
    /// SpanKind (opentelemetry/proto/trace/v1/trace.proto).
    var kind: Int64 = 0
    var name: JSONScanner.Text?
    var status = StatusCode.fine
    var evaluations: [Evaluation] = []
    var badEvaluations: Int64 = 0
}

/// What a span's status code says.
enum StatusCode {
    case fine, error
    /// None that OTLP has.
    case unknown
}

extension OTLPReader {
    mutating func readSpan(
        _ resource: Resource,
        _ events: inout [TelemetryEvent],
        _ rejections: inout Rejections
    ) throws(MalformedJSON) {
        var attributes = Attributes()
        var written = WrittenSpan()
        try readFields(&written, &attributes)
        guard let trace = written.trace, let span = written.span, span != 0, trace.high != 0 || trace.low != 0 else {
            rejections.add(.badID)
            return
        }
        rejections.add(.badEvaluation, written.badEvaluations)
        if written.status == .unknown { rejections.add(.badStatus) }
        var event = event(trace, span, written, attributes, resource)
        try complete(&event, attributes, resource, kind: written.kind)
        if describes {
            event.details = SpanDetails(
                name: written.name.map { scanner.string($0) } ?? "",
                scope: scope.map { scanner.string($0) } ?? "",
                service: resource.service
            )
        }
        events.append(.span(event))
    }

    private mutating func readFields(_ written: inout WrittenSpan, _ attributes: inout Attributes) throws(MalformedJSON)
    {
        try scanner.beginObject()
        var isFirst = true
        while let key = try scanner.nextKey(&isFirst) {
            if scanner.equals(key, "attributes"), scanner.peek() == UInt8(ascii: "[") {
                try readAttributes(&attributes)
            } else if scanner.equals(key, "traceId") {
                written.trace = try scanner.otlpID(bytes: 16).map { TraceID(high: $0.high, low: $0.low) }
            } else if scanner.equals(key, "spanId") {
                written.span = try scanner.otlpID(bytes: 8)?.low
            } else if scanner.equals(key, "parentSpanId") {
                written.parent = try scanner.otlpID(bytes: 8)?.low
            } else if scanner.equals(key, "startTimeUnixNano") {
                written.start = try scanner.otlpInteger()
            } else if scanner.equals(key, "endTimeUnixNano") {
                written.end = try scanner.otlpInteger()
            } else if scanner.equals(key, "kind") {
                written.kind = try readKind()
            } else if scanner.equals(key, "name"), scanner.peek() == UInt8(ascii: "\"") {
                written.name = try scanner.text()
            } else if scanner.equals(key, "status"), scanner.peek() == UInt8(ascii: "{") {
                written.status = try readStatus()
            } else if scanner.equals(key, "events"), scanner.peek() == UInt8(ascii: "[") {
                try readEvents(&written, &attributes)
            } else {
                try scanner.skip()
            }
        }
    }

    /// What every span means, whatever its operation.
    private func event(
        _ trace: TraceID,
        _ span: SpanID,
        _ written: WrittenSpan,
        _ attributes: Attributes,
        _ resource: Resource
    ) -> SpanEvent {
        let (usage, hasBadUsage) = usage(attributes)
        return SpanEvent(
            trace: trace,
            span: span,
            parent: written.parent == 0 || written.parent == span ? nil : written.parent,
            start: Moment(nanoseconds: written.start ?? 0),
            end: Moment(nanoseconds: written.end ?? 0),
            hasFailed: written.status == .error || attributes.errorType != nil,
            hasErrorStatus: written.status == .error,
            operation: operation(attributes, named: written.name),
            claim: claim(attributes, resource),
            environments: environments(attributes, resource),
            usage: usage,
            hasBadUsage: hasBadUsage,
            models: usage == nil && !describes ? [] : models(attributes),
            evaluations: written.evaluations,
            isProtocolCall: attributes.method.map { scanner.equals($0, "tools/call") } ?? false,
            session: session(attributes),
            run: attributes.run ?? resource.run
        )
    }

    /// Adds what only some spans have.
    ///
    /// - Parameter kind: SpanKind (opentelemetry/proto/trace/v1/trace.proto). One end of a connection is not the work
    ///   itself.
    private mutating func complete(
        _ event: inout SpanEvent,
        _ attributes: Attributes,
        _ resource: Resource,
        kind: Int64
    ) throws(MalformedJSON) {
        event.isEntry = kind == 2 || kind == 5
        event.isPassive = kind >= 2 || isMaking(attributes)
        guard case .call(var call) = event.operation else { return }
        (call.arguments, event.hasUnusableArguments) = try arguments(attributes)
        event.isGateway = attributes.isGateway || resource.isGateway
        if event.isGateway, call.arguments == nil, let mark = attributes.mark {
            call.arguments = StableHash.of(scanner.string(mark).utf8)
        }
        if event.isGateway { event.wouldRefuse = wouldRefuse(attributes) }
        event.operation = .call(call)
    }

    /// Why a gateway would have refused a call that it made: one of its reasons (docs/gateway.md, "What a client sees"),
    /// or whatever a later one has in such a word.
    private func wouldRefuse(_ attributes: Attributes) -> String? {
        guard let verdict = attributes.verdict, scanner.equals(verdict, "would-refuse") else { return nil }
        guard let reason = attributes.reason, (1...32).contains(reason.count) else { return "unknown" }
        let text = scanner.string(reason)
        return text.utf8.allSatisfy { (0x61...0x7A).contains($0) || $0 == 0x2D } ? text : "unknown"
    }

    func claim(_ attributes: Attributes, _ resource: Resource) -> Claim {
        var claim = attributes.ownClaim
        let around = resource.claim
        // A version beside another agent's name would be somebody else's: the innermost name decides.
        let isAlike = claim.agent == nil || claim.agent == around.agent || claim.named == nil && around.named != nil
        if isAlike {
            claim.agent = claim.agent ?? around.agent
            claim.version = claim.version ?? around.version
        }
        guard claim.bundle == nil else {
            if attributes.isFromBaggage { claim.host = around.bundle ?? around.named }
            return claim
        }
        claim.named = claim.named ?? around.named
        if let bundle = around.bundle {
            claim.bundle = bundle
            claim.source = isAlike ? .resource : .borrowed
        }
        return claim
    }

    /// A hash of the session's key: keys may be customers' names, and are not kept.
    func session(_ attributes: Attributes) -> UInt64? {
        guard let key = attributes.session ?? attributes.conversation, key.count > 0 else { return nil }
        return StableHash.of(scanner.string(key).utf8)
    }

    func environments(_ attributes: Attributes, _ resource: Resource) -> [String] {
        switch (resource.environment, attributes.environment ?? attributes.oldEnvironment) {
        case (nil, nil): []
        case (let one?, nil), (nil, let one?): [one]
        case (let one?, let other?): one == other ? [one] : [one, other]
        }
    }

    func models(_ attributes: Attributes) -> [String] {
        let known = attributes.provider ?? attributes.system ?? attributes.openProvider ?? attributes.openSystem
        guard let provider = known else { return [] }
        let requested = attributes.requestModel ?? attributes.openModel
        return [requested, attributes.responseModel].compactMap { $0.map { "\(provider)/\($0)" } }
    }

    func usage(_ attributes: Attributes) -> (usage: TokenUsage?, isBad: Bool) {
        let given = (attributes.input ?? attributes.otherInput, attributes.output ?? attributes.otherOutput)
        guard given.0 != nil || given.1 != nil else { return (crewUsage(attributes), false) }
        guard let input = tokens(given.0), let output = tokens(given.1),
            let read = tokens(attributes.cacheRead ?? attributes.otherCacheRead),
            let written = tokens(attributes.cacheWrite ?? attributes.otherCacheWrite)
        else { return (nil, true) }
        return (TokenUsage(input: input, output: output, cacheRead: read, cacheWrite: written), false)
    }

    /// What a crew of crewAI has used, which its instrumentation writes as a text: `prompt_tokens=200 completion_tokens=20`.
    private func crewUsage(_ attributes: Attributes) -> TokenUsage? {
        guard let text = attributes.crewUsage, text.count <= 1_024 else { return nil }
        var counts: [Substring: Int64] = [:]
        for part in scanner.string(text).split(separator: " ") {
            let sides = part.split(separator: "=", maxSplits: 1)
            if sides.count == 2, let count = Int64(sides[1]), (0...TokenUsage.most).contains(count) {
                counts[sides[0]] = count
            }
        }
        guard let input = counts["prompt_tokens"], let output = counts["completion_tokens"] else { return nil }
        let (read, written) = (counts["cached_prompt_tokens"] ?? 0, counts["cache_creation_tokens"] ?? 0)
        return TokenUsage(input: input, output: output, cacheRead: read, cacheWrite: written)
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

    /// A status code as a number or a name (protobuf's JSON mapping allows both). Some writers have doubles alone: 2.0 is 2.
    private mutating func readStatusCode() throws(MalformedJSON) -> StatusCode {
        let start = scanner.index
        if scanner.peek() == UInt8(ascii: "\"") {
            let text = try scanner.text()
            if scanner.equals(text, "STATUS_CODE_ERROR") { return .error }
            if scanner.equals(text, "STATUS_CODE_OK") || scanner.equals(text, "STATUS_CODE_UNSET") { return .fine }
            scanner.rewind(to: start)
        }
        // protobuf's JSON mapping takes null for what is not given.
        let isNull = scanner.peek() == UInt8(ascii: "n")
        switch try scanner.otlpInteger() {
        case 2: return .error
        case 0, 1: return .fine
        default: return isNull ? .fine : .unknown
        }
    }

    /// Reads a span's kind, as a number or a name (protobuf's JSON mapping allows both); 0 for what is not known.
    private mutating func readKind() throws(MalformedJSON) -> Int64 {
        guard scanner.peek() == UInt8(ascii: "\"") else { return try scanner.otlpInteger() ?? 0 }
        let start = scanner.index
        let text = try scanner.text()
        if scanner.equals(text, "SPAN_KIND_SERVER") { return 2 }
        if scanner.equals(text, "SPAN_KIND_CLIENT") { return 3 }
        if scanner.equals(text, "SPAN_KIND_PRODUCER") { return 4 }
        if scanner.equals(text, "SPAN_KIND_CONSUMER") { return 5 }
        scanner.rewind(to: start)
        return try scanner.otlpInteger() ?? 0
    }

    private mutating func readStatus() throws(MalformedJSON) -> StatusCode {
        var status = StatusCode.fine
        try scanner.beginObject()
        var isFirst = true
        while let key = try scanner.nextKey(&isFirst) {
            if scanner.equals(key, "code") {
                status = try readStatusCode()
            } else {
                try scanner.skip()
            }
        }
        return status
    }
}
