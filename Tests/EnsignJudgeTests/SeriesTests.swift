import EnsignJSON
import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignJudge

/// Points of Prometheus as samples of a canary: each once, and none that is ambiguous.
@Suite("Metrics of Prometheus")
struct SeriesTests {
    private static let start = Timestamp("2026-11-21T09:00:00Z")
    private static let candidate = Digest(hex: String(repeating: "c", count: 64))
    private static let stable = Digest(hex: String(repeating: "5", count: 64))

    private func metric(
        _ kind: Analysis.Kind = .distribution,
        name: String = "prometheus:age",
        step: String = "10s"
    ) throws -> Analysis.Metric {
        Analysis.Metric(
            name: name,
            kind: kind,
            good: kind == .rate ? false : nil,
            unit: nil,
            margin: .absolute(0.2),
            query: PrometheusQuery(text: "up", step: try #require(TimeSpan(step)))
        )
    }

    private func canary(_ analysis: Analysis, versions: (String, String) = ("1.5.0", "1.4.0")) throws -> WatchedCanary {
        let start = try #require(Self.start)
        func side(_ version: String, _ digest: Digest?) throws -> Change.Side {
            Change.Side(version: EnsignTestSupport.version(version), digest: try #require(digest))
        }
        let candidate = Candidate(
            side: try side(versions.0, Self.candidate),
            artifact: try #require(Self.candidate),
            kind: .behaviour,
            source: .zero,
            wanted: start
        )
        let progress = CanaryProgress(step: 0, weight: 5, stepSince: start, started: start, evidenceSince: start)
        let state = AgentState(stable: try side(versions.1, Self.stable), rollout: .canary(candidate, progress))
        let watched = WatchedCanary(agent("support/triage"), state, Canary(steps: [], analysis: analysis))
        return try #require(watched)
    }

    private func moment(_ seconds: Int64) throws -> Moment {
        Moment(try #require(Self.start)).advanced(milliseconds: seconds * 1_000)
    }

    private func series(_ labels: [String: String], _ values: [(Int64, Double)]) throws -> PrometheusSeries {
        PrometheusSeries(
            labels: labels,
            points: try values.map { PrometheusPoint(time: try moment($0.0), value: $0.1) }
        )
    }

    private func request(_ canary: WatchedCanary, after seconds: Int64) throws -> SeriesRequest {
        let now = try moment(seconds)
        return try #require(CanaryAnalyst(json: nil, canaries: [canary]).requests([canary], now: now).first)
    }

    // MARK: Which points

    @Test("Only whole steps that have settled are asked for, the first one step after the candidate began")
    func grid() throws {
        let canary = try canary(analysis(try metric()))
        let analyst = CanaryAnalyst(json: nil, canaries: [canary])
        #expect(analyst.due([canary]) == (try moment(20)))
        for seconds in [-100, 0, 10, 19] as [Int64] {
            #expect(analyst.requests([canary], now: try moment(seconds)) == [], "\(seconds)")
        }
        let first = try request(canary, after: 20)
        #expect((first.taken, first.last, first.start, first.end) == (0, 1, try moment(10), try moment(10)))
        let later = try request(canary, after: 59)
        #expect((later.start, later.end, later.following) == (try moment(10), try moment(40), nil))
    }

    @Test("After a long pause the points are asked for in pieces, each once")
    func pieces() throws {
        let canary = try canary(analysis(try metric(step: "1s")))
        var next: SeriesRequest? = try request(canary, after: 5_001)
        var stretches: [ClosedRange<Int64>] = []
        while let request = next {
            stretches.append((request.taken + 1)...request.last)
            next = request.following
        }
        #expect(stretches == [1...2_000, 2_001...4_000, 4_001...5_000])
    }

    // MARK: Series to samples

    @Test("A series counts for the bundle it names, else for its version; others are left out")
    func labels() throws {
        let canary = try canary(analysis(try metric()))
        let request = try request(canary, after: 40)
        let (candidate, stable) = (canary.candidate.description, canary.stable.description)
        let wanted: [SeriesAnswer.Sample] = [
            .init(point: 1, variant: .stable, value: 2), .init(point: 1, variant: .canary, value: 1),
            .init(point: 2, variant: .canary, value: 3),
        ]
        let other = try series(["version": "1.3.0"], [(10, 9)])
        let labelled: [([String: String], [String: String])] = [
            (["version": "1.5.0"], ["version": "1.4.0"]), (["ensign_bundle": candidate], ["ensign_bundle": stable]),
            // The bundle is what counts where both are there.
            (["ensign_bundle": candidate, "version": "1.4.0"], ["version": "1.4.0", "pod": "a"]),
        ]
        for (canary, stable) in labelled {
            let answer = request.read([
                try series(canary, [(10, 1), (20, 3)]), other, try series(stable, [(10, 2), (20, .nan)]),
            ])
            #expect(answer == .samples(wanted))
        }
        let gone = try series(["ensign_bundle": "sha256:" + String(repeating: "0", count: 64), "version": "1.5.0"], [])
        #expect(request.read([gone]) == .samples([]))
        #expect(request.read([]) == .samples([]))
    }

    @Test("What is ambiguous counts for nobody, and is said")
    func ambiguous() throws {
        let canary = try canary(analysis(try metric()))
        let request = try request(canary, after: 40)
        func why(_ series: [PrometheusSeries], _ request: SeriesRequest) -> String {
            if case .unreadable(let why) = request.read(series) { why } else { "" }
        }
        let one = try series(["version": "1.5.0", "pod": "a"], [(10, 1)])
        let two = try series(["version": "1.5.0", "pod": "b"], [(20, 1)])
        #expect(why([one, two], request).contains("several series of the canary version"))
        let both = try series(["ensign_bundle": canary.candidate.description], [(10, 1)])
        #expect(why([one, both], request).contains("several series of the canary version"))
        let nameless = why([try series(["pod": "a"], [(10, 1)])], request)
        #expect(nameless.contains("neither the label ensign_bundle nor version"))
        #expect(why([try series([:], [])], request).contains("neither the label"))
        #expect(
            why([try series(["ensign_bundle": "cafe\u{1B}"], [])], request)
                == "the label ensign_bundle is 'cafe\\u{1b}', which is not a digest of a bundle"
        )
        let widened = try self.canary(analysis(try metric()), versions: ("1.4.0", "1.4.0"))
        #expect(
            why([try series(["version": "1.4.0"], [])], try self.request(widened, after: 40))
                == "both versions are 1.4.0: tell them apart by the label ensign_bundle"
        )
        for values in [[(5, 1.0)], [(0, 1)], [(40, 1)], [(20, 1), (10, 1)], [(10, 1), (10, 1)]] as [[(Int64, Double)]] {
            let answer = why([try series(["version": "1.5.0"], values)], request)
            #expect(answer == "the answer has a point that was not asked for", "\(values)")
        }
    }

    @Test("A rate takes 0 and 1 alone; a size takes what the judge takes")
    func values() throws {
        let rate = try request(try canary(analysis(try metric(.rate))), after: 40)
        #expect(rate.read([try series(["version": "1.5.0"], [(10, 0), (20, 1)])]) != .samples([]))
        guard case .unreadable(let why) = rate.read([try series(["version": "1.5.0"], [(10, 0.37)])]) else {
            Issue.record("unreadable")
            return
        }
        #expect(why == "a rate is 0 or 1 at each step, as '> bool' gives, and this is 0.37")
        let canary = try canary(analysis(try metric()))
        let size = try request(canary, after: 40)
        // Infinite values are handed on, to be counted as no measurement: without them the canary would look better.
        let endless = [SeriesAnswer.Sample(point: 1, variant: .canary, value: .infinity)]
        #expect(size.read([try series(["version": "1.5.0"], [(10, .infinity)])]) == .samples(endless))
        var analyst = CanaryAnalyst(json: nil, canaries: [canary])
        analyst.take(SeriesAnswer(size, .samples(endless)))
        #expect(rejected(analyst, canary) == 1)
    }

    private func rejected(_ analyst: CanaryAnalyst, _ canary: WatchedCanary) -> Int64? {
        analyst.verdict(canary).report?.json["metrics"]?["prometheus:age"]?["rejected"]?["canary"]?.int
    }

    private func counted(_ analyst: CanaryAnalyst, _ canary: WatchedCanary) -> Int64? {
        analyst.verdict(canary).report?.json["metrics"]?["prometheus:age"]?["samples"]?["canary"]?.int
    }

    // MARK: Exactly once

    private func answer(_ request: SeriesRequest, _ value: Double = 1) -> SeriesAnswer {
        SeriesAnswer(
            request,
            .samples(
                ((request.taken + 1)...request.last).flatMap { point in
                    [Variant.stable, .canary].map { .init(point: point, variant: $0, value: value) }
                }
            )
        )
    }

    @Test("An answer that comes twice counts once, and one that overlaps for what is new")
    func once() throws {
        let canary = try canary(analysis(try metric()))
        let (early, late) = (try request(canary, after: 60), try request(canary, after: 120))
        var analyst = CanaryAnalyst(json: nil, canaries: [canary])
        analyst.take(answer(early))
        #expect(counted(analyst, canary) == 5)
        analyst.take(answer(early))
        #expect(counted(analyst, canary) == 5)
        analyst.take(answer(late))
        #expect(counted(analyst, canary) == 11)
        analyst.take(answer(early))
        #expect(counted(analyst, canary) == 11)
        #expect(analyst.requests([canary], now: try moment(120)) == [])
        #expect(analyst.due([canary]) == (try moment(130)))
        // The same by way of what is written down.
        let again = CanaryAnalyst(json: try JSONParser.parse(analyst.json.canonicalBytes()), canaries: [canary])
        #expect(again == analyst)
        // What was counted was lost while somebody asked for later points.
        var empty = CanaryAnalyst(json: nil, canaries: [canary])
        let behind = analyst.requests([canary], now: try moment(200))
        empty.take(answer(try #require(behind.first)))
        #expect(counted(empty, canary) == 0)
        #expect(empty.requests([canary], now: try moment(200)).first?.taken == 0)
    }

    @Test("An answer about another candidate, or to another query, changes nothing")
    func others() throws {
        let canary = try canary(analysis(try metric()))
        var analyst = CanaryAnalyst(json: nil, canaries: [canary])
        var other = canary
        other.candidate = canary.stable
        analyst.take(answer(try request(other, after: 60)))
        other = canary
        other.analysis.metrics[0].query?.text = "down"
        analyst.take(answer(try request(other, after: 60)))
        #expect(counted(analyst, canary) == 0)
        analyst.take(answer(try request(canary, after: 60)))
        #expect(counted(analyst, canary) == 5)
        // And counts for the old query are not evidence for the new one, or for another margin.
        #expect(CanaryAnalyst(json: analyst.json, canaries: [other]).verdict(other).outcome == .noData)
        other = canary
        other.analysis.metrics[0].margin = .absolute(5)
        #expect(CanaryAnalyst(json: analyst.json, canaries: [other]).verdict(other).outcome == .noData)
        // When it must be there is another matter.
        other = canary
        other.analysis.deadline = TimeSpan("1h")
        #expect(counted(CanaryAnalyst(json: analyst.json, canaries: [other]), other) == 5)
    }

    // MARK: Errors

    @Test("What cannot be read is an error of its metric and of the whole, until it can; the points are not lost")
    func errors() throws {
        let canary = try canary(analysis(try metric(), costMetric()))
        var analyst = CanaryAnalyst(json: nil, canaries: [canary])
        analyst.take(answer(try request(canary, after: 60)))
        let open = analyst.requests([canary], now: try moment(120))
        let next = try #require(open.first)
        analyst.take(SeriesAnswer(next, .unreadable("Prometheus: the connection was refused (tried 3 times)")))
        let verdict = analyst.verdict(canary)
        #expect(verdict.outcome == .error)
        #expect(verdict.report?.json["verdict"] == "error")
        #expect(verdict.report?.json["metrics"]?["prometheus:age"]?["verdict"] == "error")
        #expect(verdict.report?.json["metrics"]?["cost"]?["verdict"] == "no-data")
        #expect(
            verdict.report?.json["explanation"]
                == "Not every metric could be read. prometheus:age: Prometheus: the connection was refused (tried 3 times)."
        )
        #expect(analyst.requests([canary], now: try moment(120)) == [next])
        let again = CanaryAnalyst(json: try JSONParser.parse(analyst.json.canonicalBytes()), canaries: [canary])
        #expect(again.verdict(canary) == verdict)
        // An old failure says nothing about points that were read since.
        analyst.take(answer(next))
        analyst.take(SeriesAnswer(next, .unreadable("late")))
        #expect(analyst.verdict(canary).outcome == .noData)
        #expect(counted(analyst, canary) == 11)
    }

    @Test("A pass waits for a metric that cannot be read, and a fail does not")
    func passAndFail() throws {
        var metrics = [try metric(name: "prometheus:a"), try metric(name: "prometheus:b")]
        for index in metrics.indices { metrics[index].margin = .relative(1) }
        let canary = try canary(Analysis(metrics: metrics, confidence: 0.9, deadline: nil, onInconclusive: .hold))
        func fed(_ value: Double) throws -> (CanaryAnalyst, [SeriesRequest]) {
            var analyst = CanaryAnalyst(json: nil, canaries: [canary])
            let requests = analyst.requests([canary], now: try moment(15_000))
            #expect(requests.map(\.metric) == ["prometheus:a", "prometheus:b"])
            let broken = requests.map { SeriesAnswer($0, .unreadable("down")) }
            analyst.take(broken[1])
            let samples = (1...requests[0].last).flatMap { point -> [SeriesAnswer.Sample] in
                // Not all alike: of sizes that are the same the judge learns nothing.
                let size = Double(point % 7 + 1)
                return [
                    .init(point: point, variant: .stable, value: size),
                    .init(point: point, variant: .canary, value: size * value),
                ]
            }
            analyst.take(SeriesAnswer(requests[0], .samples(samples)))
            return (analyst, requests)
        }
        var (good, requests) = try fed(1)
        #expect(good.verdict(canary).outcome == .error)
        #expect(good.verdict(canary).report?.json["metrics"]?["prometheus:a"]?["verdict"] == "pass")
        good.take(SeriesAnswer(requests[1], .samples([])))
        #expect(good.verdict(canary).outcome == .noData)
        let (bad, _) = try fed(40)
        #expect(bad.verdict(canary).outcome == .fail)
        #expect(bad.verdict(canary).report?.json["metrics"]?["prometheus:b"]?["verdict"] == "error")
        #expect(bad.requests([canary], now: try moment(20_000)).map(\.metric) == ["prometheus:b"])
    }

    @Test("Without a server every metric of Prometheus is an error, and telemetry counts on")
    func noServer() throws {
        let canary = try canary(analysis(try metric(), costMetric()))
        var analyst = CanaryAnalyst(json: nil, canaries: [canary])
        analyst.cannotRead([canary], because: "ensign.prod.prometheus is not set")
        #expect(analyst.verdict(canary).outcome == .error)
        #expect(analyst.verdict(canary).report?.json["metrics"]?["cost"]?["verdict"] == "no-data")
        analyst.take(answer(try request(canary, after: 60)))
        #expect(analyst.verdict(canary).outcome == .noData)
        // Where nothing comes from there, nothing is missing.
        let plain = try self.canary(analysis(costMetric()))
        var other = CanaryAnalyst(json: nil, canaries: [plain])
        other.cannotRead([plain], because: "not set")
        #expect(other.verdict(plain).outcome == .noData)
    }
}
