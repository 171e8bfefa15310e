import EnsignMCP
import EnsignSystem

/// Lets one call at a time ask a server what it offers: those that come meanwhile wait for the answer, which the server then gives
/// them without being asked, or get the same failure. A slow server would be slower if all of them asked.
final class ListTurn: Sendable {
    private struct State {
        var isTaken = false
        /// Those who got nothing.
        var failed = 0
        var failure: UpstreamFailure?
    }

    private let state = Condition(State())

    /// The longest that a server's start may be allowed to take: it is no part of the time that a list may take.
    private static let longestStart = Duration.seconds(600)

    /// - Parameter time: From the start of the server on.
    func take(
        within time: Duration,
        _ ask: (Duration) throws(UpstreamFailure) -> ServerListing
    ) throws(UpstreamFailure) -> ServerListing {
        let failed = state.withLock { $0.failed }
        enum Turn { case mine, failed(UpstreamFailure) }
        let turn = state.wait(until: .now + Self.longestStart + time) { state -> Turn? in
            if state.failed > failed, let failure = state.failure { return .failed(failure) }
            guard !state.isTaken else { return nil }
            state.isTaken = true
            return .mine
        }
        switch turn {
        case nil: throw UpstreamFailure(.timedOut, "the server did not say in time what it offers")
        case .failed(let failure): throw failure
        case .mine: break
        }
        do throws(UpstreamFailure) {
            let listing = try ask(time)
            state.update { $0.isTaken = false }
            return listing
        } catch {
            let failure = error
            state.update { state in
                state.isTaken = false
                state.failed += 1
                state.failure = failure
            }
            throw error
        }
    }
}
