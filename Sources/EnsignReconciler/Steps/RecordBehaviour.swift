import EnsignHost
import EnsignJudge
import EnsignLedger
import EnsignModel

/// Step 3: does a stable version do what it did when it became stable?
extension ReconcileSession {
    /// Records stable versions that are no longer what they were: each once, until the agent gets another one or is
    /// resumed. Changes nothing.
    mutating func recordBehaviour() throws {
        guard let telemetry, let before = tip, before.acceptedSource != nil else { return }
        let found = telemetry.drifts
        guard !found.isEmpty else { return }
        let recorded = RecordedTree(repository: site.repository, tip: before)
        let known = try BehaviourRecord.load(site, environment, tip: before)
        let changes = try found.map(\.change).filter { change in
            // One that was replaced meanwhile no longer matters.
            guard let agent = change.agent, try recorded.agent(agent)?.stable == change.from else { return false }
            return !known.has(change)
        }
        if !changes.isEmpty {
            let entry = try append(
                draft(
                    .drift,
                    cause(before),
                    reason: Entry.Reason(.behaviour),
                    changes: changes,
                    agents: before.agents,
                    result: .ok
                )
            )
            report.behaviour += changes
            _ = try BehaviourRecord.load(site, environment, tip: entry)
        }
        telemetry.settle(found)
    }
}
