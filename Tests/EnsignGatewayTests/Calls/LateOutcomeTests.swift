import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Synchronization
import Testing

@testable import EnsignGateway

@Suite("A call that may not be repeated, and of which nobody knows what came")
struct LateOutcomeTests {
    private let fixture: GateFixture

    init() throws {
        fixture = try GateFixture()
        try fixture.publish(open())
    }

    private static let timedOut = UpstreamOutcome.unknown(UpstreamFailure(.timedOut, "slow"))

    private func call(_ name: String = "crm__update") -> GateFixture.Answer { fixture.call(name, ["amount": 1]) }

    @Test(
        "It is not sent again for a minute, however soon that was said",
        arguments: [UpstreamFailure.Kind.timedOut, .ended, .malformed]
    )
    func notAgain(kind: UpstreamFailure.Kind) {
        fixture.server.answer(.unknown(UpstreamFailure(kind, "no")))
        #expect(call().reason == "unknown-outcome")
        for _ in 0..<2 { #expect(call().reason == "unknown-outcome") }
        #expect(fixture.server.calls.count == 1)
        #expect(fixture.log.last?.note == "joined the same call" && fixture.log.last?.intent == 1)
        // Another one is none of it.
        #expect(fixture.call("crm__update", ["amount": 2]).text == "fine")
    }

    @Test("What only reads is sent again at once")
    func reading() {
        fixture.server.answer(Self.timedOut)
        #expect(call("crm__find").reason == "unknown-outcome")
        #expect(call("crm__find").text == "fine")
        #expect(fixture.server.last?.late == nil && fixture.server.calls.count == 2)
    }

    @Test(
        "A late answer is on record, and is what the same call is told from then on",
        arguments: [true, false]
    )
    func late(comesAtOnce: Bool) throws {
        fixture.server.answer(Self.timedOut)
        let say: @Sendable () -> Void = { [server = fixture.server] in server.last?.late?(MemoryServer.fine) }
        if comesAtOnce { fixture.server.contents.withLock { $0.whenCalled = say } }
        #expect(call().reason == "unknown-outcome")
        if !comesAtOnce {
            #expect(call().reason == "unknown-outcome")
            say()
        }
        for _ in 0..<2 { #expect(call().text == "fine") }
        #expect(fixture.server.calls.count == 1)
        let ends = fixture.log.lines.withLock { $0.filter { $0.kind == .outcome } }
        #expect(ends.allSatisfy { $0.intent == 1 } && ends.first?.outcome == .timeout)
        #expect(ends.filter { $0.note == "it came late" }.map(\.outcome) == [.ok])
    }

    @Test("A late answer says what came of what people agreed to")
    func agreed() throws {
        try fixture.publishPolicy()
        try fixture.publish(open { $0.tools[0].operations["update"]?.approval = .manager })
        fixture.desk.contents.withLock { $0.answer = .granted(id: "a1", by: ["ada@example.com"]) }
        fixture.server.answer(Self.timedOut)
        #expect(call().reason == "unknown-outcome")
        #expect(fixture.desk.contents.withLock { $0.ended.isEmpty })
        fixture.server.last?.late?(MemoryServer.fine)
        #expect(fixture.desk.contents.withLock { $0.ended } == ["a1"])
    }

    @Test("An answer that is too late changes nothing of the same call that was made since")
    func tooLate() throws {
        fixture.server.answer(Self.timedOut)
        #expect(call().reason == "unknown-outcome")
        let late = try #require(fixture.server.last?.late)
        let folder = "\(fixture.state)/flights"
        for file in try Files.list(folder) ?? [] { try Files.remove("\(folder)/\(file)") }
        fixture.server.answer(Self.timedOut)
        #expect(call().reason == "unknown-outcome")
        late(MemoryServer.fine)
        #expect(call().reason == "unknown-outcome" && fixture.server.calls.count == 2)
    }
}
