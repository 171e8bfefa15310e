package import EnsignModel

/// Who may receive an agent's work: its delegates, theirs, and so on.
package enum Delegates {
    /// The agents that are reached, without the one it starts from. Ends even if agents delegate in a circle.
    ///
    /// - Parameters:
    ///   - agent: Whose work it is.
    ///   - first: Its own delegates.
    ///   - look: What sessions of an agent have, several bundles during a canary; empty for one that has none.
    package static func reached(
        from agent: AgentID,
        _ first: [AgentID],
        _ look: (AgentID) throws -> [Bundle]
    ) rethrows -> [AgentID: [Bundle]] {
        var found: [AgentID: [Bundle]] = [:]
        var open = first
        while let next = open.popLast() {
            guard next != agent, found[next] == nil else { continue }
            let bundles = try look(next)
            guard !bundles.isEmpty else { continue }
            found[next] = bundles
            open += bundles.flatMap(\.delegates)
        }
        return found
    }
}
