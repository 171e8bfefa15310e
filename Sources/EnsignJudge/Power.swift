package import EnsignModel
import Glibc

/// What a canary can detect, and by when: shown in the plan, before it starts.
///
/// Evidence grows by the Kullback-Leibler divergence between reality and the nearest point of the hypothesis to reject,
/// sample by sample, and must reach `log(1 / error)` (Grünwald, de Heide and Koolen, "Safe testing" (2024), section
/// 3.2: the growth rate). The factors on top of that come from simulations of this judge (docs/judge.md, "Power"; `make
/// bench` measures the same cases). Times are medians: half of the canaries are decided by then, and nine in ten within
/// two and a half times as long.
package struct Power: Sendable, Hashable {
    /// The known facts about a metric of the stable version.
    package struct Expectation: Sendable, Hashable {
        /// Its rate, in `0...1`, or its mean. Nil: a rate of 95 % if high is good, else 1 %.
        package var value: Double?
        /// The standard deviation of a size's natural logarithm. Nil: 1, where the 90th percentile is 3.6 medians.
        package var spread: Double?
        /// The number of samples from each run.
        package var perRun: Double
        /// The share of a size's samples that are above 0. Nil: all of them. Of a rate: 0 if it never happened.
        package var positive: Double?

        package init(value: Double? = nil, spread: Double? = nil, perRun: Double = 1, positive: Double? = nil) {
            self.value = value
            self.spread = spread
            self.perRun = perRun
            self.positive = positive
        }
    }

    /// One metric's share of the answer. Hours are nil when the canary never gets there.
    package struct Metric: Sendable, Hashable {
        package var name: String
        /// A change by two margins: `success fall by 10 points`.
        package var change: String
        package var hoursToFail: Double?
        package var hoursToPass: Double?
        /// Whether it cannot pass because the last weight leaves no session to the stable version.
        package var isAloneAtLast = false
    }

    package var runsPerHour: Double
    package var metrics: [Metric]
    /// Nil when a metric never passes.
    package var hoursToPass: Double?
    private var deadline: TimeSpan?

    /// - Parameters:
    ///   - expected: By metric name.
    ///   - runsPerHour: Of both versions together.
    ///   - steps: Not empty. The last one's weight stays until the verdict.
    package init(
        _ analysis: Analysis,
        expected: [String: Expectation],
        runsPerHour: Double,
        steps: [Canary.Step]
    ) {
        let error = 1 - analysis.confidence
        let failTarget = log(Double(analysis.metrics.count) / error)
        let passTarget = log(1 / (MetricJudge.passReserve * error))
        self.runsPerHour = runsPerHour
        deadline = analysis.deadline
        metrics = analysis.metrics.map { metric in
            let expectation = expected[metric.name] ?? Expectation()
            let growth = Growth(metric, expectation)
            func hours(_ target: Double, atLeast samples: Double, _ rate: (Double) -> Double) -> Double? {
                let schedule = Schedule(metric, runsPerHour * expectation.perRun, steps)
                guard let evidence = schedule.hours(until: target, rate) else { return nil }
                guard samples > 0 else { return evidence }
                return schedule.hours(until: samples) { $0 }.map { max($0, evidence) }
            }
            var toPass = hours(
                1.05 * passTarget,
                atLeast: metric.kind == .rate ? 0 : passTarget / SizeBets.extremeShare * 1.1,
                growth.pass
            )
            if metric.isShareOfBad, expectation.positive == 0 {
                // Shown by the canary's own samples, as rare (docs/judge.md, "A share of nothing").
                let target = log(1 / ((1 - MetricJudge.passReserve) * error))
                let each = log(SizeBets.rareFactor(isRare: false))
                toPass = Schedule(metric, runsPerHour * expectation.perRun, steps).hours(until: target) { $0 * each }
            }
            return Metric(
                name: metric.name,
                change: growth.change,
                hoursToFail: hours(1.15 * failTarget, atLeast: 0, growth.fail),
                hoursToPass: toPass,
                isAloneAtLast: toPass == nil && steps.last.map { $0.weight >= 100 } ?? false
            )
        }
        let passes = metrics.compactMap(\.hoursToPass)
        hoursToPass = passes.count == metrics.count ? passes.max() : nil
    }

    /// Whether a good canary usually passes before the deadline.
    package var concludes: Bool {
        guard let hoursToPass else { return false }
        return deadline.map { hoursToPass <= Double($0.milliseconds) / 3_600_000 } ?? true
    }

    /// What the plan says.
    ///
    /// - Parameter deadline: The caller's text for the deadline, such as a date; nil: its length.
    package func sentences(deadline text: String? = nil) -> [String] {
        let seen = metrics.compactMap { metric in
            metric.hoursToFail.map { "\(metric.change) in about \(Self.duration($0))" }
        }
        let rate = "at \(Decimal.short(runsPerHour)) runs an hour"
        var sentences: [String] = []
        if let hoursToPass, concludes {
            let see = seen.isEmpty ? "" : "can see \(Self.list(seen)), and "
            sentences.append(
                "\(rate) this canary \(see)\(see.isEmpty ? "when good " : "a good one ")"
                    + "will have passed in about \(Self.duration(hoursToPass))"
            )
        } else {
            let slowest = metrics.max { ($0.hoursToPass ?? .infinity) < ($1.hoursToPass ?? .infinity) }
            let why = slowest.map { metric in
                metric.hoursToPass.map { "'\(metric.name)' needs about \(Self.duration($0)) to pass" }
                    ?? "'\(metric.name)' can never pass"
                    + (metric.isAloneAtLast
                        ? ", since the last step leaves no session to the stable version" : "")
            }
            let isAlone = slowest?.isAloneAtLast ?? false
            let before = text ?? deadline.map { "its deadline of \($0)" }
            let limit = before.map { " before \($0)" } ?? ""
            sentences.append(
                "\(rate) this canary cannot conclude\(limit): \(why ?? "nothing is measured"); "
                    + (isAlone
                        ? "end with a weight below 100" : "use evaluations, a wider margin or a larger weight")
                    + ", or promote by hand"
            )
            if !seen.isEmpty { sentences.append("it can see \(Self.list(seen))") }
        }
        return sentences
    }

    /// `40 min`, `9 h`, `3 d`.
    static func duration(_ hours: Double) -> String {
        if hours < 1.0 / 60 { return "1 min" }
        if hours < 1.5 { return "\(Int(hours * 60 + 0.5)) min" }
        if hours < 48 {
            return hours < 10 ? "\(Decimal.short((hours * 2 + 0.5).rounded(.down) / 2)) h" : "\(Int(hours + 0.5)) h"
        }
        let days = hours / 24
        return days < 100_000 ? "\(Int(days + 0.5)) d" : "ages"
    }

    private static func list(_ texts: [String]) -> String {
        guard texts.count > 1, let last = texts.last else { return texts.first ?? "" }
        return texts.dropLast().joined(separator: ", ") + " and " + last
    }
}

/// The canary's weights over time.
private struct Schedule {
    var runsPerHour: Double
    var steps: [Canary.Step]

    init(_ metric: Analysis.Metric, _ runsPerHour: Double, _ steps: [Canary.Step]) {
        self.runsPerHour = runsPerHour
        self.steps = steps
        guard let query = metric.query else { return }
        // One point of each version at each step, whatever the weights and the traffic.
        self.runsPerHour = 2 * 3_600_000 / Double(max(query.step.milliseconds, 1))
        for index in self.steps.indices where steps[index].weight < 100 { self.steps[index].weight = 50 }
    }

    /// Hours until something that grows by `rate(weight)` with each run has reached `target`.
    func hours(until target: Double, _ rate: (Double) -> Double) -> Double? {
        var missing = target
        var hours = 0.0
        for (index, step) in steps.enumerated() {
            // At 100 there is nothing to compare with but what was laid by: nothing is promised of that.
            let speed = step.weight < 100 ? rate(Double(step.weight) / 100) * runsPerHour : 0
            let hold = Double(step.hold.milliseconds) / 3_600_000
            if speed * hold >= missing || index == steps.count - 1 {
                return speed > 0 ? hours + missing / speed : nil
            }
            missing -= speed * hold
            hours += hold
        }
        return nil
    }
}

/// How fast evidence grows with each run, by the canary's weight as a share.
private struct Growth {
    var change: String
    var fail: (Double) -> Double
    var pass: (Double) -> Double

    init(_ metric: Analysis.Metric, _ expected: Power.Expectation) {
        if metric.kind == .rate {
            let value = min(max(expected.value ?? (metric.isHighGood ? 0.95 : 0.01), 0), 1)
            let bad = min(max(metric.isHighGood ? 1 - value : value, 0.001), 0.999)
            let (factor, offset) = metric.badRateBound
            let gap = (factor - 1) * bad + offset
            let worse = min(bad + max(2 * gap, 0.01), 0.999)
            change =
                "\(metric.name) \(metric.isHighGood ? "fall" : "rise") by \(Decimal.short((worse - bad) * 100)) points"
            fail = { weight in
                let centre = (1 - weight) * bad + weight * worse
                return (1 - weight) * Self.divergence(bad, centre) + weight * Self.divergence(worse, centre)
            }
            pass = { weight in
                guard
                    let bet = BlockBet.nonInferiority(
                        stable: bad,
                        canary: bad,
                        factor: factor,
                        offset: offset,
                        1 - weight,
                        weight
                    )
                else { return 0 }
                return (1 - weight) * Self.divergence(bad, bet.stableCentre)
                    + weight * Self.divergence(bad, bet.canaryCentre)
            }
        } else {
            let positive = min(max(expected.positive ?? 1, 0), 1)
            // A mean of mostly zeros varies as much as the occurrence of a non-zero value.
            let swing = positive > 0 ? (1 - positive) / positive : .infinity
            let spread = (pow(max(expected.spread ?? 1, 0.05), 2) + (Self.isRelative(metric.margin) ? swing : 0))
                .squareRoot()
            let margin: Double
            switch metric.margin {
            case .relative(let share):
                margin = share
                change = "\(metric.name) rise by \(Decimal.short(max(2 * share, 0.1) * 100)) %"
            case .absolute(let value):
                // Compared with almost nothing, any allowance is large.
                margin = expected.value.map { $0 > value / 100 ? value / $0 : 100 } ?? value
                let unit = metric.unit.map { " \($0)" } ?? ""
                change = "\(metric.name) rise by \(Decimal.short(2 * value))\(unit)"
            }
            // Two normal distributions of logarithms, their means `shift` apart.
            func growth(_ shift: Double, _ weight: Double) -> Double {
                spread.isFinite ? weight * (1 - weight) * shift * shift / (2 * spread * spread) : 0
            }
            // From where a canary may always be, half of the margin.
            let seen = log1p(max(2 * margin, 0.1)) - log1p(margin / 2)
            let allowed = log1p(margin)
            // The log-likelihood ratio of a bounded bet: 0.25 a run is the fastest possible.
            fail = { min(growth(seen, $0), 0.1) }
            pass = { growth(allowed, $0) }
        }
    }

    private static func isRelative(_ margin: Analysis.Margin) -> Bool {
        if case .relative = margin { true } else { false }
    }

    /// Between Bernoulli distributions, in natural units.
    private static func divergence(_ p: Double, _ q: Double) -> Double {
        p * log(p / q) + (1 - p) * log((1 - p) / (1 - q))
    }
}
