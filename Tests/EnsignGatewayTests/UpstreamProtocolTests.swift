import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignGateway

@Suite("What a server's answer to a call means")
struct UpstreamProtocolTests {
    private func outcome(_ text: String) throws -> UpstreamOutcome {
        UpstreamProtocol.outcome(.result(try read(Array(text.utf8))))
    }

    @Test(
        "A result is passed on",
        arguments: [
            #"{"content":[]}"#, #"{"content":[{"type":"text","text":"x"}],"isError":true}"#,
            #"{"content":[],"isError":false,"resultType":"complete"}"#,
            #"{"content":[],"isError":null,"resultType":null}"#,
            #"{"content":[{"type":"of the future"}],"structuredContent":{"a":1}}"#,
        ]
    )
    func results(text: String) throws {
        guard case .result = try outcome(text) else { return #expect(Bool(false)) }
    }

    @Test(
        "What is not of the protocol says nothing of what was done",
        arguments: [
            #"{"content":[],"isError":"false"}"#, #"{"content":[],"isError":1}"#, #"{"content":[],"isError":[]}"#,
            #"{"content":"x"}"#, #"{"content":{}}"#, "{}", #"{"structuredContent":{}}"#, #"{"content":[5]}"#,
            #"{"content":[{"text":"x"}]}"#, #"{"content":[{"type":5}]}"#, #"{"content":[],"resultType":5}"#,
            #"{"content":[],"resultType":"task"}"#, "[]", "null", "5",
        ]
    )
    func defects(text: String) throws {
        guard case .unknown(let failure) = try outcome(text) else { return #expect(Bool(false)) }
        #expect(failure.kind == .malformed)
    }

    @Test(
        "An answer is a result or an error, whatever member says null beside it",
        arguments: [
            (#""result":{"content":[]},"error":null"#, "result"), (#""error":null,"result":{}"#, "result"),
            (#""error":{"code":-32602,"message":"no"},"result":null"#, "error"),
            (#""error":{"code":1,"message":"no"},"result":{}"#, "none"), (#""error":"no""#, "none"),
            (#""error":[],"result":{}"#, "none"), (#""error":null"#, "none"), (#""result":null"#, "none"),
            (#""error":false,"result":{}"#, "none"),
        ]
    )
    func answers(members: String, meaning: String) {
        let found =
            switch UpstreamMessage(Array(#"{"jsonrpc":"2.0","id":7,\#(members)}"#.utf8)) {
            case .answer(id: 7, .result): "result"
            case .answer(id: 7, .error): "error"
            case .garbage(id: 7): "none"
            default: "something else"
            }
        #expect(found == meaning)
    }

    @Test("A server that wants to know more first has not done it")
    func question() throws {
        guard case .refused = try outcome(#"{"resultType":"input_required"}"#) else { return #expect(Bool(false)) }
    }
}
