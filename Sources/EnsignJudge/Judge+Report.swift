package import EnsignModel

extension Judge {
    /// The basis of the verdict.
    ///
    /// - Parameters:
    ///   - unreadable: Why metrics could not be read, by name. Without a `fail`, the verdict is then `error`.
    ///   - silences: Why metrics say nothing, by name. Without a `fail` or an error, the verdict is then `no-data`.
    package func report(unreadable: [String: String] = [:], silences: [String: String] = [:]) -> JudgeReport {
        var reports = metrics.map { $0.report(error: error / Double(metrics.count)) }
        var decisive = explanations(reports)
        var failures: [String] = []
        var silent: [String] = []
        for index in reports.indices where metrics[index].decision != .fail {
            let name = reports[index].name
            if let why = silences[name] {
                reports[index].verdict = .noData
                reports[index].explanation = "\(name): \(why)"
                silent.append(reports[index].explanation)
            }
            if let why = unreadable[name] {
                reports[index].verdict = .error
                reports[index].explanation = "\(name): \(why)"
                failures.append(reports[index].explanation)
            }
        }
        var verdict = verdict
        if decision != .fail, !failures.isEmpty {
            (verdict, decisive) = (.error, failures)
        } else if decision != .fail, !silent.isEmpty {
            (verdict, decisive) = (.noData, silent)
        }
        return JudgeReport(
            verdict: verdict,
            metrics: reports,
            decisive: decisive,
            silent: silent.isEmpty ? nil : silences.values.first
        )
    }

    /// Explanations of the metrics that decided the verdict, or that it waits for.
    private func explanations(_ reports: [MetricReport]) -> [String] {
        let decisive =
            switch verdict {
            case .fail where reports.contains { $0.verdict == .fail }: reports.filter { $0.verdict == .fail }
            case .fail, .pass: reports
            case .noData: reports.filter { $0.verdict == .noData }
            case .inconclusive, .error, .notAnalysed: reports.filter { $0.verdict == .inconclusive }
            }
        return decisive.map(\.explanation)
    }
}

extension MetricJudge {
    /// - Parameter error: The probability with which each end of the interval may ever miss.
    func report(error: Double) -> MetricReport {
        var report = MetricReport(
            name: metric.name,
            verdict: verdict,
            stable: stable.samples,
            canary: canary.samples
        )
        if let stableMean = stable.mean, let canaryMean = canary.mean {
            if metric.kind == .rate {
                report.estimate = canaryMean - stableMean
                let bounds = rateBounds(error: error, stableMean: stableMean)
                report.interval = MetricReport.Interval(low: bounds.low, high: bounds.high)
            } else {
                sizeBounds(&report, error: error, stableMean: stableMean, canaryMean: canaryMean)
            }
        }
        (report.summary, report.explanation) = sentences(report)
        // Nobody reads more digits, and logarithms of another C library may differ in them.
        let ends = report.interval ?? MetricReport.Interval(low: nil, high: nil)
        report.interval = report.estimate.map { _ in
            MetricReport.Interval(low: ends.low.map(Decimal.rounded), high: ends.high.map(Decimal.rounded))
        }
        return report
    }

    /// The interval of the difference of two rates. It leaves out 0 on the bad side exactly when the metric fails, and
    /// the margin exactly when it passes: at those points the verdict's own test replaces the interval's.
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

    /// The interval of the capped means: plain means of heavy tails have none.
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
            report.interval = MetricReport.Interval(
                low: (min(low, ratio) - 1) * unit,
                high: high.map { (max($0, ratio) - 1) * unit }
            )
        } else {
            report.estimate =
                isRelative ? (stableMean > 0 ? canaryMean / stableMean - 1 : nil) : canaryMean - stableMean
        }
    }

    // MARK: Sentences

    /// What was measured, and the whole sentence.
    private func sentences(_ report: MetricReport) -> (summary: String, whole: String) {
        let counts = "\(canary.count) canary and \(stable.count) stable samples"
        guard let stableMean = stable.mean, let canaryMean = canary.mean else {
            let missing =
                stable.count == 0 ? (canary.count == 0 ? "either version" : "the stable version") : "the canary"
            let sentence = "\(metric.name): no samples of \(missing)\(rejections)"
            return (sentence, sentence)
        }
        let values: String
        if metric.kind == .rate {
            values = "\(Decimal.percent(canaryMean)) against \(Decimal.percent(stableMean))"
        } else {
            let unit = metric.unit.map { " \($0)" } ?? ""
            values = "a mean of \(Decimal.short(canaryMean))\(unit) against \(Decimal.short(stableMean))\(unit)"
        }
        let summary = "\(metric.name): \(values)"
        let whole = "\(summary), \(change(report)); \(reason) after \(counts)\(rejections)"
        return (report.estimate == nil ? whole : summary, whole)
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
        let ends = "\(report.interval?.low.map(text) ?? "any") to \(report.interval?.high.map(text) ?? "any")"
        return "\(what) \(text(estimate))\(unit) (\(ends))"
    }

    private var reason: String {
        switch verdict {
        case .pass: return "no worse than the margin of \(marginText)"
        case .fail:
            guard metric.kind != .rate else { return "worse than stable" }
            return "worse than stable \(strongestBet)"
        case .inconclusive, .noData, .error, .notAnalysed:
            switch passGate {
            case .rejectedValues: return "cannot pass while the canary sends values that are not measurements"
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
        return ", \(sum) more rejected as not being measurements (\(canary.rejected) of the canary)"
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

    /// About three significant digits.
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

    /// Nine significant digits: logarithms of another C library may differ only after them.
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
