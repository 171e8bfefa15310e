import EnsignGateway
import EnsignModel
import EnsignPolicy
import EnsignSystem
import EnsignTestSupport
import Synchronization
import Testing

/// What the operator was told.
final class Said: Sendable {
    let texts = Mutex<[String]>([])
    var all: [String] { texts.withLock { $0 } }
}

/// A folder of spans, and what is made of them.
final class Usage {
    let scratch: ScratchDirectory
    let clock = StandingClock()
    let instant = StandingInstant()
    let said = Said()
    private(set) lazy var source = made()
    var policy = GatewayPolicy(environment: "prod")
    private var text = ""
    private var spans: UInt64 = 0

    static let agent = GateFixture.agent
    static let trace = String(repeating: "a", count: 32)

    init() throws {
        scratch = try ScratchDirectory()
        try Files.makeDirectories("\(scratch.path)/spans")
        policy.prices["p/big"] = Prices.Price(input: 1_000_000, output: 0, cacheRead: nil, cacheWrite: nil)
    }

    private func made() -> SpanUsage {
        SpanUsage(
            folder: "\(scratch.path)/spans",
            state: scratch.path,
            environment: "prod",
            now: Timestamp(seconds: clock.now / 1_000_000_000),
            instant: { [instant] in instant.now },
            say: { [said] text in said.texts.withLock { $0.append(text) } }
        )
    }

    /// Another gateway of the same state and folder starts.
    func startAnew() { source = made() }

    /// One line with one span; ten tokens, unless it says otherwise.
    func span(
        _ attributes: [String: String] = ["ensign.run": "r1", "ensign.agent": "support/triage"],
        id: UInt64? = nil,
        below parent: UInt64? = nil,
        tokens: Int64? = 10,
        model: String = "big",
        trace: String = trace,
        ended: Int64? = nil,
        operation: String = "chat"
    ) -> String {
        spans += 1
        var all = attributes
        all["gen_ai.operation.name"] = operation
        all["gen_ai.provider.name"] = "p"
        all["gen_ai.request.model"] = model
        var list: [JSONValue] = all.map { ["key": .string($0.key), "value": ["stringValue": .string($0.value)]] }
        if let tokens {
            list.append(["key": "gen_ai.usage.input_tokens", "value": ["intValue": .string("\(tokens)")]])
        }
        func hex(_ number: UInt64) -> JSONValue {
            let digits = String(number, radix: 16)
            return .string(String(repeating: "0", count: 16 - digits.count) + digits)
        }
        var span: JSONObject = [
            "traceId": .string(trace), "spanId": hex(id ?? 1_000 + spans), "name": "x",
            "startTimeUnixNano": .string("\((ended ?? clock.now) - 1)"),
            "endTimeUnixNano": .string("\(ended ?? clock.now)"), "attributes": .array(list),
        ]
        if let parent { span["parentSpanId"] = hex(parent) }
        return JSONValue.object(["resourceSpans": [["scopeSpans": [["spans": [.object(span)]]]]]]).text
    }

    func write(_ lines: String..., to file: String = "a.jsonl") throws {
        let path = "spans/\(file)"
        let before = (try? scratch.read(path)) ?? ""
        try scratch.write(path, before + lines.map { $0 + "\n" }.joined())
    }

    /// What is known a second later.
    func used(_ run: String = "r1", of agent: AgentID = agent) -> RunUsage {
        clock.pass(nanoseconds: 1_000_000_000)
        instant.pass(.seconds(1))
        return source.usage(
            of: agent,
            run: run,
            policy: policy,
            now: Timestamp(seconds: clock.now / 1_000_000_000)
        )
    }
}

@Suite("What runs have used")
struct UsageTests {
    @Test("A span counts within a second, for its run, its agent, its team and the environment")
    func counted() throws {
        let usage = try Usage()
        #expect(usage.used() == RunUsage())
        try usage.write(usage.span())
        let one = usage.used()
        #expect(one.tokens == 10 && one.costUSD == 10)
        #expect(one.agentCostUSD == 10 && one.teamCostUSD == 10 && one.environmentCostUSD == 10)
        try usage.write(usage.span(["ensign.run": "r2", "ensign.agent": "support/triage"]))
        try usage.write(usage.span(["ensign.run": "r1", "ensign.agent": "support/other"]))
        try usage.write(usage.span(["ensign.run": "r1", "ensign.agent": "sales/other"]), to: "b.jsonl")
        let more = usage.used()
        #expect(more.tokens == 10 && more.agentCostUSD == 20 && more.teamCostUSD == 30 && more.environmentCostUSD == 40)
        #expect(usage.used("r2").tokens == 10)
    }

    @Test("A run without a name is known by its trace; one without an agent of its own belongs to the span around it")
    func trace() throws {
        let usage = try Usage()
        try usage.write(usage.span([:], id: 2, below: 1))
        let early = usage.used(Usage.trace)
        #expect(early.tokens == 10 && early.agentCostUSD == 0 && early.environmentCostUSD == 10)
        try usage.write(
            usage.span(["gen_ai.agent.name": "support/triage"], id: 1, tokens: nil, operation: "invoke_agent")
        )
        let late = usage.used(Usage.trace)
        #expect(late.tokens == 10 && late.agentCostUSD == 10 && late.environmentCostUSD == 10)
        // What comes later below it belongs to it at once.
        try usage.write(usage.span([:], id: 3, below: 1))
        #expect(usage.used(Usage.trace).agentCostUSD == 20)
    }

    @Test("A run that a span around names is the run, also if it comes last", arguments: [false, true], [1, 2, 3])
    func outerRun(_ inFolder: Bool, _ depth: UInt64) throws {
        let usage = try Usage()
        let file = inFolder ? "support/triage/a.jsonl" : "a.jsonl"
        let own = inFolder ? [:] : ["ensign.agent": "support/triage"]
        // As OTLP has them: a span is written when it ends, the outermost one last.
        for id in (2...depth + 1).reversed() { try usage.write(usage.span(own, id: id, below: id - 1), to: file) }
        #expect(usage.used("r1").tokens == 0)
        let root = usage.span(["ensign.run": "r1"], id: 1, tokens: nil, operation: "invoke_agent")
        try usage.write(root, to: file)
        for isAnew in [false, true] {
            if isAnew { usage.startAnew() }
            let used = usage.used("r1")
            #expect(used.tokens == 10 && used.costUSD == 10 && usage.used(Usage.trace).tokens == 0)
            #expect(used.agentCostUSD == 10 && used.teamCostUSD == 10 && used.environmentCostUSD == 10)
        }
        // What comes late counts there at once.
        try usage.write(usage.span(own, id: 99, below: 1), to: file)
        #expect(usage.used("r1").tokens == 20)
    }

    @Test("A span's run is the nearest around it; without one it is the trace")
    func nearestRun() throws {
        let usage = try Usage()
        let own = ["ensign.agent": "support/triage"]
        try usage.write(
            usage.span(own, id: 11, below: 10),
            usage.span(["ensign.agent": "support/triage", "ensign.run": "inner"], id: 10, below: 1, tokens: nil),
            usage.span(own, id: 21, below: 20),
            usage.span([:], id: 31, below: 30),
            usage.span(["ensign.run": "r1"], id: 41, below: 40),
            usage.span(own, id: 51, below: 50)
        )
        #expect(usage.used("inner").tokens == 10 && usage.used("r1").tokens == 10)
        #expect(usage.used(Usage.trace).tokens == 30)
        // One that names the run, one that names the agent, one that names the rest.
        try usage.write(
            usage.span(["ensign.run": "r1"], id: 20, below: 1, tokens: nil),
            usage.span(own, id: 30, below: 1, tokens: nil),
            usage.span(own, id: 40, below: 1, tokens: nil)
        )
        #expect(usage.used("r1").tokens == 20 && usage.used(Usage.trace).tokens == 20)
        try usage.write(usage.span(["ensign.run": "outer"], id: 1, tokens: nil))
        #expect(usage.used("inner").tokens == 10 && usage.used("r1").tokens == 20 && usage.used("outer").tokens == 10)
        let rest = usage.used(Usage.trace)
        #expect(rest.tokens == 10 && rest.agentCostUSD == 50 && rest.environmentCostUSD == 50)
    }

    @Test("Tokens that spans around each other report count once, in the order in which spans end", arguments: 0..<4)
    func nested(_ order: Int) throws {
        let usage = try Usage()
        let inner = [usage.span(id: 3, below: 2, tokens: 40), usage.span(id: 4, below: 2, tokens: 50)]
        let middle = usage.span(id: 2, below: 1, tokens: 60)
        let outer = usage.span(id: 1, tokens: 90, operation: "invoke_agent")
        let orders = [
            inner + [middle, outer], [inner[1], inner[0], middle, outer], [outer, middle] + inner,
            [middle, inner[0], outer, inner[1]],
        ]
        for line in orders[order] { try usage.write(line) }
        #expect(usage.used().tokens == 90)
        // A retrying exporter writes a span twice.
        for line in orders[order] { try usage.write(line, to: "b.jsonl") }
        #expect(usage.used().tokens == 90)
    }

    @Test("Spans of another environment, and of another day, do not count for the day")
    func otherDay() throws {
        let usage = try Usage()
        let other = ["ensign.agent": "support/triage", "ensign.run": "r1", "deployment.environment.name": "dev"]
        try usage.write(usage.span(other))
        try usage.write(usage.span(ended: usage.clock.now - 86_400_000_000_000))
        let used = usage.used()
        #expect(used.tokens == 10 && used.agentCostUSD == 0 && used.environmentCostUSD == 0)
        try usage.write(usage.span())
        #expect(usage.used().agentCostUSD == 10)
        usage.clock.pass(nanoseconds: 86_400_000_000_000)
        #expect(usage.used().agentCostUSD == 0 && usage.used().tokens == 20)
    }

    @Test("In an agent's folder no other agent is believed")
    func folder() throws {
        let usage = try Usage()
        try usage.write(usage.span(["ensign.agent": "sales/other", "ensign.run": "r1"]), to: "support/triage/a.jsonl")
        let used = usage.used()
        #expect(used.tokens == 10 && used.agentCostUSD == 10)
        #expect(usage.used(of: agent("sales/other")).agentCostUSD == 0)
    }

    @Test("A price that is published later counts for what was used before, and a model without one costs nothing")
    func prices() throws {
        let usage = try Usage()
        try usage.write(usage.span(model: "other"))
        #expect(usage.used().costUSD == 0 && usage.used().tokens == 10)
        usage.policy.prices["p/other"] = Prices.Price(input: 2_000_000, output: 0, cacheRead: nil, cacheWrite: nil)
        #expect(usage.used().costUSD == 20)
    }

    @Test("Numbers of tokens that cannot be count as nothing, and that is said once for an agent")
    func misstated() throws {
        let usage = try Usage()
        for tokens in [Int64(-1), .max, -5] { try usage.write(usage.span(tokens: tokens)) }
        try usage.write(usage.span(["ensign.run": "r1"], tokens: -1))
        #expect(usage.used().tokens == 0 && usage.used().environmentCostUSD == 0)
        let why = "has tokens that are negative, not whole, or too many: they count as nothing here"
        let whose = ["an agent that is not named", "support/triage"]
        #expect(usage.said.all.sorted() == whose.map { "a span of \($0) \(why)" })
        try usage.write(usage.span())
        #expect(usage.used().tokens == 10)
    }

    @Test("The next call of whoever has used what it may is refused")
    func refused() throws {
        let usage = try Usage()
        let fixture = try GateFixture(usage: usage.source)
        func call(_ run: String) -> String? {
            usage.instant.pass(.seconds(1))
            return fixture.call("crm__list", run: run).reason
        }
        try fixture.publishPolicy { policy in
            policy.prices = usage.policy.prices
            policy.costUSDPerDay = 100
            policy.teams["support"]?.costUSDPerDay = 60
        }
        try fixture.publish(
            open { bundle in
                bundle.limits.run.tokens = 20
                bundle.limits.run.costUSD = 15
                bundle.limits.costUSDPerDay = 40
            }
        )
        func spend(_ run: String, _ tokens: Int64, _ model: String = "big", agent: String = "support/triage") throws {
            try usage.write(usage.span(["ensign.run": run, "ensign.agent": agent], tokens: tokens, model: model))
        }
        try spend("a", 19, "cheap")
        #expect(call("a") == nil)
        try spend("a", 1, "cheap")
        #expect(call("a") == "budget", "20 tokens")
        try spend("b", 15)
        #expect(call("b") == "budget", "15 dollars")
        #expect(call("c") == nil)
        try spend("d", 10)
        try spend("e", 15)
        #expect(call("c") == "budget", "40 dollars of the agent today")
        try fixture.publish(open("1.0.1"))
        #expect(call("f") == nil)
        try spend("x", 20, agent: "support/other")
        #expect(call("f") == "budget", "60 dollars of the team today")
        try fixture.publishPolicy { policy in
            policy.prices = usage.policy.prices
            policy.costUSDPerDay = 100
        }
        #expect(call("f") == nil)
        try spend("x", 40, agent: "sales/other")
        #expect(call("f") == "budget", "100 dollars of everybody today")
    }
}
