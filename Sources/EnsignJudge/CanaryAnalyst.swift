package import EnsignModel

/// Judges an environment's canaries on the samples of their runs, as they arrive. Pure: its ``json`` and the samples
/// that follow give the same verdicts on any machine.
///
/// One trial for each canary. It restarts when the candidate, the stable version or the analysis changes, and when both
/// routes are narrowed: earlier measurements are about something else.
package struct CanaryAnalyst: Sendable, Hashable {
    private var trials: [AgentID: Trial] = [:]

    fileprivate struct Trial: Sendable, Hashable {
        var candidate: Digest
        var stable: Digest
        /// Runs that started before do not count.
        var since: Timestamp
        var judge: Judge
        /// How many points of each Prometheus metric were taken.
        var taken: [String: Int64] = [:]
        /// Why Prometheus metrics could not be read the last time.
        var unreadable: [String: String] = [:]
        /// Whether runs of the two versions show calls.
        var canaryCalls = CallWitness()
        var stableCalls = CallWitness()
        var sessions = SessionWindow()

        func isAbout(_ canary: WatchedCanary) -> Bool {
            candidate == canary.candidate && stable == canary.stable && since == canary.since
                && judge.analysis == canary.analysis
        }
    }

    package init() {}

    /// Adds new and changed canaries, and forgets finished ones.
    package mutating func follow(_ canaries: [WatchedCanary]) {
        var next: [AgentID: Trial] = [:]
        for canary in canaries {
            var trial =
                trials[canary.agent].flatMap { $0.isAbout(canary) ? $0 : nil }
                ?? Trial(
                    candidate: canary.candidate,
                    stable: canary.stable,
                    since: canary.since,
                    judge: Judge(canary.analysis)
                )
            trial.canaryCalls.granted = canary.candidateOperations
            trial.stableCalls.granted = canary.stableOperations
            trial.judge.stage = canary.stage
            next[canary.agent] = trial
        }
        trials = next
    }

    /// Takes what stable versions did before their canaries, where a canary was alone from its first step on and so will
    /// never run beside one. Of sizes the record has no values, so metrics of sizes say nothing there.
    ///
    /// - Parameter traffic: The record of an agent; nil without one.
    package mutating func remember(_ traffic: (AgentID) -> Traffic?) {
        for (agent, trial) in trials where trial.judge.isUntouched && trial.judge.stage == .alone {
            guard let record = traffic(agent) else { continue }
            for (index, metric) in trial.judge.analysis.metrics.enumerated() where metric.kind == .rate {
                trials[agent]?.judge.remember(record.outcomes(of: metric), metricAt: index)
            }
        }
    }

    /// Adds samples in the order of time: when their runs ended. Those of one moment stay as they were read.
    ///
    /// Files are read one after the other, and after a pause each has much to tell. In the order of reading the end of
    /// one version's file would meet the beginning of the other's.
    package mutating func take(_ samples: [Sample]) {
        for sample in samples.inOrderOfTime {
            // The trial is taken out while it changes, which avoids copying a judge's state for each sample.
            guard var trial = trials.removeValue(forKey: sample.agent) else { continue }
            trial.take(sample)
            trials[sample.agent] = trial
        }
    }

    // MARK: Prometheus

    /// The queries still to send to Prometheus for these canaries; the metrics furthest behind come first.
    package func requests(_ canaries: [WatchedCanary], now: Moment) -> [SeriesRequest] {
        waiting(canaries).compactMap { SeriesRequest($0.canary, $0.metric, taken: $0.taken, now: now) }
            .sorted { one, other in
                if one.missing != other.missing { return one.missing > other.missing }
                return (one.canary.agent, one.metric) < (other.canary.agent, other.metric)
            }
    }

    /// When the next query is due; nil when there is none.
    package func due(_ canaries: [WatchedCanary]) -> Moment? {
        waiting(canaries).compactMap { waiting in
            waiting.metric.query.map { SeriesRequest.due(waiting.canary, $0, taken: waiting.taken) }
        }.min()
    }

    /// Metrics whose points still matter: before the verdict, and after it while it waits for an answer.
    private func waiting(
        _ canaries: [WatchedCanary]
    ) -> [(canary: WatchedCanary, metric: Analysis.Metric, taken: Int64)] {
        canaries.flatMap { canary in
            let trial = trials[canary.agent].flatMap { $0.isAbout(canary) ? $0 : nil }
            return canary.analysis.metrics.filter { $0.query != nil }.filter { metric in
                trial.map { $0.judge.decision == nil || $0.unreadable[metric.name] != nil } ?? true
            }.map { (canary, $0, trial?.taken[$0.name] ?? 0) }
        }
    }

    /// Adds what Prometheus answered. A repeated or late answer changes nothing.
    package mutating func take(_ answer: SeriesAnswer) {
        let (agent, name) = (answer.request.canary.agent, answer.request.metric)
        guard var trial = trials[agent], trial.isAbout(answer.request.canary),
            trial.judge.decision == nil || trial.unreadable[name] != nil,
            let index = trial.judge.metrics.firstIndex(where: { $0.metric.name == name }),
            trial.judge.metrics[index].metric.query == answer.request.query
        else { return }
        let taken = trial.taken[name] ?? 0
        // An answer after a gap: the count was lost, so the query is repeated.
        guard answer.request.taken <= taken else { return }
        trials[agent] = nil
        switch answer.outcome {
        case .samples(let samples) where answer.request.last > taken:
            for sample in samples where sample.point > taken {
                trial.judge.add(sample.value, metricAt: index, sample.variant)
            }
            trial.taken[name] = answer.request.last
            trial.unreadable[name] = nil
        case .samples: break
        case .unreadable(let why):
            if answer.request.taken == taken { trial.unreadable[name] = why.cut(utf8: 300) }
        }
        trials[agent] = trial
    }

    /// Notes that no Prometheus metric can be read at all.
    package mutating func cannotRead(_ canaries: [WatchedCanary], because why: String) {
        for canary in canaries {
            guard var trial = trials[canary.agent], trial.isAbout(canary), trial.judge.decision == nil else { continue }
            for metric in canary.analysis.metrics where metric.query != nil { trial.unreadable[metric.name] = why }
            trials[canary.agent] = trial
        }
    }

    /// What is known about a canary now.
    package func verdict(_ canary: WatchedCanary) -> CanaryVerdict {
        guard let trial = trials[canary.agent], trial.isAbout(canary) else { return CanaryVerdict(.noData) }
        // No pass while a metric's present value is unknown, or while metrics of calls say nothing because no calls are
        // seen.
        let report = trial.judge.report(unreadable: trial.unreadable, silences: trial.silences)
        return CanaryVerdict(report.verdict, report: report, notes: trial.sessions.notes)
    }
}

extension Sample {
    /// The value that a metric of this kind takes from the sample; nil if the sample has none.
    func value(as kind: Analysis.Kind) -> Double? {
        switch kind {
        case .rate: occurred.map { $0 ? 1 : 0 }
        case .distribution, .count: value
        }
    }
}

extension [Sample] {
    /// By the time at which runs ended; those of one moment stay in their order.
    package var inOrderOfTime: [Sample] {
        guard !zip(self, dropFirst()).allSatisfy({ $0.time <= $1.time }) else { return self }
        return indices.sorted { (self[$0].time, $0) < (self[$1].time, $1) }.map { self[$0] }
    }
}

/// A canary as the analysis sees it.
package struct WatchedCanary: Sendable, Hashable {
    package var agent: AgentID
    package var candidate: Digest
    package var candidateVersion: AgentVersion
    package var stable: Digest
    package var stableVersion: AgentVersion
    package var since: Timestamp
    package var analysis: Analysis
    /// How much of the stable version is left beside it.
    package var stage: CanaryStage
    /// How many operations the two are granted; nil if unknown.
    package var candidateOperations: Int?
    package var stableOperations: Int?

    /// - Returns: nil without a canary under way, or without an analysis that judges it.
    package init?(_ agent: AgentID, _ state: AgentState, _ canary: Canary) {
        guard let stable = state.stable, let (candidate, progress) = state.canary, let analysis = canary.analysis else {
            return nil
        }
        self.agent = agent
        self.candidate = candidate.side.digest
        candidateVersion = candidate.side.version
        self.stable = stable.digest
        stableVersion = stable.version
        since = progress.evidenceSince
        self.analysis = analysis
        stage = CanaryStage(weight: progress.weight, steps: canary.steps)
    }
}

extension CanaryAnalyst {
    /// Everything that later samples need.
    package var json: JSONValue {
        [
            "v": 1,
            "trials": .array(
                trials.sorted { $0.key < $1.key }.map { agent, trial in
                    [
                        "agent": .string(agent.description), "candidate": .string(trial.candidate.description),
                        "stable": .string(trial.stable.description), "since": .string(trial.since.description),
                        "judge": trial.judge.state, "analysis": trial.judge.analysis.measured,
                        "series": .array(trial.series), "calls": [trial.canaryCalls.json, trial.stableCalls.json],
                        "sessions": trial.sessions.json,
                    ]
                }
            ),
        ]
    }

    /// Continues from a state, as far as it is about these canaries.
    package init(json: JSONValue?, canaries: [WatchedCanary]) {
        self.init()
        let known = Dictionary(canaries.map { ($0.agent, $0) }) { first, _ in first }
        for item in json?["v"]?.int == 1 ? json?["trials"]?.array ?? [] : [] {
            guard let agent = item["agent"]?.string.flatMap({ AgentID($0) }), let canary = known[agent],
                let candidate = item["candidate"]?.string.flatMap({ Digest($0) }),
                let stable = item["stable"]?.string.flatMap({ Digest($0) }),
                let since = item["since"]?.string.flatMap({ Timestamp($0) }),
                // Numbers for another question do not answer this one.
                item["analysis"] == canary.analysis.measured,
                let judge = item["judge"].flatMap({ Judge(canary.analysis, state: $0) })
            else { continue }
            var trial = Trial(candidate: candidate, stable: stable, since: since, judge: judge)
            if let calls = CallWitness(json: item["calls"]?[0] ?? .null, granted: canary.candidateOperations),
                let stableCalls = CallWitness(json: item["calls"]?[1] ?? .null, granted: canary.stableOperations)
            {
                (trial.canaryCalls, trial.stableCalls) = (calls, stableCalls)
            } else if canary.analysis.hasMetricsOfCalls {
                // Written by an older version, which counted runs without calls as runs without errors.
                continue
            }
            trial.read(item["series"]?.array ?? [])
            trial.sessions = item["sessions"].flatMap { SessionWindow(json: $0) } ?? SessionWindow()
            trials[agent] = trial
        }
        follow(canaries)
    }
}

extension CanaryAnalyst.Trial {
    fileprivate mutating func take(_ sample: Sample) {
        guard sample.started >= Moment(since) else { return }
        let variant: Variant
        let isAdmitted: Bool
        switch sample.bundle {
        case candidate: (variant, isAdmitted) = (.canary, canaryCalls.admits(sample))
        case stable: (variant, isAdmitted) = (.stable, stableCalls.admits(sample))
        default: return
        }
        let name = sample.metric.description
        guard isAdmitted, let index = judge.metrics.firstIndex(where: { $0.metric.name == name }),
            let value = sample.value(as: judge.metrics[index].metric.kind), sessions.admits(sample, metricAt: index)
        else { return }
        judge.add(value, metricAt: index, variant)
    }

    /// Why metrics of calls say nothing, by name; empty when they say something.
    fileprivate var silences: [String: String] {
        let why = [canaryCalls.silence(of: "the canary"), stableCalls.silence(of: "the stable version")]
            .compactMap { $0 }
        guard !why.isEmpty else { return [:] }
        let names = judge.analysis.metrics.filter(\.isOfCalls).map(\.name)
        return Dictionary(names.map { ($0, why.joined(separator: "; ")) }) { first, _ in first }
    }

    fileprivate var series: [JSONValue] {
        Set(taken.keys).union(unreadable.keys).sorted().map { name in
            [
                "metric": .string(name), "taken": .integer(taken[name] ?? 0),
                "error": unreadable[name].map { .string($0) } ?? .null,
            ]
        }
    }

    fileprivate mutating func read(_ series: [JSONValue]) {
        for item in series {
            guard let name = item["metric"]?.string, let count = item["taken"]?.count else { continue }
            taken[name] = count
            unreadable[name] = item["error"]?.string
        }
    }
}

extension Analysis.Metric {
    fileprivate var isOfCalls: Bool { MetricName(name)?.isOfCalls ?? false }
}

extension Analysis {
    fileprivate var hasMetricsOfCalls: Bool { metrics.contains(where: \.isOfCalls) }

    /// What is measured, and how it is judged: after a change here, earlier counts mean nothing.
    fileprivate var measured: JSONValue {
        [
            "confidence": JSONValue(confidence),
            "metrics": .array(
                metrics.map { metric in
                    let margin: JSONValue =
                        switch metric.margin {
                        case .absolute(let value): ["absolute": JSONValue(value)]
                        case .relative(let share): ["relative": JSONValue(share)]
                        }
                    return [
                        "name": .string(metric.name), "kind": .string(metric.kind.rawValue),
                        "good": metric.good.map { .bool($0) } ?? .null, "margin": margin,
                        "query": metric.query.map { .string($0.text) } ?? .null,
                        "step": metric.query.map { .integer($0.step.milliseconds) } ?? .null,
                    ]
                }
            ),
        ]
    }
}
