import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignTelemetry

/// What is a run, and how it ended.
extension FrameworkTests {
    // MARK: Runs

    @Test("A run is the outermost span that carries the bundle: workflows, graphs and agents in it count once")
    func outermost() {
        let spans = [
            stamped(plain(1, ("gen_ai.operation.name", "invoke_workflow"))),
            stamped(SpanText.run(2, agent: "helper", bundle: nil, parent: 1)),
            stamped(plain(3, in: 2, ("openinference.span.kind", "CHAIN"))),
            stamped(SpanText.run(4, agent: "inner", bundle: nil, parent: 3)),
            stamped(SpanText.call(5, in: 4)), stamped(SpanText.call(6, in: 3)),
            stamped(SpanText.chat(7, in: 4, input: 100, output: 10)), SpanText(span: 8, parent: 2),
            stamped(SpanText.chat(9, in: 8, input: 100, output: 10)),
        ]
        inAnyOrder(spans) { output in
            #expect(output.values("success") == [1])
            #expect(output.values("steps") == [2])
            #expect(output.values("tokens") == [220])
            #expect(output.rejections.isEmpty)
            #expect(output.activities.contains { $0.kind == .steps(2) })
            #expect(calls(output).count == 2)
        }
    }

    @Test("A graph of OpenInference counts, with its calls, tokens and cost, and its steps before it has ended")
    func graph() {
        let steps = (0..<5).flatMap { number -> [SpanText] in
            let base = 10 + UInt64(number) * 4
            return [
                stamped(model(base + 1, in: base)), stamped(kind("CHAIN", base, in: 1)),
                stamped(tool(base + 3, in: base + 2)), stamped(kind("CHAIN", base + 2, in: 1)),
            ]
        }
        let running = attributed(steps.map { line([$0]) })
        #expect(running.activities.contains { $0.kind == .steps(5) })
        #expect(!running.activities.contains { $0.kind == .steps(6) })
        inAnyOrder(steps + [stamped(kind("CHAIN", 1))]) { output in
            #expect(output.values("success") == [1])
            #expect(output.values("steps") == [5])
            #expect(output.values("tokens") == [550])
            #expect(output.values("cost").count == 1)
            #expect(abs(sum(output, "cost") - 550 * 0.000_001 - 50 * 0.000_009) < 1e-12)
            #expect(Set(calls(output).map(\.tool)) == ["get_weather"])
            #expect(Set(calls(output).compactMap(\.arguments)).count == 1)
        }
    }

    @Test("Two runs below a span that nobody stamped are two, also when that one comes last or never")
    func siblings() {
        let runs = [
            stamped(kind("CHAIN", 2, in: 1)), stamped(tool(3, in: 2)), stamped(kind("CHAIN", 4, in: 1)),
            stamped(tool(5, in: 4)), stamped(tool(6, in: 4)),
        ]
        for spans in [runs, runs + [SpanText(span: 1)]] {
            inAnyOrder(spans) { output in
                #expect(output.values("success") == [1, 1])
                #expect(output.values("steps").sorted() == [1, 2])
            }
        }
    }

    @Test("An agent that is made, a query, and one end of a connection are not runs")
    func noRuns() {
        let made = stamped(plain(1, ("gen_ai.operation.name", "create_agent"), ("gen_ai.agent.name", "helper")))
        let query = stamped(plain(2, ("db.system", "postgresql")))
        let client = SpanText.id(3)
        let connection =
            #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"\#(client)","kind":3,"#
            + #""startTimeUnixNano":"\#(after(seconds: 0).nanoseconds)","endTimeUnixNano":"\#(after(seconds: 1).nanoseconds)","#
            + #""attributes":[{"key":"ensign.bundle","value":{"stringValue":"\#(Self.own.description)"}}]},"#
            + #"\#(stamped(SpanText.call(4, in: 3)).text)]}]}]}"#
        let output = attributed([line([made]), line([query]), connection])
        #expect(output.samples.isEmpty)
        // A call without a run is told all the same.
        #expect(calls(output).count == 1)
    }

    @Test("A resource's bundle makes runs of what says that it is one, not of everything that the process does")
    func resourceRuns() {
        func text(_ spans: [SpanText]) -> String {
            #"{"resourceSpans":[{"resource":{"attributes":[{"key":"ensign.bundle","value":{"stringValue":"\#(Self.own.description)"}}]},"#
                + #""scopeSpans":[{"spans":[\#(spans.map(\.text).joined(separator: ","))]}]}]}"#
        }
        let requests = SpanText(span: 1)
        let runs = [
            SpanText.run(2, agent: "helper", bundle: nil, parent: 1), SpanText.call(3, in: 2),
            SpanText.run(4, agent: "helper", bundle: nil, parent: 1), SpanText.call(5, in: 4),
        ]
        let output = attributed([text(runs + [requests])])
        #expect(output.values("success") == [1, 1])
        #expect(output.values("steps") == [1, 1])
    }

    @Test("A run waits for the span around it as long as its trace is at work")
    func patience() {
        let inner = stamped(SpanText.run(2, agent: "helper", bundle: nil, parent: 1))
        var attribution = Attribution(environment: "prod")
        func add(_ spans: [SpanText], at seconds: Double) -> Attribution.Output {
            var batch = TelemetryBatch()
            batch.events = spans.isEmpty ? [] : parsed(line(spans)).events
            return attribution.add(batch, at: after(seconds: seconds), Self.fleet)
        }
        #expect(add([inner], at: 5).samples.isEmpty)
        #expect(add([], at: 100).samples.isEmpty)
        #expect(add([stamped(SpanText.call(3, in: 1))], at: 200).samples.isEmpty)
        attribution = Attribution(json: attribution.json) ?? attribution
        #expect(add([], at: 400).samples.isEmpty)
        #expect(add([stamped(kind("CHAIN", 1))], at: 450).samples.isEmpty)
        let output = add([], at: 466)
        #expect(output.values("success") == [1])
        #expect(output.values("steps") == [1])
    }

    @Test("What was counted without the span around it is not counted again when that comes")
    func lateOutside() {
        let inner = stamped(SpanText.run(2, agent: "helper", bundle: nil, parent: 1))
        let outer = stamped(kind("CHAIN", 1))
        let output = attributed([line([inner]), line([]), line([outer])], gap: 1_000)
        #expect(output.values("success") == [1])
        #expect(output.counted(.late) == 1)
        // And a part that comes when the whole was counted is late too.
        let part = attributed([line([outer]), line([]), line([inner])], gap: 1_000)
        #expect(part.values("success") == [1])
        #expect(part.counted(.late) == 1)
    }

    @Test("Work that came in from another process does not wait for the spans of whoever asked")
    func entry() {
        let server =
            #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c","#
            + #""spanId":"\#(SpanText.id(1))","parentSpanId":"00000000000000aa","kind":"SPAN_KIND_SERVER","#
            + #""startTimeUnixNano":"\#(after(seconds: 0).nanoseconds)","endTimeUnixNano":"\#(after(seconds: 1).nanoseconds)"}]}]}]}"#
        var attribution = Attribution(environment: "prod")
        var batch = TelemetryBatch()
        batch.events =
            parsed(line([stamped(SpanText.run(2, agent: "helper", bundle: nil, parent: 1))])).events
            + parsed(server).events
        #expect(attribution.add(batch, at: after(seconds: 5), Self.fleet).samples.isEmpty)
        #expect(attribution.advance(to: after(seconds: 21), Self.fleet).values("success") == [1])
    }

    // MARK: Success

    @Test("A run whose own agent failed has failed, although the span around it says otherwise")
    func innerFailure() {
        let spans = [
            stamped(at(0, 10, SpanText.run(1, agent: "workflow", bundle: nil))),
            failing(stamped(at(1, 8, SpanText.run(2, agent: "helper", bundle: nil, parent: 1)))),
            stamped(at(2, 3, SpanText.chat(3, in: 2, input: 1, output: 1))),
        ]
        inAnyOrder(spans) { #expect($0.values("success") == [0]) }
        // What goes on afterwards has recovered from it.
        let again = stamped(at(9.5, 0.2, SpanText.run(4, agent: "helper", bundle: nil, parent: 1)))
        inAnyOrder(spans + [again]) { #expect($0.values("success") == [1]) }
        let answer = stamped(at(9.5, 0.2, SpanText.chat(4, in: 1, input: 1, output: 1)))
        inAnyOrder(spans + [answer]) { #expect($0.values("success") == [1]) }
        // A part of a framework that names nobody decides nothing.
        let foreign = [
            stamped(at(0, 10, SpanText.run(1, agent: "workflow", bundle: nil))),
            failing(at(1, 8, SpanText.run(2, agent: "helper", bundle: nil, parent: 1))),
        ]
        inAnyOrder(foreign) { #expect($0.values("success") == [1]) }
    }

    @Test("Tokens that a part of a run says for what is inside it count once")
    func usageOfParts() {
        func using(_ span: SpanText, _ input: Int, _ output: Int) -> SpanText {
            span.changed { $0.attributes += SpanText.usage(input: input, output: output) }
        }
        let spans = [
            stamped(kind("CHAIN", 1)),
            stamped(using(SpanText.run(2, agent: "helper", bundle: nil, parent: 1), 200, 20)),
            stamped(using(plain(3, in: 2, ("gen_ai.operation.name", "execute_event_loop_cycle")), 200, 20)),
            stamped(SpanText.chat(4, in: 3, input: 100, output: 10)),
            stamped(SpanText.chat(5, in: 3, input: 100, output: 10)),
        ]
        inAnyOrder(spans) { output in
            #expect(output.values("success") == [1])
            #expect(output.values("tokens") == [220])
        }
        // Also where a span between them says nothing of anything.
        let inside = [
            stamped(SpanText.run(1, agent: "helper", bundle: nil)),
            stamped(SpanText.chat(2, in: 1, input: 100, output: 10)),
            SpanText(span: 3, parent: 2), stamped(SpanText.chat(4, in: 3, input: 100, output: 10)),
        ]
        inAnyOrder(inside) { #expect($0.values("tokens") == [110]) }
    }
}
