import EnsignCrypto
package import EnsignGit
import EnsignJSON
package import EnsignModel

/// The recorded state of an environment, read from an entry's tree on demand.
package final class RecordedTree {
    private let repository: Repository
    private let tip: RecordedEntry?
    private var entries: [ObjectID: [String: TreeEntry]] = [:]

    package init(repository: Repository, tip: RecordedEntry?) {
        self.repository = repository
        self.tip = tip
    }

    package var live: Int64 { tip?.agents ?? 0 }

    /// The agents that have a route, sorted.
    package func agents() throws -> [AgentID] {
        guard let top = tip?.folder(LivePath.agents) else { return [] }
        var agents: [AgentID] = []
        for (team, entry) in try folder(top) where entry.mode == .directory {
            for name in try folder(entry.id).keys {
                if let agent = LivePath.agent(atRoute: "\(LivePath.agents)/\(team)/\(name)") { agents.append(agent) }
            }
        }
        return agents.sorted()
    }

    /// The agents of a team that have a route, sorted.
    package func agents(of team: String) throws -> [AgentID] {
        try (children(of: "\(LivePath.agents)/\(team)") ?? [:]).keys.compactMap {
            LivePath.agent(atRoute: "\(LivePath.agents)/\(team)/\($0)")
        }.sorted()
    }

    /// What is recorded about one agent; nil when it has neither route nor state.
    package func agent(_ agent: AgentID) throws -> RecordedAgent? {
        let route = try node(LivePath.route(agent)).map { node in
            guard let route = Route(json: try json(node)) else { throw damaged("the route of \(agent)") }
            return route
        }
        let state = try node(AgentState.path(agent)).map { node in
            guard let state = AgentState(json: try json(node)) else { throw damaged("the state of \(agent)") }
            return state
        }
        guard route != nil || state != nil else { return nil }
        return RecordedAgent(route: route, state: state)
    }

    /// Whether an agent has a route: cheaper than reading it.
    package func isLive(_ agent: AgentID) throws -> Bool { try node(LivePath.route(agent)) != nil }

    private func damaged(_ what: String) -> LedgerError { .unreadableState(what) }

    /// The agents about which something is remembered, sorted: canaries, queues, halts, quarantines.
    package func remembered() throws -> [AgentID] {
        guard let top = tip?.folder(AgentState.folder) else { return [] }
        var agents: [AgentID] = []
        for team in try repository.tree(top) where team.mode == .directory {
            for file in try repository.tree(team.id) {
                let path = "\(String(decoding: team.name, as: UTF8.self))/\(String(decoding: file.name, as: UTF8.self))"
                if path.hasSuffix(".json"), let agent = AgentID(path.dropLast(5)) { agents.append(agent) }
            }
        }
        return agents.sorted()
    }

    /// Whether a rollout is under way, or waits for a place or its soak: then time alone may change something.
    package func waitsForTime() throws -> Bool {
        try remembered().contains { try agent($0)?.state.rollout != nil }
    }

    /// Whether a candidate has some of the sessions, or waits for a place.
    package func hasTrials() throws -> Bool { try remembered().contains { try agent($0)?.state.trial != nil } }

    /// Whether a canary is under way.
    package func hasCanaries() throws -> Bool { try remembered().contains { try agent($0)?.state.canary != nil } }

    /// Stops of everything and of teams.
    package func halts() throws -> FleetHalts {
        guard let node = try node(FleetHalts.path) else { return FleetHalts() }
        guard let halts = FleetHalts(json: try json(node)) else { throw damaged("what is halted as a whole") }
        return halts
    }

    /// What all agents share; nil when nothing is recorded of that.
    package func policy() throws -> GatewayPolicy? {
        guard let node = try node(LivePath.policy) else { return nil }
        guard let policy = GatewayPolicy(json: try json(node)) else { throw damaged(LivePath.policy) }
        return policy
    }

    /// A bundle that the ledger keeps; nil when it does not.
    package func bundle(_ digest: Digest) throws -> Bundle? {
        guard let node = try node(LivePath.bundle(digest)) else { return nil }
        return Bundle(json: try json(node))
    }

    package func keeps(_ digest: Digest) throws -> Bool { try node(LivePath.bundle(digest)) != nil }

    /// The entry of the tree at a path; nil when there is none.
    package func node(_ path: String) throws -> TreeEntry? {
        let parts = path.split(separator: "/")
        if LivePath.isShared(path) { return tip?.file(path) }
        guard let first = parts.first, var id = tip?.folder(String(first)) else { return nil }
        for (index, part) in parts.enumerated().dropFirst() {
            guard let entry = try repository.treeObject(id).entry(named: part) else { return nil }
            if index == parts.count - 1 { return entry }
            guard entry.mode == .directory else { return nil }
            id = entry.id
        }
        return nil
    }

    package func bytes(_ entry: TreeEntry) throws -> [UInt8] { try repository.bytes(of: entry.id, .blob) }

    /// The entries of a folder in the tree by name; nil when there is no such folder.
    package func children(of path: String) throws -> [String: TreeEntry]? {
        try object(of: path).map { try folder($0) }
    }

    /// The names of the folders in a folder of the tree, in git's order.
    package func folders(in path: String) throws -> [String] {
        try object(of: path).map { try repository.treeObject($0).folders } ?? []
    }

    /// The tree object of a folder; nil when there is no such folder.
    package func object(of path: String) throws -> ObjectID? {
        let parts = path.split(separator: "/")
        guard let first = parts.first, var id = tip?.folder(String(first)) else { return nil }
        for part in parts.dropFirst() {
            guard let entry = try repository.treeObject(id).entry(named: part), entry.mode == .directory else {
                return nil
            }
            id = entry.id
        }
        return id
    }

    private func json(_ entry: TreeEntry) throws -> JSONValue { try JSONParser.parse(bytes(entry)) }

    private func folder(_ id: ObjectID) throws -> [String: TreeEntry] {
        if let known = entries[id] { return known }
        var found: [String: TreeEntry] = [:]
        for entry in try repository.tree(id) { found[String(decoding: entry.name, as: UTF8.self)] = entry }
        entries[id] = found
        return found
    }
}
