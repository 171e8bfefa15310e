package import EnsignHost
package import EnsignModel
package import EnsignPlanner
package import EnsignReconciler
import EnsignTargets

/// The result of an environment's reconcile, for whoever asked for it.
package struct ReconcileReport: Sendable {
    package var environment: String
    package var report: Reconciler.Report
    /// Nil where something watches the canaries, or there are none.
    package var waiting: WaitingCanary?

    package init(_ report: Reconciler.Report, _ environment: String, waiting: WaitingCanary? = nil) {
        self.report = report
        self.environment = environment
        self.waiting = waiting
    }

    /// Looks also for a watcher of the environment's canaries.
    package static func make(_ report: Reconciler.Report, _ environment: String, _ site: Site, now: Timestamp)
        -> ReconcileReport
    {
        ReconcileReport(
            report,
            environment,
            waiting: WaitingCanary(hasTrials: report.hasTrials, environment, site, now: now)
        )
    }

    /// What guards agents and holds from this run on; nothing where what was planned does not hold.
    package var guards: [GuardChange] {
        guard case .converged = report.result else { return [] }
        return report.plan?.guards ?? []
    }

    /// Everything that was done to agents, and to the environment as a whole before them.
    package var changes: [Change] {
        (report.plan?.common ?? []) + (report.plan?.changes ?? []).flatMap(\.all)
    }

    /// Whether nothing happened that anybody wants to read again.
    package var isUneventful: Bool {
        if case .converged = report.result {} else if !report.repeats { return false }
        return didNothing && guards.isEmpty && report.branches.written.isEmpty && report.branches.removed.isEmpty
            && report.warnings.isEmpty
    }

    /// Whether nothing was done to any agent, and nothing recorded.
    package var didNothing: Bool {
        report.plan?.isEmpty ?? true && report.plan?.rules == nil && report.plan?.policy == nil && report.drift.isEmpty
            && !report.recovered
            && report.halts.isEmpty && report.sealed.isEmpty
            && report.behaviour.isEmpty
    }

    private var result: (name: String, message: String?) {
        switch report.result {
        case .nothingDeclared: ("nothing-declared", nil)
        case .converged: ("converged", nil)
        case .invalid: ("invalid", nil)
        case .refused(let why): ("refused", why)
        case .impossible(let refusal): ("refused", refusal.message)
        }
    }

    package var json: JSONValue {
        [
            "v": 1, "environment": .string(environment), "result": .string(result.name),
            "message": result.message.map { .string($0) } ?? .null, "recovered": .bool(report.recovered),
            "guards": .array(guards.map(\.json)),
            "changes": .array(changes.map(\.json)),
            "disagreements": .array(report.branches.disagreements.map(\.json)),
            "branches": [
                "written": .array(report.branches.written.map { .string($0) }),
                "removed": .array(report.branches.removed.map { .string($0) }),
            ],
            "notes": .array(report.notes.map { .string($0) }), "canaryWaiting": waiting?.json ?? .null,
            "signed": .array(report.sealed.map { .string($0.description) }),
            "behaviour": .array(report.behaviour.map(\.json)), "halts": .array(report.halts.map(\.json)),
            "warnings": .array(report.warnings.map { .string($0) }),
            "drift": .array(report.drift.map(\.json)),
            "findings": .array(report.findings.map(\.json)),
            "entry": report.entry.map {
                ["seq": .integer($0.sequence), "commit": .string($0.commit.description)]
            } ?? .null,
        ]
    }
}
