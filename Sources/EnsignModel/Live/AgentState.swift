/// `state/<team>/<agent>.json` in the ledger's tree: what must be remembered of an agent beyond its route.
///
/// Present only for agents with something to remember.
package struct AgentState: Sendable, Hashable {
    /// The version that takes over when the halt ends.
    package var stable: Change.Side
    /// Whether git says `halted: true`.
    package var haltedByGit: Bool

    package init(stable: Change.Side, haltedByGit: Bool) {
        self.stable = stable
        self.haltedByGit = haltedByGit
    }

    package static func path(_ agent: AgentID) -> String { "state/\(agent.team)/\(agent.name).json" }

    package var json: JSONValue {
        ["v": 1, "stable": stable.json, "halted": ["git": .bool(haltedByGit)]]
    }

    package var bytes: [UInt8] { json.canonicalBytes() + [0x0A] }

    /// Reads a state back; nil when a field is missing, has the wrong type, or was written by a newer version.
    package init?(json: JSONValue) {
        guard json["v"]?.int == 1, let stable = json["stable"].flatMap({ Change.Side(json: $0) }),
            let git = json["halted"]?["git"]?.bool
        else { return nil }
        self.init(stable: stable, haltedByGit: git)
    }
}

/// What the ledger says of one agent.
package struct RecordedAgent: Sendable, Hashable {
    package var route: Route
    package var state: AgentState?

    package init(route: Route, state: AgentState?) {
        self.route = route
        self.state = state
    }

    /// The version that sessions get, or would get if the agent were not halted.
    package var stable: Change.Side? {
        state?.stable ?? route.stable.map { Change.Side(version: $0.version, digest: $0.digest) }
    }

    package var isHalted: Bool { route.phase == .halted }
}
