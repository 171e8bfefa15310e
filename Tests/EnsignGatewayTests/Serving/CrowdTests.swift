import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignGateway

@Suite("A crowd of connections", .serialized)
struct CrowdTests {
    private let gatekeeper = ScriptedGatekeeper()
    private let scratch: ScratchDirectory

    init() throws {
        _ = ignoresBrokenPipes
        scratch = try ScratchDirectory()
    }

    private static let ping = #"{"jsonrpc":"2.0","id":1,"method":"ping"}"#
    private static let wait = #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait"}}"#

    private func front(_ change: (inout HTTPConnections.Limits) -> Void) throws -> HTTPFront {
        var limits = HTTPConnections.Limits()
        change(&limits)
        return try HTTPFront(ListeningSocket(host: "127.0.0.1", port: 0), nil, gatekeeper, "0", limits)
    }

    @Test("The kernel says whose a connection within this machine is, and nothing of one that is closed")
    func account() throws {
        let listening = try ListeningSocket(host: "127.0.0.1", port: 0)
        let client = try WebClient(listening.port)
        let number = accept(listening.descriptor.number, nil, nil)
        defer { close(number) }
        #expect(Machine.account(ofTCPPeerOn: number) == geteuid())
        #expect(ConnectionPlaces.Holder(ofPeerOn: number) == .account(geteuid()))
        #expect(Machine.account(ofTCPPeerOn: -1) == nil)
        withExtendedLifetime(client) {}
    }

    @Test("Whoever opens connections and says nothing, half of a head or nonsense, keeps nobody else out")
    func silent() throws {
        let front = try front { $0.connections = 16 }
        let known = try WebClient(front.port)
        known.post(Self.ping)
        #expect(try known.hear().status == 200)
        let crowd = try (0..<100).map { index in
            let client = try WebClient(front.port)
            if index % 3 == 1 { client.say("POST /mcp HTTP/1.1\r\nHost: ") }
            if index % 3 == 2 { client.post(Self.ping, ["Authorization": "Bearer wrong"]) }
            return client
        }
        let late = try WebClient(front.port)
        late.post(Self.ping)
        #expect(try late.hear().status == 200)
        known.post(Self.ping)
        #expect(try known.hear().status == 200)
        #expect(crowd.prefix(90).allSatisfy { $0.isOver(within: 5) })
    }

    @Test("Whoever has all places and rests gives one up, and no call is ended for it")
    func resting() throws {
        let front = try front { $0.connections = 8 }
        let calling = try WebClient(front.port)
        calling.post(Self.wait)
        _ = gatekeeper.seen.wait(until: .now + .seconds(20)) { $0.running == 1 ? true : nil }
        let resting = try (0..<7).map { _ in
            let client = try WebClient(front.port)
            client.post(Self.ping)
            #expect(try client.hear().status == 200)
            return client
        }
        let next = try WebClient(front.port)
        next.post(Self.ping)
        #expect(try next.hear().status == 200)
        // The end of an answer is noted after its client has read it: two of them may change places.
        #expect(resting.prefix(3).contains { $0.isClosed(within: 3) })
        resting[6].post(Self.ping)
        #expect(try resting[6].hear().status == 200)
        gatekeeper.seen.update { $0.isOpen = true }
        #expect(try calling.hear().status == 200)
    }

    @Test("Whoever has not proven who it is has less time than whoever has")
    func early() throws {
        let front = try front { $0.proof = .milliseconds(300) }
        let known = try WebClient(front.port)
        known.post(Self.ping)
        #expect(try known.hear().status == 200)
        let unknown = try WebClient(front.port)
        unknown.post(Self.ping, ["Authorization": "Bearer wrong"])
        #expect(try unknown.hear().status == 401)
        let body = try WebClient(front.port)
        body.say(WebClient.head(["Authorization": "Bearer wrong"], length: 100) + "{")
        for client in [unknown, body, try WebClient(front.port)] { #expect(client.isClosed(within: 10)) }
        known.post(Self.ping)
        #expect(try known.hear().status == 200)
    }

    @Test("Too many bodies at the same time are refused, and that is recorded")
    func bodies() throws {
        let front = try front { $0.memory = 128 }
        let client = try WebClient(front.port)
        client.post(#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":1}}}"#)
        let reply = try client.hear()
        #expect(reply.status == 503 && reply["retry-after"] == "1")
        #expect(try reply.json["error"]?["data"] == ["dev.ensign/decision": 8])
        #expect(gatekeeper.seen.withLock { $0.refused.count } == 1)
    }

    @Test("What a message takes in memory is counted, and one agent's messages leave room for others'")
    func memory() throws {
        let wide =
            #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":["#
            + String(repeating: "0,", count: 40_000) + "0]}}}"
        #expect(ClientMessage.memory(for: Array(wide.utf8)) >= 48 * 40_000)
        #expect(ClientMessage.memory(for: Array(Self.ping.utf8)) == 0)
        let front = try front { $0.memory = 3_000_000 }
        let client = try WebClient(front.port)
        client.post(wide)
        #expect(try client.hear().status == 503)
        let room = MessageRoom(100)
        let (one, other) = (AgentID(team: "a", name: "b"), AgentID(team: "a", name: "c"))
        #expect(room.take(50, one) && !room.take(1, one))
        #expect(room.take(50, other) && !room.take(1, AgentID(team: "a", name: "d")))
        room.give(50, one)
        #expect(room.take(50, one))
    }

    // MARK: The Unix socket

    private func socketFront(_ change: (inout SocketFront.Limits) -> Void) throws -> SocketFront {
        var limits = SocketFront.Limits()
        change(&limits)
        return try SocketFront("\(scratch.path)/g.sock", gatekeeper, "0", limits) { _, uid in
            ["uid": .integer(Int64(uid))]
        }
    }

    private func connect() throws -> OpenSocket { OpenSocket(try UnixSocket.connect("\(scratch.path)/g.sock")) }

    private static let hello = SocketHello(agent: AgentID(team: "support", name: "triage")).json.canonicalBytes()

    /// What the gateway says to a client that knows who it is.
    private func greet(_ socket: OpenSocket) throws -> JSONValue? {
        LineWriter(socket.number).write(Self.hello)
        return try hear(socket)
    }

    private func hear(_ socket: OpenSocket) throws -> JSONValue? {
        socket.setPatience(seconds: 20)
        var reader = LineReader(socket.number, most: 10_000)
        guard case .line(let line) = reader.next() else { return nil }
        return try read(line)
    }

    @Test("Whoever connects to the socket and says nothing keeps nobody else out")
    func silentSocket() throws {
        let front = try socketFront { $0.connections = 16 }
        defer { front.stop() }
        let known = try connect()
        #expect(try greet(known)?["ensign"] == "welcome")
        let crowd = try (0..<100).map { _ in try connect() }
        let late = try connect()
        #expect(try greet(late)?["ensign"] == "welcome")
        LineWriter(known.number).write(Array(Self.ping.utf8))
        #expect(try hear(known)?["result"] == [:])
        #expect(try SocketConnector.ask("\(scratch.path)/g.sock", ["verb": "list"])["uid"] != nil)
        #expect(try hear(crowd[0]) == nil)
    }

    @Test("What lines take in memory is counted from the first byte on, comes back, and what finds no room is recorded")
    func longLines() throws {
        let front = try socketFront { $0.memory = 2_000_000 }
        defer { front.stop() }
        func client(_ line: [UInt8]) throws -> OpenSocket {
            let socket = try connect()
            #expect(try greet(socket)?["ensign"] == "welcome")
            unsafe line.withUnsafeBytes { line in
                var done = 0
                while done < line.count {
                    let count = unsafe write(socket.number, line.baseAddress! + done, line.count - done)
                    guard count > 0 else { return }
                    done += count
                }
            }
            return socket
        }
        let halves = try (0..<2).map { _ in try client([UInt8](repeating: 0x20, count: 500_000)) }
        let whole = [UInt8](repeating: 0x20, count: 900_000) + Array(Self.ping.utf8) + [0x0A]
        let answer = try hear(try client(whole))
        #expect(answer?["error"]?["code"] == -32603 && answer?["error"]?["data"]?["dev.ensign/decision"] == 8)
        for socket in halves { socket.shut() }
        var isTaken = false
        for _ in 0..<100 where !isTaken {
            isTaken = try hear(try client(whole))?["result"] == [:]
            if !isTaken { usleep(20_000) }
        }
        #expect(isTaken)
    }

    @Test("Threads of a burst end when nobody needs them, and the next call finds one all the same")
    func burst() throws {
        let pool = WorkerPool(most: 64, rest: .milliseconds(50))
        let state = Condition((running: 0, isOpen: false))
        func burst(_ count: Int) {
            state.withLock { $0 = (0, false) }
            for _ in 0..<count {
                let isTaken = pool.run {
                    state.update { $0.running += 1 }
                    _ = state.wait(until: .now + .seconds(20)) { $0.isOpen ? true : nil }
                    state.update { $0.running -= 1 }
                }
                #expect(isTaken)
            }
            #expect(state.wait(until: .now + .seconds(20)) { $0.running == count ? true : nil } == true)
            #expect(pool.count >= count)
            state.update { $0.isOpen = true }
            #expect(state.wait(until: .now + .seconds(20)) { $0.running == 0 ? true : nil } == true)
        }
        for _ in 0..<3 {
            burst(32)
            let end = ContinuousClock.now + .seconds(20)
            while pool.count > 0, ContinuousClock.now < end { usleep(10_000) }
            #expect(pool.count == 0)
        }
        burst(64)
        #expect(!pool.run {} || pool.count <= 64)
        pool.stop()
        #expect(!pool.run {})
    }

    @Test("A first line that comes byte by byte is not waited for")
    func slowSocket() throws {
        let front = try socketFront { $0.hello = .milliseconds(300) }
        defer { front.stop() }
        let slow = try connect()
        let end = ContinuousClock.now + .seconds(20)
        var isOpen = true
        while isOpen, ContinuousClock.now < end {
            isOpen = unsafe send(slow.number, [0x20] as [UInt8], 1, Int32(MSG_NOSIGNAL)) == 1
            Machine.pause(milliseconds: 20)
        }
        #expect(!isOpen)
    }

    @Test("Whoever has all places of the socket and rests gives one up, and no call is ended for it")
    func restingSocket() throws {
        let front = try socketFront { $0.connections = 6 }
        defer { front.stop() }
        let calling = try connect()
        #expect(try greet(calling)?["ensign"] == "welcome")
        LineWriter(calling.number).write(Array(Self.wait.utf8))
        _ = gatekeeper.seen.wait(until: .now + .seconds(20)) { $0.running == 1 ? true : nil }
        let resting = try (0..<5).map { _ in
            let socket = try connect()
            #expect(try greet(socket)?["ensign"] == "welcome")
            return socket
        }
        let next = try connect()
        #expect(try greet(next)?["ensign"] == "welcome")
        #expect(try hear(resting[0]) == nil)
        gatekeeper.seen.update { $0.isOpen = true }
        #expect(try hear(calling)?["result"] != nil)
    }

    @Test("Few files that may be open mean few connections: servers and the log need some, too")
    func files() {
        #expect(ConnectionLimit.connections(files: 100) == 16)
        #expect(ConnectionLimit.connections(files: 1_024) == 128)
        #expect(ConnectionLimit.connections(files: 1 << 20) == 1_024)
    }
}

extension WebClient {
    /// Whether the server ends the connection within so many seconds, whatever it said before.
    func isOver(within seconds: Int32) -> Bool {
        while true {
            do { _ = try hear() } catch { return isClosed(within: seconds) }
        }
    }
}
