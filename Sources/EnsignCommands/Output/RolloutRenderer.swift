import EnsignCommandLine
import EnsignJudge
import EnsignModel
import EnsignPlanner
import EnsignQueries
import EnsignReconciler

/// Renders the state of rollouts.
struct RolloutRenderer {
    let report: RolloutReport
    let console: Console
    /// One agent with its steps and metrics, instead of a line for each.
    let isDetailed: Bool

    var text: String {
        guard !report.rows.isEmpty else {
            return isDetailed ? "" : "\(report.environment): no rollout is under way\n"
        }
        guard isDetailed else { return table }
        return report.rows.map(detail).joined(separator: "\n")
    }

    private var table: String {
        var table = TextTable(header: ["AGENT", "PHASE", "STABLE", "CANDIDATE", "WEIGHT", "STEP", "NEXT", "WAITS FOR"])
        for row in report.rows {
            table.rows.append([
                row.agent.description, row.phase, row.state.stable?.version.description ?? "-",
                row.wanted?.version.description ?? "-", row.state.canary.map { "\($0.progress.weight) %" } ?? "-",
                row.step ?? "-", row.timeLeft(report.now) ?? "-", row.waitsFor(isHost: report.isHost)?.onOneLine ?? "-",
            ])
        }
        return table.render(console)
    }

    private func detail(_ row: RolloutReport.Row) -> String {
        var text = "\(console.paint(row.agent.description, .bold)) in \(report.environment): \(row.phase)\n"
        if let stable = row.state.stable { text += "  stable     \(stable.version)  \(stable.digest.short)\n" }
        if let since = row.stableSince { text += "  since      \(since)\n" }
        if let wanted = row.wanted { text += "  candidate  \(wanted.version)  \(wanted.digest.short)\n" }
        if let (_, progress) = row.state.canary, let canary = row.canary {
            text += "  steps\n"
            for (index, step) in canary.steps.enumerated() {
                let mark = index < progress.step ? "done" : index == progress.step ? "now" : ""
                text += "    \(step.weight) %".padded(10) + "for \(step.hold.shown)".padded(12) + mark + "\n"
            }
            if let left = row.timeLeft(report.now) { text += "  next       \(left)\n" }
            if let deadline = progress.deadline(canary) { text += "  deadline   \(deadline)\n" }
        }
        if let pause = row.state.presentPause {
            text += "  paused     since \(pause.since): \(pause.reason.onOneLine)\n"
        }
        if let waits = row.waitsFor(isHost: report.isHost) { text += "  waits for  \(waits.onOneLine)\n" }
        if let verdict = row.verdict {
            text += verdictLines(verdict)
        } else if !report.isHost, row.canary?.analysis != nil, row.state.canary != nil {
            text += "  verdict    not known here: the host reads the telemetry\n"
        }
        for drift in row.drifts { text += "  drift      recorded \(drift.time): \(drift.reason.onOneLine)\n" }
        for sentence in row.guards { text += "  guard      \(sentence.onOneLine)\n" }
        if let halt = row.state.halt {
            text += "  halted     since \(halt.since) by \(halt.by.onOneLine): \(halt.reason.onOneLine)\n"
        }
        for quarantine in row.state.quarantine {
            text +=
                "  quarantine \(quarantine.version) since \(quarantine.since): \(quarantine.reason.onOneLine)\n"
        }
        return text
    }

    private func verdictLines(_ verdict: CanaryVerdict) -> String {
        var text = "  verdict    \(verdict.outcome.rawValue)\n"
        for metric in verdict.report?.metrics ?? [] {
            text +=
                "    \(metric.name.onOneLine)  \(metric.verdict.rawValue)  \(metric.explanation.onOneLine)\n"
        }
        for note in verdict.notes { text += "    \(note.onOneLine)\n" }
        return text
    }
}

extension RolloutReport.Row {
    /// `2 of 3`.
    fileprivate var step: String? {
        guard let (_, progress) = state.canary, let canary else { return nil }
        return progress.present(canary).map { "\($0.index + 1) of \(canary.steps.count)" }
    }

    /// When the present hold ends, from now.
    fileprivate func timeLeft(_ now: Timestamp) -> String? {
        guard let ends = holdEnds else { return nil }
        let left = ends.seconds(since: now)
        return left <= 0 ? "due" : "in \(TimeSpan.shown(seconds: left))"
    }
}

extension TimeSpan {
    /// `10m`, `1h 30m`: at most two units.
    static func shown(seconds: Int64) -> String {
        let units: [(Int64, String)] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")]
        var left = seconds
        var parts: [String] = []
        for (size, unit) in units where left >= size && parts.count < 2 {
            parts.append("\(left / size)\(unit)")
            left %= size
        }
        return parts.isEmpty ? "0s" : parts.joined(separator: " ")
    }

    var shown: String { Self.shown(seconds: seconds) }
}

extension String {
    fileprivate func padded(_ width: Int) -> String {
        self + String(repeating: " ", count: max(1, width - count))
    }
}
