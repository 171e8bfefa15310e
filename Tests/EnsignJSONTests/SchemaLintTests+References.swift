import EnsignJSON
import EnsignModel
import Testing

/// References: where they lead, how deep, and in circles.
extension SchemaLintTests {
    @Test(
        "References lead into the document and come back only inside a value",
        arguments: [
            (["$ref": 1], ["schema-invalid-value /$ref: expected a string, got a number"]),
            (
                ["$ref": "#/$defs/a/b", "$defs": ["a": true]],
                ["schema-invalid-reference /$ref: there is no schema at '#/$defs/a/b' in this document [#/$defs/a]"]
            ),
            (
                ["$ref": "other.json#/$defs/a"],
                [
                    "schema-invalid-reference /$ref: 'other.json#/$defs/a' does not lead into this schema: references are pointers such as '#/$defs/<name>'"
                ]
            ),
            (
                ["$ref": "#/$defs/addres", "$defs": ["address": true]],
                [
                    "schema-invalid-reference /$ref: there is no schema at '#/$defs/addres' in this document [#/$defs/address]"
                ]
            ),
            (
                ["$ref": "#/components/schemas/Pet", "definitions": ["Pet": true]],
                [
                    "schema-invalid-reference /$ref: there is no schema at '#/components/schemas/Pet' in this document [#/definitions/Pet]"
                ]
            ),
            (
                ["$ref": "#/$defs/%zz", "$defs": [:]],
                [
                    "schema-invalid-reference /$ref: '#/$defs/%zz' does not lead into this schema: references are pointers such as '#/$defs/<name>'"
                ]
            ),
            (
                ["$ref": "#/$defs/a~2", "$defs": ["a~2": true]],
                [
                    "schema-invalid-reference /$ref: '#/$defs/a~2' does not lead into this schema: references are pointers such as '#/$defs/<name>'"
                ]
            ),
            (
                ["$ref": "#/examples/0", "examples": [["type": "string"]]],
                ["schema-invalid-reference /$ref: there is no schema at '#/examples/0' in this document"]
            ),
            (
                ["$ref": "#anchor"],
                [
                    "schema-invalid-reference /$ref: '#anchor' does not lead into this schema: references are pointers such as '#/$defs/<name>'"
                ]
            ),
            (
                ["$ref": "#"],
                [
                    "schema-reference-cycle /$ref: references come back to the same value without an end: 'the root' → 'the root'"
                ]
            ),
            (
                ["$defs": ["a": ["$ref": "#/$defs/a"]]],
                [
                    "schema-reference-cycle /$defs/a/$ref: references come back to the same value without an end: 'a' → 'a'"
                ]
            ),
            (
                [
                    "$ref": "#/$defs/a",
                    "$defs": [
                        "a": ["items": ["$ref": "#/$defs/b"]], "b": ["$ref": "#/$defs/c"],
                        "c": ["allOf": [["$ref": "#/$defs/b"]]],
                    ],
                ],
                [
                    "schema-reference-cycle /$defs/b/$ref: references come back to the same value without an end: 'b' → 'c' → 'b'"
                ]
            ),
            (
                ["properties": ["a": ["$ref": "#/properties/a"]]],
                [
                    "schema-reference-cycle /properties/a/$ref: references come back to the same value without an end: 'a' → 'a'"
                ]
            ),
            (
                ["$schema": "https://json-schema.org/draft/2020-12/schema", "dependentSchemas": ["a": ["$ref": "#"]]],
                [
                    "schema-reference-cycle /dependentSchemas/a/$ref: references come back to the same value without an end: 'the root' → 'the root'"
                ]
            ),
            (["properties": ["a": ["$ref": "#"]]], []),
            (["properties": ["items": ["items": ["$ref": "#/properties/items"]]]], []),
            (["propertyNames": ["$ref": "#"]], []),
            (
                ["$defs": ["a": ["items": ["$ref": "#/$defs/b"]], "b": ["anyOf": [["$ref": "#/$defs/a"], true]]]], []
            ),
            (["items": ["$defs": ["a": true], "$ref": "#/items/$defs/a"]], []),
            (
                ["$ref": "#/$defs/a", "type": "string", "description": "d", "$defs": ["a": true]],
                [
                    "schema-ignored-keyword /type: 'type' beside '$ref' is ignored in draft 7: put both into 'allOf'"
                ]
            ),
            (
                ["items": ["$id": "x"], "not": ["$schema": "http://json-schema.org/draft-07/schema#"]],
                [
                    "schema-refused-keyword /items/$id: '$id' is only allowed at the root of the schema: references are pointers",
                    "schema-refused-keyword /not/$schema: '$schema' is only allowed at the root of the schema",
                ]
            ),
        ] as [(JSONValue, [String])]
    )
    func references(schema: JSONValue, expected: [String]) {
        #expect(lint(schema) == expected)
    }

    @Test("Depth is bounded, through references too")
    func depth() {
        func nested(_ depth: Int, _ inner: JSONValue) -> JSONValue {
            (0..<depth).reduce(inner) { schema, _ in ["not": schema] }
        }
        #expect(lint(nested(63, [:])) == [])
        #expect(lintSchema(nested(64, [:])).map(\.code) == [.tooDeep])
        #expect(lintSchema(nested(2000, [:])).map(\.pointer.count) == [64])

        func chain(_ count: Int, depth: Int) -> JSONValue {
            var definitions: JSONObject = ["d\(count)": [:]]
            for index in 0..<count {
                definitions["d\(index)"] = nested(depth, ["$ref": .string("#/$defs/d\(index + 1)")])
            }
            return ["$ref": "#/$defs/d0", "$defs": .object(definitions)]
        }
        #expect(lint(chain(31, depth: 1)) == [])
        #expect(lintSchema(chain(32, depth: 1)).map(\.code) == [.tooDeep])
        #expect(lintSchema(chain(20_000, depth: 0)).first?.code == .tooDeep)
    }

    @Test("A long cycle is found without recursion and shown in short")
    func longCycle() {
        var definitions: JSONObject = [:]
        for index in 0..<20_000 {
            definitions["d\(index)"] = ["$ref": .string("#/$defs/d\((index + 1) % 20_000)")]
        }
        let problems = lintSchema(["$defs": .object(definitions)])
        #expect(problems.map(\.code) == [.referenceCycle])
        #expect((problems.first?.message.utf8.count ?? 0) < 200)
    }
}
