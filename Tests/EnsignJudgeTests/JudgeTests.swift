import EnsignJSON
import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignJudge

@Suite("The judge")
struct JudgeTests {
    // MARK: Error

    @Test("A canary like stable fails at most as often as the confidence says", arguments: [0.5, 0.9, 0.99])
    func falseAlarms(rate: Double) {
        var random = SeededGenerator(for: "falseAlarms", standard: 31)
        let trials = 250
        let failed = (0..<trials).count { _ in
            var judge = Judge(analysis(rateMetric()))
            judge.feed(300, &random, stable: { $0.outcome(rate) }, canary: { $0.outcome(rate) })
            return judge.verdict == .fail
        }
        #expect(failed <= mostOf(trials, 0.05))
    }

    @Test("The same for costs with heavy tails", arguments: [1.0, 2.0])
    func falseAlarmsOfCosts(sigma: Double) {
        var random = SeededGenerator(for: "falseAlarmsOfCosts", standard: 32)
        let trials = 60
        let failed = (0..<trials).count { _ in
            var judge = Judge(analysis(costMetric()))
            judge.feed(300, &random, stable: { $0.lognormal(sigma) }, canary: { $0.lognormal(sigma) })
            return judge.verdict == .fail
        }
        #expect(failed <= mostOf(trials, 0.05))
    }

    @Test("A canary that is worse by the margin passes at most as often as the confidence says, at any weight")
    func falsePasses() {
        var random = SeededGenerator(for: "falsePasses", standard: 33)
        let trials = 150
        for weight in [5, 50] {
            let passed = (0..<trials).count { _ in
                var judge = Judge(analysis(rateMetric(0.1)))
                for _ in 0..<800 where judge.decision == nil {
                    if random.once(in: 100 / weight) {
                        judge.add(random.outcome(0.8), metricAt: 0, .canary)
                    } else {
                        judge.add(random.outcome(0.9), metricAt: 0, .stable)
                    }
                }
                return judge.verdict == .pass
            }
            #expect(passed <= mostOf(trials, 0.05), "weight \(weight)")
        }
    }

    @Test("Every bet is fair or worse, whatever the means are that the null hypothesis allows")
    func betsAreFair() {
        var random = SeededGenerator(for: "betsAreFair", standard: 34)
        for _ in 0..<400 {
            let sizes = random.pick([(1, 1), (19, 1), (1, 7), (32, 1)])
            let (stableCount, canaryCount) = (Double(sizes.0), Double(sizes.1))
            let guess = 0.001 + 0.9 * random.share()
            let worse = guess + (0.999 - guess) * random.share()
            let variance = 0.2 * random.share()
            let failing = [
                BlockBet.likelihood(stable: guess, canary: worse, stableCount, canaryCount),
                BlockBet.means(stable: guess, canary: worse, variance: variance, stableCount, canaryCount),
            ]
            for bet in failing {
                let stable = random.share()
                let canary = stable * random.share()
                #expect(bet.expectation(stable, canary, sizes) <= 1 + 1e-9)
                #expect(bet.smallestFactor >= 0)
            }
            let (factor, offset) = random.pick([(1.0, 0.05), (1, 0.3), (1.2, 0), (0.8, 0.2)])
            guard
                let bet = BlockBet.nonInferiority(
                    stable: guess,
                    canary: guess,
                    factor: factor,
                    offset: offset,
                    stableCount,
                    canaryCount
                )
            else { continue }
            #expect(bet.smallestFactor >= 0)
            let stable = random.share()
            let least = factor * stable + offset
            guard least <= 1 else { continue }
            #expect(bet.expectation(stable, least + (1 - least) * random.share(), sizes) <= 1 + 1e-9)
            #expect(bet.expectation(stable, least, sizes) <= 1 + 1e-9)
        }
    }

    @Test("The interval covers the difference at every look")
    func coverage() {
        var random = SeededGenerator(for: "coverage", standard: 35)
        let trials = 60
        let missed = (0..<trials).count { _ in
            var interval = DifferenceInterval()
            return (0..<120).contains { block in
                interval.add(stable: random.outcome(0.2), canary: random.outcome(0.3))
                guard block % 10 == 9 else { return false }
                let bounds = interval.bounds(scale: 1, error: 0.05)
                return bounds.low > 0.1 || bounds.high < 0.1
            }
        }
        #expect(missed <= mostOf(trials, 0.1))
    }

    // MARK: Power

    @Test("Breakdowns are seen at once, falls of the margin in time, and a good canary passes")
    func power() {
        var random = SeededGenerator(for: "power", standard: 36)
        func median(_ most: Int, _ rate: Double, _ verdict: Verdict) -> Int {
            let counts = (0..<31).map { _ in
                var judge = Judge(analysis(rateMetric()))
                let count = judge.feed(most, &random, stable: { $0.outcome(0.95) }, canary: { $0.outcome(rate) })
                return judge.verdict == verdict ? count : most
            }
            return counts.sorted()[15]
        }
        #expect(median(60, 0.5, .fail) <= 16)
        #expect(median(400, 0.8, .fail) <= 90)
        #expect(median(900, 0.95, .pass) <= 330)
    }

    @Test("Costs that double fail; equal ones pass")
    func costs() {
        var random = SeededGenerator(for: "costs", standard: 37)
        for _ in 0..<6 {
            var judge = Judge(analysis(costMetric()))
            judge.feed(400, &random, stable: { $0.lognormal() }, canary: { $0.lognormal(scale: 0.04) })
            #expect(judge.verdict == .fail)
            judge = Judge(analysis(costMetric(0.5)))
            judge.feed(1500, &random, stable: { $0.lognormal(0.5) }, canary: { $0.lognormal(0.5) })
            #expect(judge.verdict == .pass)
        }
    }

    @Test("A mean that is 70 times worse through rare huge costs does not pass")
    func rareHugeCosts() {
        var random = SeededGenerator(for: "rareHugeCosts", standard: 38)
        let passed = (0..<20).count { _ in
            var judge = Judge(analysis(costMetric()))
            judge.feed(
                1200,
                &random,
                stable: { $0.lognormal(0.5) },
                canary: { $0.lognormal(0.5) * ($0.once(in: 100) ? 7000 : 1) }
            )
            return judge.verdict == .pass
        }
        #expect(passed <= mostOf(20, 0.05))
    }

    @Test("Violations are counted for each unit of exposure")
    func counts() {
        var random = SeededGenerator(for: "counts", standard: 39)
        let metric = Analysis.Metric(
            name: "violations",
            kind: .count,
            good: nil,
            unit: "an hour",
            margin: .absolute(0.5)
        )
        for _ in 0..<5 {
            var judge = Judge(analysis(metric))
            judge.feed(600, &random, stable: { $0.outcome(0.2) }, canary: { $0.outcome(0.5) + $0.outcome(0.5) })
            #expect(judge.verdict == .fail)
            judge = Judge(analysis(metric))
            judge.feed(900, &random, stable: { $0.outcome(0.2) }, canary: { $0.outcome(0.2) })
            #expect(judge.verdict == .pass)
        }
    }

    // MARK: Rules

    @Test("The confidence is shared: more metrics need more evidence to fail, and all must pass")
    func sharing() {
        var random = SeededGenerator(for: "sharing", standard: 40)
        var alone = Judge(analysis(rateMetric()))
        var shared = Judge(analysis(rateMetric(), rateMetric(good: false, name: "errors"), costMetric()))
        for _ in 0..<400 {
            let samples = (random.outcome(0.95), random.outcome(0.6))
            alone.add(samples.0, metric: "success", .stable)
            alone.add(samples.1, metric: "success", .canary)
            shared.add(samples.0, metric: "success", .stable)
            shared.add(samples.1, metric: "success", .canary)
            #expect(shared.decision == nil || alone.decision == .fail)
        }
        #expect(shared.verdict == .fail)
        #expect(shared.metrics.map(\.verdict) == [.fail, .noData, .noData])

        var good = Judge(analysis(rateMetric(0.2), rateMetric(0.2, good: false, name: "errors")))
        good.feed(400, &random, stable: { $0.outcome(0.95) }, canary: { $0.outcome(0.95) })
        #expect(good.metrics[0].verdict == .pass)
        #expect(good.verdict == .noData)
        for _ in 0..<400 {
            good.add(random.outcome(0.05), metric: "errors", .stable)
            good.add(random.outcome(0.05), metric: "errors", .canary)
        }
        #expect(good.verdict == .pass)
    }

    @Test("The first verdict stays")
    func firstDecides() {
        var random = SeededGenerator(for: "firstDecides", standard: 41)
        var judge = Judge(analysis(rateMetric()))
        judge.feed(200, &random, stable: { _ in 1 }, canary: { _ in 0 })
        let decided = judge
        #expect(judge.verdict == .fail)
        judge.feed(200, &random, stable: { _ in 0 }, canary: { _ in 1 })
        #expect(judge == decided)
    }

    @Test("A state that is stored and read back anywhere goes on to the same evidence, bit for bit")
    func stateRoundTrip() throws {
        var random = SeededGenerator(for: "stateRoundTrip", standard: 42)
        let rules = analysis(rateMetric(0.02), costMetric(0.05), rateMetric(0.1, good: false, name: "denied"))
        var straight = Judge(rules)
        var resumed = Judge(rules)
        for _ in 0..<900 {
            let index = random.int(0...2)
            let variant: Variant = random.once(in: 4) ? .canary : .stable
            let value = index == 0 ? random.outcome(0.9) : index == 1 ? random.lognormal() : random.outcome(0.1)
            straight.add(value, metricAt: index, variant)
            resumed.add(value, metricAt: index, variant)
            if random.once(in: 7) {
                let text = resumed.state.canonicalBytes()
                #expect(text.count < 32_768)
                resumed = try #require(Judge(rules, state: try JSONParser.parse(text)))
            }
        }
        #expect(straight == resumed)
        #expect(straight.report().json.canonicalBytes() == resumed.report().json.canonicalBytes())
        #expect(Judge(analysis(rateMetric()), state: straight.state) == nil)
    }

    // MARK: Lying data

    @Test("Values that are not measurements are counted, never believed, and never promote")
    func hostileValues() throws {
        let lies = [
            Double.nan, .infinity, -.infinity, -1, -0.001, 1e300, .greatestFiniteMagnitude, 0.5, 2,
            .leastNonzeroMagnitude,
            1e15, 0, -0.0, 1,
        ]
        var random = SeededGenerator(for: "hostileValues", standard: 43)
        for metric in [rateMetric(), costMetric(), rateMetric(0, good: false), costMetric(0), costMetric(10)] {
            var judge = Judge(analysis(metric))
            for _ in 0..<1500 { judge.add(random.pick(lies), metricAt: 0, random.once(in: 2) ? .stable : .canary) }
            #expect(judge.verdict != .pass)
            #expect(judge.metrics[0].canary.rejected > 100)
            let text = judge.state.canonicalBytes() + judge.report().json.canonicalBytes()
            #expect(text.count < 65_536)

            var liar = Judge(analysis(metric))
            for _ in 0..<300 {
                liar.add(1, metricAt: 0, .stable)
                liar.add(.nan, metricAt: 0, .canary)
            }
            #expect(liar.verdict == .noData)
        }
    }

    @Test("A canary that hides its bad samples behind lies does not pass")
    func hiding() {
        var random = SeededGenerator(for: "hiding", standard: 44)
        var judge = Judge(analysis(rateMetric()))
        judge.feed(1500, &random, stable: { $0.outcome(0.9) }, canary: { $0.once(in: 10) ? .nan : 1 })
        #expect(judge.verdict == .inconclusive)
        #expect(judge.report().explanation.contains("not being measurements"))
    }

    @Test("Missing data never passes")
    func missingData() {
        var judge = Judge(analysis(rateMetric()))
        #expect(judge.verdict == .noData)
        for _ in 0..<5000 { judge.add(1, metricAt: 0, .canary) }
        #expect(judge.verdict == .noData)
        #expect(judge.report().explanation.contains("no samples of the stable version"))
        #expect(judge.add(1, metric: "other", .stable) == false)
    }

    @Test("Impossible margins neither crash nor pass what is bad", arguments: [0, 0.3, 1, 1000, 1e9])
    func oddMargins(margin: Double) {
        var random = SeededGenerator(for: "oddMargins", standard: 45)
        let relative = Analysis.Margin.relative(min(margin, 10))
        for bound in [relative, .absolute(margin)] {
            for good in [true, false] {
                var metric = rateMetric(good: good)
                metric.margin = bound
                var judge = Judge(analysis(metric))
                judge.feed(60, &random, stable: { _ in good ? 1 : 0 }, canary: { _ in good ? 0 : 1 })
                #expect(judge.verdict == .fail)
                _ = judge.report().json.canonicalBytes()
            }
            var metric = costMetric()
            metric.margin = bound
            var judge = Judge(analysis(metric))
            judge.feed(100, &random, stable: { $0.lognormal() }, canary: { (1e6 + 100 * margin) * $0.lognormal() })
            #expect(judge.verdict == .fail)
            _ = judge.report().json.canonicalBytes()
        }
    }
}

extension BlockBet {
    /// For samples of 0 and 1 with these means.
    fileprivate func expectation(_ stable: Double, _ canary: Double, _ counts: (Int, Int)) -> Double {
        var product = 1.0
        for _ in 0..<counts.0 { product *= factor(stable) }
        for _ in 0..<counts.1 { product *= canaryFactor(canary) }
        return product
    }

    fileprivate var smallestFactor: Double {
        min(factor(0), factor(1), canaryFactor(0), canaryFactor(1))
    }
}
