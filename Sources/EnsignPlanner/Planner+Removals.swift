import EnsignModel

/// Agents that git no longer declares.
extension Planner {
    /// Removes them, except those to which a version that takes sessions hands work, or would after a resume: they stay
    /// until none does.
    static func remove(
        _ works: inout [AgentWork],
        _ recorded: RecordedFleet,
        _ context: RolloutContext
    ) throws -> [LeavingAgent] {
        let removed = works.indices.filter { works[$0].item.compiled == nil }
        guard !removed.isEmpty else { return [] }
        let users = try users(of: Set(removed.map { works[$0].item.agent }), works, recorded)
        var leaving: [LeavingAgent] = []
        for index in removed {
            let agent = works[index].item.agent
            guard let stable = works[index].machine.state.stable, let users = users[agent] else {
                works[index].movedTo = works[index].movedTo ?? works[index].machine.state.leaving?.successor
                try works[index].machine.handle(.removed(movedTo: works[index].movedTo))
                continue
            }
            let waiting = LeavingAgent(agent: agent, stable: stable, users: users)
            try narrow(&works[index], recorded, context)
            try works[index].machine.handle(
                .stays(users: waiting.sentence, movedTo: works[index].movedTo, narrowed: works[index].narrowedStable)
            )
            leaving.append(waiting)
        }
        return leaving
    }

    /// Who hands work to agents that are to go: versions of agents that stay, followed through those that stay for them.
    private static func users(
        of removed: Set<AgentID>,
        _ works: [AgentWork],
        _ recorded: RecordedFleet
    ) throws -> [AgentID: [LeavingAgent.User]] {
        var users: [AgentID: [LeavingAgent.User]] = [:]
        let byAgent = Dictionary(works.map { ($0.item.agent, $0) }) { first, _ in first }
        var open = works.filter { $0.item.compiled != nil }.map(\.item.agent)
        while let agent = open.popLast() {
            guard let work = byAgent[agent] else { continue }
            let state = work.machine.state
            // The canary of an agent that leaves ends with that.
            let candidate = work.item.compiled == nil ? nil : state.canary?.candidate.side
            for side in [state.stable, candidate].compactMap({ $0 }) {
                for delegate in try work.bundle(side.digest, recorded)?.delegates ?? [] {
                    guard removed.contains(delegate), try recorded.isLive(delegate) else { continue }
                    if users[delegate] == nil { open.append(delegate) }
                    users[delegate, default: []].append(LeavingAgent.User(agent: agent, version: side.version))
                }
            }
        }
        return users.mapValues { $0.sorted() }
    }
}
