import Synchronization

/// Answers that come when nobody waits for them any more, for those who want to know all the same.
///
/// Safe from any number of threads.
final class LateAnswers: Sendable {
    /// Gets an answer. It runs on the session's own thread, and holds up what that does.
    typealias Taker = @Sendable (UpstreamAnswer) -> Void

    private struct State {
        var expected: [(id: Int64, until: ContinuousClock.Instant, taker: Taker)] = []
        var come: [(taker: Taker, answer: UpstreamAnswer)] = []
    }

    private let state = Mutex(State())
    /// Answers that are expected at a time; beyond, the oldest is nobody's.
    private static let most = 64

    /// From now on somebody wants to know this answer, for as long as an outcome is kept.
    func expect(_ id: Int64, _ taker: @escaping Taker) {
        let now = ContinuousClock.now
        state.withLock { state in
            state.expected.removeAll { $0.until <= now || $0.id == id }
            if state.expected.count >= Self.most { state.expected.removeFirst() }
            state.expected.append((id, now + SingleFlight.kept, taker))
        }
    }

    /// Nobody wants to know it any more.
    func forget(_ id: Int64) { state.withLock { $0.expected.removeAll { $0.id == id } } }

    /// An answer came that nobody waits for.
    ///
    /// - Returns: Whether somebody is to be told.
    func take(_ answer: UpstreamAnswer, to id: Int64) -> Bool {
        state.withLock { state in
            guard let index = state.expected.firstIndex(where: { $0.id == id }) else { return false }
            let (_, until, taker) = state.expected.remove(at: index)
            guard until > .now else { return false }
            state.come.append((taker, answer))
            return true
        }
    }

    /// Tells what has come.
    func tell() {
        let come = state.withLock { state in
            defer { state.come = [] }
            return state.come
        }
        for (taker, answer) in come { taker(answer) }
    }
}
