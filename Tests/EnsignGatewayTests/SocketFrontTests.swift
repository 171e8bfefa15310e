import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignGateway

@Suite("Serving clients on a Unix socket")
struct SocketFrontTests {
    private let gatekeeper = ScriptedGatekeeper()
    private let scratch: ScratchDirectory
    private var path: String { "\(scratch.path)/gateway.sock" }

    init() throws {
        _ = ignoresBrokenPipes
        scratch = try ScratchDirectory()
    }

    private func front() throws -> SocketFront {
        try SocketFront(path, gatekeeper: gatekeeper, version: "0") { wanted, uid in
            ["verb": wanted["verb"] ?? .null, "uid": .integer(Int64(uid))]
        }
    }

    private static let hello = SocketHello(
        agent: AgentID(team: "support", name: "triage"),
        key: "k",
        run: "r",
        asked: "j.w.t"
    )

    /// A client of the connector, by pipes.
    private func client(_ hello: SocketHello = Self.hello, ended: Condition<SocketConnector.End?> = Condition(nil))
        throws
        -> LineClient
    {
        let path = path
        return try LineClient(gatekeeper) { input, output in
            let end = SocketConnector.run(path: path, hello: hello, input: input, output: output, version: "0")
            ended.update { $0 = end }
        }
    }

    private static let call =
        #"{"jsonrpc":"2.0","id":"ü\",","method":"tools/call","params":{"name":"x","arguments":{"a":1}}}"#

    @Test("a client's lines are passed on both ways, and the gateway knows its account and what it said of itself")
    func passes() throws {
        let front = try front()
        let client = try client()
        client.say(
            #"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#
        )
        #expect(try client.hear()["result"]?["protocolVersion"] == "2025-06-18")
        client.say(Self.call)
        let answer = try client.hear()
        #expect(answer["id"] == "ü\",")
        #expect(answer["result"]?["structuredContent"] == ["a": 1])
        client.leave()
        let seen = gatekeeper.seen.withLock { $0 }
        #expect(!seen.peers.isEmpty && seen.peers.allSatisfy { $0 == Self.hello.peer(uid: getuid()) })
        #expect(seen.sessions[0].run == RunName("r", .option))
        front.stop()
        #expect(try Files.status(path) == nil)
    }

    @Test("an account of the group may connect, others may not")
    func mode() throws {
        let front = try front()
        defer { front.stop() }
        #expect(try Files.status(path)?.permissions == 0o660)
        #expect(try Files.list(scratch.path) == ["gateway.sock"])
    }

    @Test("of several that start at the same time one listens, and the others say so")
    func once() throws {
        for round in 0..<10 {
            let path = "\(scratch.path)/\(round).sock"
            let listening = Condition(0)
            let isOver = Condition(false)
            let threads = try (0..<8).map { _ in
                try EnsignSystem.Thread {
                    guard let socket = try? UnixSocket.listen(path) else { return }
                    listening.withLock { $0 += 1 }
                    _ = isOver.wait(until: .now + .milliseconds(300)) { $0 ? true : nil }
                    _ = consume socket
                }
            }
            for thread in threads { thread.join() }
            #expect(listening.withLock { $0 } == 1)
        }
    }

    @Test("a socket that is in use is left alone, and one that nobody listens to is replaced")
    func stale() throws {
        let first = try front()
        #expect(throws: SystemError.self) { _ = try front() }
        first.stop()
        do { _ = try UnixSocket.listen(path) }
        #expect(try Files.status(path) != nil)
        try front().stop()
        try scratch.write("gateway.sock", "mine")
        #expect(throws: SystemError.self) { _ = try front() }
        #expect(try scratch.read("gateway.sock") == "mine")
    }

    @Test("whoever is not known is told so at once")
    func refused() throws {
        let front = try front()
        defer { front.stop() }
        var hello = Self.hello
        hello.token = "wrong"
        let ended = Condition<SocketConnector.End?>(nil)
        let client = try client(hello, ended: ended)
        client.leave()
        #expect(ended.withLock { $0 } == .refused("the account \(getuid()) may not speak here for support/triage"))
    }

    @Test(
        "a first line that is none is refused",
        arguments: [
            "{}", "[]", "x", #"{"ensign":"hello","agent":"x"}"#, #"{"ensign":"hello","more":1}"#,
            #"{"ensign":"hello","run":"a b"}"#, #"{"ensign":"hello","agreed":"1"}"#,
            #"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
        ]
    )
    func openings(line: String) throws {
        let front = try front()
        defer { front.stop() }
        let socket = OpenSocket(try UnixSocket.connect(path))
        LineWriter(socket.number).write(Array(line.utf8))
        var reader = LineReader(socket.number, most: 1_000)
        guard case .line(let answer) = reader.next() else { return #expect(Bool(false)) }
        #expect(try read(answer)["ensign"] == "refused")
        #expect(reader.next() == .end)
        #expect(gatekeeper.seen.withLock { $0.peers.isEmpty })
    }

    @Test(
        "whoever may not speak any more, or is somebody else by now, is refused at the next message of an open connection",
        arguments: [nil, AgentID(team: "support", name: "other")]
    )
    func takenOut(now: AgentID?) throws {
        let front = try front()
        defer { front.stop() }
        let client = try client()
        client.say(Self.call)
        #expect(try client.hear()["result"]?["structuredContent"] == ["a": 1])
        gatekeeper.seen.withLock { $0.agent = now }
        client.say(Self.call)
        let refused = try client.hear()["result"]
        #expect(refused?["isError"] == true && refused?["_meta"]?["dev.ensign/reason"] == "not-granted")
        client.say(#"{"jsonrpc":"2.0","id":3,"method":"tools/list"}"#)
        #expect(try client.hear()["error"]?["message"]?.string?.contains("may not speak") == true)
        #expect(gatekeeper.seen.withLock { $0.calls.count } == 1 && gatekeeper.seen.withLock { $0.refused.count } == 1)
        gatekeeper.seen.withLock { $0.agent = ScriptedGatekeeper.session.agent }
        client.say(Self.call)
        #expect(try client.hear()["result"]?["structuredContent"] == ["a": 1])
        client.leave()
    }

    @Test("an operator's line is answered with one, and the account is the kernel's word")
    func admin() throws {
        let front = try front()
        let answer = try SocketConnector.ask(path, ["verb": "list", "uid": 4_711])
        #expect(answer == ["verb": "list", "uid": .integer(Int64(getuid()))])
        front.stop()
        #expect(throws: SystemError.self) { _ = try SocketConnector.ask(path, ["verb": "list"]) }
    }

    @Test("without a gateway a client starts all the same, and is told that nothing was done")
    func absent() throws {
        let client = try client()
        client.say(
            #"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#
        )
        #expect(try client.hear()["result"]?["serverInfo"]?["name"] == "ensign-gateway")
        client.say(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
        client.say(#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#)
        #expect(try client.hear()["error"]?["code"] == -32603)
        client.say(Self.call)
        let refusal = try client.hear()["result"]
        #expect(refusal?["isError"] == true)
        #expect(refusal?["_meta"]?["dev.ensign/reason"] == "unavailable")
        // As soon as it is there it is asked, and knows what was agreed on.
        let front = try front()
        client.say(Self.call)
        #expect(try client.hear()["method"] == "notifications/tools/list_changed", "it has seen no list yet")
        #expect(try client.hear()["result"]?["structuredContent"] == ["a": 1])
        #expect(gatekeeper.seen.withLock { $0.calls[0].protocolVersion } == "2025-06-18")
        gatekeeper.seen.withLock { $0.mark += 1 }
        #expect(try client.hear()["method"] == "notifications/tools/list_changed")
        client.leave()
        front.stop()
    }

    @Test("clients that read nothing hold up no word of a change to others, and get it when they read on")
    func slowReaders() throws {
        let front = try front()
        let client = try client()
        client.say(#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#)
        _ = try client.hear()
        client.say(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
        var hello = Self.hello
        hello.isTold = true
        let slow = try (0..<2).map { _ in OpenSocket(try UnixSocket.connect(path)) }
        for socket in slow {
            LineWriter(socket.number).write(hello.json.canonicalBytes())
            // Until the gateway waits for room to answer.
            let asks = LineWriter(socket.number, patience: .milliseconds(500))
            while asks.write(Array(#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#.utf8)) {}
        }
        client.say(Self.call)
        _ = try client.hear()
        for _ in 0..<2 {
            gatekeeper.seen.withLock { $0.mark += 1 }
            let time = ContinuousClock().measure {
                #expect((try? client.hear())?["method"] == "notifications/tools/list_changed")
            }
            #expect(time < .seconds(4))
        }
        for socket in slow {
            var reader = LineReader(socket.number, most: 1 << 20)
            var told = 0
            while told == 0, case .line(let line) = reader.next() {
                if try read(line)["method"] == "notifications/tools/list_changed" { told += 1 }
            }
            #expect(told == 1)
            socket.shut()
        }
        client.leave()
        front.stop()
    }

    @Test("a gateway that starts again is asked again, and a call whose answer was lost has an unknown outcome")
    func again() throws {
        let listener = try UnixSocket.listen(path)
        let client = try client()
        // By hand: a gateway that takes a call and ends.
        let number = accept(listener.number, nil, nil)
        var reader = LineReader(number, most: 1_000)
        _ = reader.next()
        LineWriter(number).write(Array(#"{"ensign":"welcome","agent":"support/triage"}"#.utf8))
        client.say(Self.call)
        client.say(#"{"jsonrpc":"2.0","id":5,"method":"tools/list"}"#)
        _ = (reader.next(), reader.next())
        close(number)
        let answers = [try client.hear(), try client.hear()]
        let lost = answers.first { $0["id"] != 5 }
        #expect(lost?["result"]?["_meta"]?["dev.ensign/reason"] == "unknown-outcome")
        #expect(answers.first { $0["id"] == 5 }?["error"]?["code"] == -32603)
        shutdown(listener.number, Int32(SHUT_RDWR))
        let front = try front()
        client.say(Self.call)
        #expect(try client.hear()["result"]?["structuredContent"] == ["a": 1])
        client.leave()
        front.stop()
    }

    @Test("a gateway that ends right behind its welcome is asked again like any other")
    func endsAtOnce() throws {
        let listener = try UnixSocket.listen(path)
        let rounds = 300
        // By hand: in each round it ends at once, and then answers on the next connection.
        let gateway = try EnsignSystem.Thread {
            for connection in 0..<(2 * rounds) {
                let number = accept(listener.number, nil, nil)
                var reader = LineReader(number, most: 1_000)
                _ = reader.next()
                LineWriter(number).write(Array(#"{"ensign":"welcome","agent":"support/triage"}"#.utf8))
                while connection % 2 == 1, case .line = reader.next() {
                    LineWriter(number).write(Array(#"{"id":7,"jsonrpc":"2.0","result":{"isError":false}}"#.utf8))
                }
                close(number)
            }
        }
        for _ in 0..<rounds {
            let client = try client()
            var answer = JSONValue.null
            // The first ones may be lost with the gateway that has ended.
            for _ in 0..<50 where answer["result"]?["isError"] != false {
                client.say(#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x"}}"#)
                answer = try client.hear()
                Machine.pause(milliseconds: 1)
            }
            try #require(answer["result"]?["isError"] == false)
            client.leave()
        }
        gateway.join()
    }

    @Test("behind a gateway that starts again a client is told once that its list may be another one")
    func changedMeanwhile() throws {
        let first = try front()
        let client = try client()
        client.say(#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#)
        _ = try client.hear()
        client.say(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
        client.say(Self.call)
        #expect(try client.hear()["result"] != nil, "nothing has changed yet")
        first.stop()
        let second = try front()
        client.say(Self.call)
        #expect(try client.hear() == ["jsonrpc": "2.0", "method": "notifications/tools/list_changed"])
        #expect(try client.hear()["result"] != nil)
        client.say(Self.call)
        #expect(try client.hear()["result"] != nil)
        #expect(client.isQuiet(milliseconds: 1_300))
        client.leave()
        second.stop()
    }

    @Test("one who listens again behind a gateway that starts again is told once, where it asked for that")
    func listensAgain() throws {
        let modern =
            #""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#
        func listen(_ id: Int, _ wanted: Bool) -> String {
            #"{"jsonrpc":"2.0","id":\#(id),"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":\#(wanted)},\#(modern)}}"#
        }
        let first = try front()
        let client = try client()
        client.say(listen(1, true))
        #expect(try client.hear()["method"] == "notifications/subscriptions/acknowledged")
        first.stop()
        #expect(try client.hear()["error"]?["message"]?.string?.contains("ask again") == true)
        let second = try front()
        client.say(listen(2, false))
        #expect(try client.hear()["method"] == "notifications/subscriptions/acknowledged")
        client.say(listen(3, true))
        #expect(try client.hear()["method"] == "notifications/subscriptions/acknowledged")
        let told = try client.hear()
        #expect(told["method"] == "notifications/tools/list_changed")
        #expect(told["params"]?["_meta"] == ["io.modelcontextprotocol/subscriptionId": 3])
        client.say(listen(4, true))
        #expect(try client.hear()["method"] == "notifications/subscriptions/acknowledged")
        #expect(client.isQuiet(milliseconds: 1_300))
        client.leave()
        second.stop()
    }

    @Test("nothing is said of a call that its client has cancelled, however the gateway ends")
    func cancelled() throws {
        let listener = try UnixSocket.listen(path)
        let client = try client()
        let number = accept(listener.number, nil, nil)
        var reader = LineReader(number, most: 1_000)
        _ = reader.next()
        LineWriter(number).write(Array(#"{"ensign":"welcome","agent":"support/triage"}"#.utf8))
        client.say(Self.call)
        client.say(#"{"jsonrpc":"2.0","id":5,"method":"tools/list"}"#)
        client.say(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"ü\","}}"#)
        _ = (reader.next(), reader.next(), reader.next())
        close(number)
        #expect(try client.hear()["id"] == 5)
        #expect(client.isQuiet())
        shutdown(listener.number, Int32(SHUT_RDWR))
        client.leave()
    }

    @Test("of a call that a client leaves behind nothing is said as long as the gateway is there")
    func leftBehind() throws {
        let front = try front()
        let client = try client()
        client.say(#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait"}}"#)
        _ = gatekeeper.seen.wait(until: .now + .seconds(20)) { $0.running == 1 ? true : nil }
        client.leave()
        #expect(client.isQuiet(milliseconds: 0))
        #expect(gatekeeper.seen.withLock { $0.calls[0].cancellation.isCancelled })
        front.stop()
    }

    @Test("a client that has died counts as gone before its call is over")
    func died() throws {
        let front = try front()
        let client = try client()
        client.say(#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait"}}"#)
        _ = gatekeeper.seen.wait(until: .now + .seconds(20)) { $0.running == 1 ? true : nil }
        let cancellation = try #require(gatekeeper.seen.withLock { $0.calls.first }).cancellation
        let leaving = try EnsignSystem.Thread {
            // Before the gateway's grace is over, which cancels.
            let deadline = ContinuousClock.now + .milliseconds(800)
            while cancellation.isAwaited, ContinuousClock.now < deadline { Machine.pause(milliseconds: 5) }
            #expect(!cancellation.isAwaited && !cancellation.isCancelled)
        }
        client.close()
        client.leave()
        leaving.join()
        front.stop()
    }

    @Test("a hundred connections stay open beside calls, and the end ends them all")
    func many() throws {
        let front = try front()
        let sockets = try (0..<100).map { _ in OpenSocket(try UnixSocket.connect(path)) }
        for socket in sockets {
            LineWriter(socket.number).write(Self.hello.json.canonicalBytes())
            LineWriter(socket.number).write(
                Array(#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#.utf8)
            )
        }
        for socket in sockets {
            var reader = LineReader(socket.number, most: 1_000)
            _ = reader.next()
            guard case .line(let answer) = reader.next() else { return #expect(Bool(false)) }
            #expect(try read(answer)["result"] != nil)
        }
        front.stop()
        for socket in sockets {
            var reader = LineReader(socket.number, most: 1_000)
            #expect(reader.next() == .end)
        }
    }

    @Test("the id of a line is found as it was written")
    func ids() {
        for id: JSONValue in ["a", "", "\",\"jsonrpc", "\\", "\\\"", "é\n", 1, -7, 9_007_199_254_740_992] {
            let reply = Reply(id: id, version: "2025-11-25", server: .null)
            #expect(SocketConnector.answered(reply.message(["a": 1]).canonicalBytes()) == id)
            let error = Reply.message(id, ProtocolError(1, "\"id\":2"))
            #expect(SocketConnector.answered(error.canonicalBytes()) == id)
        }
        #expect(SocketConnector.answered(Array(#"{"jsonrpc":"2.0","method":"x"}"#.utf8)) == nil)
    }
}
