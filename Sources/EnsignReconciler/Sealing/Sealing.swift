import EnsignLedger
import EnsignModel

/// A route that gets the proof of the key that signs now, and nothing else.
struct Sealing {
    let agent: AgentID
    let change: Change
    private let effect: AgentEffect

    /// - Returns: nil when the recorded route is not what a change of nothing leads to: then it stays as it is, and only
    ///   a change of the agent can sign it.
    init?(_ agent: AgentID, _ recorded: RecordedTree, environment: String) throws {
        guard let known = try recorded.agent(agent), let route = known.route else { return nil }
        var change = Change(agent: agent, action: .update, from: known.stable, to: known.stable, kind: .none)
        change.explain { $0.reason = "its route is signed" }
        if try recorded.node(AgentState.path(agent)) != nil { change.remember(known.state) }
        guard let effect = AgentEffect.of([change], environment: environment)?.first, effect.route == route else {
            return nil
        }
        self.agent = agent
        self.change = change
        self.effect = effect
    }

    func files(_ seal: LiveSeal) -> AgentFiles {
        AgentFiles(effect, route: effect.route.map(seal.route), bundles: [:])
    }
}

extension ReconcileSession {
    /// Routes that have no proof of the key that signs now, and are not planned to change: all of them once, when a
    /// version that signs them finds them without, and when the key has changed.
    func sealing(besides planned: [Change], _ recorded: RecordedTree) throws -> [Sealing] {
        guard !unsealed.isEmpty else { return [] }
        let changing = Set(planned.compactMap(\.agent))
        return try unsealed.filter { !changing.contains($0) }.compactMap { agent in
            do { return try Sealing(agent, recorded, environment: environment) } catch LedgerError.unreadableState {
                // One that cannot be read keeps no other without its proof.
                return nil
            }
        }
    }
}
