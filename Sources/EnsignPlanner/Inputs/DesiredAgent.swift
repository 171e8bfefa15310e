package import EnsignModel

/// The desired state of one agent.
package struct DesiredAgent: Sendable, Hashable {
    package var agent: AgentID
    /// Nil when the agent is not declared.
    package var compiled: CompiledBundle?
    /// How a change takes over: the deployment's own rollout, else the environment's, else at once.
    package var rollout: Rollout
    /// When it was asked for; nil means the time of the desired commit.
    package var wanted: Timestamp?
    package var declaredOnly: [String]

    package init(
        agent: AgentID,
        compiled: CompiledBundle?,
        rollout: Rollout = .immediate,
        wanted: Timestamp? = nil,
        declaredOnly: [String] = []
    ) {
        self.wanted = wanted
        self.agent = agent
        self.compiled = compiled
        self.rollout = rollout
        self.declaredOnly = declaredOnly
    }
}
