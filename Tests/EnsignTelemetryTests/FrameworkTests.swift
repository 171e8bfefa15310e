import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignTelemetry

/// What agent frameworks and their instrumentations write, in small: whose it is, and what of it counts.
@Suite("Frameworks' spans")
struct FrameworkTests {
    /// `support/desk` runs two bundles that nobody else has.
    static let own = digest("d")
    static let next = digest("e")
    static let others = digest("f")

    static let fleet = Attribution.Context(
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
    func stamped(_ span: SpanText, _ bundle: Digest = own) -> SpanText {
        span.adding("ensign.bundle", SpanText.string(bundle.description))
    }

    func plain(_ span: UInt64, in parent: UInt64 = 0, _ attributes: (String, String)...) -> SpanText {
        SpanText(span: span, parent: parent, attributes: attributes.map { ($0.0, SpanText.string($0.1)) })
    }

    /// OpenInference's.
    func kind(_ kind: String, _ span: UInt64, in parent: UInt64 = 0) -> SpanText {
        plain(span, in: parent, ("openinference.span.kind", kind))
    }

    func model(_ span: UInt64, in parent: UInt64) -> SpanText {
        kind("LLM", span, in: parent).changed {
            $0.attributes += [
                ("llm.token_count.prompt", SpanText.int(100)), ("llm.token_count.completion", SpanText.int(10)),
                ("llm.model_name", SpanText.string("gpt-5")), ("llm.system", SpanText.string("openai")),
            ]
        }
    }

    func tool(_ span: UInt64, in parent: UInt64, input: String = #"{\"city\": \"Bern\"}"#) -> SpanText {
        kind("TOOL", span, in: parent).changed {
            $0.attributes += [
                ("tool.name", SpanText.string("get_weather")), ("input.value", SpanText.string(input)),
                ("tool.parameters", SpanText.string(#"{\"type\": \"object\", \"properties\": {}}"#)),
            ]
        }
    }

    func failing(_ span: SpanText) -> SpanText { span.changed { $0.isError = true } }

    func at(_ start: Double, _ seconds: Double, _ span: SpanText) -> SpanText {
        span.changed { ($0.start, $0.seconds) = (start, seconds) }
    }

    // MARK: Reading

    func attributed(
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

    func inAnyOrder(_ spans: [SpanText], _ check: (Attribution.Output) -> Void) {
        var random = SeededGenerator(for: "order of frameworks' spans", standard: 7)
        for round in 0..<30 {
            let order = round == 0 ? spans : round == 1 ? spans.reversed() : spans.shuffled(using: &random)
            check(attributed(order.map { line([$0]) }))
        }
        check(attributed([line(spans)]))
    }

    func calls(_ output: Attribution.Output) -> [ToolCall] {
        output.activities.compactMap { if case .call(let call) = $0.kind { call } else { nil } }
    }

    func sum(_ output: Attribution.Output, _ metric: String) -> Double {
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
}
