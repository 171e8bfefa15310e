import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignTargets

/// Step 9: files go live.
extension ReconcileSession {
    /// If this throws, what reached the target is found by observing: the next run records a recovery.
    mutating func publish() throws {
        guard let batch, let announced = batch.announced else { return }
        try TargetOwnership(site, environment).claim()
        var publication = try batch.publication(announced)
        let departures = publication.removals.filter { LivePath.agent(atRoute: $0) != nil }
        publication.removals.removeAll { LivePath.agent(atRoute: $0) != nil }
        var held = try target.publish(publication, gate: gate)
        guard !held.isEmpty else {
            if !departures.isEmpty { try target.publish(Publication(removals: departures), gate: gate) }
            return
        }
        // Whoever was halted in between keeps the version that it had, and with it whom it hands work to: nobody goes
        // now. The next run plans it again.
        held.formUnion(departures.compactMap { LivePath.agent(atRoute: $0) })
        try halts.enforce()
        try target.publish(Publication(removals: try leftovers(of: held, announced)), gate: gate)
        self.batch?.announced?.held = held
        report.plan?.changes.removeAll { held.contains($0.agent) }
    }

    /// Bundles that are in place for agents which were halted meanwhile, and belong to nobody now.
    private func leftovers(of held: Set<AgentID>, _ announced: Batch.Announced) throws -> [String] {
        let used = Set(announced.files.filter { !held.contains($0.agent) }.flatMap { $0.bundles.map(\.digest) })
        let left = announced.files.filter { held.contains($0.agent) }.flatMap { $0.bundles.map(\.digest).sorted() }
        return try left.filter { try !used.contains($0) && !announced.recorded.keeps($0) }.map { LivePath.bundle($0) }
    }
}
