import EnsignCommandLine
import EnsignModel
import EnsignQueries

/// Renders what of a file of telemetry counts. What is in it was written by anybody: each cell is one safe line.
struct TelemetryReviewRenderer {
    let review: TelemetryReview
    let console: Console

    var text: String {
        var table = TextTable(header: ["SPAN", "SCOPE", "SPANS", "COUNTS AS"])
        table.rows = review.rows.map { row in
            [
                row.span.isEmpty ? "-" : row.span.onOneLine(utf8: 128), row.scope.onOneLine(utf8: 128),
                "\(row.spans)", row.counts.joined(separator: "; ").onOneLine,
            ]
        }
        return table.render(console) + section("Counted in \(review.environment)", counted)
            + section("Not counted", problems) + section("Also", review.notes)
    }

    private var counted: [String] {
        guard !review.versions.isEmpty else { return ["nothing: no run counts for any agent"] }
        return review.versions.flatMap { version in
            let failed = version.failed > 0 ? " (\(version.failed) failed)" : ""
            let runs = EnsignModel.counted(version.runs, "run", "runs")
            let calls = EnsignModel.counted(version.calls, "call", "calls")
            let answers = EnsignModel.counted(version.inferences, "model call", "model calls")
            return ["\(version.agent) \(version.version): \(runs)\(failed), \(calls), \(answers)"]
                + version.notes.map { "  \($0)" }
        }
    }

    /// By reason, what to do once for each.
    private var problems: [String] {
        var reasons: [String] = []
        for problem in review.problems where !reasons.contains(problem.reason) { reasons.append(problem.reason) }
        return reasons.flatMap { reason in
            let alike = review.problems.filter { $0.reason == reason }
            return ["\(reason): \(alike[0].next)"]
                + alike.map { problem in
                    let name = "\(problem.span.quoted(utf8: 128)) of \(problem.scope.quoted(utf8: 128))"
                    return
                        "  \(problem.count) x \(name): \(problem.why); for example span \(problem.exampleSpan) of trace "
                        + problem.exampleTrace
                }
        }
    }

    private func section(_ title: String, _ lines: [String]) -> String {
        guard !lines.isEmpty else { return "" }
        return "\n\(console.paint(title, .bold))\n" + lines.map { "  \($0.onOneLine)\n" }.joined()
    }
}
