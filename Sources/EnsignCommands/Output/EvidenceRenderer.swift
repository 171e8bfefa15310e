import EnsignCommandLine
import EnsignJudge
import EnsignModel
import EnsignPlanner
import EnsignQueries
import EnsignReconciler

/// Renders what decides about a canary, and what decided before.
struct EvidenceRenderer {
    let report: EvidenceReport
    let console: Console

    // MARK: Text

    var text: String {
        var text = "\(console.paint(report.agent.description, .bold)) in \(report.environment): \(headline)\n"
        if let canary = report.canary { text += lines(canary).map { "  \($0.onOneLine)\n" }.joined() }
        if let metrics = metrics(report.canary?.verdict?.report) {
            var table = TextTable(header: Self.header)
            table.rows = metrics.map(\.cells)
            text += "\n" + table.render(console)
            text += "\n" + metrics.map { "\($0.explanation)\n" }.joined()
        }
        text += section("Missing for a verdict", report.canary?.missing ?? [])
        text += section("About the samples", notes)
        if let rejections = report.rejections, !rejections.isEmpty {
            text += section(
                "Rejected telemetry in \(report.environment), of all agents",
                rejections.map { "\($0.reason)  \($0.count)" }
            )
        }
        text += "\n\(console.paint("Earlier decisions", .bold))\n"
        if report.history.isEmpty { text += "  none in the ledger\n" }
        for decision in report.history {
            text += "  \(decision.sequence)  \(decision.time)  \(decision.commit.short)  \(what(decision))\n"
            for metric in metrics(decision.analysis) ?? [] {
                text += "      \(metric.verdict)  \(metric.explanation)\n"
            }
        }
        return text
    }

    /// What readers should know of what was counted.
    private var notes: [String] {
        (report.canary?.verdict?.notes ?? []) + [report.dropped, report.priced].compactMap { $0 }
    }

    private func section(_ title: String, _ lines: [String]) -> String {
        guard !lines.isEmpty else { return "" }
        return "\n\(console.paint(title, .bold))\n" + lines.map { "  \($0.onOneLine)\n" }.joined()
    }

    private var headline: String {
        guard let canary = report.canary else {
            return report.queued.map { "\($0.version) waits for its turn" } ?? "no canary is under way"
        }
        return "canary \(canary.candidate.version) at \(canary.weight) %, stable \(canary.stable.version)"
    }

    private func lines(_ canary: EvidenceReport.Trial) -> [String] {
        var lines = [
            "candidate  \(canary.candidate.version)  \(canary.candidate.digest.short)",
            "stable     \(canary.stable.version)  \(canary.stable.digest.short)", "since      \(canary.since)",
        ]
        if let ends = canary.holdEnds { lines.append("hold ends  \(ends)") }
        if let deadline = canary.deadline { lines.append("deadline   \(deadline)") }
        lines.append("verdict    \(verdict(canary))")
        return lines
    }

    private func verdict(_ canary: EvidenceReport.Trial) -> String {
        guard let verdict = canary.verdict else {
            return report.isHost
                ? "none: git no longer declares how it is judged"
                : "not known here: what was counted is on the host, and this clone has the ledger alone"
        }
        if verdict.outcome == .notAnalysed { return "none: the rollout has no analysis, and time alone decides" }
        // The sentences of the metrics are below.
        let why = verdict.report?.headline ?? "Nothing was measured yet"
        return "\(verdict.outcome.rawValue): \(why)"
    }

    private func what(_ decision: EvidenceReport.Decision) -> String {
        var text = ChangeSentence(decision.change).decision(quarantines: decision.quarantines)
        text += "  [\(decision.verdict?.rawValue ?? "no verdict")]"
        if let reason = decision.reason { text += "  \(reason)" }
        return text.onOneLine
    }

    // MARK: Metrics

    private static let header = ["METRIC", "VERDICT", "ESTIMATE", "INTERVAL", "SAMPLES", "MEAN", "REJECTED"]

    private struct Metric {
        var verdict: String
        var explanation: String
        /// Canary first, then stable, where there are two.
        var cells: [String]
    }

    private func metrics(_ report: JudgeReport?) -> [Metric]? {
        guard let report, !report.metrics.isEmpty else { return nil }
        return report.metrics.map { metric in
            func pair(_ field: (MetricReport.Samples) -> Double?) -> String {
                func number(_ samples: MetricReport.Samples) -> String { field(samples).map(Decimal.short) ?? "-" }
                return "\(number(metric.canary)) / \(number(metric.stable))"
            }
            func end(_ value: Double?) -> String { value.map(Decimal.short) ?? "any" }
            return Metric(
                verdict: metric.verdict.rawValue,
                explanation: metric.explanation.onOneLine,
                cells: [
                    metric.name.onOneLine, metric.verdict.rawValue,
                    metric.estimate.map(Decimal.short) ?? "-",
                    metric.interval.map { "\(end($0.low)) to \(end($0.high))" } ?? "-",
                    pair { Double($0.count) }, pair(\.mean), pair { Double($0.rejected) },
                ]
            )
        }
    }

    // MARK: Markdown

    var markdown: String {
        var text = "### Evidence for `\(report.agent)` in `\(report.environment)`\n\n\(headline.inMarkdown)\n"
        if let canary = report.canary {
            text += "\n" + lines(canary).map { "- \($0.inMarkdown)\n" }.joined()
        }
        if let metrics = metrics(report.canary?.verdict?.report) {
            text += "\n| \(Self.header.joined(separator: " | ")) |\n|"
            text += String(repeating: "---|", count: Self.header.count) + "\n"
            for metric in metrics {
                text += "| \(metric.cells.map(\.inMarkdown).joined(separator: " | ")) |\n"
            }
            text += "\n" + metrics.map { "- \($0.explanation.inMarkdown)\n" }.joined()
        }
        let missing = report.canary?.missing ?? []
        if !missing.isEmpty {
            text += "\n**Missing for a verdict**\n\n" + missing.map { "- \($0.inMarkdown)\n" }.joined()
        }
        if !notes.isEmpty {
            text += "\n**About the samples**\n\n" + notes.map { "- \($0.inMarkdown)\n" }.joined()
        }
        text += "\n**Earlier decisions**\n\n"
        if report.history.isEmpty { text += "None in the ledger.\n" }
        for decision in report.history {
            let what = what(decision).inMarkdown
            text += "- entry \(decision.sequence), \(decision.time), `\(decision.commit.short)`: \(what)\n"
            for metric in metrics(decision.analysis) ?? [] {
                text += "  - \(metric.verdict.inMarkdown): \(metric.explanation.inMarkdown)\n"
            }
        }
        return text
    }
}
