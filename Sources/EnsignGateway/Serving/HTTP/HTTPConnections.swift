import EnsignModel
import EnsignSystem
import Glibc

/// The open connections of HTTP: who may keep one, how long each may still take, and which calls nobody waits for any more.
///
/// A client that closes its connection cancels its call; one that dawdles loses it. Looked at four times a second.
final class HTTPConnections: Sendable {
    /// What bounds all connections together.
    struct Limits: Sendable {
        var connections = ConnectionLimit.connections
        /// How long a client that has proven nothing yet may take for a request as a whole.
        var proof = Duration.seconds(10)
        /// How long a connection may be silent between requests, and how long a head may take.
        var head = Duration.seconds(75)
        /// How long a body may take.
        var body = Duration.seconds(60)
        /// How long an answer may take.
        var answer = Duration.seconds(120)
        /// The most bytes of memory that messages may take, from their first byte to their answer; one agent's half of it.
        var memory = 256 << 20
    }

    private struct Entry {
        let socket: Int32
        var deadline: ContinuousClock.Instant?
        var cancellation: Cancellation?
        /// Whether a call is made, or its answer is on its way.
        var isInCall = false
        /// Whether its certificate has been found good.
        var isKnown = false
    }

    /// A call as a notification can name it.
    struct Name: Hashable, Sendable {
        let session: Session
        let id: JSONValue
    }

    private struct State {
        var entries: [Int: Entry] = [:]
        var places: ConnectionPlaces
        var last = 0
        var named: [Name: [Cancellation]] = [:]
        var isStopping = false
    }

    let limits: Limits
    let room: MessageRoom
    private let state: Condition<State>

    init(_ limits: Limits) {
        self.limits = limits
        room = MessageRoom(limits.memory)
        state = Condition(State(places: ConnectionPlaces(limits.connections)))
    }

    // MARK: A connection's life

    /// Takes note of a connection. Where there is no room, the one that gives way is ended: this one, too.
    ///
    /// - Parameter holder: The account or the address at its other end.
    func opened(_ socket: Int32, _ holder: ConnectionPlaces.Holder) -> Int {
        state.withLock { state in
            let now = ContinuousClock.now
            state.last += 1
            let number = state.last
            state.entries[number] = Entry(socket: socket, deadline: now + limits.proof)
            if state.isStopping { _ = shutdown(socket, Int32(SHUT_RDWR)) }
            let entries = state.entries
            let ended = state.places.enter(number, holder, now: now) { entries[$0]?.cancellation != nil }
            for number in ended {
                if let entry = state.entries[number] { _ = shutdown(entry.socket, Int32(SHUT_RDWR)) }
            }
            return number
        }
    }

    func closed(_ number: Int) {
        state.update { state in
            state.entries[number] = nil
            state.places.leave(number)
        }
    }

    /// Where it came in.
    func address(_ number: Int) -> TCPAddress? {
        // With the lock: the socket is closed after its entry.
        state.withLock { $0.entries[number].flatMap { TCPAddress(ofThisEndOf: $0.socket) } }
    }

    /// Takes note of who it is.
    func proved(_ number: Int, _ agent: AgentID) { state.withLock { $0.places.prove(number, agent) } }

    func reads(_ number: Int) {
        state.withLock { state in
            let isProven = state.places.isProven(number)
            state.entries[number]?.deadline = .now + (isProven ? limits.body : limits.proof)
        }
    }

    func answers(_ number: Int) { state.withLock { $0.entries[number]?.deadline = .now + limits.answer } }

    func rests(_ number: Int) {
        state.withLock { state in
            let now = ContinuousClock.now
            let isProven = state.places.isProven(number)
            state.entries[number]?.deadline = now + (isProven ? limits.head : limits.proof)
            state.entries[number]?.isInCall = false
            // Whoever was still answered when it was stopped is told nothing more.
            if state.isStopping, let entry = state.entries[number] { _ = shutdown(entry.socket, Int32(SHUT_RD)) }
            if isProven { state.places.touch(number, now: now) }
        }
    }

    /// The most bytes that are read of a message that is too long, beside what it may have; and how long that may take after
    /// its answer.
    static let mostUnread = 64 << 20
    private static let patience = Duration.seconds(3)

    /// Reads what a client still sends, and looks at none of it: one that writes all before it reads would otherwise find a broken
    /// connection in place of its answer.
    func drain(_ number: Int) {
        let deadline = ContinuousClock.now + Self.patience
        let socket = state.withLock { state in
            state.entries[number]?.deadline = deadline + .seconds(1)
            return state.entries[number]?.socket
        }
        guard let socket else { return }
        var chunk = [UInt8](repeating: 0, count: 65_536)
        var left = Self.mostUnread
        while left > 0 {
            let time = deadline - .now
            guard time > .zero else { return }
            var polls = [pollfd(fd: socket, events: Int16(POLLIN), revents: 0)]
            guard unsafe poll(&polls, 1, Int32(time / .milliseconds(1)) + 1) > 0 else { return }
            let count = unsafe recv(socket, &chunk, chunk.count, Int32(MSG_DONTWAIT))
            guard count > 0 else { return }
            left -= count
        }
    }

    /// Whether its client is known by its certificate; looked at once.
    func isKnown(_ number: Int, _ look: () -> Bool) -> Bool {
        if state.withLock({ $0.entries[number]?.isKnown }) == true { return true }
        guard look() else { return false }
        state.withLock { $0.entries[number]?.isKnown = true }
        return true
    }

    // MARK: Calls

    /// Runs a call that ends early when its client has gone, or has said that it no longer wants it.
    ///
    /// - Parameter name: Nil where nobody could say which client's call an id is.
    func call(_ number: Int, _ name: Name?, _ cancellation: Cancellation, _ body: () -> JSONValue) -> JSONValue {
        let isStopping = state.withLock { state in
            state.entries[number]?.deadline = nil
            state.entries[number]?.cancellation = cancellation
            state.entries[number]?.isInCall = true
            if let name { state.named[name, default: []].append(cancellation) }
            return state.isStopping
        }
        if isStopping { cancellation.cancel() }
        defer {
            state.update { state in
                state.entries[number]?.cancellation = nil
                guard let name else { return }
                state.named[name]?.removeAll { $0 === cancellation }
                if state.named[name]?.isEmpty == true { state.named[name] = nil }
            }
        }
        return body()
    }

    /// Cancels the call of a name, if there is only one.
    func cancel(_ name: Name) {
        let calls = state.withLock { $0.named[name] ?? [] }
        if calls.count == 1 { calls[0].cancel() }
    }

    // MARK: Watching

    /// Looks after the connections until ``stop()``.
    func watch() {
        while state.wait(until: .now + .milliseconds(250), { $0.isStopping ? true : nil }) == nil { look() }
    }

    private func look() {
        let gone = state.withLock { state -> [Cancellation] in
            guard !state.entries.isEmpty else { return [] }
            let now = ContinuousClock.now
            var polls: [pollfd] = []
            var calls: [Cancellation] = []
            for entry in state.entries.values {
                if let deadline = entry.deadline, deadline < now { _ = shutdown(entry.socket, Int32(SHUT_RDWR)) }
                guard let call = entry.cancellation else { continue }
                polls.append(pollfd(fd: entry.socket, events: Self.hangUp, revents: 0))
                calls.append(call)
            }
            // Without a wait, and with the lock: a socket's number is another one's as soon as it is closed.
            guard !polls.isEmpty, unsafe poll(&polls, nfds_t(polls.count), 0) > 0 else { return [] }
            return zip(polls, calls).filter { Self.hasLeft($0.0) }.map(\.1)
        }
        for call in gone { call.cancel() }
    }

    /// Whether a client has closed its connection: looks now, since between two looks at all of them a call may end.
    func hasLeft(_ number: Int) -> Bool {
        state.withLock { state in
            guard let entry = state.entries[number] else { return true }
            var polls = [pollfd(fd: entry.socket, events: Self.hangUp, revents: 0)]
            return unsafe poll(&polls, 1, 0) > 0 && Self.hasLeft(polls[0])
        }
    }

    private static func hasLeft(_ polled: pollfd) -> Bool {
        polled.revents & (hangUp | Int16(POLLHUP | POLLERR)) != 0
    }

    /// `POLLRDHUP` of poll(2), whose macro needs _GNU_SOURCE; its value is part of the ABI.
    private static let hangUp: Int16 = 0x2000

    /// Whether no connection goes on after its call.
    var isStopping: Bool { state.withLock { $0.isStopping } }

    /// Cancels all calls, those that come later too, and ends all connections: those that are in a call when it is answered.
    ///
    /// Calls that cannot be stopped are waited for as long as they take.
    ///
    /// - Parameter patience: How long those that are left are waited for after that.
    func stop(within patience: Duration) {
        let calls = state.update { state in
            state.isStopping = true
            for entry in state.entries.values where !entry.isInCall { _ = shutdown(entry.socket, Int32(SHUT_RDWR)) }
            return state.entries.values.compactMap(\.cancellation)
        }
        for call in calls { call.cancel() }
        _ = state.wait(until: nil) { $0.entries.values.allSatisfy { $0.cancellation == nil } ? true : nil }
        _ = state.wait(until: .now + patience) { $0.entries.isEmpty ? true : nil }
    }
}
