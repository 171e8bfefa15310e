import EnsignCrypto
import EnsignLedger
import EnsignModel
import EnsignPlanner

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
        AgentFiles(effect, route: effect.route.map { .bytes(seal.route($0)) }, bundles: [])
    }
}

extension ReconcileSession {
    /// Routes that have no proof of the key that signs now, and are not planned to change: all of them once, when a
    /// version that signs them finds them without, and when the key has changed.
    func sealing(besides planned: [Change], _ recorded: RecordedTree) throws -> [Sealing] {
        guard !unsealed.agents.isEmpty else { return [] }
        let changing = Set(planned.compactMap(\.agent))
        return try unsealed.agents.filter { !changing.contains($0) }.compactMap { agent in
            do { return try Sealing(agent, recorded, environment: environment) } catch LedgerError.unreadableState {
                // One that cannot be read keeps no other without its proof.
                return nil
            }
        }
    }
}

/// `policy.json` as it is published.
struct PolicyFile {
    /// With its proof. Nil removes it.
    var bytes: [UInt8]?

    private var digest: Digest? { bytes.flatMap { Digest(hex: SHA256.hex(of: $0)) } }

    /// Gives planned changes the digest of the file as it is published, which nobody could know before; where none of them
    /// changes it, it is only signed.
    func complete(_ changes: inout [Change]) {
        let file = Evidence.LiveFile(path: LivePath.policy, digest: digest)
        for index in changes.indices where changes[index].file?.path == LivePath.policy {
            changes[index].explain { $0.file = file }
        }
        guard !changes.contains(where: { $0.file?.path == LivePath.policy }) else { return }
        var change = Change(agent: nil, action: .update, from: nil, to: nil, kind: .none)
        change.explain { $0.file = file }
        changes.append(change)
    }
}

extension ReconcileSession {
    /// What all agents share, where it changes or has no proof of the key that signs now; nil where it stays as it is.
    func policy(_ plan: Plan?, _ recorded: RecordedTree, _ seal: LiveSeal) throws -> PolicyFile? {
        if let planned = plan?.policy { return PolicyFile(bytes: planned.after?.json.object.map(seal.file)) }
        guard unsealed.policy else { return nil }
        do { return try recorded.policy()?.json.object.map { PolicyFile(bytes: seal.file($0)) } } catch LedgerError
            .unreadableState
        { return nil }
    }
}
