import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Synchronization
import Testing

@testable import EnsignGateway

/// Many threads ask for the same few calls and leave as they like, before, while and after these are made.
@Suite("One call for all who ask")
struct SingleFlightTests {
    private struct Tally {
        var makers: [Int: Int] = [:]
        var mostMakers = 0
        var made = 0
        var stopped = 0
        var told = 0
        var problems: [String] = []
    }

    private static func key(_ number: Int) -> SingleFlight.Key {
        SingleFlight.Key(
            agent: GateFixture.agent,
            run: "r\(number)",
            bundle: compiled(bundle()).digest,
            operation: "crm.find",
            arguments: [:]
        )
    }

    /// Makes a call as a gate does one that may be repeated: it ends early when nobody wants it.
    private static func make(
        _ number: Int,
        _ key: SingleFlight.Key,
        _ end: Cancellation,
        _ own: Cancellation,
        _ pauses: Int,
        _ flights: SingleFlight,
        _ tally: borrowing Mutex<Tally>
    ) {
        tally.withLock { tally in
            tally.makers[number, default: 0] += 1
            tally.mostMakers = max(tally.mostMakers, tally.makers[number] ?? 0)
        }
        own.whileWatching({ flights.leave(key, end) }) {
            for _ in 0..<pauses where !end.isCancelled { Machine.pause(milliseconds: 1) }
        }
        let isStopped = end.isCancelled
        tally.withLock { tally in
            tally.makers[number, default: 1] -= 1
            if isStopped { tally.stopped += 1 } else { tally.made += 1 }
            if isStopped, !own.isCancelled { tally.problems.append("a call was stopped whose first caller wants it") }
        }
        if isStopped {
            flights.giveUp(key)
        } else {
            let keeping = flights.keeping(key, isTaken: !own.isCancelled, happensOnce: false)
            flights.finish(key, .integer(Int64(number)), keeping)
        }
    }

    @Test("Whoever stays gets the outcome, whoever else leaves; one makes the call at a time; nothing hangs")
    func many() throws {
        let flights = SingleFlight()
        let tally = Mutex(Tally())
        let keys = (0..<3).map(Self.key)
        let generator = Mutex(SeededGenerator(for: "flights", standard: 0xF11E))
        let times = rounds(150).count
        let threads = try (0..<12).map { _ in
            try Thread {
                for _ in 0..<times {
                    let (number, pauses, leavesAfter) = generator.withLock { generator in
                        (
                            Int.random(in: 0..<3, using: &generator), Int.random(in: 0...4, using: &generator),
                            Bool.random(using: &generator) ? Int.random(in: 0...4, using: &generator) : nil
                        )
                    }
                    let own = Cancellation()
                    let leaving = leavesAfter.flatMap { wait in
                        try? Thread {
                            Machine.pause(milliseconds: UInt32(wait))
                            own.cancel()
                        }
                    }
                    switch flights.join(keys[number], own) {
                    case .first(let end): Self.make(number, keys[number], end, own, pauses, flights, tally)
                    case .joined(let result):
                        tally.withLock { tally in
                            tally.told += 1
                            if result != .integer(Int64(number)) { tally.problems.append("another call's outcome") }
                        }
                    case .gone:
                        if !own.isCancelled { tally.withLock { $0.problems.append("gone, and not by its own will") } }
                    }
                    leaving?.join()
                }
            }
        }
        for thread in threads { thread.join() }
        let found = tally.withLock { $0 }
        #expect(found.problems.isEmpty, "\(Set(found.problems))")
        #expect(found.mostMakers == 1)
        #expect(found.made > 0 && found.stopped > 0 && found.told > 0, "\(found)")
        for key in keys { #expect(!flights.isWaitedFor(key)) }
    }

    @Test("Who came late to a call that was being stopped makes it; the last who waits takes it with them")
    func lateAndLast() throws {
        let flights = SingleFlight()
        let key = Self.key(0)
        guard case .first(let end) = flights.join(key, Cancellation()) else { return #expect(Bool(false)) }
        flights.leave(key, end)
        #expect(end.isCancelled)
        let next = Mutex<Cancellation?>(nil)
        let late = try Thread {
            if case .first(let end) = flights.join(key, Cancellation()) { next.withLock { $0 = end } }
        }
        while !flights.isWaitedFor(key) { Machine.pause(milliseconds: 1) }
        flights.giveUp(key)
        late.join()
        let again = try #require(next.withLock { $0 })
        // By now it is another one's.
        flights.leave(key, end)
        #expect(!again.isCancelled)
        let own = Cancellation()
        let last = try Thread { _ = flights.join(key, own) }
        while !flights.isWaitedFor(key) { Machine.pause(milliseconds: 1) }
        flights.leave(key, again)
        #expect(!again.isCancelled, "somebody waits for it")
        own.cancel()
        last.join()
        #expect(again.isCancelled)
    }
}
