/// The files of one agent that an entry makes live, and the one that it remembers: what is published, what is recorded
/// and what recovery looks for are all derived from this.
package struct AgentFiles: Sendable {
    package var agent: AgentID
    /// Nil removes it.
    package var route: [UInt8]?
    /// Nil removes it. Recorded, never live.
    package var state: [UInt8]?
    /// They must exist before the route names them.
    package var bundles: [Digest: FileContent]

    package init(agent: AgentID, route: [UInt8]?, state: [UInt8]?, bundles: [Digest: FileContent]) {
        self.agent = agent
        self.route = route
        self.state = state
        self.bundles = bundles
    }

    /// - Parameter route: The bytes of the effect's route, with its proof.
    package init(_ effect: AgentEffect, route: [UInt8]?, bundles: [Digest: FileContent]) {
        self.init(agent: effect.agent, route: route, state: effect.state?.bytes, bundles: bundles)
    }

    /// As edits of the recorded tree, by path; nil removes a file.
    package var edits: [String: FileContent?] {
        var edits: [String: FileContent?] = [:]
        edits[LivePath.route(agent)] = .some(route.map { .bytes($0) })
        edits[AgentState.path(agent)] = .some(state.map { .bytes($0) })
        for (digest, content) in bundles { edits[LivePath.bundle(digest)] = content }
        return edits
    }
}
