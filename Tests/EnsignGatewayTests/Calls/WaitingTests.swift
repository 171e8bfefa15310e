import EnsignGateway
import EnsignMCP
import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Glibc
import Synchronization
import Testing

@Suite("While a call is made")
struct WaitingTests {
    @Test("A halt and a narrowing that come while a server is started or a secret is read hold for this call")
    func again() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        fixture.server.contents.withLock { $0.whenListing = { [unowned fixture] in _ = try? fixture.publish([]) } }
        #expect(fixture.call("crm__find").reason == "halted")
        try fixture.publish(open("1.0.1"))
        fixture.server.contents.withLock { contents in
            contents.whenListing = { [unowned fixture] in
                try? fixture.publish(open("1.0.2") { $0.tools[0].operations["find"] = nil })
            }
        }
        #expect(fixture.call("crm__find", run: "r2").reason == "not-granted")
        try fixture.publishPolicy()
        try fixture.publish(open("1.0.3"))
        fixture.server.contents.withLock { contents in
            contents.whenListing = { [unowned fixture] in
                try? fixture.publish(open("1.0.4") { $0.tools[0].operations["find"]?.approval = .manager })
            }
        }
        let answer = fixture.call("crm__find", run: "r3")
        #expect(answer.reason == "approval-pending" && answer.text.contains("Nothing was done"))
        #expect(fixture.server.calls.isEmpty && !fixture.log.kinds.contains(.intent))
    }

    @Test("An intent is on record before a server is called, and an outcome after it")
    func intentFirst() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        let seen = Mutex<[Decision.Kind]>([])
        fixture.server.contents.withLock { contents in
            contents.whenCalled = { [unowned fixture] in seen.withLock { $0 = fixture.log.kinds } }
        }
        _ = fixture.call("crm__find")
        #expect(seen.withLock { $0 } == [.intent])
        #expect(fixture.log.kinds == [.intent, .outcome])
    }

    @Test("A server gets the operation's own name, the checked arguments, the trace, and no other word of the client")
    func forwarded() throws {
        let fixture = try GateFixture()
        try fixture.publish(open { $0.tools[0].operations["find"]?.serverTool = "list" })
        let trace = String(repeating: "a", count: 32)
        let span = String(repeating: "b", count: 16)
        #expect(fixture.call("crm__find", ["amount": 1.0], traceparent: "00-\(trace)-\(span)-01").reason == nil)
        let sent = try #require(fixture.server.last)
        #expect(sent.tool == "list" && sent.arguments.text == #"{"amount":1}"#)
        #expect(sent.meta.map(\.key) == ["traceparent"])
        let parent = try #require(sent.meta["traceparent"]?.string)
        #expect(parent.hasPrefix("00-\(trace)-") && !parent.contains(span))
    }

    @Test("A call may take as long as the shorter one of both bundles says")
    func timeout() throws {
        let fixture = try GateFixture()
        func publish(_ version: String, _ timeout: String) throws {
            try fixture.publish(open(version) { $0.tools[0].operations["find"]?.timeout = TimeSpan(timeout) })
        }
        try publish("1.0.0", "5s")
        _ = fixture.call("crm__find")
        #expect(fixture.server.last?.timeout == .seconds(5))
        try publish("1.0.1", "2s")
        _ = fixture.call("crm__find")
        #expect(fixture.server.last?.timeout == .seconds(2))
        try publish("1.0.2", "60s")
        _ = fixture.call("crm__find")
        #expect(fixture.server.last?.timeout == .seconds(5))
    }

    @Test("Only the very same call joins one that is under way: other arguments, another run, another operation do not")
    func joining() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        fixture.server.gate.update { $0 = false }
        let calls: [(String, JSONValue, String)] = [
            ("crm__update", ["amount": 1], "a"), ("crm__update", ["amount": 2], "a"),
            ("crm__update", ["amount": 1], "b"),
            ("crm__find", ["amount": 1], "a"),
        ]
        let threads = try calls.map { name, arguments, run in
            try Thread { _ = fixture.call(name, arguments, run: run) }
        }
        // All of them are at the server at once, or this never ends.
        while fixture.server.calls.count < calls.count { Machine.pause(milliseconds: 1) }
        fixture.server.gate.update { $0 = true }
        for thread in threads { thread.join() }
        #expect(fixture.server.calls.count == calls.count)
    }

    @Test("What nobody took is kept for a minute, not for longer")
    func kept() {
        let time = StandingInstant()
        let flights = SingleFlight { time.now }
        let key = SingleFlight.Key(
            agent: GateFixture.agent,
            run: "r",
            bundle: Compiled.digest,
            operation: "crm.find",
            arguments: [:]
        )
        func isFirst() -> Bool {
            if case .first = flights.join(key, Cancellation()) { return true }
            return false
        }
        #expect(isFirst())
        flights.finish(key, .null, flights.keeping(key, isTaken: false, happensOnce: false))
        time.pass(.seconds(59))
        #expect(flights.isKnown(key) && !isFirst(), "the outcome is taken now")
        #expect(!flights.isKnown(key) && isFirst())
        flights.finish(key, .null, flights.keeping(key, isTaken: false, happensOnce: false))
        time.pass(.seconds(61))
        #expect(!flights.isKnown(key) && isFirst())
    }

    @Test("Of what nobody takes, only so much is kept for one agent, and for all of them, the newest first")
    func keptBytes() {
        let flights = SingleFlight()
        func key(_ agent: String, _ number: Int) -> SingleFlight.Key {
            SingleFlight.Key(
                agent: AgentID(team: "t", name: agent),
                run: "r",
                bundle: Compiled.digest,
                operation: "crm.find",
                arguments: ["n": .integer(Int64(number))]
            )
        }
        let outcome = JSONValue.string(String(repeating: "x", count: 1 << 20))
        func leave(_ agent: String, _ number: Int) {
            guard case .first = flights.join(key(agent, number), Cancellation()) else {
                return #expect(Bool(false), "\(agent) \(number)")
            }
            flights.finish(key(agent, number), outcome, .untilTaken)
        }
        for number in 0..<20 { leave("greedy", number) }
        #expect((0..<20).filter { flights.isKnown(key("greedy", $0)) } == Array(13..<20))
        for agent in 0..<9 { for number in 0..<4 { leave("a\(agent)", number) } }
        #expect(!flights.isKnown(key("greedy", 19)) && flights.isKnown(key("a8", 0)) && flights.isKnown(key("a8", 3)))
        // The same again takes no more room.
        _ = flights.join(key("a8", 3), Cancellation())
        leave("a8", 3)
        #expect(flights.isKnown(key("a8", 0)) && flights.isKnown(key("a8", 3)))
    }

    @Test("What changes something is told again for a minute where its client may have left without a word")
    func toldAgain() throws {
        let time = StandingInstant()
        let flights = SingleFlight { time.now }
        @Sendable func key(_ run: String) -> SingleFlight.Key {
            SingleFlight.Key(
                agent: GateFixture.agent,
                run: run,
                bundle: Compiled.digest,
                operation: "crm.update",
                arguments: [:]
            )
        }
        @Sendable func isFirst(_ run: String) -> Bool {
            if case .first = flights.join(key(run), Cancellation()) { return true }
            return false
        }
        func makes(_ run: String, in duration: Duration, happensOnce: Bool) {
            #expect(isFirst(run))
            time.pass(duration)
            flights.finish(key(run), .null, flights.keeping(key(run), isTaken: true, happensOnce: happensOnce))
        }
        makes("short", in: .seconds(3), happensOnce: true)
        #expect(!flights.isKnown(key("short")), "nobody has left so early, and the same call may be meant")
        makes("repeatable", in: .seconds(7), happensOnce: false)
        #expect(!flights.isKnown(key("repeatable")))
        makes("long", in: .seconds(4), happensOnce: true)
        #expect(!isFirst("long") && !isFirst("long"))
        // Three seconds, and somebody who asks again meanwhile.
        #expect(isFirst("twice"))
        let joining = try Thread { #expect(!isFirst("twice")) }
        while !flights.isWaitedFor(key("twice")) { Machine.pause(milliseconds: 1) }
        flights.finish(key("twice"), .null, flights.keeping(key("twice"), isTaken: true, happensOnce: true))
        joining.join()
        #expect(!isFirst("twice") && !isFirst("twice"))
        time.pass(.seconds(61))
        #expect(isFirst("long") && isFirst("twice"))
    }

    private enum Compiled {
        static let digest = compiled(bundle()).digest
    }

    @Test("Without its credentials a call is not made, and nothing of the resolver's words is told")
    func noCredentials() throws {
        let scratch = try ScratchDirectory()
        let resolver = try scratch.write("resolve", "#!/bin/sh\necho 'vault is sealed' >&2\nexit 3\n")
        #expect(unsafe Glibc.chmod(resolver, 0o755) == 0)
        let fixture = try GateFixture(
            more: "credentials: {vault: {command: [\(resolver)]}}",
            upstream: "{command: [/usr/bin/crm], references: [\"vault:crm\"], env: {TOKEN: \"{credentials}\"}}"
        )
        try fixture.publish(open { $0.tools[0].credentials = "vault:crm" })
        let answer = fixture.call("crm__find")
        #expect(answer.reason == "unavailable" && !answer.text.contains("vault") && !answer.text.contains(resolver))
        #expect(fixture.server.calls.isEmpty && fixture.log.kinds == [.refused])
    }

    @Test("Each call is one span with its run, its decision, and no argument of it")
    func spans() throws {
        let folder = try ScratchDirectory()
        let fixture = try GateFixture(more: "telemetry: \(folder.path)/spans")
        try fixture.publish(open())
        _ = fixture.call("crm__find", ["customer": "Grace Hopper"])
        _ = fixture.call("crm__secret")
        let name = try #require(try Files.list("\(folder.path)/spans")?.first)
        let text = try folder.read("spans/\(name)")
        let lines = text.split(separator: "\n")
        #expect(lines.count == 2 && !text.contains("Grace"))
        let shared = [#""ensign.run","value":{"stringValue":"r1"}"#, #""gen_ai.agent.name""#, #""execute_tool""#]
        for line in lines { for part in shared { #expect(line.contains(part)) } }
        #expect(lines[0].contains("crm.find") && !lines[0].contains("error.type"))
        #expect(lines[1].contains("permission_denied") && lines[1].contains("not-granted"))
    }

    @Test("The span of a call that is made because its agent is only observed says what would have refused it")
    func observedSpans() throws {
        let folder = try ScratchDirectory()
        let fixture = try GateFixture(more: "telemetry: \(folder.path)/spans")
        try fixture.publish(open { $0.mode = .observe })
        _ = fixture.call("crm__find")
        _ = fixture.call("crm__secret")
        fixture.server.answer(.unknown(UpstreamFailure(.timedOut, "late")))
        _ = fixture.call("crm__secret", ["a": 1])
        let name = try #require(try Files.list("\(folder.path)/spans")?.first)
        let lines = try folder.read("spans/\(name)").split(separator: "\n")
        let verdict = #""ensign.verdict","value":{"stringValue":"would-refuse"}"#
        let reason = #""ensign.reason","value":{"stringValue":"not-granted"}"#
        #expect(lines.map { $0.contains(verdict) && $0.contains(reason) } == [false, true, true])
        #expect(!lines[1].contains("error.type") && lines[2].contains(#""stringValue":"timeout""#))
    }
}

/// A clock of instants that stands still until a test moves it.
final class StandingInstant: Sendable {
    private let value = Mutex(ContinuousClock.now)

    var now: ContinuousClock.Instant { value.withLock { $0 } }

    func pass(_ time: Duration) { value.withLock { $0 += time } }
}
