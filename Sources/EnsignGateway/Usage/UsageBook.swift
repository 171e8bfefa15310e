import EnsignModel
import EnsignTelemetry

/// What runs have used, and what the day has: a value, from the spans that were given to it.
struct UsageBook: Sendable {
    private struct RunKey: Hashable, Sendable {
        /// Nil where no span says whose it is.
        var agent: AgentID?
        var name: String
    }

    private struct Run: Sendable {
        var used = UsageTally()
        var last: Int64
    }

    private let environment: String
    private var tree = UsageTree()
    private var runs: [RunKey: Run] = [:]
    /// Of the day.
    private var agents: [AgentID: UsageTally] = [:]
    private var teams: [String: UsageTally] = [:]
    private var all = UsageTally()
    private var day: Day
    /// Whose spans had numbers of tokens that cannot be; nil for nobody's.
    private(set) var misstated: Set<AgentID?> = []

    /// Those of whom that is remembered.
    static let mostMisstated = 100
    /// Runs that are remembered; beyond, those that were heard of least lately go.
    static let most = 10_000

    init(environment: String, now: Timestamp) {
        self.environment = environment
        day = Day(now)
    }

    // MARK: Taking

    /// Takes what was read.
    mutating func take(_ events: [TelemetryEvent], now: Timestamp) {
        turn(to: now)
        for event in events { if case .span(let span) = event { take(span, now) } }
    }

    private mutating func take(_ span: SpanEvent, _ now: Timestamp) {
        guard span.environments.allSatisfy({ $0 == environment }) else { return }
        if span.hasBadUsage, misstated.count < Self.mostMisstated { misstated.insert(Self.agent(of: span)) }
        // A gateway's own: there may be thousands a second, with nothing below them that anybody must find.
        if span.isProtocolCall, span.run != nil, span.usage == nil { return }
        guard let addition = tree.add(span, agent: Self.agent(of: span)) else { return }
        // What no run is known of is counted by its trace.
        let trace = span.trace.hex
        func key(_ owner: UsageTree.Owner) -> RunKey { RunKey(agent: owner.agent, name: owner.run ?? trace) }
        if !addition.used.isEmpty { add(addition.used, to: key(addition.owner), now) }
        for move in addition.moved {
            runs[key(move.from)]?.used.subtract(move.used)
            add(move.used, to: key(move.to), now)
        }
        // A clock that is ahead does not put a span into a day that nobody asks for.
        guard Day(min(span.end.timestamp, now)) >= day else { return }
        all.add(addition.used)
        addToDay(addition.used, of: addition.owner.agent)
        for move in addition.moved where move.from.agent == nil { addToDay(move.used, of: move.to.agent) }
    }

    private mutating func addToDay(_ used: UsageTally, of agent: AgentID?) {
        guard let agent, !used.isEmpty else { return }
        agents[agent, default: UsageTally()].add(used)
        teams[agent.team, default: UsageTally()].add(used)
    }

    /// Whose a span is: in a folder of an agent nobody else's is believed.
    private static func agent(of span: SpanEvent) -> AgentID? {
        if let folder = span.folder { return folder }
        return span.claim.name.flatMap { AgentID($0) }
    }

    private mutating func add(_ used: UsageTally, to key: RunKey, _ now: Timestamp) {
        runs[key, default: Run(last: now.seconds)].used.add(used)
        runs[key]?.last = now.seconds
        guard runs.count > Self.most else { return }
        let kept = runs.sorted { $0.value.last > $1.value.last }.prefix(Self.most / 2)
        runs = Dictionary(uniqueKeysWithValues: kept.map { ($0.key, $0.value) })
    }

    private mutating func turn(to now: Timestamp) {
        guard Day(now) > day else { return }
        day = Day(now)
        (agents, teams, all) = ([:], [:], UsageTally())
    }

    // MARK: Asking

    mutating func usage(of agent: AgentID, run: String, policy: GatewayPolicy?, now: Timestamp) -> RunUsage {
        turn(to: now)
        let prices = policy?.prices ?? [:]
        var usage = RunUsage()
        for key in [RunKey(agent: agent, name: run), RunKey(agent: nil, name: run)] {
            guard let used = runs[key]?.used else { continue }
            usage.tokens = usage.tokens.adding(saturating: used.tokens)
            usage.costUSD += used.cost(prices)
        }
        usage.agentCostUSD = agents[agent]?.cost(prices) ?? 0
        usage.teamCostUSD = teams[agent.team]?.cost(prices) ?? 0
        usage.environmentCostUSD = all.cost(prices)
        return usage
    }

    /// Models that were used today and have no price.
    func unpriced(_ policy: GatewayPolicy?) -> [[String]] { all.unpriced(policy?.prices ?? [:]) }
}

extension TraceID {
    /// 32 hexadecimal digits, as a run is called that is named by its trace.
    var hex: String {
        [high, low].map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}
