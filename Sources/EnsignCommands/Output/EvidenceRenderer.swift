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
        if let canary = report.canary { text += lines(canary).map { "  \($0.escapedControls)\n" }.joined() }
        if let metrics = metrics(report.canary?.verdict?.report) {
            var table = TextTable(header: Self.header)
            table.rows = metrics.map(\.cells)
            text += "\n" + table.render(console)
            text += "\n" + metrics.map { "\($0.explanation)\n" }.joined()
        }
        text += section("Missing for a verdict", report.canary?.missing ?? [])
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

    private func section(_ title: String, _ lines: [String]) -> String {
        guard !lines.isEmpty else { return "" }
        return "\n\(console.paint(title, .bold))\n" + lines.map { "  \($0.escapedControls)\n" }.joined()
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
        // The sentences of the metrics stand below.
        let why = verdict.report?.headline ?? "Nothing was measured yet"
        return "\(verdict.outcome.rawValue): \(why)"
    }

    private func what(_ decision: EvidenceReport.Decision) -> String {
        let change = decision.change
        let versions = [change.from, change.to].compactMap { $0?.version.description }
        var text: String
        if change.action == .quarantine {
            text = decision.quarantines ? "quarantine \(versions.first ?? "")" : "quarantine lifted"
        } else {
            text = "\(change.action.rawValue) \(versions.joined(separator: " -> "))"
            if decision.quarantines { text += ", quarantined" }
        }
        text += "  [\(decision.verdict?.rawValue ?? "no verdict")]"
        if let reason = decision.reason { text += "  \(reason)" }
        return text.escapedControls
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
                explanation: metric.explanation.escapedControls,
                cells: [
                    metric.name.escapedControls, metric.verdict.rawValue,
                    metric.estimate.map(Decimal.short) ?? "-",
                    metric.interval.map { "\(end($0.low)) to \(end($0.high))" } ?? "-",
                    pair { Double($0.count) }, pair(\.mean), pair { Double($0.rejected) },
                ]
            )
        }
    }

    // MARK: Markdown

    var markdown: String {
        var text = "### Evidence for `\(report.agent)` in `\(report.environment)`\n\n\(headline.escapedMarkdown)\n"
        if let canary = report.canary {
            text += "\n" + lines(canary).map { "- \($0.escapedMarkdown)\n" }.joined()
        }
        if let metrics = metrics(report.canary?.verdict?.report) {
            text += "\n| \(Self.header.joined(separator: " | ")) |\n|"
            text += String(repeating: "---|", count: Self.header.count) + "\n"
            for metric in metrics {
                text += "| \(metric.cells.map(\.escapedMarkdown).joined(separator: " | ")) |\n"
            }
            text += "\n" + metrics.map { "- \($0.explanation.escapedMarkdown)\n" }.joined()
        }
        let missing = report.canary?.missing ?? []
        if !missing.isEmpty {
            text += "\n**Missing for a verdict**\n\n" + missing.map { "- \($0.escapedMarkdown)\n" }.joined()
        }
        text += "\n**Earlier decisions**\n\n"
        if report.history.isEmpty { text += "None in the ledger.\n" }
        for decision in report.history {
            let what = what(decision).escapedMarkdown
            text += "- entry \(decision.sequence), \(decision.time), `\(decision.commit.short)`: \(what)\n"
            for metric in metrics(decision.analysis) ?? [] {
                text += "  - \(metric.verdict.escapedMarkdown): \(metric.explanation.escapedMarkdown)\n"
            }
        }
        return text
    }

    // MARK: JSON

    var json: JSONValue {
        [
            "v": 1, "environment": .string(report.environment), "agent": .string(report.agent.description),
            "time": .string(report.now.description), "host": .bool(report.isHost),
            "canary": report.canary.map(json) ?? .null, "queued": report.queued?.json ?? .null,
            "rejections": report.rejections.map {
                .object(JSONObject($0.map { ($0.reason, .integer($0.count)) }))
            } ?? .null,
            "history": .array(
                report.history.map { decision in
                    [
                        "seq": .integer(decision.sequence), "commit": .string(decision.commit.description),
                        "time": .string(decision.time.description),
                        "action": .string(decision.change.action.rawValue),
                        "from": decision.change.from?.json ?? .null, "to": decision.change.to?.json ?? .null,
                        "quarantines": .bool(decision.quarantines),
                        "verdict": decision.verdict.map { .string($0.rawValue) } ?? .null,
                        "reason": decision.reason.map { .string($0) } ?? .null,
                        "analysis": decision.analysis?.json ?? .null,
                    ]
                }
            ),
        ]
    }

    private func json(_ canary: EvidenceReport.Trial) -> JSONValue {
        func time(_ time: Timestamp?) -> JSONValue { time.map { .string($0.description) } ?? .null }
        return [
            "candidate": canary.candidate.json, "stable": canary.stable.json, "weight": .integer(canary.weight),
            "since": time(canary.since), "holdEnds": time(canary.holdEnds), "deadline": time(canary.deadline),
            "verdict": canary.verdict.map { .string($0.outcome.rawValue) } ?? .null,
            "analysis": canary.verdict?.report?.json ?? .null,
            "missing": .array(canary.missing.map { .string($0) }),
        ]
    }
}
