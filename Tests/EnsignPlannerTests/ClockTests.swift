import EnsignJudge
import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignPlanner

/// A canary that began while the host's clock was ahead.
@Suite("Evidence and a clock that is set")
struct ClockTests {
    private static let agent = EnsignTestSupport.agent("support/triage")
    private let analysis = Analysis(
        metrics: [Analysis.Metric(name: "success", kind: .rate, good: true, unit: nil, margin: .absolute(0.05))],
        confidence: 0.95,
        deadline: nil,
        onInconclusive: .hold
    )

    private func canary() throws -> Canary {
        Canary(steps: [Canary.Step(weight: 20, hold: try #require(TimeSpan("1h")))], analysis: analysis)
    }

    private func side(_ version: String, _ digit: String) throws -> Change.Side {
        let digest = try #require(Digest(hex: String(repeating: digit, count: 64)))
        return Change.Side(version: EnsignTestSupport.version(version), digest: digest)
    }

    private func state(_ began: Timestamp, pause: CanaryProgress.Pause? = nil) throws -> AgentState {
        let candidate = Candidate(
            side: try side("1.5.0", "c"),
            artifact: try side("1.5.0", "c").digest,
            kind: .behaviour,
            source: .zero,
            wanted: began
        )
        let progress = CanaryProgress(
            step: 0,
            weight: 20,
            stepSince: began,
            started: began,
            evidenceSince: began,
            pause: pause
        )
        return AgentState(stable: try side("1.4.0", "5"), rollout: .canary(candidate, progress))
    }

    /// What is counted of ten runs of each version that begin at `now`.
    private func counted(_ state: AgentState, at now: Timestamp) throws -> Int {
        let watched = try #require(WatchedCanary(Self.agent, state, try canary()))
        var analyst = CanaryAnalyst()
        analyst.follow([watched])
        for _ in 0..<10 {
            for bundle in [watched.candidate, watched.stable] {
                let sample = Sample(
                    agent: Self.agent,
                    environment: "prod",
                    bundle: bundle,
                    metric: .success,
                    value: 1,
                    occurred: true,
                    time: Moment(now),
                    started: Moment(now)
                )
                analyst.take([sample])
            }
        }
        let samples = analyst.verdict(watched).report?.json["metrics"]?["success"]?["samples"]
        return Int(samples?["canary"]?.int ?? 0)
    }

    @Test("Runs count from the moment at which the clock is put right, paused or not", arguments: [false, true])
    func ahead(isPaused: Bool) throws {
        let now = Timestamp(seconds: 1_800_000_000)
        let began = Timestamp(seconds: now.seconds + 3_600)
        let pause = isPaused ? CanaryProgress.Pause(since: began, reason: "lunch") : nil
        var machine = RolloutMachine(agent: Self.agent, state: try state(began, pause: pause), now: now)
        #expect(try counted(machine.state, at: now) == 0)
        let canary = try canary()
        try machine.handle(.time(canary, CanaryVerdict(.noData), clockStep: nil))
        #expect(machine.changes.count == 1)
        #expect(try counted(machine.state, at: now) == 10)
        let progress = try #require(machine.state.canary?.progress)
        #expect([progress.stepSince, progress.started, progress.evidenceSince] == [now, now, now])
        #expect(progress.pause?.since == (isPaused ? now : nil))
        // What has been put right is put right once.
        var next = RolloutMachine(agent: Self.agent, state: machine.state, now: now)
        try next.handle(.time(canary, CanaryVerdict(.noData), clockStep: nil))
        #expect(next.changes.isEmpty)
    }

    @Test("A step that is told twice, as after a crash, never brings the deadline nearer", arguments: [-7_200, 7_200])
    func twice(step: Int64) throws {
        let began = Timestamp(seconds: 1_800_000_000)
        let deadline = began.seconds + 3_600
        var state = try state(began)
        let now = Timestamp(seconds: began.seconds + 600 + step)
        for _ in 1...2 {
            var machine = RolloutMachine(agent: Self.agent, state: state, now: now)
            try machine.handle(.time(canary(), CanaryVerdict(.noData), clockStep: step))
            state = machine.state
            let started = try #require(state.canary?.progress.started.seconds)
            #expect(started + 3_600 - now.seconds >= deadline - began.seconds - 600)
            #expect(started <= now.seconds)
        }
    }
}
