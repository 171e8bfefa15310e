/// What the judge says about a candidate: a verdict, its basis metric by metric, and a sentence or more.
package struct JudgeReport: Sendable, Hashable {
    package let verdict: Verdict
    /// Sorted by name, each name once.
    package let metrics: [MetricReport]
    /// The headline, then the result of each metric that decided, or is still awaited.
    package let explanation: String
    /// Why metrics of calls say nothing although there are runs; nil when they say something.
    package let silent: String?
    /// The JSON that was read: a report that was read is written as it was.
    private let asRead: JSONValue?

    /// - Parameter decisive: What the metrics say that decided, or are still awaited.
    package init(verdict: Verdict, metrics: [MetricReport], decisive: [String], silent: String? = nil) {
        self.verdict = verdict
        self.metrics = Self.sorted(metrics)
        self.silent = silent
        explanation =
            "\(Self.headline(verdict, metrics, silent)). \(decisive.joined(separator: ". "))."
        asRead = nil
    }

    private static func sorted(_ metrics: [MetricReport]) -> [MetricReport] {
        Dictionary(metrics.map { ($0.name, $0) }) { $1 }.values.sorted { $0.name < $1.name }
    }

    package static func == (a: JudgeReport, b: JudgeReport) -> Bool { a.json == b.json }

    package func hash(into hasher: inout Hasher) { hasher.combine(json) }

    /// The result, in one sentence without its full stop. The metrics say the rest.
    package var headline: String { Self.headline(verdict, metrics, silent) }

    private static func headline(_ verdict: Verdict, _ metrics: [MetricReport], _ silent: String?) -> String {
        switch verdict {
        case .fail where metrics.contains { $0.verdict == .fail }: "The canary is worse than stable"
        case .fail: "The canary is worse than stable in the metrics taken together"
        case .pass: "The canary is no worse than the margins allow"
        case .noData where silent != nil: "Not every metric says something"
        case .noData: "There are not samples of both versions for every metric"
        case .error: "Not every metric could be read"
        case .inconclusive, .notAnalysed: "The samples do not decide yet"
        }
    }

    /// Why the candidate failed, in a line: the result of each metric that failed. Only the judge's own
    /// report has them; one that was read says that it failed.
    package var failure: String {
        let values = metrics.filter { $0.verdict == .fail && !$0.summary.isEmpty }.map { $0.summary.cut(utf8: 120) }
        return values.isEmpty
            ? "the analysis failed" : "the analysis failed: " + values.prefix(3).joined(separator: "; ")
    }
}

/// What is said about one metric.
package struct MetricReport: Sendable, Hashable {
    package var name: String
    package var verdict: Verdict
    /// Canary less stable: of a rate in its own unit; of sizes relative to stable for a relative margin, else in their
    /// own unit. Nil without samples of both.
    package var estimate: Double?
    /// Around the estimate, each end valid at all times at once; nil without an estimate.
    package var interval: Interval?
    package var stable: Samples
    package var canary: Samples
    package var explanation: String
    /// The measurements of both versions, without the estimate and the reason. Not in the JSON: empty in a report that
    /// was read.
    package var summary: String

    /// An end without a bound is nil. Nine significant digits.
    package struct Interval: Sendable, Hashable {
        package var low: Double?
        package var high: Double?

        package init(low: Double?, high: Double?) {
            self.low = low
            self.high = high
        }
    }

    /// What was measured on one of the two versions.
    package struct Samples: Sendable, Hashable {
        package var count: Int64
        /// Values that cannot be measurements of the metric.
        package var rejected: Int64
        /// Of the accepted values; nil without any.
        package var mean: Double?

        package init(count: Int64, rejected: Int64, mean: Double?) {
            self.count = count
            self.rejected = rejected
            self.mean = mean
        }
    }

    package init(
        name: String,
        verdict: Verdict,
        stable: Samples,
        canary: Samples,
        explanation: String = "",
        summary: String = ""
    ) {
        self.name = name
        self.verdict = verdict
        self.stable = stable
        self.canary = canary
        self.explanation = explanation
        self.summary = summary
    }
}

// MARK: - JSON

extension JudgeReport {
    package var json: JSONValue { asRead ?? .object(fields) }

    private var fields: JSONObject {
        var fields: JSONObject = [
            "verdict": .string(verdict.rawValue),
            "metrics": .object(JSONObject(metrics.map { ($0.name, $0.json) })), "explanation": .string(explanation),
        ]
        if let silent { fields["silent"] = .string(silent) }
        return fields
    }

    /// Reads a report back; nil when it is not one. Reading loses nothing.
    package init?(json: JSONValue) {
        guard let verdict = json["verdict"]?.string.flatMap({ Verdict(rawValue: $0) }),
            let metrics = json["metrics"]?.object, let explanation = json["explanation"]?.string
        else { return nil }
        self.verdict = verdict
        self.metrics = Self.sorted(metrics.compactMap { MetricReport($0.key, json: $0.value) })
        self.explanation = explanation
        silent = json["silent"]?.string
        asRead = json
    }
}

extension MetricReport {
    package var json: JSONValue {
        func number(_ value: Double?) -> JSONValue { value.map { JSONValue($0) } ?? .null }
        func pair(_ value: (Samples) -> JSONValue) -> JSONValue { ["stable": value(stable), "canary": value(canary)] }
        return [
            "verdict": .string(verdict.rawValue), "estimate": number(estimate),
            "interval": interval.map { [number($0.low), number($0.high)] } ?? .null,
            "samples": pair { .integer($0.count) }, "rejected": pair { .integer($0.rejected) },
            "mean": pair { number($0.mean) }, "explanation": .string(explanation),
        ]
    }

    init?(_ name: String, json: JSONValue) {
        guard let verdict = json["verdict"]?.string.flatMap({ Verdict(rawValue: $0) }) else { return nil }
        func samples(_ side: String) -> Samples {
            Samples(
                count: json["samples"]?[side]?.int ?? 0,
                rejected: json["rejected"]?[side]?.int ?? 0,
                mean: json["mean"]?[side]?.double
            )
        }
        self.init(
            name: name,
            verdict: verdict,
            stable: samples("stable"),
            canary: samples("canary"),
            explanation: json["explanation"]?.string ?? name
        )
        estimate = json["estimate"]?.double
        if let ends = json["interval"], ends.array != nil {
            interval = Interval(low: ends[0]?.double, high: ends[1]?.double)
        }
    }
}
