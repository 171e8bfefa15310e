import EnsignModel

/// One line of an OTLP/JSON file (https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/): an object with
/// `resourceSpans`, `resourceLogs` or `resourceMetrics`. Unknown members are skipped, as OTLP asks of readers.
package enum OTLPLine {
    /// Reads a line's events.
    ///
    /// A line that begins with the rest of one that was cut off, as a restarted writer leaves it, is read from the place
    /// where the whole one begins; the cut-off one counts as malformed.
    ///
    /// - Parameters:
    ///   - bytes: One JSON object, white space around it. Empty lines are no trouble.
    ///   - events: What was read is appended; nothing of a malformed line.
    package static func read(
        _ bytes: UnsafeRawBufferPointer,
        into events: inout [TelemetryEvent],
        rejections: inout Rejections
    ) {
        let count = events.count
        let before = rejections
        var start = 0
        while true {
            do {
                var reader = unsafe OTLPReader(bytes, from: start)
                try reader.readLine(into: &events, rejections: &rejections)
                return
            } catch {
                events.removeSubrange(count...)
                rejections = before
                rejections.add(.malformedLine)
            }
            guard let next = unsafe lastBeginning(in: bytes), next > start else { return }
            start = next
        }
    }

    /// The last `{"resource`, which never stands inside a JSON string: its quote would be escaped there.
    private static func lastBeginning(in bytes: UnsafeRawBufferPointer) -> Int? {
        let words = Array("{\"resource".utf8)
        var start = bytes.count - words.count - 1
        while start > 0 {
            if unsafe bytes[start] == words[0], unsafe bytes[start..<(start + words.count)].elementsEqual(words),
                // Within a line it also begins each resource: {"resource":{...}}.
                unsafe bytes[start + words.count] != UInt8(ascii: "\"")
            {
                return start
            }
            start -= 1
        }
        return nil
    }
}

/// Walks along one line.
struct OTLPReader {
    private var scanner: JSONScanner

    init(_ bytes: UnsafeRawBufferPointer, from start: Int = 0) {
        scanner = unsafe JSONScanner(bytes, from: start)
    }

    /// What a resource says of all its spans and records.
    private struct Resource {
        var claim = Claim()
        var environment: String?
    }

    /// A place that can only be read when something behind it is known: JSON members may stand in any order.
    private typealias Place = Int

    mutating func readLine(
        into events: inout [TelemetryEvent],
        rejections: inout Rejections
    ) throws(MalformedJSON) {
        guard scanner.peek() != nil else { return }
        try scanner.beginObject()
        var isFirst = true
        var isKnown = false
        while let key = try scanner.nextKey(&isFirst) {
            if scanner.peek() != UInt8(ascii: "[") {
                try scanner.skip()
            } else if scanner.equals(key, "resourceSpans") {
                isKnown = true
                try readResources("scopeSpans", "spans", &events, &rejections)
            } else if scanner.equals(key, "resourceLogs") {
                isKnown = true
                try readResources("scopeLogs", "logRecords", &events, &rejections)
            } else {
                // Metrics say nothing that spans do not say better: a counter cannot be attributed to a run.
                isKnown = isKnown || scanner.equals(key, "resourceMetrics")
                try scanner.skip()
            }
        }
        guard isKnown, scanner.peek() == nil else { throw MalformedJSON(offset: scanner.index) }
    }

    private mutating func readResources(
        _ scopes: StaticString,
        _ items: StaticString,
        _ events: inout [TelemetryEvent],
        _ rejections: inout Rejections
    ) throws(MalformedJSON) {
        try scanner.beginArray()
        var isFirst = true
        while try scanner.nextElement(&isFirst) {
            var resource: Resource?
            var waiting: [Place] = []
            try scanner.beginObject()
            var isFirstKey = true
            while let key = try scanner.nextKey(&isFirstKey) {
                let next = scanner.peek()
                if scanner.equals(key, "resource"), next == UInt8(ascii: "{") {
                    resource = try readResource()
                } else if scanner.equals(key, scopes), next == UInt8(ascii: "[") {
                    if let resource {
                        try readScopes(items, resource, &events, &rejections)
                    } else {
                        waiting.append(scanner.index)
                        try scanner.skip()
                    }
                } else {
                    try scanner.skip()
                }
            }
            let end = scanner.index
            for place in waiting {
                scanner.rewind(to: place)
                try readScopes(items, resource ?? Resource(), &events, &rejections)
            }
            scanner.rewind(to: end)
        }
    }

    private mutating func readScopes(
        _ items: StaticString,
        _ resource: Resource,
        _ events: inout [TelemetryEvent],
        _ rejections: inout Rejections
    ) throws(MalformedJSON) {
        let areSpans = items.utf8CodeUnitCount == 5
        try scanner.beginArray()
        var isFirst = true
        while try scanner.nextElement(&isFirst) {
            try scanner.beginObject()
            var isFirstKey = true
            while let key = try scanner.nextKey(&isFirstKey) {
                guard scanner.equals(key, items), scanner.peek() == UInt8(ascii: "[") else {
                    try scanner.skip()
                    continue
                }
                try scanner.beginArray()
                var isFirstItem = true
                while try scanner.nextElement(&isFirstItem) {
                    if areSpans {
                        try readSpan(resource, &events, &rejections)
                    } else {
                        try readLogRecord(resource, &events, &rejections)
                    }
                }
            }
        }
    }

    // MARK: - Attributes

    /// Everything that is read of an item's attributes.
    private struct Attributes {
        var operation: JSONScanner.Text?
        var claim = Claim()
        var environment: String?
        var tool: String?
        var arguments: UInt64?
        var errorType: JSONScanner.Text?
        var provider: String?
        var system: String?
        var requestModel: String?
        var responseModel: String?
        var input: OTLPScalar?
        var output: OTLPScalar?
        var cacheRead: OTLPScalar?
        var cacheWrite: OTLPScalar?
        var evaluation: String?
        var score: OTLPScalar?
        var label: String?
        var eventName: JSONScanner.Text?
    }

    private mutating func readResource() throws(MalformedJSON) -> Resource {
        var attributes = Attributes()
        try scanner.beginObject()
        var isFirst = true
        while let key = try scanner.nextKey(&isFirst) {
            if scanner.equals(key, "attributes"), scanner.peek() == UInt8(ascii: "[") {
                try readAttributes(&attributes)
            } else {
                try scanner.skip()
            }
        }
        return Resource(claim: attributes.claim, environment: attributes.environment)
    }

    private mutating func readAttributes(_ attributes: inout Attributes) throws(MalformedJSON) {
        try scanner.beginArray()
        var isFirst = true
        while try scanner.nextElement(&isFirst) {
            var name: JSONScanner.Text?
            var waiting: Place?
            try scanner.beginObject()
            var isFirstKey = true
            while let key = try scanner.nextKey(&isFirstKey) {
                if scanner.equals(key, "key"), scanner.peek() == UInt8(ascii: "\"") {
                    name = try scanner.text()
                } else if scanner.equals(key, "value") {
                    if let name {
                        try readAttribute(name, &attributes)
                    } else {
                        waiting = scanner.index
                        try scanner.skip()
                    }
                } else {
                    try scanner.skip()
                }
            }
            if let name, let waiting {
                let end = scanner.index
                scanner.rewind(to: waiting)
                try readAttribute(name, &attributes)
                scanner.rewind(to: end)
            }
        }
    }

    private mutating func readAttribute(
        _ name: JSONScanner.Text,
        _ attributes: inout Attributes
    ) throws(MalformedJSON) {
        if scanner.hasPrefix(name, "gen_ai.") {
            try readConvention(name, &attributes)
        } else if scanner.equals(name, "ensign.bundle") {
            attributes.claim.bundle = try string(most: 128)
        } else if scanner.equals(name, "error.type") {
            attributes.errorType = try text()
        } else if scanner.equals(name, "deployment.environment.name") {
            attributes.environment = try string(most: 128)
        } else if scanner.equals(name, "event.name") {
            attributes.eventName = try text()
        } else {
            try scanner.skip()
        }
    }

    /// The GenAI semantic conventions' names, new and older ones.
    private mutating func readConvention(
        _ name: JSONScanner.Text,
        _ attributes: inout Attributes
    ) throws(MalformedJSON) {
        if scanner.equals(name, "gen_ai.operation.name") {
            attributes.operation = try text()
        } else if scanner.equals(name, "gen_ai.agent.name") {
            attributes.claim.agent = try string(most: 256)
        } else if scanner.equals(name, "gen_ai.agent.version") {
            attributes.claim.version = try string(most: 128)
        } else if scanner.equals(name, "gen_ai.tool.name") {
            attributes.tool = try string(most: 256)
        } else if scanner.equals(name, "gen_ai.tool.call.arguments") {
            attributes.arguments =
                scanner.peek() == UInt8(ascii: "{") ? try scanner.otlpArgumentsDigest() : try skipped()
        } else if scanner.equals(name, "gen_ai.usage.input_tokens") {
            attributes.input = try scanner.otlpScalar()
        } else if scanner.equals(name, "gen_ai.usage.output_tokens") {
            attributes.output = try scanner.otlpScalar()
        } else if scanner.equals(name, "gen_ai.usage.cache_read.input_tokens") {
            attributes.cacheRead = try scanner.otlpScalar()
        } else if scanner.equals(name, "gen_ai.usage.cache_write.input_tokens")
            || scanner.equals(name, "gen_ai.usage.cache_creation.input_tokens")
        {
            attributes.cacheWrite = try scanner.otlpScalar()
        } else if scanner.equals(name, "gen_ai.usage.prompt_tokens") {
            let value = try scanner.otlpScalar()
            attributes.input = attributes.input ?? value
        } else if scanner.equals(name, "gen_ai.usage.completion_tokens") {
            let value = try scanner.otlpScalar()
            attributes.output = attributes.output ?? value
        } else if scanner.equals(name, "gen_ai.provider.name") {
            attributes.provider = try string(most: 128)
        } else if scanner.equals(name, "gen_ai.system") {
            attributes.system = try string(most: 128)
        } else if scanner.equals(name, "gen_ai.request.model") {
            attributes.requestModel = try string(most: 256)
        } else if scanner.equals(name, "gen_ai.response.model") {
            attributes.responseModel = try string(most: 256)
        } else if scanner.equals(name, "gen_ai.evaluation.name") {
            attributes.evaluation = try string(most: 128)
        } else if scanner.equals(name, "gen_ai.evaluation.score.value") {
            attributes.score = try scanner.otlpScalar()
        } else if scanner.equals(name, "gen_ai.evaluation.score.label") {
            attributes.label = try string(most: 128)
        } else {
            try scanner.skip()
        }
    }

    private mutating func skipped() throws(MalformedJSON) -> UInt64? {
        try scanner.skip()
        return nil
    }

    private mutating func text() throws(MalformedJSON) -> JSONScanner.Text? {
        if case .text(let text) = try scanner.otlpScalar() { text } else { nil }
    }

    /// A text of bounded length: one that is longer is none of ours.
    private mutating func string(most: Int) throws(MalformedJSON) -> String? {
        guard let text = try text(), text.count <= most, text.count > 0 else { return nil }
        return scanner.string(text)
    }

    // MARK: - Spans

    private mutating func readSpan(
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
                    evaluations: evaluations
                )
            )
        )
    }

    private func operation(_ attributes: Attributes) -> SpanEvent.Operation {
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

    private func claim(_ attributes: Attributes, _ resource: Resource) -> Claim {
        // A bundle or version beside another agent's name would be somebody else's: the innermost name decides for all.
        if attributes.claim.agent != nil, attributes.claim.agent != resource.claim.agent { return attributes.claim }
        return Claim(
            agent: attributes.claim.agent ?? resource.claim.agent,
            version: attributes.claim.version ?? resource.claim.version,
            bundle: attributes.claim.bundle ?? resource.claim.bundle
        )
    }

    private func environments(_ attributes: Attributes, _ resource: Resource) -> [String] {
        switch (resource.environment, attributes.environment) {
        case (nil, nil): []
        case (let one?, nil), (nil, let one?): [one]
        case (let one?, let other?): one == other ? [one] : [one, other]
        }
    }

    private func models(_ attributes: Attributes) -> [String] {
        guard let provider = attributes.provider ?? attributes.system else { return [] }
        return [attributes.requestModel, attributes.responseModel].compactMap { $0.map { "\(provider)/\($0)" } }
    }

    private func usage(_ attributes: Attributes) -> (usage: TokenUsage?, isBad: Bool) {
        guard attributes.input != nil || attributes.output != nil else { return (nil, false) }
        guard let input = tokens(attributes.input), let output = tokens(attributes.output),
            let read = tokens(attributes.cacheRead), let written = tokens(attributes.cacheWrite)
        else { return (nil, true) }
        return (TokenUsage(input: input, output: output, cacheRead: read, cacheWrite: written), false)
    }

    /// - Returns: 0 for what is not given; nil for what cannot be.
    private func tokens(_ value: OTLPScalar?) -> Int64? {
        switch value {
        case nil: return 0
        case .integer(let count)?: return (0...TokenUsage.most).contains(count) ? count : nil
        case .number(let number)?:
            guard let count = Int64(exactly: number), (0...TokenUsage.most).contains(count) else { return nil }
            return count
        case .text?, .bool?, .other?: return nil
        }
    }

    /// Whether a status is ERROR: 2, or its name (protobuf's JSON mapping allows both).
    private mutating func readStatus() throws(MalformedJSON) -> Bool {
        var isError = false
        try scanner.beginObject()
        var isFirst = true
        while let key = try scanner.nextKey(&isFirst) {
            if scanner.equals(key, "code") {
                if scanner.peek() == UInt8(ascii: "\"") {
                    let name = try scanner.text()
                    isError = scanner.equals(name, "STATUS_CODE_ERROR") || scanner.equals(name, "2")
                } else if scanner.peek() == UInt8(ascii: "{") || scanner.peek() == UInt8(ascii: "[") {
                    try scanner.skip()
                } else {
                    isError = scanner.equals(try scanner.word(), "2")
                }
            } else {
                try scanner.skip()
            }
        }
        return isError
    }

    // MARK: - Evaluations

    private mutating func readEvents(
        _ evaluations: inout [Evaluation],
        _ bad: inout Int64
    ) throws(MalformedJSON) {
        try scanner.beginArray()
        var isFirst = true
        while try scanner.nextElement(&isFirst) {
            var attributes = Attributes()
            var name: JSONScanner.Text?
            var time: Int64?
            try scanner.beginObject()
            var isFirstKey = true
            while let key = try scanner.nextKey(&isFirstKey) {
                if scanner.equals(key, "name"), scanner.peek() == UInt8(ascii: "\"") {
                    name = try scanner.text()
                } else if scanner.equals(key, "timeUnixNano") {
                    time = try scanner.otlpInteger()
                } else if scanner.equals(key, "attributes"), scanner.peek() == UInt8(ascii: "[") {
                    try readAttributes(&attributes)
                } else {
                    try scanner.skip()
                }
            }
            guard let name, scanner.equals(name, "gen_ai.evaluation.result") else { continue }
            if let evaluation = evaluation(attributes, at: time) {
                evaluations.append(evaluation)
            } else {
                bad += 1
            }
        }
    }

    private func evaluation(_ attributes: Attributes, at time: Int64?) -> Evaluation? {
        guard let name = attributes.evaluation else { return nil }
        let label: Bool? =
            switch attributes.label?.lowercased() {
            case "pass", "passed", "true", "yes", "good", "correct", "relevant": true
            case "fail", "failed", "false", "no", "bad", "incorrect", "not_relevant": false
            default: nil
            }
        let score: Double
        switch attributes.score {
        case .integer(let value)?: score = Double(value)
        case .number(let value)?: score = value
        case .bool(let value)?: score = value ? 1 : 0
        case .text?, .other?, nil:
            guard let label else { return nil }
            score = label ? 1 : 0
        }
        guard score.isFinite else { return nil }
        return Evaluation(
            name: name,
            score: score,
            hasPassed: label ?? (score >= 0.5),
            time: Moment(nanoseconds: time ?? 0)
        )
    }

    private mutating func readLogRecord(
        _ resource: Resource,
        _ events: inout [TelemetryEvent],
        _ rejections: inout Rejections
    ) throws(MalformedJSON) {
        var attributes = Attributes()
        var name: JSONScanner.Text?
        var trace: TraceID?
        var span: SpanID?
        var time: Int64?
        var observed: Int64?
        try scanner.beginObject()
        var isFirst = true
        while let key = try scanner.nextKey(&isFirst) {
            if scanner.equals(key, "attributes"), scanner.peek() == UInt8(ascii: "[") {
                try readAttributes(&attributes)
            } else if scanner.equals(key, "eventName"), scanner.peek() == UInt8(ascii: "\"") {
                name = try scanner.text()
            } else if scanner.equals(key, "traceId") {
                trace = try scanner.otlpID(bytes: 16).map { TraceID(high: $0.high, low: $0.low) }
            } else if scanner.equals(key, "spanId") {
                span = try scanner.otlpID(bytes: 8)?.low
            } else if scanner.equals(key, "timeUnixNano") {
                time = try scanner.otlpInteger()
            } else if scanner.equals(key, "observedTimeUnixNano") {
                observed = try scanner.otlpInteger()
            } else {
                try scanner.skip()
            }
        }
        guard let name = name.flatMap({ $0.count > 0 ? $0 : nil }) ?? attributes.eventName,
            scanner.equals(name, "gen_ai.evaluation.result")
        else { return }
        let moment = time.flatMap { $0 > 0 ? $0 : nil } ?? observed
        guard let evaluation = evaluation(attributes, at: moment) else {
            rejections.add(.badEvaluation)
            return
        }
        events.append(
            .evaluation(
                EvaluationEvent(
                    trace: trace.flatMap { $0.high == 0 && $0.low == 0 ? nil : $0 },
                    span: span.flatMap { $0 == 0 ? nil : $0 },
                    claim: claim(attributes, resource),
                    environments: environments(attributes, resource),
                    evaluation: evaluation
                )
            )
        )
    }
}
