import EnsignJSON
import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignJudge

/// Canaries that take (almost) all sessions, so that the stable version gives (almost) no samples.
@Suite("A canary that is alone")
struct CanaryStageTests {
    /// Runs beside the stable version, then all sessions to the canary.
    ///
    /// - Returns: The verdict, and how many runs alone it took; nil if there was one before.
    private func verdict(
        _ metric: Analysis.Metric,
        beside: Int,
        weight: Int,
        alone: Int,
        _ random: inout SeededGenerator,
        stable: (inout SeededGenerator) -> Double,
        canary: (inout SeededGenerator) -> Double
    ) -> (verdict: Verdict, runs: Int)? {
        var judge = Judge(analysis(metric))
        judge.stage = .toBeAlone
        for _ in 0..<beside {
            if random.int(1...100) <= weight {
                judge.add(stable(&random), metricAt: 0, .canary)
            } else {
                judge.add(stable(&random), metricAt: 0, .stable)
            }
        }
        guard judge.decision == nil else { return nil }
        judge.stage = .alone
        for run in 0..<alone where judge.decision == nil {
            judge.add(canary(&random), metricAt: 0, .canary)
            if judge.decision != nil { return (judge.verdict, run + 1) }
        }
        return (judge.verdict, alone)
    }

    @Test(
        "When all of its runs fail it fails at once, whatever was before",
        arguments: [(60, 50), (400, 5), (1_000, 25), (1_000, 50)]
    )
    func breakdown(beside: Int, weight: Int) {
        var random = SeededGenerator(for: "breakdown", standard: 61)
        for _ in 0..<10 {
            // A margin that nothing passes before.
            let found = verdict(
                rateMetric(0.01),
                beside: beside,
                weight: weight,
                alone: 300,
                &random,
                stable: { $0.outcome(0.97) },
                canary: { _ in 0 }
            )
            guard let found else { continue }
            #expect(found.verdict == .fail)
            #expect(found.runs <= 40, "after \(found.runs) runs")
        }
    }

    @Test("Sizes that explode fail as well")
    func sizes() {
        var random = SeededGenerator(for: "aloneSizes", standard: 62)
        for _ in 0..<10 {
            let found = verdict(
                costMetric(0.05),
                beside: 600,
                weight: 50,
                alone: 300,
                &random,
                stable: { $0.lognormal(0.5) },
                canary: { $0.lognormal(0.5, scale: 0.1) }
            )
            #expect(found == nil || found?.verdict == .fail)
        }
    }

    @Test("One that is as good as before fails at most as often as the confidence says")
    func falseAlarms() {
        var random = SeededGenerator(for: "aloneFalseAlarms", standard: 63)
        let trials = 200
        let failed = (0..<trials).count { _ in
            verdict(
                rateMetric(0.01),
                beside: 300,
                weight: 50,
                alone: 400,
                &random,
                stable: { $0.outcome(0.9) },
                canary: { $0.outcome(0.9) }
            )?.verdict == .fail
        }
        #expect(failed <= mostOf(trials, 0.05))
    }

    @Test("One that is alone from the start meets what the stable version did before")
    func fromTheStart() throws {
        let canary = try watched(rateMetric(), costMetric(), weight: 100, steps: [100])
        let start = Moment(canary.since)
        var traffic = Traffic(first: start, latest: start, runs: 0, metrics: [:])
        for index in 0..<100 {
            let sample = canary.sample(.stable, at: Int64(index) - 200, index % 20 == 0 ? 0 : 1)
            traffic.take(sample, isStable: true)
        }
        let runs = (0..<60).map { canary.sample(.canary, at: Int64($0), 0) }
        var analyst = CanaryAnalyst(json: nil, canaries: [canary])
        analyst.remember { _ in traffic }
        analyst.take(Array(runs.prefix(5)))
        // Once: a restart does not remember again.
        analyst = CanaryAnalyst(json: try JSONParser.parse(analyst.json.canonicalBytes()), canaries: [canary])
        analyst.remember { _ in traffic }
        let before = analyst.verdict(canary).report?.metrics.first { $0.name == "success" }
        #expect(before?.stable.count == 100)
        #expect(before?.stable.mean == 0.95)
        analyst.take(Array(runs.dropFirst(5)))
        #expect(analyst.verdict(canary).outcome == .fail)
        // Without a record there is nothing to say, and nothing passes.
        var blind = CanaryAnalyst(json: nil, canaries: [canary])
        blind.take(runs)
        #expect(blind.verdict(canary).outcome == .noData)
    }

    @Test("The state goes on to the same evidence, bit for bit")
    func state() throws {
        var random = SeededGenerator(for: "aloneState", standard: 64)
        let rules = analysis(rateMetric(0.01), costMetric(0.05))
        var straight = Judge(rules)
        var resumed = Judge(rules)
        for index in 0..<700 {
            let stage: CanaryStage = index < 500 ? .toBeAlone : .alone
            (straight.stage, resumed.stage) = (stage, stage)
            let variant: Variant = index >= 500 || random.once(in: 3) ? .canary : .stable
            let metric = random.int(0...1)
            let value = metric == 0 ? random.outcome(0.9) : random.lognormal()
            straight.add(value, metricAt: metric, variant)
            resumed.add(value, metricAt: metric, variant)
            guard random.once(in: 9) else { continue }
            resumed = try #require(Judge(rules, state: try JSONParser.parse(resumed.state.canonicalBytes())))
            resumed.stage = stage
        }
        #expect(straight == resumed)
    }

    @Test("The plan promises nothing that needs the stable version when it is gone")
    func plan() {
        func power(_ steps: Int64...) -> Power {
            Power(
                analysis(rateMetric(0.01), deadline: "30d"),
                expected: ["success": .init(value: 0.95)],
                runsPerHour: 10,
                steps: steps.map { Canary.Step(weight: $0, hold: TimeSpan(minutes: 60)) }
            )
        }
        #expect(power(50).hoursToPass != nil)
        let blind = power(50, 100)
        #expect(blind.hoursToPass == nil && !blind.concludes)
        #expect(blind.metrics[0].hoursToFail == nil)
        #expect(
            blind.sentences().first?.contains("since the last step leaves no session to the stable version") == true
        )
        #expect(blind.sentences().first?.contains("end with a weight below 100") == true)
    }
}
