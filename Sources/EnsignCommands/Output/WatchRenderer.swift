import EnsignHost
import EnsignModel
import EnsignPlanner
import EnsignQueries
import EnsignReconciler
import EnsignTargets

/// Renders the result of a reconcile of `watch`: a line for everything that happened, nothing otherwise.
struct WatchRenderer {
    let answer: ReconcileReport

    private var report: Reconciler.Report { answer.report }

    var lines: [String] {
        let number = report.entry.map { ", entry \($0.sequence)" } ?? ""
        var lines: [String] = []
        if report.recovered { lines.append("an interrupted run was recovered") }
        lines += report.warnings.map { "warning: \($0.onOneLine)" }
        lines += report.behaviour.map { "\(ChangeSentence($0).past), recorded" }
        lines += report.halts.map { ChangeSentence($0).recordedStop }
        lines += report.drift.map { $0.repaired + number }
        lines += answer.guards.map(\.line)
        lines += answer.changes.map { "\(ChangeSentence($0).past)\(number)" }
        if !report.repeats, let result { lines.append(result) }
        lines += report.branches.removed.map { "removed \($0): git agrees" }
        return lines.map { "\(answer.environment): \($0)" }
    }

    /// Why what is desired was not applied; nil when it was.
    private var result: String? {
        switch report.result {
        case .nothingDeclared, .converged: nil
        case .invalid:
            "not applied, the manifests have \(counted(report.findings.count { $0.severity == .error }, "error")); 'ensign validate' shows them"
        case .impossible(let refusal): "refused, \(refusal.message.onOneLine)"
        case .refused(let why): "refused, \(why.onOneLine)"
        }
    }
}
