package import EnsignModel

/// Watches the stable version for behaviour that drifts although nothing was deployed.
///
/// Null hypothesis at each moment: "the mean is at most the baseline's bound, made worse by the margin". A drift may
/// begin after months of good behaviour, so a new bet starts before every sample, with a share of the capital that
/// falls as `1 / (t log^2 t)`: one e-process for all starting times, O(1) in memory (the weighted Shiryaev-Roberts sum
/// of Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change detection" (2024),
/// section 2, with weights that add up to at most 1). However long it watches, a false alarm has at most the guard's
/// error: half for the baseline's bound, half for the bets (Ville's inequality).
package struct Guard: Sendable, Hashable {
    package let metric: Analysis.Metric
    package private(set) var baseline: Baseline
    package let error: Double
    /// Whether the drift was seen. Never revoked.
    package private(set) var hasDrifted = false
    package private(set) var count = 0.0
    /// The mean score of the latest samples: the mean of all would show nothing after months of good behaviour.
    private var recent = 0.0
    package private(set) var rejected = 0.0
    /// Capital of the bets on drifts of each size.
    private var capitals = [Double](repeating: 0, count: Guard.effects.count)

    /// The approximate number of samples behind the recent mean.
    private static let memory = 32.0

    /// The drifts that are bet on, in margins beyond the margin.
    private static let effects = [0.5, 1.5, 4, 10]

    /// - Parameter error: The highest probability of ever reporting a false drift; the same as the baseline's.
    package init(_ metric: Analysis.Metric, against baseline: Baseline, error: Double) {
        self.metric = metric
        self.baseline = baseline
        self.error = error
    }

    /// The largest mean score that is not a drift.
    private var limit: Double {
        switch (metric.kind, metric.margin) {
        case (.rate, _):
            let (factor, offset) = metric.badRateBound
            return factor * baseline.bound + offset
        case (_, .relative(let share)): return (1 + share) * baseline.bound
        case (_, .absolute(let value)): return baseline.bound + value / baseline.cap
        }
    }

    /// Adds a sample of the stable version. One that cannot be a measurement is counted and otherwise ignored.
    package mutating func add(_ value: Double) {
        guard MetricJudge.accepts(value, as: metric.kind) else {
            rejected += 1
            return
        }
        let score = metric.isHighGood ? 1 - value : min(value / baseline.cap, 1)
        count += 1
        recent += (score - recent) / min(count, Self.memory)
        // A limit of 1 or more is never exceeded.
        let limit = limit
        guard limit < 0.999, !hasDrifted else { return }
        let weight = Self.weight(count) / Double(capitals.count)
        let step = max(limit - baseline.mean, 0.02)
        for (index, times) in Self.effects.enumerated() {
            let drifted = min(limit + times * step, (1 + limit) / 2)
            // The likelihood ratio for 0 and 1; for scores between them it is just as fair, because it is linear.
            let factor = 1 + (drifted - limit) / (limit * (1 - limit)) * (score - limit)
            capitals[index] = min((capitals[index] + weight) * factor, 1e100)
        }
        if capitals.reduce(0, +) * error / 2 >= 1 { hasDrifted = true }
    }

    /// Takes a sharper baseline of the same version; earlier bets stay fair, since the bound was fixed before each of
    /// them. A less sharp one, as when a drift has begun within it, is ignored.
    ///
    /// - Returns: Whether it was taken.
    package mutating func sharpen(_ sharper: Baseline) -> Bool {
        guard !hasDrifted, sharper.cap == baseline.cap, sharper.bound < baseline.bound else { return false }
        baseline = sharper
        return true
    }

    /// At least `1 / (t log2(t)^2)`'s order, adding up to less than 1 over all `t` from 1: with `k` the number of binary
    /// digits of `t`, the `2^(k-1)` starts of a length share `1 / (k (k + 1))`.
    private static func weight(_ time: Double) -> Double {
        let digits = Double(time.exponent) + 1
        return 1 / (digits * (digits + 1)) / Double(sign: .plus, exponent: Int(digits) - 1, significand: 1)
    }

    /// The mean of the latest samples in familiar terms: a rate, or a capped mean in the metric's own unit.
    package var recentValue: Double { baseline.value(of: recent, metric) }

    /// The sentence for people.
    package var explanation: String {
        guard count > 0 else { return "\(metric.name): no samples of the stable version since its baseline" }
        func text(_ value: Double) -> String {
            metric.kind == .rate
                ? Decimal.percent(value) : Decimal.short(value) + (metric.unit.map { " \($0)" } ?? "")
        }
        let values = "\(text(recentValue)) lately, \(text(baseline.value(metric))) when it became stable"
        let samples = "\(Int64(count)) samples"
        return hasDrifted
            ? "\(metric.name): the stable version drifted although nothing was deployed: \(values), after \(samples)"
            : "\(metric.name): no drift: \(values), after \(samples)"
    }

    /// Exactly what later samples need.
    package var state: JSONValue {
        [
            "baseline": baseline.json, "drifted": .bool(hasDrifted), "error": JSONValue(error),
            "sums": .doubles([count, recent, rejected]), "capitals": .doubles(capitals),
        ]
    }

    /// Continues from a state; nil if it is not one of this metric.
    package init?(_ metric: Analysis.Metric, state: JSONValue) {
        guard let baseline = state["baseline"].flatMap(Baseline.init(json:)), baseline.metric == metric.name,
            let drifted = state["drifted"]?.bool, let error = state["error"]?.double, error > 0, error < 1,
            let sums = state["sums"]?.doubles, sums.count == 3, (0...0x1p53).contains(sums[0]),
            let capitals = state["capitals"]?.doubles, capitals.count == Self.effects.count
        else { return nil }
        self.init(metric, against: baseline, error: error)
        hasDrifted = drifted
        (count, recent, rejected) = (sums[0], sums[1], sums[2])
        self.capitals = capitals
    }
}
