import EnsignMCP
import EnsignModel

/// How a request by HTTP ended.
enum WebEnding: Sendable {
    case answer(UpstreamAnswer)
    /// It certainly was not looked at.
    case notSent(UpstreamFailure)
    case unknown(UpstreamFailure)

    /// Whether it is no success: the server did not take the request, or answers it with an error.
    private var isRefusal: Bool {
        switch self {
        case .notSent, .answer(.error): true
        case .unknown, .answer(.result): false
        }
    }

    /// Whether the server has done nothing, and has not answered the request either.
    var isWithoutAnswer: Bool {
        if case .notSent = self { true } else { false }
    }

    /// Whether it may mean that the server no longer knows the session: 404, or, as many do, 400 without an answer.
    func maySayForgotten(_ status: Int) -> Bool { status == 404 && isRefusal || status == 400 && isWithoutAnswer }

    var failure: UpstreamFailure {
        switch self {
        case .notSent(let failure), .unknown(let failure): failure
        case .answer: UpstreamFailure(.malformed, "the server's answer is none")
        }
    }
}

/// What a server says to one request: one message, or a stream of them that is read until the answer is in it, over one connection
/// or several. For one thread.
final class WebReading {
    private let id: Int64
    private let most: Int
    private let progress: (@Sendable (JSONObject) -> Void)?
    private var answer: UpstreamAnswer?
    private var problem: UpstreamFailure?
    private var bytes = 0
    private var messages = 0
    /// Whether it said that its list has changed.
    private(set) var hasNewList = false

    /// What a stream may say besides the answer.
    private static let mostMessages = 10_000

    /// - Parameter most: The most bytes of one message.
    init(id: Int64, most: Int, progress: (@Sendable (JSONObject) -> Void)?) {
        self.id = id
        self.most = most
        self.progress = progress
    }

    /// Takes one event of a stream.
    ///
    /// - Parameter answerBack: Sends the answer to a question of the server's own. The call's time goes on meanwhile, and nobody
    ///   looks at it.
    /// - Returns: Whether no more is wanted.
    func take(_ event: [UInt8], answerBack: (JSONValue) -> Void) -> Bool {
        guard !event.isEmpty else { return false }
        bytes += event.count
        messages += 1
        guard messages <= Self.mostMessages, bytes <= most + (4 << 20) else {
            problem = UpstreamFailure(.malformed, "the server says more than is read")
            return true
        }
        take(UpstreamMessage(event), event.count, answerBack)
        return answer != nil || problem != nil
    }

    private func take(_ message: UpstreamMessage, _ count: Int, _ answerBack: (JSONValue) -> Void) {
        switch message {
        case .answer(id, let found):
            if count > most {
                problem = UpstreamFailure(.malformed, "the server's answer is longer than \(most) bytes")
            } else {
                answer = found
            }
        case .answer: break
        case .request(let id, let method): answerBack(UpstreamProtocol.refusal(of: id, method))
        case .notification("notifications/progress", let parameters):
            if parameters["progressToken"]?.int == id { progress?(parameters) }
        case .notification("notifications/tools/list_changed", _): hasNewList = true
        case .notification: break
        case .garbage(id):
            problem = UpstreamFailure(.malformed, "the server's answer is not JSON that has one reading")
        case .garbage: break
        }
    }

    /// What came of it, when the answer is over.
    ///
    /// - Parameter isRest: Whether it is what came when the rest of a stream was asked for.
    func ending(of web: WebAnswer, isRest: Bool) -> WebEnding {
        if let answer { return .answer(answer) }
        if let problem { return .unknown(problem) }
        var web = web
        // The request was, before this one.
        if isRest { web.wasSent = true }
        switch web.end {
        case .timedOut: return failed(web, .timedOut, "the server did not answer in time")
        case .withdrawn: return .notSent(.withdrawn)
        case .cancelled: return failed(web, .cancelled, "the caller no longer wants the answer")
        case .failed(let why):
            let kind: UpstreamFailure.Kind = web.wasSent ? .ended : .unreachable
            return failed(web, kind, "the server cannot be reached: \(why.onOneLine(utf8: 200))")
        case .tooLong: return .unknown(UpstreamFailure(.malformed, "the server's answer is longer than \(most) bytes"))
        case .done, .enough: break
        }
        let ended = "the server's stream ended before its answer"
        if web.hasGoodStream { return .unknown(UpstreamFailure(.ended, ended)) }
        // Of the request this says nothing.
        if isRest { return .unknown(UpstreamFailure(.ended, "\(ended), and the rest is not had (HTTP \(web.status))")) }
        return ofOneMessage(web)
    }

    private func failed(_ web: WebAnswer, _ kind: UpstreamFailure.Kind, _ text: String) -> WebEnding {
        let failure = UpstreamFailure(kind, text)
        return web.wasSent ? .unknown(failure) : .notSent(failure)
    }

    private func ofOneMessage(_ web: WebAnswer) -> WebEnding {
        switch web.status {
        // Whoever is not let in has done nothing, whatever else is said. 403 is no word about credentials: others would not
        // help (RFC 9110, section 15.5.4).
        case 401: return .notSent(UpstreamFailure(.unauthorized, "the server wants other credentials (HTTP 401)"))
        case 300..<400:
            let text = "the server sends to another address (HTTP \(web.status))"
            let answered = UpstreamFailure(.answered(status: web.status), text)
            // What came of it is to be seen there (RFC 9110, section 15.4.4).
            return web.status == 303 ? .unknown(answered) : .notSent(answered)
        default: break
        }
        switch UpstreamMessage(web.body) {
        case .answer(id, let found): return .answer(found)
        case .garbage(id) where web.status < 400:
            return .unknown(UpstreamFailure(.malformed, "the server's answer is not JSON that has one reading"))
        default: break
        }
        let text = "the server answers with HTTP \(web.status) and no message"
        let answered = UpstreamFailure(.answered(status: web.status), text)
        switch web.status {
        // It says that the request is at fault: it has not done it. 499 says that whoever stands between gave up.
        case 400..<500 where web.status != 408 && web.status != 499: return .notSent(answered)
        // What stands in front of a server that is gone says so by these.
        case 502, 503, 504: return .unknown(UpstreamFailure(.ended, text))
        case 400...: return .unknown(answered)
        default: return .unknown(UpstreamFailure(.malformed, text))
        }
    }
}
