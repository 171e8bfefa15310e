import EnsignModel
import Synchronization

/// What came of a call after its client was told that nobody knows: it is taken once the call is over here, whichever comes first.
final class LateOutcome: Sendable {
    private struct State {
        var hasLanded = false
        var result: JSONValue?
    }

    private let state = Mutex(State())
    private let take: @Sendable (JSONValue) -> Void

    /// - Parameter take: Gets the result, at most once and after ``hasLanded()``.
    init(_ take: @escaping @Sendable (JSONValue) -> Void) { self.take = take }

    /// The server has answered after all.
    func came(_ result: JSONValue) {
        let isNext = state.withLock { state in
            if !state.hasLanded { state.result = result }
            return state.hasLanded
        }
        if isNext { take(result) }
    }

    /// The call is over, and its unknown outcome is kept.
    func hasLanded() {
        let result = state.withLock { state in
            state.hasLanded = true
            return state.result
        }
        if let result { take(result) }
    }
}
