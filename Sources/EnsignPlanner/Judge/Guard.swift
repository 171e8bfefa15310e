package import EnsignModel

/// What a stable version did when it became stable, as far as its guard needs it: O(1) in size.
package struct Baseline: Sendable, Hashable {
    package var metric: String
    /// Samples that it rests on.
    package var count: Double
    /// The mean bad rate, or of sizes the mean score.
    package var mean: Double
    /// What the mean score may truly have been at most: a confidence bound at half of the guard's error.
    package var bound: Double
    /// Sizes are scored up to this cap. 1 for rates.
    package var cap: Double
}

extension Baseline {
    /// Summarises a version's samples, in their order of arrival. For sizes the first half settles the cap and the second
    /// half the mean, so that the cap does not depend on what it is used for.
    ///
    /// - Returns: Nil for fewer than 20 samples that are measurements: too few to be held against anything.
    package init?(_ metric: Analysis.Metric, _ samples: [Double], error: Double) {
        let judge = MetricJudge(metric)
        var samples = samples.filter(judge.accepts)
        guard samples.count >= 20 else { return nil }
        var cap = 1.0
        if metric.kind != .rate {
            var history = LevelHistogram()
            for value in samples.prefix(samples.count / 2) { history.add(value) }
            let top = history.quantile(0.98)
            cap = SizeBets.worsened(top > 0 ? top : 1, metric.margin)
            samples.removeFirst(samples.count / 2)
        }
        // Bets that the mean is at most the bound: exact at any sample size, narrow when the variance is small.
        var interval = DifferenceInterval()
        for value in samples {
            let score = metric.isHighGood ? 1 - value : min(value / cap, 1)
            interval.add(stable: 0, canary: score)
        }
        self.metric = metric.name
        self.cap = cap
        count = interval.blocks
        mean = interval.canarySum / interval.blocks
        bound = min(interval.bounds(scale: 0, error: error / 2).high, 1)
    }

    package var json: JSONValue {
        [
            "metric": .string(metric), "count": JSONValue(count), "mean": JSONValue(mean), "bound": JSONValue(bound),
            "cap": JSONValue(cap),
        ]
    }

    package init?(json: JSONValue) {
        guard let metric = json["metric"]?.string, let count = json["count"]?.double, let mean = json["mean"]?.double,
            let bound = json["bound"]?.double, let cap = json["cap"]?.double, count > 0, cap > 0,
            (0...1).contains(mean), (0...1).contains(bound)
        else { return nil }
        self.init(metric: metric, count: count, mean: mean, bound: bound, cap: cap)
    }
}

/// Watches the stable version for behaviour that drifts although nothing was deployed.
///
/// Null hypothesis at each moment: "the mean is at most the baseline's bound, made worse by the margin". A drift may
/// begin after months of good behaviour, so that a new bet starts before every sample, with a share of the capital that
/// falls as `1 / (t log^2 t)`: one e-process for all starting times, O(1) in memory (the weighted Shiryaev-Roberts sum of
/// Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change detection" (2024), section
/// 2, with weights that add up to at most 1). However long it watches, a false alarm has at most the guard's error:
/// half for the baseline's bound, half for the bets (Ville's inequality).
package struct Guard: Sendable, Hashable {
    package let metric: Analysis.Metric
    package let baseline: Baseline
    package let error: Double
    /// Whether the drift was seen. Never taken back.
    package private(set) var hasDrifted = false
    package private(set) var count = 0.0
    private var sum = 0.0
    package private(set) var rejected = 0.0
    /// Capital of the bets on drifts of each size.
    private var capitals = [Double](repeating: 0, count: Guard.effects.count)

    /// How many margins beyond the margin the drifts lie that are bet on.
    private static let effects = [0.5, 1.5, 4, 10]

    /// - Parameter error: The most probability of ever reporting a drift that is none; the same as the baseline's.
    package init(_ metric: Analysis.Metric, against baseline: Baseline, error: Double) {
        self.metric = metric
        self.baseline = baseline
        self.error = error
    }

    /// The largest mean score that is no drift.
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
        guard MetricJudge(metric).accepts(value) else {
            rejected += 1
            return
        }
        let score = metric.isHighGood ? 1 - value : min(value / baseline.cap, 1)
        count += 1
        sum += score
        // A limit of 1 or more is never exceeded.
        let limit = limit
        guard limit < 0.999, !hasDrifted else { return }
        let weight = Self.weight(count) / Double(capitals.count)
        let step = max(limit - baseline.mean, 0.02)
        for (index, times) in Self.effects.enumerated() {
            let drifted = min(limit + times * step, (1 + limit) / 2)
            // The likelihood ratio for 0 and 1; for scores between them it is as fair, being linear.
            let factor = 1 + (drifted - limit) / (limit * (1 - limit)) * (score - limit)
            capitals[index] = min((capitals[index] + weight) * factor, 1e100)
        }
        if capitals.reduce(0, +) * error / 2 >= 1 { hasDrifted = true }
    }

    /// At least `1 / (t log2(t)^2)`'s order, adding up to less than 1 over all `t` from 1: with `k` the number of binary
    /// digits of `t`, the `2^(k-1)` starts of a length share `1 / (k (k + 1))`.
    private static func weight(_ time: Double) -> Double {
        let digits = Double(time.exponent) + 1
        return 1 / (digits * (digits + 1)) / Double(sign: .plus, exponent: Int(digits) - 1, significand: 1)
    }

    /// The sentence for people.
    package var explanation: String {
        guard count > 0 else { return "\(metric.name): no samples of the stable version since its baseline" }
        func text(_ score: Double) -> String {
            guard metric.kind == .rate else {
                return Decimal.short(score * baseline.cap) + (metric.unit.map { " \($0)" } ?? "")
            }
            return Decimal.percent(metric.isHighGood ? 1 - score : score)
        }
        let values = "\(text(sum / count)) since, \(text(baseline.mean)) when it became stable"
        let samples = "\(Int64(count)) samples"
        return hasDrifted
            ? "\(metric.name): the stable version drifted although nothing was deployed: \(values), after \(samples)"
            : "\(metric.name): no drift: \(values), after \(samples)"
    }

    /// All that later samples need, exactly.
    package var state: JSONValue {
        [
            "baseline": baseline.json, "drifted": .bool(hasDrifted), "error": JSONValue(error),
            "sums": .doubles([count, sum, rejected]), "capitals": .doubles(capitals),
        ]
    }

    /// Goes on where a state ended; nil if it is not one of this metric.
    package init?(_ metric: Analysis.Metric, state: JSONValue) {
        guard let baseline = state["baseline"].flatMap(Baseline.init(json:)), baseline.metric == metric.name,
            let drifted = state["drifted"]?.bool, let error = state["error"]?.double, error > 0, error < 1,
            let sums = state["sums"]?.doubles, sums.count == 3,
            let capitals = state["capitals"]?.doubles, capitals.count == Self.effects.count
        else { return nil }
        self.init(metric, against: baseline, error: error)
        hasDrifted = drifted
        (count, sum, rejected) = (sums[0], sums[1], sums[2])
        self.capitals = capitals
    }
}
