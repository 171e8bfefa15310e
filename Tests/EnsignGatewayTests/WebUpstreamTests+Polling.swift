import EnsignMCP
import EnsignModel
import EnsignSystem
import Synchronization
import Testing

@testable import EnsignGateway

/// Streams that come over several connections (MCP 2025-11-25, "Resumability and Redelivery").
extension WebUpstreamTests {
    /// A stream that says where it can be gone on with, and ends.
    private static let first: JSONValue = ["say": "id: a\nretry: 100\ndata:\n\n"]
    private static let last: JSONValue = ["say": "data: ANSWER\n\n"]

    /// What the server was asked for the rest.
    private func asked() throws -> [(headers: JSONValue, message: JSONValue)] {
        try seen().filter { $0.message["method"] == "GET" }
    }

    private func calls() throws -> Int { try seen().count { $0.message["method"] == "tools/call" } }

    @Test("a stream that is ended or breaks before its answer is gone on with", arguments: ["end", "break"])
    func goesOn(end: String) throws {
        let server = try server("legacy")
        let steps = Mutex(0)
        let parts: JSONValue = [
            ["say": "id: a\nretry: 200\ndata:\n\n", "then": .string(end)],
            ["say": "id: b 2\ndata: PROGRESS\n\nid: lost\ndata: ANSWER", "then": .string(end)],
            ["say": "", "then": .string(end)], Self.last,
        ]
        let outcome = server.upstream().call(call("parts", ["parts": parts]) { _ in steps.withLock { $0 += 1 } })
        #expect(try outcome.result()["content"]?[0]?["text"] == "done")
        #expect(steps.withLock { $0 } == 1)
        let gets = try asked()
        #expect(gets.map { $0.headers["last-event-id"]?.string } == ["a", "b 2", "b 2"])
        for get in gets {
            #expect(get.headers["accept"] == "text/event-stream" && get.headers["mcp-session-id"] == "s1")
            #expect(get.headers["mcp-protocol-version"] == "2025-06-18")
            #expect(get.headers["authorization"] == "Bearer t0ken")
            #expect(get.headers["content-type"] == nil && get.headers["content-length"] == nil)
        }
        let times = gets.compactMap { $0.message["at"]?.int }
        #expect(zip(times, times.dropFirst()).allSatisfy { $1 - $0 >= 195 })
        #expect(try calls() == 1)
    }

    @Test("a list is read on, too")
    func goesOnListing() throws {
        let server = try server("polls")
        #expect(try server.upstream().listing(within: .seconds(20)).tools.map(\.name) == ["late"])
        #expect(try asked().count == 1)
    }

    @Test(
        "the server says how long it is left alone, between a tenth of a second and the call's time",
        arguments: [("retry: 0", 95...900), ("retry: x", 995...1_900), ("retry: 700", 695...1_500), ("", 995...1_900)]
    )
    func patience(retry: String, time: ClosedRange<Int64>) throws {
        let server = try server("legacy")
        let parts: JSONValue = [["say": .string("id: 1\n\(retry)\n\n")], ["say": ""], Self.last]
        _ = try server.upstream().call(call("parts", ["parts": parts])).result()
        let times = try asked().compactMap { $0.message["at"]?.int }
        #expect(times.count == 2 && time.contains(times[1] - times[0]))
    }

    @Test(
        "whoever does not give the rest leaves an unknown outcome, and is asked once",
        arguments: [200, 202, 204, 301, 400, 401, 403, 404, 405, 429, 500, 502, 503]
    )
    func withoutRest(status: Int64) throws {
        let server = try server("legacy")
        let upstream = server.upstream()
        let outcome = upstream.call(call("parts", ["parts": [Self.first, ["status": .integer(status)]]]))
        #expect(failure(outcome)?.isSent == true && failure(outcome)?.kind == .ended)
        #expect(try asked().count == 1 && calls() == 1)
        #expect(try upstream.call(call("echo", ["a": 1])).result()["structuredContent"] == ["a": 1])
        #expect(try seen().count { $0.message["method"] == "initialize" } == 1)
    }

    @Test(
        "without an id that a header can say nobody is asked",
        arguments: [
            "retry: 1\ndata:\n\n", "id: 1\ndata:\n\nid:\n\n", "id: a\u{1}b\n\n", "id: 1\n",
            "id: \(String(repeating: "x", count: 1_025))\n\n",
        ]
    )
    func withoutID(said: String) throws {
        let server = try server("legacy")
        let outcome = server.upstream().call(call("parts", ["parts": [["say": .string(said)], Self.last]]))
        #expect(failure(outcome)?.isSent == true && failure(outcome)?.kind == .ended)
        #expect(try asked().isEmpty && calls() == 1)
    }

    @Test("in the stateless era nobody is asked")
    func statelessStreams() throws {
        let server = try server("modern")
        let outcome = server.upstream().call(call("parts", ["parts": [Self.first, Self.last]]))
        #expect(failure(outcome)?.isSent == true && failure(outcome)?.kind == .ended)
        #expect(try asked().isEmpty)
    }

    @Test("a server that cannot be reached is asked three times in a row", arguments: [2, 3])
    func absences(count: Int) throws {
        let server = try server("legacy")
        let gone = [JSONValue](repeating: ["then": "vanish"], count: count)
        let parts = [Self.first] + gone + [["say": ""]] + gone + [Self.last]
        let outcome = server.upstream().call(call("parts", ["parts": .array(parts)]))
        guard count == 3 else {
            #expect(try outcome.result()["content"]?[0]?["text"] == "done")
            return
        }
        #expect(failure(outcome)?.isSent == true && failure(outcome)?.kind == .ended)
        #expect(try asked().count == 3 && calls() == 1)
    }

    @Test("what a stream may say is counted over all its connections", arguments: [(6_000, 0), (2, 3 << 20)])
    func bounds(times: Int64, size: Int) throws {
        let server = try server("legacy")
        let pad = String(repeating: "x", count: size)
        let message = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"data\":\"\(pad)\"}}"
        let much: JSONValue = ["say": .string("id: a\nretry: 100\ndata: \(message)\n\n"), "times": .integer(times)]
        let outcome = server.upstream().call(call("parts", ["parts": [much, much, Self.last]]))
        #expect(failure(outcome)?.isSent == true && failure(outcome)?.kind == .malformed)
        #expect(try asked().count == 1)
    }

    @Test("a call ends with its time, however often its stream begins again, and the server is told")
    func lateStreams() throws {
        let server = try server("legacy")
        let upstream = server.upstream()
        _ = try upstream.call(call("echo")).result()
        let endless = [JSONValue](repeating: Self.first, count: 100)
        let long: [JSONValue] = [["say": "id: 1\nretry: 99999999999999999999\n\n"]]
        for parts in [endless, [Self.first, ["then": "hang"]], long] {
            let time = ContinuousClock().measure {
                let outcome = upstream.call(call("parts", ["parts": .array(parts)], timeout: .seconds(1)))
                #expect(failure(outcome)?.isSent == true && failure(outcome)?.kind == .timedOut)
            }
            #expect(time < .milliseconds(1_900))
        }
        for _ in 0..<250 where try told() < 3 { Machine.pause(milliseconds: 20) }
        #expect(try told() == 3)
    }

    private func told() throws -> Int { try seen().count { $0.message["method"] == "notifications/cancelled" } }

    @Test("a call is cancelled while its stream is waited for, and while it is gone on with", arguments: [true, false])
    func cancelledStreams(waits: Bool) throws {
        let server = try server("legacy")
        let upstream = server.upstream()
        _ = try upstream.call(call("echo")).result()
        let parts: JSONValue = waits ? [["say": "id: 1\nretry: 15000\n\n"]] : [Self.first, ["then": "hang"]]
        let cancellation = Cancellation()
        let canceller = try EnsignSystem.Thread {
            Machine.pause(milliseconds: 500)
            cancellation.cancel()
        }
        let time = ContinuousClock().measure {
            let outcome = upstream.call(call("parts", ["parts": parts], cancellation: cancellation))
            #expect(failure(outcome)?.isSent == true && failure(outcome)?.kind == .cancelled)
        }
        canceller.join()
        #expect(time < .seconds(5))
        for _ in 0..<250 where try told() < 1 { Machine.pause(milliseconds: 20) }
        #expect(try told() == 1)
    }

    @Test("credentials that cannot be had for the rest leave an unknown outcome")
    func missingSecrets() throws {
        let server = try server("legacy")
        let left = Mutex(4)
        let upstream = WebUpstream(
            "http://127.0.0.1:\(server.port)/mcp",
            secrets: { () throws(UpstreamFailure) in
                let isLeft = left.withLock { count in
                    count -= 1
                    return count >= 0
                }
                guard isLeft else { throw UpstreamFailure(.unreachable, "no vault") }
                return []
            },
            version: "0"
        )
        let outcome = upstream.call(call("parts", ["parts": [Self.first, Self.last]]))
        #expect(failure(outcome)?.isSent == true)
        #expect(try calls() == 1 && asked().isEmpty)
    }
}
