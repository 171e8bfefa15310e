import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignPlanner

/// Step 10: what has happened is on record.
extension ReconcileSession {
    mutating func recordOutcome() throws {
        guard let batch else { return }
        if let announced = batch.announced { try append(outcomeOf: batch, announced) }
        guard batch.plan != nil, batch.commit == desired, let tip else { return }
        try site.accept(batch.commit, environment, tip: tip)
        if try ledger.isComplete(tip) {
            // Most runs that follow have nothing to do, and need to know no more.
            try StateFile<SettledCommit>(site.files, environment).write(
                SettledCommit(desired: batch.commit, entry: tip.commit, version: reconciler.actor.version)
            )
        }
    }

    private mutating func append(outcomeOf batch: Batch, _ announced: Batch.Announced) throws {
        let held = announced.held
        var changes = announced.changes
        if !held.isEmpty { changes.removeAll { $0.agent.map(held.contains) ?? false } }
        var outcome = draft(
            .outcome,
            announced.cause,
            reason: announced.reason,
            changes: changes,
            agents: announced.before.agents + changes.live,
            result: held.isEmpty ? .ok : .partial
        )
        outcome.counts = announced.counts
        try append(outcome, edits: batch.edits(announced))
        try publishHeader()
        if var retired = announced.retired {
            retired.remove(Set(announced.expired))
            try StateFile<RetiredBundles>(site.files, environment).write(retired)
        }
        guard let tip, tip.entry.sequence % 64 < 2 else { return }
        // So that a question never has to read much of the ledger.
        _ = try? BehaviourRecord.load(site, environment, tip: tip)
        pack()
    }

    /// Lets git pack what has piled up: loose objects make verification slow. What git says about it does not matter to
    /// this reconcile.
    private func pack() {
        _ = try? Git.run(["maintenance", "run", "--auto", "--quiet"], in: site)
    }
}
