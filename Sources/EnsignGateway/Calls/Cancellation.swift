import Synchronization

/// Whether somebody no longer wants an answer.
package final class Cancellation: Sendable {
    private struct State {
        var isCancelled = false
        var handlers: [Int: @Sendable () -> Void] = [:]
        var last = 0
    }

    private let state = Mutex(State())

    package init() {}

    package var isCancelled: Bool { state.withLock { $0.isCancelled } }

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
}
