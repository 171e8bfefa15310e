import Synchronization
import Testing

@testable import EnsignSystem

/// The life of what goes on beside everything else.
@Suite(.timeLimit(.minutes(1)))
struct ServiceTests {
    /// Counts its turns, and says when it has had some.
    private final class Record: Sendable {
        let turns = Mutex(0)
        let ended = Flag()

        var count: Int { turns.withLock { $0 } }

        func wait(for count: Int) {
            while self.count < count { Machine.pause() }
        }
    }

    private struct Counting: ServiceWork {
        let record: Record
        let next: @Sendable (Int) -> Service.Next

        mutating func turn() -> Service.Next {
            next(
                record.turns.withLock { turns in
                    turns += 1
                    return turns
                }
            )
        }

        mutating func end() { record.ended.set() }
    }

    private func started(_ next: @escaping @Sendable (Int) -> Service.Next) throws -> (Service, Record) {
        let (service, record) = (try Service(), Record())
        try service.start { Counting(record: record, next: next) }
        return (service, record)
    }

    @Test("A turn comes after the other until it is stopped, and the end comes once, after the last")
    func turns() throws {
        let (service, record) = try started { _ in .atOnce }
        record.wait(for: 100)
        #expect(!record.ended.isSet)
        service.stop()
        service.join()
        #expect(record.ended.isSet && service.isStopped)
        let count = record.count
        service.wake()
        #expect(record.count == count)
    }

    @Test("A pause ends when somebody wakes the service; a wake during a turn is not lost")
    func woken() throws {
        let service = try Service()
        let record = Record()
        try service.start {
            Counting(record: record) { turn in
                // Woken in the middle of its first turn.
                if turn == 1 { service.wake() }
                return .after(.seconds(3_000))
            }
        }
        record.wait(for: 2)
        service.wake()
        record.wait(for: 3)
        service.stop()
        service.join()
        #expect(record.count == 3)
    }

    @Test("After a failure the pause is kept, whoever wakes the service; being stopped ends it")
    func notBefore() throws {
        let (service, record) = try started { _ in .notBefore(.seconds(3_000)) }
        record.wait(for: 1)
        for _ in 0..<50 { service.wake() }
        service.stop()
        service.join()
        #expect(record.count == 1)
        let begin = ContinuousClock.now
        let (other, others) = try started { _ in .notBefore(.milliseconds(30)) }
        // Whoever wakes it meanwhile.
        while others.count < 2 {
            other.wake()
            Machine.pause()
        }
        #expect(ContinuousClock.now - begin >= .milliseconds(30))
        other.stop()
        other.join()
    }

    @Test("What has nothing to do ends by itself")
    func never() throws {
        let (service, record) = try started { _ in .never }
        service.join()
        #expect(record.count == 1 && record.ended.isSet && !service.isStopped)
        service.join()
    }

    @Test("One that was never started can be stopped and joined")
    func unstarted() throws {
        let service = try Service()
        service.stop()
        service.join()
        #expect(service.wait(atMost: .seconds(3_000)).isWoken)
    }

    @Test("A wait within a turn says what ended it, and ends at once, again and again, when the service is stopped")
    func waits() throws {
        let service = try Service()
        #expect(service.wait(atMost: .zero) == Service.Awakening(isWoken: false, readable: []))
        service.wake()
        #expect(service.wait(atMost: .seconds(3_000)).isWoken)
        #expect(!service.wait(atMost: .zero).isWoken)
        let other = try Wakeup()
        other.wake()
        let awakening = service.wait(for: [other.readEnd], atMost: .seconds(3_000))
        #expect(awakening == Service.Awakening(isWoken: false, readable: [other.readEnd]))
        service.stop()
        for _ in 0..<3 { #expect(service.wait(atMost: .seconds(3_000)).isWoken) }
    }

    @Test("What lasts is said once, and again when it comes back")
    func saidOnce() {
        var said = SaidOnce()
        #expect(said.news(["a", "b"]) == ["a", "b"])
        #expect(said.news(["b", "c"]) == ["c"])
        #expect(said.news(["b", "c"]) == [])
        #expect(said.news(["a"]) == ["a"])
        #expect(said.news(nil) == nil)
        #expect(said.news("a") == "a")
        #expect(said.news("a") == nil)
    }

    @Test("Pauses double after each failure, up to the most, give or take a tenth")
    func backoff() {
        var generator = SystemRandomNumberGenerator()
        var backoff = Backoff(base: .seconds(1), most: .seconds(60))
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] as [Double] {
            let delay = backoff.delay(using: &generator) / Duration.seconds(1)
            #expect((seconds * 0.9...seconds * 1.1).contains(delay))
            backoff.failed()
        }
        backoff.succeeded()
        #expect(backoff.delay(using: &generator) <= .milliseconds(1_100))
    }
}

extension Machine {
    /// Lets other threads have their turn.
    fileprivate static func pause() { _ = try? Parallel.map(2) { _ in } }
}
