import EnsignJSON
import EnsignModel
import EnsignPlanner
import Testing

/// What a schema of arguments allows, in words that reviewers read.
@Suite("Limits of arguments in words")
struct SchemaLimitsTests {
    private func phrases(_ text: String) throws -> [String] {
        SchemaLimits.phrases(try JSONParser.parse(Array(text.utf8)))
    }

    @Test(
        "Alternatives that limit nothing are not conditions, and one beside null has its own limits",
        arguments: [
            // As pydantic writes Optional[str] = None, and Union[str, int].
            (##"{"properties":{"q":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null,"title":"Q"}}}"##, []),
            (##"{"properties":{"q":{"anyOf":[{"type":"string"},{"type":"integer"}]}}}"##, []),
            (
                ##"{"properties":{"q":{"anyOf":[{"type":"array","items":{"type":"string"}},{"type":"null"}]}}}"##, []
            ),
            (
                ##"{"properties":{"q":{"anyOf":[{"type":"integer","maximum":9},{"type":"null"}]}}}"##,
                ["q at most 9 or null"]
            ),
            (
                ##"{"properties":{"q":{"anyOf":[{"enum":["a","b"],"type":"string"},{"type":"null"}]}}}"##,
                ["q one of a, b or null"]
            ),
            (
                ##"{"properties":{"q":{"anyOf":[{"type":"integer","maximum":9},{"type":"string"}]}}}"##,
                ["q under further conditions"]
            ),
            (##"{"properties":{"q":{"anyOf":[{"type":"string"},{"not":{}}]}}}"##, ["q under further conditions"]),
            (##"{"properties":{"q":{"oneOf":[{"type":"string"}]}}}"##, ["q under further conditions"]),
            (##"{"anyOf":[{"required":["a"]},{"required":["b"]}]}"##, ["arguments under further conditions"]),
        ]
    )
    func alternatives(_ schema: String, _ expected: [String]) throws {
        #expect(try phrases(schema) == expected)
    }

    @Test("A reference has the limits of what it leads to, once round a circle")
    func references() throws {
        let nested =
            ##"{"$defs":{"M":{"type":"object","properties":{"n":{"type":"integer","maximum":9},"m":{"$ref":"#/$defs/M"}}}},"##
        #expect(
            try phrases(nested + ##""properties":{"q":{"anyOf":[{"$ref":"#/$defs/M"},{"type":"null"}]}}}"##) == [
                "q.n at most 9"
            ]
        )
        #expect(try phrases(nested + ##""properties":{"q":{"$ref":"#/$defs/M"}}}"##) == ["q.n at most 9"])
        #expect(try phrases(##"{"$defs":{"S":{"type":"string"}},"properties":{"q":{"$ref":"#/$defs/S"}}}"##) == [])
    }
}
