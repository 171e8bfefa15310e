import EnsignJSON
package import EnsignModel
package import EnsignSystem
import Synchronization

/// One client of standard input and output, passed on to the gateway that listens on a socket.
///
/// It decides nothing and works for nobody alone. Where the gateway cannot be reached it answers itself: what a client asks
/// at its start is answered, so that it goes on; `tools/list` fails; a call is a result that says `unavailable`. The next
/// message is passed on again as soon as the gateway is back. A call whose answer was lost is `unknown-outcome`. Nobody knows what
/// has changed meanwhile: whoever wants to know of changes is told that the list of tools has.
package final class SocketConnector: Sendable {
    /// How it ended.
    package enum End: Sendable, Hashable {
        /// The client has closed its end.
        case done
        /// The gateway knows nobody like this: its reason.
        case refused(String)
    }

    private struct State {
        var socket: OpenSocket?
        var waiting: [JSONValue: Waiting] = [:]
        var thread: EnsignSystem.Thread?
        /// Until when it is worth to wait for a gateway that has just gone.
        var hopeUntil: ContinuousClock.Instant?
        var hello: SocketHello
        var refusal: String?
        /// Listeners whose request a gateway has ended: each that listens again is told of a change once.
        var missed = 0
        var isOutputOpen = true
        /// Whether the client has closed its end: then the gateway ends its side, too, and what it stopped has no answer.
        var isEnding = false
    }

    /// A request that was passed on.
    private struct Waiting {
        var method: String
        var reply: Reply
    }

    private let path: String
    private let version: String
    private let writer: LineWriter
    private let state: Condition<State>

    private init(_ path: String, _ hello: SocketHello, _ output: Int32, _ version: String) {
        self.path = path
        self.version = version
        writer = LineWriter(output)
        state = Condition(State(hello: hello))
    }

    /// Passes messages on until the client's last word. The process must ignore SIGPIPE.
    ///
    /// - Parameters:
    ///   - input: Blocking descriptors. They stay open.
    ///   - version: The gateway's own.
    package static func run(
        path: String,
        hello: SocketHello,
        input: Int32 = 0,
        output: Int32 = 1,
        version: String
    ) -> End {
        let connector = SocketConnector(path, hello, output, version)
        // Whoever is not known learns it before the first message.
        _ = connector.socket()
        connector.pass(input)
        return connector.end()
    }

    /// Asks the gateway what an operator wants to know.
    ///
    /// - Throws: ``SystemError`` when nobody listens there, or the answer is none.
    package static func ask(_ path: String, _ wanted: JSONObject) throws(SystemError) -> JSONValue {
        let socket = OpenSocket(try UnixSocket.connect(path))
        var wanted = wanted
        wanted["ensign"] = "admin"
        socket.setPatience(seconds: 60)
        var reader = LineReader(socket.number, most: 16 << 20)
        guard LineWriter(socket.number).write(JSONValue.object(wanted).canonicalBytes()),
            case .line(let line) = reader.next(), let answer = try? JSONParser.parse(line)
        else { throw SystemError(code: 71, operation: "understand what the gateway at \(path) says") }
        return answer
    }

    // MARK: From the client

    private func pass(_ input: Int32) {
        var reader = LineReader(input, most: ClientMessage.most)
        while state.withLock({ $0.refusal == nil && $0.isOutputOpen }) {
            switch reader.next() {
            case .end: return
            case .tooLong, .noRoom:
                write(Reply.message(.null, ProtocolError(ProtocolError.unreadable, ClientMessage.tooLong)))
            case .line(let line):
                guard line.contains(where: { ![0x20, 0x09, 0x0D].contains($0) }) else { continue }
                pass(line)
            }
        }
    }

    private func pass(_ line: [UInt8]) {
        let message = ClientMessage(line)
        let way = socket()
        remember(message)
        guard let socket = way else {
            if state.withLock({ $0.refusal == nil }) { answer(message) }
            return
        }
        note(message)
        if LineWriter(socket.number).write(line) { return }
        // Nobody knows how much of it was read. Somebody else may have said so already.
        socket.shut()
        guard case .request(let request) = message,
            let waiting = state.withLock({ $0.waiting.removeValue(forKey: request.id) })
        else { return }
        write(Self.lost(waiting.method, waiting.reply))
    }

    /// Takes note of what another connection must know.
    private func remember(_ message: ClientMessage) {
        switch message {
        case .request(let request) where request.method == "initialize":
            guard let asked = request.parameters["protocolVersion"]?.string else { return }
            state.withLock { $0.hello.agreed = ProtocolVersion.agreed(on: asked) }
        case .notification("notifications/initialized", _): state.withLock { $0.hello.isTold = true }
        default: break
        }
    }

    /// Takes note of a request that is passed on, and of one whose answer nobody wants any more: it gets none.
    private func note(_ message: ClientMessage) {
        if case .notification("notifications/cancelled", let parameters) = message {
            if let id = parameters["requestId"] { state.withLock { _ = $0.waiting.removeValue(forKey: id) } }
            return
        }
        guard case .request(let request) = message else { return }
        let version = request.isStateless ? ProtocolVersion.stateless : ProtocolVersion.handshakes[0]
        let reply = Reply(id: request.id, version: version, server: server)
        state.withLock { $0.waiting[request.id] = Waiting(method: request.method, reply: reply) }
    }

    private var server: JSONValue { ["name": "ensign-gateway", "version": .string(version)] }

    /// Answers for a gateway that cannot be reached.
    private func answer(_ message: ClientMessage) {
        let agreed = state.withLock { $0.hello.agreed }
        var messages = ClientProtocol(version: version, canListen: true, agreed: agreed)
        switch messages.take(message) {
        case .nothing, .cancel, .initialized: break
        case .answer(let value, _): write(value)
        case .list(let reply, _), .listen(let reply, _):
            write(Reply.message(reply.id, ProtocolError(ProtocolError.internalFailure, Self.absent)))
        case .call(let reply, _):
            write(
                reply.call(
                    Refusal(.unavailable, "not done: \(Self.absent) Nothing was done. Try again later.").result(
                        decision: nil
                    )
                )
            )
        }
    }

    private static let absent = "the gateway that checks what may be done cannot be reached."

    private func write(_ message: JSONValue) { write(message.canonicalBytes()) }

    private func write(_ line: [UInt8]) {
        if !writer.write(line) { state.update { $0.isOutputOpen = false } }
    }

    // MARK: The way to the gateway

    /// The open connection, or a new one; nil where there is no gateway, or none for us.
    private func socket() -> OpenSocket? {
        let (open, old) = state.withLock { state -> (OpenSocket?, EnsignSystem.Thread?) in
            guard state.socket == nil else { return (state.socket, nil) }
            defer { state.thread = nil }
            return (nil, state.thread)
        }
        if let open { return open }
        old?.join()
        while true {
            if let socket = connect() { return socket }
            let hopes = state.withLock { state in
                state.refusal == nil && state.hopeUntil.map { ContinuousClock.now < $0 } ?? false
            }
            guard hopes else { return nil }
            Machine.pause(milliseconds: 20)
        }
    }

    private func connect() -> OpenSocket? {
        guard let descriptor = try? UnixSocket.connect(path) else { return nil }
        let socket = OpenSocket(descriptor)
        let hello = state.withLock { $0.hello }
        socket.setPatience(seconds: 10)
        var reader = LineReader(socket.number, most: ClientMessage.most * 8)
        guard LineWriter(socket.number).write(hello.json.canonicalBytes()), case .line(let line) = reader.next(),
            let said = try? JSONParser.parse(line)
        else { return nil }
        socket.setPatience(seconds: 0)
        guard said["ensign"] == "welcome" else {
            state.withLock { $0.refusal = said["message"]?.string ?? "the gateway says no" }
            return nil
        }
        let box = Mutex<LineReader?>(consume reader)
        // With the lock: the thread may end at once, and takes the socket away then.
        let isHeard = state.withLock { state in
            let thread = try? EnsignSystem.Thread { [self] in
                guard var reader = box.withLock({ $0.take() }) else { return }
                hear(socket, &reader)
            }
            guard let thread else { return false }
            state.socket = socket
            state.thread = thread
            state.hopeUntil = nil
            return true
        }
        guard isHeard else { return nil }
        if hello.isTold { write(ListChange.message) }
        return socket
    }

    /// Passes the gateway's lines on until it has gone.
    private func hear(_ socket: OpenSocket, _ reader: inout LineReader) {
        while case .line(let line) = reader.next() {
            if let id = Self.answered(line) { state.update { _ = $0.waiting.removeValue(forKey: id) } }
            write(line)
            tellMissed(line)
            guard state.withLock({ $0.isOutputOpen }) else { break }
        }
        socket.shut()
        let (lost, isEnding) = state.update { state in
            state.socket = nil
            state.hopeUntil = .now + .seconds(2)
            defer { state.waiting = [:] }
            state.missed += state.waiting.values.count { $0.method == "subscriptions/listen" }
            return (Array(state.waiting.values), state.isEnding)
        }
        // A gateway that is there has not ended: it has stopped what its client left behind.
        if isEnding, !lost.isEmpty, (try? UnixSocket.connect(path)) != nil { return }
        for one in lost { write(Self.lost(one.method, one.reply)) }
    }

    /// Says that the list has changed to one who listens again.
    private func tellMissed(_ line: [UInt8]) {
        guard state.withLock({ $0.missed > 0 }), let id = ListChange.subscriber(of: line) else { return }
        state.withLock { $0.missed -= 1 }
        write(ListChange.message(for: id))
    }

    /// What became of a request whose answer was lost.
    private static func lost(_ method: String, _ reply: Reply) -> JSONValue {
        guard method == "tools/call" else {
            let text = "the gateway ended before it answered: ask again"
            return Reply.message(reply.id, ProtocolError(ProtocolError.internalFailure, text))
        }
        let text = "the gateway ended before it answered. The call may have happened: look before you repeat it."
        return reply.call(Refusal(.unknownOutcome, text).result(decision: nil))
    }

    /// The request that a line of the gateway answers. It writes canonical JSON, so that the id of a result stands in front:
    /// nothing of a long result is read.
    static func answered(_ line: [UInt8]) -> JSONValue? {
        if line.starts(with: #"{"id":"#.utf8) {
            let rest = line.dropFirst(6)
            // In a text, a quotation mark is escaped.
            let end = rest.first == UInt8(ascii: "\"") ? textEnd(rest) : rest.firstIndex(of: UInt8(ascii: ","))
            return end.flatMap { try? JSONParser.parse(Array(rest[..<$0])) }
        }
        guard line.starts(with: #"{"error":"#.utf8) else { return nil }
        return (try? JSONParser.parse(line))?["id"]
    }

    private static func textEnd(_ bytes: ArraySlice<UInt8>) -> Int? {
        var index = bytes.startIndex + 1
        while index < bytes.endIndex {
            switch bytes[index] {
            case UInt8(ascii: "\\"): index += 2
            case UInt8(ascii: "\""): return index + 1
            default: index += 1
            }
        }
        return nil
    }

    private func end() -> End {
        let (socket, thread) = state.withLock { state in
            state.isEnding = true
            return (state.socket, state.thread)
        }
        // The gateway answers what is under way, and then ends its side.
        socket?.shutWriting()
        while let socket, state.wait(until: .now + .milliseconds(50), { $0.socket == nil ? true : nil }) == nil {
            guard writer.isGone else { continue }
            // What it writes for nobody would be taken for told.
            socket.shut()
            break
        }
        thread?.join()
        return state.withLock { $0.refusal }.map { .refused($0) } ?? .done
    }
}
