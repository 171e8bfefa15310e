import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignGateway

@Suite("Serving clients by HTTP")
struct HTTPFrontTests {
    private let gatekeeper = ScriptedGatekeeper()
    private let front: HTTPFront
    private var port: UInt16 { front.port }

    init() throws {
        _ = ignoresBrokenPipes
        front = try Self.front(gatekeeper)
    }

    private static func front(
        _ gatekeeper: ScriptedGatekeeper,
        _ limits: HTTPConnections.Limits = HTTPConnections.Limits()
    ) throws -> HTTPFront {
        try HTTPFront(ListeningSocket(host: "127.0.0.1", port: 0), nil, gatekeeper, "0", limits)
    }

    private static let modern = """
        "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}
        """
    private static let ping = #"{"jsonrpc":"2.0","id":1,"method":"ping"}"#

    private func post(_ body: String, _ headers: [String: String?] = [:], path: String = "/mcp") throws -> WebReply {
        let client = try WebClient(port)
        client.post(body, headers, path: path)
        return try client.hear()
    }

    @Test("a handshake, a list and calls are answered each for itself, on one connection or on many")
    func legacy() throws {
        let client = try WebClient(port)
        client.post(
            #"{"jsonrpc":"2.0","id":"a","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#
        )
        let handshake = try client.hear()
        #expect(handshake.status == 200 && handshake["content-type"] == "application/json")
        #expect(handshake["mcp-session-id"] == nil)
        #expect(try handshake.json["result"]?["protocolVersion"] == "2025-06-18")
        #expect(try handshake.json["result"]?["capabilities"] == ["tools": ["listChanged": false]])
        client.post(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
        let accepted = try client.hear()
        #expect(accepted.status == 202 && accepted.body.isEmpty)
        client.post(#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#, ["MCP-Protocol-Version": "2025-06-18"])
        #expect(try client.hear().json["result"] == ["tools": [ScriptedGatekeeper.tools[0].json]])
        let call = try post(
            #"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"x","arguments":{"b":1e2,"a":"\u00e9"}}}"#,
            ["Ensign-Run": "r1", "Ensign-Key": "k1", "Ensign-For": "j.w.t", "MCP-Protocol-Version": "2025-06-18"],
            path: "/"
        )
        #expect(try call.json["result"]?["structuredContent"] == ["a": "é", "b": 100])
        let seen = gatekeeper.seen.withLock { $0 }
        #expect(seen.calls[0].protocolVersion == "2025-06-18")
        #expect(seen.peers.last == Peer(.bearer("t0ken"), run: RunName("r1", .header), key: "k1", asked: "j.w.t"))
    }

    @Test("a refusal is a result, and an unknown method an error, with status 200")
    func results() throws {
        let refused = try post(#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"refuse"}}"#)
        #expect(refused.status == 200)
        #expect(try refused.json["result"]?["isError"] == true)
        let unknown = try post(#"{"jsonrpc":"2.0","id":1,"method":"resources/list"}"#)
        #expect(unknown.status == 200)
        #expect(try unknown.json["error"]?["code"] == -32601)
    }

    @Test(
        "what needs no answer is of a version that is spoken here, too",
        arguments: [
            (nil, 202), ("2025-03-26", 202), ("2025-11-25", 202), ("2026-07-28", 202), ("2024-11-05", 400),
            ("2027-01-01", 400), ("", 400),
        ] as [(String?, Int)]
    )
    func notifications(version: String?, status: Int) throws {
        for message in [
            #"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, #"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        ] {
            let reply = try post(message, ["MCP-Protocol-Version": version])
            #expect(reply.status == status)
            if status == 400 { #expect(try reply.json["id"] == .null) }
        }
    }

    @Test("the stateless era says in the head what it says in the message")
    func stateless() throws {
        let list = #"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{\#(Self.modern)}}"#
        let head: [String: String?] = ["MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"]
        let reply = try post(list, head)
        #expect(reply.status == 200)
        #expect(try reply.json["result"]?["resultType"] == "complete")
        for wrong: [String: String?] in [
            ["Mcp-Method": "tools/call"], ["Mcp-Method": nil], ["MCP-Protocol-Version": nil],
            ["MCP-Protocol-Version": "2025-11-25"],
        ] {
            let reply = try post(list, head.merging(wrong) { $1 })
            #expect(reply.status == 400, "\(wrong)")
            #expect(try reply.json["error"]?["code"] == -32020)
            #expect(try reply.json["id"] == 2)
        }
        let call =
            #"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"é","arguments":{},\#(Self.modern)}}"#
        let callHead: [String: String?] = ["MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call"]
        #expect(try post(call, callHead.merging(["Mcp-Name": "=?base64?w6k=?="]) { $1 }).status == 200)
        for wrong in ["=?base64?w6g=?=", "=?base64?!?=", "e", "é", nil] {
            #expect(try post(call, callHead.merging(["Mcp-Name": wrong]) { $1 }).status == 400)
        }
        let unknown = #"{"jsonrpc":"2.0","id":4,"method":"prompts/list","params":{\#(Self.modern)}}"#
        #expect(try post(unknown, head.merging(["Mcp-Method": "prompts/list"]) { $1 }).status == 404)
        let later = list.replacingOccurrences(of: "2026-07-28", with: "2027-01-01")
        let other = try post(later, head.merging(["MCP-Protocol-Version": "2027-01-01"]) { $1 })
        #expect(other.status == 400)
        #expect(try other.json["error"]?["code"] == -32022)
        #expect(gatekeeper.seen.withLock { $0.calls.count } == 1)
    }

    @Test("a call says in headers what its tool wants there, in the stateless era alone")
    func mirrored() throws {
        func call(_ arguments: String, _ headers: [String: String?], name: String = "mirrored") throws -> WebReply {
            let head: [String: String?] = [
                "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": name,
            ]
            let parameters = #""name":"\#(name)","arguments":\#(arguments),\#(Self.modern)"#
            return try post(
                #"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{\#(parameters)}}"#,
                head.merging(headers) { $1 }
            )
        }
        let eu = #"{"region":"eu"}"#
        #expect(try call(eu, ["mcp-param-REGION": "eu"]).status == 200)
        #expect(try call(eu, ["Mcp-Param-Region": "=?base64?ZXU=?=", "Mcp-Param-Other": "x"]).status == 200)
        #expect(try call(#"{"region":null}"#, [:]).status == 200 && call("{}", [:]).status == 200)
        #expect(try call(eu, ["Mcp-Param-Region": "us"], name: "other").status == 200)
        let made = gatekeeper.seen.withLock { $0.calls.count }
        for (arguments, headers) in [
            (eu, ["Mcp-Param-Region": "us"]), (eu, [:]), ("{}", ["Mcp-Param-Region": "eu"]),
            (eu, ["Mcp-Param-Region": "=?base64?!?="]), (eu, ["Mcp-Param-Region": "eu\r\nMcp-Param-Region: us"]),
        ] {
            let reply = try call(arguments, headers)
            #expect(reply.status == 400, "\(arguments) \(headers)")
            #expect(try reply.json["error"]?["code"] == -32020 && reply.json["id"] == 3)
        }
        #expect(gatekeeper.seen.withLock { $0.calls.count } == made)
        let parameters = #""name":"mirrored","arguments":\#(eu)"#
        let old = #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{\#(parameters)}}"#
        #expect(try post(old, ["MCP-Protocol-Version": "2025-11-25", "Mcp-Param-Region": "us"]).status == 200)
    }

    @Test(
        "what may not come in is not looked at",
        arguments: [
            (["Host": "evil.example"], 403), (["Host": "evil.example:80"], 403),
            (["Host": "localhost.evil.example"], 403),
            (["Host": "127.0.0.1@evil.example"], 403), (["Host": "localhost/evil"], 403),
            (["Origin": "http://evil.example"], 403), (["Origin": "null"], 403),
            (["Origin": "http://localhost:1"], 403),
            (["Origin": "https://127.0.0.1"], 403), (["Origin": ""], 403),
            (["Authorization": nil], 401), (["Authorization": "Bearer wrong"], 401),
            (["Authorization": "Bearer "], 401),
            (["Authorization": "Basic dDBrZW4="], 401), (["Authorization": "Bearer t0ken t0ken"], 401),
            (["Content-Type": "text/plain"], 415), (["Content-Type": nil], 415), (["Content-Encoding": "gzip"], 415),
            (["Content-Type": "application/json; charset=utf-8"], 200), (["Host": "localhost:9"], 200),
            (["Host": "[::1]"], 200), (["authorization": "bearer t0ken"], 200),
            (["MCP-Protocol-Version": "2024-11-05"], 400), (["MCP-Protocol-Version": "2026-07-28"], 400),
            (["MCP-Protocol-Version": "2025-03-26"], 200),
            (["Ensign-Run": ""], 400), (["Ensign-Run": "a b"], 400),
            (["Ensign-Key": String(repeating: "k", count: 257)], 400),
            (["Ensign-Run": "a\r\nEnsign-Run: b"], 400), (["A": "b\r\nAuthorization: Bearer other"], 400),
        ] as [([String: String?], Int)]
    )
    func heads(headers: [String: String?], status: Int) throws {
        let reply = try post(Self.ping, headers)
        #expect(reply.status == status)
        #expect((reply["www-authenticate"] != nil) == (status == 401))
        if status == 401 || status == 403 { #expect(reply["cache-control"] == "no-store") }
        if status == 403 { #expect(gatekeeper.seen.withLock { $0.peers.isEmpty }) }
    }

    @Test("pages of this very server may ask")
    func ownOrigin() throws {
        #expect(try post(Self.ping, ["Host": "localhost:\(port)", "Origin": "http://localhost:\(port)"]).status == 200)
        #expect(try post(Self.ping, ["Host": "127.0.0.1:\(port)", "Origin": "http://localhost:\(port)"]).status == 403)
    }

    @Test("only POST is taken, and only at /mcp and /", arguments: ["GET", "DELETE", "PUT", "OPTIONS", "HEAD"])
    func methods(method: String) throws {
        let client = try WebClient(port)
        client.say("\(method) /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let reply = try client.hear(hasBody: method != "HEAD")
        #expect(reply.status == 405 && reply["allow"] == "POST")
        #expect(try post(Self.ping, path: "/other").status == 404)
        #expect(try post(Self.ping, path: "/mcp?a=b").status == 200)
    }

    @Test(
        "what has no one reading is refused",
        arguments: [
            ("[]", -32600), ("7", -32600), (#"{"jsonrpc":"2.0","id":1,"method":"ping"}{}"#, -32700), ("", -32700),
            (#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, -32700),
            (#"{"jsonrpc":"2.0","method":"notifications/initialized","params":[]}"#, -32602),
        ]
    )
    func hostile(body: String, code: Int64) throws {
        let reply = try post(body)
        #expect(reply.status == 400)
        #expect(try reply.json["error"]?["code"] == .integer(code))
        #expect(try reply.json["id"] == .null)
    }

    @Test("a body of more than 4 MiB is not read, whether it says so before or not")
    func length() throws {
        let announced = try WebClient(port)
        announced.say(WebClient.head([:], length: (4 << 20) + 1))
        #expect(try announced.hear().status == 413)
        // As clients do that write all before they read: what is in the way of their answer is read, up to a bound.
        for size in [(4 << 20) + 1, 24 << 20] {
            let busy = try WebClient(port)
            busy.post(String(repeating: " ", count: size))
            #expect(try busy.hear().status == 413)
        }
        let chunked = try WebClient(port)
        chunked.say(WebClient.head(["Transfer-Encoding": "chunked"], length: nil))
        let piece = "10000\r\n" + String(repeating: " ", count: 65_536) + "\r\n"
        for _ in 0..<400 { chunked.say(piece) }
        chunked.say("0\r\n\r\n")
        #expect(try chunked.hear().status == 413)
        // Whoever is nobody here is told that, and not only hung up on.
        for head in [["Authorization": nil], ["Authorization": "Bearer wrong"]] as [[String: String?]] {
            let chunked = try WebClient(port)
            chunked.say(WebClient.head(head.merging(["Transfer-Encoding": "chunked"]) { $1 }, length: nil))
            for _ in 0..<400 { chunked.say(piece) }
            chunked.say("0\r\n\r\n")
            #expect(try chunked.hear().status == 401)
            let announced = try WebClient(port)
            announced.post(String(repeating: " ", count: 24 << 20), head)
            #expect(try announced.hear().status == 401)
        }
        let fits = String(repeating: " ", count: (4 << 20) - Self.ping.utf8.count) + Self.ping
        #expect(try post(fits).status == 200)
        #expect(try post(" " + fits).status == 413)
        #expect(try post(Self.ping).status == 200)
    }

    @Test("eighty calls are in flight beside slow clients, and each gets its own answer")
    func parallel() throws {
        let slow = try (0..<8).map { _ in try WebClient(port) }
        for client in slow { client.say("POST /mcp HTTP/1.1\r\nHost: loc") }
        let clients = try (0..<80).map { _ in try WebClient(port) }
        for (index, client) in clients.enumerated() {
            client.post(#"{"jsonrpc":"2.0","id":\#(index),"method":"tools/call","params":{"name":"wait"}}"#)
        }
        let all = gatekeeper.seen.wait(until: .now + .seconds(20)) { $0.running == 80 ? true : nil }
        #expect(all == true)
        gatekeeper.seen.update { $0.isOpen = true }
        for (index, client) in clients.enumerated() { #expect(try client.hear().json["id"] == .integer(Int64(index))) }
        #expect(slow.count == 8)
    }

    @Test("a client that closes its connection cancels its call")
    func gone() throws {
        do {
            let client = try WebClient(port)
            client.post(#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait"}}"#)
            _ = gatekeeper.seen.wait(until: .now + .seconds(20)) { $0.running == 1 ? true : nil }
        }
        let over = gatekeeper.seen.wait(until: .now + .seconds(20)) { $0.running == 0 ? true : nil }
        #expect(over == true)
        #expect(gatekeeper.seen.withLock { $0.calls[0].cancellation.isCancelled })
    }

    @Test("whoever is answered while no call is made any more is told that its connection ends")
    func closing() throws {
        let client = try WebClient(port)
        client.post(Self.ping)
        #expect(try client.hear()["connection"] == nil)
        gatekeeper.seen.update { $0.isClosed = true }
        client.post(Self.ping)
        #expect(try client.hear()["connection"] == "close" && client.isClosed(within: 5))
    }

    @Test("whether a client has closed its connection is seen at once by whoever asks")
    func awaited() throws {
        let call = #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait"}}"#
        for _ in 0..<5 {
            gatekeeper.seen.update { $0.calls = [] }
            var client: WebClient? = try WebClient(port)
            client?.post(call)
            _ = gatekeeper.seen.wait(until: .now + .seconds(20)) { $0.calls.isEmpty ? nil : true }
            let cancellation = try #require(gatekeeper.seen.withLock { $0.calls.first }).cancellation
            #expect(cancellation.isAwaited)
            client = nil
            // Four times a second all are looked at: that may be later.
            let deadline = ContinuousClock.now + .milliseconds(50)
            while cancellation.isAwaited, ContinuousClock.now < deadline { Machine.pause(milliseconds: 1) }
            #expect(!cancellation.isAwaited)
        }
    }

    @Test("an answer that its client does not read to its end is lost, and one that it reads is not")
    func unread() throws {
        let text = String(repeating: "x", count: 3 << 20)
        for isRead in [true, false] {
            gatekeeper.seen.update { $0.calls = [] }
            var client: WebClient? = try WebClient(port)
            client?.post(
                #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":"\#(text)"}}}"#
            )
            let call = gatekeeper.seen.wait(until: .now + .seconds(20)) { $0.calls.first }
            let isLost = Condition(false)
            try #require(call).cancellation.ifLost { isLost.update { $0 = true } }
            if isRead { #expect(try client?.hear().status == 200) }
            client = nil
            let deadline = ContinuousClock.now + (isRead ? .milliseconds(300) : .seconds(20))
            #expect((isLost.wait(until: deadline) { $0 ? true : nil } == nil) == isRead)
        }
    }

    @Test("a notification cancels the call of its run, and no other client's with the same id")
    func cancelled() throws {
        let call = #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait"}}"#
        let cancel = #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#
        let (mine, other) = (try WebClient(port), try WebClient(port))
        mine.post(call, ["Ensign-Run": "mine"])
        other.post(call, ["Ensign-Run": "other"])
        _ = gatekeeper.seen.wait(until: .now + .seconds(20)) { $0.running == 2 ? true : nil }
        #expect(try post(cancel).status == 202)
        #expect(try post(cancel, ["Ensign-Run": "mine"]).status == 202)
        let over = gatekeeper.seen.wait(until: .now + .seconds(20)) { $0.running == 1 ? true : nil }
        #expect(over == true)
        // Its own request is answered all the same: a connection that just ends is one that broke.
        let answer = try mine.hear()
        #expect(answer.status == 200)
        #expect(try answer.json["result"]?["content"]?[0]?["text"] == "cancelled")
        mine.post(Self.ping)
        #expect(try mine.hear().status == 200)
        gatekeeper.seen.update { $0.isOpen = true }
        #expect(try other.hear().json["result"]?["content"]?[0]?["text"] == "waited")
    }

    @Test("whoever dawdles loses the connection, but not while a call is made")
    func dawdling() throws {
        var limits = HTTPConnections.Limits()
        (limits.proof, limits.head, limits.body) = (.milliseconds(300), .milliseconds(300), .milliseconds(300))
        let front = try Self.front(gatekeeper, limits)
        let caller = try WebClient(front.port)
        caller.post(#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait"}}"#)
        let (silent, half, body) = (try WebClient(front.port), try WebClient(front.port), try WebClient(front.port))
        half.say("POST /mcp HT")
        body.say(WebClient.head([:], length: 100) + "{")
        for client in [silent, half, body] { #expect(client.isClosed(within: 10)) }
        gatekeeper.seen.update { $0.isOpen = true }
        #expect(try caller.hear().status == 200)
    }

    @Test("the end cancels what is under way and waits for what it cannot stop, and both are answered")
    func stop() throws {
        let names = ["wait", "change"]
        let (clients, silent) = (try names.map { _ in try WebClient(port) }, try WebClient(port))
        for (name, client) in zip(names, clients) {
            client.post(#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\#(name)"}}"#)
        }
        _ = gatekeeper.seen.wait(until: .now + .seconds(20)) { $0.running == 2 ? true : nil }
        let stopping = try EnsignSystem.Thread { [front] in front.stop() }
        #expect(try clients[0].hear().json["result"]?["content"]?[0]?["text"] == "cancelled")
        #expect(clients[0].isClosed(within: 5) && silent.isClosed(within: 10))
        // Longer than other connections are waited for.
        Machine.pause(milliseconds: 5_500)
        gatekeeper.seen.update { $0.isOpen = true }
        let last = try clients[1].hear()
        #expect(try last.json["result"]?["content"]?[0]?["text"] == "changed")
        #expect(last["connection"] == "close", "\(last.headers)")
        stopping.join()
        #expect(gatekeeper.seen.withLock { $0.running } == 0)
        front.stop()
    }

    @Test("an address that is taken is said to be so")
    func taken() {
        #expect(throws: SystemError.self) { _ = try ListeningSocket(host: "127.0.0.1", port: port) }
        #expect(throws: SystemError.self) { _ = try ListeningSocket(host: "x", port: 0) }
    }
}

/// What a server answers.
struct WebReply {
    var status: Int
    var headers: [String: String]
    var body: [UInt8]

    subscript(name: String) -> String? { headers[name] }
    var json: JSONValue { get throws { try read(body) } }
}

/// A client of HTTP by hand: what it sends is exactly what a test says.
final class WebClient {
    private let number: Int32
    private var pending: [UInt8] = []

    struct Silence: Error {}

    init(_ port: UInt16) throws {
        number = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = unsafe withUnsafeBytes(of: &address) { bytes in
            unsafe connect(
                number,
                bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self),
                socklen_t(MemoryLayout<sockaddr_in>.size)
            )
        }
        guard status == 0 else { throw Silence() }
    }

    deinit { close(number) }

    /// The head of a good request, with other headers; nil takes one away.
    static func head(_ headers: [String: String?], length: Int?, path: String = "/mcp") -> String {
        var all: [String: String?] = [
            "Host": "127.0.0.1", "Authorization": "Bearer t0ken", "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream", "Content-Length": length.map(String.init),
        ]
        for (name, value) in headers {
            all = all.filter { $0.key.lowercased() != name.lowercased() }
            all[name] = value
        }
        let lines = all.compactMap { name, value in value.map { "\(name): \($0)\r\n" } }
        return "POST \(path) HTTP/1.1\r\n" + lines.sorted().joined() + "\r\n"
    }

    func post(_ body: String, _ headers: [String: String?] = [:], path: String = "/mcp") {
        say(Self.head(headers, length: body.utf8.count, path: path) + body)
    }

    func say(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let sent = unsafe rest.withUnsafeBytes {
                unsafe send(number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard sent > 0 else { return }
            rest = rest.dropFirst(sent)
        }
    }

    private func fill() throws {
        var polled = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&polled, 1, 20_000) > 0 else { throw Silence() }
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe recv(number, &bytes, bytes.count, 0)
        guard count > 0 else { throw Silence() }
        pending += bytes[..<count]
    }

    /// The next answer; fails the test after twenty seconds, or when the connection ends.
    func hear(hasBody: Bool = true) throws -> WebReply {
        var end: Int?
        while true {
            end = pending.indices.dropLast(3).first { pending[$0...].starts(with: [13, 10, 13, 10]) }
            if end != nil { break }
            try fill()
        }
        let lines = String(decoding: pending[..<(end ?? 0)], as: UTF8.self).components(separatedBy: "\r\n")
        pending.removeFirst((end ?? 0) + 4)
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            headers[parts[0].lowercased()] = parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : ""
        }
        let length = hasBody ? headers["content-length"].flatMap { Int($0) } ?? 0 : 0
        while pending.count < length { try fill() }
        defer { pending.removeFirst(length) }
        let status = Int(lines[0].split(separator: " ")[1]) ?? 0
        return WebReply(status: status, headers: headers, body: Array(pending[..<length]))
    }

    /// Whether the server ends the connection within so many seconds.
    func isClosed(within seconds: Int32) -> Bool {
        var polled = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&polled, 1, seconds * 1_000) > 0 else { return false }
        var byte: UInt8 = 0
        return unsafe recv(number, &byte, 1, 0) <= 0
    }
}
