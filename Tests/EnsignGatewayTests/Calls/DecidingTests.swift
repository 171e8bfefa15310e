import EnsignGateway
import EnsignMCP
import EnsignModel
import EnsignPolicy
import EnsignSystem
import EnsignTestSupport
import Glibc
import Synchronization
import Testing

@Suite("What decides about one call")
struct DecidingTests {
    @Test("A live directory that everybody may write to is not believed, nor is a file in it, until that has ended")
    func writable() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        for path in ["", "/agents", "/agents/support", "/agents/support/triage.json"] {
            let place = fixture.live + path
            let before = try #require(try Files.status(place)).permissions
            #expect(unsafe Glibc.chmod(place, before | 0o002) == 0)
            #expect(fixture.call("crm__list").reason == "unavailable", "\(path)")
            #expect(unsafe Glibc.chmod(place, before) == 0)
            #expect(fixture.call("crm__list").reason == nil, "\(path)")
        }
        guard Machine.effectiveUserID == 0 else { return }
        let route = "\(fixture.live)/agents/support/triage.json"
        #expect(unsafe Glibc.chown(route, 4_711, 4_711) == 0)
        #expect(fixture.call("crm__list").reason == "unavailable", "it is somebody else's")
    }

    @Test("A bundle that is not what its name says is not used, and one that is taken back is")
    func flippedBundle() throws {
        let fixture = try GateFixture()
        let digest = try #require(try fixture.publish([(open(), 100)]).first)
        let path = "live/\(LivePath.bundle(digest))"
        let text = try fixture.scratch.read(path)
        try fixture.scratch.write(path, text.replacing("\"maximum\":100", with: "\"maximum\":900"))
        #expect(fixture.call("crm__list").reason == "unavailable")
        try Files.remove("\(fixture.scratch.path)/\(path)")
        #expect(fixture.call("crm__list").reason == "unavailable")
        try fixture.scratch.write(path, text)
        #expect(fixture.call("crm__list").reason == nil)
    }

    @Test("An agent without a route is stopped like one that was halted")
    func noRoute() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        #expect(fixture.call("crm__list").reason == nil)
        try Files.remove("\(fixture.live)/\(LivePath.route(GateFixture.agent))")
        let answer = fixture.call("crm__list")
        #expect(answer.reason == "halted" && answer.text.contains("end now"))
    }

    @Test("Of the run's bundle and the present one the stricter approval counts")
    func stricterApproval() throws {
        let fixture = try GateFixture()
        try fixture.publishPolicy()
        func publish(_ version: String, _ approval: Approval) throws {
            try fixture.publish(open(version) { $0.tools[0].operations["update"]?.approval = approval })
        }
        var asked: Approval? { fixture.desk.contents.withLock { $0.questions.last?.needed } }
        try publish("1.0.0", .none)
        #expect(fixture.call("crm__update", run: "a").reason == nil)
        try publish("1.0.1", .manager)
        #expect(fixture.call("crm__update", run: "a").reason == "approval-pending")
        #expect(asked == .manager)
        #expect(fixture.call("crm__update", run: "b").reason == "approval-pending")
        try publish("1.0.2", .dual)
        #expect(fixture.call("crm__update", run: "b").reason == "approval-pending")
        #expect(asked == .dual)
        try publish("1.0.3", .none)
        #expect(fixture.call("crm__update", run: "b").reason == "approval-pending", "the run began with it")
        #expect(asked == .manager)
        #expect(fixture.call("crm__update", run: "c").reason == nil)
    }

    @Test("A permission ends with its last day, in UTC")
    func expiry() throws {
        let fixture = try GateFixture()
        let today = Timestamp(seconds: fixture.time.now / 1_000_000_000).date
        try fixture.publish(open { $0.tools[0].operations["list"]?.expires = today })
        #expect(fixture.call("crm__list").reason == nil)
        fixture.pass(seconds: 86_400)
        let answer = fixture.call("crm__list")
        #expect(answer.reason == "expired" && answer.text.contains("\(today)"))
        #expect(fixture.server.calls.count == 1)
    }

    @Test("Refused calls use up a rate: a loop of refusals is not free")
    func refusalsUseUpRates() throws {
        let fixture = try GateFixture()
        try fixture.publish(open { $0.tools[0].operations["list"]?.rate = CallRate("2/m") })
        for _ in 0..<2 { #expect(fixture.call("crm__list", ["x": 1]).reason == "arguments") }
        #expect(fixture.call("crm__list").reason == "budget")
    }

    @Test("A limit that a later bundle sets counts what the run has done already")
    func laterLimit() throws {
        let fixture = try GateFixture()
        try fixture.publish(open("1.0.0"))
        for _ in 0..<3 { #expect(fixture.call("crm__list").reason == nil) }
        try fixture.publish(open("1.0.1") { $0.limits.run.steps = 3 })
        let answer = fixture.call("crm__list")
        #expect(answer.reason == "budget" && answer.text.contains("3 calls"))
    }

    @Test("The key that chose a run's bundle stays the run's, whatever the client says later")
    func keyOfRun() throws {
        let fixture = try GateFixture()
        try fixture.publish([(open("1.0.0"), 50), (open("1.1.0"), 50)])
        for run in 0..<8 {
            var bundles: Set<Digest> = []
            for key in 0..<8 {
                #expect(fixture.call("crm__list", run: "r\(run)", key: "k\(run)-\(key)").reason == nil)
                if let bundle = fixture.log.last?.bundle { bundles.insert(bundle) }
            }
            #expect(bundles.count == 1)
        }
    }

    @Test("A run is named by its client, else by its trace, else by agent and key for ten minutes; the log says which")
    func runNames() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        func run(_ run: String? = nil, key: String? = nil, trace: String? = nil) -> RunName? {
            _ = fixture.call("crm__list", run: run, key: key, traceparent: trace)
            return fixture.log.last?.run
        }
        let trace = String(repeating: "a", count: 32)
        let parent = "00-\(trace)-\(String(repeating: "b", count: 16))-01"
        #expect(run("mine", trace: parent) == RunName("mine", .header))
        #expect(run(trace: parent) == RunName(trace, .trace))
        #expect(run(trace: "00-zz-1-01")?.source == .window)
        let first = try #require(run(key: "k"))
        #expect(first.source == .window && run(key: "k") == first && run(key: "other") != first && run() != first)
        fixture.pass(seconds: 601)
        #expect(run(key: "k") != first)
    }

    @Test("At most so many calls of an agent are under way")
    func inFlight() throws {
        let fixture = try GateFixture(more: "limits: {callsInFlight: 1}")
        try fixture.publish(open())
        fixture.server.gate.update { $0 = false }
        let thread = try Thread { _ = fixture.call("crm__update", ["amount": 1]) }
        while fixture.server.calls.isEmpty { Machine.pause(milliseconds: 1) }
        #expect(fixture.call("crm__update", ["amount": 2]).reason == "budget")
        fixture.server.gate.update { $0 = true }
        thread.join()
        #expect(fixture.call("crm__update", ["amount": 2]).reason == nil)
    }

    @Test("What is refused for lack of room counts like any refusal, and takes no place itself")
    func inFlightCounts() throws {
        let fixture = try GateFixture(more: "limits: {callsInFlight: 1, refusals: 3}")
        try fixture.publish(open())
        fixture.server.gate.update { $0 = false }
        let thread = try Thread { _ = fixture.call("crm__update", ["amount": 1]) }
        while fixture.server.calls.isEmpty { Machine.pause(milliseconds: 1) }
        let reasons = (2..<9).map { fixture.call("crm__update", ["amount": .integer($0)]).reason }
        #expect(
            reasons.prefix(3) == ["budget", "budget", "budget"] && reasons.dropFirst(3).allSatisfy { $0 == "loop" }
        )
        #expect(!fixture.gate.isIdle)
        fixture.server.gate.update { $0 = true }
        thread.join()
        #expect(fixture.call("crm__update", ["amount": 2]).reason == "loop")
        #expect(fixture.gate.isIdle)
        fixture.pass(seconds: 61)
        #expect(fixture.call("crm__update", ["amount": 2], run: "r2").reason == nil, "no place was kept")
    }

    @Test("What the grant records is on the line of a call that is refused or waits for people, too")
    func recordedRefusals() throws {
        let fixture = try GateFixture()
        try fixture.publishPolicy()
        try fixture.publish(
            open { bundle in
                bundle.tools[0].operations["find"]?.record = [JSONPointer("/customer")!, JSONPointer("/note")!]
                bundle.tools[0].operations["update"]?.record = [JSONPointer("/customer")!]
                bundle.tools[0].operations["update"]?.approval = .manager
            }
        )
        func recorded(_ name: String, _ arguments: JSONValue) -> [String] {
            _ = fixture.call(name, arguments)
            return fixture.log.last?.recorded.map { "\($0.pointer) \($0.value.text)" } ?? []
        }
        #expect(recorded("crm__find", ["customer": "c1", "amount": 1_000]) == [#"/customer "c1""#])
        #expect(fixture.log.last?.reason == .arguments)
        #expect(recorded("crm__update", ["customer": "c2"]) == [#"/customer "c2""#])
        #expect(fixture.log.last?.reason == .approvalPending)
        #expect(recorded("crm__secret", ["customer": "c3"]) == [], "no grant says so")
        try fixture.publish([] as [(Bundle, Int64)])
        #expect(
            recorded("crm__find", ["customer": "c4"]) == [#"/customer "c4""#] && fixture.log.last?.reason == .halted
        )
    }

    @Test("A refusal for a halt is written down with the entry, and with the run's bundle where the run had begun")
    func haltedLine() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        #expect(fixture.call("crm__update").reason == nil)
        let digest = try #require(fixture.publishedDigest())
        try fixture.publish([] as [(Bundle, Int64)], entry: 7)
        #expect(fixture.call("crm.update").reason == "halted")
        let line = try #require(fixture.log.last)
        #expect(line.entry == 7 && line.bundle == digest && line.version == AgentVersion("1.0.0"))
        #expect(line.operation == "crm.update" && line.present == nil)
        #expect(fixture.call("crm__update", run: "r2").reason == "halted")
        let other = try #require(fixture.log.last)
        #expect(
            other.entry == 7 && other.bundle == nil && other.operation == "crm__update",
            "no run says what it means"
        )
    }

    @Test("A call whose message cannot be passed on is decided, recorded and counted like any other, and never made")
    func defect() throws {
        let fixture = try GateFixture(more: "limits: {refusals: 2}")
        try fixture.publish(open { $0.mode = .observe })
        let refusal = Refusal(.arguments, "refused: it is no object")
        func refuse(_ name: String, run: String = "r1") -> GateFixture.Answer {
            let call = IncomingCall(
                name: name,
                arguments: .null,
                protocolVersion: "2025-11-25",
                cancellation: Cancellation()
            )
            let session = Session(agent: GateFixture.agent, run: RunName(run, .header))
            return GateFixture.Answer(value: fixture.gate.refuse(call, refusal, in: session))
        }
        for name in ["crm__update", "crm__secret"] { #expect(refuse(name).text == refusal.text) }
        #expect(fixture.log.lines.withLock { $0.allSatisfy { $0.kind == .refused && $0.bundle != nil } })
        #expect(fixture.call("crm__list").reason == "loop")
        try fixture.publish(open("1.0.1"))
        fixture.pass(seconds: 61)
        #expect(refuse("crm__secret", run: "r2").reason == "not-granted", "what comes first is told first")
        #expect(refuse("crm__update", run: "r2").reason == "arguments")
        try fixture.publish([] as [(Bundle, Int64)])
        #expect(refuse("crm__update", run: "r3").reason == "halted")
        #expect(fixture.server.calls.isEmpty)
    }

    @Test("Each refusal says which operation it is about")
    func names() throws {
        let fixture = try GateFixture(more: "limits: {stepsPerMinute: 9, repeatedCalls: 3}")
        try fixture.publish(
            open { bundle in
                bundle.tools[0].operations["list"]?.rate = CallRate("1/h")
                bundle.limits.run.steps = 6
            }
        )
        var reasons: [String] = []
        func take(_ answer: GateFixture.Answer, _ name: String) {
            guard let reason = answer.reason else { return }
            reasons.append(reason)
            #expect(answer.text.contains(name), "\(answer.text)")
        }
        for _ in 0..<2 { take(fixture.call("crm__list"), "crm.list") }
        for _ in 0..<5 { take(fixture.call("crm__find"), "crm.find") }
        for run in ["r2", "r3", "r4"] { take(fixture.call("crm__update", ["amount": 2], run: run), "crm.update") }
        fixture.server.contents.withLock { $0.listingFailure = UpstreamFailure(.resting, "it ended") }
        fixture.pass(seconds: 61)
        take(fixture.call("crm__update", ["amount": 3], run: "r5"), "the server of crm.update has ended")
        try Files.remove("\(fixture.live)/fleet.json")
        try fixture.publish([] as [(Bundle, Int64)])
        take(fixture.call("crm__update", ["amount": 4], run: "r6"), "crm__update")
        fixture.gate.close()
        take(fixture.call("crm__update", ["amount": 4], run: "r6"), "crm__update")
        #expect(Set(reasons) == ["budget", "loop", "unavailable", "halted"], "\(reasons)")
    }

    @Test("Whoever asks for an agent, or is it, does not approve for it")
    func asker() throws {
        let fixture = try GateFixture(
            more: "agents: [{agent: support/triage, uid: 7, principal: ADA@example.com}]"
        )
        try fixture.publishPolicy()
        try fixture.publish(open { $0.tools[0].operations["update"]?.approval = .manager })
        #expect(fixture.call("crm__update").reason == "approval-pending")
        let rule = try #require(fixture.desk.contents.withLock { $0.questions.last?.rule })
        #expect(Set(rule.people.keys) == ["bob@example.com"])
        try fixture.publish(open("1.0.1") { $0.tools[0].operations["update"]?.approval = .dual })
        #expect(
            fixture.call("crm__update", run: "r2").reason == "approval-denied",
            "one person is left, and two must agree"
        )
    }
}
