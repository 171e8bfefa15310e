package import EnsignModel

/// An agent's stable version, and the metrics whose `guard` is set.
package struct GuardedVersion: Sendable, Hashable {
    package var agent: AgentID
    package var stable: Change.Side
    package var metrics: [Analysis.Metric]
    /// The error of each metric: what the confidence leaves, shared among them.
    package var error: Double

    /// - Returns: nil when no metric is guarded. Prometheus metrics cannot be: without a canary they are not queried.
    package init?(_ agent: AgentID, _ stable: Change.Side, _ analysis: Analysis) {
        let metrics = analysis.metrics.filter { $0.guarding != .off && $0.query == nil }
        guard !metrics.isEmpty else { return nil }
        self.agent = agent
        self.stable = stable
        self.metrics = metrics
        error = (1 - analysis.confidence) / Double(metrics.count)
    }
}

/// A metric of a stable version that has drifted since that version became stable.
package struct BehaviourDrift: Sendable, Hashable {
    package var agent: AgentID
    package var stable: Change.Side
    package var metric: String
    /// Whether the agent is to be halted.
    package var halts: Bool
    /// When the run that showed it ended.
    package var time: Moment
    package var sentence: String
    /// Numbers for the ledger: the baseline and the samples since.
    package var numbers: Evidence.DriftedBehaviour.Numbers
}

/// Watches the stable versions of an environment's agents, each against its own baseline, as samples arrive. Pure: its
/// ``json`` and the samples that follow give the same drifts on any machine.
///
/// An agent starts again, with a new baseline, when its stable version or the guarded metrics change. O(1) for each
/// metric.
package struct GuardBook: Sendable, Hashable {
    private var agents: [AgentID: StableGuard] = [:]

    /// The number of metrics of all agents together.
    package private(set) var count = 0

    /// The most metrics that are watched, about 700 bytes each in the checkpoint; beyond it the longest idle agents are
    /// dropped, and start again when they next run.
    package static let maxMetrics = 50_000

    package init() {}

    /// Adds one sample, if it is one of the stable version and of a guarded metric.
    ///
    /// - Parameter now: When it was read. A restart that lies behind it was a clock's that was ahead: nobody knows what came before it, so all counts.
    /// - Returns: The drift that it showed, once for each metric until it starts again.
    package mutating func take(_ sample: Sample, _ version: GuardedVersion, now: Moment) -> BehaviourDrift? {
        let name = sample.metric.description
        guard sample.bundle == version.stable.digest,
            let index = version.metrics.firstIndex(where: { $0.name == name })
        else { return nil }
        // Taken out while it changes, which avoids copying its state for each sample.
        var watched: StableGuard
        if let known = agents.removeValue(forKey: version.agent) {
            count -= known.metrics.count
            watched = known.isAbout(version) ? known : StableGuard(version)
        } else {
            watched = StableGuard(version)
        }
        if count + watched.metrics.count > Self.maxMetrics { makeRoom() }
        if let since = watched.since, since.passed(by: now) != since { watched.since = nil }
        let drift = watched.take(sample, version, index)
        agents[version.agent] = watched
        count += watched.metrics.count
        return drift
    }

    /// Restarts the drifted metrics, with runs that start after a moment: somebody has looked into the drift.
    package mutating func restart(_ agent: AgentID, after moment: Moment) { agents[agent]?.restart(after: moment) }

    /// Agents that were halted for a drift, sorted.
    package var halted: [AgentID] { agents.filter { $0.value.hasHalted }.keys.sorted() }

    /// A sentence about each of an agent's metrics; empty when it is not watched.
    package func explanations(_ agent: AgentID) -> [String] { agents[agent]?.explanations ?? [] }

    private mutating func makeRoom() {
        // Drops many at once, so that the next ones cost nothing.
        let order = agents.sorted { ($0.value.latest, $0.key) < ($1.value.latest, $1.key) }
        for (agent, watched) in order.prefix(max(order.count / 20, 1)) {
            agents[agent] = nil
            count -= watched.metrics.count
        }
    }
}

/// One agent's guard.
private struct StableGuard: Sendable, Hashable {
    var stable: Digest
    var error: Double
    var metrics: [Watch]
    /// Runs that started earlier do not count.
    var since: Moment?
    /// When the newest run ended.
    var latest = Moment(nanoseconds: 0)
    var hasHalted = false

    /// One metric: its baseline is being recorded, or it is compared with its baseline.
    struct Watch: Sendable, Hashable {
        enum Phase: Sendable, Hashable {
            case recording(BaselineBuilder)
            /// With the recording of a sharper baseline; nil when that is done.
            case watching(Guard, BaselineBuilder?)
        }

        var phase: Phase
        /// When the runs of the baseline ended: from and to.
        var from: Moment?
        var until: Moment?
        /// The same for the recording.
        var reach: Moment?

        var metric: Analysis.Metric {
            switch phase {
            case .recording(let builder): builder.metric
            case .watching(let watched, _): watched.metric
            }
        }
    }

    init(_ version: GuardedVersion) {
        stable = version.stable.digest
        error = version.error
        metrics = version.metrics.map { Watch(phase: .recording(BaselineBuilder($0.measured))) }
    }

    func isAbout(_ version: GuardedVersion) -> Bool {
        stable == version.stable.digest && error == version.error
            && metrics.elementsEqual(version.metrics) { $0.metric == $1.measured }
    }

    /// - Parameter index: The index of the sample's metric.
    mutating func take(_ sample: Sample, _ version: GuardedVersion, _ index: Int) -> BehaviourDrift? {
        guard since.map({ sample.started > $0 }) ?? true, let value = sample.value(as: metrics[index].metric.kind)
        else { return nil }
        latest = max(latest, sample.time)
        guard let found = metrics[index].add(value, sample.time, error) else { return nil }
        let halts = version.metrics[index].guarding == .halt
        if halts { hasHalted = true }
        return BehaviourDrift(
            agent: version.agent,
            stable: version.stable,
            metric: metrics[index].metric.name,
            halts: halts,
            time: sample.time,
            sentence: found.explanation,
            numbers: metrics[index].numbers(found)
        )
    }

    mutating func restart(after moment: Moment) {
        guard metrics.contains(where: \.hasDrifted) else { return }
        since = moment
        hasHalted = false
        for index in metrics.indices where metrics[index].hasDrifted {
            metrics[index] = Watch(phase: .recording(BaselineBuilder(metrics[index].metric)))
        }
    }

    var explanations: [String] { metrics.map(\.explanation) }
}

extension StableGuard.Watch {
    var hasDrifted: Bool {
        guard case .watching(let watched, _) = phase else { return false }
        return watched.hasDrifted
    }

    /// - Returns: The guard, when it sees a drift with this sample for the first time.
    mutating func add(_ value: Double, _ time: Moment, _ error: Double) -> Guard? {
        switch phase {
        case .recording(var builder):
            record(value, time, &builder)
            if let baseline = builder.baseline(error: error) {
                until = reach
                phase = .watching(Guard(builder.metric, against: baseline, error: error), builder)
            } else {
                phase = .recording(builder)
            }
            return nil
        case .watching(var watched, var builder):
            let before = watched.hasDrifted
            // Compared with what was recorded before it.
            watched.add(value)
            if var recording = builder {
                record(value, time, &recording)
                if recording.isDue, let baseline = recording.baseline(error: error), watched.sharpen(baseline) {
                    until = reach
                }
                builder = recording.isFull || watched.hasDrifted ? nil : recording
            }
            phase = .watching(watched, builder)
            return watched.hasDrifted && !before ? watched : nil
        }
    }

    private mutating func record(_ value: Double, _ time: Moment, _ builder: inout BaselineBuilder) {
        let before = builder.count
        builder.add(value)
        guard builder.count > before else { return }
        from = min(from ?? time, time)
        reach = max(reach ?? time, time)
    }

    func numbers(_ watched: Guard) -> Evidence.DriftedBehaviour.Numbers {
        Evidence.DriftedBehaviour.Numbers(
            baseline: Evidence.DriftedBehaviour.Numbers.Baseline(
                value: Decimal.rounded(watched.baseline.value(watched.metric)),
                samples: Double(watched.baseline.count),
                from: from?.timestamp,
                until: until?.timestamp
            ),
            since: Evidence.DriftedBehaviour.Numbers.Recent(
                value: Decimal.rounded(watched.recentValue),
                samples: watched.count,
                rejected: watched.rejected
            ),
            unit: watched.metric.unit
        )
    }

    var explanation: String {
        switch phase {
        case .recording(let builder):
            "\(builder.metric.name): its baseline is being recorded: \(builder.count) of \(builder.length) samples"
        case .watching(let watched, _): watched.explanation
        }
    }
}

extension Analysis.Metric {
    /// The metric without its reaction to a drift: a change of that restarts nothing.
    fileprivate var measured: Analysis.Metric {
        var metric = self
        metric.guarding = .report
        return metric
    }

    fileprivate var json: JSONValue {
        let size: (String, Double) =
            switch margin {
            case .absolute(let value): ("absolute", value)
            case .relative(let value): ("relative", value)
            }
        return [
            "name": .string(name), "kind": .string(kind.rawValue), "good": good.map { .bool($0) } ?? .null,
            "unit": unit.map { .string($0) } ?? .null, "margin": [.string(size.0), JSONValue(size.1)],
        ]
    }

    fileprivate init?(json: JSONValue) {
        guard let name = json["name"]?.string, let kind = json["kind"]?.string.flatMap({ Analysis.Kind(rawValue: $0) }),
            let good = json["good"], let unit = json["unit"], let size = json["margin"]?[1]?.double, size >= 0
        else { return nil }
        let margin: Analysis.Margin
        switch json["margin"]?[0]?.string {
        case "absolute": margin = .absolute(size)
        case "relative": margin = .relative(size)
        default: return nil
        }
        self.init(name: name, kind: kind, good: good.bool, unit: unit.string, margin: margin, guarding: .report)
    }
}

// MARK: - State

extension GuardBook {
    /// Everything that later samples need.
    package var json: JSONValue {
        .array(
            agents.sorted { $0.key < $1.key }.map { ["agent": .string($0.key.description), "guard": $0.value.json] }
        )
    }

    /// Continues from a state; nil if it is not one.
    package init?(json: JSONValue) {
        guard let items = json.array else { return nil }
        for item in items {
            guard let agent = item["agent"]?.string.flatMap({ AgentID($0) }),
                let watched = item["guard"].flatMap({ StableGuard(json: $0) })
            else { return nil }
            agents[agent] = watched
        }
        count = agents.values.reduce(0) { $0 + $1.metrics.count }
    }
}

extension StableGuard {
    var json: JSONValue {
        [
            "stable": .string(stable.description), "error": JSONValue(error),
            "since": since.map { .integer($0.nanoseconds) } ?? .null, "latest": .integer(latest.nanoseconds),
            "halted": .bool(hasHalted), "metrics": .array(metrics.map(\.json)),
        ]
    }

    init?(json: JSONValue) {
        guard let stable = json["stable"]?.string.flatMap({ Digest($0) }), let error = json["error"]?.double,
            error > 0, error < 1, let since = json["since"], let latest = json["latest"]?.int,
            let halted = json["halted"]?.bool, let values = json["metrics"]?.array
        else { return nil }
        let metrics = values.compactMap { Watch(json: $0) }
        guard metrics.count == values.count else { return nil }
        self.stable = stable
        self.error = error
        self.metrics = metrics
        self.since = since.int.map { Moment(nanoseconds: $0) }
        self.latest = Moment(nanoseconds: latest)
        hasHalted = halted
    }
}

extension StableGuard.Watch {
    var json: JSONValue {
        let (watched, builder): (Guard?, BaselineBuilder?) =
            switch phase {
            case .recording(let builder): (nil, builder)
            case .watching(let watched, let builder): (watched, builder)
            }
        func time(_ moment: Moment?) -> JSONValue { moment.map { .integer($0.nanoseconds) } ?? .null }
        return [
            "metric": metric.json, "recording": builder?.state ?? .null, "watching": watched?.state ?? .null,
            "times": [time(from), time(until), time(reach)],
        ]
    }

    init?(json: JSONValue) {
        guard let metric = json["metric"].flatMap({ Analysis.Metric(json: $0) }), let recording = json["recording"],
            let watching = json["watching"], let times = json["times"]?.array, times.count == 3
        else { return nil }
        let builder = BaselineBuilder(metric, state: recording)
        let watched = Guard(metric, state: watching)
        guard (builder == nil) == recording.isNull, (watched == nil) == watching.isNull else { return nil }
        switch (watched, builder) {
        case (let watched?, let builder): phase = .watching(watched, builder)
        case (nil, let builder?): phase = .recording(builder)
        case (nil, nil): return nil
        }
        let moments = times.map { $0.int.map { Moment(nanoseconds: $0) } }
        (from, until, reach) = (moments[0], moments[1], moments[2])
    }
}

extension BehaviourDrift {
    /// As an entry of kind `drift` records it: nothing was deployed, so both sides are the stable version.
    package var change: Change {
        var evidence = Evidence(
            reason: sentence,
            behaviour: Evidence.DriftedBehaviour(metric: metric, halts: halts, numbers: numbers)
        )
        evidence.at = time.timestamp
        return Change(
            agent: agent,
            action: .update,
            from: stable,
            to: stable,
            kind: .behaviour,
            evidence: evidence
        )
    }

    package var json: JSONValue {
        [
            "agent": .string(agent.description), "stable": stable.json, "metric": .string(metric),
            "halts": .bool(halts), "time": .integer(time.nanoseconds), "sentence": .string(sentence),
            "numbers": numbers.json,
        ]
    }

    package init?(json: JSONValue) {
        guard let agent = json["agent"]?.string.flatMap({ AgentID($0) }),
            let stable = json["stable"].flatMap({ Change.Side(json: $0) }), let metric = json["metric"]?.string,
            let halts = json["halts"]?.bool, let time = json["time"]?.int, let sentence = json["sentence"]?.string,
            let numbers = json["numbers"].flatMap({ Evidence.DriftedBehaviour.Numbers(json: $0) })
        else { return nil }
        self.init(
            agent: agent,
            stable: stable,
            metric: metric,
            halts: halts,
            time: Moment(nanoseconds: time),
            sentence: sentence,
            numbers: numbers
        )
    }
}
