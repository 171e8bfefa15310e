package import EnsignModel

/// A limit that a run or its agent has reached.
package enum Exhausted: Sendable, Hashable {
    // Of the run.
    case steps(Int64)
    case seconds(Int64)
    case tokens(Int64)
    case costUSD(Double)
    /// Runs at a time; and in how many seconds the next place is free if nothing more is heard of those that are open.
    case runs(Int64, free: Int64)
    // Of the day, in UTC.
    case agentCostUSD(Double)
    case teamCostUSD(Double)
    case environmentCostUSD(Double)
    /// Tokens or money are limited, and nobody knows what was used. Why.
    case unknownUsage(String)
    // Of the agent.
    case rate(CallRate)
    case stepsPerMinute(Int64)
    case runsPerHour(Int64)

    /// Which limit it is and what it allows, for the model that called.
    package var sentence: String {
        switch self {
        case .steps(let most): "a run may make \(most) calls, and this one has made them"
        case .seconds(let most): "a run may take \(most) seconds, and they are over"
        case .tokens(let most): "a run may use \(most) tokens, and they are used"
        case .costUSD(let most): "a run may cost \(Self.dollars(most)), and this one has"
        case .runs(let most, _): "\(most) runs may be open at a time, and they are"
        case .agentCostUSD(let most): "this agent may cost \(Self.dollars(most)) a day, and it has today"
        case .teamCostUSD(let most): "the team's agents may cost \(Self.dollars(most)) a day, and they have today"
        case .environmentCostUSD(let most): "all agents may cost \(Self.dollars(most)) a day, and they have today"
        case .unknownUsage(let why): "tokens or money are limited, and what was used cannot be read: \(why)"
        case .rate(let rate): "it may be called \(rate.words), and it was"
        case .stepsPerMinute(let most): "this agent may make \(most) calls a minute, and it has"
        case .runsPerHour(let most): "this agent may begin \(most) runs an hour, and it has"
        }
    }

    /// Whether trying again helps, and when.
    package var advice: String {
        switch self {
        case .steps, .seconds, .tokens, .costUSD: "Every further call of this run will be refused: end now."
        case .runs(_, let free):
            "Try again when another run has ended: in \(free) seconds at most, unless all that are open go on."
        case .agentCostUSD, .teamCostUSD, .environmentCostUSD: "It will be refused until tomorrow, UTC: end now."
        case .unknownUsage: "Try again later."
        case .rate(let rate): "Try again in \(rate.period == .hour ? "an" : "a") \(rate.period.word)."
        case .stepsPerMinute: "Try again in a minute."
        case .runsPerHour: "Try again in an hour."
        }
    }

    private static func dollars(_ value: Double) -> String { "\(JSONValue(value).text) US dollars" }
}

/// Why calls are taken for a loop.
package enum Looping: Sendable, Hashable {
    // Of the run.
    /// The same call, so often.
    case sameCall(Int64)
    /// Refused calls, so many.
    case refusals(Int64)
    // Of the agent, in any of its runs, within a minute.
    case sameCallInMinute(Int64)
    case refusalsInMinute(Int64)

    package var sentence: String {
        switch self {
        case .sameCall(let most): "exactly this call was made \(most) times already"
        case .refusals(let most): "\(most) calls were refused already"
        case .sameCallInMinute(let most): "this agent made exactly this call \(most) times within a minute"
        case .refusalsInMinute(let most): "\(most) calls of this agent were refused within a minute"
        }
    }

    package var advice: String {
        switch self {
        case .sameCall: "The answer will not change: do something else, or end."
        case .refusals: "Further calls of this run will be refused: end, and say what you could not do."
        case .sameCallInMinute: "The answer will hardly change: do something else, or try again in a minute."
        case .refusalsInMinute: "Try again in a minute."
        }
    }
}

extension RunProgress {
    /// The first limit of a bundle, or of the operator, that a call would break.
    package func exhausted(_ limits: BundleLimits, _ operation: BundleOperation, _ own: AgentLimits) -> Exhausted? {
        // A run that is over has no place, and needs none.
        if let over = over(limits) { return over }
        if let full = full(limits) { return full }
        if let why = usageTrouble, limitsUsage(limits) { return .unknownUsage(why) }
        if let most = limits.costUSDPerDay, agentCostUSD >= most { return .agentCostUSD(most) }
        if let most = team.limit, team.costUSD >= most { return .teamCostUSD(most) }
        if let most = environment.limit, environment.costUSD >= most { return .environmentCostUSD(most) }
        if let rate = operation.rate, calls[rate.period] ?? 0 >= rate.count { return .rate(rate) }
        return exhausted(own)
    }

    /// The first limit by which the run is over: nothing that comes later in it is allowed.
    private func over(_ limits: BundleLimits) -> Exhausted? {
        if let most = limits.run.steps, steps >= most { return .steps(most) }
        if let most = limits.run.seconds, milliseconds >= most.multiplied(saturating: 1_000) { return .seconds(most) }
        // What nobody knows says nothing.
        guard usageTrouble == nil else { return nil }
        if let most = limits.run.tokens, tokens >= most { return .tokens(most) }
        if let most = limits.run.costUSD, costUSD >= most { return .costUSD(most) }
        return nil
    }

    /// Whether the run is over by one of these.
    package func isOver(_ limits: [BundleLimits]) -> Bool { limits.contains { over($0) != nil } }

    /// The first limit of the operator that a call would break.
    package func exhausted(_ own: AgentLimits) -> Exhausted? {
        if let most = own.stepsPerMinute, stepsInMinute >= most { return .stepsPerMinute(most) }
        return full(own)
    }

    private func limitsUsage(_ limits: BundleLimits) -> Bool {
        limits.run.tokens != nil || limits.run.costUSD != nil || limits.costUSDPerDay != nil || team.limit != nil
            || environment.limit != nil
    }

    /// Whether the run may begin, or go on after it has counted as closed. One that may not is not open afterwards either.
    package func mayOpen(_ limits: [BundleLimits], _ own: AgentLimits) -> Bool {
        full(own) == nil && limits.allSatisfy { full($0) == nil }
    }

    private func full(_ limits: BundleLimits) -> Exhausted? {
        guard let other = otherRuns, let most = limits.runs, Int64(other.count) >= most else { return nil }
        let milliseconds = most > 0 ? other[other.count - Int(most)] : 0
        return .runs(most, free: (milliseconds + 999) / 1_000)
    }

    private func full(_ own: AgentLimits) -> Exhausted? {
        guard let begun = runsInHour, let most = own.runsPerHour, begun >= most else { return nil }
        return .runsPerHour(most)
    }

    /// Whether the operator's limits take what is going on for a loop.
    package func looping(_ own: AgentLimits) -> Looping? {
        // What holds for the whole run comes first: a minute does not help there.
        if let most = own.refusals, refusals >= most { return .refusals(most) }
        if let most = own.repeatedCalls, sameCalls >= most { return .sameCall(most) }
        if let most = own.refusals, refusalsInMinute >= most { return .refusalsInMinute(most) }
        if let most = own.repeatedCalls, sameCallsInMinute >= most { return .sameCallInMinute(most) }
        return nil
    }
}
