import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignTelemetry

/// A trace is made by whoever writes it. What one of its spans costs must not grow with all that the trace has, or one writer's file
/// keeps everybody's kill switch waiting.
@Suite("What a trace costs")
struct CostOfTraceTests {
    private func add(_ spans: [SpanText], to attribution: inout Attribution, at seconds: Double) -> Attribution.Output {
        let (events, rejections) = parsed(line(spans))
        var batch = TelemetryBatch()
        (batch.events, batch.rejections) = (events, rejections)
        return attribution.add(batch, at: after(seconds: seconds), context)
    }

    @Test("However many runs a trace has, its calls are forgotten once, behind one of them")
    func oneForgetting() throws {
        var attribution = Attribution(environment: "prod")
        let runs = (1...200).map { number in
            SpanText.run(UInt64(number)).changed { $0.start = Double(number) / 100 }
        }
        _ = add(runs + [SpanText.call(1_000, in: 1)], to: &attribution, at: 10)
        let settle = Double(attribution.settleMilliseconds) / 1_000
        let output = attribution.advance(to: after(seconds: 10 + settle), context)
        #expect(output.values("success").count == 200)
        #expect(attribution.dues.count == 1)
        // A restart in between changes nothing.
        attribution = try #require(Attribution(json: attribution.json))
        _ = attribution.advance(to: after(seconds: 10 + 3 * settle), context)
        #expect(attribution.dues.count == 0)
        #expect(attribution.traces.spans == 200)
    }

    @Test("Calls that come as late as their runs settle are still theirs: the last run decides when they are forgotten")
    func forgottenBehindTheLast() {
        var attribution = Attribution(environment: "prod")
        let settle = Double(attribution.settleMilliseconds) / 1_000
        _ = add([SpanText.run(1), SpanText.call(2, in: 1)], to: &attribution, at: 10)
        _ = add([SpanText.run(3), SpanText.call(4, in: 3)], to: &attribution, at: 10 + settle * 0.9)
        // What stands behind the first is due, and the second was settled only now: its views may still come.
        for moment in [1, 1.9, 2] { _ = attribution.advance(to: after(seconds: 10 + settle * moment), context) }
        #expect(attribution.traces.spans == 4)
        _ = attribution.advance(to: after(seconds: 10 + settle * 3), context)
        #expect(attribution.traces.spans == 2)
    }

    @Test("A chain of spans that comes from within reports what is below it once")
    func chain() {
        var attribution = Attribution(environment: "prod")
        let calls = (1...100).map {
            SpanText.call(UInt64($0), in: 1_000).adding("gen_ai.agent.name", SpanText.string("support/clerk"))
        }
        var told = add(calls, to: &attribution, at: 10).activities.count
        for number in UInt64(0)..<200 {
            let around = SpanText(span: 1_000 + number, parent: 1_001 + number)
            told += add([around], to: &attribution, at: 11).activities.count
        }
        // For each call its name, and how many there are by now.
        #expect(told <= 2 * calls.count)
    }

    /// Calls of as many agents, each named, below one span that has not come yet.
    private func calls(of names: [String]) -> [SpanText] {
        names.enumerated().map { index, name in
            SpanText.call(UInt64(index + 1), in: 1_000).adding("gen_ai.agent.name", SpanText.string(name))
        }
    }

    /// A run of `support/desk` that comes after its calls.
    private var run: [SpanText] {
        [
            SpanText.call(900, in: 1_000).adding("gen_ai.agent.name", SpanText.string("support/desk")),
            SpanText.run(1_000),
            SpanText.call(901, in: 1_000).adding("gen_ai.agent.name", SpanText.string("support/desk")),
        ]
    }

    @Test("Agents that are made up take nobody's room: they are one, however many names they have")
    func madeUp() {
        var attribution = Attribution(environment: "prod")
        _ = add(calls(of: (1...200).map { "made/up-\($0)" }), to: &attribution, at: 10)
        _ = add(run, to: &attribution, at: 11)
        let groups = attribution.traces.traces.values.flatMap(\.groups.values)
        #expect(groups.allSatisfy { $0.claimed.count <= 2 })
        let output = attribution.finish(context)
        #expect(output.values("steps") == [2])
        #expect(attribution.rejections[.evicted] == 0)
    }

    @Test("Of more agents than are told apart the rest is said, and the run says nothing of what it cannot count")
    func manyAgents() {
        let names = (1...400).map { "support/agent-\($0)" }
        var context = context
        for name in names {
            context.routes[agent(name)] = Route(
                agent: agent(name),
                environment: "prod",
                phase: .stable,
                targets: [Route.Target(version: version("1.0.0"), digest: digest("c"), weight: 100)]
            )
        }
        var attribution = Attribution(environment: "prod")
        for (spans, seconds) in [(calls(of: names), 10.0), (run, 11)] {
            var batch = TelemetryBatch()
            (batch.events, batch.rejections) = parsed(line(spans))
            _ = attribution.add(batch, at: after(seconds: seconds), context)
        }
        let groups = attribution.traces.traces.values.flatMap(\.groups.values)
        #expect(groups.allSatisfy { $0.claimed.count <= Group.claimedLimit + 1 })
        let output = attribution.finish(context)
        #expect(output.values("success") == [1] && output.values("steps").isEmpty)
        #expect(attribution.rejections[.evicted] >= Int64(400 - Group.claimedLimit))
    }
}
