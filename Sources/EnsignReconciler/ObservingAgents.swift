import EnsignGit
import EnsignJSON
package import EnsignLedger
package import EnsignModel

/// The agents of which the gateway only observes: what it would refuse is let through. Cost follows change: what an earlier
/// question found holds for routes that are the same.
package struct ObservingAgents: Sendable, Hashable {
    /// The folder `agents` of the recorded tree.
    var folder: ObjectID
    /// The bundles of their routes of which the gateway only observes.
    package var agents: [AgentID: [Digest]]

    /// Those that have sessions now.
    package static func find(_ tip: RecordedEntry, _ ledger: Ledger) throws -> [AgentID: [Digest]] {
        guard let folder = tip.folder(LivePath.agents) else { return [:] }
        let memo = StateFile<ObservingAgents>(ledger.files, ledger.environment)
        let known = memo.known()
        if let known, known.folder == folder { return known.agents }
        let recorded = RecordedTree(repository: ledger.repository, tip: tip)
        var agents = known?.agents ?? [:]
        // Without the earlier state, all of it.
        var changes = try? ledger.repository.differences(from: known?.folder, to: folder)
        if changes == nil {
            agents = [:]
            changes = try ledger.repository.differences(from: nil, to: folder)
        }
        for change in changes ?? [] {
            guard let agent = LivePath.agent(atRoute: "\(LivePath.agents)/\(change.path)") else { continue }
            let targets = try change.after == nil ? [] : recorded.agent(agent)?.route?.targets ?? []
            let observed = try targets.map(\.digest).filter { try recorded.bundle($0)?.mode == .observe }
            agents[agent] = observed.isEmpty ? nil : observed
        }
        let found = ObservingAgents(folder: folder, agents: agents)
        // A question makes no folders: another account may ask it.
        try? memo.write(found, inNewFolder: false)
        return found.agents
    }
}

extension ObservingAgents: StateValue {
    package static let kind = StateKind("cache/<env>/observing", .memo, version: 2, limit: 1 << 26)

    package init?(_ contents: StateContents) {
        guard let folder = contents["folder"]?.string.flatMap({ ObjectID($0) }) else { return nil }
        self.init(folder: folder, agents: [:])
        for record in contents.records {
            guard let agent = AgentID(record.key), let values = record.value?.array else { return nil }
            let digests = values.compactMap { $0.string.flatMap { Digest(hex: $0) } }
            guard digests.count == values.count, !digests.isEmpty else { return nil }
            agents[agent] = digests
        }
    }

    package var contents: StateContents {
        StateContents(
            ["folder": .string(folder.description)],
            records: agents.sorted { $0.key < $1.key }.map { agent, digests in
                StateRecord(agent.description, .array(digests.map { .string($0.hex) }))
            }
        )
    }
}
