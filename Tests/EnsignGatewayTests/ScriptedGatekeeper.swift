import EnsignJSON
import EnsignModel
import EnsignSystem
import Foundation

@testable import EnsignGateway

/// As the program does: a client that has gone is an error, not a signal.
let ignoresBrokenPipes: Bool = {
    signal(SIGPIPE, SIG_IGN)
    return true
}()

/// A gatekeeper that does as it is told by the tool's name, and remembers what it was asked.
final class ScriptedGatekeeper: Gatekeeper {
    struct Seen: Sendable {
        var calls: [IncomingCall] = []
        var sessions: [Session] = []
        var threads: [pthread_t] = []
        var peers: [Peer] = []
        var refused: [String] = []
        /// The `traceparent` of each list.
        var listed: [String?] = []
        var mark = 0
        var isClosed = false
        var running = 0
        var mostRunning = 0
        /// Who is admitted by now; nil for nobody.
        var agent: AgentID? = ScriptedGatekeeper.session.agent
        /// Whether `wait` may end.
        var isOpen = false
    }

    let seen = Condition(Seen())

    static let tools = [
        OfferedTool(
            name: "payments__refund",
            description: "Gives money back.",
            input: ["type": "object", "properties": ["amount": ["type": "number"]]],
            output: nil
        )
    ]

    static let session = Session(agent: AgentID(team: "support", name: "triage"))

    func admit(_ peer: Peer) -> Session? {
        let agent = seen.withLock { seen in
            seen.peers.append(peer)
            return seen.agent
        }
        guard let agent else { return nil }
        switch peer.proof {
        case .bearer(let token) where token != "t0ken": return nil
        case .account(_, let token) where token == "wrong": return nil
        default:
            var session = Session(agent: agent)
            session.run = peer.run
            session.key = peer.key
            session.asked = peer.asked
            return session
        }
    }

    func offer(to session: Session, traceparent: String?) -> Result<[OfferedTool], Refusal> {
        seen.withLock { $0.listed.append(traceparent) }
        return .success(Self.tools)
    }

    func mirrored(by name: String, for session: Session, traceparent: String?) -> MirroredArguments? {
        guard name == "mirrored" else { return nil }
        return try? MirroredArguments(of: ["properties": ["region": ["type": "string", "x-mcp-header": "Region"]]])
    }

    func call(_ call: IncomingCall, in session: Session) -> JSONValue {
        seen.update { seen in
            seen.calls.append(call)
            seen.sessions.append(session)
            seen.threads.append(pthread_self())
            seen.running += 1
            seen.mostRunning = max(seen.mostRunning, seen.running)
        }
        defer { seen.update { $0.running -= 1 } }
        switch call.name {
        case "refuse": return Refusal(.notGranted, "refused: there is no tool 'refuse'.").result(decision: 7)
        case "wait":
            call.cancellation.whileWatching({ [seen] in seen.update { _ in } }) {
                _ = seen.wait(until: .now + .seconds(20)) { $0.isOpen || call.cancellation.isCancelled ? true : nil }
            }
            return Self.text(call.cancellation.isCancelled ? "cancelled" : "waited")
        case "change":
            // Not stopped in the middle.
            _ = seen.wait(until: .now + .seconds(20)) { $0.isOpen ? true : nil }
            return Self.text("changed")
        case "progress":
            call.progress?(["progress": 1, "total": 2, "message": "half", "more": "not for clients"])
            call.progress?(["progress": 2])
            return Self.text("done")
        default:
            return [
                "content": [["type": "text", "text": .string(call.arguments.text)]],
                "structuredContent": call.arguments,
            ]
        }
    }

    func refuse(_ call: IncomingCall, _ refusal: Refusal, in session: Session) -> JSONValue {
        seen.withLock { $0.refused.append(refusal.text) }
        return refusal.result(decision: 8)
    }

    func offerMark(for session: Session) -> Int { seen.withLock { $0.mark } }

    var isClosed: Bool { seen.withLock { $0.isClosed } }

    private static func text(_ text: String) -> JSONValue { ["content": [["type": "text", "text": .string(text)]]] }
}

/// A client at the other end of two pipes.
final class LineClient {
    private let toServer: Pipe
    private let fromServer: Pipe
    private var pending: [UInt8] = []
    private let server: EnsignSystem.Thread

    init(_ gatekeeper: ScriptedGatekeeper, _ body: @escaping @Sendable (Int32, Int32) -> Void) throws {
        _ = ignoresBrokenPipes
        let (toServer, fromServer) = (Pipe(), Pipe())
        (self.toServer, self.fromServer) = (toServer, fromServer)
        let (input, output) = (
            toServer.fileHandleForReading.fileDescriptor, fromServer.fileHandleForWriting.fileDescriptor
        )
        server = try EnsignSystem.Thread { body(input, output) }
    }

    convenience init(_ gatekeeper: ScriptedGatekeeper) throws {
        try self.init(gatekeeper) { input, output in
            StdioFront.serve(
                input: input,
                output: output,
                gatekeeper: gatekeeper,
                session: ScriptedGatekeeper.session,
                version: "0"
            )
        }
    }

    func say(_ text: String) { say(Array(text.utf8)) }

    func say(_ bytes: [UInt8]) {
        try? toServer.fileHandleForWriting.write(contentsOf: Data(bytes + [0x0A]))
    }

    /// Reads no more.
    func close() { try? fromServer.fileHandleForReading.close() }

    /// The next line; fails the test after ten seconds.
    func hear() throws -> JSONValue {
        while true {
            if let end = pending.firstIndex(of: 0x0A) {
                let line = Array(pending[..<end])
                pending.removeSubrange(...end)
                return try read(line)
            }
            var polled = pollfd(fd: fromServer.fileHandleForReading.fileDescriptor, events: Int16(POLLIN), revents: 0)
            guard unsafe poll(&polled, 1, 10_000) > 0 else { throw Silence() }
            let more = fromServer.fileHandleForReading.availableData
            guard !more.isEmpty else { throw Silence() }
            pending += more
        }
    }

    /// Whether nothing comes for a moment.
    func isQuiet(milliseconds: Int32 = 200) -> Bool {
        var polled = pollfd(fd: fromServer.fileHandleForReading.fileDescriptor, events: Int16(POLLIN), revents: 0)
        return unsafe pending.isEmpty && poll(&polled, 1, milliseconds) == 0
    }

    /// Closes its end, and waits for the server's end.
    func leave() {
        try? toServer.fileHandleForWriting.close()
        server.join()
    }

    struct Silence: Error {}
}

func read(_ bytes: [UInt8]) throws -> JSONValue { try JSONParser.parse(bytes) }
