import EnsignSystem
import Synchronization

/// Whether somebody no longer wants an answer.
package final class Cancellation: Sendable {
    private struct State {
        var isCancelled = false
        var handlers: [Int: @Sendable () -> Void] = [:]
        var last = 0
        var keeper: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    private let hasLeft: @Sendable () -> Bool

    /// - Parameter hasLeft: Looks whether whoever asked has gone without a word; must not block.
    package init(hasLeft: @escaping @Sendable () -> Bool = { false }) { self.hasLeft = hasLeft }

    package var isCancelled: Bool { state.withLock { $0.isCancelled } }

    /// Whether an answer would still find somebody, as far as that can be known: looks now.
    package var isAwaited: Bool { !isCancelled && !hasLeft() }

    /// Runs something where an answer that was about to be given finds nobody. In place of what was to run before.
    package func ifLost(_ keeper: @escaping @Sendable () -> Void) { state.withLock { $0.keeper = keeper } }

    /// The answer has found nobody.
    package func lose() {
        let keeper = state.withLock { state in
            defer { state.keeper = nil }
            return state.keeper
        }
        keeper?()
    }

    /// Cancels; what waits for it runs on this thread. Again changes nothing.
    package func cancel() {
        let handlers = state.withLock { state in
            defer { state.handlers = [:] }
            let first = !state.isCancelled
            state.isCancelled = true
            return first ? Array(state.handlers.values) : []
        }
        for handler in handlers { handler() }
    }

    /// Runs something while ``cancel()`` may call a handler: at once if it was cancelled before, on the cancelling thread
    /// otherwise. The handler may still be running when this returns.
    package func whileWatching<Value, Failure: Error>(
        _ handler: @escaping @Sendable () -> Void,
        _ body: () throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let place: Int? = state.withLock { state in
            guard !state.isCancelled else { return nil }
            state.last += 1
            state.handlers[state.last] = handler
            return state.last
        }
        if place == nil { handler() }
        defer { if let place { state.withLock { _ = $0.handlers.removeValue(forKey: place) } } }
        return try body()
    }

    /// Waits, no longer than until it is cancelled.
    ///
    /// - Returns: Whether the time is over, and it is not cancelled.
    package func pause(for time: Duration) -> Bool {
        let isOver = Condition(false)
        return whileWatching({ isOver.update { $0 = true } }) {
            isOver.wait(until: .now + time) { $0 ? true : nil } == nil
        }
    }
}
