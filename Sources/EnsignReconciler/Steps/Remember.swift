import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignPlanner

/// Step 12: where the next run goes on.
extension ReconcileSession {
    mutating func remember() throws {
        report.hasRollouts = try RecordedTree(repository: site.repository, tip: tip).hasTrials()
        if try hasRollouts() { try rememberClock() }
        if tip != nil { try TargetOwnership(site, environment).remember() }
        if let cursor, let tip {
            try StateFile<ObservationPlace>(site.files, environment).write(
                ObservationPlace(entry: tip.commit, cursor: cursor)
            )
        }
        report.entry = tip.map { PlanEntry(sequence: $0.entry.sequence, commit: $0.commit) }
    }

    /// Whether time alone may change something.
    func hasRollouts() throws -> Bool {
        try RecordedTree(repository: site.repository, tip: tip).hasRollouts()
    }

    /// Remembers what the clock said.
    private func rememberClock() throws {
        guard let now = ClockReading.now(reconciler.options.clock) else { return }
        let file = StateFile<ClockReading>(site.files, environment)
        guard let earlier = try file.read() else { return try file.write(now) }
        if now.step(since: earlier) != nil {
            // A run that could not plan has told no canary that the clock was set: the next one does.
            guard report.plan != nil else { return }
        }
        try file.write(now.reference(after: earlier))
    }
}
