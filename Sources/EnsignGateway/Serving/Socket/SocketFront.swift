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

    private struct State {
        var open: [ObjectIdentifier: OpenSocket] = [:]
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
    private let attendants = WorkerPool(most: 1_024)
    private let workers = WorkerPool(most: 1_024)
    private let teller = ChangeTeller()
    private let state = Condition(State())
    private let thread: Condition<EnsignSystem.Thread?>

    /// Starts to serve. The process must ignore SIGPIPE.
    ///
    /// - Parameters:
    ///   - path: At most 107 bytes. Who may connect is decided by its folder and its group; who may speak, by the gatekeeper.
    ///   - version: The gateway's own.
    /// - Throws: ``SystemError`` when it cannot listen there: another process does, or the path is no socket's.
    package init(_ path: String, gatekeeper: any Gatekeeper, version: String, admin: @escaping Admin)
        throws(SystemError)
    {
        self.path = path
        self.gatekeeper = gatekeeper
        self.version = version
        self.admin = admin
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
            return Array(state.open.values)
        }
        for socket in open { socket.shut() }
        attendants.stop()
        workers.stop()
        teller.stop()
    }

    // MARK: Connections

    private func accept() {
        while true {
            var polls = [
                pollfd(fd: listener.number, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wakeup.readEnd, events: Int16(POLLIN), revents: 0),
            ]
            _ = unsafe poll(&polls, 2, -1)
            if polls[1].revents != 0 { return }
            guard polls[0].revents != 0 else { continue }
            let number = Glibc.accept(listener.number, nil, nil)
            guard number >= 0 else {
                // No descriptors left: others end.
                Machine.pause(milliseconds: 10)
                continue
            }
            _ = fcntl(number, F_SETFD, FD_CLOEXEC)
            let socket = OpenSocket(FileDescriptor(owning: number))
            state.withLock { $0.open[ObjectIdentifier(socket)] = socket }
            let isTaken = attendants.run { [self] in
                attend(socket)
                state.withLock { _ = $0.open.removeValue(forKey: ObjectIdentifier(socket)) }
            }
            if !isTaken {
                state.withLock { _ = $0.open.removeValue(forKey: ObjectIdentifier(socket)) }
                say(SocketWelcome.refusal("too many connections: try again"), socket)
            }
        }
    }

    private func say(_ message: JSONValue, _ socket: OpenSocket) {
        LineWriter(socket.number, patience: .seconds(10)).write(message.canonicalBytes())
    }

    private func attend(_ socket: OpenSocket) {
        guard let uid = Machine.account(ofPeerOn: socket.number) else { return }
        socket.setPatience(seconds: 10)
        var reader = LineReader(socket.number, most: SocketOpening.most)
        guard case .line(let line) = reader.next() else { return }
        socket.setPatience(seconds: 0)
        switch SocketOpening(line) {
        case .defect(let text): say(SocketWelcome.refusal(text), socket)
        case .admin(let wanted): say(admin(wanted, uid), socket)
        case .hello(let hello):
            guard let session = gatekeeper.admit(hello.peer(uid: uid)) else {
                let agent = hello.agent.map { " for \($0)" } ?? ""
                say(SocketWelcome.refusal("the account \(uid) may not speak here\(agent)"), socket)
                return
            }
            say(SocketWelcome.welcome(session.agent), socket)
            serve(session, hello, socket, reader)
        }
    }

    private func serve(
        _ session: Session,
        _ hello: SocketHello,
        _ socket: OpenSocket,
        _ reader: consuming LineReader
    ) {
        let connection = LineConnection(
            reader: reader.reading(most: ClientMessage.most),
            output: socket.number,
            gatekeeper: gatekeeper,
            session: session,
            workers: workers,
            version: version,
            agreed: hello.agreed,
            holding: socket
        )
        if hello.isTold { connection.beginTelling() }
        teller.add(connection)
        connection.serve()
        teller.remove(connection)
        socket.shut()
    }
}
