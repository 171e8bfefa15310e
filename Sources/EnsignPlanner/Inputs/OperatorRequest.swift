package import EnsignModel

/// An operator's request.
package struct OperatorRequest: Sendable, Hashable {
    /// The agents that it is about.
    package var agents: Set<AgentID>
    /// With the end of a halt: what was asked for. A team, or everything, is no longer stopped as a whole then.
    package var scope: HaltScope?
    package var operation: RolloutOperation
    /// With a rollback: the version to go back to; nil for the one before.
    package var version: AgentVersion?
    package var by: String
    package var reason: String

    package init(agents: Set<AgentID>, operation: RolloutOperation, by: String, reason: String) {
        self.agents = agents
        self.operation = operation
        self.by = by
        self.reason = reason
    }

    package init(agent: AgentID, operation: RolloutOperation, by: String, reason: String) {
        self.init(agents: [agent], operation: operation, by: by, reason: reason)
    }
}
