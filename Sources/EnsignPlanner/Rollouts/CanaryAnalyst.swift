package import EnsignModel

/// Judges the canaries of an environment on the samples of their runs, as they come. Pure: its ``json`` and the samples
/// that follow give the same verdicts on any machine.
///
/// One trial for each canary. It begins anew when the candidate, the stable version or the analysis changes, and when
/// both routes are narrowed: what was measured before is about something else.
package struct CanaryAnalyst: Sendable, Hashable {
    private var trials: [AgentID: Trial] = [:]

    private struct Trial: Sendable, Hashable {
        var candidate: Digest
        var stable: Digest
        /// Runs that started before do not count.
        var since: Timestamp
        var judge: Judge

        func isAbout(_ canary: WatchedCanary) -> Bool {
            candidate == canary.candidate && stable == canary.stable && since == canary.since
                && judge.analysis == canary.analysis
        }
    }

    package init() {}

    /// Takes up canaries that are new or changed, and forgets those that are over.
    package mutating func follow(_ canaries: [WatchedCanary]) {
        var next: [AgentID: Trial] = [:]
        for canary in canaries {
            if let known = trials[canary.agent], known.isAbout(canary) {
                next[canary.agent] = known
            } else {
                next[canary.agent] = Trial(
                    candidate: canary.candidate,
                    stable: canary.stable,
                    since: canary.since,
                    judge: Judge(canary.analysis)
                )
            }
        }
        trials = next
    }

    /// Adds samples in the order in which they were read.
    package mutating func take(_ samples: [Sample]) {
        for sample in samples {
            guard var trial = trials[sample.agent] else { continue }
            let variant: Variant
            switch sample.bundle {
            case trial.candidate: variant = .canary
            case trial.stable: variant = .stable
            default: continue
            }
            guard sample.started >= Moment(trial.since) else { continue }
            let name = sample.metric.description
            guard let index = trial.judge.metrics.firstIndex(where: { $0.metric.name == name }) else { continue }
            let value: Double
            switch trial.judge.metrics[index].metric.kind {
            case .rate:
                guard let occurred = sample.occurred else { continue }
                value = occurred ? 1 : 0
            case .distribution, .count: value = sample.value
            }
            // A trial is taken out while it changes: no copy of a judge's state for each sample.
            trials[sample.agent] = nil
            trial.judge.add(value, metricAt: index, variant)
            trials[sample.agent] = trial
        }
    }

    /// Whether a canary's verdict has been reached, so that its rollout should be looked at.
    package var decided: Set<AgentID> { Set(trials.filter { $0.value.judge.decision != nil }.keys) }

    /// What is known about a canary now.
    package func verdict(_ canary: WatchedCanary) -> CanaryVerdict {
        guard let trial = trials[canary.agent], trial.isAbout(canary) else { return CanaryVerdict(.noData) }
        let outcome: CanaryVerdict.Outcome =
            switch trial.judge.verdict {
            case .pass: .pass
            case .fail: .fail
            case .inconclusive: .inconclusive
            case .noData: .noData
            case .error: .error
            }
        return CanaryVerdict(outcome, evidence: trial.judge.evidence)
    }
}

/// A canary as the analysis sees it.
package struct WatchedCanary: Sendable, Hashable {
    package var agent: AgentID
    package var candidate: Digest
    package var stable: Digest
    package var since: Timestamp
    package var analysis: Analysis

    /// - Returns: nil when there is no canary under way, or nothing that judges it.
    package init?(_ agent: AgentID, _ state: AgentState, _ canary: Canary) {
        guard let stable = state.stable, let (candidate, progress) = state.canary, let analysis = canary.analysis else {
            return nil
        }
        self.agent = agent
        self.candidate = candidate.side.digest
        self.stable = stable.digest
        since = progress.evidenceSince
        self.analysis = analysis
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
                        "judge": trial.judge.state,
                    ]
                }
            ),
        ]
    }

    /// Goes on where a state ended, as far as it is about these canaries.
    package init(json: JSONValue?, canaries: [WatchedCanary]) {
        self.init()
        let known = Dictionary(canaries.map { ($0.agent, $0) }) { first, _ in first }
        for item in json?["v"]?.int == 1 ? json?["trials"]?.array ?? [] : [] {
            guard let agent = item["agent"]?.string.flatMap({ AgentID($0) }), let canary = known[agent],
                let candidate = item["candidate"]?.string.flatMap({ Digest($0) }),
                let stable = item["stable"]?.string.flatMap({ Digest($0) }),
                let since = item["since"]?.string.flatMap({ Timestamp($0) }),
                let judge = item["judge"].flatMap({ Judge(canary.analysis, state: $0) })
            else { continue }
            trials[agent] = Trial(candidate: candidate, stable: stable, since: since, judge: judge)
        }
        follow(canaries)
    }
}
