import Synchronization

/// Keeps calls from a server that does not answer: five failures of the transport in a row, and for half a minute nobody
/// asks it; then one does, and what comes of it counts for all.
///
/// Refusals of the server, results that say `isError` and statuses of HTTP that are its own are answers.
package final class CircuitBreaker: Sendable {
    /// What whoever may call holds, and gives back with what came of it.
    package struct Pass: Sendable {
        /// The number of a probe; nil for a call while the breaker is closed.
        fileprivate var probe: Int64?
    }

    private struct State {
        var failures = 0
        /// When the next call may try; nil while it is closed.
        var opens: ContinuousClock.Instant?
        /// The probe that is under way: whoever called before it began says nothing about it.
        var probe: Int64?
    }

    package static let most = 5
    static let pause = Duration.seconds(30)

    private let state = Mutex(State())
    private let probes = Atomic<Int64>(0)
    private let now: @Sendable () -> ContinuousClock.Instant

    package init(now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) { self.now = now }

    /// Whether a call may be made now. Whoever gets a pass says what came of it.
    package func admits() -> Pass? {
        let now = now()
        return state.withLock { state in
            guard let opens = state.opens else { return Pass(probe: nil) }
            guard now >= opens, state.probe == nil else { return nil }
            state.probe = probes.add(1, ordering: .relaxed).newValue
            return Pass(probe: state.probe)
        }
    }

    /// The server answered.
    package func succeeded() { state.withLock { $0 = State() } }

    /// The transport failed.
    package func failed(_ pass: Pass) {
        let now = now()
        state.withLock { state in
            state.failures += 1
            // A call from before says nothing new while somebody asks the server.
            guard state.probe == pass.probe else { return }
            state.probe = nil
            if state.failures >= Self.most { state.opens = now + Self.pause }
        }
    }

    /// Nothing was learned of the server: the call was given up before.
    package func passed(_ pass: Pass) {
        state.withLock { state in
            if state.probe == pass.probe { state.probe = nil }
        }
    }
}
