import EnsignModel

/// The bets of a rate metric, block by block, based on earlier blocks. Scores are 1 where the outcome was bad.
struct RateBets: Sendable, Hashable {
    /// Stable samples in the blocks so far, and how many of them were bad.
    private(set) var samples = 0.0
    private(set) var bad = 0.0

    init() {}

    mutating func learn(_ score: Double) {
        samples += 1
        bad += score
    }

    /// The stable version's bad rate as known so far: the posterior mean under Beta(2, 18). Never 0 or 1.
    private var badRate: Double { (bad + 2) / (samples + 20) }

    /// The same for bets on breakdowns, which are seen before the rate is known: under Beta(1, 20).
    private var earlyBadRate: Double { (bad + 1) / (samples + 21) }

    /// The same when hardly anything goes wrong: under Beta(0.2, 40).
    private var lowBadRate: Double { (bad + 0.2) / (samples + 40.2) }

    /// Starting capital of each bet on a worse canary.
    ///
    /// The effects run from the margin to 0.4 in roughly powers of two: the first and the last start with a third each,
    /// because falls as large as the margin are the hardest to see and breakdowns the most urgent.
    static func failWeights(_ margin: Analysis.Margin) -> [Double] {
        let middle = effectCount(margin) - 2
        return [0.36] + Array(repeating: 0.34 / Double(middle), count: middle) + [0.3]
    }

    private static func effectCount(_ margin: Analysis.Margin) -> Int {
        switch margin {
        case .relative: return 5
        case .absolute(let value):
            let start = smallestEffect(value)
            return start > 0.075 ? 3 : start > 0.035 ? 4 : start > 0.015 ? 5 : 6
        }
    }

    private static func smallestEffect(_ margin: Double) -> Double { Swift.min(Swift.max(margin, 0.005), 0.1) }

    func fail(_ metric: Analysis.Metric, _ stableCount: Double, _ canaryCount: Double) -> [BlockBet] {
        let rate = badRate
        let start: Double
        switch metric.margin {
        case .absolute(let value): start = Self.smallestEffect(value)
        case .relative(let share): start = Self.smallestEffect(share * (metric.isHighGood ? 1 - rate : rate))
        }
        let count = Self.effectCount(metric.margin)
        let ratio = Self.root(0.4 / start, count - 1)
        var effect = start
        return (0..<count).map { index in
            let rate = index * 2 < count ? rate : earlyBadRate
            let canary = Swift.min(rate + effect, (1 + rate) / 2)
            effect *= ratio
            return BlockBet.likelihood(stable: rate, canary: canary, stableCount, canaryCount)
        }
    }

    /// Starting capital of the bets on a canary that is as good, on one that is worse by half the margin, and on one
    /// that is as good when hardly anything goes wrong.
    static let passWeights = [0.45, 0.15, 0.4]

    func pass(_ metric: Analysis.Metric, _ stableCount: Double, _ canaryCount: Double) -> [BlockBet?] {
        let (factor, offset) = metric.badRateBound
        return [(badRate, 0.0), (badRate, 0.5), (lowBadRate, 0.0)].map { rate, share in
            BlockBet.nonInferiority(
                stable: rate,
                canary: rate + share * ((factor - 1) * rate + offset),
                factor: factor,
                offset: offset,
                stableCount,
                canaryCount
            )
        }
    }

    /// The `degree`th root of a number of 1 or more, by bisection: the same on every machine.
    private static func root(_ value: Double, _ degree: Int) -> Double {
        var low = 1.0
        var high = Swift.max(value, 1)
        for _ in 0..<40 {
            let middle = (low + high) / 2
            var power = 1.0
            for _ in 0..<degree { power *= middle }
            if power < value { low = middle } else { high = middle }
        }
        return (low + high) / 2
    }

    var json: JSONValue { .doubles([samples, bad]) }

    init?(json: JSONValue) {
        guard let values = json.doubles, values.count == 2 else { return nil }
        (samples, bad) = (values[0], values[1])
    }
}

extension Analysis.Metric {
    /// Whether higher values are better: only for rates that say so.
    var isHighGood: Bool { kind == .rate && good == true }

    /// Whether the margin is a share of something bad, which may be nothing.
    var isShareOfBad: Bool {
        if case .relative = margin { !isHighGood } else { false }
    }

    /// Where "worse by the margin" begins: the stable bad rate times a factor, plus an offset.
    var badRateBound: (factor: Double, offset: Double) {
        switch margin {
        case .absolute(let value): (1, value)
        // A good rate of (1 - share) x stable is a bad rate of (1 - share) x bad + share.
        case .relative(let share): isHighGood ? (1 - share, share) : (1 + share, 0)
        }
    }
}
