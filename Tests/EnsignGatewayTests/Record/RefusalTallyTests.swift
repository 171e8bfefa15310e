import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Synchronization
import Testing

@testable import EnsignGateway

@Suite("Refusals that come in floods")
struct RefusalTallyTests {
    private let agent = AgentID(team: "support", name: "triage")
    private let other = AgentID(team: "support", name: "other")
    private let log = MemoryLog()
    private let tally = RefusalTally()

    private func refuse(
        _ agent: AgentID,
        at seconds: Int64,
        _ reason: Refusal.Reason = .unavailable
    ) -> Int64? {
        var decision = Decision(.refused, agent: agent)
        decision.reason = reason
        return tally.number(of: decision, agent, in: log, now: Timestamp(seconds: seconds)).number
    }

    private var notes: [String] { log.lines.withLock { $0.compactMap(\.note) } }

    @Test("The first of a minute have a line each; the others have the number of the last one, and a line together")
    func flood() {
        for number in Int64(1)...20 { #expect(refuse(agent, at: 0) == number) }
        for _ in 0..<100_000 { #expect(refuse(agent, at: 59) == 20) }
        #expect(log.kinds.count == 20)
        #expect(refuse(other, at: 59) == 21, "another agent has lines of its own")
        tally.settle(in: log, now: Timestamp(seconds: 60))
        #expect(
            notes == [
                "100000 more calls found no room within a minute from 1970-01-01T00:00:00Z on, answered with the number 20"
            ]
        )
        #expect(refuse(agent, at: 61) == 23)
        tally.settle(in: log, now: nil)
        #expect(log.kinds.count == 23, "what has its own line is not counted again")
    }

    @Test("An hour of it is at most 21 lines a minute, also while the clock goes back")
    func hour() {
        for second in Int64(0)..<3_600 {
            for _ in 0..<50 { _ = refuse(agent, at: second) }
        }
        #expect(log.kinds.count <= 21 * 60)
        for second in (Int64(-100)..<0).reversed() { for _ in 0..<50 { _ = refuse(agent, at: second) } }
        #expect(log.kinds.count <= 21 * 60 + 21 * 101)
    }

    @Test("What cannot be written is counted, and written when it can")
    func full() {
        let full = MemoryLog()
        full.isFull.set()
        let decision = Decision(.refused, agent: agent)
        #expect(tally.number(of: decision, agent, in: full, now: Timestamp(seconds: 0)).number == nil)
        tally.settle(in: full, now: Timestamp(seconds: 100))
        tally.settle(in: log, now: Timestamp(seconds: 100))
        #expect(notes.map { $0.prefix(6) } == ["1 more"])
        tally.settle(in: log, now: Timestamp(seconds: 100))
        #expect(notes.count == 1)
    }

    @Test("A gate that has no room for an agent's call says so in the log, and sums up the flood")
    func gate() throws {
        let fixture = try GateFixture(more: "limits: {callsInFlight: 1}")
        try fixture.publish(open())
        fixture.server.gate.update { $0 = false }
        let thread = try Thread { _ = fixture.call("crm__update", ["amount": 1]) }
        while fixture.server.calls.isEmpty { Machine.pause(milliseconds: 1) }
        let before = fixture.log.kinds.count
        for _ in 0..<50 {
            #expect(fixture.call("crm__update", ["amount": 2]).value["_meta"]?["dev.ensign/decision"] != nil)
        }
        let session = Session(agent: GateFixture.agent, run: RunName("r", .header))
        let call = IncomingCall(
            name: "crm__update",
            arguments: [:],
            protocolVersion: "2025-11-25",
            cancellation: Cancellation()
        )
        #expect(fixture.gate.refuse(call, .noRoom(call.name), in: session)["_meta"]?["dev.ensign/decision"] != nil)
        #expect(fixture.log.kinds.count == before + 21, "another reason")
        fixture.server.gate.update { $0 = true }
        thread.join()
        fixture.gate.settle(all: true)
        #expect(fixture.log.last?.note?.hasPrefix("30 more calls were refused") == true)
        #expect(fixture.log.last?.reason == .budget)
    }

    @Test("Each reason is counted for itself, and named by the line that stands for many")
    func reasons() {
        for _ in 0..<25 { _ = refuse(agent, at: 0, .notGranted) }
        #expect(refuse(agent, at: 0) == 21)
        for _ in 0..<25 { _ = refuse(agent, at: 0) }
        #expect(refuse(agent, at: 1, .notGranted) == 20)
        tally.settle(in: log, now: nil)
        let lines = log.lines.withLock { $0.suffix(2) }
        #expect(
            Set(lines.map { "\($0.reason?.rawValue ?? "") \($0.note?.prefix(20) ?? "")" }) == [
                "not-granted 6 more calls were re", "unavailable 6 more calls found n",
            ]
        )
    }

    @Test(
        "Whoever is refused for how much it calls fills neither the log nor the spans",
        arguments: ["loop", "budget"]
    )
    func flood(reason: String) throws {
        let spans = try ScratchDirectory()
        let limits = reason == "loop" ? "repeatedCalls: 3" : "stepsPerMinute: 3"
        let fixture = try GateFixture(more: "telemetry: \(spans.path)/spans\nlimits: {\(limits)}")
        try fixture.publish(open())
        for number in Int64(0)..<200 {
            let amount: Int64 = reason == "loop" ? 1 : number % 100
            let answer = fixture.call("crm__update", ["amount": .integer(amount)])
            if number >= 3 { #expect(answer.reason == reason) }
            #expect(answer.value["_meta"]?["dev.ensign/decision"] != nil)
        }
        fixture.gate.settle(all: true)
        #expect(fixture.log.kinds.count == 2 * 3 + RefusalTally.most + 1)
        let name = try #require(try Files.list("\(spans.path)/spans")?.first)
        #expect(try spans.read("spans/\(name)").split(separator: "\n").count == 3 + RefusalTally.most)
    }
}
