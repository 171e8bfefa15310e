package import EnsignMCP
import EnsignModel
import EnsignSystem

/// A server behind the gateway that is reached by HTTP (MCP 2025-03-26 to 2026-07-28, "Streamable HTTP").
///
/// Servers of both eras are asked in the newer one, which has no sessions that could be lost. A session that the server no
/// longer knows is begun again, and a request for a list is sent again there. A call never is: nobody here knows what it would do
/// twice.
package final class WebUpstream: Upstream {
    private struct State {
        var greeting: Greeting?
        var isGreeting = false
        var last: Int64 = 0
        var listing: (value: ServerListing, until: ContinuousClock.Instant)?
    }

    /// What was agreed on with the server.
    private struct Greeting {
        var era: UpstreamProtocol.Era
        var session: String?
        var info: JSONValue
        let number: Int64
    }

    private let channel: WebChannel
    private let teller: WebTeller
    private let isUsable: Bool
    private let messages: UpstreamProtocol
    private let state = Condition(State())

    /// The most time that a server may take until it is known.
    private static let patience = Duration.seconds(30)
    /// How long a list is kept: nobody says when it changes where no stream is open.
    private static let keeping = Duration.seconds(60)
    /// How long its end may take.
    private static let farewell = Duration.seconds(1)
    /// The most bytes of one message, where the call does not say.
    private static let most = 16 << 20
    /// - Parameters:
    ///   - url: `https://...`, or `http://` of this machine.
    ///   - secrets: The headers of each request.
    ///   - version: The gateway's own.
    package init(_ url: String, secrets: @escaping UpstreamSecrets, version: String) {
        messages = UpstreamProtocol(version: version)
        let address = WebAddress(url)
        isUsable = address.map { $0.isEncrypted || $0.isLoopback } ?? false
        // No proxy gets to see what stays on this machine.
        channel = WebChannel(url, isDirect: address?.isLoopback ?? true, secrets: secrets)
        teller = WebTeller(channel)
    }

    // MARK: Upstream

    package var kept: ServerListing? { state.withLock { $0.listing }.flatMap { $0.until > .now ? $0.value : nil } }

    package func listing(within time: Duration, waitsForStart: Bool) throws(UpstreamFailure) -> ServerListing {
        if let kept { return kept }
        let deadline = ContinuousClock.now + time
        let greeting = try self.greeting(until: deadline, Cancellation())
        var listing = ServerListing(info: greeting.info)
        var pages = ListingPages()
        repeat {
            let ending = ask(Question(method: "tools/list", parameters: pages.parameters, deadline: deadline))
            guard case .answer(let answer) = ending else { throw ending.failure }
            try pages.add(try answer.result(of: "tools/list"), to: &listing)
        } while pages.hasMore
        if greeting.era == .stateless { listing.leaveOut(UpstreamProtocol.defect(of:)) }
        state.withLock { $0.listing = (listing, .now + Self.keeping) }
        return listing
    }

    package func call(_ call: UpstreamCall) -> UpstreamOutcome {
        // libcurl waits by itself.
        call.reading?.passOn()
        do throws(UpstreamFailure) {
            // Getting to know it is not part of the call's time.
            _ = try greeting(until: .now + min(call.timeout, Self.patience), call.cancellation)
        } catch {
            return .notSent(error)
        }
        var question = Question(method: "tools/call", deadline: .now + call.timeout)
        question.most = call.most
        question.call = call
        question.cancellation = call.cancellation
        let ending = ask(question)
        switch ending {
        case .answer(let answer):
            // It wants other headers: its definitions are others by now.
            if case .error(ProtocolError.otherHeader, _) = answer { state.withLock { $0.listing = nil } }
            return UpstreamProtocol.outcome(answer)
        case .notSent(let failure): return .notSent(failure)
        case .unknown(let failure): return .unknown(failure)
        }
    }

    package func end() {
        let old = state.withLock { state in
            defer { (state.greeting, state.listing) = (nil, nil) }
            return state.greeting
        }
        teller.end()
        if let old, let session = old.session { leave(session, old.era) }
        channel.close()
    }

    // Others may be in the session: it is not ended.
    package func renew() {
        state.withLock { state in (state.greeting, state.listing) = (nil, nil) }
    }

    /// Tells the server that nobody comes back to a session, so that it need not keep it.
    private func leave(_ session: String, _ era: UpstreamProtocol.Era) {
        let deadline = ContinuousClock.now + Self.farewell
        var post = WebChannel.Post(.null, method: "", era: era, session: session, deadline: deadline)
        post.isEnd = true
        _ = try? channel.send(post) { _ in true }
    }

    // MARK: Getting to know it

    private func greeting(
        until deadline: ContinuousClock.Instant,
        _ cancellation: Cancellation
    ) throws(UpstreamFailure) -> Greeting {
        guard isUsable else {
            throw UpstreamFailure(.unreachable, "only https, or http of this machine, is spoken")
        }
        enum Turn { case known(Greeting), mine, cancelled }
        let turn = cancellation.whileWatching({ [state] in state.update { _ in } }) {
            state.wait(until: deadline) { state -> Turn? in
                if cancellation.isCancelled { return .cancelled }
                if let greeting = state.greeting { return .known(greeting) }
                guard !state.isGreeting else { return nil }
                state.isGreeting = true
                return .mine
            }
        }
        switch turn {
        case nil: throw UpstreamFailure(.timedOut, "the server was not ready in time")
        case .cancelled: throw UpstreamFailure(.cancelled, "the caller has gone")
        case .known(let greeting): return greeting
        case .mine: break
        }
        // Others wait for this: whoever asks first does not cancel it.
        do throws(UpstreamFailure) {
            let greeting = try greet(until: max(deadline, .now + Self.patience))
            state.update { state in
                state.isGreeting = false
                state.greeting = greeting
            }
            return greeting
        } catch {
            state.update { $0.isGreeting = false }
            throw error
        }
    }

    private func greet(until deadline: ContinuousClock.Instant) throws(UpstreamFailure) -> Greeting {
        let number = state.withLock { state in
            state.last += 1
            return state.last
        }
        // Old servers may not answer what they do not know.
        var probe = Question(method: "server/discover", deadline: min(deadline, .now + .seconds(5)))
        let probed = exchange(probe, .stateless, nil)
        switch probed.ending {
        case .answer(.result(let discovery)) where UpstreamProtocol.isStateless(discovery):
            let info = discovery["_meta"]?[ProtocolVersion.Meta.server] ?? discovery["serverInfo"] ?? .null
            return Greeting(era: .stateless, session: nil, info: info, number: number)
        case .notSent(let failure) where failure.kind == .unauthorized || probed.status == 0: throw failure
        default: break
        }
        probe.method = "initialize"
        probe.parameters = messages.handshake
        probe.deadline = deadline
        let shaken = exchange(probe, nil, nil)
        guard case .answer(let answer) = shaken.ending else { throw shaken.ending.failure }
        let handshake = try answer.result(of: "initialize")
        let era = try UpstreamProtocol.era(of: handshake)
        // Before anything else is asked.
        let told = WebChannel.Post(
            UpstreamProtocol.initialized,
            method: "notifications/initialized",
            era: era,
            session: shaken.session,
            deadline: .now + .seconds(2)
        )
        _ = try? channel.send(told) { _ in true }
        return Greeting(era: era, session: shaken.session, info: handshake["serverInfo"] ?? .null, number: number)
    }

    // MARK: Asking

    private struct Question {
        var method: String
        var parameters: JSONObject = [:]
        var deadline: ContinuousClock.Instant
        var most = WebUpstream.most
        var call: UpstreamCall?
        var cancellation = Cancellation()
    }

    /// Asks in the server's era; once more in a new session where the old one has been lost. A call is sent once.
    private func ask(_ question: Question) -> WebEnding {
        var ending = WebEnding.unknown(UpstreamFailure(.ended, "the server was not asked"))
        for _ in 0..<2 {
            let greeting: Greeting
            do throws(UpstreamFailure) {
                greeting = try self.greeting(until: question.deadline, question.cancellation)
            } catch {
                return .notSent(error)
            }
            let found = exchange(question, greeting.era, greeting.session)
            ending = found.ending
            guard greeting.session != nil, ending.maySayForgotten(found.status) else { return ending }
            guard question.call == nil else {
                // It may mean the arguments, and may have been done. The gate decides whether it is sent again.
                guard !knows(greeting, question) else { return ending }
                forget(greeting)
                guard ending.isWithoutAnswer else { return ending }
                return .notSent(UpstreamFailure(.forgotten, "the server no longer knows its session"))
            }
            forget(greeting)
        }
        return ending
    }

    /// Whether the server still knows the session of a greeting, as far as that can be found out in a question's time.
    private func knows(_ greeting: Greeting, _ question: Question) -> Bool {
        var ping = Question(method: "ping", deadline: question.deadline)
        ping.cancellation = question.cancellation
        let found = exchange(ping, greeting.era, greeting.session)
        // It knows no ping.
        if case .answer(.error(ProtocolError.unknownMethod, _)) = found.ending { return true }
        return !found.ending.maySayForgotten(found.status)
    }

    private func forget(_ greeting: Greeting) {
        state.withLock { state in
            guard state.greeting?.number == greeting.number else { return }
            state.greeting = nil
            state.listing = nil
        }
    }

    /// One request and its answer.
    private func exchange(
        _ question: Question,
        _ era: UpstreamProtocol.Era?,
        _ session: String?
    ) -> (ending: WebEnding, session: String?, status: Int) {
        let id = state.withLock { state in
            state.last += 1
            return state.last
        }
        let parameters =
            question.call.map { UpstreamProtocol.parameters(of: $0, token: id) } ?? question.parameters
        let reading = WebReading(id: id, most: question.most, progress: question.call?.progress)
        var post = WebChannel.Post(
            messages.request(id, question.method, parameters, era),
            method: question.method,
            era: era,
            session: session,
            deadline: question.deadline
        )
        post.tool = question.call?.tool
        if let call = question.call, era == .stateless {
            do throws(UpstreamFailure) { post.mirrored = try UpstreamProtocol.headers(of: call) } catch {
                return (.notSent(error), nil, 0)
            }
        }
        post.most = question.most
        post.cancellation = question.cancellation
        if let call = question.call { post.mayBeSent = call.mayBeSent }
        let take = { [teller] event in reading.take(event) { teller.tell($0, "", era, session) } }
        let answer: WebAnswer
        do throws(UpstreamFailure) { answer = try channel.send(post, take) } catch { return (.notSent(error), nil, 0) }
        let ending = rest(of: post, after: answer, reading, take)
        if reading.hasNewList { state.withLock { $0.listing = nil } }
        if question.call != nil, case .handshake = era, case .unknown(let failure) = ending {
            // In the newer era, a closed connection says so.
            let reason = failure.kind == .timedOut ? "no answer in time" : "cancelled"
            if [.timedOut, .cancelled].contains(failure.kind) {
                teller.tell(UpstreamProtocol.cancelled(id, reason), "notifications/cancelled", era, session)
            }
        }
        return (ending, answer.session, answer.status)
    }

    /// What comes of a request: reads on where its stream ended before the answer. Since 2026-07-28 nobody can.
    private func rest(
        of post: WebChannel.Post,
        after first: WebAnswer,
        _ reading: WebReading,
        _ take: @escaping ([UInt8]) -> Bool
    ) -> WebEnding {
        guard case .handshake = post.era else { return reading.ending(of: first, isRest: false) }
        var (web, polling, isRest) = (first, StreamPolling(), false)
        while let wait = polling.wait(after: web) {
            guard wait < post.deadline - .now else {
                return .unknown(UpstreamFailure(.timedOut, "the server gives the rest of its stream too late"))
            }
            guard post.cancellation.pause(for: wait) else {
                return .unknown(UpstreamFailure(.cancelled, "the caller no longer wants the answer"))
            }
            do throws(UpstreamFailure) {
                (web, isRest) = (try channel.send(post, from: web.place, take), true)
            } catch {
                return .unknown(error)
            }
        }
        return reading.ending(of: web, isRest: isRest)
    }
}
