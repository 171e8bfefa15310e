package import EnsignModel

/// What is known of a run and its agent when a call is decided, as whoever counts says it.
///
/// Nothing in it says what is allowed: the bundles and ``AgentLimits`` do. A caller that counts nothing leaves it empty, and
/// nothing is refused for it.
package struct RunProgress: Sendable, Hashable {
    // MARK: The run

    /// Calls of the run before this one, refused ones too.
    package var steps: Int64 = 0
    /// Since its first call.
    package var milliseconds: Int64 = 0
    package var tokens: Int64 = 0
    /// US dollars.
    package var costUSD: Double = 0
    /// Why nobody knows what was used, tokens and money; nil where it is known.
    package var usageTrouble: String?
    /// How often exactly this call was made in the run before.
    package var sameCalls: Int64 = 0
    /// Refused calls of the run.
    package var refusals: Int64 = 0
    /// Other runs of the agent that are open: in how many milliseconds each ends if nothing more is heard of it, the first one
    /// first. Nil for a run that is open itself: nobody has to make room for it.
    package var otherRuns: [Int64]?

    // MARK: The agent, whatever its runs are called

    /// Within the last minute.
    package var stepsInMinute: Int64 = 0
    package var sameCallsInMinute: Int64 = 0
    package var refusalsInMinute: Int64 = 0
    /// Runs that began within the last hour. Nil for a run that began before.
    package var runsInHour: Int64?
    /// Calls of this operation within the period of each of its rates.
    package var calls: [CallRate.Period: Int64] = [:]
    /// Conditions of the operation that calls of this run fulfil.
    package var fulfilled: Set<Precondition> = []

    // MARK: The day

    /// US dollars that were used today, and what they may be: of the agent, its team, the environment.
    package var agentCostUSD: Double = 0
    package var team = Spending()
    package var environment = Spending()

    package struct Spending: Sendable, Hashable {
        package var costUSD: Double = 0
        /// Nil means unlimited.
        package var limit: Double?

        package init(costUSD: Double = 0, limit: Double? = nil) {
            self.costUSD = costUSD
            self.limit = limit
        }
    }

    package init() {}
}

/// What an operator lets each agent do, whatever its bundle says; nil where nothing is set.
package struct AgentLimits: Sendable, Hashable {
    package var repeatedCalls: Int64?
    package var refusals: Int64?
    package var stepsPerMinute: Int64?
    package var runsPerHour: Int64?

    package init(
        repeatedCalls: Int64? = nil,
        refusals: Int64? = nil,
        stepsPerMinute: Int64? = nil,
        runsPerHour: Int64? = nil
    ) {
        self.repeatedCalls = repeatedCalls
        self.refusals = refusals
        self.stepsPerMinute = stepsPerMinute
        self.runsPerHour = runsPerHour
    }
}
