import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignTelemetry

/// Calls that a gateway reports: with runs and without, beside other reports of the same calls.
@Suite("Calls behind a gateway")
struct GatewayCallTests {
    private static let trace = "0af7651916cd43dd8448eb211c80319c"

    /// A gateway's span, in a trace of its own.
    private func gateway(
        _ span: UInt64,
        run: String? = "r1",
        tool: String = "payments.lookup",
        error: String? = nil,
        bundle: Digest = stableDigest,
        agent: String = "support/desk"
    ) -> SpanText {
        var result = SpanText.call(span, in: 0, tool: tool)
            .adding("gen_ai.agent.name", SpanText.string(agent))
            .adding("ensign.bundle", SpanText.string(bundle.description))
            .adding("mcp.method.name", SpanText.string("tools/call"))
            .adding("ensign.gateway", #"{"boolValue":true}"#)
            .adding("ensign.arguments", SpanText.string("hmac:0011223344556677"))
        result.trace = "ffff0000ffff0000" + SpanText.id(span)
        if let run { result = result.adding("ensign.run", SpanText.string(run)) }
        if let error { result = result.adding("error.type", SpanText.string(error)) }
        return result
    }

    /// The same, in the trace that its client named.
    private func inside(_ parent: UInt64, _ span: SpanText) -> SpanText {
        span.changed { ($0.trace, $0.parent) = (Self.trace, parent) }
    }

    private func by(_ run: String, _ span: SpanText) -> SpanText {
        span.adding("gen_ai.agent.name", SpanText.string("support/desk"))
            .adding("ensign.bundle", SpanText.string(stableDigest.description))
            .adding("ensign.run", SpanText.string(run))
    }

    private func calls(_ output: Attribution.Output) -> [ToolCall] {
        output.activities.compactMap { if case .call(let call) = $0.kind { call } else { nil } }
    }

    private func steps(_ output: Attribution.Output) -> Int64 {
        output.activities.reduce(0) { if case .steps(let count) = $1.kind { max($0, count) } else { $0 } }
    }

    private func ran(_ output: Attribution.Output) -> Int { output.activities.filter { $0.kind == .ran }.count }

    /// Feeds lines at their seconds, with the state written and read back between them.
    private func fed(_ lines: [(at: Double, text: String)], until end: Double) -> Attribution.Output {
        var attribution = Attribution(environment: "prod")
        var result = Attribution.Output()
        for (at, text) in lines + [(end, line([]))] {
            var batch = TelemetryBatch()
            batch.events = parsed(text).events
            result.add(attribution.add(batch, at: after(seconds: at), context))
            attribution = Attribution(json: attribution.json) ?? Attribution(environment: "lost")
        }
        return result
    }

    @Test("A gateway's calls of one run are a run where there is no other span of it, and say what calls can say")
    func alone() {
        let spans = [
            gateway(1), gateway(2, error: "tool_error").changed { $0.start = 4 },
            gateway(3, error: "permission_denied").changed { $0.start = 9 },
        ]
        for order in [spans, spans.reversed()] {
            let output = attributed(line([order[0]]), line([order[1]]), line([order[2]]))
            #expect(output.values("steps") == [3])
            #expect(output.values("tool-errors") == [1])
            #expect(output.values("denied-calls") == [1])
            // From the first call's start to the last one's end.
            #expect(output.values("latency") == [10])
            #expect(output.values("success").isEmpty)
            #expect(output.values("tokens").isEmpty && output.values("cost").isEmpty)
            #expect(output.samples.allSatisfy { $0.bundle == stableDigest && $0.agent == agent("support/desk") })
            #expect(output.rejections.isEmpty)
            #expect(calls(output).filter(\.isNamed).count == 3)
            #expect(calls(output).filter(\.isDenied).count == 1)
            #expect(steps(output) == 3)
            #expect(ran(output) == 1)
        }
    }

    @Test("Equal arguments are equal by the gateway's mark of them, and no other attribute makes a gateway")
    func marks() {
        let output = attributed(line([gateway(1), gateway(2)]))
        #expect(Set(calls(output).map(\.arguments)).count == 1)
        #expect(calls(output).allSatisfy { $0.arguments != nil })
        let carried = SpanText.call(3, in: 0).adding("baggage.ensign.gateway", #"{"boolValue":true}"#)
        let text = SpanText.call(4, in: 0).adding("ensign.gateway", SpanText.string("true"))
        #expect(spans(line([carried, text, gateway(5)])).map(\.isGateway) == [false, false, true])
        let resource = line([SpanText.call(6, in: 0)]).replacing(
            #""attributes":[{"key":"deploy"#,
            with: #""attributes":[{"key":"ensign.gateway","value":{"boolValue":true}},{"key":"deploy"#
        )
        #expect(spans(resource).map(\.isGateway) == [true])
    }

    @Test("Runs are told apart by name, agent and bundle")
    func names() {
        let output = attributed(
            line([gateway(1), gateway(2, run: "r2"), gateway(3, run: "r2")]),
            line([gateway(4, bundle: canaryDigest), gateway(5)])
        )
        #expect(output.values("steps").sorted() == [1, 2, 2])
        #expect(output.samples.filter { $0.bundle == canaryDigest }.count == 4)
        #expect(Set(output.samples.compactMap(\.session)).count == 2)
    }

    @Test(
        "Where the run's own span is there, the gateway's calls are its calls, and nobody else's beside them",
        arguments: ["name", "trace id", "trace"]
    )
    func joined(_ by: String) {
        var run = SpanText.run(1).changed { $0.seconds = 20 }
        var reported = [gateway(2), gateway(3, error: "permission_denied")]
        switch by {
        case "name": run = run.adding("ensign.run", SpanText.string("r1"))
        case "trace id":
            reported = [gateway(2, run: Self.trace), gateway(3, run: Self.trace, error: "permission_denied")]
        default: reported = reported.map { inside(11, $0) }
        }
        // The framework calls it by a name of its own, and so does the server.
        let framework = [10, 11].map { self.by("r1", .call($0, in: 1, tool: "Look It Up")) }
        let server = SpanText.call(12, in: 11, tool: "x").adding("mcp.method.name", SpanText.string("tools/call"))
        let all = reported + framework + [server, .chat(13, in: 1, input: 10, output: 5), run]
        var random = SeededGenerator(for: "order of a gateway's calls", standard: 5)
        for round in 0..<40 {
            let order = round == 0 ? all : round == 1 ? all.reversed() : all.shuffled(using: &random)
            let lines = order.enumerated().map { (30 + Double($0.offset) / 10, line([$0.element])) }
            let output = fed(lines, until: 4000)
            #expect(output.values("steps") == [2])
            #expect(output.values("denied-calls") == [1])
            #expect(output.values("tool-errors") == [0])
            #expect(output.values("latency") == [20])
            #expect(output.values("success") == [1])
            #expect(output.values("tokens") == [15])
            #expect(ran(output) == 1)
        }
    }

    @Test("The kill switch sees a gateway's calls once, and what does not go through it as before")
    func activities() {
        let reported = inside(10, gateway(2, error: "permission_denied"))
        let framework = by("r1", .call(10, in: 1, tool: "payments__lookup"))
            .adding("error.type", SpanText.string("permission_denied"))
            .adding("gen_ai.tool.call.arguments", SpanText.string("{}"))
        let server = SpanText.call(11, in: 2, tool: "get_payment")
            .adding("mcp.method.name", SpanText.string("tools/call"))
            .adding("gen_ai.tool.call.arguments", SpanText.string("{}"))
        let local = by("r1", .call(12, in: 1, tool: "shell.run"))
        for spans in [[reported, framework, server, local], [server, reported, framework, local]] {
            let lines = spans.enumerated().map { (10 + Double($0.offset), line([$0.element])) }
            let output = fed(lines + [(20, line([.run(1)]))], until: 4000)
            #expect(calls(output).filter(\.isNamed).map(\.tool).sorted() == ["payments.lookup", "shell.run"])
            #expect(calls(output).filter(\.isDenied).map(\.tool) == ["payments.lookup"])
            #expect(calls(output).compactMap(\.arguments).count == 1)
        }
        // A name that is not the gateway's run is another run: what it says is not taken away.
        let other = by("r2", .call(20, in: 1, tool: "payments__lookup"))
        #expect(calls(attributed(line([gateway(2)]), line([other]))).count == 2)
    }

    @Test("Another agent's or version's run takes no gateway's calls")
    func others() {
        let canary = SpanText.run(1, bundle: canaryDigest).adding("ensign.run", SpanText.string("r1"))
        let clerk = SpanText.run(3, agent: "support/clerk", bundle: nil)
            .adding("gen_ai.agent.version", SpanText.string("2.0.0"))
            .adding("ensign.run", SpanText.string("r1"))
            .changed { $0.trace = "1" + Self.trace.dropFirst() }
        let output = attributed(line([gateway(2)]), line([canary]), line([clerk]))
        func steps(_ name: String, _ bundle: Digest) -> [Double] {
            output.samples.filter { $0.metric == .steps && $0.agent == agent(name) && $0.bundle == bundle }.map(\.value)
        }
        #expect(steps("support/desk", canaryDigest) == [0])
        #expect(steps("support/clerk", stableDigest) == [0])
        #expect(steps("support/desk", stableDigest) == [1])
    }

    @Test("A run without a span is over when nothing came for five minutes; a span of it makes it wait for its own")
    func settling() {
        let first = (at: 10.0, text: line([gateway(1)]))
        #expect(fed([first], until: 305).samples.isEmpty)
        #expect(fed([first], until: 315).values("steps") == [1])
        let second = (at: 200.0, text: line([gateway(2)]))
        #expect(fed([first, second], until: 400).samples.isEmpty)
        #expect(fed([first, second], until: 620).values("steps") == [2])
        // An inference of the run says that its runtime tells of it.
        let inference = (at: 20.0, text: line([by("r1", .chat(3, in: 9, input: 1, output: 1))]))
        #expect(fed([first, inference], until: 620).values("steps").isEmpty)
        let run = (at: 1500.0, text: line([SpanText.run(9).adding("ensign.run", SpanText.string("r1"))]))
        #expect(fed([first, inference, run], until: 4000).values("steps") == [1])
        #expect(fed([first, inference], until: 4000).values("steps") == [1])
    }

    @Test(
        "A run is counted once: calls that come too late are late, and a span that does makes no second count of calls"
    )
    func once() {
        let first = (at: 10.0, text: line([gateway(1)]))
        let quiet = (at: 320.0, text: line([]))
        let late = fed([first, quiet, (400, line([gateway(2)]))], until: 5000)
        #expect(late.values("steps") == [1])
        #expect(late.counted(.late) == 1)
        #expect(steps(late) == 2)
        let run = (at: 400.0, text: line([SpanText.run(9).adding("ensign.run", SpanText.string("r1"))]))
        let after = fed([first, quiet, run], until: 5000)
        #expect(after.values("steps") == [1])
        #expect(after.values("success") == [1])
        // An hour later the name is free again; what then comes depends on what was, as runs of a session do.
        let again = fed([first, quiet, (3700, line([])), (4000, line([gateway(2), gateway(3)]))], until: 9000)
        #expect(again.values("steps") == [1, 2])
        #expect(Set(again.samples.map(\.session)).count == 1)
        let duplicate = attributed(line([gateway(1)]), line([gateway(1)]))
        #expect(duplicate.values("steps") == [1])
        #expect(duplicate.counted(.duplicate) == 1)
    }

    @Test("A call without a client's trace opens none: a hundred thousand of one run need room for one")
    func bounded() {
        var attribution = Attribution(environment: "prod")
        for round in 0..<100 {
            var batch = TelemetryBatch()
            let spans = (1...100).map { gateway(UInt64(round * 100 + $0), tool: "tool-\(round * 100 + $0)") }
            batch.events = parsed(line(spans)).events
            _ = attribution.add(batch, at: after(seconds: 10 + Double(round)), context)
        }
        #expect(attribution.traces.count == 1)
        #expect(attribution.traces.spans == 1)
        #expect(attribution.finish(context).values("steps") == [10_000])
        #expect(attribution.traces.count == 0)
        #expect(attribution.traces.gateways == 0)
    }

    @Test("A gateway's call of a bundle that does not count is a call as any other")
    func unknown() {
        let output = attributed(line([gateway(1, bundle: digest("f"))]), line([gateway(2, run: nil)]))
        #expect(output.samples.isEmpty)
        #expect(calls(output).count == 2)
    }
}
