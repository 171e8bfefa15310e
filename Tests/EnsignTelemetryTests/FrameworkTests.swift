import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignTelemetry

/// What agent frameworks and their instrumentations write, in small: whose it is, and what of it counts.
@Suite("Frameworks' spans")
struct FrameworkTests {
    /// `support/desk` runs two bundles that nobody else has.
    private static let own = digest("d")
    private static let next = digest("e")
    private static let others = digest("f")

    private static let fleet = Attribution.Context(
        routes: [
            agent("support/desk"): Route(
                agent: agent("support/desk"),
                environment: "prod",
                phase: .canary,
                targets: [
                    Route.Target(version: version("1.1.0"), digest: next, weight: 5),
                    Route.Target(version: version("1.0.0"), digest: own, weight: 95),
                ]
            ),
            agent("support/clerk"): Route(
                agent: agent("support/clerk"),
                environment: "prod",
                phase: .stable,
                targets: [Route.Target(version: version("2.0.0"), digest: others, weight: 100)]
            ),
        ],
        prices: Prices(models: ["openai/gpt-5": Prices.Price(input: 1, output: 10, cacheRead: nil, cacheWrite: nil)]),
        models: [own: "openai/gpt-5", next: "openai/gpt-5", others: "mistral/large"]
    )

    // MARK: Spans

    /// A span with a session's attributes, whatever it is.
    private func stamped(_ span: SpanText, _ bundle: Digest = own) -> SpanText {
        span.adding("ensign.bundle", SpanText.string(bundle.description))
    }

    private func plain(_ span: UInt64, in parent: UInt64 = 0, _ attributes: (String, String)...) -> SpanText {
        SpanText(span: span, parent: parent, attributes: attributes.map { ($0.0, SpanText.string($0.1)) })
    }

    /// OpenInference's.
    private func kind(_ kind: String, _ span: UInt64, in parent: UInt64 = 0) -> SpanText {
        plain(span, in: parent, ("openinference.span.kind", kind))
    }

    private func model(_ span: UInt64, in parent: UInt64) -> SpanText {
        kind("LLM", span, in: parent).changed {
            $0.attributes += [
                ("llm.token_count.prompt", SpanText.int(100)), ("llm.token_count.completion", SpanText.int(10)),
                ("llm.model_name", SpanText.string("gpt-5")), ("llm.system", SpanText.string("openai")),
            ]
        }
    }

    private func tool(_ span: UInt64, in parent: UInt64, input: String = #"{\"city\": \"Bern\"}"#) -> SpanText {
        kind("TOOL", span, in: parent).changed {
            $0.attributes += [
                ("tool.name", SpanText.string("get_weather")), ("input.value", SpanText.string(input)),
                ("tool.parameters", SpanText.string(#"{\"type\": \"object\", \"properties\": {}}"#)),
            ]
        }
    }

    private func failing(_ span: SpanText) -> SpanText { span.changed { $0.isError = true } }

    private func at(_ start: Double, _ seconds: Double, _ span: SpanText) -> SpanText {
        span.changed { ($0.start, $0.seconds) = (start, seconds) }
    }

    // MARK: Reading

    private func attributed(
        _ lines: [String],
        _ context: Attribution.Context = fleet,
        gap: Double = 0.01
    ) -> Attribution.Output {
        var attribution = Attribution(environment: "prod")
        var output = Attribution.Output()
        for (index, line) in lines.enumerated() {
            var batch = TelemetryBatch()
            (batch.events, batch.rejections) = parsed(line)
            output.add(attribution.add(batch, at: after(seconds: 20 + Double(index) * gap), context))
            if index.isMultiple(of: 3) { attribution = Attribution(json: attribution.json) ?? attribution }
        }
        output.add(attribution.finish(context))
        return output
    }

    private func inAnyOrder(_ spans: [SpanText], _ check: (Attribution.Output) -> Void) {
        var random = SeededGenerator(for: "order of frameworks' spans", standard: 7)
        for round in 0..<30 {
            let order = round == 0 ? spans : round == 1 ? spans.reversed() : spans.shuffled(using: &random)
            check(attributed(order.map { line([$0]) }))
        }
        check(attributed([line(spans)]))
    }

    private func calls(_ output: Attribution.Output) -> [ToolCall] {
        output.activities.compactMap { if case .call(let call) = $0.kind { call } else { nil } }
    }

    private func sum(_ output: Attribution.Output, _ metric: String) -> Double {
        output.values(metric).reduce(0, +)
    }

    // MARK: Whose it is

    @Test("A bundle names its agent, whatever name a framework gave")
    func bundleDecides() {
        let named = stamped(SpanText.run(1, agent: "helper", bundle: nil))
        inAnyOrder([named, SpanText.call(2, in: 1).adding("gen_ai.agent.name", SpanText.string("helper"))]) { output in
            #expect(output.samples.allSatisfy { $0.agent == agent("support/desk") && $0.bundle == Self.own })
            #expect(output.values("success") == [1])
            #expect(output.values("steps") == [1])
            #expect(output.rejections.isEmpty)
        }
        // Also that of another agent of the fleet.
        let other = stamped(SpanText.run(1, agent: "support/clerk", bundle: nil))
        #expect(attributed([line([other])]).samples.allSatisfy { $0.agent == agent("support/desk") })
    }

    @Test("The span's own bundle comes first, then what is carried along, then the resource's, then names")
    func precedence() {
        func bundles(_ span: SpanText, resource: [(String, String)] = []) -> [Digest] {
            let list = resource.map { #"{"key":"\#($0.0)","value":{"stringValue":"\#($0.1)"}}"# }.joined(separator: ",")
            let text =
                #"{"resourceSpans":[{"resource":{"attributes":[\#(list)]},"scopeSpans":[{"spans":[\#(span.text)]}]}]}"#
            return attributed([text]).samples.filter { $0.metric == .success }.map(\.bundle)
        }
        let helper = SpanText.run(1, agent: "helper", bundle: nil)
        let resource = [("ensign.bundle", Self.others.description)]
        #expect(bundles(helper, resource: resource) == [Self.others])
        #expect(bundles(stamped(helper), resource: resource) == [Self.own])
        for name in ["baggage.ensign.bundle", "traceloop.association.properties.ensign.bundle"] {
            let carried = helper.adding(name, SpanText.string(Self.next.description))
            // Of the same agent, and of another one: baggage is from whoever asked, and what a framework passes on is not.
            #expect(bundles(carried, resource: [("ensign.bundle", Self.own.description)]) == [Self.next])
            let isBaggage = name.hasPrefix("baggage")
            #expect(bundles(carried, resource: resource) == [isBaggage ? Self.others : Self.next])
            #expect(bundles(carried, resource: [("ensign.agent", "support/clerk")]) == (isBaggage ? [] : [Self.next]))
            #expect(bundles(carried, resource: [("ensign.agent", "support/desk")]) == [Self.next])
            #expect(bundles(stamped(carried), resource: resource) == [Self.own])
            #expect(bundles(helper, resource: [(name, Self.next.description)]) == [Self.next])
        }
        let escaped = helper.adding(
            "baggage.ensign.bundle",
            SpanText.string(Self.next.description.replacing(":", with: "%3A"))
        )
        #expect(bundles(escaped) == [Self.next])
        let metadata = helper.adding(
            "metadata",
            SpanText.string(#"{\"a\": 1, \"ensign.bundle\": \"\#(Self.next.description)\"}"#)
        )
        #expect(bundles(metadata) == [Self.next])
        let version = SpanText.run(1, agent: "support/desk", bundle: nil)
            .adding("gen_ai.agent.version", SpanText.string("1.0.0"))
        #expect(bundles(version) == [Self.own])
        // A resource's bundle that nobody knows does not take the name away that the span has.
        #expect(bundles(version, resource: [("ensign.bundle", digest("0").description)]) == [Self.own])
        let certain = SpanText.run(1, agent: "helper", bundle: nil)
            .adding("ensign.agent", SpanText.string("support/desk"))
            .adding("gen_ai.agent.version", SpanText.string("1.0.0"))
        #expect(bundles(certain) == [Self.own])
    }

    @Test("A declared name is its agent's where it is all that there is, on the first span of a trace")
    func declaredName() {
        var context = Self.fleet
        context.aliases = ["desk_helper": agent("support/desk"), "support/desk": agent("support/clerk")]
        func named(_ span: UInt64, _ name: String, in parent: UInt64 = 0) -> SpanText {
            SpanText.run(span, agent: name, bundle: nil).changed { $0.parent = parent }
                .adding("gen_ai.agent.version", SpanText.string("1.0.0"))
        }
        let output = attributed([line([named(1, "desk_helper"), SpanText.call(2, in: 1)])], context)
        #expect(output.samples.allSatisfy { $0.agent == agent("support/desk") && $0.bundle == Self.own })
        #expect(output.values("success") == [1] && output.values("steps") == [1])
        // Inside of somebody's run it is a part of that.
        let inside = attributed(
            [line([stamped(SpanText.run(1, agent: "x", bundle: nil), Self.others), named(2, "desk_helper", in: 1)])],
            context
        )
        #expect(inside.samples.allSatisfy { $0.agent == agent("support/clerk") } && inside.values("success") == [1])
        // A bundle, and an agent's own name, come first.
        let stampedToo = stamped(named(1, "desk_helper"), Self.others)
        #expect(attributed([line([stampedToo])], context).samples.allSatisfy { $0.agent == agent("support/clerk") })
        let own = attributed([line([named(1, "support/desk")])], context)
        #expect(own.samples.allSatisfy { $0.agent == agent("support/desk") } && own.values("success") == [1])
        // Another word is nobody's.
        #expect(attributed([line([named(1, "helper")])], context).samples.isEmpty)
    }

    @Test("A bundle of one agent beside the certain name of another is a contradiction, and counts for neither")
    func contradiction() {
        let span = stamped(SpanText.run(1, agent: "helper", bundle: nil))
        let right = span.adding("ensign.agent", SpanText.string("support/desk"))
        #expect(attributed([line([right])]).values("success") == [1])
        let wrong = span.adding("ensign.agent", SpanText.string("support/clerk"))
        let call = stamped(.call(2, in: 1)).adding("ensign.agent", SpanText.string("support/clerk"))
        let output = attributed([line([call, wrong])])
        #expect(output.samples.isEmpty)
        #expect(output.activities.isEmpty)
        #expect(output.counted(.contradiction) == 2)
    }

    @Test("A bundle that the environment does not run makes no run")
    func unknownBundle() {
        let output = attributed([line([stamped(SpanText.run(1, agent: "helper", bundle: nil), digest("0"))])])
        #expect(output.samples.isEmpty)
        #expect(output.counted(.unknownBundle) == 1)
        // Known, but no longer in the route.
        var context = Self.fleet
        context.owners[digest("0").description] = agent("support/desk")
        let former = attributed([line([stamped(kind("CHAIN", 1), digest("0"))])], context)
        #expect(former.samples.isEmpty)
        #expect(former.counted(.unknownBundle) == 1)
    }

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

    @Test("An agent that is made, a query, and one end of a connection are no runs")
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

    // MARK: Calls

    @Test("Arguments that are a schema, or hold ids of the run, say nothing of whether a call was repeated")
    func arguments() {
        func digests(_ attributes: [(String, String)]...) -> (digests: [UInt64], output: Attribution.Output) {
            let spans = attributes.enumerated().map { index, attributes in
                stamped(SpanText.call(UInt64(index) + 2, in: 1, tool: "get_weather")).changed {
                    $0.attributes += attributes.map { ($0.0, SpanText.string($0.1)) }
                }
            }
            let output = attributed([line(spans + [stamped(SpanText.run(1, agent: "helper", bundle: nil))])])
            return (calls(output).compactMap(\.arguments), output)
        }
        let name = "gen_ai.tool.call.arguments"
        let schema =
            #"{\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}}, \"required\": [\"city\"]}"#
        let plain = digests([(name, schema)], [(name, schema)])
        #expect(plain.digests.isEmpty)
        #expect(plain.output.counted(.unusableArguments) == 2)
        #expect(plain.output.values("steps") == [2])
        // What the tool was given stands beside the schema.
        let inputs = digests(
            [(name, schema), ("input.value", #"{\"city\": \"Bern\"}"#)],
            [(name, schema), ("input.value", #"{\"city\": \"Rome\"}"#)],
            [(name, #"{\"city\":\"Bern\"}"#)]
        )
        #expect(Set(inputs.digests).count == 2 && inputs.digests.count == 3)
        #expect(inputs.output.counted(.unusableArguments) == 0)
        func wrapped(_ city: String, _ run: String) -> String {
            #"{\"input_str\": \"{'city': '\#(city)'}\", \"tags\": [\"\#(run)\"], \"metadata\": {\"run\": \"\#(run)\"}, \"inputs\": {\"city\": \"\#(city)\"}}"#
        }
        let runs = digests(
            [(name, wrapped("Bern", "1b9d6bcd-bbfd"))],
            [("traceloop.entity.input", wrapped("Bern", "7c9e6679-7425"))],
            [(name, wrapped("Rome", "550e8400-e29b"))],
            [(name, #"{\"city\": \"Bern\"}"#)]
        )
        #expect(runs.digests.count == 4 && Set(runs.digests).count == 2)
        let message = digests(
            [
                (
                    name,
                    #"{\"name\": \"get_weather\", \"args\": {\"city\": \"Bern\"}, \"id\": \"c1\", \"type\": \"tool_call\"}"#
                )
            ],
            [
                (
                    name,
                    #"{\"name\": \"get_weather\", \"args\": {\"city\": \"Bern\"}, \"id\": \"c2\", \"type\": \"tool_call\"}"#
                )
            ]
        )
        #expect(Set(message.digests).count == 1)
        // What only looks a little like it is what it is.
        let real = digests([(name, #"{\"type\": \"object\", \"id\": 1}"#)], [(name, #"{\"properties\": {\"a\": 1}}"#)])
        #expect(Set(real.digests).count == 2)
    }

    @Test("Traceloop's tools, agents and older words for tokens are read")
    func traceloop() {
        let spans = [
            stamped(plain(1, ("traceloop.span.kind", "workflow"))),
            stamped(plain(2, in: 1, ("traceloop.span.kind", "agent"))),
            stamped(
                plain(
                    3,
                    in: 2,
                    ("llm.request.type", "chat"),
                    ("gen_ai.system", "openai"),
                    ("gen_ai.request.model", "gpt-5")
                )
            ).changed {
                $0.attributes += [
                    ("gen_ai.usage.prompt_tokens", SpanText.int(100)),
                    ("llm.usage.completion_tokens", SpanText.int(10)),
                ]
            },
            stamped(plain(4, in: 2, ("traceloop.span.kind", "tool"), ("traceloop.entity.name", "get_weather"))),
        ]
        inAnyOrder(spans) { output in
            #expect(output.values("success") == [1])
            #expect(output.values("tokens") == [110])
            #expect(output.values("steps") == [1])
            #expect(calls(output).map(\.tool) == ["get_weather"])
        }
    }

    @Test(
        "What a crew has used is read from the text that its instrumentation writes, and not added to what its models say",
        arguments: [
            (
                "total_tokens=220 prompt_tokens=200 cached_prompt_tokens=0 completion_tokens=20 successful_requests=2",
                220.0
            ),
            ("prompt_tokens=200 completion_tokens=20 cached_prompt_tokens=150 cache_creation_tokens=10", 220.0),
            ("prompt_tokens=-1 completion_tokens=20", nil), ("prompt_tokens=many completion_tokens=20", nil),
            ("completion_tokens=20", nil), ("", nil), ("=", nil), ("{'prompt_tokens': 200}", nil),
        ]
    )
    func crew(text: String, tokens: Double?) {
        let run = stamped(SpanText.run(1, agent: "helper", bundle: nil))
            .adding("crewai.crew.token_usage", SpanText.string(text))
        inAnyOrder([run]) { output in
            #expect(output.values("tokens") == (tokens.map { [$0] } ?? []))
            #expect(output.values("cost").count == (tokens == nil ? 0 : 1))
            #expect(output.rejections.isEmpty)
        }
        // The same tokens, and 110 of 220.
        inAnyOrder([run, stamped(model(2, in: 1))]) { #expect($0.values("tokens") == [tokens ?? 110]) }
    }

    @Test("A review counts calls as they count, whichever of their views says whose they are")
    func viewsAreReviewed() {
        func server(_ span: UInt64, in parent: UInt64) -> SpanText {
            SpanText.call(span, in: parent, tool: "get_weather").adding(
                "mcp.method.name",
                SpanText.string("tools/call")
            )
        }
        for (inner, outer) in [(true, true), (true, false), (false, true), (false, false)] {
            let spans = [
                stamped(kind("CHAIN", 1)), outer ? stamped(tool(2, in: 1)) : tool(2, in: 1),
                inner ? stamped(server(3, in: 2)) : server(3, in: 2), tool(4, in: 1),
                // Two attempts in one call are two.
                tool(5, in: 1), server(6, in: 5), server(7, in: 5),
            ]
            var random = SeededGenerator(for: "order of reviewed spans", standard: 5)
            for _ in 0..<10 {
                var attribution = Attribution(environment: "prod", explaining: true)
                var review = SpanReview()
                for span in spans.shuffled(using: &random) {
                    var batch = TelemetryBatch()
                    batch.events = parsed(line([span])).events
                    review.add(batch.events, attribution.add(batch, at: after(seconds: 20), Self.fleet))
                }
                let output = attribution.finish(Self.fleet)
                review.add([], output)
                review.finish()
                #expect(review.totals.values.map(\.calls) == [4])
                #expect(output.values("steps") == [4])
                #expect(review.rows.values.reduce(0) { $0 + $1.inRuns } == 4)
                #expect(review.rows.values.reduce(0) { $0 + $1.views } == 2)
            }
        }
    }

    @Test("A call is one call although something that carries the bundle stands between its views")
    func viewsBetween() {
        let server = SpanText.call(4, in: 3, tool: "get_weather").adding(
            "mcp.method.name",
            SpanText.string("tools/call")
        )
        inAnyOrder([
            stamped(kind("CHAIN", 1)), stamped(tool(2, in: 1)), stamped(plain(3, in: 2, ("rpc.system", "jsonrpc"))),
            stamped(server),
        ]) { output in
            #expect(output.values("success") == [1])
            #expect(output.values("steps") == [1])
        }
    }

    // MARK: Cost

    @Test("Tokens of a model without a price cost what the bundle's own model costs, whoever says it")
    func fallback() {
        func chat(_ span: UInt64, _ provider: String) -> SpanText {
            SpanText(span: span, parent: 1, operation: "chat").changed {
                $0.attributes = [
                    ("gen_ai.provider.name", SpanText.string(provider)),
                    ("gen_ai.request.model", SpanText.string("gpt-5")),
                    ("gen_ai.usage.input_tokens", SpanText.int(100)),
                    ("gen_ai.usage.output_tokens", SpanText.int(10)),
                ]
            }
        }
        func spent(_ output: Attribution.Output) -> Double {
            output.activities.reduce(0) { if case .spent(let dollars) = $1.kind { $0 + dollars } else { $0 } }
        }
        let run = stamped(SpanText.run(1, agent: "helper", bundle: nil))
        for mark in [false, true] {
            let spans = [chat(2, "strands-agents"), chat(3, "openai")].map { mark ? stamped($0) : $0 }
            inAnyOrder(spans + [run]) { output in
                #expect(output.values("tokens") == [220])
                #expect(output.values("cost").count == 1)
                #expect(abs(sum(output, "cost") - 0.000_4) < 1e-12)
                #expect(abs(spent(output) - 0.000_4) < 1e-12)
                #expect(output.counted(.unpriced) == 0)
            }
        }
        // Where the bundle's own has no price either, there is no cost.
        let others = [stamped(chat(2, "strands-agents"), Self.others)]
        let run2 = stamped(SpanText.run(1, agent: "helper", bundle: nil), Self.others)
        inAnyOrder(others + [run2]) { output in
            #expect(output.values("cost").isEmpty)
            #expect(output.counted(.unpriced) == 1)
        }
        var attribution = Attribution(environment: "prod")
        var batch = TelemetryBatch()
        batch.events = parsed(line([chat(2, "strands-agents"), run])).events
        _ = attribution.add(batch, at: after(seconds: 5), Self.fleet)
        _ = attribution.finish(Self.fleet)
        let again = Attribution(json: attribution.json)
        #expect(again?.fallbacks.agents[agent("support/desk")]?.model == "strands-agents/gpt-5")
    }
}
