import EnsignGateway
import EnsignMCP
import EnsignModel
import EnsignPolicy
import EnsignSystem
import EnsignTestSupport
import Synchronization
import Testing

@Suite("The order of one call")
struct GateTests {
    @Test("What is granted reaches the server, in canonical bytes, between an intent and an outcome")
    func allowed() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        let answer = fixture.call("crm__find", ["customer": "c1", "amount": 40.0])
        #expect(!answer.isError && answer.text == "fine")
        #expect(fixture.server.calls == [#"find {"amount":40,"customer":"c1"}"#])
        #expect(fixture.log.kinds == [.intent, .outcome])
        #expect(fixture.log.last?.outcome == .ok && fixture.log.last?.intent == 1)
    }

    @Test("What is refused never reaches the server, and says what, which value and which limit")
    func refused() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        let tooMuch = fixture.call("crm__find", ["amount": 4_000])
        #expect(tooMuch.reason == "arguments" && tooMuch.text.contains("100") && tooMuch.text.contains("4000"))
        #expect(fixture.log.last?.pointer == "/amount/maximum")
        #expect(fixture.call("crm__find", ["amount": "4000"]).reason == "arguments")
        #expect(fixture.call("crm__find", ["other": 1]).reason == "arguments")
        #expect(fixture.call("crm__list", ["other": 1]).reason == "arguments")
        #expect(fixture.call("crm__list").reason == nil)
        #expect(fixture.server.calls == ["list {}"])
    }

    @Test("A gate that is closed in the middle of a call ends that one, and begins no other")
    func closed() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        fixture.server.contents.withLock { contents in
            contents.whenCalled = { [unowned fixture] in fixture.gate.close() }
        }
        #expect(fixture.call("crm__find").reason == nil && fixture.gate.isIdle)
        #expect(fixture.server.contents.withLock { $0.startsNoMore })
        let next = fixture.call("crm__find", run: "r2")
        #expect(next.reason == "unavailable" && next.text.contains("Nothing was done"))
        #expect(fixture.server.calls.count == 1 && fixture.log.kinds == [.intent, .outcome, .refused])
        #expect(fixture.gate.isIdle)
    }

    @Test("Not granted and unknown read the same, but for the name that was asked for")
    func notGranted() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        let hidden = fixture.call("crm__secret")
        let unknown = fixture.call("crm__nobody")
        #expect(hidden.reason == "not-granted" && unknown.reason == "not-granted")
        #expect(hidden.text.replacing("crm__secret", with: "X") == unknown.text.replacing("crm__nobody", with: "X"))
        #expect(fixture.server.calls.isEmpty && fixture.log.kinds == [.refused, .refused])
    }

    @Test("A halt, a narrowing and a rollback hold at the next call of an open run; a widening only in new ones")
    func openRuns() throws {
        let fixture = try GateFixture()
        try fixture.publish(open("1.1.0"))
        #expect(fixture.call("crm__find", ["amount": 90]).reason == nil)
        try fixture.publish(
            open("1.1.1") { bundle in
                bundle.tools[0].operations["find"]?.input = [
                    "type": "object", "properties": ["amount": ["maximum": 50]],
                ]
                bundle.tools[0].operations["secret"] = operation(.read, .low)
            }
        )
        #expect(fixture.call("crm__find", ["amount": 90]).reason == "arguments")
        #expect(fixture.call("crm__secret").reason == "not-granted", "the run began without it")
        #expect(fixture.call("crm__secret", run: "r2").reason == nil)
        try fixture.publish(open("1.0.0") { $0.tools[0].operations["find"] = nil })
        #expect(fixture.call("crm__find", ["amount": 1]).reason == "not-granted")
        try fixture.publish([])
        #expect(fixture.call("crm__list").reason == "halted")
    }

    @Test(
        "A live directory that is gone, edited, rolled back or somebody else's refuses every call, and recovers by itself"
    )
    func unavailable() throws {
        let fixture = try GateFixture()
        try fixture.publish(open("1.0.0"))
        let old = try fixture.scratch.read("live/agents/support/triage.json")
        try fixture.publish(open("1.1.0"))
        #expect(fixture.call("crm__list").reason == nil)
        let new = try fixture.scratch.read("live/agents/support/triage.json")
        let path = "live/agents/support/triage.json"
        try fixture.scratch.write(path, old)
        #expect(fixture.call("crm__list").reason == "unavailable")
        try fixture.scratch.write(path, new.replacing("1.1.0", with: "1.2.0"))
        #expect(fixture.call("crm__list").reason == "unavailable")
        try fixture.scratch.write(path, new)
        #expect(fixture.call("crm__list").reason == nil)
        try Files.rename("\(fixture.live)", to: "\(fixture.live).gone")
        #expect(fixture.call("crm__list").reason == "unavailable")
        try Files.rename("\(fixture.live).gone", to: fixture.live)
        #expect(fixture.call("crm__list").reason == nil)
        // A halt needs no proof.
        try fixture.scratch.write(path, #"{"phase":"halted"}"#)
        #expect(fixture.call("crm__list").reason == "halted")
    }

    @Test("Another process has not seen less: what is older stays older")
    func seenByOthers() throws {
        let fixture = try GateFixture()
        try fixture.publish(open("1.0.0"))
        let old = try fixture.scratch.read("live/agents/support/triage.json")
        try fixture.publish(open("1.1.0"))
        #expect(fixture.call("crm__list").reason == nil)
        try fixture.scratch.write("live/agents/support/triage.json", old)
        let again = LiveSource(
            live: fixture.live,
            keys: "\(fixture.scratch.path)/keys",
            owner: nil,
            maxAge: nil,
            state: fixture.state,
            patience: .zero
        )
        #expect(throws: LiveTrouble.self) { try again.ready().route(of: GateFixture.agent) }
    }

    @Test("Keys are read again when their file has changed: what they no longer name is not believed")
    func otherKeys() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        #expect(fixture.call("crm__list").reason == nil)
        let keys = "\(fixture.scratch.path)/keys"
        let line = try #require(try Files.read(keys, limit: 1 << 16))
        try fixture.scratch.write("keys", "# nobody\n")
        #expect(fixture.call("crm__list").reason == "unavailable")
        try fixture.scratch.write("keys", bytes: line)
        #expect(fixture.call("crm__list").reason == nil)
    }

    @Test("With maxAge nothing is done for a host that was not heard of for so long")
    func maxAge() throws {
        let fixture = try GateFixture(more: "maxAge: 5m")
        try fixture.publish(open())
        #expect(fixture.call("crm__list").reason == "unavailable", "it does not say when it was heard")
        try fixture.header(1, heard: Timestamp(seconds: Machine.now - 10))
        #expect(fixture.call("crm__list").reason == nil)
        try fixture.header(2, heard: Timestamp(seconds: Machine.now - 400))
        #expect(fixture.call("crm__list").reason == "unavailable")
    }

    @Test("Steps and seconds of a run count refused calls, and hold for the run")
    func steps() throws {
        let fixture = try GateFixture()
        try fixture.publish(open { $0.limits.run.steps = 2 })
        #expect(fixture.call("crm__list").reason == nil)
        #expect(fixture.call("crm__secret").reason == "not-granted")
        #expect(fixture.call("crm__list").reason == "budget")
        #expect(fixture.call("crm__list", run: "r2").reason == nil)
        let slow = try GateFixture()
        try slow.publish(open { $0.limits.run.seconds = 60 })
        #expect(slow.call("crm__list").reason == nil)
        slow.pass(seconds: 61)
        #expect(slow.call("crm__list").reason == "budget")
    }

    @Test("A rate counts the agent's calls, whatever runs it names, and ends with its period")
    func rate() throws {
        let fixture = try GateFixture()
        try fixture.publish(open { $0.tools[0].operations["list"]?.rate = CallRate("2/m") })
        #expect(fixture.call("crm__list", run: "a").reason == nil)
        #expect(fixture.call("crm__list", run: "b").reason == nil)
        #expect(fixture.call("crm__list", run: "c").reason == "budget")
        #expect(fixture.call("crm__find", run: "c").reason == nil)
        fixture.pass(seconds: 300)
        #expect(fixture.call("crm__list", run: "c").reason == nil)
    }

    @Test("The operator's limits hold for the agent: calls a minute, runs an hour, the same call, refusals")
    func operatorLimits() throws {
        let fixture = try GateFixture(more: "limits: {stepsPerMinute: 3}")
        try fixture.publish(open())
        for run in 0..<3 { #expect(fixture.call("crm__list", run: "r\(run)").reason == nil) }
        #expect(fixture.call("crm__list", run: "x").reason == "budget")
        let runs = try GateFixture(more: "limits: {runsPerHour: 2}")
        try runs.publish(open())
        #expect(runs.call("crm__list", run: "a").reason == nil)
        #expect(runs.call("crm__list", run: "b").reason == nil)
        // However often it is asked.
        for _ in 0..<3 { #expect(runs.call("crm__list", run: "c").reason == "budget") }
        #expect(runs.call("crm__list", run: "a").reason == nil)
        runs.pass(seconds: 3_700)
        #expect(runs.call("crm__list", run: "c").reason == nil)
        let loops = try GateFixture(more: "limits: {repeatedCalls: 2, refusals: 2}")
        try loops.publish(open())
        for _ in 0..<2 { #expect(loops.call("crm__list").reason == nil) }
        #expect(loops.call("crm__list").reason == "loop")
        #expect(loops.call("crm__find", run: "y").reason == nil)
        #expect(loops.call("crm__secret", run: "y").reason == "not-granted")
        let held = loops.call("crm__find", ["amount": 1], run: "y")
        #expect(held.reason == "loop" && held.text.contains("in a minute"), "two calls of the agent were refused")
        let ended = loops.call("crm__find", ["amount": 1], run: "y")
        #expect(ended.reason == "loop" && ended.text.contains("Further calls of this run"), "two of the run, too")
        // What holds for the agent's minute is said so in another run, which a minute later goes on.
        let other = loops.call("crm__find", ["amount": 1], run: "z")
        #expect(other.reason == "loop" && other.text.contains("in a minute") && !other.text.contains("this run"))
        loops.pass(seconds: 61)
        #expect(loops.call("crm__find", ["amount": 1], run: "z").reason == nil)
        let same = try GateFixture(more: "limits: {repeatedCalls: 2}")
        try same.publish(open())
        for run in ["a", "b"] { #expect(same.call("crm__list", run: run).reason == nil) }
        #expect(same.call("crm__list", run: "c").text.contains("in a minute"))
    }

    @Test("At most so many runs are open at a time")
    func openRunLimit() throws {
        let fixture = try GateFixture()
        try fixture.publish(open { $0.limits.runs = 1 })
        #expect(fixture.call("crm__list", run: "a").reason == nil)
        for run in ["b", "b", "c", "b"] { #expect(fixture.call("crm__list", run: run).reason == "budget") }
        fixture.pass(seconds: 601)
        #expect(fixture.call("crm__list", run: "b").reason == nil)
        // One that has counted as closed asks for room again.
        for _ in 0..<2 { #expect(fixture.call("crm__list", run: "a").reason == "budget") }
        #expect(fixture.call("crm__list", run: "b").reason == nil)
        fixture.pass(seconds: 601)
        #expect(fixture.call("crm__list", run: "a").reason == nil)
        #expect(fixture.call("crm__list", run: "b").reason == "budget")
    }

    @Test("A run that has used up what it may has no place any more, and its refused calls take none", arguments: 0..<4)
    func overRuns(_ kind: Int) throws {
        let usage = try Usage()
        let fixture = try GateFixture(usage: usage.source)
        try fixture.publishPolicy { $0.prices = usage.policy.prices }
        try fixture.publish(
            open { bundle in
                bundle.limits.runs = 1
                switch kind {
                case 0: bundle.limits.run.steps = 3
                case 1: bundle.limits.run.seconds = 60
                case 2: bundle.limits.run.tokens = 10
                default: bundle.limits.run.costUSD = 10
                }
            }
        )
        func call(_ run: String) -> (reason: String?, text: String) {
            usage.instant.pass(.seconds(1))
            let answer = fixture.call("crm__list", run: run)
            return (answer.reason, answer.text)
        }
        #expect(call("a").reason == nil)
        #expect(call("b").text.contains("in \(kind == 1 ? 60 : 600) seconds at most"))
        if kind == 0 { for _ in 0..<2 { #expect(call("a").reason == nil) } }
        if kind == 1 { fixture.pass(seconds: 60) }
        // Steps and seconds are over by themselves; that tokens and money are used shows when it calls.
        if kind < 2 { #expect(call("b").reason == nil) }
        if kind > 1 { try usage.write(usage.span(["ensign.run": "a", "ensign.agent": "support/triage"])) }
        for _ in 0..<2 {
            let over = call("a")
            #expect(over.reason == "budget" && over.text.contains("end now"), "\(over.text)")
        }
        #expect(call("b").reason == nil)
        fixture.pass(seconds: kind == 1 ? 40 : 400)
        // It neither takes the place of another one nor holds one.
        #expect(call("a").text.contains("end now"))
        #expect(call("c").text.contains("in \(kind == 1 ? 20 : 200) seconds at most"))
        fixture.pass(seconds: kind == 1 ? 20 : 201)
        #expect(call("c").reason == nil)
    }

    @Test("What was counted while the clock was ahead counts as of now once it is right, and ends")
    func clockAhead() throws {
        let fixture = try GateFixture(more: "limits: {stepsPerMinute: 3}")
        try fixture.publish(open { $0.limits.runs = 1 })
        fixture.pass(seconds: 31_536_000)
        for _ in 0..<3 { #expect(fixture.call("crm__list", run: "a").reason == nil) }
        fixture.pass(seconds: -31_536_000)
        #expect(fixture.call("crm__list", run: "a").reason == "budget")
        fixture.pass(seconds: 700)
        #expect(fixture.call("crm__list", run: "a").reason == nil)
        fixture.pass(seconds: 700)
        #expect(fixture.call("crm__list", run: "b").reason == nil)
    }

    @Test("A call that must come first must have succeeded, in this run, in time, with the same argument")
    func preconditions() throws {
        let fixture = try GateFixture()
        try fixture.publish(
            open { bundle in
                guard let within = TimeSpan("10m") else { return }
                bundle.tools[0].operations["update"]?.after = [
                    Precondition(tool: "crm", operation: "find", within: within, same: "customer")
                ]
            }
        )
        #expect(fixture.call("crm__update", ["customer": "c1"]).reason == "precondition")
        fixture.server.answer(.result(["content": [], "isError": true]))
        _ = fixture.call("crm__find", ["customer": "c1"])
        #expect(fixture.call("crm__update", ["customer": "c1"]).reason == "precondition", "it failed")
        _ = fixture.call("crm__find", ["customer": "c1"])
        #expect(fixture.call("crm__update", ["customer": "c2"]).reason == "precondition")
        #expect(fixture.call("crm__update", ["amount": 1]).reason == "precondition")
        #expect(fixture.call("crm__update", ["customer": "c1"], run: "other").reason == "precondition")
        #expect(fixture.call("crm__update", ["customer": "c1"]).reason == nil)
        fixture.pass(seconds: 601)
        #expect(fixture.call("crm__update", ["customer": "c1"]).reason == "precondition")
    }

    @Test("An agent that is only observed is refused nothing by its grant, and everything else")
    func observe() throws {
        let fixture = try GateFixture()
        try fixture.publish(open { $0.mode = .observe })
        #expect(fixture.call("crm__find", ["amount": 4_000]).reason == nil)
        #expect(fixture.call("crm__secret").reason == nil)
        let verdicts = fixture.log.lines.withLock { $0.filter { $0.kind == .intent }.map(\.verdict) }
        #expect(verdicts == [.wouldRefuse, .wouldRefuse])
        #expect(fixture.server.calls.last == "secret {}")
        try fixture.publish([])
        #expect(fixture.call("crm__list").reason == "halted")
    }
}
