/// One measurement of one run of an agent.
package struct Sample: Sendable, Hashable {
    package var agent: AgentID
    package var environment: String
    /// The bundle that the run ran with: a target of the agent's route when the run was read.
    package var bundle: Digest
    package var metric: MetricName
    /// In the metric's unit; finite.
    package var value: Double
    /// For rates: whether the counted event happened in this run: it succeeded, a call in it failed, a call in it was
    /// denied, the evaluation passed. Nil if the metric is not a rate.
    package var occurred: Bool?
    /// When the run ended, by its own clock; never after the moment at which it was read.
    package var time: Moment
    /// When the run started, by its own clock; the end for a separate evaluation.
    package var started: Moment
    /// The session that the run was part of, as a hash of its key; nil if it named none.
    package var session: UInt64?

    package init(
        agent: AgentID,
        environment: String,
        bundle: Digest,
        metric: MetricName,
        value: Double,
        occurred: Bool?,
        time: Moment,
        started: Moment,
        session: UInt64? = nil
    ) {
        self.agent = agent
        self.environment = environment
        self.bundle = bundle
        self.metric = metric
        self.value = value
        self.occurred = occurred
        self.time = time
        self.started = started
        self.session = session
    }
}
