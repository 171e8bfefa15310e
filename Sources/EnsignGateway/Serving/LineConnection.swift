import EnsignModel
import EnsignSystem
import Synchronization

/// One client that speaks by lines: over standard input and output, or a Unix socket (2025-11-25, "Transports", stdio).
///
/// The thread that reads a call also makes it. As long as that is the only one, it looks after the client while it waits for
/// the server; else another goes on reading. So no call waits for a hand-over. Answers come in any order.
final class LineConnection: Sendable {
    private let gatekeeper: any Gatekeeper
    private let speaker: Speaker
    private let workers: WorkerPool
    private let watch: ReadingWatch
    private let limits: Limits
    private let input: Int32
    private let room: AgentRoom?
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
        /// Whose turn it is to read: raised each time that another thread takes it.
        var turn = 0
        /// The call whose thread has the turn.
        var held: HeldTurn?
        /// How often in a row nobody was found at a call who had the turn.
        var calm = 0
        var isWatched = false
        /// Threads that are in here.
        var threads = 0
        var calls: [JSONValue: Cancellation] = [:]
        var hasEnded = false
        var isOver = false
        /// Who wants to know when the list of tools changes: everybody after `initialize`, and each who listens and asked for it.
        var isTold = false
        var listeners: [JSONValue: Bool] = [:]
        var mark: Int?
        /// Who has not been told of the last change yet: nil without a listener's id.
        var due: [JSONValue?] = []

        /// Whether an id is that of a request that is not over.
        func isInUse(_ id: JSONValue) -> Bool { calls[id] != nil || listeners[id] != nil }
    }

    private struct HeldTurn {
        let turn: Int
        /// Whether it was found once already.
        var isOld = false
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
        watch: ReadingWatch,
        version: String,
        limits: Limits = Limits()
    ) {
        self.init(
            reader: LineReader(input, most: ClientMessage.most),
            output: output,
            gatekeeper: gatekeeper,
            speaker: Speaker(session) { session },
            workers: workers,
            watch: watch,
            version: version,
            limits: limits
        )
    }

    /// - Parameters:
    ///   - reader: May have read on already.
    ///   - room: Where long messages must find room, from their last byte to their answer; nil where there is always some.
    ///   - agreed: The version that was agreed on before.
    ///   - held: Kept as long as the connection is.
    init(
        reader: consuming LineReader,
        output: Int32,
        gatekeeper: any Gatekeeper,
        speaker: Speaker,
        workers: WorkerPool,
        watch: ReadingWatch,
        version: String,
        limits: Limits = Limits(),
        room: AgentRoom? = nil,
        agreed: String? = nil,
        holding held: (any Sendable)? = nil
    ) {
        self.held = held
        self.gatekeeper = gatekeeper
        self.speaker = speaker
        self.workers = workers
        self.watch = watch
        self.limits = limits
        self.room = room
        input = reader.number
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
        work(0)
        // This thread may have gone from reading to a call, and others have read on.
        _ = state.wait(until: nil) { $0.hasEnded ? true : nil }
        state.withLock { $0.isOver = true }
    }

    /// Reads and works by turns, until the client's last word or until another thread reads.
    private func work(_ turn: Int) {
        while let job = nextJob(turn) {
            // Not before: whoever reads next waits for the lock that this thread had.
            if !job.keepsTurn { passOn(turn) }
            job.run()
            room?.give(job.room)
            let isOwn = state.withLock { state in
                guard state.turn == turn else { return false }
                state.held = nil
                return true
            }
            if !isOwn { break }
        }
        state.update { $0.threads -= 1 }
    }

    /// Lets another thread read. Where there is none, the one that has the turn reads on after its call.
    private func passOn(_ turn: Int) {
        state.withLock { state in
            // With the lock: whoever ends its call meanwhile must know whether it has to read on.
            guard state.turn == turn, workers.run({ [self] in work(turn + 1) }) else { return }
            state.turn = turn + 1
            state.held = nil
            state.threads += 1
        }
    }

    /// Lets another thread read where the one that has the turn has been at its call since this was asked last.
    ///
    /// - Returns: Whether to ask again.
    func passOnIfLong() -> Bool {
        let turn = state.withLock { state -> Int? in
            guard let held = state.held else {
                state.calm += 1
                return nil
            }
            state.calm = 0
            state.held?.isOld = true
            return held.isOld ? held.turn : nil
        }
        if let turn { passOn(turn) }
        return state.withLock { state in
            state.isWatched = !state.isOver && state.calm < Self.mostCalm
            return state.isWatched
        }
    }

    private static let mostCalm = 50

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
        /// Whether no other thread needs to read meanwhile, unless it takes long.
        var keepsTurn: Bool
        /// The room that its message takes.
        var room = 0
        var run: () -> Void
    }

    private func nextJob(_ turn: Int) -> Job? {
        var isLast = false
        let job: Job? = reading.withLock { reading in
            while !reading.hasEnded {
                switch reading.reader.next() {
                case .end:
                    reading.hasEnded = true
                    isLast = true
                case .tooLong:
                    let error = ProtocolError(ProtocolError.unreadable, ClientMessage.tooLong)
                    write(Reply.message(.null, error))
                case .noRoom: refuseRoom()
                case .line(let line):
                    guard line.contains(where: { ![0x20, 0x09, 0x0D].contains($0) }) else { continue }
                    let memory = line.count > ClientMessage.short ? line.count + ClientMessage.memory(for: line) : 0
                    if let room, !room.take(memory) {
                        refuseRoom()
                        continue
                    }
                    let step = reading.messages.take(ClientMessage(line))
                    if var job = self.job(for: step, turn, hasMore: reading.reader.hasMore) {
                        job.room = memory
                        return job
                    }
                    room?.give(memory)
                }
            }
            return nil
        }
        if isLast { end() }
        return job
    }

    /// The message is not read, so nobody knows which request this would answer, nor what it asks for.
    private func refuseRoom() {
        let call = IncomingCall(
            name: "tools/call",
            arguments: [:],
            protocolVersion: ProtocolVersion.handshakes[0],
            cancellation: Cancellation()
        )
        let decision = gatekeeper.refuse(call, .noRoom(call.name), in: speaker.first)["_meta"]?["dev.ensign/decision"]
        var error = ProtocolError.noRoom
        error.data = decision.map { ["dev.ensign/decision": $0] }
        write(Reply.message(.null, error))
    }

    /// Does what is done at once; what takes time is a job.
    ///
    /// - Parameter hasMore: Whether there is more of the client's already.
    private func job(for step: ClientProtocol.Step, _ turn: Int, hasMore: Bool) -> Job? {
        var job: Job?
        switch step {
        case .nothing: break
        case .answer(let message, _): write(message)
        case .cancel(let id):
            let listener = state.withLock { $0.listeners.removeValue(forKey: id) }
            if listener == nil { state.withLock { $0.calls[id] }?.cancel() }
        case .initialized: beginTelling()
        case .listen(let reply, let wantsList): listen(reply, wantsList)
        case .list(let reply, let traceparent):
            job = start(reply, turn, ifBusy: { Reply.message(reply.id, .noRoom) }) { [self] _ in
                guard let session = speaker.session else { return Reply.message(reply.id, .noSpeaker) }
                return gatekeeper.answer(reply, toListFor: session, traceparent: traceparent)
            }
        case .call(let reply, let call):
            let busy = { [self] in gatekeeper.refuse(reply, call, .noRoom(call.name), in: speaker.first) }
            let reading = ClientReading(input) { [self] in passOn(turn) }
            job = start(reply, turn, ifBusy: busy) { [self] cancellation in
                guard let session = speaker.session else {
                    return gatekeeper.refuse(reply, call, .noSpeaker(call.name), in: speaker.first)
                }
                return gatekeeper.answer(reply, to: call, in: session, cancellation, reading: reading) { [self] in
                    write($0)
                }
            }
        }
        if hasMore { job?.keepsTurn = false }
        return job
    }

    /// Takes note of a request under way.
    ///
    /// - Parameter busy: The answer where there are too many.
    private func start(
        _ reply: Reply,
        _ turn: Int,
        ifBusy busy: () -> JSONValue,
        _ body: @escaping (Cancellation) -> JSONValue?
    ) -> Job? {
        let cancellation = Cancellation { [writer] in writer.isGone }
        enum Place { case taken, full, fine(isAlone: Bool, isWatched: Bool) }
        let place = state.withLock { state -> Place in
            guard !state.isInUse(reply.id) else { return .taken }
            guard state.calls.count < limits.calls else { return .full }
            state.calls[reply.id] = cancellation
            state.held = HeldTurn(turn: turn)
            defer { state.isWatched = true }
            return .fine(isAlone: state.calls.count == 1, isWatched: state.isWatched)
        }
        switch place {
        case .taken:
            refuseID()
            return nil
        case .full:
            write(busy())
            return nil
        case .fine(let isAlone, let isWatched):
            if !isWatched { watch.add(self) }
            let run = { [self] in
                let message = body(cancellation)
                state.withLock { $0.calls[reply.id] = nil }
                // Whoever cancels wants no answer (2025-11-25, "Cancellation").
                guard let message else { return }
                guard !cancellation.isCancelled, write(message) else { return cancellation.lose() }
            }
            return Job(keepsTurn: isAlone && watch.isThere, run: run)
        }
    }

    /// With the id of the other one it would be taken for its answer.
    private func refuseID() {
        write(Reply.message(.null, ProtocolError(ProtocolError.notAMessage, "this id is in use")))
    }

    @discardableResult
    private func write(_ message: JSONValue) -> Bool { writer.write(message.canonicalBytes()) }

    // MARK: Changes

    /// At most so many may listen at a time on one connection.
    private static let mostListeners = 16

    private func listen(_ reply: Reply, _ wantsList: Bool) {
        guard let session = speaker.session else {
            write(Reply.message(reply.id, .noSpeaker))
            return
        }
        let mark = gatekeeper.offerMark(for: session)
        enum Place { case taken, full, fine }
        let place = state.withLock { state -> Place in
            guard !state.isInUse(reply.id) else { return .taken }
            guard state.listeners.count < Self.mostListeners else { return .full }
            state.listeners[reply.id] = wantsList
            state.mark = state.mark ?? mark
            return .fine
        }
        switch place {
        case .taken: refuseID()
        case .full:
            write(Reply.message(reply.id, ProtocolError(ProtocolError.internalFailure, "too many listen already")))
        case .fine: write(ListChange.acknowledged(reply.id, isSubscribed: wantsList))
        }
    }

    /// Says so from now on when the list of tools changes.
    func beginTelling() {
        let mark = speaker.session.map { gatekeeper.offerMark(for: $0) }
        state.withLock { state in
            state.isTold = true
            state.mark = state.mark ?? mark
        }
    }

    /// Says that the list of tools has changed, if it has. Waits for nothing: a client that reads nothing just now is told when it
    /// is asked for again, once for all changes.
    func tellChanges() {
        writer.goOn()
        let asks = state.withLock { !$0.isOver && ($0.isTold || $0.listeners.values.contains(true)) }
        guard asks, let session = speaker.session else { return }
        let mark = gatekeeper.offerMark(for: session)
        let due = state.withLock { state in
            let all = (state.isTold ? [nil] : []) + state.listeners.filter(\.value).map { Optional($0.key) }
            state.due = state.mark == mark ? state.due.filter(all.contains) : all
            state.mark = mark
            return state.due
        }
        for one in due {
            let message = one.map { ListChange.message(for: $0) } ?? ListChange.message
            guard writer.offer(message.canonicalBytes()) else { return }
            state.withLock { $0.due.removeAll { $0 == one } }
        }
    }
}
