package import EnsignModel

/// One metric of an analysis: the evidence so far, and its verdict.
///
/// Bounded: at most about 40 KB, however many samples arrive.
package struct MetricJudge: Sendable, Hashable {
    package let metric: Analysis.Metric
    /// Set once, by the first of the two tests that decides.
    package internal(set) var decision: Verdict?
    /// Accepted samples.
    package private(set) var stable = Tally()
    package private(set) var canary = Tally()

    /// Samples of one variant.
    package struct Tally: Sendable, Hashable {
        package fileprivate(set) var count = 0
        /// The sum of the accepted values.
        package fileprivate(set) var sum = 0.0
        /// Values that cannot be measurements of this metric.
        package fileprivate(set) var rejected = 0

        /// Nil without samples.
        package var mean: Double? { count > 0 ? sum / Double(count) : nil }

        /// In the form for reports.
        var samples: MetricReport.Samples {
            MetricReport.Samples(count: Int64(count), rejected: Int64(rejected), mean: mean)
        }
    }

    private var queue = SampleQueue()
    private var rate = RateBets()
    private var size = SizeBets()
    /// Capital of each bet on a worse canary. Their sum starts at 1 and is an e-process (``failEvidence``).
    private var fail: [Double]
    private var pass: [Double]
    /// Capital against "one value in a hundred is extreme", or for rates "one run in a hundred is bad".
    private var extremes = 1.0
    private(set) var interval = DifferenceInterval()

    /// The share of the pass error that is used. The bets come so close to all of it (they overshoot by almost nothing)
    /// that a small dependence between runs would exceed it.
    static let passReserve = 0.85
    private static let mostCapital = 1e100

    /// The largest value that counts as a measurement.
    package static let largestValue = 1e15

    package init(_ metric: Analysis.Metric) {
        self.metric = metric
        switch metric.kind {
        case .rate:
            fail = RateBets.failWeights(metric.margin)
            pass = RateBets.passWeights
        case .distribution, .count:
            fail = SizeBets.failWeights
            pass = SizeBets.passWeights
        }
    }

    /// The capital against "the canary is at least as good as the stable version".
    ///
    /// If that is true, the probability that this ever reaches `x` is at most `1 / x` (Ville's inequality; Ramdas,
    /// Grünwald, Vovk and Shafer, "Game-theoretic statistics and safe anytime-valid inference" (2023), section 3).
    package var failEvidence: Double { fail.reduce(0, +) }

    /// The same against "the canary is worse by the margin or more".
    ///
    /// Sizes must also show that extreme values are rare: both tests must reject, so the smaller evidence counts.
    package var passEvidence: Double {
        let evidence = pass.reduce(0, +)
        return metric.kind == .rate ? evidence : min(evidence, extremes)
    }

    /// The capital against "one run in a hundred has any", where the margin is a share of what the stable version has
    /// never had, and so of nothing; else 0.
    ///
    /// It has the part of the pass error that the other test leaves: one of the two passes wrongly at most as often as
    /// both errors together.
    private var neverEvidence: Double { metric.isShareOfBad && stable.count > 0 && stable.sum == 0 ? extremes : 0 }

    /// How much of the stable version is left beside the canary.
    var stage: CanaryStage {
        get { queue.stage }
        set { queue.stage = newValue }
    }

    /// Takes values of the stable version from before the canary.
    mutating func remember(_ values: [Double]) {
        for value in values where accepts(value) {
            stable.add(value, true)
            queue.lay(by: metric.isHighGood ? 1 - value : value)
        }
    }

    /// Whether a value can be a measurement of this metric.
    package func accepts(_ value: Double) -> Bool { Self.accepts(value, as: metric.kind) }

    static func accepts(_ value: Double, as kind: Analysis.Kind) -> Bool {
        switch kind {
        case .rate: value == 0 || value == 1
        // NaN fails both comparisons.
        case .distribution, .count: value >= 0 && value <= largestValue
        }
    }

    /// Adds a sample. One that cannot be a measurement is counted and otherwise ignored.
    ///
    /// - Parameter passError: The highest probability of a `pass` for a canary that is worse by the margin.
    package mutating func add(_ value: Double, _ variant: Variant, passError: Double) {
        let isAccepted = accepts(value)
        switch variant {
        case .stable: stable.add(value, isAccepted)
        case .canary: canary.add(value, isAccepted)
        }
        guard isAccepted, decision == nil else { return }
        queue.add(metric.isHighGood ? 1 - value : value, variant)
        while queue.isReady() {
            playBlock()
            // Giving capital away is always fair; a number beyond JSON's range is not allowed.
            for index in fail.indices { fail[index] = min(fail[index], Self.mostCapital) }
            for index in pass.indices { pass[index] = min(pass[index], Self.mostCapital) }
            extremes = min(extremes, Self.mostCapital)
            queue.removeBlock()
        }
        let isWithin = passEvidence * passError * Self.passReserve >= 1
        let isNever = neverEvidence * passError * (1 - Self.passReserve) >= 1
        if isWithin || isNever, passGate == nil { decision = .pass }
    }

    private mutating func playBlock() {
        let stable = queue.stable.prefix(queue.stableCount)
        let canary = queue.canary.prefix(queue.canaryCount)
        let stableCount = Double(stable.count)
        let canaryCount = Double(canary.count)
        switch metric.kind {
        case .rate:
            for (index, bet) in rate.fail(metric, stableCount, canaryCount).enumerated() {
                fail[index] *= bet.factor(stable, canary)
            }
            for (index, bet) in rate.pass(metric, stableCount, canaryCount).enumerated() {
                if let bet { pass[index] *= bet.factor(stable, canary) }
            }
            interval.add(stable: stable.reduce(0, +) / stableCount, canary: canary.reduce(0, +) / canaryCount)
            if metric.isShareOfBad { for score in canary { extremes *= SizeBets.rareFactor(isRare: score > 0) } }
            for score in stable { rate.learn(score) }
        case .distribution, .count:
            if let scale = size.scale {
                size.fail(&fail, metric.margin, stable, canary)
                size.pass(&pass, metric.margin, stable, canary)
                for value in canary { extremes *= size.extremeFactor(value) }
                interval.add(
                    stable: stable.reduce(0) { $0 + SizeBets.capped($1, scale) } / stableCount,
                    canary: canary.reduce(0) { $0 + SizeBets.capped($1, scale) } / canaryCount
                )
            }
            for value in stable { size.learn(value, metric.margin) }
        }
    }

    /// Why the metric does not pass although its test would.
    enum PassGate: Sendable, Hashable {
        /// More than 1 % of the canary's values were not measurements.
        case rejectedValues
        /// The plain mean, rare huge values included, is worse than the margin allows.
        case plainMean
    }

    var passGate: PassGate? {
        if canary.rejected * 100 > canary.count { return .rejectedValues }
        guard metric.kind != .rate, let stableMean = stable.mean, let canaryMean = canary.mean else { return nil }
        return canaryMean > SizeBets.worsened(stableMean, metric.margin) ? .plainMean : nil
    }

    /// The bets that hold the most capital against the canary, in words.
    var strongestBet: String {
        let typical = fail[..<4].reduce(0, +)
        let capped = fail[4..<8].reduce(0, +)
        let tail = fail[8...].reduce(0, +)
        if typical >= capped && typical >= tail { return "in what is typical" }
        return capped >= tail ? "in the mean" : "in the tail: large values are more frequent"
    }

    package var hasData: Bool { stable.count > 0 && canary.count > 0 }

    package var verdict: Verdict { decision ?? (hasData ? .inconclusive : .noData) }
}

extension MetricJudge.Tally {
    fileprivate mutating func add(_ value: Double, _ isAccepted: Bool) {
        if isAccepted {
            count += 1
            sum += value
        } else {
            rejected += 1
        }
    }

    fileprivate var json: JSONValue { .doubles([Double(count), sum, Double(rejected)]) }

    fileprivate init?(json: JSONValue?) {
        guard let json, json.array?.count == 3, let count = json[0]?.count, let sum = json[1]?.double,
            let rejected = json[2]?.count
        else { return nil }
        self.init(count: Int(count), sum: sum, rejected: Int(rejected))
    }
}

extension BlockBet {
    fileprivate func factor(_ stable: ArraySlice<Double>, _ canary: ArraySlice<Double>) -> Double {
        var product = 1.0
        for score in stable { product *= factor(score) }
        for score in canary { product *= canaryFactor(score) }
        return product
    }
}

extension MetricJudge {
    /// Exactly what later samples need.
    package var state: JSONValue {
        var object: JSONObject = [
            "name": .string(metric.name), "stable": stable.json, "canary": canary.json, "queue": queue.json,
            "fail": .doubles(fail), "pass": .doubles(pass), "extremes": JSONValue(extremes),
            "interval": interval.json,
        ]
        if let decision { object["decision"] = .string(decision.rawValue) }
        switch metric.kind {
        case .rate: object["rate"] = rate.json
        case .distribution, .count: object["size"] = size.json
        }
        return .object(object)
    }

    /// Continues from a state; nil if it is not one of this metric.
    package init?(_ metric: Analysis.Metric, state: JSONValue) {
        self.init(metric)
        guard state["name"]?.string == metric.name, let stable = Tally(json: state["stable"]),
            let canary = Tally(json: state["canary"]), let queue = state["queue"].flatMap(SampleQueue.init(json:)),
            let fail = state["fail"]?.doubles, fail.count == self.fail.count,
            let pass = state["pass"]?.doubles, pass.count == self.pass.count,
            let extremes = state["extremes"]?.double,
            let interval = state["interval"].flatMap(DifferenceInterval.init(json:))
        else { return nil }
        self.stable = stable
        self.canary = canary
        self.queue = queue
        self.fail = fail
        self.pass = pass
        self.extremes = extremes
        self.interval = interval
        decision = state["decision"]?.string.flatMap { Verdict(rawValue: $0) }
        switch metric.kind {
        case .rate:
            guard let rate = state["rate"].flatMap(RateBets.init(json:)) else { return nil }
            self.rate = rate
        case .distribution, .count:
            guard let size = state["size"].flatMap(SizeBets.init(json:)) else { return nil }
            self.size = size
        }
    }
}
