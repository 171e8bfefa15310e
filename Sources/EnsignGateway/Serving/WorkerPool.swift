import EnsignSystem

/// Threads for calls, which block until they are over. Started when they are needed, kept for the next call, and ended when
/// none came for a while.
///
/// Bounded: what finds no thread is not taken, and whoever asked says so.
package final class WorkerPool: Sendable {
    private struct State {
        var work: [@Sendable () -> Void] = []
        var idle = 0
        var threads: [Int: Thread] = [:]
        var last = 0
        /// Those that have ended, or are about to.
        var ended: [Thread] = []
        var isStopping = false
    }

    private let most: Int
    private let rest: Duration
    private let state = Condition(State())

    /// - Parameters:
    ///   - most: The most threads.
    ///   - rest: How long a thread is kept that nobody needs.
    package init(most: Int = 512, rest: Duration = .seconds(10)) {
        self.most = most
        self.rest = rest
    }

    /// Threads that there are.
    var count: Int { state.withLock { $0.threads.count } }

    /// Runs something on a thread of the pool, soon.
    ///
    /// - Returns: false when all are busy, or the pool has been stopped.
    package func run(_ body: @escaping @Sendable () -> Void) -> Bool {
        state.updateForOne { state in
            guard !state.isStopping else { return false }
            if state.idle <= state.work.count {
                let number = state.last + 1
                guard state.threads.count < most, let thread = try? Thread({ [self] in work(number) }) else {
                    return false
                }
                state.last = number
                state.threads[number] = thread
                state.idle += 1
            }
            state.work.append(body)
            return true
        }
    }

    private func work(_ number: Int) {
        while let body = next(number) {
            body()
            state.withLock { $0.idle += 1 }
        }
    }

    /// What is to be done; nil when the thread is to end. Until then it counts as idle.
    private func next(_ number: Int) -> (@Sendable () -> Void)? {
        enum Turn { case work(@Sendable () -> Void), stop }
        let turn = state.wait(until: .now + rest) { state -> Turn? in
            if let body = state.work.popLast() {
                state.idle -= 1
                return .work(body)
            }
            return state.isStopping ? .stop : nil
        }
        switch turn {
        case .work(let body): return body
        case .stop: return nil
        case nil: return retire(number)
        }
    }

    /// Ends a thread that nobody needs; what came at the last moment is done all the same.
    private func retire(_ number: Int) -> (@Sendable () -> Void)? {
        let (body, ended) = state.withLock { state -> ((@Sendable () -> Void)?, [Thread]) in
            state.idle -= 1
            if let body = state.work.popLast() { return (body, []) }
            guard !state.isStopping, let own = state.threads.removeValue(forKey: number) else { return (nil, []) }
            defer { state.ended = [own] }
            return (nil, state.ended)
        }
        // Each waits for those before it, so that all but the last one are gone.
        for thread in ended { thread.join() }
        return body
    }

    /// Takes no more, and waits until what runs is over. What runs must end by itself.
    package func stop() {
        let threads = state.update { state in
            state.isStopping = true
            defer { (state.threads, state.ended) = ([:], []) }
            return Array(state.threads.values) + state.ended
        }
        for thread in threads { thread.join() }
    }
}
