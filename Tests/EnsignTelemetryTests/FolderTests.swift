import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignTelemetry

/// Who may speak for whom, and who takes room from whom.
@Suite("Folders of agents")
struct FolderTests {
    private var bound: Attribution.Context {
        Attribution.Context(routes: context.routes, prices: context.prices, bound: [agent("support/desk")])
    }

    private func by(_ name: String, _ span: SpanText) -> SpanText {
        span.adding("gen_ai.agent.name", SpanText.string(name))
    }

    /// The result of spans that were in a folder, or in none.
    private func attributed(_ groups: [(folder: String?, spans: [SpanText])]) -> Attribution.Output {
        var attribution = Attribution(environment: "prod")
        var result = Attribution.Output()
        for (index, group) in groups.enumerated() {
            var batch = TelemetryBatch()
            batch.events = parsed(line(group.spans)).events
            if let folder = group.folder { batch.events = batch.events.map { $0.from(agent(folder)) } }
            let output = attribution.add(batch, at: after(seconds: 10 + Double(index)), bound)
            result.samples += output.samples
            result.activities += output.activities
            result.rejections.add(output.rejections)
            // It survives a restart.
            attribution = Attribution(json: attribution.json) ?? attribution
        }
        let rest = attribution.finish(bound)
        result.samples += rest.samples
        result.activities += rest.activities
        result.rejections.add(rest.rejections)
        return result
    }

    private func calls(_ output: Attribution.Output, of name: String) -> Int {
        output.activities.filter { if case .call = $0.kind { $0.agent == agent(name) } else { false } }.count
    }

    @Test("What is elsewhere does not speak for an agent that has a folder", arguments: [nil, "support/clerk"])
    func elsewhere(_ folder: String?) {
        let output = attributed([
            (
                folder,
                [
                    by("support/desk", .call(2, in: 1)), .run(1),
                    by("support/desk", .chat(3, in: 1, input: 9, output: 9)),
                ]
            )
        ])
        #expect(output.activities.isEmpty && output.samples.isEmpty)
        #expect(output.counted(folder == nil ? .boundAgent : .foreignAgent) == 3)
        // What is below such a run is nobody else's.
        let below = attributed([
            (
                nil,
                [
                    .call(3, in: 2), .run(2, parent: 1), .call(4, in: 1),
                    .run(1, agent: "support/clerk", bundle: stableDigest),
                ]
            )
        ])
        #expect(below.values("steps") == [1])
        #expect(calls(below, of: "support/clerk") == 1)
    }

    @Test("What is in its folder is the agent's, also what names nobody; other names are refused")
    func inside() {
        let output = attributed([
            ("support/desk", [.call(2, in: 1), by("helper", .call(3, in: 1)), by("support/clerk", .call(4, in: 1))])
        ])
        #expect(calls(output, of: "support/desk") == 2)
        #expect(calls(output, of: "support/clerk") == 0)
        #expect(output.counted(.foreignAgent) == 1)
        #expect(output.activities.contains { $0.kind == .steps(2) })
        let run = attributed([("support/desk", [.call(2, in: 1)]), ("support/desk", [.run(1)])])
        #expect(run.values("steps") == [1] && calls(run, of: "support/desk") == 1)
        // A framework's own part is not a run.
        #expect(attributed([("support/desk", [.run(1, agent: "helper")])]).samples.isEmpty)
    }

    @Test("Nobody writes into the traces of a folder: no links, no evaluations, no duplicates in front of it")
    func isolation() {
        let score =
            #"{"name":"gen_ai.evaluation.result","attributes":[{"key":"gen_ai.evaluation.name","value":"#
            + #"{"stringValue":"safe"}},{"key":"gen_ai.evaluation.score.value","value":{"doubleValue":1}}]}"#
        for folder in [nil, "support/clerk"] {
            let output = attributed([
                // The desk's own ids, before the desk writes them, and below a run of somebody else's.
                (folder, [.call(2, in: 7), SpanText(span: 1, parent: 7), .run(7, agent: "support/clerk")]),
                ("support/desk", [.call(2, in: 1), .run(1)]),
                (folder, [SpanText(span: 9, parent: 1).changed { $0.events = score }]),
            ])
            #expect(
                output.samples.filter { $0.agent == agent("support/desk") && $0.metric == .steps }.map(\.value) == [1]
            )
            #expect(output.counted(.duplicate) == 0)
            let scored = output.samples.filter { $0.metric == .evaluation("safe") }
            #expect(scored.allSatisfy { $0.agent == agent("support/clerk") })
        }
        let own = attributed([
            ("support/desk", [.run(1)]), ("support/desk", [SpanText(span: 9, parent: 1).changed { $0.events = score }]),
        ])
        #expect(own.values("evaluation:safe") == [1])
    }

    @Test("Evaluations that name an agent count from its folder alone")
    func evaluations() {
        func log(_ name: String) -> String {
            let list = [
                ("gen_ai.evaluation.name", "safe"), ("gen_ai.evaluation.score.label", "pass"),
                ("gen_ai.agent.name", name), ("ensign.bundle", stableDigest.description),
            ].map { #"{"key":"\#($0.0)","value":{"stringValue":"\#($0.1)"}}"# }
            return
                #"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"\#(after(seconds: 3).nanoseconds)","#
                + #""eventName":"gen_ai.evaluation.result","attributes":[\#(list.joined(separator: ","))]}]}]}]}"#
        }
        for (folder, name, reason) in [
            (nil, "support/desk", Rejection.boundAgent), ("support/clerk", "support/desk", .foreignAgent),
            ("support/desk", "support/desk", nil), (nil, "support/clerk", nil),
        ] as [(String?, String, Rejection?)] {
            var attribution = Attribution(environment: "prod")
            var batch = TelemetryBatch()
            batch.events = parsed(log(name)).events
            if let folder { batch.events = batch.events.map { $0.from(agent(folder)) } }
            let output = attribution.add(batch, at: after(seconds: 10), bound)
            #expect(output.samples.count == (reason == nil ? 1 : 0))
            if let reason { #expect(output.counted(reason) == 1) }
        }
    }

    @Test(
        "A flood of traces takes no room from those of a folder, or of an agent that is named",
        arguments: [false, true]
    )
    func room(_ isBound: Bool) {
        var limits = Attribution.Limits()
        (limits.traces, limits.spans) = (100, 1_000)
        var attribution = Attribution(environment: "prod", limits: limits)
        let template = spans(line([.call(2, in: 1)]))[0]
        var steps: Int64 = 0
        for round in 0..<60 {
            var batch = TelemetryBatch()
            for number in 0..<200 {
                var span = template
                span.trace = TraceID(high: 7, low: UInt64(round * 200 + number))
                batch.events.append(.span(span))
            }
            // The run goes on, a call each time.
            let own = by("support/desk", .call(UInt64(round + 10), in: 1))
            let text = line([own])
            batch.events += isBound ? parsed(text).events.map { $0.from(agent("support/desk")) } : parsed(text).events
            let output = attribution.add(batch, at: after(seconds: Double(round)), isBound ? bound : context)
            for case .steps(let count) in output.activities.map(\.kind) { steps = max(steps, count) }
            #expect(attribution.traces.count <= 100)
        }
        #expect(attribution.traces.remembered <= 2 * 101 + 64)
        #expect(steps == 60)
        #expect(attribution.rejections[.evicted] > 5_000)
    }
}
