package import EnsignModel
import EnsignSystem

/// Makes a call once, however often it is asked for while it runs: clients give up and ask again.
///
/// An outcome that nobody was there to take is kept for a minute for the same call. Not every client says that it gave up: some
/// leave the request and send it again, with a pause between. So what changes something is also told again where its client may
/// have left: somebody asked twice while it ran, or it took longer than the least patient client waits. And so is that nobody
/// knows its outcome, however soon that was said.
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
        /// It makes the call, and says what came of it. Cancelled when nobody wants that any more.
        case first(Cancellation)
        /// Somebody made it, and this came of it.
        case joined(JSONValue)
        /// Somebody makes it, and whoever asked does not want to know any more. With the number of its intent, where it has one
        /// by now.
        case gone(intent: Int64?)
    }

    private struct Running {
        let since: ContinuousClock.Instant
        let end: Cancellation
        /// Whose word it is made with.
        let approval: Approval
        /// Whether whoever makes it does not want to know any more: then it is made for those who wait.
        var isLeft = false
        /// Whether somebody waited for it who left before its end.
        var wasJoined = false
        /// The number of its line in the log, once it is about to be sent.
        var intent: Int64?
    }

    private enum Flight {
        case running(Running)
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

    /// An outcome that is kept.
    private struct Kept {
        let key: Key
        let bytes: Int
    }

    private struct State {
        var flights: [Key: Flight] = [:]
        /// The oldest first. Some may have been taken since.
        var kept: [Kept] = []
        var waiting: [Key: Int] = [:]
        var swept: ContinuousClock.Instant
    }

    private let state: Condition<State>
    private let now: @Sendable () -> ContinuousClock.Instant
    static let kept = Duration.seconds(60)
    /// OpenAI Agents waits for five seconds, which begin before a call is here.
    static let patience = Duration.seconds(4)
    /// The most bytes of outcomes that are kept for one agent, and for all: clients that leave without end must not fill the
    /// memory. Beyond, the oldest go.
    static let mostOfAgent = 8 << 20
    static let most = 32 << 20
    /// Above this many, all of them go.
    static let mostOutcomes = 10_000

    package init(now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) {
        self.now = now
        state = Condition(State(swept: now()))
    }

    /// Whether the same call is under way, or came to an end that nobody took.
    ///
    /// - Parameter needed: Whose word is needed now: what was made with less does not count.
    package func isKnown(_ key: Key, with needed: Approval = .none) -> Bool {
        state.withLock { state in
            Self.forget(&state, now())
            switch state.flights[key] {
            case .running(let running)?: return running.approval >= needed
            case .over(let result, _, _)?: return Landed(result).approval >= needed
            case nil: return false
            }
        }
    }

    /// Whether somebody waits for a call that another one makes.
    package func isWaitedFor(_ key: Key) -> Bool { state.withLock { $0.waiting[key] ?? 0 > 0 } }

    /// Joins a call that is under way, or begins it. Blocks while somebody else makes it.
    ///
    /// - Parameter approval: Whose word it is made with, where it begins.
    package func join(_ key: Key, _ cancellation: Cancellation, with approval: Approval = .none) -> Place {
        let first = state.withLock { state -> Place? in
            Self.forget(&state, now())
            if let first = begin(key, approval, &state) { return first }
            state.waiting[key, default: 0] += 1
            return nil
        }
        if let first { return first }
        return cancellation.whileWatching({ [state] in state.update { _ in } }) {
            let place: Place? = state.wait(until: nil) { state in
                if case .over(let result, let time, let keeping)? = state.flights[key] {
                    if case .untilTaken = keeping { state.flights[key] = .over(result, at: time, .none) }
                    return .joined(result)
                }
                if cancellation.isCancelled { return .gone(intent: Self.intent(of: state.flights[key])) }
                // It was given up without an outcome: one of those who wait makes it in its place.
                return begin(key, approval, &state)
            }
            let abandoned = state.withLock { state in
                if case .gone? = place, case .running(var running)? = state.flights[key] {
                    running.wasJoined = true
                    state.flights[key] = .running(running)
                }
                return Self.stopWaiting(key, &state)
            }
            abandoned?.cancel()
            return place ?? .gone(intent: nil)
        }
    }

    private static func intent(of flight: Flight?) -> Int64? {
        if case .running(let running)? = flight { running.intent } else { nil }
    }

    /// The call is about to be sent, and is on record.
    package func isAnnounced(_ key: Key, by intent: Int64) {
        state.withLock { state in
            guard case .running(var running)? = state.flights[key] else { return }
            running.intent = intent
            state.flights[key] = .running(running)
        }
    }

    private func begin(_ key: Key, _ approval: Approval, _ state: inout State) -> Place? {
        guard state.flights[key] == nil else { return nil }
        let end = Cancellation()
        state.flights[key] = .running(Running(since: now(), end: end, approval: approval))
        return .first(end)
    }

    /// - Returns: What to cancel, where nobody wants to know any more what comes of the call.
    private static func stopWaiting(_ key: Key, _ state: inout State) -> Cancellation? {
        state.waiting[key, default: 1] -= 1
        if state.waiting[key] ?? 0 > 0 { return nil }
        state.waiting[key] = nil
        switch state.flights[key] {
        case .over(_, _, .none): state.flights[key] = nil
        case .running(let running) where running.isLeft: return running.end
        case .over, .running, nil: break
        }
        return nil
    }

    /// Whoever makes the call does not want to know any more what comes of it: it ends, unless others wait for it.
    ///
    /// - Parameter end: What it got as the first: the same call may be another one's by now.
    package func leave(_ key: Key, _ end: Cancellation) {
        let isAbandoned = state.withLock { state in
            guard case .running(var running)? = state.flights[key], running.end === end else { return false }
            running.isLeft = true
            state.flights[key] = .running(running)
            return state.waiting[key] ?? 0 == 0
        }
        if isAbandoned { end.cancel() }
    }

    /// The call was stopped because nobody wanted to know what comes of it: nothing of it is kept. Whoever has begun to wait
    /// meanwhile makes it.
    package func giveUp(_ key: Key) { state.update { $0.flights[key] = nil } }

    /// What is to become of an outcome.
    ///
    /// - Parameters:
    ///   - isTaken: Whether whoever made the call takes it.
    ///   - happensOnce: Whether the call changed something, or may have, that the same call would change again.
    ///   - isUnknown: Whether nobody knows what came of it.
    package func keeping(_ key: Key, isTaken: Bool, happensOnce: Bool, isUnknown: Bool = false) -> Keeping {
        let now = now()
        return state.withLock { state in
            var mayAskAgain = isUnknown || state.waiting[key] ?? 0 > 0
            if case .running(let running)? = state.flights[key] {
                mayAskAgain = mayAskAgain || running.wasJoined || now - running.since >= Self.patience
            }
            if happensOnce, mayAskAgain { return .aMinute }
            return isTaken ? .none : .untilTaken
        }
    }

    /// The call is over: whoever waits gets its outcome, and so does whoever asks again for as long as it is kept.
    package func finish(_ key: Key, _ result: JSONValue, _ keeping: Keeping) {
        let now = now()
        let bytes = keeping == .none ? 0 : result.canonicalBytes().count
        state.update { state in
            let isWaitedFor = state.waiting[key] ?? 0 > 0
            state.flights[key] = keeping == .none && !isWaitedFor ? nil : .over(result, at: now, keeping)
            guard keeping != .none else { return }
            state.kept.removeAll { $0.key == key }
            state.kept.append(Kept(key: key, bytes: bytes))
            Self.bound(&state, to: Self.mostOfAgent) { $0.key.agent == key.agent }
            Self.bound(&state, to: Self.most) { _ in true }
        }
    }

    /// Forgets the oldest of these outcomes until the others are no longer than so many bytes.
    private static func bound(_ state: inout State, to most: Int, _ isMeant: (Kept) -> Bool) {
        var bytes = state.kept.reduce(0) { $0 + (isMeant($1) ? $1.bytes : 0) }
        while bytes > most, let place = state.kept.firstIndex(where: isMeant) {
            let oldest = state.kept.remove(at: place)
            bytes -= oldest.bytes
            if case .over? = state.flights[oldest.key], state.waiting[oldest.key] == nil {
                state.flights[oldest.key] = nil
            }
        }
    }

    /// Forgets what is old, also where nobody calls any more.
    package func sweep() { state.withLock { Self.forget(&$0, now()) } }

    private static func forget(_ state: inout State, _ now: ContinuousClock.Instant) {
        // Looking costs as much as there are.
        guard now - state.swept >= .seconds(1) else { return }
        state.swept = now
        state.flights = state.flights.filter { key, flight in !isOld(flight, now) || state.waiting[key] ?? 0 > 0 }
        if state.flights.count > mostOutcomes {
            for (key, flight) in state.flights {
                if case .over = flight, state.waiting[key] == nil { state.flights[key] = nil }
            }
        }
        state.kept.removeAll { kept in
            if case .over? = state.flights[kept.key] { false } else { true }
        }
    }

    private static func isOld(_ flight: Flight, _ now: ContinuousClock.Instant) -> Bool {
        if case .over(_, let time, _) = flight { return now - time >= kept }
        return false
    }
}
