/// The effect of an entry's changes on one agent: the route and the state file that follow.
///
/// The last change of an agent carries the state, if there is any, as `evidence.state`. Recovery after a crash and
/// `verify` both use this.
package struct AgentEffect: Sendable, Hashable {
    package var agent: AgentID
    package var changes: [Change]
    /// Nil when the agent has none.
    package var route: Route?
    /// Nil when there is nothing to remember.
    package var state: AgentState?

    /// One effect for each agent that the changes concern, in the order of their first change; repairs do not concern
    /// agents.
    ///
    /// - Returns: nil when a change carries a state that cannot be read.
    package static func of(_ changes: [Change], environment: String) -> [AgentEffect]? {
        var order: [AgentID] = []
        var byAgent: [AgentID: [Change]] = [:]
        for change in changes where change.action != .repair {
            guard let agent = change.agent else { continue }
            if byAgent[agent] == nil { order.append(agent) }
            byAgent[agent, default: []].append(change)
        }
        var effects: [AgentEffect] = []
        for agent in order {
            guard let changes = byAgent[agent], let last = changes.last else { continue }
            guard last.evidence?.hasUnreadableState != true else { return nil }
            let state = last.evidence?.state
            let after = state ?? AgentState(stable: last.to)
            effects.append(
                AgentEffect(agent: agent, changes: changes, route: after.route(agent, environment), state: state)
            )
        }
        return effects
    }

    /// The stable version that results; nil for none.
    package var stable: Change.Side? { state.map(\.stable) ?? changes.last?.to }

    /// The digests that the changes introduce.
    package var digests: Set<Digest> {
        Set((route?.targets ?? []).map(\.digest) + [state?.stable?.digest].compactMap { $0 })
    }
}

extension Change {
    /// Puts the state that follows into the evidence.
    package mutating func remember(_ state: AgentState) { explain { $0.state = state } }

    /// Adds to the evidence. What was read and is not understood does not stay.
    package mutating func explain(_ more: (inout Evidence) -> Void) {
        var evidence = evidence ?? Evidence()
        evidence.asRead = nil
        more(&evidence)
        self.evidence = evidence
    }
}
