import Synchronization

/// What was said lately, so that one trouble is one line a minute.
final class SaidLately: Sendable {
    private let times = Mutex<[String: ContinuousClock.Instant]>([:])

    private static let most = 1_000

    func isNew(_ text: String, _ now: ContinuousClock.Instant) -> Bool {
        times.withLock { times in
            if let last = times[text], now - last < .seconds(60) { return false }
            if times.count >= Self.most { times = times.filter { now - $0.value < .seconds(60) } }
            if times.count >= Self.most { times = [:] }
            times[text] = now
            return true
        }
    }
}
