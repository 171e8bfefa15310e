import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignTelemetry

/// Calls within calls: what frameworks, protocol libraries, gateways and servers write of one call.
@Suite("Calls within calls")
struct NestedCallTests {
    /// A server's span, as the SDK of the Model Context Protocol writes it.
    private func server(_ span: UInt64, in parent: UInt64, tool: String) -> SpanText {
        SpanText.call(span, in: parent, tool: tool).adding("mcp.method.name", SpanText.string("tools/call"))
    }

    private func by(_ name: String, _ span: SpanText) -> SpanText {
        span.adding("gen_ai.agent.name", SpanText.string(name))
            .adding("ensign.bundle", SpanText.string(stableDigest.description))
    }

    private func arguments(_ text: String, _ span: SpanText) -> SpanText {
        span.adding("gen_ai.tool.call.arguments", SpanText.string(text))
    }

    private func calls(_ output: Attribution.Output) -> [ToolCall] {
        output.activities.compactMap { if case .call(let call) = $0.kind { call } else { nil } }
    }

    /// Names that are compared with what was granted.
    private func names(_ output: Attribution.Output) -> [String] {
        calls(output).filter(\.isNamed).map(\.tool).sorted()
    }

    private func steps(_ output: Attribution.Output) -> Int64 {
        output.activities.reduce(0) { if case .steps(let count) = $1.kind { max($0, count) } else { $0 } }
    }

    /// Every order of some spans, each on a line of its own.
    private func inAnyOrder(_ spans: [SpanText], _ check: (Attribution.Output) -> Void) {
        var random = SeededGenerator(for: "order of nested calls", standard: 3)
        for round in 0..<40 {
            let shuffled = round == 0 ? spans : round == 1 ? spans.reversed() : spans.shuffled(using: &random)
            var attribution = Attribution(environment: "prod")
            var output = Attribution.Output()
            for (index, span) in shuffled.enumerated() {
                var batch = TelemetryBatch()
                batch.events = parsed(line([span])).events
                let next = attribution.add(batch, at: after(seconds: 10 + Double(index) / 100), context)
                output.samples += next.samples
                output.activities += next.activities
                output.rejections.add(next.rejections)
                // Whatever is in the middle of its way survives.
                if round.isMultiple(of: 2) { attribution = Attribution(json: attribution.json) ?? attribution }
            }
            let rest = attribution.finish(context)
            output.samples += rest.samples
            output.activities += rest.activities
            output.rejections.add(rest.rejections)
            check(output)
        }
    }

    @Test(
        "Spans of one call within one another are one call, whoever names the agent",
        arguments: ["none", "outer", "inner", "both"]
    )
    func oneCall(_ naming: String) {
        var outer = arguments("{\\\"id\\\":1}", .call(2, in: 1, tool: "payments.lookup"))
        // The protocol library's own span, which is not a call, is in between.
        let between = SpanText(span: 3, parent: 2)
        var inner = server(4, in: 3, tool: "get_payment")
        if ["outer", "both"].contains(naming) { outer = by("support/desk", outer) }
        if ["inner", "both"].contains(naming) { inner = by("support/desk", inner) }
        inAnyOrder([outer, between, inner, .run(1)]) { output in
            #expect(output.values("steps") == [1])
            #expect(output.rejections.isEmpty)
            #expect(names(output) == ["payments.lookup"])
            #expect(calls(output).compactMap(\.arguments).count == 1)
        }
    }

    @Test("Eighty calls of which framework and server tell are eighty")
    func eighty() {
        let spans = (1...80).flatMap { number -> [SpanText] in
            let base = UInt64(number * 10)
            return [
                server(base + 2, in: base + 1, tool: "get_payment"), SpanText(span: base + 1, parent: base),
                by("support/desk", .call(base, in: 1, tool: "payments.lookup")),
            ]
        }
        for order in [spans, spans.reversed()] {
            let output = attributed(line(Array(order[..<120])), line(Array(order[120...])), line([.run(1)]))
            #expect(output.values("steps") == [80])
            #expect(steps(output) == 80)
            #expect(names(output) == Array(repeating: "payments.lookup", count: 80))
        }
    }

    @Test("Framework, protocol library, gateway and server may each write a span; more in a chain are more calls")
    func layers() {
        func chain(_ count: Int) -> [SpanText] {
            (0..<count).map { by("support/desk", .call(UInt64($0 + 2), in: UInt64($0 + 1))) } + [.run(1)]
        }
        for (count, calls) in [(1, 1), (2, 1), (4, 1), (5, 2), (8, 2), (9, 3), (40, 10)] {
            // From the outside inwards, and from the inside outwards.
            for spans in [chain(count), chain(count).reversed()] {
                #expect(attributed(line(spans)).values("steps") == [Double(calls)], "\(count) spans")
            }
        }
        inAnyOrder(chain(4)) { #expect($0.values("steps") == [1]) }
    }

    @Test("Nobody hides calls in a call: each of several within it counts")
    func siblings() {
        let outer = by("support/desk", .call(2, in: 1, tool: "crm.find"))
        let same = (10..<110).map { by("support/desk", arguments("\($0)", .call($0, in: 2, tool: "crm.find"))) }
        let others = (10..<110).map { by("support/desk", .call($0, in: 2, tool: "tool-\($0)")) }
        let servers = (10..<110).map { server($0, in: 2, tool: "tool-\($0)") }
        for order in [true, false] {
            func output(_ inner: [SpanText]) -> Attribution.Output {
                order
                    ? attributed(line(inner), line([outer]), line([.run(1)]))
                    : attributed(line([outer]), line(inner), line([.run(1)]))
            }
            #expect(output(same).values("steps") == [100])
            #expect(calls(output(same)).compactMap(\.arguments).count == 100)
            // Another tool is another call: those and the one around them.
            #expect(output(others).values("steps") == [101])
            #expect(names(output(others)).count == 101)
            // A server's own name for the call around it is one name.
            #expect(output(servers).values("steps") == [100])
            #expect(names(output(servers)).count == 100)
        }
    }

    @Test("A call of another tool within a call is held against what was granted, from wherever it comes")
    func otherTools() {
        let outer = by("support/desk", .call(2, in: 1, tool: "find"))
        for tool in ["shell__run", "shell.find", ""] {
            inAnyOrder([outer, by("support/desk", .call(3, in: 2, tool: tool)), .run(1)]) { output in
                // Without a name it is a step, and nothing to hold against anything.
                #expect(names(output) == (tool.isEmpty ? ["find"] : ["find", tool].sorted()))
            }
        }
        // With other arguments it is another call, also if a server reports it.
        let code = arguments("{\\\"code\\\":1}", by("support/desk", .call(2, in: 1, tool: "code.execute")))
        let inside = arguments("{\\\"command\\\":1}", server(3, in: 2, tool: "shell"))
        inAnyOrder([code, inside, .run(1)]) { output in
            #expect(names(output) == ["code.execute", "shell"])
            #expect(output.values("steps") == [2])
        }
        // One call that is many things is not a name for any of them.
        let first = server(3, in: 2, tool: "search")
        let second = by("support/desk", .call(4, in: 1, tool: "find"))
        inAnyOrder([outer, first, second, server(5, in: 4, tool: "delete"), .run(1)]) { output in
            #expect(names(output).count == 3)
        }
    }

    @Test("Another agent, and a model that was asked, make a call within a call a call of its own")
    func barriers() {
        let outer = SpanText.call(2, in: 1)
        let framework = SpanText.run(3, agent: "Helper", bundle: nil, parent: 2)
        inAnyOrder([outer, framework, .call(4, in: 3), .run(1)]) { output in
            #expect(output.values("steps") == [2])
        }
        inAnyOrder([outer, .chat(3, in: 2, input: 1, output: 1), .call(4, in: 3), .run(1)]) { output in
            #expect(output.values("steps") == [2])
        }
        let clerk = SpanText.run(3, agent: "support/clerk", parent: 2)
        inAnyOrder([outer, clerk, .call(4, in: 3), .run(1)]) { output in
            #expect(output.values("steps") == [1, 1])
        }
        inAnyOrder([by("support/desk", outer), by("support/clerk", .call(3, in: 2)), .run(1)]) { output in
            #expect(output.values("steps") == [1])
            #expect(output.counted(.orphan) == 1)
            #expect(names(output).count == 2)
        }
    }

    @Test("A call fails, or is denied, once")
    func troubles() {
        func failing(_ span: SpanText, _ type: String = "tool_error") -> SpanText {
            span.adding("error.type", SpanText.string(type))
        }
        let outer = SpanText.call(2, in: 1)
        let inner = SpanText.call(3, in: 2)
        for (spans, failed, denied) in [
            ([failing(outer), failing(inner)], 1, 0), ([outer, failing(inner)], 1, 0), ([failing(outer), inner], 1, 0),
            ([failing(outer), failing(inner, "permission_denied")], 0, 1),
            ([failing(outer, "permission_denied"), failing(inner)], 0, 1),
            ([failing(outer, "permission_denied"), failing(inner, "permission_denied")], 0, 1),
            ([failing(outer), failing(inner), failing(.call(4, in: 2))], 2, 0),
        ] {
            inAnyOrder(spans + [.run(1)]) { output in
                #expect(output.values("tool-errors") == [Double(failed)])
                #expect(output.values("denied-calls") == [Double(denied)])
                #expect(calls(output).count(where: \.isDenied) == denied)
            }
        }
    }

    @Test("The same arguments of one call are told once, of two attempts twice")
    func repeats() {
        func told(_ spans: [SpanText], _ check: (Int) -> Void) {
            inAnyOrder(spans + [.run(1)]) { check(calls($0).compactMap(\.arguments).count) }
        }
        let outer = arguments("{}", by("support/desk", .call(2, in: 1)))
        let inner = arguments("{}", by("support/desk", .call(3, in: 2)))
        told([outer, inner]) { #expect($0 == 1) }
        told([outer, by("support/desk", .call(3, in: 2))]) { #expect($0 == 1) }
        told([by("support/desk", .call(2, in: 1)), inner]) { #expect($0 == 1) }
        told([outer, inner, arguments("{}", by("support/desk", .call(4, in: 2)))]) { #expect($0 == 2) }
        // What a framework makes of them does not hide what the server got.
        told([
            arguments(
                "{\\\"x\\\":1}",
                outer.changed { $0.attributes.removeAll { $0.0 == "gen_ai.tool.call.arguments" } }
            ), inner,
        ]) {
            #expect($0 == 2)
        }
    }

    @Test("A span that somebody else puts around a call takes nothing away from its run")
    func strangersAround() {
        // 2 is in the run of the desk and says that it is the clerk's.
        let around = by("support/clerk", .call(2, in: 1))
        inAnyOrder([around, .call(3, in: 2), .run(1)]) { output in
            #expect(output.values("steps") == [1])
            #expect(output.activities.contains { $0.agent == agent("support/desk") && $0.kind == .steps(1) })
            #expect(output.activities.contains { $0.agent == agent("support/clerk") && $0.kind == .steps(1) })
        }
        inAnyOrder([.call(2, in: 1), by("support/clerk", .call(3, in: 2)), .run(1)]) { output in
            #expect(output.values("steps") == [1])
            #expect(output.activities.contains { $0.agent == agent("support/clerk") && $0.kind == .steps(1) })
        }
    }

    @Test("A server's own name waits for the call around it, as long as a run does, and is judged then")
    func waiting() {
        var attribution = Attribution(environment: "prod")
        func add(_ spans: [SpanText], at seconds: Double) -> Attribution.Output {
            var batch = TelemetryBatch()
            batch.events = parsed(line(spans)).events
            return attribution.add(batch, at: after(seconds: seconds), context)
        }
        let output = add([by("support/desk", server(3, in: 2, tool: "get_payment"))], at: 5)
        #expect(names(output).isEmpty && steps(output) == 1)
        #expect(attribution.nextDue == after(seconds: 20))
        #expect(names(attribution.advance(to: after(seconds: 19), context)).isEmpty)
        #expect(names(attribution.advance(to: after(seconds: 20), context)) == ["get_payment"])
        // A run right above it, or nothing: no call can come.
        #expect(names(add([by("support/desk", server(5, in: 0, tool: "a"))], at: 21)) == ["a"])
        #expect(names(add([by("support/desk", server(7, in: 6, tool: "b")), .run(6)], at: 22)) == ["b"])
        // Any other name is reported at once.
        #expect(names(add([by("support/desk", .call(9, in: 8, tool: "c"))], at: 23)) == ["c"])
    }

    @Test("A view that comes after its run was counted changes nothing")
    func late() {
        var attribution = Attribution(environment: "prod")
        func add(_ spans: [SpanText], at seconds: Double) -> Attribution.Output {
            var batch = TelemetryBatch()
            batch.events = parsed(line(spans)).events
            return attribution.add(batch, at: after(seconds: seconds), context)
        }
        _ = add([.call(2, in: 1, tool: "payments.lookup"), .run(1)], at: 5)
        #expect(attribution.advance(to: after(seconds: 20), context).values("steps") == [1])
        let view = add([server(3, in: 2, tool: "get_payment")], at: 25)
        #expect(view.rejections.isEmpty && names(view).isEmpty && steps(view) == 1)
        // Its calls are forgotten by now; nobody is halted for what is no longer known.
        _ = attribution.advance(to: after(seconds: 40), context)
        let late = add([by("support/desk", server(5, in: 4, tool: "get_payment"))], at: 60)
        #expect(names(late).isEmpty)
        #expect(names(attribution.advance(to: after(seconds: 100), context)).isEmpty)
    }

    @Test("Spans in any order and in any nesting are counted alike, and no trace is kept for ever")
    func property() {
        var random = SeededGenerator(for: "nested calls", standard: 21)
        for _ in 0..<30 {
            var spans: [SpanText] = [.run(1)]
            for number in UInt64(2)...14 {
                let parent = UInt64(random.int(1...Int(number - 1)))
                var span =
                    switch random.int(0...5) {
                    case 0: SpanText(span: number, parent: parent)
                    case 1: server(number, in: parent, tool: random.pick(["a", "b"]))
                    case 2: by("support/desk", SpanText.call(number, in: parent, tool: random.pick(["a", "x.a", "b"])))
                    default: SpanText.call(number, in: parent, tool: random.pick(["a", "b"]))
                    }
                if random.once(in: 3), span.operation != nil { span = span.changed { $0.isError = true } }
                spans.append(span)
            }
            var expected: [Double]?
            inAnyOrder(spans) { output in
                let counts = output.values("steps") + output.values("tool-errors")
                #expect(counts.allSatisfy { $0 >= 0 })
                // Which of a server's names is taken for the call's depends on which comes first.
                if !spans.contains(where: { $0.attributes.contains { $0.0 == "mcp.method.name" } }) {
                    #expect(counts == expected ?? counts)
                    expected = expected ?? counts
                }
            }
        }
    }
}
