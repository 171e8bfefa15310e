package import EnsignModel
import Glibc

/// How much an agent runs and what its stable version's metrics look like: a plan predicts from this what a canary will
/// see.
///
/// O(1) in size. Older samples count less: half after a day.
package struct Traffic: Sendable, Hashable {
    /// When the first known run ended.
    package var first: Moment
    /// When the newest one did; the sums below are as of then.
    package var latest: Moment
    /// Runs of any version.
    package var runs: Double
    /// By metric, for the stable version.
    package var metrics: [String: Tally]
    /// Calls of any version, and those of them whose arguments say something.
    package var calls: Int64 = 0
    package var callsWithArguments: Int64 = 0

    /// Decayed sums over one metric's samples.
    package struct Tally: Sendable, Hashable {
        package var weight = 0.0
        package var sum = 0.0
        /// Samples that say whether the event happened, and those in which it did.
        package var told = 0.0
        package var happened = 0.0
        /// Values above 0, and the sums of their logarithms and of the squares of those.
        package var positive = 0.0
        package var logs = 0.0
        package var squares = 0.0

        package init() {}
    }

    package init(first: Moment, latest: Moment, runs: Double, metrics: [String: Tally]) {
        self.first = first
        self.latest = latest
        self.runs = runs
        self.metrics = metrics
    }

    private static let halfLife = 24.0
    private static let maxMetrics = 24
    /// The number of decayed samples below which nothing is concluded.
    private static let fewest = 20.0

    /// The share that is left after this many hours.
    private static func decay(_ hours: Double) -> Double { exp2(-max(hours, 0) / halfLife) }

    private static func hours(_ from: Moment, _ to: Moment) -> Double { Double(to.nanoseconds(since: from)) / 3.6e12 }

    package mutating func take(_ sample: Sample, isStable: Bool) {
        first = min(first, sample.time)
        if sample.time > latest {
            let factor = Self.decay(Self.hours(latest, sample.time))
            latest = sample.time
            runs *= factor
            for name in metrics.keys { metrics[name]?.decay(factor) }
        }
        let weight = Self.decay(Self.hours(sample.time, latest))
        // Each run gives one sample of this.
        if sample.metric == .success { runs += weight }
        let name = sample.metric.description
        guard isStable, metrics[name] != nil || metrics.count < Self.maxMetrics else { return }
        metrics[name, default: Tally()].add(sample, weight)
    }

    /// Takes a call, as it is known.
    package mutating func take(call: ToolCall) {
        // Of a call that is reported in pieces, one has the name.
        if call.isNamed { calls = calls.adding(saturating: 1) }
        if call.arguments != nil { callsWithArguments = callsWithArguments.adding(saturating: 1) }
    }

    /// Runs of the stable version that were counted lately; nil if there were hardly any.
    package var recentRuns: Int64? {
        let weight = metrics[MetricName.success.description]?.weight ?? 0
        return weight >= Self.fewest ? Int64(weight) : nil
    }

    /// Recent runs of all versions in an hour; nil when there were hardly any.
    package func runsPerHour(at now: Moment) -> Double? {
        let left = runs * Self.decay(Self.hours(latest, now))
        guard left >= 1 else { return nil }
        // Less than an hour says little about an hour.
        let age = max(Self.hours(first, now), 1)
        return left / (Self.halfLife / log(2) * (1 - Self.decay(age)))
    }

    /// What the stable version's runs said of a rate, as values that stand for them: as many as are left of their weight,
    /// at most as many as a judge lays by, and as many of them 1.
    ///
    /// Of runs that do not depend on each other, with the sums alone known, each order is as probable as any other. So
    /// they come in an order that has nothing to do with them: from a generator whose seed is fixed.
    func outcomes(of metric: Analysis.Metric) -> [Double] {
        guard let tally = metrics[metric.name], tally.told >= Self.fewest else { return [] }
        let count = Int(min(tally.told, Double(SampleQueue.limit)).rounded())
        let happened = Int((tally.happened / tally.told * Double(count)).rounded())
        var values = (0..<count).map { $0 < happened ? 1.0 : 0 }
        // A linear congruential generator (Knuth, "The Art of Computer Programming" 2, section 3.3.4), and Fisher and
        // Yates's shuffle (the same, section 3.4.2).
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        for last in values.indices.dropFirst().reversed() {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            values.swapAt(last, Int(state >> 33) % (last + 1))
        }
        return values
    }

    /// What to expect of an analysis's metrics, as far as known.
    package func expectations(_ analysis: Analysis) -> [String: Power.Expectation] {
        guard let counted = metrics[MetricName.success.description]?.weight, counted >= Self.fewest else { return [:] }
        var expected: [String: Power.Expectation] = [:]
        for metric in analysis.metrics where metric.query == nil {
            let tally = metrics[metric.name] ?? Tally()
            var expectation = Power.Expectation(perRun: min(tally.weight / counted, 10))
            switch metric.kind {
            case .rate:
                // No errors so far does not mean never.
                if tally.told >= Self.fewest {
                    expectation.value = (tally.happened + 0.5) / (tally.told + 1)
                    if tally.happened == 0 { expectation.positive = 0 }
                }
            case .distribution, .count:
                if tally.weight >= Self.fewest {
                    expectation.value = tally.sum / tally.weight
                    expectation.positive = min(tally.positive / tally.weight, 1)
                }
                if tally.positive >= Self.fewest {
                    let mean = tally.logs / tally.positive
                    expectation.spread = max(tally.squares / tally.positive - mean * mean, 0).squareRoot()
                }
            }
            expected[metric.name] = expectation
        }
        return expected
    }
}

extension Traffic.Tally {
    fileprivate mutating func decay(_ factor: Double) {
        weight *= factor
        sum *= factor
        told *= factor
        happened *= factor
        positive *= factor
        logs *= factor
        squares *= factor
    }

    fileprivate mutating func add(_ sample: Sample, _ share: Double) {
        let value = sample.value
        guard value.isFinite, abs(value) <= MetricJudge.largestValue else { return }
        weight += share
        sum += share * value
        if let occurred = sample.occurred {
            told += share
            if occurred { happened += share }
        }
        guard value > 0 else { return }
        let level = log(value)
        positive += share
        logs += share * level
        squares += share * level * level
    }
}

/// The traffic of an environment's agents.
package struct TrafficBook: Sendable, Hashable {
    package private(set) var agents: [AgentID: Traffic]

    /// Beyond it the longest idle agents are dropped.
    package static let maxAgents = 20_000

    package init(_ agents: [AgentID: Traffic] = [:]) {
        self.agents = agents
    }

    /// - Parameter stable: The digest of the agent's stable version.
    package mutating func take(_ sample: Sample, stable: Digest?) {
        var traffic: Traffic
        if let known = agents.removeValue(forKey: sample.agent) {
            traffic = known
        } else {
            makeRoom()
            traffic = Traffic(first: sample.time, latest: sample.time, runs: 0, metrics: [:])
        }
        traffic.take(sample, isStable: sample.bundle == stable)
        agents[sample.agent] = traffic
    }

    /// Takes a call, which mostly is known before the run that it belongs to.
    package mutating func take(_ call: ToolCall, of agent: AgentID, at time: Moment) {
        if agents[agent] == nil {
            makeRoom()
            agents[agent] = Traffic(first: time, latest: time, runs: 0, metrics: [:])
        }
        agents[agent]?.take(call: call)
    }

    private mutating func makeRoom() {
        guard agents.count >= Self.maxAgents else { return }
        let order = agents.sorted { ($0.value.latest, $0.key) < ($1.value.latest, $1.key) }
        for (agent, _) in order.prefix(Self.maxAgents / 20) { agents[agent] = nil }
    }
}

extension Traffic {
    /// One agent's line of the traffic file.
    package func json(_ agent: AgentID) -> JSONValue {
        var object: JSONObject = [
            "agent": .string(agent.description), "first": .integer(first.nanoseconds),
            "latest": .integer(latest.nanoseconds), "runs": JSONValue(Decimal.rounded(runs)),
            "metrics": .object(JSONObject(metrics.map { ($0.key, $0.value.json) })),
        ]
        if calls > 0 { object["calls"] = [.integer(calls), .integer(callsWithArguments)] }
        return .object(object)
    }

    package init?(json: JSONValue) {
        guard let first = json["first"]?.int, let latest = json["latest"]?.int, let runs = json["runs"]?.double,
            runs >= 0, let values = json["metrics"]?.object
        else { return nil }
        self.init(first: Moment(nanoseconds: first), latest: Moment(nanoseconds: latest), runs: runs, metrics: [:])
        for (name, value) in values {
            guard let tally = Tally(json: value) else { return nil }
            metrics[name] = tally
        }
        calls = json["calls"]?[0]?.int ?? 0
        callsWithArguments = json["calls"]?[1]?.int ?? 0
    }
}

extension Traffic.Tally {
    fileprivate var json: JSONValue {
        .doubles([weight, sum, told, happened, positive, logs, squares].map(Decimal.rounded))
    }

    fileprivate init?(json: JSONValue) {
        guard let values = json.doubles, values.count == 7 else { return nil }
        (weight, sum, told, happened) = (values[0], values[1], values[2], values[3])
        (positive, logs, squares) = (values[4], values[5], values[6])
    }
}
