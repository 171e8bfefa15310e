/// The files of one agent that an entry makes live, and the one that it remembers: what is published, what is recorded
/// and what recovery looks for are all derived from this.
package struct AgentFiles: Sendable, Hashable {
    package var agent: AgentID
    /// Nil removes it.
    package var route: [UInt8]?
    /// Nil removes it. Recorded, never live.
    package var state: [UInt8]?
    /// They must exist before the route names them.
    package var bundles: [Digest: [UInt8]]

    package init(agent: AgentID, route: [UInt8]?, state: [UInt8]?, bundles: [Digest: [UInt8]]) {
        self.agent = agent
        self.route = route
        self.state = state
        self.bundles = bundles
    }

    /// - Parameter route: The bytes of the effect's route, with its proof.
    package init(_ effect: AgentEffect, route: [UInt8]?, bundles: [Digest: [UInt8]]) {
        self.init(agent: effect.agent, route: route, state: effect.state?.bytes, bundles: bundles)
    }

    /// As edits of the recorded tree, by path; nil removes a file.
    package var edits: [String: [UInt8]?] {
        var edits: [String: [UInt8]?] = [LivePath.route(agent): route, AgentState.path(agent): state]
        for (digest, bytes) in bundles { edits[LivePath.bundle(digest)] = bytes }
        return edits
    }
}
