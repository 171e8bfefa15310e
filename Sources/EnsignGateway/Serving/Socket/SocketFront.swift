package import EnsignModel
package import EnsignSystem
import Glibc

/// Serves clients and operators of this machine on a Unix socket. The kernel says which account each is.
///
/// The first line of a client says who it wants to speak for, and is answered with one; then both speak as over standard
/// input and output. An operator's line gets one line back.
package final class SocketFront: Sendable {
    /// What an operator wants, and which account it is.
    package typealias Admin = @Sendable (_ wanted: JSONObject, _ uid: UInt32) -> JSONValue

    /// What bounds all connections together.
    struct Limits: Sendable {
        var connections = ConnectionLimit.connections
        /// How long the first line may take.
        var hello = Duration.seconds(10)
        /// The most bytes of memory that messages may take, from their first byte to their answer; one agent's half of it.
        var memory = 256 << 20
    }

    private struct Entry {
        let socket: OpenSocket
        /// Until when its first line must have come; nil after it.
        var deadline: ContinuousClock.Instant?
        /// Whether an operator's question is being answered.
        var isAnswered = false
        var connection: LineConnection?

        var isBusy: Bool { isAnswered || connection?.isResting == false }
    }

    private struct State {
        var entries: [Int: Entry] = [:]
        var places: ConnectionPlaces
        var last = 0
        var isStopping = false
    }

    private let path: String
    private let gatekeeper: any Gatekeeper
    private let version: String
    private let admin: Admin
    private let listener: OpenSocket
    private let file: FileStatus?
    private let wakeup: Wakeup
    /// For connections, which stay; and for calls. Apart, since the former must not keep the latter waiting.
    private let attendants: WorkerPool
    private let workers = WorkerPool(most: 1_024)
    private let teller = ChangeTeller()
    private let watch = ReadingWatch()
    private let limits: Limits
    private let room: MessageRoom
    private let state: Condition<State>
    private let thread: Condition<EnsignSystem.Thread?>

    /// Starts to serve. The process must ignore SIGPIPE.
    ///
    /// - Parameters:
    ///   - path: At most 107 bytes. Who may connect is decided by its folder and its group; who may speak, by the gatekeeper.
    ///   - version: The gateway's own.
    /// - Throws: ``SystemError`` when it cannot listen there: another process does, or the path is not a socket's.
    package convenience init(_ path: String, gatekeeper: any Gatekeeper, version: String, admin: @escaping Admin)
        throws(SystemError)
    {
        try self.init(path, gatekeeper, version, Limits(), admin)
    }

    init(
        _ path: String,
        _ gatekeeper: any Gatekeeper,
        _ version: String,
        _ limits: Limits,
        _ admin: @escaping Admin
    ) throws(SystemError) {
        self.path = path
        self.gatekeeper = gatekeeper
        self.version = version
        self.admin = admin
        self.limits = limits
        room = MessageRoom(limits.memory)
        state = Condition(State(places: ConnectionPlaces(limits.connections)))
        // Those that give way are still there for a moment.
        attendants = WorkerPool(most: limits.connections + limits.connections / 4 + 16)
        wakeup = try Wakeup()
        listener = OpenSocket(try UnixSocket.listen(path))
        file = try? Files.status(path)
        thread = Condition(nil)
        let thread = try EnsignSystem.Thread { [self] in accept() }
        self.thread.withLock { $0 = thread }
    }

    /// Ends all connections, cancels what is under way, and takes the socket away. Again does nothing.
    package func stop() {
        let thread = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        guard let thread else { return }
        // Another process may have put its own there.
        if let file, let now = try? Files.status(path), (now.inode, now.device) == (file.inode, file.device) {
            try? Files.remove(path)
        }
        wakeup.wake()
        thread.join()
        let open = state.withLock { state in
            state.isStopping = true
            return state.entries.values.map(\.socket)
        }
        for socket in open { socket.shut() }
        attendants.stop()
        workers.stop()
        teller.stop()
        watch.stop()
    }

    // MARK: Connections

    private func accept() {
        while true {
            var polls = [
                pollfd(fd: listener.number, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wakeup.readEnd, events: Int16(POLLIN), revents: 0),
            ]
            _ = unsafe poll(&polls, 2, wait())
            if polls[1].revents != 0 { return }
            guard polls[0].revents != 0 else { continue }
            let number = Glibc.accept(listener.number, nil, nil)
            guard number >= 0 else {
                // No descriptors left: others end.
                Machine.pause(milliseconds: 10)
                continue
            }
            _ = fcntl(number, F_SETFD, FD_CLOEXEC)
            take(OpenSocket(FileDescriptor(owning: number)))
        }
    }

    /// Ends connections whose first line has taken too long.
    ///
    /// - Returns: Milliseconds until it must be looked again; -1 where nobody is waited for.
    private func wait() -> Int32 {
        state.withLock { state in
            let now = ContinuousClock.now
            var next: ContinuousClock.Instant?
            for entry in state.entries.values {
                guard let deadline = entry.deadline else { continue }
                if deadline <= now { entry.socket.shut() } else { next = min(next ?? deadline, deadline) }
            }
            return next.map { Int32(($0 - now) / .milliseconds(1)) + 1 } ?? -1
        }
    }

    private func take(_ socket: OpenSocket) {
        guard let uid = Machine.account(ofPeerOn: socket.number) else { return }
        let (number, ended, silent) = state.withLock { state -> (Int, [OpenSocket], [Int]) in
            let now = ContinuousClock.now
            state.last += 1
            let number = state.last
            let entries = state.entries
            let ended = state.places.enter(number, .account(uid), now: now) { entries[$0]?.isBusy ?? false }
            if !ended.contains(number) {
                state.entries[number] = Entry(socket: socket, deadline: now + limits.hello)
            }
            return (
                number, ended.compactMap { entries[$0]?.socket }, ended.filter { entries[$0]?.deadline != nil }
            )
        }
        for socket in ended { socket.shut() }
        // In a crowd, the threads of those that have just lost their places would be all that there are. They only read.
        if !silent.isEmpty {
            _ = state.wait(until: .now + .milliseconds(200)) { state in
                silent.allSatisfy { state.entries[$0] == nil } ? true : nil
            }
        }
        let isTaken =
            state.withLock { $0.entries[number] != nil }
            && attendants.run { [self] in
                attend(socket, uid, number)
                leave(number)
            }
        guard !isTaken else { return }
        leave(number)
        // Without a wait: whoever connects while there is no room must not hold up the next one.
        LineWriter(socket.number, patience: .milliseconds(1)).write(
            SocketWelcome.refusal("too many connections: try again").canonicalBytes()
        )
    }

    private func leave(_ number: Int) {
        state.update { state in
            state.entries[number] = nil
            state.places.leave(number)
        }
    }

    private func say(_ message: JSONValue, _ socket: OpenSocket) {
        LineWriter(socket.number, patience: .seconds(10)).write(message.canonicalBytes())
    }

    private func attend(_ socket: OpenSocket, _ uid: UInt32, _ number: Int) {
        var reader = LineReader(socket.number, most: SocketOpening.most)
        guard case .line(let line) = reader.next() else { return }
        state.withLock { $0.entries[number]?.deadline = nil }
        switch SocketOpening(line) {
        case .defect(let text): say(SocketWelcome.refusal(text), socket)
        case .admin(let wanted):
            state.withLock { $0.entries[number]?.isAnswered = true }
            say(admin(wanted, uid), socket)
        case .hello(let hello):
            let peer = hello.peer(uid: uid)
            guard let session = gatekeeper.admit(peer) else {
                let agent = hello.agent.map { " for \($0)" } ?? ""
                say(SocketWelcome.refusal("the account \(uid) may not speak here\(agent)"), socket)
                return
            }
            state.withLock { $0.places.prove(number, session.agent) }
            say(SocketWelcome.welcome(session.agent), socket)
            serve(Speaker(session) { [gatekeeper] in gatekeeper.admit(peer) }, hello, socket, number, reader)
        }
    }

    private func serve(
        _ speaker: Speaker,
        _ hello: SocketHello,
        _ socket: OpenSocket,
        _ number: Int,
        _ reader: consuming LineReader
    ) {
        let room = AgentRoom(room: room, agent: speaker.first.agent)
        let connection = LineConnection(
            reader: reader.reading(most: ClientMessage.most, in: room),
            output: socket.number,
            gatekeeper: gatekeeper,
            speaker: speaker,
            workers: workers,
            watch: watch,
            version: version,
            room: room,
            agreed: hello.agreed,
            holding: socket
        )
        if hello.isTold { connection.beginTelling() }
        state.withLock { $0.entries[number]?.connection = connection }
        teller.add(connection)
        connection.serve()
        teller.remove(connection)
        socket.shut()
    }
}
