import EnsignModel

extension OTLPReader {
    /// Reads a span's events: evaluations, and the message that some write for what a tool was given.
    mutating func readEvents(
        _ written: inout WrittenSpan,
        _ span: inout Attributes
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
            guard let name else { continue }
            if scanner.equals(name, "gen_ai.tool.message") { span.message = attributes.content }
            guard scanner.equals(name, "gen_ai.evaluation.result") else { continue }
            if let evaluation = evaluation(attributes, at: time) {
                written.evaluations.append(evaluation)
            } else {
                written.badEvaluations += 1
            }
        }
    }

    func evaluation(_ attributes: Attributes, at time: Int64?) -> Evaluation? {
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

    mutating func readLogRecord(
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
