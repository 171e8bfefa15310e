import EnsignGateway
import EnsignModel
import EnsignPolicy
import EnsignTestSupport
import Synchronization
import Testing

@Suite("A call for which people are asked, until it is made")
struct AskingTests {
    private static let call: JSONValue = ["amount": 1]

    /// A gate for which `crm.update` needs somebody's word.
    private func fixture(_ more: String = "", _ change: (inout Bundle) -> Void = { _ in }) throws -> GateFixture {
        let fixture = try GateFixture(more: more)
        try fixture.publishPolicy()
        try fixture.publish(
            open { bundle in
                bundle.tools[0].operations["update"]?.approval = .manager
                change(&bundle)
            }
        )
        return fixture
    }

    private func agree(_ fixture: GateFixture) { answer(fixture, .granted(id: "a1", by: ["ada@example.com"])) }

    private func answer(_ fixture: GateFixture, _ state: ApprovalState?) {
        fixture.desk.contents.withLock { ($0.answer, $0.used) = (state, []) }
    }

    private func update(_ fixture: GateFixture, _ amount: Int64 = 1, run: String? = "r1") -> String? {
        fixture.call("crm__update", ["amount": .integer(amount)], run: run).reason
    }

    // MARK: Counting

    @Test("Whoever asks again and again until somebody agrees is no loop, nor does the call use up its run")
    func polling() throws {
        let fixture = try fixture("limits: {repeatedCalls: 3}") { $0.limits.run.steps = 3 }
        for _ in 0..<40 {
            #expect(update(fixture) == "approval-pending")
            fixture.pass(seconds: 1)
        }
        agree(fixture)
        #expect(update(fixture) == nil)
        for step in 2..<5 {
            let reason = fixture.call("crm__find", ["amount": .integer(Int64(step))]).reason
            #expect(reason == (step < 4 ? nil : "budget"), "a run of three calls makes three")
        }
    }

    @Test("What was made counts: the next call like it is another one")
    func made() throws {
        let fixture = try fixture("limits: {repeatedCalls: 2}")
        for _ in 0..<2 {
            answer(fixture, nil)
            for _ in 0..<5 { #expect(update(fixture) == "approval-pending") }
            agree(fixture)
            #expect(update(fixture) == nil)
        }
        #expect(update(fixture) == "loop")
        #expect(fixture.server.calls.count == 2)
    }

    @Test("A rate counts the call once: what one call an hour is agreed to can be made")
    func rate() throws {
        let fixture = try fixture { $0.tools[0].operations["update"]?.rate = CallRate("1/h") }
        for _ in 0..<3 { #expect(update(fixture) == "approval-pending") }
        #expect(update(fixture, 2) == "budget", "the one that waits has the place")
        agree(fixture)
        #expect(update(fixture) == nil)
        #expect(update(fixture) == "budget")
    }

    @Test("What waits for longer than a rate's period takes a place in the next one: several are not made at once")
    func lateRate() throws {
        let fixture = try fixture { $0.tools[0].operations["update"]?.rate = CallRate("1/m") }
        #expect(update(fixture) == "approval-pending")
        fixture.pass(seconds: 70)
        #expect(update(fixture, 2) == "approval-pending")
        agree(fixture)
        #expect(update(fixture) == "budget", "the second one has this minute")
        #expect(update(fixture, 2) == nil)
        fixture.pass(seconds: 70)
        answer(fixture, .granted(id: "a1", by: ["ada@example.com"]))
        #expect(update(fixture) == nil)
    }

    @Test("The operator's rate of an agent counts each of them")
    func operatorsRate() throws {
        let fixture = try fixture("limits: {stepsPerMinute: 5}")
        for _ in 0..<5 { #expect(update(fixture) == "approval-pending") }
        #expect(update(fixture) == "budget")
        fixture.pass(seconds: 61)
        agree(fixture)
        #expect(update(fixture) == nil)
    }

    @Test("A call that was denied, or for which nobody was asked, counts like any other", arguments: [true, false])
    func denied(_ isDenied: Bool) throws {
        let fixture = try fixture("limits: {repeatedCalls: 3}")
        let until = Timestamp(seconds: fixture.time.now / 1_000_000_000 + 600)
        answer(fixture, isDenied ? .denied(id: "a1", by: "ada@example.com", until: until) : .tooMany(most: 8))
        for _ in 0..<3 { #expect(update(fixture) != "loop") }
        #expect(update(fixture) == "loop")
    }

    @Test("A call that was asked for in time is in time when somebody agrees, however long a run may take")
    func seconds() throws {
        let fixture = try fixture { $0.limits.run.seconds = 60 }
        #expect(update(fixture) == "approval-pending")
        fixture.pass(seconds: 120)
        #expect(update(fixture, 2) == "budget")
        agree(fixture)
        #expect(update(fixture) == nil)
    }

    @Test("A run that is over keeps its place while people are asked for one of its calls")
    func place() throws {
        let fixture = try fixture { bundle in
            bundle.limits.run.seconds = 60
            bundle.limits.runs = 1
        }
        #expect(update(fixture) == "approval-pending")
        let until = Timestamp(seconds: fixture.time.now / 1_000_000_000 + 600)
        answer(fixture, .pending(id: "a1", until: until))
        #expect(update(fixture) == "approval-pending")
        fixture.pass(seconds: 120)
        #expect(update(fixture, 2) == "budget" && update(fixture, run: "r2") == "budget")
        agree(fixture)
        #expect(update(fixture) == nil)
        // Then it is over.
        #expect(update(fixture, 2) == "budget")
        answer(fixture, nil)
        #expect(update(fixture, run: "r2") == "approval-pending")
    }

    // MARK: Observing

    @Test("Of an agent that is only observed nobody is asked, and what was agreed to before is left")
    func observed() throws {
        let fixture = try fixture()
        agree(fixture)
        try fixture.publish(
            open("1.0.1") { bundle in
                bundle.mode = .observe
                bundle.tools[0].operations["update"]?.approval = .manager
            }
        )
        #expect(update(fixture) == nil && fixture.server.calls.count == 1)
        #expect(fixture.desk.contents.withLock { $0.questions.isEmpty && $0.used.isEmpty })
        let lines = fixture.log.lines.withLock { $0 }
        #expect(lines.map(\.kind) == [.intent, .outcome])
        #expect(lines.allSatisfy { $0.verdict == .wouldRefuse } && lines[0].reason == .approvalPending)
    }

    // MARK: Runs

    @Test("In a run that nobody has named a call belongs where people were asked for it, all others to the next run")
    func window() throws {
        let fixture = try fixture()
        func run() -> RunName? { fixture.log.last?.run }
        _ = fixture.call(run: nil)
        let first = try #require(run())
        fixture.pass(seconds: 540)
        let until = Timestamp(seconds: fixture.time.now / 1_000_000_000 + 600)
        answer(fixture, .pending(id: "a1", until: until))
        #expect(update(fixture, run: nil) == "approval-pending")
        fixture.pass(seconds: 100)
        #expect(fixture.call(run: nil).reason == nil && run() != first)
        #expect(update(fixture, 2, run: nil) == "approval-pending" && run() != first)
        agree(fixture)
        #expect(update(fixture, run: nil) == nil)
        #expect(run() == first && fixture.desk.contents.withLock { $0.questions.last?.run } == first)
        answer(fixture, nil)
        #expect(update(fixture, run: nil) == "approval-pending" && run() != first, "it was made")
    }

    @Test("A request that nobody answered in time holds no run")
    func windowOfNobody() throws {
        let fixture = try fixture()
        #expect(update(fixture, run: nil) == "approval-pending")
        let first = try #require(fixture.log.last?.run)
        fixture.pass(seconds: 602)
        #expect(update(fixture, run: nil) == "approval-pending" && fixture.log.last?.run != first)
    }

    @Test("Whose run is a trace is told that another trace needs another approval")
    func trace() throws {
        let fixture = try fixture()
        let parent = "00-\(String(repeating: "a", count: 32))-\(String(repeating: "b", count: 16))-01"
        let answer = fixture.call("crm__update", Self.call, run: nil, traceparent: parent)
        #expect(answer.reason == "approval-pending")
        #expect(answer.text.contains("in the same trace") && answer.text.contains("Ensign-Run"))
        #expect(!fixture.call("crm__update", Self.call, traceparent: parent).text.contains("trace"))
    }
}
