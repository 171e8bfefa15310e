package import EnsignModel

/// The behaviour of a stable version when it became stable, as far as its guard needs it: O(1) in size.
package struct Baseline: Sendable, Hashable {
    package var metric: String
    /// The number of samples behind it.
    package var count: Double
    /// The mean bad rate; for sizes, the mean score.
    package var mean: Double
    /// The most that the true mean score may have been: a confidence bound at half of the guard's error.
    package var bound: Double
    /// Sizes are scored up to this cap. 1 for rates.
    package var cap: Double
}

extension Baseline {
    /// Summarises a version's samples, in their order of arrival; see ``BaselineBuilder``.
    ///
    /// - Returns: Nil for fewer than 20 samples that are measurements: too few to compare with.
    package init?(_ metric: Analysis.Metric, _ samples: [Double], error: Double) {
        let accepted = samples.filter { MetricJudge.accepts($0, as: metric.kind) }
        guard accepted.count >= 20 else { return nil }
        var builder = BaselineBuilder(metric, length: accepted.count)
        for value in accepted { builder.add(value) }
        guard let baseline = builder.baseline(error: error) else { return nil }
        self = baseline
    }

    /// A mean score in familiar terms: a rate, or a capped mean in the metric's own unit.
    func value(of score: Double, _ metric: Analysis.Metric) -> Double {
        guard metric.kind == .rate else { return score * cap }
        return metric.isHighGood ? 1 - score : score
    }

    package func value(_ metric: Analysis.Metric) -> Double { value(of: mean, metric) }

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

/// A baseline in the making: one sample at a time, O(1) in memory.
///
/// For rates, each sample goes into the interval. For sizes, the first half determines the cap (a histogram, then
/// forgotten) and the rest the mean, so that the cap does not depend on the values that it caps. The interval holds at
/// all times at once (``DifferenceInterval``): a first baseline may be followed by sharper ones from more samples at no
/// cost in error.
package struct BaselineBuilder: Sendable, Hashable {
    package let metric: Analysis.Metric
    /// The number of accepted samples that make a baseline.
    package let length: Int
    /// The number of samples behind the mean of the last and sharpest one.
    private let most: Int
    /// The number of accepted samples so far.
    package private(set) var count = 0
    package private(set) var rejected = 0
    private var history = LevelHistogram()
    private var cap = 1.0
    private var interval = DifferenceInterval()

    /// The number of samples behind the means of the first and the last baseline.
    private static let standard = 200
    private static let sharpest = 3_200

    /// - Parameter length: A given length is at least 2 and is not sharpened; nil for the standard, 200 samples for a
    ///   rate and 400 for a size.
    package init(_ metric: Analysis.Metric, length: Int? = nil) {
        self.metric = metric
        self.length = length ?? (metric.kind == .rate ? Self.standard : 2 * Self.standard)
        most = length.map { metric.kind == .rate ? $0 : $0 - $0 / 2 } ?? Self.sharpest
    }

    private var settling: Int { metric.kind == .rate ? 0 : length / 2 }

    package var isComplete: Bool { count >= length }

    /// Whether more samples change nothing.
    package var isFull: Bool { count >= settling + most }

    /// Whether the newest sample gives a baseline, or a sharper one: each time the number of samples has doubled.
    package var isDue: Bool {
        var due = length - settling
        while due < count - settling { due *= 2 }
        return isComplete && due == count - settling
    }

    /// Adds a sample. One that cannot be a measurement is counted and otherwise ignored.
    package mutating func add(_ value: Double) {
        guard !isFull else { return }
        guard MetricJudge.accepts(value, as: metric.kind) else {
            rejected += 1
            return
        }
        count += 1
        if count <= settling {
            history.add(value)
            guard count == settling else { return }
            let top = history.quantile(0.98)
            cap = SizeBets.worsened(top > 0 ? top : 1, metric.margin)
            history = LevelHistogram()
            return
        }
        interval.add(stable: 0, canary: metric.isHighGood ? 1 - value : min(value / cap, 1))
    }

    /// The baseline; nil before it is complete.
    ///
    /// - Parameter error: The guard's error; half of it is spent on the bound.
    package func baseline(error: Double) -> Baseline? {
        guard isComplete, interval.blocks > 0 else { return nil }
        // Bets that the mean is at most the bound: exact at any sample size, narrow when the variance is small.
        return Baseline(
            metric: metric.name,
            count: interval.blocks,
            mean: min(max(interval.canarySum / interval.blocks, 0), 1),
            bound: min(max(interval.bounds(scale: 0, error: error / 2).high, 0), 1),
            cap: cap
        )
    }

    /// Exactly what later samples need.
    package var state: JSONValue {
        [
            "length": .integer(Int64(length)), "most": .integer(Int64(most)), "count": .integer(Int64(count)),
            "rejected": .integer(Int64(rejected)),
            "cap": JSONValue(cap), "history": history.total > 0 ? history.json : .null, "interval": interval.json,
        ]
    }

    /// Continues from a state; nil if it is not one.
    package init?(_ metric: Analysis.Metric, state: JSONValue) {
        guard let length = state["length"]?.int, (2...1_000_000).contains(length), let most = state["most"]?.int,
            (2...1_000_000).contains(most), let count = state["count"]?.int, (0...2_000_000).contains(count),
            let rejected = state["rejected"]?.count,
            let cap = state["cap"]?.double, cap > 0, let historyValue = state["history"],
            let interval = state["interval"].flatMap({ DifferenceInterval(json: $0) })
        else { return nil }
        self.metric = metric
        (self.length, self.most) = (Int(length), Int(most))
        if !historyValue.isNull {
            guard let history = LevelHistogram(json: historyValue) else { return nil }
            self.history = history
        }
        (self.count, self.rejected, self.cap, self.interval) = (Int(count), Int(rejected), cap, interval)
    }
}
