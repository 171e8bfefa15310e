import EnsignModel
import EnsignSystem
import Glibc
import Synchronization

/// One running program that is a server: requests run beside each other, each with an id that is never used again, so that
/// a late answer reaches nobody.
///
/// One of those who wait for an answer reads for all of them, so that nobody has to be woken for the answer to a single call.
/// A thread of the session reads while nobody waits, and what the program writes to standard error.
final class ProgramSession: Sendable {
    private struct State {
        var waiting: [Int64: Inbox] = [:]
        var last: Int64 = 0
        var ended: UpstreamFailure?
        /// Whether it was ended only because nobody used it.
        var isAtRest = false
        var hasNewList = false
        var lastUse = ContinuousClock.now
        /// Who reads for all that wait.
        var leader: Inbox?
        /// When somebody was last.
        var led: ContinuousClock.Instant?
        var lastWords: LastWords
    }

    /// What has come for one caller.
    private final class Inbox: Sendable {
        struct Content: Sendable {
            var progress: [JSONObject] = []
            var end: End?
            var isCancelled = false
            /// Whether nobody reads any more, as far as is known.
            var mayLead = false
            /// Whether the program has got the whole request.
            var wasSent = false
        }

        enum End: Sendable {
            case answer(UpstreamAnswer, bytes: Int)
            case failure(UpstreamFailure)
        }

        let content = Condition(Content())
        let wantsProgress: Bool
        init(wantsProgress: Bool) { self.wantsProgress = wantsProgress }
    }

    /// What the program has written, as far as it is not a whole line yet.
    private struct Output {
        var lines: LineBuffer
        /// Lines in a row that were not messages.
        var garbage = 0
    }

    /// How long after the last leader the session's own thread leaves the output alone: there may be another one soon.
    private static let lull = Duration.milliseconds(20)

    private let program: KeptProgram
    private let limits: Limits
    private let state: Mutex<State>
    private let input: ProgramInput
    private let wakeup: Wakeup
    /// For the leader, who does not wait for its inbox.
    private let news: Wakeup
    private let output: Mutex<Output>
    private let lateAnswers = LateAnswers()
    private let thread = Mutex<EnsignSystem.Thread?>(nil)
    private let tell: UpstreamTeller

    /// Starts to read.
    ///
    /// - Parameter tell: Is told why the program is ended for what it does: perhaps nobody waits for it who would say so.
    init(
        _ program: KeptProgram,
        limits: Limits = Limits(),
        tell: @escaping UpstreamTeller
    ) throws(SystemError) {
        self.program = program
        self.limits = limits
        self.tell = tell
        input = ProgramInput(program.input)
        state = Mutex(State(lastWords: LastWords(most: limits.errors)))
        wakeup = try Wakeup()
        news = try Wakeup()
        output = Mutex(Output(lines: LineBuffer(most: limits.line)))
        let reader = try EnsignSystem.Thread { [self] in read() }
        thread.withLock { $0 = reader }
    }

    /// Why it has ended; nil as long as it runs.
    var ended: UpstreamFailure? { state.withLock { $0.ended } }

    /// Whether it was ended only because nobody used it.
    var isAtRest: Bool { state.withLock { $0.isAtRest } }

    /// The end of what it wrote to standard error.
    var said: [UInt8] { state.withLock { $0.lastWords.lines } }

    /// Whether it said that its list has changed, since somebody asked.
    func takeNewList() -> Bool {
        state.withLock { state in
            defer { state.hasNewList = false }
            return state.hasNewList
        }
    }

    /// The same, for whoever only looks.
    var hasNewList: Bool { state.withLock { $0.hasNewList } }

    // MARK: Asking

    /// How a request ended.
    enum Ending: Sendable {
        case answer(UpstreamAnswer)
        /// Nothing of it was written that means anything.
        case notSent(UpstreamFailure)
        case unknown(UpstreamFailure)
    }

    /// Asks, and blocks until the answer comes or nobody waits for it any more.
    ///
    /// - Parameters:
    ///   - late: Told the answer that comes after the time, within a minute.
    ///   - message: Makes the message of an id.
    func ask(
        until deadline: ContinuousClock.Instant,
        most: Int,
        cancellation: Cancellation,
        tells: Bool = true,
        progress: (@Sendable (JSONObject) -> Void)? = nil,
        late: LateAnswers.Taker? = nil,
        reading: ClientReading? = nil,
        mayBeSent: () -> Bool = { true },
        _ message: (Int64) -> JSONValue
    ) -> Ending {
        // A server that took its time to start is not asked what nobody waits for any more, and then told to forget it.
        guard ContinuousClock.now < deadline else {
            return .notSent(UpstreamFailure(.timedOut, "the time was over before it could be asked"))
        }
        let inbox = Inbox(wantsProgress: progress != nil)
        let taken = state.withLock { state -> Result<Int64, UpstreamFailure> in
            if let ended = state.ended { return .failure(ended) }
            state.last += 1
            state.lastUse = .now
            state.waiting[state.last] = inbox
            return .success(state.last)
        }
        let id: Int64
        switch taken {
        case .success(let number): id = number
        case .failure(let failure): return .notSent(failure)
        }
        defer { leave(id, inbox) }
        let line = message(id).canonicalBytes()
        let cancelled: @Sendable () -> Void = { [self] in
            inbox.content.update { $0.isCancelled = true }
            wakeLeader(if: inbox)
            input.lookAround()
        }
        return cancellation.whileWatching(cancelled) {
            let notice = { tells ? UpstreamProtocol.cancelled(id, Self.late).canonicalBytes() : nil }
            let refusal = { mayBeSent() ? nil : UpstreamFailure.withdrawn }
            switch write(line, until: deadline, cancellation, refusal: refusal, notice: notice) {
            case .all: inbox.content.withLock { $0.wasSent = true }
            case .nothing(let failure): return .notSent(failure)
            case .some(let failure): return .unknown(failure)
            }
            let ending = wait(inbox, until: deadline, most: most, progress, reading)
            if case .unknown(let failure) = ending, failure.kind == .timedOut, let late {
                lateAnswers.expect(id, late)
                leave(id, inbox)
                if case .answer(let answer, let bytes)? = inbox.content.withLock({ $0.end }), bytes <= most {
                    // It came in that moment.
                    lateAnswers.forget(id)
                    return .answer(answer)
                }
            }
            if case .unknown(let failure) = ending, tells, [.timedOut, .cancelled].contains(failure.kind) {
                let reason = failure.kind == .timedOut ? Self.late : "cancelled"
                say(UpstreamProtocol.cancelled(id, reason))
            }
            return ending
        }
    }

    private static let late = "no answer in time"

    private enum News {
        case progress([JSONObject])
        case end(Inbox.End)
        case cancelled
        /// Nobody else reads.
        case lead
    }

    private func wait(
        _ inbox: Inbox,
        until deadline: ContinuousClock.Instant,
        most: Int,
        _ progress: (@Sendable (JSONObject) -> Void)?,
        _ reading: ClientReading?
    ) -> Ending {
        var reading = reading
        while true {
            let isLeader = lead(inbox)
            if !isLeader {
                reading?.passOn()
                reading = nil
            }
            let news =
                isLeader
                ? read(for: inbox, until: deadline, &reading)
                : inbox.content.wait(until: deadline) { Self.news(&$0) }
            switch news {
            case .progress(let list):
                // Its client may take nothing for long, and others wait for what is read meanwhile.
                stepDown(inbox)
                for one in list { progress?(one) }
            case .end(.answer(_, let bytes)) where bytes > most:
                return .unknown(UpstreamFailure(.malformed, "the server's answer is longer than \(most) bytes"))
            case .end(.answer(let answer, _)): return .answer(answer)
            case .end(.failure(let failure)): return .unknown(failure)
            case .cancelled: return .unknown(UpstreamFailure(.cancelled, "the caller no longer wants the answer"))
            case .lead: break
            case nil: return .unknown(UpstreamFailure(.timedOut, "the server did not answer in time"))
            }
        }
    }

    private static func news(_ content: inout Inbox.Content) -> News? {
        if !content.progress.isEmpty {
            defer { content.progress = [] }
            return .progress(content.progress)
        }
        if let end = content.end { return .end(end) }
        if content.isCancelled { return .cancelled }
        defer { content.mayLead = false }
        return content.mayLead ? .lead : nil
    }

    // MARK: Reading for all

    /// Becomes the one who reads, unless somebody else is.
    private func lead(_ inbox: Inbox) -> Bool {
        state.withLock { state in
            if state.leader == nil { state.leader = inbox }
            return state.leader === inbox
        }
    }

    /// Waits no longer. Where nobody reads then, another one does who waits.
    private func leave(_ id: Int64, _ inbox: Inbox) {
        state.withLock { state in
            state.waiting[id] = nil
            state.lastUse = .now
        }
        stepDown(inbox)
    }

    /// Reads no longer for all: another one does who waits, or else the session's own thread.
    private func stepDown(_ inbox: Inbox) {
        let next = state.withLock { state -> Inbox? in
            if state.leader === inbox { (state.leader, state.led) = (nil, .now) }
            return state.leader == nil ? state.waiting.first { $0.value !== inbox }?.value : nil
        }
        next?.content.update { $0.mayLead = true }
    }

    private func wakeLeader(if inbox: Inbox? = nil) {
        let isThere = state.withLock { state in
            inbox.map { state.leader === $0 } ?? (state.leader != nil)
        }
        if isThere { news.wake() }
    }

    /// Reads until there is something for the leader, who looks after its client as well.
    ///
    /// - Returns: Nil when the time was over first.
    private func read(
        for inbox: Inbox,
        until deadline: ContinuousClock.Instant,
        _ reading: inout ClientReading?
    ) -> News? {
        var isOpen = true
        while true {
            // Another thread may have read it.
            if let news = inbox.content.withLock({ Self.news(&$0) }) { return news }
            let left = deadline - .now
            guard left > .zero else { return nil }
            var polls = [
                pollfd(fd: isOpen ? program.output : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: news.readEnd, events: Int16(POLLIN), revents: 0),
                pollfd(fd: reading?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            _ = unsafe poll(&polls, 3, Int32(min(left / .milliseconds(1), 60_000)) + 1)
            if polls[2].revents != 0 {
                reading?.passOn()
                reading = nil
            }
            if polls[1].revents != 0 { news.clear() }
            if polls[0].revents != 0, let failure = takeOutput() {
                // Everybody is told by the session's own thread.
                isOpen = false
                end(failure)
            }
        }
    }

    /// Says something that needs no answer, and waits for nothing: nobody's time is the server's to take.
    func say(_ message: JSONValue) {
        if let failure = input.leave(message.canonicalBytes()) { end(failure) }
        if input.owedSince != nil { wakeup.wake() }
    }

    private func write(
        _ line: [UInt8],
        until deadline: ContinuousClock.Instant,
        _ cancellation: Cancellation?,
        refusal: () -> UpstreamFailure? = { nil },
        notice: () -> [UInt8]? = { nil }
    ) -> ProgramInput.Written {
        let written = input.write(line, until: deadline, cancellation, refusal: refusal, notice: notice)
        switch written {
        case .some(let failure) where failure.kind == .ended, .nothing(let failure) where failure.kind == .ended:
            end(failure)
        // The session's own thread writes what is left.
        case .some, .all, .nothing: if input.owedSince != nil { wakeup.wake() }
        }
        return written
    }

    // MARK: Reading

    private func read() {
        let (output, errors) = (program.output, program.errors)
        var areErrorsOpen = true
        let pause = min(max(limits.idle / .milliseconds(2), 10), 60_000)
        while true {
            lateAnswers.tell()
            let isLed = isLed
            let owedSince = input.owedSince
            var polls = [
                pollfd(fd: isLed ? -1 : output, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wakeup.readEnd, events: Int16(POLLIN), revents: 0),
                pollfd(fd: areErrorsOpen ? errors : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: owedSince == nil ? -1 : program.input, events: Int16(POLLOUT), revents: 0),
            ]
            let most = isLed ? Self.lull : owedSince == nil ? .seconds(60) : limits.deaf
            _ = unsafe poll(&polls, 4, Int32(min(pause, most / .milliseconds(1))))
            if polls[1].revents != 0 {
                wakeup.clear()
                if ended != nil { break }
            }
            if polls[3].revents != 0, let failure = input.goOn() { end(failure) }
            if let owedSince, isDeaf(owedSince) {
                takeLastErrors(errors)
                let seconds = limits.deaf.components.seconds
                let words = "the server took nothing of its input for \(seconds) s, and was ended"
                finish(UpstreamFailure(.ended, words), isItsFault: true)
                return
            }
            if polls[2].revents != 0 { areErrorsOpen = takeErrors(errors) }
            guard polls[0].revents != 0 else {
                if isIdle() {
                    state.withLock { $0.isAtRest = true }
                    finish(UpstreamFailure(.ended, "nobody used the server for a while"))
                    return
                }
                continue
            }
            guard !self.isLed else { continue }
            if let failure = takeOutput() {
                takeLastErrors(errors)
                finish(failure)
                return
            }
            // It may have been for somebody who has just begun to read.
            wakeLeader()
        }
        // What it said before its end counts.
        _ = takeOutput()
        takeLastErrors(errors)
        finish(UpstreamFailure(.ended, "the server has ended"))
    }

    /// Whether one of those who wait reads, or did a moment ago.
    private var isLed: Bool {
        state.withLock { state in
            state.leader != nil || state.led.map { ContinuousClock.now - $0 < Self.lull } ?? false
        }
    }

    /// Takes what the program has written.
    ///
    /// - Returns: Why there is no more to come; nil where there may be.
    private func takeOutput() -> UpstreamFailure? {
        output.withLock { output in
            guard output.lines.fill(from: program.output) else {
                return UpstreamFailure(.ended, "the server has ended")
            }
            while let line = output.lines.next() {
                guard take(line) else {
                    output.garbage += 1
                    guard output.garbage <= limits.garbage else {
                        return UpstreamFailure(.malformed, "the server writes lines that are not messages")
                    }
                    continue
                }
                output.garbage = 0
            }
            guard output.lines.isTooLong else { return ended }
            return UpstreamFailure(.malformed, "a message of the server is longer than \(limits.line) bytes")
        }
    }

    /// Whether it takes nothing of half a line, and no request is under way that it may be at: one that reads its next message
    /// when it has answered is not deaf.
    private func isDeaf(_ owedSince: ContinuousClock.Instant) -> Bool {
        guard ContinuousClock.now - owedSince >= limits.deaf, input.owedSince == owedSince else { return false }
        let waiting = state.withLock { Array($0.waiting.values) }
        return !waiting.contains { $0.content.withLock { $0.wasSent } }
    }

    private func isIdle() -> Bool {
        state.withLock { $0.waiting.isEmpty && ContinuousClock.now - $0.lastUse >= limits.idle }
    }

    /// - Returns: Whether the line is a message.
    private func take(_ line: [UInt8]) -> Bool {
        switch UpstreamMessage(line) {
        case .answer(let id, let answer):
            // In one step: who leaves has got it, or is told later.
            let isAwaited = state.withLock { state in
                state.waiting[id]?.content.update { $0.end = $0.end ?? .answer(answer, bytes: line.count) } != nil
            }
            if !isAwaited, lateAnswers.take(answer, to: id) { wakeup.wake() }
            return true
        case .request(let id, let method):
            say(UpstreamProtocol.refusal(of: id, method))
            return true
        case .notification("notifications/progress", let parameters):
            guard let token = parameters["progressToken"]?.int else { return true }
            let inbox = state.withLock { $0.waiting[token] }
            guard let inbox, inbox.wantsProgress else { return true }
            inbox.content.update { content in
                if content.progress.count >= limits.progress { content.progress.removeFirst() }
                content.progress.append(parameters)
            }
            return true
        case .notification("notifications/tools/list_changed", _):
            state.withLock { $0.hasNewList = true }
            return true
        case .notification: return true
        case .garbage(let id):
            guard let id, let inbox = state.withLock({ $0.waiting[id] }) else { return false }
            let failure = UpstreamFailure(.malformed, "the server's answer is not JSON that has one reading")
            inbox.content.update { $0.end = $0.end ?? .failure(failure) }
            return false
        }
    }

    /// Takes what is there of a program that has ended: most often it says why.
    private func takeLastErrors(_ number: Int32) {
        for _ in 0..<64 {
            var polls = [pollfd(fd: number, events: Int16(POLLIN), revents: 0)]
            guard unsafe poll(&polls, 1, 0) > 0, takeErrors(number) else { return }
        }
    }

    private func takeErrors(_ number: Int32) -> Bool {
        var chunk = [UInt8](repeating: 0, count: 8_192)
        let count = unsafe Glibc.read(number, &chunk, chunk.count)
        if count > 0 {
            state.withLock { $0.lastWords.add(chunk[..<count]) }
        }
        return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR))
    }

    // MARK: Ending

    /// Everybody who waits learns that it has ended, and so does the program. On the session's own thread.
    ///
    /// - Parameter isItsFault: Whether it is ended for what it does; what is no message of its is known as that.
    private func finish(_ why: UpstreamFailure, isItsFault: Bool = false) {
        let waiting = state.withLock { state in
            state.ended = state.ended ?? why
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        let failure = ended ?? why
        if isItsFault || failure.kind == .malformed { tell(failure) }
        for inbox in waiting { inbox.content.update { $0.end = $0.end ?? .failure(failure) } }
        lateAnswers.tell()
        input.close(failure)
        wakeLeader()
        program.end()
    }

    /// Ends it soon: later requests are not sent.
    func end(_ why: UpstreamFailure) {
        state.withLock { $0.ended = $0.ended ?? why }
        wakeup.wake()
    }

    /// Waits until it has ended, which somebody must have asked for, or which has happened.
    func join() {
        let reader = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        reader?.join()
    }
}
