import EnsignJSON
import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignJudge

/// Canaries whose runs show no calls, though they were granted tools.
@Suite("Runs without calls")
struct CallWitnessTests {
    private static let start = Timestamp(seconds: 1_795_251_600)

    private func canary(_ metrics: Analysis.Metric..., operations: Int? = 3) throws -> WatchedCanary {
        func side(_ version: String, _ digits: Character) throws -> Change.Side {
            let digest = try #require(Digest(hex: String(repeating: digits, count: 64)))
            return Change.Side(version: EnsignTestSupport.version(version), digest: digest)
        }
        let candidate = Candidate(
            side: try side("1.5.0", "c"),
            artifact: try side("1.5.0", "c").digest,
            kind: .behaviour,
            source: .zero,
            wanted: Self.start
        )
        let progress = CanaryProgress(
            step: 0,
            weight: 50,
            stepSince: Self.start,
            started: Self.start,
            evidenceSince: Self.start
        )
        let state = AgentState(stable: try side("1.4.0", "5"), rollout: .canary(candidate, progress))
        let analysis = Analysis(metrics: metrics, confidence: 0.95, deadline: nil, onInconclusive: .hold)
        let found = WatchedCanary(.triage, state, Canary(steps: [], analysis: analysis))
        var watched = try #require(found)
        (watched.candidateOperations, watched.stableOperations) = (operations, operations)
        return watched
    }

    private func rate(_ name: String, margin: Double = 0.3) -> Analysis.Metric {
        Analysis.Metric(
            name: name,
            kind: .rate,
            good: name == "success",
            unit: nil,
            margin: .absolute(margin),
            query: nil
        )
    }

    /// A run's samples, as they come from telemetry.
    private func run(_ bundle: Digest, _ index: Int, calls: Double, errors: Double = 0) -> [Sample] {
        let time = Moment(Self.start).advanced(milliseconds: Int64(index + 1) * 1_000)
        func sample(_ metric: MetricName, _ value: Double, _ occurred: Bool? = nil) -> Sample {
            Sample(
                agent: .triage,
                environment: "prod",
                bundle: bundle,
                metric: metric,
                value: value,
                occurred: occurred,
                time: time,
                started: time
            )
        }
        return [
            sample(.success, 1, true), sample(.steps, calls), sample(.toolErrors, errors, errors > 0),
            sample(.deniedCalls, 0, false),
        ]
    }

    private func analyst(
        _ canary: WatchedCanary,
        runs: Int = 300,
        calls: (canary: Double, stable: Double),
        restarting: Bool = false
    ) throws -> CanaryAnalyst {
        var analyst = CanaryAnalyst(json: nil, canaries: [canary])
        for index in 0..<runs {
            analyst.take(run(canary.candidate, index, calls: calls.canary))
            analyst.take(run(canary.stable, index, calls: calls.stable))
            if restarting, index.isMultiple(of: 50) {
                let json = try JSONParser.parse(analyst.json.canonicalBytes())
                analyst = CanaryAnalyst(json: json, canaries: [canary])
            }
        }
        return analyst
    }

    @Test(
        "A version that was granted tools and shows no call passes no metric of calls, and it is said why",
        arguments: ["tool-errors", "denied-calls"],
        [false, true]
    )
    func silent(_ name: String, _ restarting: Bool) throws {
        let canary = try canary(rate("success"), rate(name))
        let verdict = try analyst(canary, calls: (0, 2), restarting: restarting).verdict(canary)
        #expect(verdict.outcome == .noData)
        let why =
            "300 runs of the canary and not one call, although 3 operations are granted: is execute_tool telemetry written?"
        #expect(verdict.report?.json["silent"]?.string == why)
        #expect(verdict.report?.json["metrics"]?[name]?["verdict"]?.string == "no-data")
        #expect(verdict.report?.json["explanation"]?.string?.contains("\(name): \(why)") == true)
        // The stable version's are needed just as much.
        let other = try analyst(canary, calls: (2, 0)).verdict(canary)
        #expect(other.outcome == .noData)
        #expect(
            other.report?.json["silent"]?.string?.hasPrefix("300 runs of the stable version and not one call") == true
        )
        // Both call: it passes.
        #expect(try analyst(canary, calls: (2, 2), restarting: restarting).verdict(canary).outcome == .pass)
    }

    @Test("The number of steps is a metric of calls too")
    func steps() throws {
        let steps = Analysis.Metric(
            name: "steps",
            kind: .count,
            good: nil,
            unit: nil,
            margin: .relative(0.5),
            query: nil
        )
        let canary = try canary(steps)
        #expect(try analyst(canary, calls: (0, 2)).verdict(canary).outcome == .noData)
    }

    @Test("Who was granted nothing needs no calls, nor does a metric that is not of calls")
    func without() throws {
        let nothing = try canary(rate("tool-errors"), operations: 0)
        #expect(try analyst(nothing, calls: (0, 0)).verdict(nothing).outcome == .pass)
        let unknown = try canary(rate("tool-errors"), operations: nil)
        #expect(try analyst(unknown, calls: (0, 0)).verdict(unknown).outcome == .pass)
        let success = try canary(rate("success"))
        let verdict = try analyst(success, calls: (0, 0)).verdict(success)
        #expect(verdict.outcome == .pass && verdict.report?.json["silent"] == nil)
    }

    @Test("A failure stays a failure")
    func failure() throws {
        let canary = try canary(rate("success", margin: 0.05), rate("tool-errors"))
        var analyst = CanaryAnalyst(json: nil, canaries: [canary])
        for index in 0..<400 {
            var bad = run(canary.candidate, index, calls: 0)
            (bad[0].value, bad[0].occurred) = (0, false)
            analyst.take(bad + run(canary.stable, index, calls: 1))
        }
        #expect(analyst.verdict(canary).outcome == .fail)
    }

    @Test("Runs before the first call are not evidence of calls, and neither is the run that had to have one")
    func firstCall() throws {
        let canary = try canary(rate("tool-errors"))
        var analyst = try analyst(canary, runs: 20, calls: (0, 2))
        func counted() -> Int64? {
            analyst.verdict(canary).report?.json["metrics"]?["tool-errors"]?["samples"]?["canary"]?.int
        }
        #expect(counted() == 0)
        analyst.take(run(canary.candidate, 100, calls: 1, errors: 1))
        #expect(counted() == 0)
        analyst.take(run(canary.candidate, 101, calls: 0) + run(canary.candidate, 102, calls: 3))
        #expect(counted() == 2)
        #expect(analyst.verdict(canary).report?.json["silent"] == nil)
    }

    @Test("A state of a version that did not look at calls is not evidence of them")
    func olderState() throws {
        let canary = try canary(rate("tool-errors"))
        let analyst = try analyst(canary, calls: (2, 2))
        guard case .object(var object) = analyst.json, case .object(var trial)? = object["trials"]?[0] else {
            Issue.record("no state")
            return
        }
        trial["calls"] = nil
        object["trials"] = [.object(trial)]
        #expect(CanaryAnalyst(json: .object(object), canaries: [canary]).verdict(canary).outcome == .noData)
    }
}
