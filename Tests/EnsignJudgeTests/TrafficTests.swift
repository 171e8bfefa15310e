import EnsignJSON
import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignJudge

@Suite("How much an agent runs, and what the plan makes of it")
struct TrafficTests {
    private let agent = AgentID.triage
    private let stable = digest("1")
    private let start = Timestamp(seconds: 1_795_251_600)

    private func sample(_ metric: MetricName, _ value: Double, minutes: Double, stable isStable: Bool = true) -> Sample
    {
        let time = Moment(start).advanced(milliseconds: Int64(minutes * 60_000))
        return Sample(
            agent: agent,
            environment: "prod",
            bundle: isStable ? stable : digest("2"),
            metric: metric,
            value: value,
            occurred: metric == .success ? value == 1 : nil,
            time: time,
            started: time
        )
    }

    /// Two runs a minute for so long, one in twenty failing; costs with a standard deviation of their logarithm of 0.5.
    private func book(hours: Int) -> TrafficBook {
        var random = SeededGenerator(for: "traffic", standard: 71)
        var book = TrafficBook()
        for index in 0..<(hours * 120) {
            let minutes = Double(index) / 2
            book.take(sample(.success, index % 20 == 0 ? 0 : 1, minutes: minutes), stable: stable)
            book.take(sample(.cost, random.lognormal(0.5), minutes: minutes), stable: stable)
            // The canary runs as well, and is not better.
            book.take(sample(.success, 0, minutes: minutes, stable: false), stable: stable)
        }
        return book
    }

    private func later(_ hours: Double) -> Moment { Moment(start).advanced(milliseconds: Int64(hours * 3_600_000)) }

    @Test("Runs an hour are those of all versions lately; metrics are those of the stable one")
    func summary() throws {
        for hours in [2, 30, 60] {
            let traffic = try #require(book(hours: hours).agents[agent])
            let perHour = try #require(traffic.runsPerHour(at: later(Double(hours))))
            #expect((235...245).contains(perHour), "\(hours): \(perHour)")
            let expected = traffic.expectations(analysis(rateMetric(), costMetric(), rateMetric(name: "tool-errors")))
            let rate = try #require(expected["success"]?.value)
            #expect((0.94...0.96).contains(rate))
            let spread = try #require(expected["cost"]?.spread)
            #expect((0.4...0.6).contains(spread))
            #expect(expected["cost"]?.perRun == 1)
            // Nothing comes of it: it can never pass.
            #expect(expected["tool-errors"]?.perRun == 0)
        }
    }

    @Test("An agent that no longer runs is forgotten by and by; less than an hour counts as an hour")
    func idle() throws {
        let traffic = try #require(book(hours: 10).agents[agent])
        let day = try #require(traffic.runsPerHour(at: later(34)))
        #expect((20...120).contains(day), "\(day)")
        #expect(traffic.runsPerHour(at: later(24 * 30)) == nil)
        var book = TrafficBook()
        for _ in 0..<30 { book.take(sample(.success, 1, minutes: 0), stable: stable) }
        let burst = try #require(book.agents[agent]?.runsPerHour(at: later(0.01)))
        #expect((29...31).contains(burst))
        // Nothing bad so far does not mean never.
        let rate = try #require(book.agents[agent]?.expectations(analysis(rateMetric()))["success"]?.value)
        #expect((0.97...0.99).contains(rate))
    }

    @Test("The order in which runs are read hardly matters, and what cannot be a measurement does not count")
    func robust() throws {
        let samples = (0..<2_000).map { sample(.success, $0 % 10 == 0 ? 0 : 1, minutes: Double($0)) }
        func runs(_ samples: [Sample]) throws -> Double {
            var book = TrafficBook()
            for sample in samples { book.take(sample, stable: stable) }
            return try #require(book.agents[agent]?.runsPerHour(at: later(2_000 / 60)))
        }
        let (forth, back) = (try runs(samples), try runs(samples.reversed()))
        #expect(abs(forth - back) < 1e-6)
        var book = TrafficBook()
        for value in [Double.nan, .infinity, -.infinity, 1e300, -1e300, 0, -5] {
            for metric in [MetricName.cost, .success, .evaluation("x")] {
                book.take(sample(metric, value, minutes: 1), stable: stable)
            }
        }
        for index in 0..<100 { book.take(sample(.evaluation("e-\(index)"), 1, minutes: 2), stable: stable) }
        let traffic = try #require(book.agents[agent])
        #expect(traffic.metrics.count <= 24)
        #expect(traffic.metrics.values.allSatisfy { $0.sum.isFinite && $0.squares.isFinite })
        let read = try #require(Traffic(json: JSONParser.parse(traffic.json(agent).canonicalBytes())))
        #expect(read.metrics.keys.sorted() == traffic.metrics.keys.sorted())
    }

    @Test("Only so many agents are kept")
    func bounded() throws {
        var book = TrafficBook()
        for number in 0...(TrafficBook.maxAgents + 5) {
            var one = sample(.success, 1, minutes: Double(number))
            one.agent = try #require(AgentID("support/a-\(number)"))
            book.take(one, stable: stable)
        }
        #expect(book.agents.count <= TrafficBook.maxAgents)
        #expect(try book.agents[#require(AgentID("support/a-0"))] == nil)
    }

    // MARK: The plan

    private func canary(_ analysis: Analysis?) -> Canary {
        let steps = [(Int64(25), "1h"), (50, "1h")].compactMap { weight, hold in
            TimeSpan(hold).map { Canary.Step(weight: weight, hold: $0) }
        }
        return Canary(steps: steps, analysis: analysis)
    }

    @Test("Without telemetry the plan assumes a rate and says so; a rate that is named is none that is assumed")
    func assumed() throws {
        let canary = canary(analysis(rateMetric(), deadline: "24h"))
        let power = try #require(PlannedPower(canary, traffic: nil, runsPerHour: nil, now: start))
        #expect(
            power.sentences == [
                "no telemetry of it here: assuming 60 runs an hour; --runs-per-hour N says otherwise",
                "at 60 runs an hour this canary can see success fall by 10 points in about 4 h, "
                    + "and a good one will have passed in about 9.5 h",
            ]
        )
        let asked = try #require(PlannedPower(canary, traffic: nil, runsPerHour: 120, now: start))
        #expect(!asked.isAssumed && asked.sentences.count == 1)
        #expect(
            String(decoding: asked.json.canonicalBytes(), as: UTF8.self) == """
                {"assumed":false,"concludes":true,"hoursToPass":4.97,"metrics":[{"change":"success fall by 10 points","hoursToFail":2.17,"hoursToPass":4.97,"name":"success"}],"runsPerHour":120,"sentences":["at 120 runs an hour this canary can see success fall by 10 points in about 2 h, and a good one will have passed in about 5 h"]}
                """
        )
        #expect(PlannedPower(self.canary(nil), traffic: nil, runsPerHour: nil, now: start) == nil)
    }

    @Test("A share of what the stable version never has is nothing: the plan counts the runs that show as much")
    func shareOfNothing() throws {
        var book = TrafficBook()
        for index in 0..<3_000 {
            book.take(sample(.success, 1, minutes: Double(index) / 2), stable: stable)
            book.take(sample(.toolErrors, 0, minutes: Double(index) / 2), stable: stable)
        }
        var traffic = try #require(book.agents[agent])
        func metric(_ margin: Analysis.Margin) -> Analysis.Metric {
            Analysis.Metric(name: "tool-errors", kind: .count, good: nil, unit: nil, margin: margin, query: nil)
        }
        func planned(_ margin: Analysis.Margin) throws -> PlannedPower {
            let canary = canary(analysis(metric(margin)))
            return try #require(PlannedPower(canary, traffic: traffic, runsPerHour: nil, now: later(25).timestamp))
        }
        let share = try planned(.relative(0.2))
        #expect(share.power.concludes)
        // Some 541 of the canary's own.
        let needed = try #require(share.power.hoursToPass) * share.power.runsPerHour
        #expect((1_000...1_250).contains(needed), "\(needed)")
        #expect(try planned(.absolute(0.05)).power.hoursToPass != nil)
        // Now and then there is one: it takes ages.
        for index in 0..<60 { book.take(sample(.toolErrors, 1, minutes: 1_400 + Double(index)), stable: stable) }
        traffic = try #require(book.agents[agent])
        let rare = try planned(.relative(0.2))
        #expect((100...).contains(rare.power.hoursToPass ?? 0), "\(rare.sentences)")
    }

    @Test("A metric of Prometheus takes its time whatever the agent runs, and is guarded by nobody")
    func prometheus() throws {
        let step = try #require(TimeSpan("1m"))
        var metric = rateMetric(name: "prometheus:slo")
        metric.query = PrometheusQuery(text: "up", step: step)
        metric.guarding = .halt
        let rules = analysis(metric)
        func power(_ runs: Double) throws -> Power {
            try #require(PlannedPower(canary(rules), traffic: nil, runsPerHour: runs, now: start)).power
        }
        let few = try power(1)
        #expect(try few.metrics == power(10_000).metrics)
        // As 120 runs an hour of which the canary has half.
        let halves = [Canary.Step(weight: 50, hold: step)]
        let same = Power(analysis(rateMetric(name: "prometheus:slo")), expected: [:], runsPerHour: 120, steps: halves)
        #expect(few.metrics == same.metrics)
        let side = Change.Side(version: version("1.0.0"), digest: stable)
        #expect(GuardedVersion(agent, side, rules) == nil)
    }

    @Test("With telemetry the plan goes by it; a deadline is written as the date that it is")
    func known() throws {
        let traffic = try #require(book(hours: 30).agents[agent])
        let now = later(30).timestamp
        let canary = canary(analysis(rateMetric(), costMetric(), deadline: "1h"))
        let power = try #require(PlannedPower(canary, traffic: traffic, runsPerHour: nil, now: now))
        #expect(!power.isAssumed)
        #expect((235...245).contains(power.power.runsPerHour))
        #expect(power.sentences[0].contains("cannot conclude before 2026-11-22T16:00:00Z: "), "\(power.sentences)")
        #expect(power.json["concludes"]?.bool == false)
        // The same for the same.
        #expect(power == PlannedPower(canary, traffic: traffic, runsPerHour: nil, now: now))
    }
}
