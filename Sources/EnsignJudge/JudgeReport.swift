package import EnsignModel

extension Judge {
    /// What the verdict rests on: per metric verdict, estimate, interval, samples and sentence, and one for all.
    package var evidence: JSONValue { evidence(unreadable: [:], silences: [:]) }

    /// The same where some metrics could not be read, or say nothing.
    ///
    /// - Parameters:
    ///   - unreadable: Why, by name. Without a `fail`, the verdict is then `error`.
    ///   - silences: Why metrics say nothing, by name. Without a `fail` or an error, the verdict is then `no-data`.
    package func evidence(unreadable: [String: String], silences: [String: String]) -> JSONValue {
        var perMetric = JSONObject()
        var failures: [String] = []
        var silent: [String] = []
        for metric in metrics {
            var report = metric.report(error: metricError)
            if let why = silences[metric.metric.name], metric.decision != .fail {
                report.verdict = .noData
                report.explanation = "\(metric.metric.name): \(why)"
                silent.append(report.explanation)
            }
            if let why = unreadable[metric.metric.name], metric.decision != .fail {
                report.verdict = .error
                report.explanation = "\(metric.metric.name): \(why)"
                failures.append(report.explanation)
            }
            perMetric[metric.metric.name] = report.json
        }
        var (verdict, explanation) = (verdict, explanation)
        if decision != .fail, !failures.isEmpty {
            (verdict, explanation) = (.error, "Not every metric could be read. \(failures.joined(separator: ". ")).")
        } else if decision != .fail, !silent.isEmpty {
            (verdict, explanation) = (.noData, "Not every metric says something. \(silent.joined(separator: ". ")).")
        }
        var evidence: JSONObject = [
            "verdict": .string(verdict.rawValue), "metrics": .object(perMetric), "explanation": .string(explanation),
        ]
        if let why = silences.values.first, !silent.isEmpty { evidence["silent"] = .string(why) }
        return .object(evidence)
    }

    /// With how much probability each end of a metric's interval may ever miss.
    private var metricError: Double { error / Double(metrics.count) }

    /// A sentence or more: the verdict, then the metrics that decided it or that it waits for.
    package var explanation: String {
        let reports = metrics.map { ($0, $0.report(error: metricError).explanation) }
        let decisive: [String]
        let opening: String
        switch verdict {
        case .fail:
            let failed = reports.filter { $0.0.verdict == .fail }.map(\.1)
            opening =
                failed.isEmpty
                ? "The canary is worse than stable in the metrics taken together" : "The canary is worse than stable"
            decisive = failed.isEmpty ? reports.map(\.1) : failed
        case .pass:
            opening = "The canary is no worse than the margins allow"
            decisive = reports.map(\.1)
        case .noData:
            opening = "There are not samples of both versions for every metric"
            decisive = reports.filter { $0.0.verdict == .noData }.map(\.1)
        case .inconclusive, .error:
            opening = "The samples do not decide yet"
            decisive = reports.filter { $0.0.verdict == .inconclusive }.map(\.1)
        }
        return "\(opening). \(decisive.joined(separator: ". "))."
    }
}

/// What is shown about one metric.
package struct MetricReport: Sendable, Hashable {
    package var verdict: Verdict
    /// Canary less stable: of a rate in its own unit; of sizes relative to stable for a relative margin, else in their
    /// own unit. Nil without samples of both.
    package var estimate: Double?
    /// Around the estimate, each end valid at all times at once. Nil for an end without a bound.
    package var low: Double?
    package var high: Double?
    package var stable: MetricJudge.Tally
    package var canary: MetricJudge.Tally
    package var explanation: String

    package var json: JSONValue {
        func number(_ value: Double?) -> JSONValue { value.map { JSONValue($0) } ?? .null }
        func pair(_ stable: JSONValue, _ canary: JSONValue) -> JSONValue { ["stable": stable, "canary": canary] }
        return [
            "verdict": .string(verdict.rawValue), "estimate": number(estimate),
            "interval": estimate == nil
                ? .null : [number(low.map(Decimal.rounded)), number(high.map(Decimal.rounded))],
            "samples": pair(.integer(Int64(stable.count)), .integer(Int64(canary.count))),
            "rejected": pair(.integer(Int64(stable.rejected)), .integer(Int64(canary.rejected))),
            "mean": pair(number(stable.mean), number(canary.mean)),
            "explanation": .string(explanation),
        ]
    }
}

extension MetricJudge {
    /// - Parameter error: With how much probability each end of the interval may ever miss.
    func report(error: Double) -> MetricReport {
        var report = MetricReport(verdict: verdict, stable: stable, canary: canary, explanation: "")
        if let stableMean = stable.mean, let canaryMean = canary.mean {
            if metric.kind == .rate {
                report.estimate = canaryMean - stableMean
                (report.low, report.high) = rateBounds(error: error, stableMean: stableMean)
            } else {
                sizeBounds(&report, error: error, stableMean: stableMean, canaryMean: canaryMean)
            }
        }
        report.explanation = explanation(report)
        return report
    }

    /// The interval of the difference of two rates. It leaves out 0 on the bad side exactly when the metric fails, and
    /// the margin exactly when it passes: at those points the verdict's own test stands in for the interval's.
    private func rateBounds(error: Double, stableMean: Double) -> (low: Double, high: Double) {
        var (low, high) = interval.bounds(scale: 1, error: error)
        let bad = metric.isHighGood ? 1 - stableMean : stableMean
        let (factor, offset) = metric.badRateBound
        let margin = (factor - 1) * bad + offset
        low = verdict == .fail ? max(low, 0) : min(low, 0)
        high = verdict == .pass ? min(high, margin) : max(high, min(margin, 1))
        high = max(high, low)
        return metric.isHighGood ? (0 - high, 0 - low) : (low, high)
    }

    /// Of the capped means, which have an interval; plain means of heavy tails have none.
    private func sizeBounds(_ report: inout MetricReport, error: Double, stableMean: Double, canaryMean: Double) {
        let isRelative = if case .relative = metric.margin { true } else { false }
        let unit = isRelative ? 1 : stableMean
        var ratio: Double?
        if interval.stableSum > 0 { ratio = interval.canarySum / interval.stableSum }
        if let ratio {
            var (low, high) = interval.ratioBounds(error: error)
            if verdict == .pass, stableMean > 0 {
                high = min(high ?? .infinity, SizeBets.worsened(stableMean, metric.margin) / stableMean)
            }
            report.estimate = (ratio - 1) * unit
            report.low = (min(low, ratio) - 1) * unit
            report.high = high.map { (max($0, ratio) - 1) * unit }
        } else {
            report.estimate =
                isRelative ? (stableMean > 0 ? canaryMean / stableMean - 1 : nil) : canaryMean - stableMean
        }
    }

    // MARK: Sentences

    private func explanation(_ report: MetricReport) -> String {
        let counts = "\(canary.count) canary and \(stable.count) stable samples"
        guard let stableMean = stable.mean, let canaryMean = canary.mean else {
            let missing =
                stable.count == 0 ? (canary.count == 0 ? "either version" : "the stable version") : "the canary"
            return "\(metric.name): no samples of \(missing)\(rejections)"
        }
        let values: String
        if metric.kind == .rate {
            values = "\(Decimal.percent(canaryMean)) against \(Decimal.percent(stableMean))"
        } else {
            let unit = metric.unit.map { " \($0)" } ?? ""
            values = "a mean of \(Decimal.short(canaryMean))\(unit) against \(Decimal.short(stableMean))\(unit)"
        }
        return "\(metric.name): \(values), \(change(report)); \(reason) after \(counts)\(rejections)"
    }

    private func change(_ report: MetricReport) -> String {
        guard let estimate = report.estimate else { return "no estimate of the change" }
        func text(_ value: Double) -> String {
            if metric.kind == .rate { return Decimal.signed(value * 100, 1) }
            if case .relative = metric.margin { return Decimal.signed(value * 100, 1) }
            return Decimal.short(value)
        }
        let unit =
            if metric.kind == .rate {
                " points"
            } else if case .relative = metric.margin {
                " %"
            } else {
                metric.unit.map { " \($0)" } ?? ""
            }
        let what = metric.kind == .rate ? "a change of" : "a change of the capped mean of"
        let ends = "\(report.low.map(text) ?? "any") to \(report.high.map(text) ?? "any")"
        return "\(what) \(text(estimate))\(unit) (\(ends))"
    }

    private var reason: String {
        switch verdict {
        case .pass: return "no worse than the margin of \(marginText)"
        case .fail:
            guard metric.kind != .rate else { return "worse than stable" }
            return "worse than stable \(strongestBet)"
        case .inconclusive, .noData, .error:
            switch passGate {
            case .rejectedValues: return "cannot pass while the canary sends values that are no measurements"
            case .plainMean where passEvidence > 1: return "cannot pass while the plain mean is beyond the margin"
            case .plainMean, nil: return "neither worse than stable nor within the margin of \(marginText) for sure"
            }
        }
    }

    private var marginText: String {
        switch metric.margin {
        case .relative(let share): "\(Decimal.short(share * 100)) %"
        case .absolute(let value):
            metric.kind == .rate
                ? "\(Decimal.short(value * 100)) points" : Decimal.short(value) + (metric.unit.map { " \($0)" } ?? "")
        }
    }

    private var rejections: String {
        let sum = canary.rejected + stable.rejected
        guard sum > 0 else { return "" }
        return ", \(sum) more rejected as no measurements (\(canary.rejected) of the canary)"
    }
}

/// Numbers for people.
package enum Decimal {
    /// `91.6 %`.
    static func percent(_ share: Double) -> String { fixed(share * 100, 1) + " %" }

    static func signed(_ value: Double, _ digits: Int) -> String {
        let text = fixed(value, digits)
        return value > 0 && !text.hasPrefix("-") ? "+" + text : text
    }

    /// Three or so significant digits.
    package static func short(_ value: Double) -> String {
        let size = abs(value)
        if size >= 1e15 || (size > 0 && size < 1e-6) { return "\(value)" }
        var digits = 0
        var limit = 100.0
        while size > 0, size < limit, digits < 8 {
            digits += 1
            limit /= 10
        }
        var text = fixed(value, digits)
        if digits > 0 {
            while text.hasSuffix("0") { text.removeLast() }
            if text.hasSuffix(".") { text.removeLast() }
        }
        return text
    }

    /// Nine significant digits: what logarithms of another C library may do differently is behind them.
    static func rounded(_ value: Double) -> Double {
        let size = abs(value)
        guard size > 1e-12, size < 1e15 else { return value.magnitude < 1 ? 0 : value }
        var power = 1.0
        while size * power < 1e8 { power *= 10 }
        while size * power >= 1e9 { power /= 10 }
        return (value * power).rounded() / power
    }

    /// Three significant digits, for programs.
    static func brief(_ value: Double) -> Double {
        var power = 1.0
        while abs(value) * power < 100, power < 1e6 { power *= 10 }
        return (value * power).rounded() / power
    }

    /// Rounded to `digits` decimals. The value is within ±10^15, the digits within 0 and 8.
    static func fixed(_ value: Double, _ digits: Int) -> String {
        var power = 1.0
        for _ in 0..<digits { power *= 10 }
        guard abs(value) * power < 9e18 else { return "\(value)" }
        let scaled = Int64(abs(value) * power + 0.5)
        let sign = value < 0 && scaled > 0 ? "-" : ""
        guard digits > 0 else { return "\(sign)\(scaled)" }
        let whole = scaled / Int64(power)
        let fraction = String(scaled % Int64(power))
        return "\(sign)\(whole)." + String(repeating: "0", count: digits - fraction.count) + fraction
    }
}
