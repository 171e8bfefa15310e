package import EnsignModel

/// Judges a candidate against the stable version, sample by sample, as an ``Analysis`` asks.
///
/// Pure: the same samples in the same order give the same verdict, in one go or resumed from ``state``. Each verdict
/// holds however often and whenever one looks, and for whatever reason one stops (docs/judge.md).
///
/// - `fail`: the average of the metrics' ``MetricJudge/failEvidence`` reaches `1 / (1 - confidence)`. An average of
///   e-processes is one, whatever their dependence (Vovk and Wang, "E-values: calibration, combination and
///   applications" (2021), section 3), so a candidate that is at least as good in every metric fails with probability
///   at most `1 - confidence`. It fails no later than with each metric tested at its share of the error.
/// - `pass`: each metric passes at the full error. Only a false pass of every metric that is worse lets a bad candidate
///   through: an intersection-union test needs no correction (Berger, "Multiparameter hypothesis testing and acceptance
///   sampling" (1982), Theorem 1).
package struct Judge: Sendable, Hashable {
    package let analysis: Analysis
    package private(set) var metrics: [MetricJudge]
    /// `pass` or `fail`, set once.
    package private(set) var decision: Verdict?

    package init(_ analysis: Analysis) {
        self.analysis = analysis
        metrics = analysis.metrics.map(MetricJudge.init)
    }

    /// The highest probability of a wrong verdict of either kind.
    package var error: Double { 1 - analysis.confidence }

    /// Adds a sample and updates the verdict.
    ///
    /// After the verdict samples change nothing.
    ///
    /// - Returns: False if the analysis has no such metric.
    @discardableResult
    package mutating func add(_ value: Double, metric name: String, _ variant: Variant) -> Bool {
        guard let index = metrics.firstIndex(where: { $0.metric.name == name }) else { return false }
        add(value, metricAt: index, variant)
        return true
    }

    /// Adds a sample of a metric by its index in the analysis, and updates the verdict.
    package mutating func add(_ value: Double, metricAt index: Int, _ variant: Variant) {
        guard decision == nil else { return }
        metrics[index].add(value, variant, passError: error)
        look()
    }

    /// How much of the stable version is left beside the canary. It decides what is laid by, whatever values are.
    package var stage: CanaryStage {
        get { metrics.first?.stage ?? .beside }
        set { for index in metrics.indices { metrics[index].stage = newValue } }
    }

    /// Whether nothing was taken yet.
    var isUntouched: Bool {
        metrics.allSatisfy {
            $0.stable.count == 0 && $0.canary.count == 0 && $0.stable.rejected == 0 && $0.canary.rejected == 0
        }
    }

    /// Takes values of the stable version from before, for a canary that is alone from the start. Exchangeable ones: any
    /// order of them must be as probable as this one.
    package mutating func remember(_ values: [Double], metricAt index: Int) { metrics[index].remember(values) }

    private mutating func look() {
        let threshold = 1 / error
        var evidence = 0.0
        var allPass = true
        for metric in metrics {
            evidence += metric.failEvidence
            if metric.decision != .pass { allPass = false }
        }
        if evidence >= threshold * Double(metrics.count) {
            decision = .fail
            for index in failing(threshold) { metrics[index].decision = .fail }
        } else if allPass {
            decision = .pass
        }
    }

    /// The metrics that are worse on their own: their average with every set of others reaches the threshold (closed
    /// testing; Vovk and Wang, "Confidence and discoveries with e-values" (2023)).
    private func failing(_ threshold: Double) -> [Int] {
        let gaps = metrics.map { $0.failEvidence - threshold }
        let shortfall = gaps.reduce(0) { $0 + min($1, 0) }
        return gaps.indices.filter { gaps[$0] >= 0 && gaps[$0] + shortfall >= 0 }
    }

    package var verdict: Verdict {
        if let decision { return decision }
        return metrics.contains { $0.verdict == .noData } ? .noData : .inconclusive
    }
}

extension Judge {
    private static let stateVersion: Int64 = 2

    /// Exactly what later samples need; at most about 40 KB for each metric.
    package var state: JSONValue {
        var object: JSONObject = ["v": .integer(Self.stateVersion), "metrics": .array(metrics.map(\.state))]
        if let decision { object["decision"] = .string(decision.rawValue) }
        return .object(object)
    }

    /// Continues from a state.
    ///
    /// - Returns: Nil if the state belongs to other metrics or to another version of this code: evidence then starts
    ///   again.
    package init?(_ analysis: Analysis, state: JSONValue) {
        guard state["v"]?.int == Self.stateVersion, let states = state["metrics"]?.array,
            states.count == analysis.metrics.count
        else { return nil }
        let metrics = zip(analysis.metrics, states).compactMap { MetricJudge($0, state: $1) }
        guard metrics.count == states.count else { return nil }
        self.analysis = analysis
        self.metrics = metrics
        decision = state["decision"]?.string.flatMap { Verdict(rawValue: $0) }
    }
}
