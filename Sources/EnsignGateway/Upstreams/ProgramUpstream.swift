package import EnsignMCP
import EnsignModel
import EnsignSystem

/// A program behind the gateway: one process, whoever calls.
package final class ProgramUpstream: Upstream {
    private struct State {
        var session: ProgramSession?
        /// What the last one that could not be started wrote to standard error.
        var lastWords: [UInt8] = []
        /// The one that has not said yet what it speaks.
        var starting: ProgramSession?
        var era: UpstreamProtocol.Era?
        var info: JSONValue = .null
        var listing: ServerListing?
        var isStarting = false
        /// How often it was begun, and the last of these that did not come to serve.
        var starts = 0
        var failedStart: Int?
        /// How often in a row it could not be started, or ended by itself soon.
        var failures = 0
        var lastFailure: UpstreamFailure?
        var notBefore = ContinuousClock.now
        var started = ContinuousClock.now
        /// Whether it once ended because it was asked in the older era.
        var asksStateless = false
        var startsNoMore = false

        var running: (ProgramSession, UpstreamProtocol.Era)? {
            guard let session, let era, session.ended == nil else { return nil }
            return (session, era)
        }
    }

    private let address: ProgramAddress
    private let secrets: UpstreamSecrets
    private let messages: UpstreamProtocol
    private let limits: ProgramSession.Limits
    private let state = Condition(State())
    private let tell: UpstreamTeller

    /// A rest that a call waits for.
    private static let shortRest = Duration.seconds(1)

    /// - Parameters:
    ///   - secrets: Its whole environment.
    ///   - version: The gateway's own.
    ///   - idle: How long nobody may use it before it is ended.
    ///   - deaf: How long it may take nothing of half a line while it has no request to answer, before it is ended.
    ///   - tell: Is told why the program is ended for what it does. Must not block for long.
    package init(
        _ address: ProgramAddress,
        secrets: @escaping UpstreamSecrets,
        version: String,
        idle: Duration = .seconds(600),
        deaf: Duration = .seconds(10),
        tell: @escaping UpstreamTeller = { _ in }
    ) {
        self.address = address
        self.tell = tell
        self.secrets = secrets
        messages = UpstreamProtocol(version: version)
        var limits = ProgramSession.Limits()
        (limits.idle, limits.deaf) = (idle, deaf)
        self.limits = limits
    }

    // MARK: Upstream

    package var kept: ServerListing? {
        state.withLock { state in
            guard let (session, _) = state.running, !session.hasNewList else { return nil }
            return state.listing
        }
    }

    package func listing(within time: Duration, waitsForStart: Bool) throws(UpstreamFailure) -> ServerListing {
        let patience = waitsForStart ? max(time, address.startTimeout) : time
        let (session, era) = try session(until: .now + patience, Cancellation())
        // Starting is not part of the list's time: whoever has waited for it wants what it offers.
        let deadline = ContinuousClock.now + time
        var listing = ServerListing(info: .null)
        let kept = state.withLock { state -> ServerListing? in
            if session.takeNewList() { state.listing = nil }
            guard state.session === session else { return nil }
            listing = ServerListing(info: state.info)
            listing.start = state.starts
            return state.listing
        }
        if let kept { return kept }
        var pages = ListingPages()
        repeat {
            let parameters = pages.parameters
            let ending = session.ask(until: deadline, most: limits.line, cancellation: Cancellation()) { id in
                messages.request(id, "tools/list", parameters, era)
            }
            try pages.add(try Self.answer(ending).result(of: "tools/list"), to: &listing)
        } while pages.hasMore
        state.withLock { state in
            // A list that changed meanwhile is asked for again.
            if state.session === session { state.listing = listing }
        }
        return listing
    }

    package func call(_ call: UpstreamCall) -> UpstreamOutcome {
        // Starting is not part of the call's time.
        let deadline = ContinuousClock.now + max(call.timeout, address.startTimeout)
        let (session, era): (ProgramSession, UpstreamProtocol.Era)
        do throws(UpstreamFailure) {
            if let start = call.start {
                (session, era) = try started(start)
            } else {
                (session, era) = try self.session(until: deadline, call.cancellation)
            }
        } catch {
            return .notSent(error)
        }
        let ending = session.ask(
            until: .now + call.timeout,
            most: call.most,
            cancellation: call.cancellation,
            progress: call.progress,
            late: Self.taker(call.late),
            reading: call.reading,
            mayBeSent: call.mayBeSent
        ) { id in
            messages.request(id, "tools/call", UpstreamProtocol.parameters(of: call, token: id), era)
        }
        switch ending {
        case .answer(let answer): return UpstreamProtocol.outcome(answer)
        case .notSent(let failure): return .notSent(failure)
        case .unknown(let failure): return .unknown(failure)
        }
    }

    /// An error says nothing when it is late: most often it is that of a call that was cancelled in the middle.
    private static func taker(_ late: (@Sendable (JSONValue) -> Void)?) -> LateAnswers.Taker? {
        guard let late else { return nil }
        return { answer in if case .result(let result) = UpstreamProtocol.outcome(answer) { late(result) } }
    }

    package func end() {
        let (session, starting) = state.update { state in
            defer { (state.session, state.starting) = (nil, nil) }
            return (state.session, state.starting)
        }
        for each in [session, starting] { each?.end(UpstreamFailure(.ended, "the server was ended")) }
        // Whoever starts the other one waits for its end.
        session?.join()
    }

    package func startNoMore() {
        let starting = state.update { state in
            state.startsNoMore = true
            return state.starting
        }
        starting?.end(Self.stopping)
    }

    private static let stopping = UpstreamFailure(.cancelled, "the gateway is being stopped")

    /// Takes note of what is being started, for whoever ends that.
    private func begins(_ session: ProgramSession) {
        let isLate = state.withLock { state in
            state.starting = session
            return state.startsNoMore
        }
        if isLate { session.end(Self.stopping) }
    }

    package var said: [UInt8] {
        let (session, lastWords) = state.withLock { ($0.session, $0.lastWords) }
        return session?.said ?? lastWords
    }

    // MARK: Starting

    /// The session of one start. Another one may offer something else.
    private func started(_ start: Int) throws(UpstreamFailure) -> (ProgramSession, UpstreamProtocol.Era) {
        let running = state.withLock { $0.starts == start ? $0.running : nil }
        guard let running else { throw UpstreamFailure(.ended, "the server has ended since its list was read") }
        return running
    }

    /// The running session, which is started where there is none. One thread starts, others wait for it.
    private func session(
        until deadline: ContinuousClock.Instant,
        _ cancellation: Cancellation
    ) throws(UpstreamFailure) -> (ProgramSession, UpstreamProtocol.Era) {
        enum Turn {
            case running(ProgramSession, UpstreamProtocol.Era)
            case start(old: ProgramSession?, asksStateless: Bool)
            /// It ended again and again, and is not started before that.
            case rests(until: ContinuousClock.Instant, UpstreamFailure)
            case failed(UpstreamFailure)
        }
        if !cancellation.isCancelled, let running = state.withLock({ $0.running }) { return running }
        // Whoever waited for a start that came to nothing does not wait for another one.
        var awaited: Int?
        let turn = cancellation.whileWatching({ [state] in state.update { _ in } }) {
            state.wait(until: deadline) { state -> Turn? in
                if cancellation.isCancelled { return .failed(UpstreamFailure(.cancelled, "the caller has gone")) }
                if let (session, era) = state.running { return .running(session, era) }
                if state.startsNoMore { return .failed(Self.stopping) }
                if state.isStarting {
                    awaited = state.starts
                    return nil
                }
                if let awaited, awaited == state.failedStart, let last = state.lastFailure { return .failed(last) }
                let old = state.session
                if let old, !old.isAtRest, let why = old.ended { Self.took(note: why, in: &state) }
                state.session = nil
                state.listing = nil
                if ContinuousClock.now < state.notBefore, let last = state.lastFailure {
                    return .rests(until: state.notBefore, last)
                }
                state.isStarting = true
                state.starts += 1
                return .start(old: old, asksStateless: state.asksStateless)
            }
        }
        switch turn {
        case nil: throw UpstreamFailure(.timedOut, "the server was not ready in time")
        case .failed(let failure): throw failure
        case .rests(let end, let last):
            // Whoever calls is told of a longer one at once.
            guard end < deadline, end - .now <= Self.shortRest else {
                throw UpstreamFailure(.resting, "\(last.message); it is started again after a moment")
            }
            cancellation.whileWatching({ [state] in state.update { _ in } }) {
                _ = state.wait(until: end) { $0.running != nil || cancellation.isCancelled ? true : nil }
            }
            return try session(until: deadline, cancellation)
        case .running(let session, let era): return (session, era)
        case .start(let old, let asksStateless):
            old?.join()
            return try start(asksStateless)
        }
    }

    /// Takes note that the program ended by itself: soon after its start it is given a rest.
    private static func took(note why: UpstreamFailure, in state: inout State) {
        let lived = ContinuousClock.now - state.started
        state.failures = lived < .seconds(10) ? min(state.failures + 1, 10) : 1
        state.lastFailure = why
        // The first time at once: a crash is often only one.
        let rest: Duration = state.failures < 2 ? .zero : min(.milliseconds(100) * (1 << state.failures), .seconds(30))
        state.notBefore = .now + rest
    }

    private func start(_ asksStateless: Bool) throws(UpstreamFailure) -> (ProgramSession, UpstreamProtocol.Era) {
        do throws(UpstreamFailure) {
            let session = try launch()
            begins(session)
            do throws(UpstreamFailure) {
                let (era, info) = try greet(session, asksStateless)
                state.update { state in
                    state.isStarting = false
                    state.starting = nil
                    state.session = session
                    state.era = era
                    state.info = info
                    state.started = .now
                }
                return (session, era)
            } catch {
                let isOver = session.ended != nil && state.withLock { $0.starting === session }
                session.end(error)
                session.join()
                state.withLock { $0.lastWords = session.said }
                // Some servers end when they are asked what they do not know.
                if isOver, !asksStateless { state.withLock { $0.asksStateless = true } }
                throw error
            }
        } catch {
            state.update { state in
                state.isStarting = false
                state.starting = nil
                state.failedStart = state.starts
                state.started = .now
                Self.took(note: error, in: &state)
            }
            throw error
        }
    }

    private func launch() throws(UpstreamFailure) -> ProgramSession {
        let environment = Dictionary(try secrets().map { ($0.name, $0.value) }) { _, last in last }
        let program = try address.start(environment: environment)
        do throws(SystemError) {
            return try ProgramSession(program, limits: limits, tell: tell)
        } catch {
            throw UpstreamFailure(.unreachable, error.description)
        }
    }

    /// Finds out which era the server is of; its first message decides. Servers of both are asked in the older one, which
    /// all of them speak.
    private func greet(
        _ session: ProgramSession,
        _ asksStateless: Bool
    ) throws(UpstreamFailure) -> (UpstreamProtocol.Era, JSONValue) {
        let deadline = ContinuousClock.now + address.startTimeout
        func ask(_ method: String, _ parameters: JSONObject, _ era: UpstreamProtocol.Era?) -> ProgramSession.Ending {
            // Whoever asks first never cancels it (2025-11-25, "Cancellation").
            session.ask(until: deadline, most: limits.line, cancellation: Cancellation(), tells: false) { id in
                messages.request(id, method, parameters, era)
            }
        }
        if !asksStateless {
            switch try began(ask("initialize", messages.handshake, nil)) {
            case .result(let handshake):
                let era = try UpstreamProtocol.era(of: handshake)
                session.say(UpstreamProtocol.initialized)
                return (era, handshake["serverInfo"] ?? .null)
            case .error: break
            }
        }
        let discovery = try began(ask("server/discover", [:], .stateless)).result(of: "server/discover")
        guard UpstreamProtocol.isStateless(discovery) else {
            throw UpstreamFailure(.malformed, "the server speaks no version that is known here")
        }
        return (.stateless, discovery["_meta"]?[ProtocolVersion.Meta.server] ?? discovery["serverInfo"] ?? .null)
    }

    private func began(_ ending: ProgramSession.Ending) throws(UpstreamFailure) -> UpstreamAnswer {
        do throws(UpstreamFailure) { return try Self.answer(ending) } catch {
            guard error.kind == .timedOut else { throw error }
            let seconds = address.startTimeout.components.seconds
            throw UpstreamFailure(.timedOut, "the server did not serve within \(seconds) s of its start: startTimeout")
        }
    }

    private static func answer(_ ending: ProgramSession.Ending) throws(UpstreamFailure) -> UpstreamAnswer {
        switch ending {
        case .answer(let answer): return answer
        case .notSent(let failure), .unknown(let failure): throw failure
        }
    }
}

/// The pages of a server's list, read one after another.
struct ListingPages: Sendable {
    private var cursor: String?
    private var cursors: Set<String> = []
    private(set) var hasMore = true

    var parameters: JSONObject { cursor.map { ["cursor": .string($0)] } ?? [:] }

    mutating func add(_ page: JSONValue, to listing: inout ServerListing) throws(UpstreamFailure) {
        do {
            try listing.add(page)
        } catch {
            throw UpstreamFailure(.malformed, error.message)
        }
        cursor = ServerListing.cursor(behind: page)
        hasMore = cursor != nil
        guard let cursor else { return }
        guard cursors.insert(cursor).inserted else {
            throw UpstreamFailure(.malformed, "the server's pages go round in a circle")
        }
        guard cursors.count <= ServerListing.mostPages else {
            throw UpstreamFailure(.malformed, "the server has more than \(ServerListing.mostPages) pages of tools")
        }
    }
}
