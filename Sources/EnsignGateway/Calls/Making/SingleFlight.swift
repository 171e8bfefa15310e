package import EnsignModel
import EnsignSystem

/// Makes a call once, however often it is asked for while it runs: clients give up and ask again.
///
/// An outcome that nobody was there to take is kept for a minute for the same call. Not every client says that it gave up: some
/// leave the request and send it again, with a pause between. So what changes something is also told again where its client may
/// have left: somebody asked twice while it ran, or it took longer than the least patient client waits.
package final class SingleFlight: Sendable {
    /// What makes two calls the same.
    package struct Key: Sendable, Hashable {
        package let agent: AgentID
        package let run: String
        package let bundle: Digest
        package let operation: String
        package let arguments: JSONValue
        /// Made once: a key is looked up several times.
        private let hash: Int

        package init(agent: AgentID, run: String, bundle: Digest, operation: String, arguments: JSONValue) {
            self.agent = agent
            self.run = run
            self.bundle = bundle
            self.operation = operation
            self.arguments = arguments
            var hasher = Hasher()
            for text in [agent.team, agent.name, run, bundle.hex, operation] { hasher.combine(text) }
            hasher.combine(arguments)
            hash = hasher.finalize()
        }

        package func hash(into hasher: inout Hasher) { hasher.combine(hash) }
    }

    /// What becomes of somebody who asks.
    package enum Place: Sendable {
        /// It makes the call, and says what came of it.
        case first
        /// Somebody made it, and this came of it.
        case joined(JSONValue)
        /// Somebody makes it, and whoever asked does not want to know any more.
        case gone
    }

    private enum Flight {
        case running(since: ContinuousClock.Instant)
        case over(JSONValue, at: ContinuousClock.Instant, Keeping)
    }

    /// What becomes of an outcome.
    package enum Keeping: Sendable {
        /// Those who wait get it, then it goes.
        case none
        /// Until somebody takes it.
        case untilTaken
        /// For the whole minute, whoever takes it.
        case aMinute
    }

    private struct State {
        var flights: [Key: Flight] = [:]
        var waiting: [Key: Int] = [:]
        var swept: ContinuousClock.Instant
    }

    private let state: Condition<State>
    private let now: @Sendable () -> ContinuousClock.Instant
    static let kept = Duration.seconds(60)
    /// OpenAI Agents waits for five seconds, which begin before a call is here.
    static let patience = Duration.seconds(4)
    /// Outcomes that are kept; beyond, all of them go.
    static let most = 10_000

    package init(now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) {
        self.now = now
        state = Condition(State(swept: now()))
    }

    /// Whether the same call is under way, or came to an end that nobody took.
    package func isKnown(_ key: Key) -> Bool {
        state.withLock { state in
            Self.forget(&state, now())
            return state.flights[key] != nil
        }
    }

    /// Whether somebody waits for a call that another one makes.
    package func isWaitedFor(_ key: Key) -> Bool { state.withLock { $0.waiting[key] ?? 0 > 0 } }

    /// Joins a call that is under way, or begins it. Blocks while somebody else makes it.
    package func join(_ key: Key, _ cancellation: Cancellation) -> Place {
        let isFirst: Bool = state.withLock { state in
            Self.forget(&state, now())
            guard state.flights[key] == nil else {
                state.waiting[key, default: 0] += 1
                return false
            }
            state.flights[key] = .running(since: now())
            return true
        }
        if isFirst { return .first }
        return cancellation.whileWatching({ [state] in state.update { _ in } }) {
            let place: Place? = state.wait(until: nil) { state in
                if case .over(let result, let time, let keeping)? = state.flights[key] {
                    if case .untilTaken = keeping { state.flights[key] = .over(result, at: time, .none) }
                    return .joined(result)
                }
                // It was given up without an outcome: whoever waits does not make it in its place.
                if state.flights[key] == nil { return .gone }
                return cancellation.isCancelled ? .gone : nil
            }
            state.withLock { state in
                state.waiting[key, default: 1] -= 1
                if state.waiting[key] ?? 0 > 0 { return }
                state.waiting[key] = nil
                if case .over(_, _, .none)? = state.flights[key] { state.flights[key] = nil }
            }
            return place ?? .gone
        }
    }

    /// What is to become of an outcome.
    ///
    /// - Parameters:
    ///   - isTaken: Whether whoever made the call takes it.
    ///   - happensOnce: Whether the call changed something, or may have, that the same call would change again.
    package func keeping(_ key: Key, isTaken: Bool, happensOnce: Bool) -> Keeping {
        let now = now()
        return state.withLock { state in
            var isLong = false
            if case .running(let since)? = state.flights[key] { isLong = now - since >= Self.patience }
            if happensOnce, isLong || state.waiting[key] ?? 0 > 0 { return .aMinute }
            return isTaken ? .none : .untilTaken
        }
    }

    /// The call is over: whoever waits gets its outcome, and so does whoever asks again for as long as it is kept.
    package func finish(_ key: Key, _ result: JSONValue, _ keeping: Keeping) {
        let now = now()
        state.update { state in
            let isWaitedFor = state.waiting[key] ?? 0 > 0
            state.flights[key] = keeping == .none && !isWaitedFor ? nil : .over(result, at: now, keeping)
        }
    }

    private static func forget(_ state: inout State, _ now: ContinuousClock.Instant) {
        // Looking costs as much as there are.
        guard now - state.swept >= .seconds(1) else { return }
        state.swept = now
        state.flights = state.flights.filter { key, flight in !isOld(flight, now) || state.waiting[key] ?? 0 > 0 }
        guard state.flights.count > most else { return }
        for (key, flight) in state.flights {
            if case .over = flight, state.waiting[key] == nil { state.flights[key] = nil }
        }
    }

    private static func isOld(_ flight: Flight, _ now: ContinuousClock.Instant) -> Bool {
        if case .over(_, let time, _) = flight { return now - time >= kept }
        return false
    }
}
