import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignJudge

/// What a margin of a size allows: half of it always, whatever the spread.
@Suite("Margins of sizes")
struct SizeMarginTests {
    typealias Draw = @Sendable (inout SeededGenerator) -> Double

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var margin = Analysis.Margin.relative(0.2)
        var stable: Draw
        var canary: Draw
    }

    private static let tolerable: [Case] = [
        Case(testDescription: "steps: always 4, 5 in 5 %", stable: { _ in 4 }, canary: { $0.once(in: 20) ? 5 : 4 }),
        Case(
            testDescription: "the same, margin 1",
            margin: .absolute(1),
            stable: { _ in 4 },
            canary: { $0.once(in: 20) ? 5 : 4 }
        ),
        Case(
            testDescription: "steps: 4 or 5, 6 in 5 %",
            stable: { $0.once(in: 2) ? 4 : 5 },
            canary: { $0.once(in: 20) ? 6 : $0.once(in: 2) ? 4 : 5 }
        ),
        Case(testDescription: "constant, 5 % more", stable: { _ in 1 }, canary: { _ in 1.05 }),
        Case(
            testDescription: "nothing, next to nothing in 5 %",
            margin: .absolute(1),
            stable: { _ in 0 },
            canary: { $0.once(in: 20) ? 1e-6 : 0 }
        ),
        Case(
            testDescription: "long prompts, 5 % longer",
            stable: { 3_000 + $0.lognormal(0.5, scale: 200) },
            canary: { 3_160 + $0.lognormal(0.5, scale: 200) }
        ),
        lognormal(0.05, 1.05), lognormal(0.1, 1.09), lognormal(0.2, 1.09), lognormal(0.5, 1.05), lognormal(1, 1.1),
        lognormal(2, 1.1),
    ]

    private static func lognormal(_ sigma: Double, _ factor: Double) -> Case {
        Case(
            testDescription: "lognormal \(sigma), x \(factor)",
            stable: { $0.lognormal(sigma) },
            canary: { factor * $0.lognormal(sigma) }
        )
    }

    private func verdicts(_ item: Case, _ trials: Int, _ most: Int, _ random: inout SeededGenerator) -> [Verdict] {
        var metric = costMetric()
        metric.margin = item.margin
        return (0..<trials).map { _ in
            var judge = Judge(analysis(metric))
            judge.feed(most, &random, stable: item.stable, canary: item.canary)
            return judge.verdict
        }
    }

    @Test(
        "A canary that is worse by no more than half of the margin fails at most as often as the confidence says",
        arguments: tolerable
    )
    func tolerated(_ item: Case) {
        var random = SeededGenerator(for: "tolerated", standard: 71)
        let verdicts = verdicts(item, 40, 400, &random)
        #expect(verdicts.count { $0 == .fail } <= mostOf(40, 0.05))
    }

    @Test("Where runs are alike it passes")
    func passes() {
        var random = SeededGenerator(for: "marginPasses", standard: 72)
        for item in Self.tolerable.prefix(8) {
            let passed = verdicts(item, 8, 500, &random).count { $0 == .pass }
            #expect(passed >= 7, "\(item.testDescription)")
        }
    }

    @Test("Two margins are found", arguments: [(0.05, 60), (0.5, 250), (1.0, 900)])
    func found(sigma: Double, most: Int) {
        var random = SeededGenerator(for: "twoMargins", standard: 73)
        let failed = verdicts(Self.lognormal(sigma, 1.4), 11, most, &random).count { $0 == .fail }
        #expect(failed >= 8)
    }

    // MARK: A share of nothing

    private static let shares: [Analysis.Metric] = [
        Analysis.Metric(name: "tool-errors", kind: .count, good: nil, unit: nil, margin: .relative(0.2)),
        Analysis.Metric(name: "tool-errors", kind: .rate, good: false, unit: nil, margin: .relative(0.5)),
    ]

    @Test("Where nothing bad ever happens, a margin that is a share of it is passed", arguments: shares)
    func never(_ metric: Analysis.Metric) {
        var random = SeededGenerator(for: "never", standard: 74)
        var judge = Judge(analysis(metric))
        let samples = judge.feed(5_000, &random, stable: { _ in 0 }, canary: { _ in 0 })
        #expect(judge.verdict == .pass)
        #expect(samples < 600)
        // What the plan says comes from the same numbers.
        let power = Power(
            analysis(metric),
            expected: [metric.name: .init(value: 0, positive: 0)],
            runsPerHour: 2,
            steps: [Canary.Step(weight: 50, hold: TimeSpan(minutes: 1))]
        )
        let hours = power.hoursToPass ?? 0
        #expect(abs(hours - Double(samples)) < 20, "\(hours) for \(samples)")
        #expect(power.concludes)
    }

    @Test(
        "A canary that has one in a hundred where stable has none does not pass more often than promised",
        arguments: shares
    )
    func hardlyNever(_ metric: Analysis.Metric) {
        var random = SeededGenerator(for: "hardlyNever", standard: 75)
        let trials = 60
        let passed = (0..<trials).count { _ in
            var judge = Judge(analysis(metric))
            judge.feed(1_200, &random, stable: { _ in 0 }, canary: { $0.outcome(0.011) })
            return judge.verdict == .pass
        }
        #expect(passed <= mostOf(trials, 0.05))
    }
}
