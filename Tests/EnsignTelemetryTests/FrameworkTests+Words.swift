import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignTelemetry

/// Words that only some frameworks have, and what they write although nothing happened.
extension FrameworkTests {
    /// A line of one scope, which may come behind its spans.
    private func scoped(_ scope: String, _ spans: [SpanText], isBehind: Bool = false) -> String {
        let list = "\"spans\":[\(spans.map(\.text).joined(separator: ","))]"
        let name = "\"scope\":{\"name\":\"\(scope)\"}"
        let members = isBehind ? "\(list),\(name)" : "\(name),\(list)"
        return #"{"resourceSpans":[{"resource":{"attributes":[]},"scopeSpans":[{\#(members)}]}]}"#
    }

    private func named(_ name: String, _ span: SpanText) -> SpanText { span.changed { $0.name = name } }

    private var run: SpanText { stamped(SpanText.run(1, agent: "helper", bundle: nil)) }

    /// What frameworks write for their own control flow, each with the scope that it counts in; nil for any.
    private static let controls: [(scope: String, isOnlyThere: Bool, name: String, attributes: [(String, String)])] = [
        (
            "openinference.instrumentation.openai_agents", false, "handoff to billing",
            [("openinference.span.kind", "TOOL"), ("input.value", "helper")]
        ),
        (
            "gcp.vertex.agent", false, "execute_tool (merged tools)",
            [("gen_ai.operation.name", "execute_tool"), ("gen_ai.tool.name", "(merged tools)")]
        ),
        (
            "pydantic-ai", true, "execute_tool final_result",
            [("gen_ai.operation.name", "execute_tool"), ("gen_ai.tool.name", "final_result")]
        ),
        (
            "pydantic-ai", true, "running tool",
            [("gen_ai.operation.name", "execute_tool"), ("gen_ai.tool.name", "final_result_Answer")]
        ),
        (
            "openinference.instrumentation.smolagents", true, "FinalAnswerTool",
            [("openinference.span.kind", "TOOL"), ("tool.name", "final_answer")]
        ),
    ]

    @Test("What frameworks write to hand over or to answer is no call", arguments: controls)
    func controls(control: (scope: String, isOnlyThere: Bool, name: String, attributes: [(String, String)])) {
        let span = stamped(named(control.name, plain(2, in: 1, (control.attributes[0].0, control.attributes[0].1))))
            .changed { $0.attributes += control.attributes.dropFirst().map { ($0.0, SpanText.string($0.1)) } }
        for isBehind in [false, true] {
            let output = attributed([scoped(control.scope, [span, run], isBehind: isBehind)])
            #expect(calls(output).isEmpty)
            #expect(output.values("steps") == [0])
            #expect(output.values("success") == [1])
        }
        let elsewhere = attributed([scoped("other", [span, run])])
        #expect(calls(elsewhere).count == (control.isOnlyThere ? 1 : 0))
    }

    @Test("A call without a name is a step, and nothing that was not granted; its span's name may say it")
    func namelessCalls() {
        let call = SpanText(span: 2, parent: 1, operation: "execute_tool")
            .adding("gen_ai.tool.call.arguments", SpanText.string("{}"))
        let nameless = attributed([scoped("x", [call, run])])
        #expect(nameless.values("steps") == [1])
        #expect(calls(nameless).map(\.isNamed) == [false])
        let said = attributed([scoped("x", [named("execute_tool lookup", call), run])])
        #expect(calls(said).map(\.tool) == ["lookup"])
        #expect(calls(said).map(\.isNamed) == [true])
        let other = named("execute_tool lookup", call).adding("gen_ai.tool.name", SpanText.string("refund"))
        #expect(calls(attributed([scoped("x", [other, run])])).map(\.tool) == ["refund"])
    }

    @Test("The Vercel AI SDK's spans are runs, calls and answers of models")
    func vercel() {
        func sdk(_ operation: String, _ span: UInt64, in parent: UInt64 = 0, _ more: (String, String)...) -> SpanText {
            plain(span, in: parent, ("ai.operationId", operation)).changed {
                $0.attributes += more.map { ($0.0, SpanText.string($0.1)) }
            }
        }
        func using(_ span: SpanText, _ count: Int, _ names: (String, String)) -> SpanText {
            span.changed {
                $0.attributes += [
                    ("ai.usage.\(names.0)", SpanText.int(100 * count)),
                    ("ai.usage.\(names.1)", SpanText.int(10 * count)),
                ]
            }
        }
        for names in [("inputTokens", "outputTokens"), ("promptTokens", "completionTokens")] {
            for (whole, part) in [
                ("ai.generateText", "ai.generateText.doGenerate"), ("ai.streamText", "ai.streamText.doStream"),
                ("ai.generateObject", "ai.generateObject.doGenerate"),
            ] {
                let spans = [
                    using(sdk(part, 2, in: 1), 1, names), using(sdk(part, 3, in: 1), 1, names),
                    sdk(
                        "ai.toolCall",
                        4,
                        in: 1,
                        ("ai.toolCall.name", "get_weather"),
                        ("ai.toolCall.id", "c1"),
                        ("ai.toolCall.args", #"{\"city\":\"Bern\"}"#)
                    ), using(sdk(whole, 1), 2, names),
                ]
                let ways: [(SpanText) -> SpanText] = [
                    { stamped($0) },
                    { $0.adding("ai.telemetry.metadata.ensign.bundle", SpanText.string(Self.own.description)) },
                ]
                for way in ways {
                    inAnyOrder(spans.map(way)) { output in
                        #expect(output.values("success") == [1])
                        #expect(output.values("steps") == [1])
                        #expect(output.values("tokens") == [220])
                        #expect(calls(output).map(\.tool) == ["get_weather"])
                        #expect(calls(output).first?.arguments != nil)
                        #expect(output.rejections.isEmpty)
                    }
                }
                let wrapped =
                    [stamped(SpanText.run(9, agent: "helper", bundle: nil))]
                    + spans.map { span in stamped(span.changed { if $0.parent == 0 { $0.parent = 9 } }) }
                inAnyOrder(wrapped) { output in
                    #expect(output.values("success") == [1] && output.values("steps") == [1])
                    #expect(output.values("tokens") == [220])
                }
            }
        }
    }

    @Test("A function of OpenAI's agents is a call in the words of Logfire, and of nobody else")
    func logfire() {
        let function = stamped(
            named("Function: {name}", plain(2, in: 1, ("name", "lookup"), ("input", #"{\"payment\": \"1\"}"#)))
        )
        for isBehind in [false, true] {
            let output = attributed([scoped("logfire.openai_agents", [function, run], isBehind: isBehind)])
            #expect(calls(output).map(\.tool) == ["lookup"])
            #expect(calls(output).first?.arguments != nil)
            #expect(output.values("steps") == [1])
        }
        #expect(calls(attributed([scoped("other", [function, run])])).isEmpty)
    }

    @Test("What is said of the operation counts in letters of any case")
    func operationsInAnyCase() {
        for (run, call) in [("INVOKE_AGENT", "Execute_Tool"), ("Invoke_Agent", "EXECUTE_TOOL")] {
            let spans = [
                stamped(plain(1, ("gen_ai.operation.name", run))),
                stamped(plain(2, in: 1, ("gen_ai.operation.name", call), ("gen_ai.tool.name", "lookup"))),
                stamped(plain(3, in: 1, ("gen_ai.operation.name", "CHAT"))).changed {
                    $0.attributes += SpanText.usage(input: 100, output: 10)
                },
            ]
            inAnyOrder(spans) { output in
                #expect(output.values("success") == [1] && output.values("steps") == [1])
                #expect(output.values("tokens") == [110])
            }
        }
    }

    @Test("Arguments are found wherever an instrumentation puts them, and a tool's parameters are none")
    func places() {
        func digests(_ change: (inout SpanText) -> Void) -> [UInt64] {
            let call = stamped(SpanText.call(2, in: 1, tool: "get_weather")).changed(change)
            return calls(attributed([line([call, run])])).compactMap(\.arguments)
        }
        let text = #"{\"city\": \"Bern\"}"#
        let expected = digests { $0.attributes.append(("gen_ai.tool.call.arguments", SpanText.string(text))) }
        #expect(expected.count == 1)
        for name in [
            "tool_arguments", "gen_ai.prompt", "tool.parameters", "input.value", "ai.toolCall.args",
            "traceloop.entity.input",
        ] {
            #expect(digests { $0.attributes.append((name, SpanText.string(text))) } == expected, "\(name)")
        }
        let event =
            #"{"name":"gen_ai.tool.message","attributes":[{"key":"content","value":{"stringValue":"\#(text)"}}]}"#
        #expect(digests { $0.events = event } == expected)
        for parameters in [
            #"{\"city\": {\"type\": \"string\", \"description\": \"x\"}}"#,
            #"{\"type\": \"object\", \"properties\": {}}"#,
        ] {
            #expect(digests { $0.attributes.append(("tool.parameters", SpanText.string(parameters))) }.isEmpty)
        }
    }

    @Test("The older name of the environment counts where the newer one is missing")
    func olderEnvironment() {
        func output(_ names: [(String, String)], on isResource: Bool) -> Attribution.Output {
            let list = names.map { #"{"key":"\#($0.0)","value":{"stringValue":"\#($0.1)"}}"# }.joined(separator: ",")
            let span = isResource ? run : run.changed { $0.attributes += names.map { ($0.0, SpanText.string($0.1)) } }
            return attributed([
                #"{"resourceSpans":[{"resource":{"attributes":[\#(isResource ? list : "")]},"scopeSpans":[{"spans":[\#(span.text)]}]}]}"#
            ])
        }
        let (old, new) = ("deployment.environment", "deployment.environment.name")
        for isResource in [true, false] {
            #expect(output([(old, "prod")], on: isResource).values("success") == [1])
            let other = output([(old, "staging")], on: isResource)
            #expect(other.values("success").isEmpty && other.counted(.otherEnvironment) == 1)
            for names in [[(old, "staging"), (new, "prod")], [(new, "prod"), (old, "staging")]] {
                #expect(output(names, on: isResource).values("success") == [1])
            }
        }
    }

    @Test("A review says which spans carry a bundle in vain, and which calls have no name")
    func reviewedWords() throws {
        let spans = [
            stamped(plain(8, ("http.method", "GET"))),
            SpanText(span: 2, parent: 1, operation: "execute_tool"), stamped(plain(3, in: 1)), run,
        ]
        var attribution = Attribution(environment: "prod", explaining: true)
        var review = SpanReview()
        var batch = TelemetryBatch()
        batch.events = spans.flatMap { span in
            parsed(line([span.changed { if $0.span == 8 { $0.trace = "1af7651916cd43dd8448eb211c80319c" } }])).events
        }
        review.add(batch.events, attribution.add(batch, at: after(seconds: 20), Self.fleet))
        review.add([], attribution.finish(Self.fleet))
        review.finish()
        let row = try #require(review.rows.values.first)
        #expect(review.rows.count == 1)
        #expect(row.idle == 1 && row.withoutName == 1 && row.runs == 1)
    }
}
