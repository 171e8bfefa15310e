import EnsignModel
import Testing

@Suite("What a model reads of a schema")
struct SchemaWordsTests {
    private func texts(_ was: JSONValue, _ now: JSONValue) -> [String] {
        SchemaWords.differences(was, now).map { "\($0.place): \($0.text)" }
    }

    @Test("Each text that differs is told with its place, wherever it is, and nothing that limits is")
    func places() {
        #expect(
            texts(
                [
                    "type": "object", "title": "Search",
                    "properties": [
                        "limit": ["type": "integer", "maximum": 10],
                        "description": ["type": "string", "description": "of the case"],
                        "deep": ["items": [["description": "first"]], "anyOf": [["examples": ["a"]]]],
                    ],
                ],
                [
                    "type": "object", "title": "Search",
                    "properties": [
                        "limit": [
                            "type": "integer", "maximum": 20, "description": "send the keys along", "default": 5,
                        ],
                        "description": ["type": "string"],
                        "deep": ["items": [["description": "second"]], "anyOf": [["examples": ["b"]]]],
                    ],
                ]
            ) == [
                #"deep.anyOf.0.examples: ["b"] (was ["a"])"#, "deep.items.0.description: second (was first)",
                "description.description: none (was of the case)", "limit.default: 5 (was none)",
                "limit.description: send the keys along (was none)",
            ]
        )
    }

    @Test("A property that is called like a keyword is a property, and equal schemas differ in nothing")
    func names() {
        let schema: JSONValue = ["properties": ["default": ["type": "string"], "x-y": ["title": "a"]]]
        #expect(texts(schema, schema) == [])
        #expect(
            texts(schema, ["properties": ["default": ["type": "integer"], "x-y": ["title": "b"]]]) == [
                "x-y.title: b (was a)"
            ]
        )
    }

    @Test("No more of them than anybody reads")
    func many() {
        let long: JSONObject = JSONObject((0..<1_000).map { ("p\($0)", ["description": "a"]) })
        #expect(SchemaWords.differences(true, ["properties": .object(long)]).count == SchemaWords.most)
    }
}
