import EnsignMCP
import EnsignModel
import Synchronization

/// The way to one server of HTTP: its connections, and what the operator's file puts into each request.
final class WebChannel: Sendable {
    /// What is sent.
    struct Post {
        var message: JSONValue
        /// Empty for an answer to the server.
        var method: String
        /// The tool that is called.
        var tool: String?
        /// Those of its arguments that stand in headers, too.
        var mirrored: [(name: String, value: String)] = []
        /// Nil as long as nothing was agreed on.
        var era: UpstreamProtocol.Era?
        var session: String?
        var deadline: ContinuousClock.Instant
        /// The most bytes of one message of the server.
        var most = 65_536
        var cancellation = Cancellation()
        /// Whether it ends the session, and has no message (2025-11-25, "Session Management").
        var isEnd = false
        /// Asked right before it is sent.
        var mayBeSent: @Sendable () -> Bool = { true }

        init(
            _ message: JSONValue,
            method: String,
            era: UpstreamProtocol.Era?,
            session: String?,
            deadline: ContinuousClock.Instant
        ) {
            self.message = message
            self.method = method
            self.era = era
            self.session = session
            self.deadline = deadline
        }

        private var version: String? {
            switch era {
            case .stateless: ProtocolVersion.stateless
            case .handshake(let agreed): agreed
            case nil: nil
            }
        }

        fileprivate func lines(from place: EventPlace?) -> [String] {
            if let place { return WebHeaders.lines(from: place, version: version, session: session) }
            var lines = WebHeaders.lines(method: method, version: version, session: session)
            if let tool, era == .stateless { lines.append("Mcp-Name: \(HTTPRules.encoded(tool))") }
            return lines + mirrored.map(WebChannel.line)
        }
    }

    /// A connection that is in use, for whoever cancels: late, it is another one's.
    private final class Held: Sendable {
        let line: Mutex<WebLine?>
        init(_ line: WebLine) { self.line = Mutex(line) }
    }

    private let url: String
    private let isDirect: Bool
    private let secrets: UpstreamSecrets
    private let idle = Mutex<[WebLine]>([])

    /// The most connections that are kept.
    private static let mostLines = 32

    /// - Parameter isDirect: Whether no proxy is used.
    init(_ url: String, isDirect: Bool, secrets: @escaping UpstreamSecrets) {
        self.url = url
        self.isDirect = isDirect
        self.secrets = secrets
    }

    /// Closes the connections that nobody uses.
    func close() { idle.withLock { $0 = [] } }

    /// Sends one message, and reads the answer.
    ///
    /// - Parameters:
    ///   - place: Where the stream of its answer was broken off: then the rest of that is asked for, and the message is not sent.
    ///   - take: Takes each event of a stream; true when no more is wanted.
    func send(
        _ post: Post,
        from place: EventPlace? = nil,
        _ take: @escaping ([UInt8]) -> Bool
    ) throws(UpstreamFailure) -> WebAnswer {
        let headers = try post.lines(from: place) + ownLines()
        let left = post.deadline - .now
        guard left > .zero else { throw UpstreamFailure(.timedOut, "no time was left to ask the server") }
        guard !post.cancellation.isCancelled else { throw UpstreamFailure(.cancelled, "the caller has gone") }
        let line = try takeLine()
        let held = Held(line)
        defer {
            held.line.withLock { $0 = nil }
            idle.withLock { if $0.count < Self.mostLines { $0.append(line) } }
        }
        let body = place == nil && !post.isEnd ? post.message.canonicalBytes() : nil
        return post.cancellation.whileWatching({ held.line.withLock { $0?.cancel() } }) {
            line.send(
                url,
                headers: headers,
                body: body,
                method: post.isEnd ? "DELETE" : nil,
                from: place ?? EventPlace(),
                time: left,
                isDirect: isDirect,
                most: post.most,
                mayBeSent: post.mayBeSent,
                take: take
            )
        }
    }

    private func takeLine() throws(UpstreamFailure) -> WebLine {
        if let line = idle.withLock({ $0.popLast() }) {
            line.renew()
            return line
        }
        do {
            return try WebLine()
        } catch {
            throw UpstreamFailure(.unreachable, error.message)
        }
    }

    private func ownLines() throws(UpstreamFailure) -> [String] {
        var lines: [String] = []
        for header in try secrets() {
            // The value is a secret: it is not shown.
            let isFine = header.value.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }
            guard isFine else {
                throw UpstreamFailure(
                    .unreachable,
                    "the header \(header.name.quoted(utf8: 64)) is not one line of text"
                )
            }
            lines.append(Self.line(header))
        }
        return lines
    }

    /// Without a value, libcurl takes a usual line for a header to leave out.
    private static func line(_ header: (name: String, value: String)) -> String {
        header.value.isEmpty ? "\(header.name);" : "\(header.name): \(header.value)"
    }
}
