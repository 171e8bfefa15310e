/// What a gateway decided about a call, as its span says.
package struct GatewayRuling: Sendable, Hashable {
    package var agent: AgentID
    /// The bundle that the call's run has: a target of the agent's route when the span was read.
    package var bundle: Digest
    /// `<tool>.<operation>`, or what was asked for where that is none: somebody else's text.
    package var operation: String
    /// Why it would have been refused if the gateway did more than observe, in the gateway's word; nil where it would
    /// not have been.
    package var wouldRefuse: String?
    /// When the call ended.
    package var time: Moment

    package init(agent: AgentID, bundle: Digest, operation: String, wouldRefuse: String?, time: Moment) {
        self.agent = agent
        self.bundle = bundle
        self.operation = operation
        self.wouldRefuse = wouldRefuse
        self.time = time
    }
}
