import EnsignModel

/// What an agent comes to reach through the agents that it hands work to, directly or through others.
///
/// An agent that may do no more itself, and whose delegates may, can get more done: its change is a wider one.
enum DelegatedAuthority {
    /// Sentences for what is gained; empty when nothing is, and for an agent that is new or hands no work on.
    ///
    /// - Parameters:
    ///   - was: The bundle of an agent as it is live.
    ///   - now: The bundle that it will have.
    static func gained(
        before: Bundle?,
        after: Bundle,
        was: (AgentID) throws -> Bundle?,
        now: (AgentID) throws -> Bundle?
    ) rethrows -> [String] {
        guard let before, !after.delegates.isEmpty else { return [] }
        let known = try reached(from: before, was)
        var sentences: [String] = []
        for (agent, bundle) in try reached(from: after, now).sorted(by: { $0.key < $1.key }) {
            guard let old = known[agent] else {
                let operations = bundle.tools.flatMap { tool in tool.operations.keys.map { "\(tool.tool).\($0)" } }
                if !operations.isEmpty {
                    sentences.append("through \(agent) may now have called: \(list(operations.sorted()))")
                } else if !after.delegates.contains(agent) {
                    sentences.append("through others may now hand work to \(agent)")
                }
                continue
            }
            let gained = AuthorityDifference(before: old, after: bundle).gained
            if let first = gained.first {
                let more = gained.count > 1 ? ", and \(gained.count - 1) more" : ""
                sentences.append("hands work to \(agent), which gains too: \(first)\(more)")
            }
        }
        return sentences
    }

    /// The agents that work can end up with, the first one left out. Ends also where agents delegate in a circle.
    private static func reached(from bundle: Bundle, _ look: (AgentID) throws -> Bundle?) rethrows -> [AgentID: Bundle]
    {
        var found: [AgentID: Bundle] = [:]
        var open = bundle.delegates
        while let agent = open.popLast() {
            guard agent != bundle.agent, found[agent] == nil, let next = try look(agent) else { continue }
            found[agent] = next
            open += next.delegates
        }
        return found
    }

    private static func list(_ names: [String]) -> String {
        let shown = names.prefix(6).joined(separator: ", ")
        return names.count > 6 ? "\(shown) and \(names.count - 6) more" : shown
    }
}
