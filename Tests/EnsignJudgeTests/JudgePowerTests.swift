import EnsignJSON
import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignJudge

@Suite("What a canary can see, and the guard of the stable version")
struct JudgePowerTests {
    private func steps(_ texts: (Int64, String)...) -> [Canary.Step] {
        texts.compactMap { weight, hold in TimeSpan(hold).map { Canary.Step(weight: weight, hold: $0) } }
    }

    @Test("The plan says what a canary sees and when a good one is through")
    func sentences() {
        let power = Power(
            analysis(rateMetric(), deadline: "24h"),
            expected: ["success": .init(value: 0.95)],
            runsPerHour: 120,
            steps: steps((25, "1h"), (50, "1h"))
        )
        #expect(power.concludes)
        #expect(
            power.sentences() == [
                "at 120 runs an hour this canary can see success fall by 10 points in about 2 h, "
                    + "and a good one will have passed in about 5 h"
            ]
        )
    }

    @Test("A canary that cannot conclude is called so")
    func tooSlow() {
        let rules = analysis(rateMetric(0.01), costMetric(), deadline: "24h")
        let power = Power(rules, expected: [:], runsPerHour: 4, steps: steps((5, "1h")))
        #expect(!power.concludes)
        #expect(power.sentences(deadline: "2026-11-22").first?.contains("cannot conclude before 2026-11-22") == true)
        let idle = Power(rules, expected: [:], runsPerHour: 0, steps: steps((5, "1h")))
        #expect(idle.hoursToPass == nil)
        #expect(idle.sentences().first?.contains("can never pass") == true)
    }

    @Test(
        "What is promised is what simulated canaries need",
        arguments: [(0.95, 0.05, Int64(50)), (0.9, 0.1, 20), (0.5, 0.1, 50), (0.99, 0.05, 50)]
    )
    func calibration(rate: Double, margin: Double, weight: Int64) throws {
        var random = SeededGenerator(for: "calibration", standard: 51)
        let rules = analysis(rateMetric(margin))
        let power = Power(
            rules,
            expected: ["success": .init(value: rate)],
            runsPerHour: 1,
            steps: steps((weight, "1h"))
        ).metrics[0]
        func median(_ canaryRate: Double, _ verdict: Verdict) -> Double {
            let counts = (0..<25).map { _ in
                var judge = Judge(rules)
                var count = 0
                while judge.decision == nil && count < 4000 {
                    count += 1
                    if random.int(1...100) <= Int(weight) {
                        judge.add(random.outcome(canaryRate), metricAt: 0, .canary)
                    } else {
                        judge.add(random.outcome(rate), metricAt: 0, .stable)
                    }
                }
                return judge.verdict == verdict ? count : 4000
            }
            return Double(counts.sorted()[12])
        }
        let toPass = try #require(power.hoursToPass)
        let toFail = try #require(power.hoursToFail)
        // Medians of 25 canaries: within a fifth or so of what they estimate.
        #expect((0.4...2).contains(median(rate, .pass) / toPass), "pass: \(toPass)")
        #expect((0.4...2).contains(median(rate - 2 * margin, .fail) / toFail), "fail: \(toFail)")
    }

    @Test("The guard reports drift beyond the margin, also after a long good time, and nothing else")
    func guardOfStable() throws {
        var random = SeededGenerator(for: "guardOfStable", standard: 52)
        for metric in [rateMetric(), costMetric()] {
            func sample(_ isWorse: Bool) -> Double {
                metric.kind == .rate
                    ? random.outcome(isWorse ? 0.7 : 0.95) : random.lognormal(1, scale: isWorse ? 0.06 : 0.02)
            }
            let baseline = try #require(Baseline(metric, (0..<2000).map { _ in sample(false) }, error: 0.05))
            var watched = Guard(metric, against: baseline, error: 0.05)
            for _ in 0..<8000 { watched.add(sample(false)) }
            #expect(!watched.hasDrifted)
            #expect(watched.explanation.contains("no drift"))
            watched = try #require(Guard(metric, state: try JSONParser.parse(watched.state.canonicalBytes())))
            var count = 0
            while !watched.hasDrifted && count < 3000 {
                watched.add(sample(true))
                count += 1
            }
            #expect(watched.hasDrifted)
            #expect(count < 800, "\(metric.name)")
            #expect(watched.explanation.contains("drifted although nothing was deployed"))
        }
    }

    @Test("The guard's false alarms stay below its error however long it watches")
    func guardFalseAlarms() throws {
        var random = SeededGenerator(for: "guardFalseAlarms", standard: 53)
        let metric = rateMetric(0)
        let alarms = try (0..<60).count { _ in
            let baseline = try #require(Baseline(metric, (0..<300).map { _ in random.outcome(0.9) }, error: 0.05))
            var watched = Guard(metric, against: baseline, error: 0.05)
            for _ in 0..<2000 { watched.add(random.outcome(0.9)) }
            return watched.hasDrifted
        }
        #expect(alarms <= mostOf(60, 0.05))
    }

    @Test("Too few samples make no baseline")
    func noBaseline() {
        #expect(Baseline(rateMetric(), [1, 0, 1], error: 0.05) == nil)
        #expect(Baseline(costMetric(), [Double](repeating: .nan, count: 100), error: 0.05) == nil)
    }
}
