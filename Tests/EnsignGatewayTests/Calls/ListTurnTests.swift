import EnsignMCP
import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Synchronization
import Testing

@testable import EnsignGateway

@Suite("Asking a server what it offers, for a call")
struct ListTurnTests {
    @Test("A list that takes too long rests no server, and has a time of its own")
    func slowList() throws {
        let fixture = try GateFixture()
        try fixture.publish(open { $0.tools[0].operations["find"]?.timeout = TimeSpan("1s") })
        let slow = UpstreamFailure(.timedOut, "slow")
        fixture.server.contents.withLock { $0.listingFailure = slow }
        for _ in 0..<7 { #expect(fixture.call("crm__find").reason == "unavailable") }
        fixture.server.contents.withLock { $0.listingFailure = nil }
        #expect(fixture.call("crm__find").text == "fine")
        #expect(fixture.server.contents.withLock { $0.listingTime ?? .zero } > .seconds(10))
    }

    @Test("Whoever waits for a server's list waits for its start as long as the one that asks")
    func slowStart() throws {
        let turn = ListTurn()
        let isStarted = Condition(false)
        let lists = Mutex(0)
        @Sendable func list() {
            let listing = try? turn.take(within: .milliseconds(50)) { (time) throws(UpstreamFailure) in
                #expect(time == .milliseconds(50), "a start takes nothing of a list's time")
                _ = isStarted.wait(until: nil) { $0 ? true : nil }
                return ServerListing(tools: [])
            }
            lists.withLock { $0 += listing == nil ? 0 : 1 }
        }
        let threads = try (0..<3).map { _ in try Thread { list() } }
        Machine.pause(milliseconds: 300)
        isStarted.update { $0 = true }
        for thread in threads { thread.join() }
        #expect(lists.withLock { $0 } == 3)
    }

    @Test("One call at a time asks a server what it offers, and a failure is that of all who waited")
    func oneList() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        let isHeld = Condition(true)
        let asked = Condition(0)
        fixture.server.contents.withLock { contents in
            contents.listingFailure = UpstreamFailure(.malformed, "no list")
            contents.whenListing = {
                asked.update { $0 += 1 }
                _ = isHeld.wait(until: nil) { $0 ? nil : true }
            }
        }
        let reasons = Mutex<[String?]>([])
        let threads = try (0..<8).map { number in
            try Thread {
                let answer = fixture.call("crm__find", ["amount": .integer(Int64(number))])
                reasons.withLock { $0.append(answer.reason) }
            }
        }
        _ = asked.wait(until: nil) { $0 > 0 ? true : nil }
        Machine.pause(milliseconds: 300)
        #expect(asked.withLock { $0 } == 1)
        isHeld.update { $0 = false }
        for thread in threads { thread.join() }
        #expect(reasons.withLock { $0 } == Array(repeating: "unavailable", count: 8))
        #expect(asked.withLock { $0 } == 1)
    }
}
