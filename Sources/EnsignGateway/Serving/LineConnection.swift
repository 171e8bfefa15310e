import EnsignModel
import EnsignSystem
import Synchronization

/// One client that speaks by lines: over standard input and output, or a Unix socket (2025-11-25, "Transports", stdio).
///
/// The thread that reads a call also makes it, and another goes on reading: no call waits for a hand-over. Answers come in
/// any order.
final class LineConnection: Sendable {
    private let gatekeeper: any Gatekeeper
    private let session: Session
    private let workers: WorkerPool
    private let limits: Limits
    private let writer: LineWriter
    /// What must not be closed while a call may still be answered.
    private let held: (any Sendable)?
    private let reading: Mutex<Reading>
    private let state: Condition<State>

    /// What bounds one connection.
    struct Limits: Sendable {
        /// The most calls at a time.
        var calls = 128
        /// How long calls go on after the client's last word.
        var grace = Duration.seconds(1)
        /// How long the end waits for calls that were cancelled.
        var ending = Duration.seconds(5)
    }

    private struct Reading: ~Copyable {
        var reader: LineReader
        var messages: ClientProtocol
        var hasEnded = false
    }

    private struct State {
        /// Threads that wait for their turn to read.
        var waiting = 0
        /// Threads that are in here.
        var threads = 0
        var calls: [JSONValue: Cancellation] = [:]
        var hasEnded = false
        var isOver = false
        /// Who wants to know when the list of tools changes: everybody after `initialize`, and each who listens.
        var isTold = false
        var listeners: [JSONValue: Reply] = [:]
        var mark: Int?
    }

    /// - Parameters:
    ///   - input: Descriptors that stay open until ``serve()`` returns.
    ///   - version: The gateway's own.
    convenience init(
        input: Int32,
        output: Int32,
        gatekeeper: any Gatekeeper,
        session: Session,
        workers: WorkerPool,
        version: String,
        limits: Limits = Limits()
    ) {
        self.init(
            reader: LineReader(input, most: ClientMessage.most),
            output: output,
            gatekeeper: gatekeeper,
            session: session,
            workers: workers,
            version: version,
            limits: limits
        )
    }

    /// - Parameters:
    ///   - reader: May have read on already.
    ///   - agreed: The version that was agreed on before.
    ///   - held: Kept as long as the connection is.
    init(
        reader: consuming LineReader,
        output: Int32,
        gatekeeper: any Gatekeeper,
        session: Session,
        workers: WorkerPool,
        version: String,
        limits: Limits = Limits(),
        agreed: String? = nil,
        holding held: (any Sendable)? = nil
    ) {
        self.held = held
        self.gatekeeper = gatekeeper
        self.session = session
        self.workers = workers
        self.limits = limits
        writer = LineWriter(output)
        reading = Mutex(
            Reading(
                reader: reader,
                messages: ClientProtocol(version: version, canListen: true, agreed: agreed)
            )
        )
        state = Condition(State())
    }

    /// Whether nothing is under way.
    var isResting: Bool { state.withLock { $0.calls.isEmpty } }

    /// Serves until the client's last word, and until its calls are over: they get a moment, then they are cancelled.
    func serve() {
        state.withLock { $0.threads = 1 }
        work()
        // This thread may have gone from reading to a call, and others have read on.
        _ = state.wait(until: nil) { $0.hasEnded ? true : nil }
        state.withLock { $0.isOver = true }
    }

    /// Reads and works in turns, until the client's last word or until enough others wait to read.
    private func work() {
        while let job = nextJob() {
            // Not before: whoever reads next waits for the lock that this thread had.
            if job.needsReader, !workers.run({ [self] in work() }) {
                state.update { $0.threads -= 1 }
                job.giveUp()
                continue
            }
            job.run()
            // One is enough to go on with.
            if state.withLock({ $0.waiting > 0 }) { break }
        }
        state.update { $0.threads -= 1 }
    }

    /// Ends what is still under way. Called once, by the thread that has read the client's last word.
    private func end() {
        let isDone = state.wait(until: .now + limits.grace) { $0.threads <= 1 ? true : nil }
        if isDone == nil {
            for call in state.withLock({ Array($0.calls.values) }) { call.cancel() }
            _ = state.wait(until: .now + limits.ending) { $0.threads <= 1 ? true : nil }
        }
        state.update { $0.hasEnded = true }
    }

    /// A call, or another question that blocks, and its way back.
    private struct Job {
        /// Whether another thread must go on reading.
        var needsReader: Bool
        var run: () -> Void
        /// Answers that there is no room for it.
        var giveUp: () -> Void
    }

    private func nextJob() -> Job? {
        state.withLock { $0.waiting += 1 }
        var isLast = false
        let job: Job? = reading.withLock { reading in
            state.withLock { $0.waiting -= 1 }
            while !reading.hasEnded {
                switch reading.reader.next() {
                case .end:
                    reading.hasEnded = true
                    isLast = true
                case .tooLong:
                    let error = ProtocolError(ProtocolError.unreadable, ClientMessage.tooLong)
                    write(Reply.message(.null, error))
                case .line(let line):
                    guard line.contains(where: { ![0x20, 0x09, 0x0D].contains($0) }) else { continue }
                    let step = reading.messages.take(ClientMessage(line))
                    if let job = self.job(for: step) { return job }
                }
            }
            return nil
        }
        if isLast { end() }
        return job
    }

    /// Does what is done at once; what takes time is a job.
    private func job(for step: ClientProtocol.Step) -> Job? {
        switch step {
        case .nothing: break
        case .answer(let message, _): write(message)
        case .cancel(let id):
            let reply = state.withLock { $0.listeners.removeValue(forKey: id) }
            if reply == nil { state.withLock { $0.calls[id] }?.cancel() }
        case .initialized: beginTelling()
        case .listen(let reply): listen(reply)
        case .list(let reply):
            return start(reply, ifBusy: { Reply.message(reply.id, .noRoom) }) { [self] _ in
                gatekeeper.answer(reply, toListFor: session)
            }
        case .call(let reply, let call):
            let busy = { [self] in gatekeeper.refuse(reply, call, .noRoom, in: session) }
            return start(reply, ifBusy: busy) { [self] cancellation in
                gatekeeper.answer(reply, to: call, in: session, cancellation) { [self] in write($0) }
            }
        }
        return nil
    }

    /// Takes note of a request under way.
    ///
    /// - Parameter busy: The answer where there are too many.
    private func start(
        _ reply: Reply,
        ifBusy busy: @escaping () -> JSONValue,
        _ body: @escaping (Cancellation) -> JSONValue?
    ) -> Job? {
        let cancellation = Cancellation()
        enum Place { case taken, full, fine(needsReader: Bool) }
        let place = state.withLock { state -> Place in
            guard state.calls[reply.id] == nil else { return .taken }
            guard state.calls.count < limits.calls else { return .full }
            state.calls[reply.id] = cancellation
            guard state.waiting == 0 else { return .fine(needsReader: false) }
            state.threads += 1
            return .fine(needsReader: true)
        }
        switch place {
        case .taken:
            // With the id of the other one it would be taken for its answer.
            write(Reply.message(.null, ProtocolError(ProtocolError.notAMessage, "this id is in use")))
            return nil
        case .full:
            write(busy())
            return nil
        case .fine(let needsReader):
            let run = { [self] in
                let message = body(cancellation)
                state.withLock { $0.calls[reply.id] = nil }
                // Whoever cancels wants no answer (2025-11-25, "Cancellation").
                if let message, !cancellation.isCancelled { write(message) }
            }
            let giveUp = { [self] in
                state.withLock { $0.calls[reply.id] = nil }
                write(busy())
            }
            return Job(needsReader: needsReader, run: run, giveUp: giveUp)
        }
    }

    private func write(_ message: JSONValue) { writer.write(message.canonicalBytes()) }

    // MARK: Changes

    /// At most so many may listen at a time on one connection.
    private static let mostListeners = 16

    private func listen(_ reply: Reply) {
        let mark = gatekeeper.offerMark(for: session)
        let isTaken = state.withLock { state in
            guard state.listeners[reply.id] == nil, state.listeners.count < Self.mostListeners else { return false }
            state.listeners[reply.id] = reply
            state.mark = state.mark ?? mark
            return true
        }
        guard isTaken else {
            return write(
                Reply.message(reply.id, ProtocolError(ProtocolError.internalFailure, "too many listen already"))
            )
        }
        write(
            [
                "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                "params": [
                    "_meta": [ProtocolVersion.Meta.subscription: reply.id], "notifications": ["toolsListChanged": true],
                ],
            ]
        )
    }

    /// Says so from now on when the list of tools changes.
    func beginTelling() {
        let mark = gatekeeper.offerMark(for: session)
        state.withLock { state in
            state.isTold = true
            state.mark = state.mark ?? mark
        }
    }

    /// Says that the list of tools has changed, if it has.
    func tellChanges() {
        let asks = state.withLock { !$0.isOver && ($0.isTold || !$0.listeners.isEmpty) }
        guard asks else { return }
        let mark = gatekeeper.offerMark(for: session)
        let told = state.withLock { state -> (isTold: Bool, listeners: [JSONValue])? in
            guard state.mark != mark else { return nil }
            state.mark = mark
            return (state.isTold, Array(state.listeners.keys))
        }
        guard let told else { return }
        let message: JSONObject = ["jsonrpc": "2.0", "method": "notifications/tools/list_changed"]
        if told.isTold { write(.object(message)) }
        for id in told.listeners {
            var stamped = message
            stamped["params"] = ["_meta": [ProtocolVersion.Meta.subscription: id]]
            write(.object(stamped))
        }
    }
}
