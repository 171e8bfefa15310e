import EnsignHost
import EnsignModel
import EnsignPlanner
import EnsignQueries
import EnsignReconciler
import EnsignTargets

/// Renders what a reconcile of `watch` came to: a line for everything that happened, nothing while nothing does.
struct WatchRenderer {
    let answer: ReconcileReport

    private var report: Reconciler.Report { answer.report }

    var lines: [String] {
        let number = report.entry.map { ", entry \($0.sequence)" } ?? ""
        var lines: [String] = []
        if report.recovered { lines.append("an interrupted run was recovered") }
        lines += report.warnings.map { "warning: \($0.escapedControls)" }
        lines += report.behaviour.map { "\($0.sentence), recorded" }
        lines += report.halts.map(halt)
        lines += report.drift.map { "repaired \($0.path.escapedControls) (\($0.found.words))\(number)" }
        lines += answer.guards.map(\.line)
        lines += answer.changes.map { "\($0.sentence)\(number)" }
        if !report.repeats, let result { lines.append(result) }
        lines += report.branches.removed.map { "removed \($0): git agrees" }
        return lines.map { "\(answer.environment): \($0)" }
    }

    private func halt(_ change: Change) -> String {
        let agent = change.agent?.description ?? change.scope ?? ""
        if let activity = change.evidence["activityAfterHalt"] {
            return "\(agent) acts although it is halted: \(activity["what"]?.string ?? "")".escapedControls
        }
        return "\(agent) halted, recorded: \(change.evidence["reason"]?.string ?? "")".escapedControls
    }

    /// Why what is desired was not applied; nil when it was.
    private var result: String? {
        switch report.result {
        case .nothingDeclared, .converged: nil
        case .invalid:
            "not applied, the manifests have \(counted(report.findings.count { $0.severity == .error }, "error")); 'ensign validate' shows them"
        case .impossible(let refusal): "refused, \(refusal.message.escapedControls)"
        case .refused(let why): "refused, \(why.escapedControls)"
        }
    }
}
