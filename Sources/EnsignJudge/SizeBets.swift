import EnsignModel

/// The bets of a distribution or count metric. Values are 0 or more; large is bad; tails may be heavy.
///
/// Each bet scores values from 0 to 1 with increasing functions that are known before the block: the value up to a cap
/// (its mean is the capped mean), its logarithm between two quantiles (what is typical), or whether it lies beyond a
/// threshold (the tail). Stable values are scored as if they were worse by half of the margin, and a tail may also be
/// larger by as many runs as alone would cost half of the margin (``tail(_:_:_:_:)``). The null hypothesis is that in
/// none of these scores the canary's mean is above that of the stable version. It holds for each canary whose values
/// are stochastically no larger than the stable ones made worse by half of the margin, since no increasing function has
/// a larger mean then; and each bet is fair or worse under it, since a bet is linear in both scores (Waudby-Smith and
/// Ramdas, "Estimating means of bounded random variables by betting" (2024), section 4).
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
        /// How much more the levels of stable values may be, as a share: where zeros are usual, half of the margin may
        /// also be spent on fewer of them.
        var lift: Double
        /// The 90th and the 99th percentile, then extremes: beyond four caps and twice the largest value, and ever
        /// four times as much.
        var tails: [Double]
        /// How often values may exceed a tail that no stable value has ever reached, where the margin is a share of
        /// nothing.
        var spare: Double
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

    /// The level of a stable value made worse by half of the margin.
    private static func tolerated(_ value: Double, _ margin: Analysis.Margin, _ scale: Scale) -> Double {
        let shifted = level(halfWorsened(value, margin), scale)
        return Swift.min(Swift.max(shifted, (1 + scale.lift) * level(value, scale)), 1)
    }

    /// How a stable value counts against "the canary's values exceed this tail more often": whether it does when it is
    /// worse by half of the margin, and its part of the runs beyond the tail that would alone raise the mean by that.
    ///
    /// By Markov's inequality a share `p` of runs beyond `tail` costs at least `p x tail` in the mean. Half of a margin
    /// is `half x value` in the mean, so up to `half x value / tail` more of them are within it.
    private static func tail(_ value: Double, _ tail: Double, _ margin: Analysis.Margin, _ scale: Scale) -> Double {
        if halfWorsened(value, margin) > tail { return 1 }
        let cost =
            switch margin {
            case .absolute(let difference): difference / 2
            case .relative(let share): share / 2 * Swift.min(value, scale.cap)
            }
        return Swift.min(scale.spare + (tail > 0 ? cost / tail : 0), 1)
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

    /// The same by half of the margin: what a canary may always be worse by.
    static func halfWorsened(_ value: Double, _ margin: Analysis.Margin) -> Double {
        switch margin {
        case .absolute(let difference): value + difference / 2
        case .relative(let share): value * (1 + share / 2)
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
        var scale = scaleNow(margin)
        let expected = worse(by: margin)
        let scores: [(stable: (Double) -> Double, canary: (Double) -> Double)] = [
            ({ Self.tolerated($0, margin, scale) }, { Self.level($0, scale) }),
            ({ Self.capped(Self.halfWorsened($0, margin), scale) }, { Self.capped($0, scale) }),
        ]
        var fail: [[Double]] = []
        for score in scores {
            let stable = history.moments(score.stable)
            for times in Self.effects {
                let canary = history.moments { score.canary(expected($0, times)) }
                fail.append([stable.mean, canary.mean, (stable.variance + canary.variance) / 2])
            }
        }
        for tail in scale.tails {
            let seen = (history.count(above: tail) + 0.3) / (history.total + 1)
            let allowed = history.moments { Self.tail($0, tail, margin, scale) }.mean
            let stable = Swift.min((allowed * history.total + 0.3) / (history.total + 1), 0.999)
            let canary = Swift.min(Swift.max(5 * seen + 0.02, 1.5 * stable), (1 + stable) / 2)
            fail.append([stable, canary, 0])
        }
        let equal = history.moments { Self.capped($0, scale) }
        let worse = history.moments { Self.capped(Self.worsened($0, margin), scale) }
        let half = (equal.mean + worse.mean) / 2
        let variance = (equal.variance + worse.variance) / 2
        scale.fail = fail
        scale.pass = [[worse.mean, equal.mean, variance], [worse.mean, half, variance]]
        self.scale = scale
    }

    /// The functions that score values from now on.
    private func scaleNow(_ margin: Analysis.Margin) -> Scale {
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
        let isNever = history.largest == 0
        var lift = 0.0
        var spare = 0.0
        if case .relative(let share) = margin {
            // A tenth of zeros: with fewer, what is typical is not about how many there are.
            if history.zeros * 10 >= history.total { lift = share / 2 }
            if isNever { spare = Self.extremeShare / 2 }
        }
        // Anything above 0 is at least the smallest value that was seen: only that tells what more of them cost.
        let least = isNever ? 0 : positive * (1 - 0x1p-20)
        var tails = [0.9, 0.99].map { Swift.max(history.quantile($0), least) }
        var extreme = Swift.max(4 * cap, 2 * history.largest)
        for _ in 0..<Self.extremes {
            tails.append(extreme)
            extreme *= 4
        }
        return Scale(
            settled: history.total,
            cap: cap,
            low: low,
            high: high,
            lift: lift,
            tails: tails,
            spare: spare,
            fail: [],
            pass: []
        )
    }

    /// A stable value that is worse by some margins. With a zero or tiny margin, the bets are still on larger effects;
    /// with a huge one, on steps beyond it.
    private func worse(by margin: Analysis.Margin) -> (_ value: Double, _ times: Int) -> Double {
        let step: Analysis.Margin =
            switch margin {
            case .relative(let share): .relative(Swift.min(Swift.max(share, 0.05), 0.5))
            case .absolute(let value):
                .absolute(Swift.max(value, 0.05 * history.moments { $0 }.mean, 1e-9))
            }
        if case .relative(let share) = margin, share > 0.5 {
            return { Self.worsened(Self.worsened($0, margin), step, times: $1 - 1) }
        }
        return { Self.worsened($0, step, times: $1) }
    }

    // MARK: Bets

    /// The number of extremes among the tails.
    private static let extremes = 5

    /// Starting capital: almost half on typical values, a fifth on the capped mean, the rest on the tail.
    static let failWeights = [0.12, 0.15, 0.1, 0.08, 0.06, 0.06, 0.04, 0.04, 0.07, 0.08, 0.04, 0.05, 0.05, 0.04, 0.02]
    static let passWeights = [0.8, 0.2]

    /// Multiplies the capitals of the bets on a canary that is worse by more than half of the margin.
    func fail(
        _ capitals: inout [Double],
        _ margin: Analysis.Margin,
        _ stable: ArraySlice<Double>,
        _ canary: ArraySlice<Double>
    ) {
        guard let scale else { return }
        let stableCount = Double(stable.count)
        let canaryCount = Double(canary.count)
        func multiply(_ range: Range<Int>, _ stableScore: (Double) -> Double, _ canaryScore: (Double) -> Double) {
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
                for value in stable { capitals[index] *= bet.factor(stableScore(value)) }
                for value in canary { capitals[index] *= bet.canaryFactor(canaryScore(value)) }
            }
        }
        multiply(0..<4, { Self.tolerated($0, margin, scale) }, { Self.level($0, scale) })
        multiply(4..<8, { Self.capped(Self.halfWorsened($0, margin), scale) }, { Self.capped($0, scale) })
        for (index, tail) in scale.tails.enumerated() {
            multiply(8 + index..<9 + index, { Self.tail($0, tail, margin, scale) }, { $0 > tail ? 1 : 0 })
        }
    }

    /// The highest share of extreme values in a canary that passes: above it, the probability of a pass is the error.
    /// About 330 samples without an extreme value show it.
    static let extremeShare = 0.01

    /// The factor for the capital against "rare values are at least that frequent": the likelihood ratio of a tenth of
    /// that share.
    static func rareFactor(isRare: Bool) -> Double {
        isRare ? 0.1 : (1 - extremeShare / 10) / (1 - extremeShare)
    }

    func extremeFactor(_ value: Double) -> Double {
        guard let scale else { return 1 }
        return Self.rareFactor(isRare: value > scale.tails[2])
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
                "ends": .doubles(
                    [scale.settled, scale.cap, scale.low, scale.high, scale.lift, scale.spare] + scale.tails
                ),
                "fail": .doubles(scale.fail.flatMap(\.self)), "pass": .doubles(scale.pass.flatMap(\.self)),
            ]
        }
        return .object(object)
    }

    init?(json: JSONValue) {
        guard let history = json["history"].flatMap(LevelHistogram.init(json:)) else { return nil }
        self.history = history
        guard let scale = json["scale"] else { return }
        guard let ends = scale["ends"]?.doubles, ends.count == 6 + 2 + Self.extremes,
            let fail = scale["fail"]?.doubles,
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
            lift: ends[4],
            tails: Array(ends[6...]),
            spare: ends[5],
            fail: triples(fail),
            pass: triples(pass)
        )
    }
}
