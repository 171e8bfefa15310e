/// A bet on one block of samples, each scored from 0 (best) to 1 (worst).
///
/// The capital is multiplied by ``stableSlope``'s and ``canarySlope``'s factors: `1 + slope x (score - centre)` for each
/// sample. With `n` stable and `m` canary samples and a null hypothesis "the canary's mean is at least (or: at most)
/// `k` times the stable mean plus `d`", a bet is fair or worse for every pair of means within the null when
/// `canaryCentre = k x stableCentre + d` and `n x stableSlope = -k x m x canarySlope`: the expected factor is a log-concave
/// function of the distance to the centres that has its maximum, 1, at the centres, and moving a mean into the null only
/// makes it smaller. For scores of 0 and 1 this is the e-variable of Turner, Ly and Grünwald, "Generic E-variables for
/// exact sequential k-sample tests that allow for optional stopping" (2024), Theorem 1 and section 3; for means of
/// bounded scores it is a product of the bets of Waudby-Smith and Ramdas, "Estimating means of bounded random variables
/// by betting" (2024), section 4.
struct BlockBet: Sendable, Hashable {
    var stableCentre: Double
    var canaryCentre: Double
    var stableSlope: Double
    var canarySlope: Double

    /// What the capital is multiplied by.
    func factor(_ stable: Double) -> Double { 1 + stableSlope * (stable - stableCentre) }
    func canaryFactor(_ canary: Double) -> Double { 1 + canarySlope * (canary - canaryCentre) }

    /// The bet against "both means are equal, or the canary's lies on the other side", for scores of 0 and 1.
    ///
    /// - Parameters:
    ///   - stable: The stable mean that is bet on, within 0 and 1, both excluded.
    ///   - canary: The canary's mean that is bet on, likewise.
    static func likelihood(stable: Double, canary: Double, _ stableCount: Double, _ canaryCount: Double) -> BlockBet {
        let centre = (stableCount * stable + canaryCount * canary) / (stableCount + canaryCount)
        let variance = centre * (1 - centre)
        return BlockBet(
            stableCentre: centre,
            canaryCentre: centre,
            stableSlope: (stable - centre) / variance,
            canarySlope: (canary - centre) / variance
        )
    }

    /// The same for scores anywhere within 0 and 1, whose variance is known from the past.
    ///
    /// The slopes are Kelly's for small effects (Waudby-Smith and Ramdas, section 5.2) and leave at least a tenth of the
    /// capital whatever a sample is.
    static func means(
        stable: Double,
        canary: Double,
        variance: Double,
        _ stableCount: Double,
        _ canaryCount: Double
    ) -> BlockBet {
        let all = stableCount + canaryCount
        let centre = (stableCount * stable + canaryCount * canary) / all
        let difference = canary - stable
        let spread = Swift.max(
            variance + difference * difference * stableCount * canaryCount / (all * all),
            1e-9
        )
        var bet = BlockBet(
            stableCentre: centre,
            canaryCentre: centre,
            stableSlope: (stable - centre) / spread,
            canarySlope: (canary - centre) / spread
        )
        let worst = Swift.max(loss(bet.stableSlope, centre), loss(bet.canarySlope, centre))
        if worst > 0.9 {
            bet.stableSlope *= 0.9 / worst
            bet.canarySlope *= 0.9 / worst
        }
        return bet
    }

    private static func loss(_ slope: Double, _ centre: Double) -> Double {
        slope > 0 ? slope * centre : -slope * (1 - centre)
    }

    /// The bet against "the canary's mean is at least `factor` times the stable mean plus `offset`", for 0 and 1.
    ///
    /// The centres are the point of the null hypothesis nearest to the means that are bet on, in Kullback-Leibler
    /// divergence: the reverse information projection (Turner and Grünwald, "Exact anytime-valid confidence intervals
    /// for contingency tables and beyond" (2023), section 3).
    static func nonInferiority(
        stable: Double,
        canary: Double,
        factor: Double,
        offset: Double,
        _ stableCount: Double,
        _ canaryCount: Double
    ) -> BlockBet? {
        func slopes(_ centre: Double) -> (stable: Double, canary: Double) {
            let shifted = factor * centre + offset
            return ((stable - centre) / (centre * (1 - centre)), (canary - shifted) / (shifted * (1 - shifted)))
        }
        guard factor > 0, canary < factor * stable + offset else { return nil }
        var low = 0.0
        var high = Swift.min(stable, (1 - offset) / factor)
        guard high > 0 else { return nil }
        for _ in 0..<30 {
            let middle = (low + high) / 2
            let (stableSlope, canarySlope) = slopes(middle)
            if stableCount * stableSlope + factor * canaryCount * canarySlope > 0 {
                low = middle
            } else {
                high = middle
            }
        }
        let centre = (low + high) / 2
        guard centre > 0, factor * centre + offset < 1 else { return nil }
        let stableSlope = slopes(centre).stable
        // Exactly balanced, whatever the search left.
        let canarySlope = -stableCount * stableSlope / (factor * canaryCount)
        let shifted = factor * centre + offset
        guard -canarySlope * (1 - shifted) < 1, stableSlope * centre < 1 else { return nil }
        return BlockBet(
            stableCentre: centre,
            canaryCentre: shifted,
            stableSlope: stableSlope,
            canarySlope: canarySlope
        )
    }
}
