import EnsignModel
import EnsignSystem
import Glibc

/// The open connections of HTTP: how long each may still take, and which calls nobody waits for any more.
///
/// A client that closes its connection cancels its call; one that dawdles loses it. Looked at four times a second.
final class HTTPConnections: Sendable {
    /// What bounds all connections together.
    struct Limits: Sendable {
        var connections = 1_024
        /// Of one address, where other hosts may connect.
        var connectionsOfOneAddress = 256
        /// How long a connection may be silent between requests, and how long a head may take.
        var head = Duration.seconds(75)
        /// How long a body may take.
        var body = Duration.seconds(60)
        /// How long an answer may take.
        var answer = Duration.seconds(120)
        /// The most bytes of bodies that are being read.
        var buffered = 64 << 20
    }

    private struct Entry {
        let socket: Int32
        var deadline: ContinuousClock.Instant?
        var cancellation: Cancellation?
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
        var last = 0
        var buffered = 0
        var named: [Name: [Cancellation]] = [:]
        var isStopping = false
    }

    let limits: Limits
    private let state = Condition(State())

    init(_ limits: Limits) { self.limits = limits }

    // MARK: A connection's life

    func opened(_ socket: Int32) -> Int {
        state.withLock { state in
            state.last += 1
            state.entries[state.last] = Entry(socket: socket, deadline: .now + limits.head)
            return state.last
        }
    }

    func closed(_ number: Int) { state.withLock { _ = $0.entries.removeValue(forKey: number) } }

    func reads(_ number: Int) { state.withLock { $0.entries[number]?.deadline = .now + limits.body } }

    func answers(_ number: Int) { state.withLock { $0.entries[number]?.deadline = .now + limits.answer } }

    func rests(_ number: Int) { state.withLock { $0.entries[number]?.deadline = .now + limits.head } }

    /// Whether its client is known by its certificate; looked at once.
    func isKnown(_ number: Int, _ look: () -> Bool) -> Bool {
        if state.withLock({ $0.entries[number]?.isKnown }) == true { return true }
        guard look() else { return false }
        state.withLock { $0.entries[number]?.isKnown = true }
        return true
    }

    // MARK: Bodies

    /// Takes room for a piece of a body.
    func takeRoom(_ count: Int) -> Bool {
        state.withLock { state in
            guard state.buffered + count <= limits.buffered else { return false }
            state.buffered += count
            return true
        }
    }

    func giveRoom(_ count: Int) { state.withLock { $0.buffered -= count } }

    // MARK: Calls

    /// Runs a call that ends early when its client has gone, or has said that it no longer wants it.
    ///
    /// - Parameter name: Nil where nobody could say which client's call an id is.
    func call(_ number: Int, _ name: Name?, _ cancellation: Cancellation, _ body: () -> JSONValue) -> JSONValue {
        let isStopping = state.withLock { state in
            state.entries[number]?.deadline = nil
            state.entries[number]?.cancellation = cancellation
            if let name { state.named[name, default: []].append(cancellation) }
            return state.isStopping
        }
        if isStopping { cancellation.cancel() }
        defer {
            state.withLock { state in
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
            return zip(polls, calls).filter { $0.0.revents & (Self.hangUp | Int16(POLLHUP | POLLERR)) != 0 }.map(\.1)
        }
        for call in gone { call.cancel() }
    }

    /// `POLLRDHUP` of poll(2), whose macro needs _GNU_SOURCE; its value is part of the ABI.
    private static let hangUp: Int16 = 0x2000

    /// Cancels all calls, those that come later too.
    func stop() {
        let calls = state.update { state in
            state.isStopping = true
            return state.entries.values.compactMap(\.cancellation)
        }
        for call in calls { call.cancel() }
    }
}
