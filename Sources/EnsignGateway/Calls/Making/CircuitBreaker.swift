import Synchronization

/// Keeps calls from a server that does not answer: five failures of the transport in a row, and for half a minute nobody
/// asks it; then one does, and what comes of it counts for all.
///
/// Refusals of the server and results that say `isError` are answers.
package final class CircuitBreaker: Sendable {
    private struct State {
        var failures = 0
        /// When the next call may try; nil while it is closed.
        var opens: ContinuousClock.Instant?
        var isProbing = false
    }

    package static let most = 5
    static let pause = Duration.seconds(30)

    private let state = Mutex(State())
    private let now: @Sendable () -> ContinuousClock.Instant

    package init(now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) { self.now = now }

    /// Whether a call may be made now. Whoever gets true says what came of it.
    package func admits() -> Bool {
        let now = now()
        return state.withLock { state in
            guard let opens = state.opens else { return true }
            guard now >= opens, !state.isProbing else { return false }
            state.isProbing = true
            return true
        }
    }

    /// The server answered.
    package func succeeded() { state.withLock { $0 = State() } }

    /// The transport failed.
    package func failed() {
        let now = now()
        state.withLock { state in
            state.failures += 1
            state.isProbing = false
            if state.failures >= Self.most { state.opens = now + Self.pause }
        }
    }

    /// Nothing was learned of the server: the call was given up before.
    package func passed() { state.withLock { $0.isProbing = false } }
}
