import EnsignLedger
import EnsignModel
import EnsignPlanner

extension ReconcileSession {
    /// The steps of a reconcile in their order, numbered as in docs/architecture.md. Each is a file of this folder, and
    /// leaves a state that the next run can go on from.
    static let steps: [@Sendable (inout ReconcileSession) throws -> Void] = [
        /* 1 */ { try $0.checkLedger() },
        /* 2 */ { try $0.recover() },
        /* 3 */ { try $0.recordBehaviour() },
        /* 4 */ { try $0.recordHalts(among: $0.reconciler.options.knownStops) },
        /* 5 */ { try $0.findDesired() },
        /* 6 */ { try $0.observe() },
        /* 7 */ { try $0.decide() },
        /* 8 */ { try $0.announce() },
        /* 9 */ { try $0.publish() },
        /* 10 */ { try $0.recordOutcome() },
        /* 11 */ { try $0.recordHalts() },  // Those that came meanwhile.
        /* 12 */ { try $0.remember() },
        /* 13 */ { try $0.agreeWithGit() },
    ]

    mutating func run() throws -> Reconciler.Report {
        for step in Self.steps where !isOver { try step(&self) }
        return report
    }

    /// Records stops that are pending, and nothing else.
    ///
    /// - Parameter more: Stops that could not be remembered.
    mutating func recordHaltsAlone(_ more: [HaltRecord]) throws -> Reconciler.Report {
        report.leavesStatus = true
        try checkLedger()
        try recover()
        try recordHalts(more, among: reconciler.options.knownStops)
        report.entry = tip.map { PlanEntry(sequence: $0.entry.sequence, commit: $0.commit) }
        return report
    }
}
