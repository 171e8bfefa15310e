import EnsignModel

/// What agents newly reach through their delegates, directly or through others, in one plan.
///
/// An agent whose own permissions stay the same gains if its delegates gain: its change is a widening. Each agent is
/// read and compared once, however many reach it, and the whole plan takes a bounded number of steps: what is beyond
/// counts as gained.
final class DelegatedAuthority {
    private let was: (AgentID) throws -> Bundle?
    private let now: (AgentID) throws -> Bundle?
    private var known: [AgentID: Reachable] = [:]
    private var steps = 0

    /// The most agents that a plan follows, each counted once for each agent that reaches it.
    static let maxSteps = 2_000_000
    /// The most sentences about one agent.
    static let maxSentences = 5

    /// What is needed of an agent that others reach.
    private struct Reachable {
        /// Nil when it is not there.
        var delegatesBefore: [AgentID]?
        var delegatesAfter: [AgentID]?
        var operations: [String]
        /// The first thing that it gains itself, and how many more.
        var gain: (first: AuthorityChange, more: Int)?
    }

    /// - Parameters:
    ///   - was: The bundle of an agent as it is live.
    ///   - now: The bundle that it will have.
    init(was: @escaping (AgentID) throws -> Bundle?, now: @escaping (AgentID) throws -> Bundle?) {
        (self.was, self.now) = (was, now)
    }

    /// What one agent gains; empty when nothing is, and for an agent that is new or has no delegates.
    func gained(before: Bundle?, after: Bundle) throws -> [AuthorityChange.What] {
        guard let before, !after.delegates.isEmpty else { return [] }
        guard let old = try reached(from: before, \.delegatesBefore),
            let new = try reached(from: after, \.delegatesAfter)
        else { return [.uncompared] }
        var gains: [(agent: AgentID, what: AuthorityChange.What)] = []
        for agent in new {
            let reachable = try reachable(agent)
            if !old.contains(agent) {
                if !reachable.operations.isEmpty {
                    gains.append((agent, .through(agent, operations: reachable.operations)))
                } else if !after.delegates.contains(agent) {
                    gains.append((agent, .throughOthers(agent)))
                }
            } else if let gain = reachable.gain {
                gains.append((agent, .delegateGains(agent, gain.first, more: gain.more)))
            }
        }
        gains.sort { $0.agent < $1.agent }
        let more = gains.count - Self.maxSentences
        return gains.prefix(Self.maxSentences).map(\.what) + (more > 0 ? [.othersGain(more)] : [])
    }

    /// The agents that are reached, without the one it starts from; nil when the plan has taken all its steps.
    private func reached(from bundle: Bundle, _ delegates: KeyPath<Reachable, [AgentID]?>) throws -> Set<AgentID>? {
        var found: Set<AgentID> = []
        var open = bundle.delegates
        while let next = open.popLast() {
            guard next != bundle.agent, !found.contains(next) else { continue }
            steps += 1
            guard steps <= Self.maxSteps else { return nil }
            guard let more = try reachable(next)[keyPath: delegates] else { continue }
            found.insert(next)
            open += more
        }
        return found
    }

    private func reachable(_ agent: AgentID) throws -> Reachable {
        if let known = known[agent] { return known }
        let (old, new) = (try was(agent), try now(agent))
        var found = Reachable(
            delegatesBefore: old?.delegates,
            delegatesAfter: new?.delegates,
            operations: (new?.tools ?? []).flatMap { tool in tool.operations.keys.map { "\(tool.tool).\($0)" } }
                .sorted()
        )
        if let old, let new {
            let gained = AuthorityDifference(before: old, after: new).changes.filter { $0.direction == .gained }
            found.gain = gained.first.map { ($0, gained.count - 1) }
        }
        known[agent] = found
        return found
    }
}
