import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignSystem
import EnsignTargets

/// Step 12: where the next run goes on.
extension ReconcileSession {
    mutating func remember() throws {
        try keepHeard()
        report.hasTrials = try RecordedTree(repository: site.repository, tip: tip).hasTrials()
        if try waitsForTime() { try rememberClock() }
        if tip != nil { try TargetOwnership(site, environment).remember() }
        if let cursor, let tip {
            let place = ObservationPlace(entry: tip.commit, cursor: cursor)
            // Only a cache: without it the next run begins anew, and what this one did is done.
            do throws(SystemError) { try StateFile<ObservationPlace>(site.files, environment).write(place) } catch {
                report.notes.append("the next run looks at everything again: \(error)")
            }
        }
        report.entry = tip.map { PlanEntry(sequence: $0.entry.sequence, commit: $0.commit) }
    }

    /// Writes the time into `fleet.json` now and then: readers see by it that somebody looks whether they have what git
    /// says.
    private mutating func keepHeard() throws {
        guard let tip, report.header == nil else { return }
        let expected = ExpectedHeader(try ledger.publishing(tip), tip: tip, allowsBare: false)
        let heard = try target.read(LivePath.header).flatMap(expected.heard)
        // Also when the clock was set back: what is written is the truth.
        if let heard, (0..<Self.heardEvery).contains(now.seconds(since: heard)) { return }
        try publishHeader()
    }

    /// In seconds. A watch looks every 30, so that this is written once a minute at least.
    private static let heardEvery: Int64 = 25

    /// Whether time alone may change something.
    func waitsForTime() throws -> Bool {
        try RecordedTree(repository: site.repository, tip: tip).waitsForTime()
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
