package import EnsignModel

/// Judges what agents do by the rules of the kill switch, as it happens (docs/telemetry.md, "Kill switch").
///
/// Pure: activities come in with their times, trips are returned. A rule trips when its number is *reached*: the 20th
/// call, the 25th dollar. Windows are inclusive and run on the times of the activities, which are never after the moment
/// at which they were read; so an hour of telemetry that is read at once is judged as a real hour. An agent trips once,
/// until ``reset(_:at:)``.
package struct KillSwitch: Sendable {
    package struct Limits: Sendable, Hashable {
        /// The number of distinct calls kept for an agent; the one seen longest ago is dropped first.
        package var distinctCalls = 1_024
        /// Amounts kept for an agent; beyond it, pairs are merged at the later one's time.
        package var amounts = 1_024
        /// Times kept for one rule of one agent: a rule with a higher number would never trip.
        package var times = Int(KillRule.mostCalls)
        /// Times and amounts of all agents together; beyond it the longest idle agents are forgotten.
        package var total = 1_000_000

        package init() {}
    }

    /// A rule that was broken.
    package struct Trip: Sendable, Hashable {
        package var agent: AgentID
        package var rule: KillRule
        /// The value reached, in the rule's unit.
        package var observed: Double
        /// When the activity that reached it happened.
        package var time: Moment
        /// For people and for the ledger.
        package var sentence: String
    }

    /// How far back ``KillRule/unknownTool(_:)`` counts.
    package static let unknownToolWindow: Int64 = 86_400_000

    let limits: Limits
    var agents: [AgentID: Watch] = [:]
    var kept = 0

    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// What is remembered about one agent.
    struct Watch: Sendable {
        /// Earlier activities do not count.
        var since: Moment?
        var hasTripped = false
        var latest = Moment(nanoseconds: .min)
        var spent = AmountWindow()
        var denied = TimeWindow()
        var unknown = TimeWindow()
        /// By tool and arguments.
        var calls: [CallKey: TimeWindow] = [:]
        /// Calls since the last removal of those outside every window.
        var callsSinceSweep = 0

        var kept: Int {
            spent.count + denied.count + unknown.count + calls.values.reduce(0) { $0 + $1.count }
        }
    }

    struct CallKey: Sendable, Hashable {
        /// The name's meaning if known, else the name.
        var tool: String
        var arguments: UInt64
    }

    /// Takes an activity.
    ///
    /// - Parameters:
    ///   - activity: In any order, usually by time.
    ///   - rules: Those of the environment and of the agent's deployment.
    ///   - now: When it was read. A reset that lies behind it was a clock's that was ahead: nobody knows what came before it, so all counts.
    ///   - isGranted: Whether a tool of that name is in the agent's bundle; nil if unknown.
    /// - Returns: The first rule that this activity breaks, in the order of `rules`; nil also for an agent that has
    ///   tripped already.
    package mutating func observe(
        _ activity: Activity,
        rules: [KillRule],
        now: Moment,
        isGranted: (_ agent: AgentID, _ bundle: Digest?, _ tool: String) -> Bool?
    ) -> Trip? {
        guard !rules.isEmpty else { return nil }
        var watch = agents.removeValue(forKey: activity.agent) ?? Watch()
        let before = watch.kept
        defer {
            kept += watch.kept - before
            agents[activity.agent] = watch
            if kept > limits.total { forgetIdle() }
        }
        if watch.hasTripped { return nil }
        if let since = watch.since, since.passed(by: now) != since { watch.since = nil }
        if let since = watch.since, activity.time <= since { return nil }
        let previous = watch.latest
        watch.latest = max(watch.latest, activity.time)

        let trip =
            switch activity.kind {
            case .spent(let dollars): spend(dollars, activity, rules, &watch)
            case .steps(let count): steps(count, activity, rules)
            case .call(let call): self.call(call, activity, rules, isGranted, after: previous, &watch)
            case .ran: Trip?.none
            }
        watch.hasTripped = trip != nil
        return trip
    }

    /// Starts again for an agent, as when it is resumed: nothing that it did before counts.
    package mutating func reset(_ agent: AgentID, at time: Moment) {
        kept -= agents[agent]?.kept ?? 0
        var watch = Watch()
        watch.since = time
        agents[agent] = watch
    }

    /// Agents that tripped and were not reset since, sorted.
    package var tripped: [AgentID] { agents.filter { $0.value.hasTripped }.keys.sorted() }

    /// Drops the activities of the longest idle agents, down to three quarters of the limit. Their trips are
    /// remembered.
    private mutating func forgetIdle() {
        for (agent, watch) in agents.sorted(by: { $0.value.latest < $1.value.latest }) {
            guard kept > limits.total / 4 * 3 else { break }
            kept -= watch.kept
            var rest = Watch()
            (rest.since, rest.hasTripped, rest.latest) = (watch.since, watch.hasTripped, watch.latest)
            agents[agent] = rest
        }
    }

    // MARK: - Rules

    private func spend(
        _ dollars: Double,
        _ activity: Activity,
        _ rules: [KillRule],
        _ watch: inout Watch
    ) -> Trip? {
        var longest: Int64 = -1
        for case .spend(_, let window) in rules { longest = max(longest, window.milliseconds) }
        guard longest >= 0, dollars > 0, dollars.isFinite else { return nil }
        watch.spent.add(dollars, at: activity.time, keeping: longest, most: limits.amounts)
        for rule in rules {
            guard case .spend(let limit, let window) = rule else { continue }
            let sum = watch.spent.most(around: activity.time, within: window.milliseconds)
            if sum >= limit {
                return trip(
                    activity,
                    rule,
                    sum,
                    "\(activity.agent) spent \(dollarText(sum)) USD within \(window); the limit is \(dollarText(limit)) USD"
                )
            }
        }
        return nil
    }

    private func steps(_ count: Int64, _ activity: Activity, _ rules: [KillRule]) -> Trip? {
        for rule in rules {
            if case .steps(let limit) = rule, count >= limit {
                return trip(
                    activity,
                    rule,
                    Double(count),
                    "\(activity.agent) made \(counted(count, "call")) in one run; the limit is \(limit)"
                )
            }
        }
        return nil
    }

    private func call(
        _ call: ToolCall,
        _ activity: Activity,
        _ rules: [KillRule],
        _ isGranted: (AgentID, Digest?, String) -> Bool?,
        after previous: Moment,
        _ watch: inout Watch
    ) -> Trip? {
        // Everything is noted before the first rule decides: what is remembered does not depend on their order.
        let most = MostCalls(rules)
        if most.denied > 0, call.isDenied {
            watch.denied.add(activity.time, within: most.longestDenied, keeping: bounded(most.denied))
        }
        let isUnknown =
            most.unknown > 0 && call.isNamed && isGranted(activity.agent, activity.bundle, call.tool) == false
        if isUnknown {
            watch.unknown.add(activity.time, within: Self.unknownToolWindow, keeping: bounded(most.unknown))
        }
        let key = note(call, at: activity.time, most, after: previous, &watch)
        for rule in rules {
            switch rule {
            case .repeatedCall(let limit, let window):
                guard let key, let times = watch.calls[key] else { continue }
                let count = times.most(around: activity.time, within: window.milliseconds)
                guard count >= limit else { continue }
                return trip(
                    activity,
                    rule,
                    Double(count),
                    "\(activity.agent) called \(named(call.tool)) \(counted(count, "time")) with the same arguments "
                        + "within \(window); the limit is \(limit)"
                )
            case .deniedCalls(let limit, let window):
                guard call.isDenied else { continue }
                let count = watch.denied.most(around: activity.time, within: window.milliseconds)
                guard count >= limit else { continue }
                return trip(
                    activity,
                    rule,
                    Double(count),
                    "\(activity.agent) made \(counted(count, "call")) that \(count == 1 ? "was" : "were") denied within "
                        + "\(window), the last one of \(named(call.tool)); the limit is \(limit)"
                )
            case .unknownTool(let limit):
                guard isUnknown else { continue }
                let count = watch.unknown.most(around: activity.time, within: Self.unknownToolWindow)
                guard count >= limit else { continue }
                return trip(
                    activity,
                    rule,
                    Double(count),
                    "\(activity.agent) called \(named(call.tool)), which it was not granted"
                        + (count == 1 ? "" : ", the \(count)th such call in a day") + "; the limit is \(limit)"
                )
            case .spend, .steps:
                continue
            }
        }
        return nil
    }

    /// Remembers a call by its arguments, for rules about equal ones.
    ///
    /// - Returns: What calls that are equal to it have in common; nil when no rule asks, or the arguments are not known.
    private func note(
        _ call: ToolCall,
        at time: Moment,
        _ most: MostCalls,
        after previous: Moment,
        _ watch: inout Watch
    ) -> CallKey? {
        guard most.repeated > 0, let arguments = call.arguments else { return nil }
        let key = CallKey(tool: call.meaning ?? call.tool, arguments: arguments)
        let oldest = watch.latest.advanced(milliseconds: -most.longest)
        // An agent that was quiet for longer than any window: all that it called before is out of it.
        if previous < oldest { watch.calls = [:] }
        watch.calls[key, default: TimeWindow()].add(
            time,
            within: most.longest,
            keeping: bounded(most.repeated)
        )
        watch.callsSinceSweep += 1
        if watch.callsSinceSweep >= 64 {
            watch.callsSinceSweep = 0
            // And not of what is read of an earlier time beside the newest.
            let present = time.advanced(milliseconds: -most.longest).nanoseconds...time.nanoseconds
            watch.calls = watch.calls.filter { _, times in
                times.latest >= oldest.nanoseconds || present.contains(times.latest)
            }
        }
        if watch.calls.count > limits.distinctCalls { forgetOldestCalls(&watch, except: key) }
        return key
    }

    private func bounded(_ count: Int64) -> Int { Int(min(count, Int64(limits.times))) }

    /// Forgets an eighth of the distinct calls, those seen longest ago.
    private func forgetOldestCalls(_ watch: inout Watch, except key: CallKey) {
        let oldest = watch.calls.sorted {
            ($0.value.latest, $0.key.tool, $0.key.arguments) < ($1.value.latest, $1.key.tool, $1.key.arguments)
        }
        for (other, _) in oldest.prefix(max(1, limits.distinctCalls / 8)) where other != key {
            watch.calls[other] = nil
        }
    }

    private func trip(_ activity: Activity, _ rule: KillRule, _ observed: Double, _ sentence: String) -> Trip {
        Trip(agent: activity.agent, rule: rule, observed: observed, time: activity.time, sentence: sentence)
    }
}

/// How much of an agent's calls has to be remembered for a set of rules.
private struct MostCalls {
    var repeated: Int64 = 0
    var denied: Int64 = 0
    var unknown: Int64 = 0
    /// The longest window of equal calls, in milliseconds.
    var longest: Int64 = 0
    /// The longest window of denied calls, in milliseconds.
    var longestDenied: Int64 = 0

    init(_ rules: [KillRule]) {
        for rule in rules {
            switch rule {
            case .repeatedCall(let count, let window):
                repeated = max(repeated, count)
                longest = max(longest, window.milliseconds)
            case .deniedCalls(let count, let window):
                denied = max(denied, count)
                longestDenied = max(longestDenied, window.milliseconds)
            case .unknownTool(let count): unknown = max(unknown, count)
            case .spend, .steps: break
            }
        }
    }
}

/// A tool's name as telemetry gave it, safe to show.
private func named(_ tool: String) -> String {
    tool.isEmpty ? "a tool without a name" : tool.quoted(utf8: 80)
}

/// An amount with two digits after the point, rounded.
private func dollarText(_ amount: Double) -> String {
    guard amount.magnitude < 1e12 else { return "\(amount)" }
    let cents = Int64((amount * 100).rounded())
    return "\(cents / 100)." + (cents % 100 < 10 ? "0" : "") + "\(cents % 100)"
}
