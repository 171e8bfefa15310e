import EnsignJSON
import EnsignModel
import EnsignTestSupport
import Foundation
import Testing

/// The reference implementation, in the virtual environment that `make test` makes.
private let python = "\(packageRoot)/.build/jsonschema/bin/python"

@Suite("Dialects of JSON Schema")
struct DialectTests {
    /// A kind of schema that servers write, what it must accept and, as important, what it must refuse.
    struct Example: Sendable, CustomTestStringConvertible {
        var name: String
        var schema: String
        var accepted: [String]
        var refused: [String]

        var testDescription: String { name }
    }

    static let examples: [Example] = [
        Example(
            name: "a tuple of pydantic's",
            schema: """
                {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2, "maxItems": 2}
                """,
            accepted: [#"[1, "a"]"#],
            refused: [#"["a", 1]"#, "[1]", #"[1, "a", 2]"#, "1"]
        ),
        Example(
            name: "prefixItems with items for the rest",
            schema: #"{"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "string"}}"#,
            accepted: ["[]", "[1]", #"[1, "a", "b"]"#],
            refused: [#"["a"]"#, "[1, 2]", #"[1, "a", 2]"#]
        ),
        Example(
            name: "dependentRequired",
            schema: #"{"type": "object", "dependentRequired": {"name": ["namespace", "kind"]}}"#,
            accepted: ["{}", #"{"kind": 1}"#, #"{"name": 1, "namespace": 2, "kind": 3}"#],
            refused: [#"{"name": 1}"#, #"{"name": 1, "kind": 2}"#]
        ),
        Example(
            name: "dependentSchemas and dependentRequired of one property",
            schema: """
                {"type": "object", "dependentRequired": {"a": ["b"]},
                 "dependentSchemas": {"a": {"properties": {"b": {"type": "string"}}}}}
                """,
            accepted: ["{}", #"{"b": 1}"#, #"{"a": 1, "b": "x"}"#],
            refused: [#"{"a": 1}"#, #"{"a": 1, "b": 1}"#]
        ),
        Example(
            name: "how many items match",
            schema: #"{"type": "array", "contains": {"type": "string"}, "minContains": 2, "maxContains": 3}"#,
            accepted: [#"["a", "b"]"#, #"["a", 1, "b", "c"]"#],
            refused: ["[]", #"["a"]"#, #"["a", "b", "c", "d"]"#]
        ),
        Example(
            name: "no item need match",
            schema: #"{"type": "array", "contains": {"type": "string"}, "minContains": 0, "maxContains": 1}"#,
            accepted: ["[]", "[1]", #"["a"]"#],
            refused: [#"["a", "b"]"#]
        ),
        Example(
            name: "a recursive model",
            schema: """
                {"$defs": {"Tree": {"type": "object", "required": ["value"], "properties": {
                  "value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}}}},
                 "$ref": "#/$defs/Tree"}
                """,
            accepted: [#"{"value": 1}"#, #"{"value": 1, "children": [{"value": 2, "children": []}]}"#],
            refused: [
                "{}", #"{"value": 1, "children": [{}]}"#, #"{"value": 1, "children": [{"value": 2, "children": [1]}]}"#,
            ]
        ),
        Example(
            name: "a reference to the whole",
            schema: ##"{"type": "object", "properties": {"next": {"$ref": "#"}}, "additionalProperties": false}"##,
            accepted: ["{}", #"{"next": {"next": {}}}"#],
            refused: ["1", #"{"next": {"next": 1}}"#, #"{"next": {"next": {"other": 1}}}"#]
        ),
        Example(
            name: "a reference into a property, as zod writes it",
            schema:
                ##"{"type": "object", "properties": {"from": {"type": "string", "maxLength": 2}, "to": {"$ref": "#/properties/from"}}}"##,
            accepted: [#"{"from": "a", "to": "b"}"#],
            refused: [#"{"to": "abc"}"#, #"{"to": 1}"#]
        ),
        Example(
            name: "definitions inside",
            schema:
                ##"{"properties": {"a": {"$defs": {"n": {"type": "number"}}, "items": {"$ref": "#/properties/a/$defs/n"}, "type": "array"}}}"##,
            accepted: [#"{"a": [1]}"#],
            refused: [#"{"a": ["1"]}"#]
        ),
        Example(
            name: "2020-12 reads what stands beside a reference",
            schema: """
                {"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": {"n": {"type": "integer"}},
                 "properties": {"a": {"$ref": "#/$defs/n", "maximum": 5, "allOf": [{"minimum": 1}]}}}
                """,
            accepted: [#"{"a": 1}"#, #"{"a": 5}"#],
            refused: [#"{"a": 6}"#, #"{"a": 0}"#, #"{"a": 1.5}"#]
        ),
        Example(
            name: "2019-09 has lists in items, and reads beside references",
            schema: """
                {"$schema": "https://json-schema.org/draft/2019-09/schema", "$defs": {"t": {"type": "array"}},
                 "$ref": "#/$defs/t", "items": [{"type": "integer"}], "additionalItems": false}
                """,
            accepted: ["[]", "[1]"],
            refused: ["1", #"["a"]"#, "[1, 2]"]
        ),
        Example(
            name: "a union by discriminator",
            schema: """
                {"discriminator": {"mapping": {"cat": "#/$defs/Cat"}, "propertyName": "kind"},
                 "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}], "$defs": {
                 "Cat": {"properties": {"kind": {"const": "cat"}}, "required": ["kind"], "type": "object"},
                 "Dog": {"properties": {"kind": {"const": "dog"}}, "required": ["kind"], "type": "object"}}}
                """,
            accepted: [#"{"kind": "cat"}"#, #"{"kind": "dog"}"#],
            refused: [#"{"kind": "cow"}"#, "{}", "1"]
        ),
        Example(
            name: "annotations keep nothing out, and let nothing in",
            schema: """
                {"type": "string", "maxLength": 4, "contentEncoding": "base64", "contentMediaType": "application/json",
                 "contentSchema": {"type": "object"}, "format": "email", "x-order": 1, "example": 7, "examples": [true],
                 "deprecated": true, "readOnly": true, "$id": "https://example.com/a"}
                """,
            accepted: [#""""#, #""abcd""#],
            refused: ["1", #""abcde""#]
        ),
        Example(
            name: "a bound of 64 bits",
            schema: #"{"type": "integer", "maximum": 9223372036854775807, "minimum": -9223372036854775808}"#,
            accepted: ["0", "9007199254740991", "-9007199254740991"],
            refused: ["0.5", #""1""#]
        ),
    ]

    @Test("A schema as servers write it accepts and refuses what it says", arguments: examples)
    func example(_ example: Example) throws {
        let schema = try parse(example.schema)
        #expect(lintSchema(schema) == [])
        let compiled = try JSONSchema(schema)
        for value in example.accepted { #expect(compiled.validate(try parse(value)).isEmpty, "\(value)") }
        for value in example.refused { #expect(!compiled.validate(try parse(value)).isEmpty, "\(value)") }
        // The plain form is a schema of draft 7 that means the same.
        let plain = SchemaTranslation.plain(schema)
        #expect(SchemaTranslation.plain(plain) == plain)
    }

    @Test("Validation of a recursive schema ends for every value, however deep")
    func deep() throws {
        let schema = try JSONSchema(
            try parse(
                ##"{"anyOf": [{"type": "array", "items": {"$ref": "#"}}, {"type": "array", "items": {"$ref": "#"}}, {"type": "null"}]}"##
            )
        )
        var value: JSONValue = 1
        for _ in 0..<500 { value = [value] }
        let clock = ContinuousClock()
        let elapsed = clock.measure { #expect(schema.validate(value).contains { $0.isLimit }) }
        #expect(elapsed < .seconds(10))
        let small = try JSONSchema(try parse(##"{"type": "array", "items": {"$ref": "#"}}"##))
        var list: JSONValue = []
        for _ in 0..<60 { list = [list] }
        #expect(small.validate(list).isEmpty)
    }

    @Test(
        "Schemas at random mean what the reference implementation says, in each dialect in which they may be read",
        .enabled(if: FileManager.default.isExecutableFile(atPath: python)),
        arguments: 0..<4 as Range<UInt64>
    )
    func peer(batch: UInt64) throws {
        var generator = SchemaGenerator(
            EnsignTestSupport.SeededGenerator(for: "dialects \(batch)", standard: 77_000 + batch)
        )
        var cases: [(input: JSONValue, answers: [Bool], what: String)] = []
        while cases.count < 1_500 {
            let schema = generator.root()
            guard lintSchema(schema).allSatisfy({ $0.severity == .warning }) else { continue }
            let compiled = try JSONSchema(schema)
            let values = (0..<12).map { _ in generator.value(depth: 4) }
            let violations = values.map { compiled.validate($0, limit: 1) }
            guard violations.allSatisfy({ $0.first?.isLimit != true }) else { continue }
            let reading = SchemaReading(of: schema)
            let dialects = reading.isLabelled || !reading.isNeutral ? [reading.dialect] : [.draft7, .draft2020]
            for dialect in dialects {
                let input: JSONValue = ["dialect": .string("\(dialect)"), "schema": schema, "values": .array(values)]
                cases.append((input, violations.map(\.isEmpty), "seed \(generator.random.seed)"))
            }
        }
        let scratch = try ScratchDirectory()
        let script = (#filePath as NSString).deletingLastPathComponent + "/Peer/validate.py"
        let lines = cases.map { text($0.input) }.joined(separator: "\n") + "\n"
        let result = try run(python, [script], in: scratch.path, input: lines)
        #expect(result.status == 0, "\(result.errors.suffix(2_000))")
        let answers = result.output.split(separator: "\n")
        try #require(answers.count == cases.count, "\(result.errors.suffix(2_000))")
        var (accepted, refused) = (0, 0)
        for (line, expected) in zip(answers, cases) {
            let answer = try parse(String(line)).array?.map { $0.bool }
            #expect(answer == expected.answers, "\(expected.what): \(text(expected.input))")
            accepted += expected.answers.count { $0 }
            refused += expected.answers.count { !$0 }
        }
        #expect(accepted > 2_000 && refused > 2_000)
    }
}
