import EnsignModel
import Testing

@testable import EnsignGateway

@Suite("Answers in the form of their version")
struct ReplyTests {
    private func reply(_ version: String) -> Reply { Reply(id: 1, version: version, server: [:]) }

    private static let values: [JSONValue] = [[1, 2], "x", 7, true, [:], ["a": 1]]

    @Test("Structured content of any kind is for clients of 2026-07-28; others get it as a text", arguments: values)
    func structured(value: JSONValue) {
        let words: JSONValue = [["type": "text", "text": "words"]]
        for (content, shown) in [(words, words), ([], [["type": "text", "text": .string(value.text)]])] {
            let result: JSONValue = ["content": content, "structuredContent": value]
            let new = reply("2026-07-28").call(result)["result"]
            #expect(new?["structuredContent"] == value && new?["content"] == content)
            for version in ProtocolVersion.handshakes {
                let old = reply(version).call(result)["result"]
                let isObject = value.object != nil
                #expect(old?["structuredContent"] == (isObject ? value : nil))
                #expect(old?["content"] == (isObject ? content : shown))
            }
        }
    }

    @Test("An output schema of any type is for clients of 2026-07-28; others see those of objects")
    func schemas() {
        let outputs: [JSONValue] = [
            ["type": "object"], ["type": "array"], ["type": ["object", "null"]], ["anyOf": []], [:], true,
        ]
        let tools = outputs.map { OfferedTool(name: "x", description: nil, input: ["type": "object"], output: $0) }
        func shown(_ version: String) -> [JSONValue?] {
            (reply(version).list(tools)["result"]?["tools"]?.array ?? []).map { $0["outputSchema"] }
        }
        #expect(shown("2026-07-28") == outputs)
        for version in ProtocolVersion.handshakes {
            #expect(shown(version) == [["type": "object"], nil, nil, nil, nil, nil])
        }
    }
}
