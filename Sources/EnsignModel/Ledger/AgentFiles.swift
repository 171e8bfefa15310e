/// The files of one agent that an entry makes live, and the one that it remembers: what is published, what is recorded
/// and what recovery looks for are all derived from this.
package struct AgentFiles: Sendable {
    package var agent: AgentID
    /// Nil removes it.
    package var route: FileContent?
    /// Nil removes it. Recorded, never live.
    package var state: [UInt8]?
    /// They must exist before the route names them. Each once.
    package var bundles: [BundleFile]

    package typealias BundleFile = (digest: Digest, content: FileContent)

    package init(agent: AgentID, route: FileContent?, state: [UInt8]?, bundles: [BundleFile]) {
        self.agent = agent
        self.route = route
        self.state = state
        self.bundles = bundles
    }

    /// - Parameter route: The effect's route with its proof.
    package init(_ effect: AgentEffect, route: FileContent?, bundles: [BundleFile]) {
        self.init(agent: effect.agent, route: route, state: effect.state?.bytes, bundles: bundles)
    }

    /// As edits of the recorded tree, by path; nil removes a file.
    package var edits: [(key: String, value: FileContent?)] {
        liveEdits + [(AgentState.path(agent), state.map { .bytes($0) })]
    }

    /// Those of ``edits`` that are live, too.
    package var liveEdits: [(key: String, value: FileContent?)] {
        [(LivePath.route(agent), route)] + bundles.map { (LivePath.bundle($0.digest), $0.content) }
    }
}
