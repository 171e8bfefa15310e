import EnsignJSON
import EnsignMCP
import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Foundation
import Synchronization
import Testing

@testable import EnsignGateway

@Suite("A server of HTTP behind the gateway")
struct WebUpstreamTests {
    private let scratch: ScratchDirectory

    init() throws {
        _ = ignoresBrokenPipes
        scratch = try ScratchDirectory()
    }

    /// A running server, and the gateway's way to it.
    final class Server {
        private let program: KeptProgram
        let port: Int

        init(_ behaviour: String, seen: String) throws {
            program = try ProgramAddress(words: ["/usr/bin/python3", "\(servers)/web_upstream.py", behaviour])
                .start(environment: ["PATH": "/usr/bin:/bin", "SEEN": seen])
            var text = ""
            while !text.hasSuffix("\n") {
                var polled = pollfd(fd: program.output, events: Int16(POLLIN), revents: 0)
                try #require(unsafe poll(&polled, 1, 20_000) > 0)
                var byte: UInt8 = 0
                try #require(unsafe read(program.output, &byte, 1) == 1)
                text.unicodeScalars.append(Unicode.Scalar(byte))
            }
            port = Int(text.dropLast()) ?? 0
        }

        deinit { program.end() }

        func upstream(_ headers: [(String, String)] = [("Authorization", "Bearer t0ken")]) -> WebUpstream {
            WebUpstream(
                "http://127.0.0.1:\(port)/mcp",
                secrets: { headers.map { (name: $0.0, value: $0.1) } },
                version: "0"
            )
        }
    }

    func server(_ behaviour: String) throws -> Server { try Server(behaviour, seen: "\(scratch.path)/seen") }

    /// The requests that the server got.
    func seen() throws -> [(headers: JSONValue, message: JSONValue)] {
        try scratch.read("seen").split(separator: "\n").map { line in
            let value = try read(Array(line.utf8))
            return (value["headers"] ?? .null, value["message"] ?? .null)
        }
    }

    func call(
        _ tool: String,
        _ arguments: JSONValue = [:],
        input: JSONValue? = nil,
        timeout: Duration = .seconds(20),
        most: Int = 4 << 20,
        cancellation: Cancellation = Cancellation(),
        progress: (@Sendable (JSONObject) -> Void)? = nil
    ) -> UpstreamCall {
        UpstreamCall(
            tool: tool,
            arguments: arguments,
            input: input,
            timeout: timeout,
            most: most,
            cancellation: cancellation,
            progress: progress
        )
    }

    func failure(_ outcome: UpstreamOutcome) -> (isSent: Bool, kind: UpstreamFailure.Kind)? {
        switch outcome {
        case .notSent(let failure): (false, failure.kind)
        case .unknown(let failure): (true, failure.kind)
        case .result, .refused: nil
        }
    }

    @Test("a call that may not be sent when there is a connection is not sent", arguments: ["legacy", "modern"])
    func withdrawn(behaviour: String) throws {
        let server = try server(behaviour)
        let upstream = server.upstream()
        var echo = call("echo", ["a": 1])
        #expect(try upstream.call(echo).result()["structuredContent"] == ["a": 1])
        let before = try seen().count
        echo.mayBeSent = { false }
        let outcome = try #require(failure(upstream.call(echo)))
        #expect(outcome == (false, .withdrawn))
        echo.mayBeSent = { true }
        #expect(try upstream.call(echo).result()["structuredContent"] == ["a": 1])
        #expect(try seen().count == before + 1)
    }

    @Test("both eras are spoken, and all pages of the list are read", arguments: [("legacy", "1"), ("modern", "2")])
    func eras(behaviour: String, version: String) throws {
        let server = try server(behaviour)
        let upstream = server.upstream()
        let listing = try upstream.listing(within: .seconds(20))
        #expect(listing.name == "web" && listing.version == version)
        #expect(listing.tools.map(\.name) == ["tool_0", "tool_1", "tool_2"])
        #expect(try upstream.call(call("echo", ["b": 1, "a": 2])).result()["structuredContent"] == ["a": 2, "b": 1])
        let last = try #require(try seen().last)
        #expect(last.headers["authorization"] == "Bearer t0ken")
        #expect(last.headers["mcp-method"] == "tools/call")
        if behaviour == "modern" {
            #expect(last.headers["mcp-protocol-version"] == "2026-07-28")
            #expect(last.headers["mcp-name"] == "echo")
            #expect(last.headers["mcp-session-id"] == nil)
            #expect(last.message["params"]?["_meta"]?["io.modelcontextprotocol/protocolVersion"] == "2026-07-28")
        } else {
            #expect(last.headers["mcp-protocol-version"] == "2025-06-18")
            #expect(last.headers["mcp-session-id"] == "s1")
            #expect(last.message["params"]?["_meta"] == nil)
        }
    }

    private static let mirroring: JSONValue = [
        "properties": [
            "region": ["type": "string", "x-mcp-header": "Region"], "note": ["type": "string", "x-mcp-header": "Note"],
            "count": ["type": "integer", "x-mcp-header": "Count"],
        ]
    ]

    @Test("in the stateless era headers say what the server wants there", arguments: ["mirrors", "legacy"])
    func mirrored(behaviour: String) throws {
        let server = try server(behaviour)
        let arguments: JSONValue = ["region": "Göteborg\r\nX-Y: z", "note": "", "more": "m"]
        _ = try server.upstream().call(call("echo", arguments, input: Self.mirroring)).result()
        let last = try #require(try seen().last)
        #expect(last.message["params"]?["arguments"] == arguments)
        let isModern = behaviour == "mirrors"
        #expect(last.headers["mcp-param-region"] == (isModern ? "=?base64?R8O2dGVib3JnDQpYLVk6IHo=?=" : nil))
        #expect(last.headers["mcp-param-note"] == (isModern ? "" : nil))
        #expect(last.headers["mcp-param-count"] == nil && last.headers["mcp-param-more"] == nil)
        #expect(last.headers["authorization"] == "Bearer t0ken")
    }

    @Test("what headers cannot say is not sent, and says nothing of the server")
    func longMirrored() throws {
        let server = try server("mirrors")
        let upstream = server.upstream()
        let long: JSONValue = ["region": .string(String(repeating: "x", count: 2 << 20))]
        let outcome = upstream.call(call("echo", long, input: Self.mirroring))
        #expect(failure(outcome)?.kind == .oversized && failure(outcome)?.isSent == false)
        #expect(try !seen().contains { $0.message["method"] == "tools/call" })
    }

    @Test("a tool whose headers are none is left out, and one that wants other headers is listed again")
    func mirroringTools() throws {
        let server = try server("mirrors")
        let upstream = server.upstream()
        let listing = try upstream.listing(within: .seconds(20))
        #expect(listing.tools.map(\.name) == ["echo"] && listing.leftOut.keys.sorted() == ["bad"])
        guard case .refused(-32020, _) = upstream.call(call("mismatch")) else { return #expect(Bool(false)) }
        _ = try upstream.listing(within: .seconds(20))
        #expect(try seen().count { $0.message["method"] == "tools/list" } == 2)
    }

    @Test("the answer counts among the first 10,000 messages of a stream", arguments: [9_999, 10_000])
    func manyMessages(before count: Int64) throws {
        let server = try server("modern")
        let outcome = server.upstream().call(call("chatters", ["count": .integer(count)]))
        guard count < 10_000 else {
            #expect(failure(outcome)?.kind == .malformed && failure(outcome)?.isSent == true)
            return
        }
        _ = try outcome.result()
    }

    @Test(
        "a server that has forgotten its session, by 404 or 400, is asked in a new one, and no call is sent twice",
        arguments: ["legacy", "denies"]
    )
    func forgottenSessions(behaviour: String) throws {
        let server = try server(behaviour)
        let upstream = server.upstream()
        _ = try upstream.call(call("forget")).result()
        #expect(failure(upstream.call(call("echo")))?.kind == .forgotten)
        #expect(try upstream.call(call("echo", ["a": 1])).result()["structuredContent"] == ["a": 1])
        // A list may be asked for again.
        _ = try upstream.call(call("forget")).result()
        #expect(try upstream.listing(within: .seconds(20)).tools.count == 3)
        #expect(try upstream.call(call("echo", ["a": 1])).result()["structuredContent"] == ["a": 1])
        // What means the call is not taken for a lost session.
        for status in [400, 404] {
            let outcome = upstream.call(call("status", ["status": .integer(Int64(status))]))
            #expect(failure(outcome)?.kind == .answered(status: status) && failure(outcome)?.isSent == false)
        }
        let methods = try seen().compactMap { $0.message["method"]?.string }
        #expect(methods.count { $0 == "initialize" } == 3)
        #expect(methods.count { $0 == "tools/call" } == 7)
    }

    @Test("an error by 404 is the answer to the call, which is sent once; a session that is lost is begun again")
    func errorsByStatus() throws {
        let server = try server("echoes")
        let upstream = server.upstream()
        guard case .refused(-32000, "no") = upstream.call(call("missing")) else { return #expect(Bool(false)) }
        _ = try upstream.call(call("forget")).result()
        guard case .refused(-32600, _) = upstream.call(call("echo")) else { return #expect(Bool(false)) }
        #expect(try upstream.call(call("echo", ["a": 1])).result()["structuredContent"] == ["a": 1])
        let methods = try seen().compactMap { $0.message["method"]?.string }
        #expect(methods.count { $0 == "initialize" } == 2)
        #expect(methods.count { $0 == "tools/call" } == 4)
    }

    @Test("a server is told that nobody comes back to its session, once, and one that has none is told nothing")
    func ends() throws {
        for behaviour in ["legacy", "modern"] {
            let server = try server(behaviour)
            let upstream = server.upstream()
            upstream.end()
            _ = try upstream.call(call("echo")).result()
            for _ in 0..<2 { upstream.end() }
            withExtendedLifetime(server) {}
        }
        let seen = try seen().filter { $0.message["method"] == "DELETE" }
        #expect(seen.map(\.headers["mcp-session-id"]) == ["s1"])
        #expect(seen.first?.headers["mcp-protocol-version"] == "2025-06-18")
        #expect(seen.first?.headers["authorization"] == "Bearer t0ken")
    }

    @Test("Other credentials begin a session of their own, and end nobody's")
    func renews() throws {
        let server = try server("legacy")
        let upstream = server.upstream()
        _ = try upstream.call(call("echo")).result()
        upstream.renew()
        _ = try upstream.call(call("echo")).result()
        let methods = try seen().compactMap(\.message["method"]?.string)
        #expect(methods.count { $0 == "initialize" } == 2 && !methods.contains("DELETE"))
        withExtendedLifetime(server) {}
    }

    @Test("connections are kept, calls run beside each other, and each gets its own answer")
    func parallel() throws {
        let server = try server("modern")
        let upstream = server.upstream()
        for index in 0..<20 {
            #expect(
                try upstream.call(call("echo", ["a": .integer(Int64(index))])).result()["structuredContent"]?["a"]?.int
                    == Int64(index)
            )
        }
        #expect(try upstream.call(call("connections")).result()["content"]?[0]?["text"] == "1")
        let started = ContinuousClock.now
        let results = try Parallel.map(16) { index in
            _ = try upstream.call(call("slow", ["seconds": 0.5])).result()
            return try upstream.call(call("echo", ["a": .integer(Int64(index))])).result()["structuredContent"]?["a"]?
                .int
        }
        #expect(results == (0..<16).map { Int64($0) })
        #expect(ContinuousClock.now - started < .seconds(6))
    }

    @Test("progress reaches the caller, and what the server asks for is refused")
    func streams() throws {
        let server = try server("legacy")
        let upstream = server.upstream()
        let steps = Mutex<[Int64]>([])
        let outcome = upstream.call(
            call("progress") { said in steps.withLock { $0.append(said["progress"]?.int ?? -1) } }
        )
        #expect(try outcome.result()["content"]?[0]?["text"] == "done")
        #expect(steps.withLock { $0 } == [0, 1, 2])
        #expect(try upstream.call(call("asks")).result()["content"]?[0]?["text"] == "refused")
        #expect(try seen().contains { $0.message["id"] == 7 && $0.message["error"]?["code"] == -32601 })
    }

    @Test("a server may ask as often as it says anything, and is answered each time")
    func manyQuestions() throws {
        let server = try server("legacy")
        let outcome = server.upstream().call(call("pings", ["count": 100]))
        #expect(try outcome.result()["content"]?[0]?["text"] == "done")
        #expect(try seen().count { $0.message["method"] == nil } == 100)
    }

    @Test("a server that asks and takes no answers holds its caller no longer than the call may take")
    func interrogations() throws {
        let server = try server("legacy")
        let upstream = server.upstream()
        _ = try upstream.call(call("echo")).result()
        let time = ContinuousClock().measure {
            let outcome = upstream.call(call("interrogates", timeout: .seconds(1)))
            #expect(failure(outcome)?.isSent == true && failure(outcome)?.kind == .timedOut)
        }
        #expect(time < .milliseconds(1_900))
        #expect(try upstream.call(call("echo", ["a": 1])).result()["structuredContent"] == ["a": 1])
        let end = ContinuousClock().measure { upstream.end() }
        #expect(end < .seconds(1))
    }

    @Test("a call that is cancelled ends at once, and the server is told")
    func cancel() throws {
        let server = try server("legacy")
        let upstream = server.upstream()
        for tool in ["slow", "hangs"] {
            let cancellation = Cancellation()
            let canceller = try EnsignSystem.Thread {
                Machine.pause(milliseconds: 300)
                cancellation.cancel()
            }
            let started = ContinuousClock.now
            let outcome = upstream.call(call(tool, ["seconds": 15], cancellation: cancellation))
            canceller.join()
            #expect(failure(outcome)?.isSent == true && failure(outcome)?.kind == .cancelled)
            #expect(ContinuousClock.now - started < .seconds(5))
        }
        // Nobody waits until the server has been told.
        func told() throws -> [JSONValue?] {
            try seen().filter { $0.message["method"] == "notifications/cancelled" }
                .map { $0.message["params"]?["requestId"] }
        }
        for _ in 0..<250 where try told().count < 2 { Machine.pause(milliseconds: 20) }
        let calls = try seen().filter { $0.message["method"] == "tools/call" }
        #expect(try told() == calls.map { $0.message["id"] })
        // The next one on the same connection is not.
        #expect(try upstream.call(call("echo", ["a": 1])).result()["structuredContent"] == ["a": 1])
    }

    @Test("a cancellation that comes when its request is over ends nobody else's on the same connection")
    func lateCancel() throws {
        let server = try server("modern")
        let line = try WebLine()
        func ask() -> WebAnswer {
            line.send(
                "http://127.0.0.1:\(server.port)/mcp",
                headers: WebHeaders.lines(method: "server/discover", version: nil, session: nil),
                body: Array(#"{"id":1,"method":"server/discover"}"#.utf8),
                time: .seconds(10),
                isDirect: true,
                most: 65_536,
                take: { _ in false }
            )
        }
        #expect(ask().end == .done)
        line.cancel()
        line.renew()
        #expect(ask().end == .done)
        // One that comes before its request begins counts.
        line.cancel()
        #expect(ask().end == .cancelled)
        line.renew()
        #expect(ask().end == .done)
    }

    @Test("a cancellation on the way when its request is over ends nobody else's call")
    func racingCancel() throws {
        let server = try server("modern")
        let upstream = server.upstream()
        for index in 0..<300 {
            let cancellation = Cancellation()
            let canceller = try EnsignSystem.Thread {
                usleep(UInt32(index * 7 % 1_500))
                cancellation.cancel()
            }
            _ = upstream.call(call("echo", cancellation: cancellation))
            // Nobody cancels this one.
            #expect(try upstream.call(call("echo", ["a": 1])).result()["structuredContent"] == ["a": 1])
            canceller.join()
        }
    }

    @Test("a call that takes too long has an unknown outcome")
    func timeout() throws {
        let server = try server("modern")
        let upstream = server.upstream()
        let outcome = upstream.call(call("slow", ["seconds": 15], timeout: .milliseconds(500)))
        #expect(failure(outcome)?.isSent == true && failure(outcome)?.kind == .timedOut)
    }

    @Test(
        "what certainly was not done is told from what may have been",
        arguments: [
            (400, false), (404, false), (413, false), (429, false), (408, true), (500, true), (502, true), (503, true),
            (202, true), (301, false), (401, false), (403, false), (303, true), (307, false), (499, true),
        ]
    )
    func statuses(status: Int64, isSent: Bool) throws {
        let server = try server("modern")
        let outcome = server.upstream().call(call("status", ["status": .integer(status)]))
        #expect(failure(outcome)?.isSent == isSent)
        #expect((failure(outcome)?.kind == .unauthorized) == (status == 401))
        // Whoever stands in front of a server that is gone says so by these: it is no answer of the server's.
        if [502, 503].contains(status) { #expect(failure(outcome)?.kind == .ended) }
        if [301, 303, 307, 400, 403, 404, 408, 413, 429, 499, 500].contains(status) {
            #expect(failure(outcome)?.kind == .answered(status: Int(status)))
        }
    }

    @Test("what is no answer is none", arguments: ["die", "stops", "nan", "other", "flood"])
    func garbage(tool: String) throws {
        let server = try server("modern")
        let upstream = server.upstream()
        _ = try upstream.call(call("echo")).result()
        let outcome = upstream.call(call(tool))
        #expect(failure(outcome)?.isSent == true)
        // Never twice, not even where a kept connection broke.
        #expect(try seen().filter { $0.headers["mcp-name"] == .string(tool) }.count == 1)
        #expect(try upstream.call(call("echo", ["a": 1])).result()["structuredContent"] == ["a": 1])
    }

    @Test("an answer is as long as the caller says at most", arguments: ["big", "big-event"])
    func length(tool: String) throws {
        let server = try server("modern")
        let upstream = server.upstream()
        let size = 300_000
        _ = try upstream.call(call(tool, ["bytes": .integer(Int64(size))], most: size + 1_000)).result()
        let outcome = upstream.call(call(tool, ["bytes": .integer(Int64(size))], most: size - 1))
        #expect(failure(outcome)?.isSent == true && failure(outcome)?.kind == .malformed)
    }

    @Test("an error of the server is one")
    func error() throws {
        let server = try server("modern")
        guard case .refused(-32000, "no") = server.upstream().call(call("error")) else { return #expect(Bool(false)) }
    }

    @Test("credentials that are not taken are told from everything else, and appear nowhere")
    func unauthorized() throws {
        let server = try server("who")
        guard case .notSent(let failure) = server.upstream([("Authorization", "Bearer wr0ng")]).call(call("echo"))
        else {
            return #expect(Bool(false))
        }
        #expect(failure.kind == .unauthorized && !failure.message.contains("wr0ng"))
        guard case .notSent(let other) = server.upstream([("Authorization", "Bearer a\r\nX: b")]).call(call("echo"))
        else {
            return #expect(Bool(false))
        }
        #expect(other.kind == .unreachable && !other.message.contains("X: b"))
        #expect(try seen().count == 1)
    }

    @Test("secrets go to no other address")
    func redirects() throws {
        let server = try server("redirect")
        #expect(failure(server.upstream().call(call("echo")))?.isSent == false)
        #expect(try seen().allSatisfy { $0.message["method"] != "tools/call" })
    }

    @Test(
        "an address in the clear is of this machine alone",
        arguments: [
            "http://example.com/mcp", "http://127.0.0.1@example.com/", "ftp://localhost/",
            "http://127.0.0.1.example.com/",
        ]
    )
    func addresses(url: String) {
        let upstream = WebUpstream(url, secrets: { [] }, version: "0")
        let found = failure(upstream.call(call("echo")))
        #expect(found?.isSent == false && found?.kind == .unreachable)
    }

    @Test("a server that is not there, and a secret that is not, are a call that was not made")
    func absent() throws {
        let socket = try ListeningSocket(host: "127.0.0.1", port: 0)
        let port = socket.port
        _ = consume socket
        let gone = WebUpstream("http://127.0.0.1:\(port)/", secrets: { [] }, version: "0")
        #expect(failure(gone.call(call("echo")))?.kind == .unreachable)
        #expect(failure(gone.call(call("echo")))?.isSent == false)
        let server = try server("modern")
        let upstream = WebUpstream(
            "http://127.0.0.1:\(server.port)/",
            secrets: { () throws(UpstreamFailure) in throw UpstreamFailure(.unreachable, "no vault") },
            version: "0"
        )
        guard case .notSent(let failure) = upstream.call(call("echo")) else { return #expect(Bool(false)) }
        #expect(failure.message == "no vault")
    }
}
