import EnsignLedger
import EnsignModel

/// What telemetry may call agents beside their own names: the `name` of the bundles in their routes.
///
/// All routes are read when a name is first looked for, and then only those that entries have changed.
struct DeclaredNames {
    private var names: [AgentID: Set<String>] = [:]
    private var owners: [String: Set<AgentID>] = [:]
    /// Whose names must be read; nil as long as nobody has asked.
    private var stale: Set<AgentID>?

    /// Notes that an agent's route may be another one now.
    mutating func changed(_ agent: AgentID) { stale?.insert(agent) }

    /// The one agent that is called so; nil where there is none, or several.
    mutating func agent(_ name: String, in recorded: RecordedTree) -> AgentID? {
        for agent in stale ?? Set((try? recorded.agents()) ?? []) { read(agent, recorded) }
        stale = []
        guard let found = owners[name], found.count == 1 else { return nil }
        return found.first
    }

    private mutating func read(_ agent: AgentID, _ recorded: RecordedTree) {
        for name in names.removeValue(forKey: agent) ?? [] {
            owners[name]?.remove(agent)
            if owners[name]?.isEmpty == true { owners[name] = nil }
        }
        let targets = ((try? recorded.agent(agent)) ?? nil)?.route?.targets ?? []
        let found = Set(targets.compactMap { ((try? recorded.bundle($0.digest)) ?? nil)?.name })
        guard !found.isEmpty else { return }
        names[agent] = found
        for name in found { owners[name, default: []].insert(agent) }
    }
}
