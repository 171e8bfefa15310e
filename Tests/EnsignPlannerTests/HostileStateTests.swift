import EnsignJudge
import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignPlanner

/// Whatever a checkpoint contains: it is refused, or what is done with it next comes to an end without a trap, and what
/// is written then can be read again.
@Suite("Hostile values in what rollouts and the kill switch remember")
struct HostileStateTests {
    private let agent = AgentID.triage
    private let start = Timestamp(seconds: 1_795_251_600)

    private func moment(_ seconds: Int64) -> Moment { Moment(start).advanced(milliseconds: seconds * 1_000) }

    private func span(_ text: String) throws -> TimeSpan { try #require(TimeSpan(text)) }

    private func activities(_ time: Moment) -> [Activity] {
        let calls = [("crm", UInt64(1)), ("\u{301}", 2)].map { tool, arguments in
            Activity.Kind.call(ToolCall(tool: tool, arguments: arguments, isDenied: arguments == 1))
        }
        return (calls + [.spent(1), .spent(1e308), .steps(.max), .steps(.min), .ran]).map {
            Activity(agent: agent, bundle: nil, kind: $0, time: time)
        }
    }

    @Test("A kill switch is refused, or goes on: it observes at any time, resets, forgets and is written")
    func killSwitch() throws {
        let rules: [KillRule] = [
            .spend(1e9, within: try span("5m")), .repeatedCall(1_000_000_000, within: try span("36525d")),
            .deniedCalls(1_000_000_000, within: try span("0ms")), .steps(1_000_000_000), .unknownTool(1_000_000_000),
        ]
        var full = KillSwitch()
        full.reset(agent, at: moment(-1))
        for time in 0..<3 {
            for activity in activities(moment(Int64(time))) {
                if case .steps(.max) = activity.kind { continue }
                _ = full.observe(activity, rules: rules, now: activity.time) { _, _, tool in tool == "crm" }
            }
        }
        #expect(KillSwitch(json: full.json)?.json == full.json)
        var read = 0
        Hostile.variants(of: full.json, for: "killSwitch") { json in
            guard var killSwitch = KillSwitch(json: json, limits: .init()) else { return }
            read += 1
            for nanoseconds in [Int64.min, 0, moment(4).nanoseconds, .max] {
                for activity in activities(Moment(nanoseconds: nanoseconds)) {
                    let trip = killSwitch.observe(activity, rules: rules, now: activity.time) { _, _, _ in false }
                    #expect(trip.map { $0.sentence.utf8.count < 1_000 } ?? true)
                }
            }
            _ = (killSwitch.tripped, KillSwitch(json: killSwitch.json))
            killSwitch.reset(agent, at: moment(9))
            #expect(killSwitch.kept >= 0)
        }
        #expect(read > 50)
    }

    private func sample(_ metric: MetricName, _ value: Double, _ bundle: Digest, at time: Moment) -> Sample {
        Sample(
            agent: agent,
            environment: "prod",
            bundle: bundle,
            metric: metric,
            value: value,
            occurred: metric == .success ? value > 0 : nil,
            time: time,
            started: time
        )
    }

    private func samples(_ bundle: Digest) -> [Sample] {
        var samples: [Sample] = []
        for nanoseconds in [Int64.min, 0, moment(500).nanoseconds, .max] {
            for value in [0, 1, 0.02, -1, 1e15, 1e308, .nan, .infinity] {
                for metric in [MetricName.success, .cost] {
                    samples.append(sample(metric, value, bundle, at: Moment(nanoseconds: nanoseconds)))
                }
            }
        }
        return samples
    }

    @Test(
        "A guard is refused, or goes on: it takes any sample, says what it knows and is written",
        arguments: [300, 600]
    )
    func guards(count: Int) throws {
        var metrics = [rateMetric(0.1), costMetric()]
        for index in metrics.indices { metrics[index].guarding = .halt }
        let rules = Analysis(metrics: metrics, confidence: 0.95, deadline: nil, onInconclusive: .hold)
        let side = Change.Side(version: version("1.0.0"), digest: digest("1"))
        let guarded = try #require(GuardedVersion(agent, side, rules))
        var random = SeededGenerator(for: "guards", standard: 29)
        var book = GuardBook()
        for index in 0..<count {
            let time = moment(Int64(index))
            _ = book.take(sample(.success, random.outcome(0.9), side.digest, at: time), guarded, now: time)
            _ = book.take(sample(.cost, random.lognormal(), side.digest, at: time), guarded, now: time)
        }
        #expect(GuardBook(json: book.json)?.json == book.json)
        var read = 0
        Hostile.variants(of: book.json, for: "guards", pairs: 100) { json in
            guard var book = GuardBook(json: json) else { return }
            read += 1
            for sample in samples(side.digest) {
                guard let drift = book.take(sample, guarded, now: sample.time) else { continue }
                _ = (drift.change.json.canonicalBytes(), drift.json.canonicalBytes())
            }
            _ = (book.explanations(agent), book.halted)
            book.restart(agent, after: moment(1))
            _ = GuardBook(json: book.json)
        }
        #expect(read > 50)
    }

    private func canary() throws -> (WatchedCanary, Analysis) {
        let step = PrometheusQuery(text: "up", step: try span("10s"))
        let age = Analysis.Metric(
            name: "prometheus:age",
            kind: .count,
            good: nil,
            unit: nil,
            margin: .absolute(1),
            query: step
        )
        let rules = analysis(rateMetric(), costMetric(), age)
        let candidate = Candidate(
            side: Change.Side(version: version("1.5.0"), digest: digest("c")),
            artifact: digest("d"),
            kind: .behaviour,
            source: .zero,
            wanted: start
        )
        let progress = CanaryProgress(step: 0, weight: 5, stepSince: start, started: start, evidenceSince: start)
        let stable = Change.Side(version: version("1.4.0"), digest: digest("5"))
        let state = AgentState(stable: stable, rollout: .canary(candidate, progress))
        return (try #require(WatchedCanary(agent, state, Canary(steps: [], analysis: rules))), rules)
    }

    @Test("An analysis is refused, or goes on: samples, points, requests at any time, a verdict, and is written")
    func analysts() throws {
        let (canary, _) = try canary()
        var analyst = CanaryAnalyst(json: nil, canaries: [canary])
        var random = SeededGenerator(for: "analysts", standard: 31)
        for index in 0..<24 {
            let bundle = index % 2 == 0 ? canary.candidate : canary.stable
            let time = moment(Int64(index))
            analyst.take([
                sample(.success, random.outcome(0.9), bundle, at: time),
                sample(.cost, random.lognormal(), bundle, at: time),
            ])
        }
        let request = try #require(analyst.requests([canary], now: moment(100)).first)
        analyst.take(
            SeriesAnswer(request, .samples([SeriesAnswer.Sample(point: 1, variant: .canary, value: 4)]))
        )
        #expect(CanaryAnalyst(json: analyst.json, canaries: [canary]).json == analyst.json)
        var number = 0
        Hostile.variants(of: analyst.json, for: "analysts", pairs: 100) { json in
            var analyst = CanaryAnalyst(json: json, canaries: [canary])
            for now in [Int64.min, moment(100).nanoseconds, .max] {
                for request in analyst.requests([canary], now: Moment(nanoseconds: now)) {
                    _ = (request.start, request.end, request.following?.end)
                    analyst.take(SeriesAnswer(request, .unreadable(Hostile.letter)))
                    analyst.take(
                        SeriesAnswer(
                            request,
                            .samples([SeriesAnswer.Sample(point: request.last, variant: .stable, value: 1e308)])
                        )
                    )
                }
            }
            _ = analyst.due([canary])
            for bundle in [canary.candidate, canary.stable] { analyst.take(samples(bundle).filter { $0.value != 0 }) }
            // Its intervals take most of the time here.
            number += 1
            if number.isMultiple(of: 25) {
                let verdict = analyst.verdict(canary)
                _ = (verdict.failure, verdict.report?.json.canonicalBytes())
            }
            _ = CanaryAnalyst(json: analyst.json, canaries: [canary])
        }
    }

    @Test("Points of any time and value are samples, or the answer is unreadable")
    func points() throws {
        let (canary, _) = try canary()
        let analyst = CanaryAnalyst(json: nil, canaries: [canary])
        let request = try #require(analyst.requests([canary], now: moment(100)).first)
        for nanoseconds in Hostile.integers {
            for value in [0, .nan, .infinity, 1e308, -1e308] as [Double] {
                for version in ["1.5.0", "1.4.0", Hostile.letter, ""] {
                    let point = PrometheusPoint(time: Moment(nanoseconds: nanoseconds), value: value)
                    let outcome = request.read([PrometheusSeries(labels: ["version": version], points: [point])])
                    if case .unreadable(let why) = outcome { #expect(why.utf8.count < 500) }
                }
            }
        }
    }

    @Test("Traffic is refused, or goes on: it says how much an agent runs at any time, and what the plan makes of it")
    func traffic() throws {
        var random = SeededGenerator(for: "traffic", standard: 37)
        var book = TrafficBook()
        for index in 0..<200 {
            let time = moment(Int64(index) * 60)
            book.take(sample(.success, random.outcome(0.9), digest("5"), at: time), stable: digest("5"))
            book.take(sample(.cost, random.lognormal(), digest("5"), at: time), stable: digest("5"))
        }
        let (_, rules) = try canary()
        let steps = [Canary.Step(weight: 5, hold: try span("1h"))]
        let known = try #require(book.agents[agent])
        Hostile.variants(of: known.json(agent), for: "traffic") { json in
            guard var traffic = Traffic(json: json) else { return }
            for now in Hostile.times.compactMap({ Timestamp($0) }) {
                let planned = PlannedPower(
                    Canary(steps: steps, analysis: rules),
                    traffic: traffic,
                    runsPerHour: nil,
                    now: now
                )
                _ = planned?.json.canonicalBytes()
                traffic.take(sample(.cost, 1e15, digest("5"), at: Moment(now)), isStable: true)
            }
            _ = Traffic(json: traffic.json(agent))
        }
    }

    @Test("Any rollout in any state can be told any time, and asked anything, with reasons of any size")
    func machines() throws {
        let (canary, rules) = try canary()
        let stable = Change.Side(version: version("1.4.0"), digest: canary.stable)
        let candidate = Candidate(
            side: Change.Side(version: version("1.5.0"), digest: canary.candidate),
            artifact: digest("d"),
            kind: .behaviour,
            source: .zero,
            wanted: start
        )
        let progress = CanaryProgress(
            step: 0,
            weight: 5,
            stepSince: start,
            started: start,
            evidenceSince: start,
            pause: CanaryProgress.Pause(since: start, reason: "lunch")
        )
        let rollout = Canary(steps: [Canary.Step(weight: 5, hold: try span("36525d"))], analysis: rules)
        let operations: [RolloutOperation] = [
            .pause, .resume, .promote, .abort, .retry(nil), .halt, .unhalt, .rollback(to: nil),
        ]
        let state = AgentState(stable: stable, rollout: .canary(candidate, progress))
        Hostile.variants(of: state.json, for: "machines") { json in
            guard let state = AgentState(json: json) else { return }
            for now in Hostile.times.compactMap({ Timestamp($0) }) {
                for operation in operations {
                    var machine = RolloutMachine(agent: agent, state: state, now: now)
                    try? machine.handle(.operation(operation, by: Hostile.letter, reason: Hostile.letter))
                    #expect(AgentState(json: machine.state.json) == machine.state)
                    for change in machine.changes {
                        #expect(change.evidence?.reason.map { $0.utf8.count <= 500 } ?? true)
                    }
                    #expect((machine.state.halt?.reason.utf8.count ?? 0) <= 500 || state.halt != nil)
                }
                for step in [nil, .min, 0, .max] as [Int64?] {
                    var machine = RolloutMachine(agent: agent, state: state, now: now)
                    try? machine.handle(.time(rollout, CanaryVerdict(.inconclusive), clockStep: step))
                    #expect(AgentState(json: machine.state.json) == machine.state)
                }
                _ = state.canary?.progress.due(rollout, after: now)
            }
        }
    }
}
