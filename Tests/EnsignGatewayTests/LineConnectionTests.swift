import EnsignModel
import EnsignSystem
import Testing

@testable import EnsignGateway

@Suite("Serving a client by lines")
struct LineConnectionTests {
    private let gatekeeper = ScriptedGatekeeper()

    private static let modern: String = """
        "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}
        """

    @Test(
        "a handshake agrees on the version that was asked for, or the newest",
        arguments: [
            ("2025-03-26", "2025-03-26"), ("2025-06-18", "2025-06-18"), ("2025-11-25", "2025-11-25"),
            ("2024-11-05", "2025-11-25"), ("2026-07-28", "2025-11-25"), ("x", "2025-11-25"),
        ]
    )
    func handshake(asked: String, agreed: String) throws {
        let client = try LineClient(gatekeeper)
        client.say(
            #"{"jsonrpc":"2.0","id":"a","method":"initialize","params":{"protocolVersion":"\#(asked)","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#
        )
        let answer = try client.hear()
        #expect(answer["id"] == "a")
        #expect(answer["result"]?["protocolVersion"] == .string(agreed))
        #expect(answer["result"]?["capabilities"] == ["tools": ["listChanged": true]])
        #expect(answer["result"]?["resultType"] == nil)
        client.leave()
    }

    @Test("the stateless era answers in its own form")
    func stateless() throws {
        let client = try LineClient(gatekeeper)
        client.say(#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{\#(Self.modern)}}"#)
        let discovery = try client.hear()["result"]
        #expect(discovery?["supportedVersions"] == ["2026-07-28"])
        #expect(discovery?["resultType"] == "complete")
        #expect(discovery?["ttlMs"] == 0)
        #expect(discovery?["cacheScope"] == "private")
        client.say(#"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{\#(Self.modern)}}"#)
        let list = try client.hear()["result"]
        #expect(list?["tools"]?.array?.count == 1)
        #expect(list?["ttlMs"] == 0 && list?["cacheScope"] == "private" && list?["resultType"] == "complete")
        client.say(#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"refuse",\#(Self.modern)}}"#)
        let call = try client.hear()["result"]
        #expect(call?["isError"] == true && call?["resultType"] == "complete")
        #expect(call?["_meta"]?["dev.ensign/reason"] == "not-granted")
        #expect(call?["_meta"]?["dev.ensign/decision"] == 7)
        client.say(#"{"jsonrpc":"2.0","id":4,"method":"ping","params":{\#(Self.modern)}}"#)
        #expect(try client.hear()["error"]?["code"] == -32601)
        client.leave()
        #expect(gatekeeper.seen.withLock { $0.calls[0].protocolVersion } == "2026-07-28")
    }

    @Test("a list has one page, and a call's arguments arrive as one value")
    func legacy() throws {
        let client = try LineClient(gatekeeper)
        client.say(#"{"jsonrpc":"2.0","id":0,"method":"tools/list"}"#)
        let list = try client.hear()
        #expect(list["id"] == 0)
        #expect(list["result"] == ["tools": [ScriptedGatekeeper.tools[0].json]])
        client.say(
            #" {"params":{"arguments":{"b":1e2,"a":"\u00e9"},"name":"x","_meta":{"traceparent":"00-1","progressToken":4}},"id":"ü","jsonrpc":"2.0","method":"tools/call"} "#
                + "\r"
        )
        let answer = try client.hear()
        #expect(answer["id"] == "ü")
        #expect(answer["result"]?["structuredContent"] == ["a": "é", "b": 100])
        client.say(#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
        #expect(try client.hear()["result"] == [:])
        client.leave()
        let call = gatekeeper.seen.withLock { $0.calls[0] }
        #expect(call.traceparent == "00-1" && call.progress != nil && call.protocolVersion == "2025-11-25")
    }

    @Test(
        "what has two readings, or is not one message, is not taken, and the next message is",
        arguments: [
            (#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600), (#"[]"#, -32600), ("1", -32600), ("null", -32600),
            (#"{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"ping"}"#, -32700),
            (#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, -32700),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","n\u0061me":"y"}}"#, -32700),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":1,"\u0061":2}}}"#,
                -32700
            ),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":NaN}}}"#, -32700),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":Infinity}}}"#,
                -32700
            ),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":0x10}}}"#, -32700),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":01}}}"#, -32700),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":1e999}}}"#, -32700),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":"\u{1}"}}}"#,
                -32700
            ),
            (#"{'jsonrpc':'2.0'}"#, -32700), ("{", -32700), ("\u{FEFF}\u{FEFF}{}", -32700),
            (#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600),
            (#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600),
            (#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, -32600),
            (#"{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}"#, -32600),
        ]
    )
    func hostile(text: String, code: Int64) throws {
        try expectRefusal(of: Array(text.utf8), code)
    }

    @Test("invalid UTF-8, depth and length are bounded")
    func hostileBytes() throws {
        let start = Array(#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":"#.utf8)
        try expectRefusal(of: start + [0x22, 0xFF, 0x22] + Array("}}}".utf8), -32700)
        try expectRefusal(of: start + [0x22, 0xED, 0xA0, 0x80, 0x22] + Array("}}}".utf8), -32700)
        let deep = String(repeating: "[", count: 62) + String(repeating: "]", count: 62)
        try expectRefusal(of: start + Array("\(deep)}}}".utf8), -32700)
        let long = "\"" + String(repeating: "x", count: 4 << 20) + "\""
        try expectRefusal(of: start + Array("\(long)}}}".utf8), -32700)
        let endless = [UInt8](repeating: 0x20, count: 9 << 20)
        try expectRefusal(of: endless, -32700)
    }

    private func expectRefusal(of bytes: [UInt8], _ code: Int64) throws {
        let client = try LineClient(gatekeeper)
        client.say(bytes)
        let answer = try client.hear()
        #expect(answer["id"] == .null)
        #expect(answer["error"]?["code"] == .integer(code))
        client.say(#"{"jsonrpc":"2.0","id":"next","method":"ping"}"#)
        #expect(try client.hear()["id"] == "next")
        client.leave()
        #expect(gatekeeper.seen.withLock { $0.calls.isEmpty })
    }

    @Test(
        "a message whose id can be read is refused with it",
        arguments: [
            (#"{"jsonrpc":"2.0","id":1,"method":"ping","extra":1}"#, -32600),
            (#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600), (#"{"id":1,"method":"ping"}"#, -32600),
            (#"{"jsonrpc":"2.0","id":1,"method":7}"#, -32600), (#"{"jsonrpc":"2.0","id":1}"#, -32600),
            (#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, -32602),
            (#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":1}}"#, -32602),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","confirmed":true}}"#, -32602),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{}}}"#, -32602),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}"#, -32602),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":7}}"#, -32602),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"x"}}"#, -32602),
            (#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#, -32602),
            (#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#, -32602),
            (#"{"jsonrpc":"2.0","id":1,"method":"resources/list"}"#, -32601),
            (#"{"jsonrpc":"2.0","id":1,"method":"prompts/list"}"#, -32601),
            (#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"debug"}}"#, -32601),
            (#"{"jsonrpc":"2.0","id":1,"method":"tasks/list"}"#, -32601),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2027-01-01","io.modelcontextprotocol/clientCapabilities":{}}}}"#,
                -32022
            ),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
                -32602
            ),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"a":9007199254740993}}}"#,
                -32602
            ),
        ]
    )
    func named(text: String, code: Int64) throws {
        let client = try LineClient(gatekeeper)
        client.say(text)
        let answer = try client.hear()
        #expect(answer["id"] == 1)
        #expect(answer["error"]?["code"] == .integer(code))
        client.leave()
        #expect(gatekeeper.seen.withLock { $0.calls.isEmpty })
    }

    @Test(
        "a number beyond 2^53 in arguments is a refusal that the model reads",
        arguments: [
            "9007199254740993", "-9007199254740993", "123456789012345678901234567890", "1e300", "1e60",
            "9007199254740993.0", "-9007199254740993.0", "9.007199254740993e15", "9007199254740992,9007199254740993.0",
        ]
    )
    func inexact(number: String) throws {
        let client = try LineClient(gatekeeper)
        client.say(
            #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a/b":[0,\#(number)]}}}"#
        )
        let result = try client.hear()["result"]
        #expect(result?["isError"] == true)
        #expect(result?["_meta"] == ["dev.ensign/reason": "arguments", "dev.ensign/decision": 8])
        #expect(result?["content"]?[0]?["text"]?.string?.contains("/a~1b/1 is beyond 2^53") == true)
        client.leave()
        #expect(gatekeeper.seen.withLock { $0.calls.isEmpty && $0.refused.count == 1 })
    }

    @Test("a byte order mark before the first message is passed over, and no other one is")
    func mark() throws {
        let client = try LineClient(gatekeeper)
        client.say("\u{FEFF}" + #"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
        #expect(try client.hear()["result"] == [:])
        client.say("\u{FEFF}" + #"{"jsonrpc":"2.0","id":2,"method":"ping"}"#)
        #expect(try client.hear()["error"]?["code"] == -32700)
        client.leave()
    }

    @Test(
        "a member that is null is like one that is absent",
        arguments: [
            #""method":"ping","params":null"#, #""method":"ping","params":{"_meta":null}"#,
            #""method":"tools/list","params":null"#, #""method":"tools/list","params":{"cursor":null,"_meta":null}"#,
            #""method":"tools/call","params":{"name":"x","arguments":null}"#,
            #""method":"tools/call","params":{"name":"x","_meta":null}"#,
            #""method":"tools/call","params":{"name":"x","_meta":{"progressToken":null,"traceparent":null}}"#,
        ]
    )
    func null(members: String) throws {
        let client = try LineClient(gatekeeper)
        client.say(#"{"jsonrpc":"2.0","id":1,\#(members)}"#)
        let answer = try client.hear()
        #expect(answer["id"] == 1 && answer["result"] != nil && answer["error"] == nil, "\(answer)")
        client.leave()
        let calls = gatekeeper.seen.withLock { $0.calls }
        #expect(calls.allSatisfy { $0.arguments == [:] && $0.progress == nil })
        #expect(calls.count == (members.contains("tools/call") ? 1 : 0))
    }

    @Test(
        "arguments that are no object are a refusal that the model reads",
        arguments: ["[]", "[{}]", #""{}""#, "7", "1e60", "true"]
    )
    func noObject(arguments: String) throws {
        let client = try LineClient(gatekeeper)
        client.say(#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":\#(arguments)}}"#)
        let result = try client.hear()["result"]
        #expect(result?["_meta"] == ["dev.ensign/reason": "arguments", "dev.ensign/decision": 8])
        #expect(result?["content"]?[0]?["text"]?.string?.hasPrefix("refused: x: 'arguments' must be an object") == true)
        client.say(#"{"jsonrpc":"2.0","id":2,"method":"ping","params":{"_meta":{"a":1}}}"#)
        #expect(try client.hear()["result"] == [:])
        client.leave()
        #expect(gatekeeper.seen.withLock { $0.calls.isEmpty && $0.refused.count == 1 })
    }

    @Test(
        "2^53 itself is a number like any other, whatever texts say beside it",
        arguments: ["9007199254740992", "-9007199254740992", #"9007199254740992,"9007199254740993.0","\\\"1e300""#]
    )
    func exact(numbers: String) throws {
        let client = try LineClient(gatekeeper)
        client.say(
            #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":[\#(numbers)]}}}"#
        )
        #expect(try client.hear()["result"]?["structuredContent"]?["a"]?[0]?.int?.magnitude == 1 << 53)
        client.leave()
    }

    @Test("notifications are never answered, whatever they say")
    func notifications() throws {
        let client = try LineClient(gatekeeper)
        client.say(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
        client.say(#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#)
        client.say(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":77}}"#)
        client.say(#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"x"}}"#)
        for defect in [
            #""jsonrpc":"2.0","method":"notifications/initialized","params":[]"#,
            #""jsonrpc":"2.0","method":"notifications/initialized","extra":1"#,
            #""jsonrpc":"1.0","method":"notifications/initialized""#, #""method":"notifications/initialized""#,
            #""jsonrpc":"2.0","method":"""#, #""jsonrpc":"2.0","method":"x","params":7"#,
        ] {
            client.say("{\(defect)}")
        }
        client.say(#"{"jsonrpc":"2.0","id":1,"result":{}}"#)
        client.say("")
        client.say(#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
        #expect(try client.hear()["id"] == 1)
        client.leave()
        #expect(gatekeeper.seen.withLock { $0.calls.isEmpty })
    }

    @Test("calls run beside each other, and answers come in any order")
    func concurrent() throws {
        let client = try LineClient(gatekeeper)
        for id in 0..<20 {
            client.say(#"{"jsonrpc":"2.0","id":\#(id),"method":"tools/call","params":{"name":"wait"}}"#)
        }
        client.say(#"{"jsonrpc":"2.0","id":"quick","method":"tools/call","params":{"name":"x"}}"#)
        #expect(try client.hear()["id"] == "quick")
        let all = gatekeeper.seen.wait(until: .now + .seconds(10)) { $0.running == 20 ? true : nil }
        #expect(all == true)
        gatekeeper.seen.update { $0.isOpen = true }
        var ids: Set<JSONValue> = []
        for _ in 0..<20 { ids.insert(try #require(try client.hear()["id"])) }
        #expect(ids == Set((0..<20).map { .integer($0) }))
        client.leave()
    }

    @Test("calls one after another are made by the thread that reads them: nobody is woken")
    func alone() throws {
        let client = try LineClient(gatekeeper)
        for id in 0..<200 {
            client.say(#"{"jsonrpc":"2.0","id":\#(id),"method":"tools/call","params":{"name":"x"}}"#)
            #expect(try client.hear()["id"] == .integer(Int64(id)))
        }
        client.leave()
        let threads = gatekeeper.seen.withLock { $0.threads }
        // On a busy machine a call may take so long that another thread reads.
        #expect(zip(threads, threads.dropFirst()).count { $0 != $1 } < 20)
    }

    @Test("who speaks while its only call waits is heard soon, whatever that waits for")
    func heard() throws {
        let client = try LineClient(gatekeeper)
        client.say(#"{"jsonrpc":"2.0","id":"w","method":"tools/call","params":{"name":"wait"}}"#)
        for id in 0..<20 {
            client.say(#"{"jsonrpc":"2.0","id":\#(id),"method":"ping"}"#)
            #expect(try client.hear()["id"] == .integer(Int64(id)))
        }
        gatekeeper.seen.update { $0.isOpen = true }
        #expect(try client.hear()["id"] == "w")
        client.leave()
    }

    @Test("more calls than a connection may have are refused, and none is lost")
    func bounded() throws {
        let client = try LineClient(gatekeeper)
        for id in 0..<130 {
            client.say(#"{"jsonrpc":"2.0","id":\#(id),"method":"tools/call","params":{"name":"wait"}}"#)
        }
        for _ in 0..<2 {
            let result = try client.hear()["result"]
            #expect(result?["_meta"]?["dev.ensign/reason"] == "unavailable")
            #expect(result?["_meta"]?["dev.ensign/decision"] == 8, "it is recorded like every other refusal")
        }
        #expect(gatekeeper.seen.withLock { $0.refused.count } == 2)
        client.say(#"{"jsonrpc":"2.0","id":900,"method":"tools/list"}"#)
        #expect(try client.hear()["error"]?["code"] == -32603, "a list that finds no room is not a call")
        client.say(#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"wait"}}"#)
        #expect(try client.hear()["error"]?["message"] == "this id is in use")
        gatekeeper.seen.update { $0.isOpen = true }
        for _ in 0..<128 { #expect(try client.hear()["result"]?["isError"] == nil) }
        client.leave()
    }

    @Test("a cancelled call is told so and not answered")
    func cancelled() throws {
        let client = try LineClient(gatekeeper)
        client.say(#"{"jsonrpc":"2.0","id":"w","method":"tools/call","params":{"name":"wait"}}"#)
        _ = gatekeeper.seen.wait(until: .now + .seconds(10)) { $0.running == 1 ? true : nil }
        client.say(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"w","reason":"r"}}"#)
        let isOver = gatekeeper.seen.wait(until: .now + .seconds(10)) { $0.running == 0 ? true : nil }
        #expect(isOver == true)
        #expect(client.isQuiet())
        client.leave()
    }

    @Test("progress comes before the answer, with the client's token and nothing of the server's own")
    func progress() throws {
        let client = try LineClient(gatekeeper)
        client.say(
            #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"progress","_meta":{"progressToken":"t"}}}"#
        )
        #expect(
            try client.hear() == [
                "jsonrpc": "2.0", "method": "notifications/progress",
                "params": ["progressToken": "t", "progress": 1, "total": 2, "message": "half"],
            ]
        )
        #expect(try client.hear()["params"] == ["progressToken": "t", "progress": 2])
        #expect(try client.hear()["id"] == 1)
        client.say(#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"progress"}}"#)
        #expect(try client.hear()["id"] == 2)
        client.leave()
    }

    @Test("the trace of a list comes with it: it may name the run")
    func tracedList() throws {
        let client = try LineClient(gatekeeper)
        client.say(#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"traceparent":"00-aa-bb-01"}}}"#)
        _ = try client.hear()
        #expect(gatekeeper.seen.withLock { $0.listed } == ["00-aa-bb-01"])
        client.leave()
    }

    @Test("an id is that of one request, whether it is a call or listens")
    func ids() throws {
        let client = try LineClient(gatekeeper)
        let listen =
            #"{"jsonrpc":"2.0","id":9,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},\#(Self.modern)}}"#
        let call = #"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"wait",\#(Self.modern)}}"#
        client.say(listen)
        #expect(try client.hear()["method"] == "notifications/subscriptions/acknowledged")
        for message in [call, listen] {
            client.say(message)
            let answer = try client.hear()
            #expect(answer["id"] == .null && answer["error"]?["message"] == "this id is in use")
        }
        client.say(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9,\#(Self.modern)}}"#)
        client.say(call)
        _ = gatekeeper.seen.wait(until: .now + .seconds(20)) { $0.running == 1 ? true : nil }
        client.say(listen)
        let answer = try client.hear()
        #expect(answer["id"] == .null && answer["error"]?["message"] == "this id is in use")
        gatekeeper.seen.update { $0.isOpen = true }
        #expect(try client.hear()["id"] == 9)
        client.leave()
    }

    @Test("who said that it is there is told that the list has changed, once")
    func changes() throws {
        let client = try LineClient(gatekeeper)
        client.say(#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#)
        _ = try client.hear()
        client.say(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
        client.say(
            #"{"jsonrpc":"2.0","id":9,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},\#(Self.modern)}}"#
        )
        let taken = try client.hear()
        #expect(taken["method"] == "notifications/subscriptions/acknowledged")
        gatekeeper.seen.withLock { $0.mark = 1 }
        let first = try client.hear()
        #expect(first == ["jsonrpc": "2.0", "method": "notifications/tools/list_changed"])
        #expect(try client.hear()["params"]?["_meta"] == ["io.modelcontextprotocol/subscriptionId": 9])
        #expect(client.isQuiet(milliseconds: 1_300))
        client.leave()
    }

    @Test(
        "who listens gets what it has asked for, and is told what that is",
        arguments: [
            (#""notifications":{"toolsListChanged":true},"#, true),
            (#""notifications":{"toolsListChanged":false},"#, false),
            (#""notifications":{"promptsListChanged":true},"#, false), (#""notifications":{},"#, false), ("", false),
        ]
    )
    func listening(wanted: String, isSubscribed: Bool) throws {
        let client = try LineClient(gatekeeper)
        client.say(
            #"{"jsonrpc":"2.0","id":9,"method":"subscriptions/listen","params":{\#(wanted)\#(Self.modern)}}"#
        )
        let taken = try client.hear()["params"]
        #expect(taken?["notifications"] == (isSubscribed ? ["toolsListChanged": true] : [:]))
        #expect(taken?["_meta"] == ["io.modelcontextprotocol/subscriptionId": 9])
        gatekeeper.seen.withLock { $0.mark = 1 }
        if isSubscribed { #expect(try client.hear()["method"] == "notifications/tools/list_changed") }
        #expect(client.isQuiet(milliseconds: 1_300))
        client.leave()
    }

    @Test(
        "what is asked for in another form is refused",
        arguments: [#""notifications":["toolsListChanged"]"#, #""notifications":{"toolsListChanged":"yes"}"#]
    )
    func badListening(wanted: String) throws {
        let client = try LineClient(gatekeeper)
        client.say(
            #"{"jsonrpc":"2.0","id":9,"method":"subscriptions/listen","params":{\#(wanted),\#(Self.modern)}}"#
        )
        #expect(try client.hear()["error"]?["code"] == -32602)
        client.leave()
    }

    @Test("a client that no longer reads counts as gone at once, and an answer that it does not get as lost")
    func deaf() throws {
        let client = try LineClient(gatekeeper)
        client.say(#"{"jsonrpc":"2.0","id":"w","method":"tools/call","params":{"name":"wait"}}"#)
        _ = gatekeeper.seen.wait(until: .now + .seconds(10)) { $0.running == 1 ? true : nil }
        let cancellation = try #require(gatekeeper.seen.withLock { $0.calls.first }).cancellation
        let isLost = Condition(false)
        cancellation.ifLost { isLost.update { $0 = true } }
        #expect(cancellation.isAwaited)
        client.close()
        #expect(!cancellation.isAwaited && !cancellation.isCancelled)
        gatekeeper.seen.update { $0.isOpen = true }
        #expect(isLost.wait(until: .now + .seconds(10)) { $0 ? true : nil } == true)
        client.leave()
    }

    @Test("the end of the input ends calls, and the server")
    func end() throws {
        let client = try LineClient(gatekeeper)
        client.say(#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait"}}"#)
        _ = gatekeeper.seen.wait(until: .now + .seconds(10)) { $0.running == 1 ? true : nil }
        let time = ContinuousClock().measure { client.leave() }
        #expect(time < .seconds(6))
        #expect(gatekeeper.seen.withLock { $0.running } == 0)
    }

    @Test("a call just before the end of the input is answered")
    func lastWord() throws {
        let client = try LineClient(gatekeeper)
        client.say(#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#)
        client.leave()
        #expect(try client.hear()["id"] == 1)
    }
}
