import EnsignModel

/// What an agent newly reaches through its delegates, directly or through others.
///
/// An agent whose own permissions stay the same gains if its delegates gain: its change is a widening.
enum DelegatedAuthority {
    /// What is gained; empty when nothing is, and for an agent that is new or has no delegates.
    ///
    /// - Parameters:
    ///   - was: The bundle of an agent as it is live.
    ///   - now: The bundle that it will have.
    static func gained(
        before: Bundle?,
        after: Bundle,
        was: (AgentID) throws -> Bundle?,
        now: (AgentID) throws -> Bundle?
    ) rethrows -> [AuthorityChange.What] {
        guard let before, !after.delegates.isEmpty else { return [] }
        let known = try reached(from: before, was)
        var gains: [AuthorityChange.What] = []
        for (agent, bundle) in try reached(from: after, now).sorted(by: { $0.key < $1.key }) {
            guard let old = known[agent] else {
                let operations = bundle.tools.flatMap { tool in tool.operations.keys.map { "\(tool.tool).\($0)" } }
                if !operations.isEmpty {
                    gains.append(.through(agent, operations: operations.sorted()))
                } else if !after.delegates.contains(agent) {
                    gains.append(.throughOthers(agent))
                }
                continue
            }
            let gained = AuthorityDifference(before: old, after: bundle).changes.filter { $0.direction == .gained }
            if let first = gained.first { gains.append(.delegateGains(agent, first, more: gained.count - 1)) }
        }
        return gains
    }

    private static func reached(from bundle: Bundle, _ look: (AgentID) throws -> Bundle?) rethrows -> [AgentID: Bundle]
    {
        try Delegates.reached(from: bundle.agent, bundle.delegates) { try look($0).map { [$0] } ?? [] }
            .compactMapValues(\.first)
    }
}
