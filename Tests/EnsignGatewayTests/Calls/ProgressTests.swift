import EnsignModel
import EnsignTestSupport
import Glibc
import Synchronization
import Testing

@testable import EnsignGateway

@Suite("What a server says of its progress")
struct ProgressTests {
    @Test("Numbers and words pass, the words short and without secrets; whatever else a server says does not")
    func passed() throws {
        let scratch = try ScratchDirectory()
        let resolver = try scratch.write("resolve", "#!/bin/sh\necho s3cr3t-\"$1\"\n")
        #expect(unsafe Glibc.chmod(resolver, 0o755) == 0)
        let fixture = try GateFixture(
            more: "credentials: {vault: {command: [\(resolver)]}}",
            upstream: "{command: [/usr/bin/crm], references: [\"vault:crm\"], env: {TOKEN: \"{credentials}\"}}"
        )
        try fixture.publish(open { $0.tools[0].credentials = "vault:crm" })
        let secret: JSONValue = "s3cr3t-vault:crm"
        let nested: [JSONValue] = [[secret], ["k": secret], ["s3cr3t-vault:crm": 1], [[[secret]]], true, .null]
        let said: [JSONObject] =
            [
                ["progress": 1, "total": 2.5, "message": "at\ns3cr3t-vault:crm", "more": secret],
                ["progress": 2, "message": .string(String(repeating: "x", count: 9_000))], ["progress": secret],
                ["message": "no number"],
            ] + nested.flatMap { [["progress": $0], ["progress": 3, "total": $0], ["progress": 3, "message": $0]] }
        fixture.server.contents.withLock { $0.progress = said + [["progress": 4, "total": secret]] }
        let told = Mutex<[JSONObject]>([])
        #expect(fixture.call("crm__find", progress: { said in told.withLock { $0.append(said) } }).reason == nil)
        let heard = told.withLock { $0 }
        #expect(heard.first == ["progress": 1, "total": 2.5, "message": "at\\u{a}[credentials]"])
        #expect(heard[1]["message"]?.string?.utf8.count ?? 0 <= 510)
        #expect(heard.dropFirst(2).dropLast().allSatisfy { $0 == ["progress": 3] } && heard.last == ["progress": 4])
        #expect(heard.count == 3 + 2 * nested.count)
    }

    @Test("Whoever has cancelled is told nothing more of it")
    func cancelled() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        let cancellation = Cancellation()
        fixture.server.contents.withLock { contents in
            contents.progress = [["progress": 1]]
            contents.whenCalled = { cancellation.cancel() }
        }
        let request =
            #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"crm__update","_meta":{"progressToken":7}}}"#
        var messages = ClientProtocol(version: "0", canListen: true, agreed: "2025-11-25")
        guard case .call(let reply, let call) = messages.take(ClientMessage(Array(request.utf8))) else {
            Issue.record("it is no call")
            return
        }
        let told = Mutex(0)
        for (cancellation, count) in [(Cancellation(), 1), (cancellation, 1)] {
            _ = fixture.gate.answer(reply, to: call, in: fixture.session, cancellation) { _ in told.withLock { $0 += 1 }
            }
            #expect(told.withLock { $0 } == count)
        }
    }
}
