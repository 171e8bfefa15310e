import EnsignMCP
import EnsignModel
import EnsignPolicy
import EnsignSystem
import EnsignTestSupport
import Glibc
import Synchronization
import Testing

@testable import EnsignGateway

@Suite("Making a call")
struct MakingTests {
    @Test("A call that was sent and not answered may have happened, and is not sent again")
    func unknownOutcome() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        fixture.server.answer(.unknown(UpstreamFailure(.ended, "gone")))
        let answer = fixture.call("crm__update")
        #expect(answer.reason == "unknown-outcome" && answer.text.contains("look before you repeat"))
        #expect(fixture.server.calls.count == 1)
        #expect(fixture.log.kinds == [.intent, .outcome] && fixture.log.last?.outcome == .unknown)
    }

    @Test("Of a call that only reads nobody is told to look before it is repeated, and what is idempotent is looked at")
    func unknownReading() throws {
        let fixture = try GateFixture()
        try fixture.publish(open { $0.tools[0].operations["update"]?.idempotent = true })
        for (name, advice) in [("crm__find", "call it again"), ("crm__update", "look before you repeat")] {
            fixture.server.answer(.unknown(UpstreamFailure(.timedOut, "slow")))
            let answer = fixture.call(name)
            #expect(answer.reason == "unknown-outcome" && answer.text.contains(advice))
            #expect(answer.text.contains("may have happened") == (name == "crm__update"))
            #expect(fixture.log.last?.outcome == .timeout)
        }
    }

    @Test("The server's own definition goes with a call, for what headers say: not the schema that models see")
    func definition() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        let input: JSONValue = ["properties": ["customer": ["type": "string", "x-mcp-header": "Customer"]]]
        fixture.server.contents.withLock { $0.listing = ServerListing(tools: [.init(name: "find", input: input)]) }
        #expect(fixture.call("crm__find", ["customer": "c"]).reason == nil)
        #expect(fixture.server.contents.withLock { $0.calls.last?.input } == input)
    }

    @Test("What is stopped because the gateway ends says so, and not that its client did it")
    func stopped() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        fixture.server.gate.update { $0 = false }
        let end = Cancellation()
        let thread = try Thread {
            let answer = fixture.call("crm__find", cancellation: end)
            #expect(answer.reason == "unknown-outcome" && answer.text.contains("the gateway is being stopped"))
        }
        while fixture.server.calls.isEmpty { Machine.pause(milliseconds: 1) }
        fixture.gate.close()
        end.cancel()
        thread.join()
        #expect(fixture.call("crm__find").reason == "unavailable")
    }

    @Test("A server that does not come to serve because the gateway ends was not asked")
    func notStarted() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        fixture.server.contents.withLock { contents in
            contents.listingFailure = UpstreamFailure(.cancelled, "the gateway is being stopped")
            contents.whenListing = { [unowned fixture] in fixture.gate.close() }
        }
        let answer = fixture.call("crm__update")
        #expect(answer.reason == "unavailable" && answer.text.contains("the gateway is being stopped"))
        #expect(answer.text.contains("Nothing was done") && fixture.log.kinds == [.refused])
    }

    @Test(
        "What was certainly not sent is tried once more only where it may be repeated",
        arguments: [UpstreamFailure.Kind.unreachable, .forgotten]
    )
    func retries(kind: UpstreamFailure.Kind) throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        let lost = UpstreamOutcome.notSent(UpstreamFailure(kind, "gone"))
        fixture.server.answer(lost, lost)
        let refusal = fixture.call("crm__update")
        #expect(refusal.reason == "unavailable" && refusal.text.contains("Nothing was done. Try again"))
        #expect(fixture.server.calls.count == 1)
        fixture.server.answer(lost)
        #expect(fixture.call("crm__find").reason == nil)
        #expect(fixture.server.calls.count == 3)
    }

    @Test("A call that met a server that had ended is made once more, whatever it does: nothing of it was sent")
    func ended() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        let lost = UpstreamOutcome.notSent(UpstreamFailure(.ended, "gone"))
        fixture.server.answer(lost)
        #expect(fixture.call("crm__update").reason == nil)
        #expect(fixture.server.calls.count == 2)
        fixture.server.answer(lost, lost)
        #expect(fixture.call("crm__update").text.contains("Nothing was done. Try again"))
        #expect(fixture.server.calls.count == 4)
    }

    @Test("Five failures of the transport rest a server for half a minute; refusals and errors of it do not")
    func breaker() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        fixture.server.answer(.refused(code: -32_602, message: "no"), .result(["content": [], "isError": true]))
        for _ in 0..<2 { #expect(fixture.call("crm__update").isError) }
        // Bad answers came: they are the fault of one tool.
        for _ in 0..<6 {
            fixture.server.answer(.unknown(UpstreamFailure(.malformed, "no content")))
            #expect(fixture.call("crm__list").reason == "unknown-outcome")
        }
        for kind in [UpstreamFailure.Kind.malformed, .unauthorized] {
            fixture.server.contents.withLock { $0.listingFailure = UpstreamFailure(kind, "no list") }
            for _ in 0..<6 { #expect(fixture.call("crm__list").reason == "unavailable") }
        }
        fixture.server.contents.withLock { $0.listingFailure = nil }
        let failure = UpstreamOutcome.unknown(UpstreamFailure(.timedOut, "slow"))
        // Of one and the same call that would be told again.
        for number in Int64(0)..<5 {
            fixture.server.answer(failure)
            #expect(fixture.call("crm__update", ["amount": .integer(number)]).reason == "unknown-outcome")
        }
        let before = fixture.server.calls.count
        #expect(fixture.call("crm__update", ["amount": 5]).reason == "unavailable")
        #expect(fixture.server.calls.count == before)
    }

    @Test(
        "A status of HTTP is an answer: it is named, counts for no rest, and nothing is sent again",
        arguments: [404, 429]
    )
    func answeredStatus(_ status: Int) throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        let failure = UpstreamFailure(.answered(status: status), "HTTP")
        for count in 1...7 {
            fixture.server.answer(.notSent(failure))
            let answer = fixture.call("crm__find", ["amount": .integer(Int64(count))])
            #expect(
                answer.reason == "unavailable" && answer.text.contains("the server of crm.find answered HTTP \(status)")
            )
            #expect(answer.text.contains("Try again later") == (status == 429))
            #expect(fixture.server.calls.count == count)
        }
        // So is one to the question what it offers.
        fixture.server.contents.withLock { $0.listingFailure = failure }
        for _ in 0..<7 { #expect(fixture.call("crm__find").text.contains("answered HTTP \(status)")) }
        fixture.server.contents.withLock { $0.listingFailure = nil }
        #expect(fixture.call("crm__find").text == "fine")
    }

    @Test("After its rest one call asks a server, and what comes of it counts for all")
    func halfOpen() throws {
        let time = Mutex(ContinuousClock.now)
        let breaker = CircuitBreaker { time.withLock { $0 } }
        for _ in 0..<5 { breaker.failed(try #require(breaker.admits())) }
        #expect(breaker.admits() == nil)
        time.withLock { $0 += .seconds(31) }
        let probe = try #require(breaker.admits())
        #expect(breaker.admits() == nil, "one asks at a time")
        breaker.failed(probe)
        #expect(breaker.admits() == nil)
        time.withLock { $0 += .seconds(31) }
        #expect(breaker.admits() != nil)
        breaker.succeeded()
        #expect(breaker.admits() != nil && breaker.admits() != nil)
    }

    @Test("Whoever called before a server rested lets nobody in beside the one who asks")
    func lateCalls() throws {
        let time = Mutex(ContinuousClock.now)
        let breaker = CircuitBreaker { time.withLock { $0 } }
        let (late, lost) = (try #require(breaker.admits()), try #require(breaker.admits()))
        for _ in 0..<5 { breaker.failed(try #require(breaker.admits())) }
        time.withLock { $0 += .seconds(31) }
        let probe = try #require(breaker.admits())
        breaker.passed(late)
        breaker.failed(lost)
        #expect(breaker.admits() == nil)
        breaker.passed(probe)
        let next = try #require(breaker.admits())
        breaker.passed(probe)
        #expect(breaker.admits() == nil, "a probe that is over says nothing about the next one")
        breaker.succeeded()
        _ = next
    }

    @Test("An impatient client that asks again gets the same outcome of one call")
    func singleFlight() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        fixture.server.gate.update { $0 = false }
        let answers = Mutex<[Bool]>([])
        let threads = try (0..<3).map { _ in
            try Thread {
                let answer = fixture.call("crm__update", ["amount": 1])
                answers.withLock { $0.append(answer.text == "fine") }
            }
        }
        while fixture.server.calls.isEmpty || fixture.log.kinds.isEmpty { Machine.pause(milliseconds: 1) }
        // Two of them wait for the first one.
        let deadline = ContinuousClock.now + .milliseconds(200)
        while ContinuousClock.now < deadline { Machine.pause(milliseconds: 10) }
        fixture.server.gate.update { $0 = true }
        for thread in threads { thread.join() }
        #expect(fixture.server.calls.count == 1)
        #expect(answers.withLock { $0 } == [true, true, true])
    }

    @Test("An outcome that nobody was there to take is kept for the same call")
    func unclaimed() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        let gone = Cancellation()
        fixture.server.gate.update { $0 = false }
        let thread = try Thread { _ = fixture.call("crm__update", ["amount": 1], cancellation: gone) }
        while fixture.server.calls.isEmpty { Machine.pause(milliseconds: 1) }
        gone.cancel()
        fixture.server.gate.update { $0 = true }
        thread.join()
        #expect(fixture.call("crm__update", ["amount": 1]).text == "fine")
        #expect(fixture.server.calls.count == 1)
        // It was taken: the next one is a call of its own.
        #expect(fixture.call("crm__update", ["amount": 1]).text == "fine")
        #expect(fixture.server.calls.count == 2)
    }

    @Test("An outcome whose client has gone without a word, before it came or was told, is kept")
    func lost() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        // Nobody has said so yet, but the connection is closed.
        _ = fixture.call("crm__update", ["amount": 1], cancellation: Cancellation { true })
        #expect(fixture.call("crm__update", ["amount": 1]).text == "fine" && fixture.server.calls.count == 1)
        // It was there a moment ago, and cannot be told.
        let late = Cancellation()
        _ = fixture.call("crm__update", ["amount": 2], cancellation: late)
        late.lose()
        late.lose()
        let joining = Cancellation()
        #expect(fixture.call("crm__update", ["amount": 2], cancellation: joining).text == "fine")
        joining.lose()
        #expect(fixture.call("crm__update", ["amount": 2]).text == "fine" && fixture.server.calls.count == 2)
        #expect(fixture.call("crm__update", ["amount": 2]).text == "fine" && fixture.server.calls.count == 3)
        // What may be repeated is made again.
        _ = fixture.call("crm__find", cancellation: late)
        late.lose()
        #expect(fixture.call("crm__find").text == "fine" && fixture.server.calls.count == 5)
        // But where its client was gone before it was over.
        _ = fixture.call("crm__find", cancellation: Cancellation { true })
        #expect(fixture.call("crm__find").text == "fine" && fixture.server.calls.count == 6)
    }

    @Test("Who joins a call that changes something and leaves is not told that it is not done")
    func leftJoined() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        fixture.server.gate.update { $0 = false }
        let first = try Thread { _ = fixture.call("crm__update", ["amount": 1]) }
        while fixture.server.calls.isEmpty { Machine.pause(milliseconds: 1) }
        let leaving = Cancellation()
        let answer = Mutex<GateFixture.Answer?>(nil)
        let second = try Thread {
            let got = fixture.call("crm__update", ["amount": 1], cancellation: leaving)
            answer.withLock { $0 = got }
        }
        let key = try SingleFlight.Key(
            agent: GateFixture.agent,
            run: "r1",
            bundle: #require(fixture.log.last?.bundle),
            operation: "crm.update",
            arguments: ["amount": 1]
        )
        while !fixture.gate.flights.isWaitedFor(key) { Machine.pause(milliseconds: 1) }
        leaving.cancel()
        second.join()
        let told = try #require(answer.withLock { $0 })
        #expect(told.reason == "unknown-outcome" && told.text.contains("may have happened"))
        fixture.server.gate.update { $0 = true }
        first.join()
        for _ in 0..<2 { #expect(fixture.call("crm__update", ["amount": 1]).text == "fine") }
        #expect(fixture.server.calls.count == 1 && !fixture.log.kinds.contains(.refused))
    }

    @Test("What somebody else waits for goes on when its first caller leaves", arguments: ["crm__find", "crm__update"])
    func shared(name: String) throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        fixture.server.gate.update { $0 = false }
        let leaving = Cancellation()
        let first = try Thread { _ = fixture.call(name, ["amount": 1], cancellation: leaving) }
        while fixture.server.calls.isEmpty { Machine.pause(milliseconds: 1) }
        let answer = Mutex<GateFixture.Answer?>(nil)
        let second = try Thread {
            let got = fixture.call(name, ["amount": 1])
            answer.withLock { $0 = got }
        }
        let key = try SingleFlight.Key(
            agent: GateFixture.agent,
            run: "r1",
            bundle: #require(fixture.log.last?.bundle),
            operation: name.replacing("__", with: "."),
            arguments: ["amount": 1]
        )
        while !fixture.gate.flights.isWaitedFor(key) { Machine.pause(milliseconds: 1) }
        leaving.cancel()
        fixture.server.gate.update { $0 = true }
        for thread in [first, second] { thread.join() }
        #expect(answer.withLock { $0?.text } == "fine")
        #expect(fixture.server.calls.count == 1)
    }

    @Test("A call that may be repeated and was cancelled leaves nothing behind: asked again, it is made anew")
    func givenUp() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        for round in 1...3 {
            fixture.server.gate.update { $0 = false }
            let leaving = Cancellation()
            let answer = Mutex<GateFixture.Answer?>(nil)
            let thread = try Thread {
                let got = fixture.call("crm__find", ["amount": 1], cancellation: leaving)
                answer.withLock { $0 = got }
            }
            while fixture.server.calls.count < round * 2 - 1 { Machine.pause(milliseconds: 1) }
            leaving.cancel()
            thread.join()
            #expect(answer.withLock { $0?.reason } == "unknown-outcome")
            fixture.server.gate.update { $0 = true }
            #expect(fixture.call("crm__find", ["amount": 1]).text == "fine")
            #expect(fixture.server.calls.count == round * 2)
        }
    }

    @Test("A call that needs a person waits for one, is made once, and not again by the same approval")
    func approval() throws {
        let fixture = try GateFixture()
        try fixture.publish(open { $0.tools[0].operations["update"]?.approval = .manager })
        #expect(fixture.call("crm__update").reason == "approval-denied", "nobody has a key")
        try fixture.publishPolicy()
        let pending = fixture.call("crm__update")
        #expect(pending.reason == "approval-pending" && pending.text.contains("exactly these arguments"))
        #expect(fixture.server.calls.isEmpty)
        fixture.desk.contents.withLock { $0.answer = .granted(id: "a1", by: ["ada@example.com"]) }
        #expect(fixture.call("crm__update").reason == nil)
        #expect(fixture.call("crm__update").reason == "unavailable", "it was used up")
        #expect(fixture.server.calls.count == 1)
        fixture.desk.contents.withLock {
            $0.answer = .denied(id: "a2", by: "ada@example.com", until: Timestamp(seconds: 0))
        }
        #expect(fixture.call("crm__update").reason == "approval-denied")
    }

    @Test(
        "An approval is over when it is known what came of its call",
        arguments: [
            (UpstreamOutcome.result(MemoryServer.fine), true), (.result(["content": [], "isError": true]), true),
            (.notSent(UpstreamFailure(.ended, "gone")), true), (.unknown(UpstreamFailure(.ended, "gone")), false),
            (.unknown(UpstreamFailure(.timedOut, "slow")), false),
        ]
    )
    func approvalEnds(_ came: UpstreamOutcome, _ isKnown: Bool) throws {
        let fixture = try GateFixture()
        try fixture.publish(open { $0.tools[0].operations["update"]?.approval = .manager })
        try fixture.publishPolicy()
        fixture.desk.contents.withLock { $0.answer = .granted(id: "a1", by: ["ada@example.com"]) }
        fixture.server.answer(came)
        _ = fixture.call("crm__update")
        #expect(fixture.desk.contents.withLock { $0.ended } == (isKnown ? ["a1"] : []))
        let until = Timestamp(seconds: 0)
        fixture.desk.contents.withLock { $0.answer = .pending(id: "a2", until: until, mayHaveHappened: "a1") }
        let text = fixture.call("crm__update", ["amount": 2]).text
        #expect(text.contains("by approval a1, may have happened before"))
    }

    @Test("Who comes too late to an approval is told what holds: people are asked again")
    func late() throws {
        let fixture = try GateFixture()
        try fixture.publish(open { $0.tools[0].operations["update"]?.approval = .manager })
        try fixture.publishPolicy()
        fixture.desk.contents.withLock { contents in
            contents.answer = .granted(id: "a1", by: ["ada@example.com"])
            contents.used = ["a1"]
            contents.answerToTheLate = .pending(id: "a2", until: Timestamp(seconds: 0))
        }
        let answer = fixture.call("crm__update")
        #expect(answer.reason == "approval-pending" && answer.text.contains("a2"))
        #expect(fixture.server.calls.isEmpty)
    }

    @Test("A definition that is not the pinned one stops calls, whoever pinned it")
    func pins() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        #expect(fixture.call("crm__find").reason == nil)
        let changed = ServerListing.Tool(name: "find", input: ["type": "object", "properties": ["all": [:]]])
        fixture.server.contents.withLock { $0.listing.tools[0] = changed }
        #expect(fixture.call("crm__find").reason == "pinned")
        let digest = ToolPin.digest(name: "find", input: changed.input, output: nil)
        try fixture.publish(open("1.0.1") { $0.tools[0].operations["find"]?.pin = digest })
        #expect(fixture.call("crm__find", run: "r2").reason == nil)
        let loose = try GateFixture(more: "pins: reads")
        try loose.publish(open())
        for name in ["crm__find", "crm__update"] { #expect(loose.call(name).reason == nil) }
        loose.server.contents.withLock { contents in
            contents.listing.tools[0] = changed
            contents.listing.tools[1] = ServerListing.Tool(name: "update", input: ["type": "array"])
        }
        #expect(loose.call("crm__find").reason == nil)
        #expect(loose.call("crm__update").reason == "pinned")
    }

    @Test("What a server lists twice counts as changed where the definitions differ, whichever of them comes first")
    func listedTwice() throws {
        for (isOther, isFirst) in [(true, true), (true, false), (false, true)] {
            let fixture = try GateFixture()
            try fixture.publish(open())
            let reviewed = fixture.server.contents.withLock { $0.listing.tools[0] }
            let other = ServerListing.Tool(name: "find", input: ["type": "object", "properties": ["all": [:]]])
            fixture.server.contents.withLock { contents in
                contents.listing.tools.insert(isOther ? other : reviewed, at: isFirst ? 0 : 2)
            }
            #expect(fixture.call("crm__find").reason == (isOther ? "pinned" : nil))
            #expect(fixture.call("crm__update").reason == nil)
            // Nothing of it was taken for what was first seen.
            fixture.server.contents.withLock { $0.listing.tools[0] = other }
            fixture.server.contents.withLock { $0.listing.tools.removeAll { $0 == reviewed } }
            #expect(fixture.call("crm__find", run: "r2").reason == (isOther ? nil : "pinned"))
            let notes = fixture.log.lines.withLock { $0.compactMap(\.note) }
            #expect(notes.contains("the server lists crm.find twice, with different definitions") == isOther)
        }
    }

    @Test("Two live versions that map an operation to different tools of the server do not block each other")
    func pinsOfVersions() throws {
        let fixture = try GateFixture()
        func publish(_ version: String, _ serverTool: String?) throws {
            try fixture.publish(open(version) { $0.tools[0].operations["find"]?.serverTool = serverTool })
        }
        for (run, serverTool) in [("r1", nil), ("r2", "list"), ("r3", nil), ("r4", "list")] {
            try publish("1.0.\(run.dropFirst())", serverTool)
            #expect(fixture.call("crm__find", run: run).reason == nil)
        }
        #expect(fixture.server.calls == ["find {}", "list {}", "find {}", "list {}"])
    }

    @Test("Pins hold for an agent that is only observed, granted or not", arguments: ["crm__find", "crm__secret"])
    func observedPins(name: String) throws {
        let fixture = try GateFixture(more: "pins: reads")
        try fixture.publish(open { $0.mode = .observe })
        #expect(fixture.call(name).reason == nil)
        fixture.server.contents.withLock { contents in
            contents.listing.tools = contents.listing.tools.map {
                ServerListing.Tool(name: $0.name, input: ["type": "object", "properties": ["all": [:]]])
            }
        }
        // Nobody has said of what is not granted that it only reads.
        #expect(fixture.call(name).reason == (name == "crm__find" ? nil : "pinned"))
        fixture.server.contents.withLock { $0.listing.tools = [] }
        #expect(fixture.call(name).reason == "unavailable", "what a server does not offer has no definition")
    }

    @Test("Where nothing can be recorded only what reads goes on")
    func diskFull() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        fixture.log.isFull.set()
        #expect(fixture.call("crm__find").reason == nil)
        #expect(fixture.call("crm__update").reason == "unavailable")
        #expect(fixture.server.calls == ["find {}"])
    }

    @Test("A tool is off where the manifest names another server, or credentials that its line does not list")
    func otherServer() throws {
        let fixture = try GateFixture()
        try fixture.publish(open { $0.tools[0].server = ["mcp": ["command": ["crm", "--all"]]] })
        #expect(fixture.call("crm__list").reason == "unavailable")
        try fixture.publish(open { $0.tools[0].server = ["mcp": ["url": "https://evil.example.com/mcp"]] })
        #expect(fixture.call("crm__list", run: "r2").reason == "unavailable")
        // Another folder of the same program, and an environment that the manifest asks for, change nothing.
        try fixture.publish(
            open { $0.tools[0].server = ["mcp": ["command": ["/opt/crm"], "env": ["LD_PRELOAD": "/tmp/x.so"]]] }
        )
        #expect(fixture.call("crm__list", run: "r3").reason == nil)
        #expect(fixture.server.calls.count == 1)
    }

    @Test("A result that does not fit its schema is withheld, or with 'warn' passed on")
    func outputSchema() throws {
        func answer(_ more: String, _ result: JSONValue) throws -> GateFixture.Answer {
            let fixture = try GateFixture(more: more)
            let output: JSONValue = ["type": "object", "properties": ["id": ["type": "integer"]], "required": ["id"]]
            try fixture.publish(open { $0.tools[0].operations["find"]?.output = output })
            fixture.server.answer(.result(result))
            return fixture.call("crm__find")
        }
        let good: JSONValue = ["content": [["type": "text", "text": "x"]], "structuredContent": ["id": 1]]
        let bad: JSONValue = ["content": [["type": "text", "text": "x"]], "structuredContent": ["id": "1"]]
        #expect(try !answer("", good).isError)
        #expect(try answer("", bad).isError)
        #expect(try answer("output: warn", bad).text == "x")
        #expect(try answer("", ["content": [["type": "text", "text": "no id here"]]]).isError)
        #expect(
            try answer("", ["content": [["type": "text", "text": #"{"id": 3}"#]]]).value["structuredContent"] == [
                "id": 3
            ]
        )
        #expect(try answer("", ["content": [["type": "text", "text": "failed"]], "isError": true]).text == "failed")
    }

    @Test(
        "A schema of another type than an object's holds any JSON value, structured or as the only text",
        arguments: [
            (["type": "array", "items": ["type": "integer"]], [1, 2], ["x"]), (["type": "string"], "x", 7),
            (["type": ["number", "null"]], 7, [:]), (["type": "boolean"], false, ["a": 1]),
        ] as [(JSONValue, JSONValue, JSONValue)]
    )
    func anyType(schema: JSONValue, good: JSONValue, bad: JSONValue) throws {
        func answer(_ result: JSONValue) throws -> GateFixture.Answer {
            let fixture = try GateFixture()
            try fixture.publish(open { $0.tools[0].operations["find"]?.output = schema })
            fixture.server.answer(.result(result))
            return fixture.call("crm__find")
        }
        for (value, isError) in [(good, nil), (bad, true)] as [(JSONValue, JSONValue?)] {
            let shown = isError == nil ? value : nil
            let structured = try answer(["content": [["type": "text", "text": "words"]], "structuredContent": value])
            #expect(structured.value["isError"] == isError && structured.value["structuredContent"] == shown)
            let text = try answer(["content": [["type": "text", "text": .string(value.text)]]])
            #expect(text.value["isError"] == isError && text.value["structuredContent"] == shown)
        }
    }

    @Test("Without a schema structured content of any kind is passed on, and only an object is made of a text for one")
    func anyValue() throws {
        func answer(_ output: JSONValue?, _ result: JSONValue) throws -> JSONValue {
            let fixture = try GateFixture()
            try fixture.publish(open { $0.tools[0].operations["find"]?.output = output })
            fixture.server.answer(.result(result))
            return fixture.call("crm__find").value
        }
        #expect(try answer(nil, ["content": [], "structuredContent": [1]])["structuredContent"] == [1])
        #expect(try answer(nil, ["content": [], "structuredContent": .null])["structuredContent"] == nil)
        let text: JSONValue = ["content": [["type": "text", "text": "[1]"]]]
        for output: JSONValue in [["type": "object"], ["properties": [:]]] {
            #expect(try answer(output, text)["isError"] == true)
        }
    }

    @Test("An error keeps its words, and its structured content only where that fits the schema")
    func errorsAndSchemas() throws {
        func answer(_ more: String, _ structured: JSONValue) throws -> GateFixture.Answer {
            let fixture = try GateFixture(more: more)
            let output: JSONValue = ["type": "object", "properties": ["id": ["type": "integer"]], "required": ["id"]]
            try fixture.publish(open { $0.tools[0].operations["find"]?.output = output })
            let content: JSONValue = [["type": "text", "text": "failed"]]
            fixture.server.answer(.result(["content": content, "structuredContent": structured, "isError": true]))
            let answer = fixture.call("crm__find")
            #expect(answer.isError && answer.text == "failed" && fixture.log.last?.outcome == .toolError)
            return answer
        }
        #expect(try answer("", ["id": 1]).value["structuredContent"] == ["id": 1])
        #expect(try answer("", ["evil": "words"]).value["structuredContent"] == nil)
        #expect(try answer("output: warn", ["evil": "words"]).value["structuredContent"] == ["evil": "words"])
    }

    @Test("No schema holds the words beside structured content")
    func wordsBeside() throws {
        let fixture = try GateFixture()
        try fixture.publish(open { $0.tools[0].operations["find"]?.output = ["type": "object", "required": ["id"]] })
        let words: JSONValue = [["type": "text", "text": "Beside it."]]
        fixture.server.answer(.result(["content": words, "structuredContent": ["id": 1]]))
        #expect(fixture.call("crm__find").text == "Beside it.")
    }

    @Test("A result must fit the output schemas of the run's bundle and of the present one")
    func bothOutputSchemas() throws {
        func output(_ properties: [String]) -> JSONValue {
            ["type": "object", "required": .array(properties.map(JSONValue.string))]
        }
        func publish(_ version: String, _ output: JSONValue?, in fixture: GateFixture) throws {
            try fixture.publish(open(version) { $0.tools[0].operations["find"]?.output = output })
        }
        let changes: [(then: JSONValue?, now: JSONValue?)] = [
            (output(["id"]), output([])), (output([]), output(["id"])), (output(["id"]), nil), (nil, output(["id"])),
        ]
        for (then, now) in changes {
            let fixture = try GateFixture()
            try publish("1.0.0", then, in: fixture)
            #expect(fixture.call("crm__list").reason == nil)
            try publish("1.0.1", now, in: fixture)
            let result: JSONValue = ["content": [["type": "text", "text": "x"]], "structuredContent": ["name": "n"]]
            fixture.server.answer(.result(result), .result(result))
            #expect(fixture.call("crm__find").isError, "in the run that began before")
            // The run's own schema says nothing in a new run.
            #expect(fixture.call("crm__find", run: "r2").isError == (now == output(["id"])))
        }
    }

    @Test("A secret that a server echoes is cut out of its result, and read again when it is refused")
    func secrets() throws {
        let scratch = try ScratchDirectory()
        let resolver = try scratch.write("resolve", "#!/bin/sh\necho x >> \(scratch.path)/asked\necho s3cr3t-\"$1\"\n")
        #expect(unsafe Glibc.chmod(resolver, 0o755) == 0)
        let fixture = try GateFixture(
            more: "credentials: {vault: {command: [\(resolver)]}}",
            upstream: "{command: [/usr/bin/crm], references: [\"vault:crm\"], env: {TOKEN: \"{credentials}\"}}"
        )
        try fixture.publish(open { $0.tools[0].credentials = "vault:crm" })
        fixture.server.answer(.result(["content": [["type": "text", "text": "I got s3cr3t-vault:crm"]]]))
        #expect(fixture.call("crm__find").text == "I got [credentials]")
        let filled = try fixture.server.secrets.withLock { try $0?() } ?? []
        #expect(filled.map(\.value) == ["s3cr3t-vault:crm"])
        fixture.server.answer(.notSent(UpstreamFailure(.unauthorized, "401")))
        #expect(fixture.call("crm__update").reason == nil)
        #expect(try scratch.read("asked").count == 4, "read once, and once again")
        let before = fixture.server.calls.count
        fixture.server.answer(.notSent(UpstreamFailure(.answered(status: 403), "403")))
        #expect(fixture.call("crm__update", ["amount": 2]).text.contains("answered HTTP 403"))
        #expect(try scratch.read("asked").count == 4 && fixture.server.calls.count == before + 1, "an answer is one")
        let no = UpstreamFailure(.unauthorized, "401")
        fixture.server.answer(.notSent(no), .notSent(no))
        #expect(fixture.call("crm__find").text.contains("the server of crm.find refuses the credentials"))
        fixture.server.contents.withLock { $0.listingFailure = no }
        #expect(fixture.call("crm__find").text.contains("the server of crm.find refuses the credentials"))
        fixture.server.contents.withLock { $0.listingFailure = nil }
        try fixture.publish(open("1.0.2") { $0.tools[0].credentials = "vault:other" })
        #expect(fixture.call("crm__find", run: "r2").reason == "unavailable")
    }

    @Test(
        "A resolver that fails, says nothing or is slow gives no secret, and the call fails",
        arguments: [
            "exit 3", "true", "sleep 5; echo late",
        ]
    )
    func badResolver(_ body: String) throws {
        let scratch = try ScratchDirectory()
        let resolver = try scratch.write("resolve", "#!/bin/sh\n\(body)\n")
        #expect(unsafe Glibc.chmod(resolver, 0o755) == 0)
        let shelf = SecretShelf(["vault": [resolver]], deadline: .milliseconds(300))
        #expect(throws: UpstreamFailure.self) { try shelf.secret("vault:x") }
        #expect(shelf.cutter.cut("late") == "late")
    }
}
