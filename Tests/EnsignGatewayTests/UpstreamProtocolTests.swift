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

    @Test("A server that wants to know more first has not done it")
    func question() throws {
        guard case .refused = try outcome(#"{"resultType":"input_required"}"#) else { return #expect(Bool(false)) }
    }
}
