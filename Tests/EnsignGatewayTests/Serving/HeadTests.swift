import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Testing

@testable import EnsignGateway

@Suite("Heads that two readers could read as two things")
struct HeadTests {
    private let gatekeeper = ScriptedGatekeeper()
    private let front: HTTPFront

    init() throws {
        _ = ignoresBrokenPipes
        front = try HTTPFront(ListeningSocket(host: "127.0.0.1", port: 0), gatekeeper: gatekeeper, version: "0")
    }

    private static let ping = #"{"jsonrpc":"2.0","id":1,"method":"ping"}"#

    private func send(_ lines: [String], end: String = "\r\n") throws -> WebReply {
        let client = try WebClient(front.port)
        let head = ["POST /mcp HTTP/1.1"] + lines + ["Content-Length: \(Self.ping.utf8.count)", ""]
        client.say(head.map { $0 + end }.joined() + Self.ping)
        return try client.hear()
    }

    private static let usual = [
        "Host: 127.0.0.1", "Authorization: Bearer t0ken", "Content-Type: application/json",
    ]

    @Test("As everybody writes them they are taken, with any blanks around a value")
    func good() throws {
        #expect(try send(Self.usual).status == 200)
        #expect(
            try send(["Host:127.0.0.1", "Authorization:  \tBearer t0ken \t", "Content-Type:application/json "]).status
                == 200
        )
        #expect(try send(Self.usual + ["X-Empty:", "X-Blank: "]).status == 200)
    }

    @Test(
        "A folded line, a blank before a colon, a byte 0 and a line without CR are refused",
        arguments: [
            // The library makes "Authorization" of the first two lines.
            ["Host: 127.0.0.1", "Author: Bearer t0ken", " ization", "Content-Type: application/json"],
            ["Host: 127.0.0.1", "Authorization: Bearer", "\tt0ken", "Content-Type: application/json"],
            usual + ["Ensign: run-1", " -Run"], usual + ["X: a", " b", " c"], [" X: a"] + usual,
            usual + ["Ensign-Run : a"], usual + ["Ensign-Run\t: a"], usual + ["Ensign Run: a"], usual + [": a"],
            usual + ["Ensign-Run: a\0b"], ["X: a\0b"] + usual, usual + ["X: a\0\0b"], usual + ["X: a\nY: b"],
            usual + ["X: a\n"], usual + ["Ü: a"], usual + ["X(Y): a"],
        ]
    )
    func two(lines: [String]) throws {
        let reply = try send(lines)
        #expect(reply.status == 400)
        #expect(reply["content-type"] == "application/json")
        #expect(try reply.json["error"]?["message"] != nil)
        #expect(gatekeeper.seen.withLock { $0.peers.isEmpty })
    }

    @Test("The last line is looked at like all others")
    func last() throws {
        for line in ["X: a\0b", "X: a\0\0b", "X: a\0\r\0b", "X: a\n"] {
            let client = try WebClient(front.port)
            let lines = Self.usual + ["Content-Length: \(Self.ping.utf8.count)", line]
            client.say("POST /mcp HTTP/1.1\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n" + Self.ping)
            #expect(try client.hear().status == 400, "\(line.debugDescription)")
        }
    }

    @Test("A head that is too long, or names no host, is answered in words of JSON")
    func words() throws {
        let long = try send(Self.usual + ["X: \(String(repeating: "a", count: 40_000))"])
        #expect(long.status == 431 && long["content-type"] == "application/json")
        #expect(try long.json["error"]?["message"] == "the head of a request is longer than 32768 bytes")
        let nowhere = try send(Array(Self.usual.dropFirst()))
        #expect(nowhere.status == 403 && nowhere["content-type"] == "application/json")
        #expect(try send(Self.usual + ["X: \(String(repeating: "a", count: 30_000))"]).status == 200)
    }

    @Test(
        "Behind a request whose end two readers could see at two places no other one is read, whoever sends it",
        arguments: [
            ["Content-Length: 5", "Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked", "Content-Length: 40"],
            ["Content-Length: 40", "Content-Length: 40"], ["Content-Length: 40", "Content-Length: 5"],
            ["Content-Length: 5", "Content-Length: 40"], ["Content-Length: +40"],
            ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], ["Transfer-Encoding: xchunked"],
            ["HTTP/1.0", "Connection: keep-alive", "Transfer-Encoding: chunked"],
            ["Host: 127.0.0.1", "Content-Length: 40"],
            ["Content-Length: 40", "X : a"],
        ],
        [true, false]
    )
    func framing(lines: [String], isKnown: Bool) throws {
        let client = try WebClient(front.port)
        var lines = lines
        let version = lines[0].hasPrefix("HTTP/") ? lines.removeFirst() : "HTTP/1.1"
        let isChunked = lines.contains { $0.contains("chunked") }
        let usual = isKnown ? Self.usual : [Self.usual[0], Self.usual[2]]
        let body = isChunked ? "28\r\n\(Self.ping)\r\n0\r\n\r\n" : Self.ping
        let other = (["POST /mcp HTTP/1.1"] + Self.usual + ["Content-Length: 40", "", ""]).joined(separator: "\r\n")
        client.say(
            (["POST /mcp \(version)"] + usual + lines + ["", ""]).joined(separator: "\r\n") + body + other + Self.ping
        )
        let reply = try client.hear()
        #expect((400...501).contains(reply.status) && reply["connection"]?.lowercased() == "close")
        #expect(client.isClosed(within: 10), "nothing comes behind it")
    }

    @Test(
        "A body that is coded in a way that is not known here is not looked at",
        arguments: ["gzip", "identity", "xchunked", "chunked, gzip", "gzip, chunked", "chunked;a=b", ""]
    )
    func coding(name: String) throws {
        let client = try WebClient(front.port)
        client.say(WebClient.head(["Transfer-Encoding": name], length: nil) + Self.ping)
        let reply = try client.hear()
        #expect(reply.status == 501 && reply["content-type"] == "application/json")
        #expect(client.isClosed(within: 10))
    }

    @Test(
        "JSON is UTF-8, and a type that says something else is not taken",
        arguments: [
            ("application/json", true), ("application/json; charset=utf-8", true),
            ("Application/JSON;charset=\"UTF-8\"", true), ("application/json ; charset=UTF-8; a=b", true),
            ("application/json; charset=utf-16", false), ("application/json; charset=iso-8859-1", false),
            ("application/json; charset=", false), ("application/json; charset", false),
            ("application/json; charset =utf-16", false), ("application/json; charset*=utf-16''a", false),
            ("application/json; a=b; charset=utf-7", false), ("application/jsonp", false), ("text/json", false),
            ("application/json, text/plain", false), ("", false), (";", false), ("application/json;", true),
        ]
    )
    func types(type: String, isTaken: Bool) throws {
        #expect(HTTPRules.isJSON(type) == isTaken)
        let lines = Self.usual.dropLast() + ["Content-Type: \(type)"]
        #expect(try send(Array(lines)).status == (isTaken ? 200 : 415))
    }
}
