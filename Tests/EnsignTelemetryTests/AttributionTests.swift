import EnsignJSON
import EnsignModel
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignTelemetry

@Suite("Attribution")
struct AttributionTests {
    @Test("Recorded runs come out as samples")
    func recorded() throws {
        var attribution = Attribution(environment: "prod")
        var output = Attribution.Output()
        for name in ["metrics.jsonl", "logs.jsonl", "traces.jsonl"] {
            var batch = TelemetryBatch()
            for text in String(decoding: try golden(name), as: UTF8.self).split(separator: "\n") {
                let (events, _) = parsed(String(text))
                batch.events += events
            }
            output.samples += attribution.add(batch, at: after(seconds: 20), context).samples
        }
        output.samples += attribution.advance(to: after(seconds: 36), context).samples
        #expect(output.values("success") == [1, 1, 0])
        #expect(output.values("latency") == [1, 1, 1])
        #expect(output.values("steps") == [1, 1, 1])
        #expect(output.values("tokens") == [1_100, 1_100, 1_100])
        #expect(output.values("cost").allSatisfy { abs($0 - 0.00342) < 1e-12 })
        #expect(output.values("denied-calls") == [0, 1, 0])
        #expect(output.values("tool-errors") == [0, 0, 0])
        #expect(output.values("evaluation:tone") == [0.75, 0.75, 0.75])
        #expect(output.values("evaluation:grounded").sorted() == [0, 0, 1])
        #expect(output.samples.allSatisfy { $0.bundle == stableDigest && $0.agent == agent("support/desk") })
        #expect(attribution.rejections.isEmpty)
    }

    @Test("Children come before or after their parents, in any lines")
    func order() {
        let all = [
            SpanText.run(1), SpanText(span: 2, parent: 1), SpanText.call(3, in: 2),
            SpanText.call(4, in: 2).changed { $0.isError = true },
            SpanText.call(5, in: 4, tool: "crm__update").adding("error.type", SpanText.string("permission_denied")),
            SpanText.chat(6, in: 2, input: 100, output: 10), SpanText.chat(7, in: 3, input: 100, output: 10),
        ]
        var random = SeededGenerator(for: "order of spans", standard: 11)
        for _ in 0..<60 {
            let shuffled = all.shuffled(using: &random)
            let cut = random.int(0...all.count)
            let output = attributed(line(Array(shuffled[..<cut])), line(Array(shuffled[cut...])))
            #expect(output.values("steps") == [3])
            #expect(output.values("tool-errors") == [1])
            #expect(output.values("denied-calls") == [1])
            #expect(output.values("tokens") == [220])
            #expect(output.rejections.isEmpty)
            #expect(output.activities.filter { if case .call = $0.kind { true } else { false } }.count == 3)
            #expect(output.activities.filter { $0.kind == .steps(3) }.count == 1)
            let spent = output.activities.reduce(0) {
                if case .spent(let dollars) = $1.kind { $0 + dollars } else { $0 }
            }
            #expect(abs(spent - 0.0009) < 1e-12)
        }
    }

    @Test("A run's own usage and that of its inferences are the same tokens", arguments: [true, false])
    func usageOnce(_ runFirst: Bool) {
        let run = SpanText.run(1).changed { $0.attributes += SpanText.usage(input: 220, output: 20) }
        let chats = [SpanText.chat(2, in: 1, input: 100, output: 10), SpanText.chat(3, in: 1, input: 120, output: 10)]
        let output = runFirst ? attributed(line([run]), line(chats)) : attributed(line(chats), line([run]))
        #expect(output.values("tokens") == [240])
        let spent = output.activities.reduce(0) { if case .spent(let dollars) = $1.kind { $0 + dollars } else { $0 } }
        #expect(abs(spent - (220 * 3 + 20 * 15) / 1e6) < 1e-12)
    }

    @Test("An inference inside an inference is the same one", arguments: [true, false])
    func nestedInference(_ innerFirst: Bool) {
        let outer = SpanText.chat(2, in: 1, input: 100, output: 10)
        let inner = SpanText.chat(3, in: 2, input: 100, output: 10)
        let output = attributed(line(innerFirst ? [inner, outer] : [outer, inner]), line([SpanText.run(1)]))
        #expect(output.values("tokens") == [110])
    }

    @Test("A delegated run has its own calls; one of the same agent is the same run")
    func nestedRuns() {
        let delegated = attributed(
            line([
                SpanText.call(5, in: 4), SpanText.run(4, agent: "support/clerk", parent: 2), SpanText.call(2, in: 1),
                SpanText.run(1),
            ])
        )
        #expect(delegated.samples.filter { $0.metric == .steps }.map(\.value) == [1, 1])
        #expect(Set(delegated.samples.map(\.agent)) == [agent("support/clerk"), agent("support/desk")])
        let sameAgent = attributed(
            line([SpanText.call(5, in: 4), SpanText.run(4, parent: 2), SpanText(span: 2, parent: 1), SpanText.run(1)])
        )
        #expect(sameAgent.values("steps") == [1])
        #expect(sameAgent.values("success") == [1])
    }

    @Test("A framework's own names do not hide the run; somebody else's run does")
    func foreignRuns() {
        let framework = attributed(
            line([SpanText.call(3, in: 2), SpanText.run(2, agent: "LangGraph", parent: 1), SpanText.run(1)])
        )
        #expect(framework.values("steps") == [1])
        let foreign = attributed(
            line([SpanText.call(3, in: 2), SpanText.run(2, agent: "other/agent", parent: 1), SpanText.run(1)])
        )
        #expect(foreign.values("steps") == [0])
        #expect(foreign.counted(.unknownAgent) == 1)
    }

    @Test("The bundle decides, then the version")
    func routes() {
        func bundles(_ run: SpanText) -> [Digest] {
            attributed(line([run])).samples.filter { $0.metric == .success }.map(\.bundle)
        }
        #expect(bundles(.run(1, bundle: canaryDigest)) == [canaryDigest])
        let byVersion = SpanText.run(1, bundle: nil).adding("gen_ai.agent.version", SpanText.string("1.1.0"))
        #expect(bundles(byVersion) == [canaryDigest])
        // A bundle that is wrong is not mended by a version that is right.
        let other = digest("c")
        let wrong = SpanText.run(1, bundle: other).adding("gen_ai.agent.version", SpanText.string("1.1.0"))
        #expect(bundles(wrong).isEmpty)
        #expect(attributed(line([wrong])).counted(.unknownBundle) == 1)
        #expect(attributed(line([.run(1, bundle: nil)])).counted(.unknownVersion) == 1)
        #expect(attributed(line([.run(1, agent: "support/nobody")])).counted(.unknownAgent) == 1)
    }

    @Test("A version that both targets have decides nothing")
    func ambiguous() {
        var twins = context
        twins.routes[agent("support/desk")]?.targets[0].version = version("1.0.0")
        var attribution = Attribution(environment: "prod")
        var batch = TelemetryBatch()
        let run = SpanText.run(1, bundle: nil).adding("gen_ai.agent.version", SpanText.string("1.0.0"))
        batch.events = parsed(line([run])).events
        let output = attribution.add(batch, at: after(seconds: 5), twins)
        #expect(output.counted(.ambiguousVersion) == 1)
        #expect(attribution.finish(twins).samples.isEmpty)
    }

    @Test("Other environments are not counted")
    func environments() {
        #expect(attributed(line([.run(1)], environment: "dev")).counted(.otherEnvironment) == 1)
        #expect(attributed(line([.run(1)], environment: "dev")).samples.isEmpty)
        #expect(attributed(line([.run(1)], environment: nil)).values("success") == [1])
        let span = SpanText.run(1).adding("deployment.environment.name", SpanText.string("dev"))
        #expect(attributed(line([span])).samples.isEmpty)
    }

    @Test("Times that cannot be make no evidence, and calls count all the same")
    func times() {
        let call = SpanText.call(2, in: 1)
        for (change, reason) in [
            ({ $0.start = 1_000 }, Rejection.future), ({ $0.start = -8 * 86_400 }, .stale),
            ({ $0.seconds = -1 }, .badTime),
        ] as [((inout SpanText) -> Void, Rejection)] {
            let output = attributed(line([SpanText.run(1).changed(change), call]))
            #expect(output.samples.isEmpty)
            #expect(output.counted(reason) == 1)
        }
        let early = attributed(line([SpanText.run(1), call.changed { $0.start = 1_000 }]))
        #expect(early.values("steps") == [1])
        #expect(early.activities.allSatisfy { $0.time <= after(seconds: 10) })
        // Clocks differ a little: the sample is not later than the present.
        let ahead = attributed(line([SpanText.run(1).changed { $0.start = 100 }]))
        #expect(ahead.samples.allSatisfy { $0.time == after(seconds: 10) })
    }

    @Test("Tokens that cannot be, or have no price, make no cost")
    func doubtfulUsage() {
        let bad = SpanText.chat(2, in: 1, input: -5, output: 1)
        let good = SpanText.chat(3, in: 1, input: 5, output: 1)
        let output = attributed(line([good, bad, .run(1)]))
        #expect(output.values("tokens").isEmpty)
        #expect(output.values("cost").isEmpty)
        #expect(output.values("success") == [1])
        #expect(output.counted(.badUsage) == 1)
        let unpriced = good.changed { $0.attributes[1] = ("gen_ai.request.model", SpanText.string("new")) }
        #expect(attributed(line([unpriced, .run(1)])).values("tokens") == [6])
        #expect(attributed(line([unpriced, .run(1)])).values("cost").isEmpty)
        #expect(attributed(line([unpriced, .run(1)])).counted(.unpriced) == 1)
    }

    @Test("A span that comes twice counts once, also after a restart")
    func duplicates() throws {
        let text = line([SpanText.call(2, in: 1), SpanText.run(1)])
        let output = attributed(text, text, text)
        #expect(output.values("steps") == [1])
        #expect(output.counted(.duplicate) == 4)

        var first = Attribution(environment: "prod")
        var batch = TelemetryBatch()
        batch.events = parsed(text).events
        _ = first.add(batch, at: after(seconds: 5), context)
        _ = first.advance(to: after(seconds: 60), context)
        var second = try #require(Attribution(json: first.json))
        #expect(second.add(batch, at: after(seconds: 70), context).counted(.duplicate) == 2)
        #expect(second.finish(context).samples.isEmpty)
    }

    @Test("A call that comes too late is told, and counted as late")
    func late() {
        var attribution = Attribution(environment: "prod")
        func add(_ spans: [SpanText], at seconds: Double) -> Attribution.Output {
            var batch = TelemetryBatch()
            batch.events = parsed(line(spans)).events
            return attribution.add(batch, at: after(seconds: seconds), context)
        }
        #expect(add([.run(1)], at: 5).samples.isEmpty)
        #expect(add([.call(2, in: 1)], at: 19.9).samples.isEmpty)
        #expect(attribution.advance(to: after(seconds: 20), context).values("steps") == [1])
        let late = add([.call(3, in: 1)], at: 21)
        #expect(late.counted(.late) == 1)
        #expect(late.activities.map(\.agent) == [agent("support/desk"), agent("support/desk")])
    }

    @Test("Calls without a run are told when they say whose they are, and are orphans in the end")
    func orphans() {
        let anonymous = attributed(line([SpanText.call(2, in: 1)]))
        #expect(anonymous.activities.isEmpty)
        #expect(anonymous.counted(.orphan) == 1)
        let named = SpanText.call(2, in: 1).adding("gen_ai.agent.name", SpanText.string("support/desk"))
        #expect(attributed(line([named])).activities.count == 2)
        // Not reported again when the run comes.
        let both = attributed(line([named]), line([.run(1)]))
        #expect(both.activities.filter { if case .call = $0.kind { true } else { false } }.count == 1)
    }

    /// A span that names an agent itself.
    private func by(_ name: String, _ span: SpanText) -> SpanText {
        span.adding("gen_ai.agent.name", SpanText.string(name))
            .adding("ensign.bundle", SpanText.string(stableDigest.description))
    }

    private func calls(_ output: Attribution.Output, of name: String) -> Int {
        output.activities.filter {
            if case .call = $0.kind { $0.agent == agent(name) && $0.bundle == stableDigest } else { false }
        }.count
    }

    private func spent(_ output: Attribution.Output, by name: String) -> Double {
        output.activities.reduce(0) {
            if case .spent(let dollars) = $1.kind, $1.agent == agent(name) { $0 + dollars } else { $0 }
        }
    }

    @Test("A call counts for the agent that it names, whoever's trace it stands in")
    func ownClaims() {
        // Below one span that is not a run, as a workflow's, which is written when it ends.
        let first = by("support/desk", .call(2, in: 1))
        let others = (10..<40).map { by("support/clerk", .call($0, in: 1)) }
        let shared = attributed(line([first]), line(others), line([SpanText(span: 1)]))
        #expect(calls(shared, of: "support/desk") == 1)
        #expect(calls(shared, of: "support/clerk") == 30)
        #expect(shared.activities.contains { $0.kind == .steps(30) && $0.agent == agent("support/clerk") })
        #expect(!shared.activities.contains { $0.agent == agent("support/desk") && $0.kind == .steps(2) })
        #expect(shared.counted(.orphan) == 31)
        // A call that names nobody waits for the run above.
        #expect(attributed(line([first]), line([.call(3, in: 1)])).activities.count == 2)
    }

    @Test("Another agent's calls below a run are not the run's", arguments: 0...2)
    func delegatesCalls(_ order: Int) {
        let own = [
            SpanText.call(2, in: 1), by("support/desk", .call(3, in: 1)), .chat(4, in: 1, input: 100, output: 0),
        ]
        let others =
            (10..<30).map { by("support/clerk", .call($0, in: 1)).changed { $0.isError = true } } + [
                by("support/clerk", .chat(5, in: 1, input: 1_000, output: 0)),
                // One that no route knows is not this run's either.
                by("support/stranger", .call(31, in: 1)),
            ]
        let run = [SpanText.run(1)]
        let output =
            switch order {
            case 0: attributed(line(run), line(own), line(others))
            case 1: attributed(line(others), line(own), line(run))
            default: attributed(line(own + others), line([SpanText(span: 40)]), line(run))
            }
        #expect(output.values("steps") == [2])
        #expect(output.values("tool-errors") == [0])
        #expect(output.values("tokens") == [100])
        #expect(output.samples.allSatisfy { $0.agent == agent("support/desk") })
        #expect(calls(output, of: "support/desk") == 2)
        #expect(calls(output, of: "support/clerk") == 20)
        #expect(!output.activities.contains { $0.agent == agent("support/stranger") })
        #expect(output.activities.contains { $0.kind == .steps(2) && $0.agent == agent("support/desk") })
        #expect(!output.activities.contains { $0.kind == .steps(3) && $0.agent == agent("support/desk") })
        #expect(abs(spent(output, by: "support/desk") - 0.0003) < 1e-12)
        #expect(abs(spent(output, by: "support/clerk") - 0.003) < 1e-12)
        #expect(output.counted(.orphan) == 21)
        #expect(output.counted(.late) == 0)
    }

    @Test("An inference of one agent inside that of another is not the same one", arguments: [true, false])
    func othersInference(_ innerFirst: Bool) {
        let outer = by("support/desk", .chat(2, in: 1, input: 100, output: 0))
        let inner = [
            by("support/clerk", .chat(3, in: 2, input: 1_000, output: 0)),
            SpanText.chat(4, in: 2, input: 80, output: 0),
        ]
        let output = attributed(line(innerFirst ? inner + [outer] : [outer] + inner), line([.run(1)]))
        #expect(output.values("tokens") == [100])
        #expect(abs(spent(output, by: "support/desk") - 0.0003) < 1e-12)
        #expect(abs(spent(output, by: "support/clerk") - 0.003) < 1e-12)
        // Where only one of the two says whose it is, it is.
        let half = [
            SpanText.chat(2, in: 1, input: 100, output: 0), by("support/desk", .chat(3, in: 2, input: 100, output: 0)),
        ]
        let same = attributed(line(innerFirst ? half.reversed() : half), line([.run(1)]))
        #expect(same.values("tokens") == [100])
        #expect(abs(spent(same, by: "support/desk") - 0.0003) < 1e-12)
    }

    @Test("A checkpoint of an older version is read as it was meant")
    func olderState() throws {
        let text = """
            {"v":1,"environment":"prod","rejections":{},"seen":"","dues":[],"traces":[[\(after(seconds: 5).nanoseconds),\
            "af7651916cd43dd8448eb211c80319c",{"touched":\(after(seconds: 5).nanoseconds),"links":[["2","1",false]],\
            "groups":[["1",{"settled":false,"counts":[3,1,0],"claimed":"support/desk","told":0.5}]]}]]}
            """
        var attribution = try #require(Attribution(json: try JSONParser.parse(Array(text.utf8))))
        var batch = TelemetryBatch()
        batch.events = parsed(line([by("support/desk", .call(5, in: 1)), .run(1)])).events
        let output = attribution.add(batch, at: after(seconds: 10), context)
        #expect(output.activities.contains { $0.kind == .steps(4) && $0.agent == agent("support/desk") })
        #expect(attribution.finish(context).values("steps") == [4])
    }

    @Test("What a halted agent does is told")
    func halted() {
        let output = attributed(line([.call(2, in: 1), .run(1, agent: "support/stopped")]))
        #expect(output.samples.isEmpty)
        #expect(output.activities.contains { $0.kind == .ran && $0.agent == agent("support/stopped") })
    }

    @Test("Evaluations find their run, or name it themselves")
    func evaluations() {
        func log(_ attributes: [(String, String)], ids: String) -> String {
            let list = attributes.map { #"{"key":"\#($0.0)","value":\#($0.1)}"# }.joined(separator: ",")
            return
                #"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{\#(ids)"timeUnixNano":"\#(after(seconds: 3).nanoseconds)","#
                + #""eventName":"gen_ai.evaluation.result","attributes":[\#(list)]}]}]}]}"#
        }
        let verdict = [
            ("gen_ai.evaluation.name", SpanText.string("safe")),
            ("gen_ai.evaluation.score.label", SpanText.string("Fail")),
        ]
        let ids = #""traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"0000000000000003","#
        let spans = line([.chat(3, in: 1, input: 1, output: 1), .run(1)])
        for output in [attributed(log(verdict, ids: ids), spans), attributed(spans, log(verdict, ids: ids))] {
            #expect(output.values("evaluation:safe") == [0])
            #expect(output.samples.filter { $0.metric == .evaluation("safe") }.map(\.occurred) == [false])
        }
        let own = [
            ("gen_ai.agent.name", SpanText.string("support/clerk")),
            ("ensign.bundle", SpanText.string(stableDigest.description)),
        ]
        #expect(attributed(log(verdict + own, ids: "")).samples.map(\.agent) == [agent("support/clerk")])
        #expect(attributed(log(verdict, ids: "")).counted(.orphan) == 1)
        let nameless = Array(verdict[1...])
        #expect(attributed(log(nameless, ids: ids)).counted(.badEvaluation) == 1)
        let endless = [verdict[0], ("gen_ai.evaluation.score.value", #"{"doubleValue":"NaN"}"#)]
        #expect(attributed(log(endless, ids: ids)).counted(.badEvaluation) == 1)
    }

    @Test("Spans that are each other's ancestors end")
    func cycles() {
        let output = attributed(
            line([
                SpanText(span: 1, parent: 2), SpanText(span: 2, parent: 3), SpanText(span: 3, parent: 1),
                .call(4, in: 1),
            ]),
            line((10..<200).map { SpanText(span: $0, parent: $0 + 1) } + [.call(5, in: 10), .run(200)])
        )
        #expect(output.counted(.orphan) == 2)
    }

    @Test("A million names and traces take no more room than a few")
    func flood() {
        var limits = Attribution.Limits()
        (limits.traces, limits.spans, limits.seen) = (100, 1_000, 500)
        var attribution = Attribution(environment: "prod", limits: limits)
        let template = spans(line([.run(1)]))[0]
        for round in 0..<20 {
            var batch = TelemetryBatch()
            for number in 0..<500 {
                var span = template
                span.trace = TraceID(high: 1, low: UInt64(round * 500 + number))
                span.claim.agent = "team\(number)/agent\(round)"
                batch.events.append(.span(span))
                span.span = 2
                span.operation = .call(ToolCall(tool: "t\(number)", arguments: nil, isDenied: false))
                span.claim.agent = nil
                span.parent = 3
                batch.events.append(.span(span))
            }
            let output = attribution.add(batch, at: after(seconds: Double(round)), context)
            #expect(output.samples.isEmpty)
            #expect(output.activities.isEmpty)
            #expect(attribution.traces.count <= 100)
        }
        #expect(attribution.rejections[.unknownAgent] == 10_000)
        #expect(attribution.rejections[.evicted] > 9_000)
    }

    @Test("The state survives as JSON at any point")
    func persistence() throws {
        var random = SeededGenerator(for: "attribution state", standard: 5)
        let spans = (0..<40).flatMap { number -> [SpanText] in
            let base = UInt64(number * 10 + 1)
            let trace = SpanText.id(UInt64(number + 1)) + SpanText.id(9)
            return [
                .run(base, bundle: number % 2 == 0 ? stableDigest : canaryDigest),
                SpanText(span: base + 1, parent: base),
                .call(base + 2, in: base + 1), .chat(base + 3, in: base + 1, input: number, output: 1),
                by("support/desk", .call(base + 4, in: base + 1)), by("support/clerk", .call(base + 5, in: base + 1)),
                by("support/clerk", .chat(base + 6, in: base + 3, input: number, output: 1)),
            ].map { span in span.changed { $0.trace = trace } }
        }.shuffled(using: &random)
        func total(restarting: Bool) throws -> [Sample] {
            var attribution = Attribution(environment: "prod")
            var samples: [Sample] = []
            for (index, span) in spans.enumerated() {
                var batch = TelemetryBatch()
                batch.events = parsed(line([span])).events
                samples += attribution.add(batch, at: after(seconds: 10 + Double(index) / 100), context).samples
                if restarting { attribution = try #require(Attribution(json: attribution.json)) }
            }
            return samples + attribution.advance(to: after(seconds: 60), context).samples
        }
        let plain = try total(restarting: false)
        #expect(plain.count == 40 * 7)
        #expect(try total(restarting: true) == plain)
    }
}
