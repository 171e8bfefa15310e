import EnsignSystem

/// Threads for calls, which block until they are over. Started when they are needed, and kept for the next call.
///
/// Bounded: what finds no thread is not taken, and whoever asked says so.
package final class WorkerPool: Sendable {
    private struct State {
        var work: [@Sendable () -> Void] = []
        var idle = 0
        var threads: [Thread] = []
        var isStopping = false
    }

    private let most: Int
    private let state = Condition(State())

    /// - Parameter most: The most threads.
    package init(most: Int = 512) { self.most = most }

    /// Runs something on a thread of the pool, soon.
    ///
    /// - Returns: false when all are busy, or the pool has been stopped.
    package func run(_ body: @escaping @Sendable () -> Void) -> Bool {
        state.updateForOne { state in
            guard !state.isStopping else { return false }
            if state.idle <= state.work.count {
                guard state.threads.count < most, let thread = try? Thread({ [self] in work() }) else { return false }
                state.threads.append(thread)
                state.idle += 1
            }
            state.work.append(body)
            return true
        }
    }

    private func work() {
        while true {
            let next: (@Sendable () -> Void)?? = state.wait(until: nil) { state in
                if let body = state.work.popLast() {
                    state.idle -= 1
                    return .some(body)
                }
                return state.isStopping ? .some(nil) : nil
            }
            guard let body = next ?? nil else { return }
            body()
            state.withLock { $0.idle += 1 }
        }
    }

    /// Takes no more, and waits until what runs is over. What runs must end by itself.
    package func stop() {
        let threads = state.update { state in
            state.isStopping = true
            defer { state.threads = [] }
            return state.threads
        }
        for thread in threads { thread.join() }
    }
}
