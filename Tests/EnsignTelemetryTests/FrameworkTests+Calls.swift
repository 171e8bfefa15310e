import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignTelemetry

/// Calls, and what a run has cost.
extension FrameworkTests {
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
