import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignTargets

/// Step 9: files go live.
extension ReconcileSession {
    /// If this throws, what reached the target is found by observing: the next run records a recovery.
    mutating func publish() throws {
        guard let batch, let announced = batch.announced else { return }
        let held = try target.publish(try batch.publication(announced), gate: gate)
        guard !held.isEmpty else { return }
        try halts.enforce()
        try target.publish(Publication(removals: try leftovers(of: held, batch, announced.recorded)), gate: gate)
        self.batch?.announced?.held = held
        report.plan?.changes.removeAll { held.contains($0.agent) }
    }

    /// Bundles that are in place for agents which were halted meanwhile, and belong to nobody now.
    private func leftovers(of held: Set<AgentID>, _ batch: Batch, _ recorded: RecordedTree) throws -> [String] {
        let used = Set(batch.files.filter { !held.contains($0.agent) }.flatMap { $0.bundles.keys })
        let left = batch.files.filter { held.contains($0.agent) }.flatMap { $0.bundles.keys.sorted() }
        return try left.filter { try !used.contains($0) && !recorded.keeps($0) }.map { LivePath.bundle($0) }
    }
}
