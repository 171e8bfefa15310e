import EnsignGit
import EnsignJSON
package import EnsignLedger
package import EnsignModel

/// The agents of which the gateway only observes: what it would refuse is let through. Cost follows change: what an earlier
/// question found holds for routes that are the same.
package struct ObservingAgents: Sendable, Hashable {
    /// The folder `agents` of the recorded tree.
    var folder: ObjectID
    /// Sorted.
    package var agents: [AgentID]

    /// Those that have sessions now.
    package static func find(_ tip: RecordedEntry, _ ledger: Ledger) throws -> [AgentID] {
        guard let folder = tip.folder(LivePath.agents) else { return [] }
        let memo = StateFile<ObservingAgents>(ledger.files, ledger.environment)
        let known = memo.known()
        if let known, known.folder == folder { return known.agents }
        let recorded = RecordedTree(repository: ledger.repository, tip: tip)
        var agents = Set(known?.agents ?? [])
        // Without the earlier state, all of it.
        var changes = try? ledger.repository.differences(from: known?.folder, to: folder)
        if changes == nil {
            agents = []
            changes = try ledger.repository.differences(from: nil, to: folder)
        }
        for change in changes ?? [] {
            guard let agent = LivePath.agent(atRoute: "\(LivePath.agents)/\(change.path)") else { continue }
            agents.remove(agent)
            let targets = try change.after == nil ? [] : recorded.agent(agent)?.route?.targets ?? []
            if try targets.contains(where: { try recorded.bundle($0.digest)?.mode == .observe }) {
                agents.insert(agent)
            }
        }
        let found = ObservingAgents(folder: folder, agents: agents.sorted())
        // A question makes no folders: another account may ask it.
        try? memo.write(found, inNewFolder: false)
        return found.agents
    }
}

extension ObservingAgents: StateValue {
    package static let kind = StateKind("cache/<env>/observing", .memo, limit: 1 << 26)

    package init?(_ contents: StateContents) {
        guard let folder = contents["folder"]?.string.flatMap({ ObjectID($0) }), let agents = contents["agents"]?.array
        else { return nil }
        self.init(folder: folder, agents: agents.compactMap { $0.string.flatMap { AgentID($0) } })
        guard self.agents.count == agents.count else { return nil }
    }

    package var contents: StateContents {
        StateContents([
            "folder": .string(folder.description), "agents": .array(agents.map { .string($0.description) }),
        ])
    }
}
