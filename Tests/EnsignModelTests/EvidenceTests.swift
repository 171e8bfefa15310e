import EnsignModel
import EnsignTestSupport
import Testing

@Suite("The evidence of a change")
struct EvidenceTests {
    private static let time = Timestamp(seconds: 1_795_251_600)

    /// One of each field that an entry can have.
    private static func whole() -> Evidence {
        var metric = MetricReport(
            name: "success",
            verdict: .fail,
            stable: MetricReport.Samples(count: 40, rejected: 0, mean: 0.5),
            canary: MetricReport.Samples(count: 2, rejected: 1, mean: nil),
            explanation: "success: 91 % against 97 %, a change of -6 points",
            summary: "success: 91 % against 97 %"
        )
        metric.estimate = -0.06
        metric.interval = MetricReport.Interval(low: -0.11, high: nil)
        var evidence = Evidence(
            reason: "why",
            by: "ada",
            verdict: .fail,
            analysis: JudgeReport(verdict: .fail, metrics: [metric], decisive: ["success"], silent: "no call"),
            replaced: [digest("a")],
            fleet: Evidence.FleetStop(scope: "team support", halts: FleetHalts()),
            behaviour: Evidence.DriftedBehaviour(
                metric: "success",
                halts: true,
                numbers: Evidence.DriftedBehaviour.Numbers(
                    baseline: Evidence.DriftedBehaviour.Numbers.Baseline(
                        value: 0.9,
                        samples: 400,
                        from: time,
                        until: nil
                    ),
                    since: Evidence.DriftedBehaviour.Numbers.Recent(value: 0.5, samples: 60, rejected: 1),
                    unit: nil
                )
            ),
            repair: Evidence.RepairedFile(path: "agents/a/b.json", found: "edited", size: nil)
        )
        evidence.state = AgentState(stable: Change.Side(version: version("1.0.0"), digest: digest("b")))
        evidence.at = time
        evidence.reverts = [.zero]
        evidence.rule = Evidence.BrokenRule(name: "costUSD 5 in 1h", observed: nil)
        evidence.recordedLate = Evidence.Late(seconds: 30, because: "no room")
        evidence.soak = Evidence.Soak(environment: "staging", entry: .zero, since: time)
        evidence.override = Evidence.Override(reason: "it burns")
        evidence.rules = Evidence.RuleChanges(from: ["soak": "1d"], to: ["soak": .null])
        evidence.activityAfterHalt = Evidence.Activity(what: "it called payments.refund", at: time)
        return evidence
    }

    @Test("What is written is read back, field by field")
    func roundTrip() throws {
        let evidence = Self.whole()
        let read = try #require(Evidence(json: evidence.json))
        #expect(read.json == evidence.json)
        #expect(read.reason == "why" && read.by == "ada" && read.at == Self.time && read.verdict == .fail)
        #expect(read.state == evidence.state && read.replaced == evidence.replaced && read.reverts == [.zero])
        #expect(read.rule == evidence.rule && read.recordedLate == evidence.recordedLate)
        #expect(read.activityAfterHalt == evidence.activityAfterHalt && read.fleet == evidence.fleet)
        #expect(read.behaviour == evidence.behaviour && read.repair == evidence.repair)
        #expect(read.soak == evidence.soak && read.override == evidence.override && read.rules == evidence.rules)
        #expect(read.soak != nil && read.override != nil && read.rules?.names == ["soak"])
        #expect(read.analysis?.metrics.first?.interval == MetricReport.Interval(low: -0.11, high: nil))
        #expect(read.analysis?.silent == "no call" && read.analysis?.headline == "The canary is worse than stable")
    }

    @Test("Nothing that was read is lost, whatever it is: the bytes that were signed come out again")
    func lossless() throws {
        Hostile.variants(of: Self.whole().json, for: "evidence", pairs: 300) { json in
            guard let read = Evidence(json: json) else {
                #expect(json.object == nil)
                return
            }
            #expect(read.json.canonicalBytes() == json.canonicalBytes())
            _ = (read.analysis?.failure, read.analysis?.headline)
        }
        let newer: JSONValue = ["reason": "why", "newField": ["a": 1], "size": "large"]
        #expect(try #require(Evidence(json: newer)).json == newer)
    }

    @Test("A state that cannot be read is not the same as none")
    func state() throws {
        #expect(try #require(Evidence(json: ["state": 5])).hasUnreadableState)
        #expect(try #require(Evidence(json: ["reason": "x"])).hasUnreadableState == false)
        let change = Change(
            agent: agent("support/triage"),
            action: .update,
            from: nil,
            to: nil,
            kind: .none,
            evidence: Evidence(json: ["state": ["v": 9]])
        )
        #expect(AgentEffect.of([change], environment: "prod") == nil)
    }

    @Test("A drift is one of behaviour by its metric, whatever else is recorded of it")
    func drift() throws {
        let evidence = try #require(Evidence(json: ["metric": "success", "reason": "why"]))
        let side = Change.Side(version: version("1.0.0"), digest: digest("a"))
        let change = Change(
            agent: agent("support/triage"),
            action: .update,
            from: side,
            to: side,
            kind: .behaviour,
            evidence: evidence
        )
        #expect(change.driftedMetric == "success" && evidence.behaviour?.numbers == nil)
    }

    @Test("A failure is told by the metrics that failed, not by their whole sentences")
    func failure() {
        #expect(Self.whole().analysis?.failure == "the analysis failed: success: 91 % against 97 %")
        #expect(JudgeReport(verdict: .fail, metrics: [], decisive: []).failure == "the analysis failed")
    }
}
