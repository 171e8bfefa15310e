import EnsignModel

/// One agent on its way through the planner.
struct AgentWork {
    let item: DesiredAgent
    let before: RecordedAgent?
    var machine: RolloutMachine
    /// The recorded stable version, if it differs from what git asks for.
    var stableBundle: Bundle?
    var difference: BundleDifference?
    /// A stable version that no entry has yet: narrowed, restored under the present permissions, or renamed.
    var recompiled: CompiledBundle?
    var succession: Succession?
    /// The name under which the agent continues.
    var movedTo: AgentID?

    var queued: Candidate? {
        guard case .queued(let candidate) = machine.state.rollout else { return nil }
        return candidate
    }
}
