import EnsignModel

/// The bets of a distribution or count metric. Values are 0 or more; large is bad; tails may be heavy.
///
/// Each bet scores values from 0 to 1 with an increasing function that is known before the block: the value up to a cap
/// (its mean is the capped mean), its logarithm between two quantiles (what is typical), or whether it lies beyond a
/// threshold (the tail). If the canary's values are stochastically no larger than the stable ones, no increasing
/// function has a larger mean, so every bet is fair or worse.
struct SizeBets: Sendable, Hashable {
    /// Stable values in the blocks so far.
    private(set) var history = LevelHistogram()
    private(set) var scale: Scale?

    /// Functions and expectations, updated from the history now and then.
    struct Scale: Sendable, Hashable {
        /// The number of stable values in the history at that time.
        var settled: Double
        var cap: Double
        var low: Double
        var high: Double
        /// The 90th and the 99th percentile, and the extreme: beyond four caps and twice the largest value.
        var tails: [Double]
        /// For each bet: stable mean, canary's mean, variance.
        var fail: [[Double]]
        var pass: [[Double]]
    }

    /// The number of stable samples before the first bet.
    static let warmUp = 6.0

    init() {}

    // MARK: Scores

    static func capped(_ value: Double, _ scale: Scale) -> Double { Swift.min(value / scale.cap, 1) }

    static func level(_ value: Double, _ scale: Scale) -> Double {
        guard value > 0 else { return 0 }
        return Swift.min(Swift.max((Level.of(value) - scale.low) / (scale.high - scale.low), 0), 1)
    }

    /// A value of the stable version, made worse by the margin, `times` times.
    static func worsened(_ value: Double, _ margin: Analysis.Margin, times: Int = 1) -> Double {
        switch margin {
        case .absolute(let difference):
            return value + difference * Double(times)
        case .relative(let share):
            var value = value
            for _ in 0..<times { value *= 1 + share }
            return value
        }
    }

    // MARK: Learning

    mutating func learn(_ value: Double, _ margin: Analysis.Margin) {
        history.add(value)
        guard history.total >= Swift.max(Self.warmUp, (scale?.settled ?? 0) * 1.2) else { return }
        settle(margin)
    }

    /// The bets on how many margins worse the canary is.
    private static let effects = [1, 2, 4, 8]

    private mutating func settle(_ margin: Analysis.Margin) {
        // With a zero or tiny margin, the bets are still on larger effects.
        let step: Analysis.Margin =
            switch margin {
            case .relative(let share): .relative(Swift.min(Swift.max(share, 0.05), 0.5))
            case .absolute(let value):
                .absolute(Swift.max(value, 0.05 * history.moments { $0 }.mean, 1e-9))
            }
        let top = history.quantile(0.98)
        let cap = Self.worsened(top > 0 ? top : Swift.max(history.largest, 1e-12), margin)
        let positive = history.smallestPositive
        var low = Level.of(Swift.max(history.quantile(0.05), positive))
        var high = Level.of(Swift.max(history.quantile(0.95), positive))
        if high - low < 1 {
            let middle = (low + high) / 2
            low = middle - 0.5
            high = middle + 0.5
        }
        if history.zeros > 0 { low -= 1 }
        let extreme = Swift.max(4 * cap, 2 * history.largest)
        let tails = [history.quantile(0.9), history.quantile(0.99), extreme]
        var scale = Scale(settled: history.total, cap: cap, low: low, high: high, tails: tails, fail: [], pass: [])
        let scores: [(Double) -> Double] = [{ Self.level($0, scale) }, { Self.capped($0, scale) }]
        var fail: [[Double]] = []
        for score in scores {
            let stable = history.moments(score)
            for times in Self.effects {
                let canary = history.moments { score(Self.worsened($0, step, times: times)) }
                fail.append([stable.mean, canary.mean, (stable.variance + canary.variance) / 2])
            }
        }
        for tail in tails {
            let stable = (history.count(above: tail) + 0.3) / (history.total + 1)
            fail.append([stable, Swift.min(5 * stable + 0.02, (1 + stable) / 2), 0])
        }
        let equal = history.moments { Self.capped($0, scale) }
        let worse = history.moments { Self.capped(Self.worsened($0, margin), scale) }
        let half = (equal.mean + worse.mean) / 2
        let variance = (equal.variance + worse.variance) / 2
        scale.fail = fail
        scale.pass = [[worse.mean, equal.mean, variance], [worse.mean, half, variance]]
        self.scale = scale
    }

    // MARK: Bets

    /// Starting capital: almost half on typical values, a fifth on the capped mean, the rest on the tail.
    static let failWeights = [0.18, 0.11, 0.09, 0.07, 0.08, 0.05, 0.04, 0.03, 0.07, 0.08, 0.2]
    static let passWeights = [0.8, 0.2]

    /// Multiplies the capitals of the bets on a worse canary.
    func fail(_ capitals: inout [Double], _ stable: ArraySlice<Double>, _ canary: ArraySlice<Double>) {
        guard let scale else { return }
        let stableCount = Double(stable.count)
        let canaryCount = Double(canary.count)
        func multiply(_ range: Range<Int>, _ score: (Double) -> Double) {
            for index in range {
                let values = scale.fail[index]
                guard values[1] > values[0] else { continue }
                let bet =
                    index >= 8
                    ? BlockBet.likelihood(stable: values[0], canary: values[1], stableCount, canaryCount)
                    : BlockBet.means(
                        stable: values[0],
                        canary: values[1],
                        variance: values[2],
                        stableCount,
                        canaryCount
                    )
                for value in stable { capitals[index] *= bet.factor(score(value)) }
                for value in canary { capitals[index] *= bet.canaryFactor(score(value)) }
            }
        }
        multiply(0..<4) { Self.level($0, scale) }
        multiply(4..<8) { Self.capped($0, scale) }
        for (index, tail) in scale.tails.enumerated() { multiply(8 + index..<9 + index) { $0 > tail ? 1 : 0 } }
    }

    /// The highest share of extreme values in a canary that passes: above it, the probability of a pass is the error.
    /// About 330 samples without an extreme value show it.
    static let extremeShare = 0.01

    /// The factor for the capital against "extreme values are at least that frequent": the likelihood ratio of a tenth
    /// of that share.
    func extremeFactor(_ value: Double) -> Double {
        guard let scale else { return 1 }
        let share = Self.extremeShare
        return value > scale.tails[2] ? 0.1 : (1 - share / 10) / (1 - share)
    }

    /// Multiplies the capitals of the bets against "the canary's capped mean is at least that of the stable values made
    /// worse by the margin".
    func pass(
        _ capitals: inout [Double],
        _ margin: Analysis.Margin,
        _ stable: ArraySlice<Double>,
        _ canary: ArraySlice<Double>
    ) {
        guard let scale else { return }
        for (index, values) in scale.pass.enumerated() where values[1] < values[0] {
            let bet = BlockBet.means(
                stable: values[0],
                canary: values[1],
                variance: values[2],
                Double(stable.count),
                Double(canary.count)
            )
            for value in stable { capitals[index] *= bet.factor(Self.capped(Self.worsened(value, margin), scale)) }
            for value in canary { capitals[index] *= bet.canaryFactor(Self.capped(value, scale)) }
        }
    }
}

extension SizeBets {
    var json: JSONValue {
        var object: JSONObject = ["history": history.json]
        if let scale {
            object["scale"] = [
                "ends": .doubles([scale.settled, scale.cap, scale.low, scale.high] + scale.tails),
                "fail": .doubles(scale.fail.flatMap(\.self)), "pass": .doubles(scale.pass.flatMap(\.self)),
            ]
        }
        return .object(object)
    }

    init?(json: JSONValue) {
        guard let history = json["history"].flatMap(LevelHistogram.init(json:)) else { return nil }
        self.history = history
        guard let scale = json["scale"] else { return }
        guard let ends = scale["ends"]?.doubles, ends.count == 7, let fail = scale["fail"]?.doubles,
            let pass = scale["pass"]?.doubles, fail.count == 3 * Self.failWeights.count,
            pass.count == 3 * Self.passWeights.count
        else { return nil }
        func triples(_ values: [Double]) -> [[Double]] {
            stride(from: 0, to: values.count, by: 3).map { Array(values[$0..<$0 + 3]) }
        }
        self.scale = Scale(
            settled: ends[0],
            cap: ends[1],
            low: ends[2],
            high: ends[3],
            tails: Array(ends[4...]),
            fail: triples(fail),
            pass: triples(pass)
        )
    }
}
