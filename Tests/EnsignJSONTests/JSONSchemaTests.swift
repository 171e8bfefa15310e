import EnsignJSON
import EnsignModel
import Testing

@Suite("JSONSchema")
struct JSONSchemaTests {
    func violations(_ schema: JSONValue, _ value: JSONValue) throws -> [String] {
        try JSONSchema(schema).validate(value).map(\.description)
    }

    @Test("Every keyword is enforced", arguments: enforcements)
    func enforced(_ enforcement: Enforcement) throws {
        let schema = try JSONSchema(enforcement.schema)
        for value in enforcement.valid {
            let found = schema.validate(value)
            #expect(found.isEmpty, "\(text(value))")
        }
        for value in enforcement.invalid {
            #expect(!schema.validate(value).isEmpty, "\(text(value))")
        }
    }

    @Test("Every keyword is an annotation, enforced in a test, or only about other keywords")
    func complete() {
        let enforced = Set(Self.enforcements.filter { !$0.invalid.isEmpty }.map(\.keyword))
        let annotations: Set<SchemaKeyword> = [
            .title, .description, .default, .examples, .format, .comment, .readOnly, .writeOnly, .deprecated, .schema,
            .id,
            .contentEncoding, .contentMediaType, .contentSchema, .discriminator, .example,
        ]
        #expect(enforced.union(annotations) == Set(SchemaKeyword.allCases))
        #expect(enforced.isDisjoint(with: annotations))
    }

    @Test("Annotations have no effect")
    func annotations() throws {
        let schema: JSONValue = [
            "$schema": "http://json-schema.org/draft-07/schema#", "$comment": "c", "title": "t", "description": "d",
            "default": 1, "examples": ["x"], "format": "date", "readOnly": true, "writeOnly": true, "deprecated": true,
        ]
        for value: JSONValue in ["not a date", 1, ["a": [1]], [1, 2]] {
            #expect(try violations(schema, value) == [])
        }
    }

    @Test("Boolean schemas allow everything or nothing")
    func booleans() throws {
        #expect(try violations(true, 1) == [])
        #expect(try violations(false, 1) == ["nothing is allowed here"])
        #expect(try violations(["items": false], [1]) == ["/0: nothing is allowed here"])
    }

    @Test("valijson's cache does not take propertyNames in a definition for the definition")
    func propertyNamesInDefinition() throws {
        let schema: JSONValue = [
            "items": ["$ref": "#/$defs/a"],
            "$defs": ["a": ["type": "object", "propertyNames": ["propertyNames": true, "pattern": "^x"]]],
        ]
        #expect(try violations(schema, [["x": 1], ["xy": 2]]) == [])
        let found = try violations(schema, [["y": 1]])
        #expect(found == ["/0/y: the property name 'y' is not allowed: does not match the pattern '^x'"])
    }

    @Test("Definitions are told apart whatever their names are")
    func definitionNames() throws {
        let schema: JSONValue = [
            "properties": [
                "a": ["$ref": "#/$defs/x~1y"], "b": ["$ref": "#/definitions/x~1y"], "c": ["$ref": "#/$defs/%25~01"],
                "d": ["$ref": "#/$defs/\u{e9}"], "e": ["$ref": "#/$defs/e\u{301}"], "f": ["$ref": "#/$defs/"],
                "g/properties/h": ["const": 8], "g": ["properties": ["h": ["const": 9]]],
            ],
            "$defs": [
                "x/y": ["const": 1], "%~1": ["const": 3], "\u{e9}": ["const": 4], "e\u{301}": ["const": 5],
                "": ["const": 6],
                "0": ["const": 7],
            ],
            "definitions": ["x/y": ["const": 2]],
        ]
        let compiled = try JSONSchema(schema)
        let value: JSONValue = ["a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g/properties/h": 8, "g": ["h": 9]]
        #expect(compiled.validate(value) == [])
        for key in value.object?.map(\.key) ?? [] {
            var object = value.object ?? [:]
            object[key] = ["h": 0]
            #expect(compiled.validate(.object(object)).count == 1, "\(key)")
        }
    }

    @Test(
        "Violations name the place and the reason",
        arguments: [
            (["type": "integer"], "x", ["expected integer, got string"]),
            (["type": ["string", "null"]], 1, ["expected null or string, got integer"]),
            (
                ["properties": ["a/b": ["items": ["type": "null"]]]], ["a/b": [.null, 1]],
                ["/a~1b/1: expected null, got integer"]
            ),
            (["required": ["b", "a"]], [:], ["missing required property 'a'", "missing required property 'b'"]),
            (
                ["properties": ["b": true], "additionalProperties": false], ["a": 1, "b": 2, "c": 3],
                ["/a: unexpected property 'a'", "/c: unexpected property 'c'"]
            ),
            (["enum": ["a", 1]], "b", [#"must be one of "a", 1"#]), (["const": ["x"]], 1, [#"must be ["x"]"#]),
            (
                ["minimum": 0.5, "multipleOf": 3], -2,
                ["must be at least 0.5, got -2", "must be a multiple of 3, got -2"]
            ),
            (["exclusiveMaximum": 1e21], .number(1e21), ["must be less than 1e+21, got 1e+21"]),
            (["minLength": 1], "", ["must have at least 1 character, has 0"]),
            (["maxItems": 2], [1, 2, 3], ["must have at most 2 items, has 3"]),
            (["pattern": "^a$"], "b", ["does not match the pattern '^a$'"]),
            (
                ["uniqueItems": true], [1, 2, 1, 2, 1],
                [
                    "/2: repeats an earlier item ('uniqueItems')", "/3: repeats an earlier item ('uniqueItems')",
                    "/4: repeats an earlier item ('uniqueItems')",
                ]
            ),
            (
                ["items": [true], "additionalItems": false], [1, 2],
                ["/1: no more than 1 item allowed ('additionalItems' is false)"]
            ),
            (["contains": ["const": 1]], [2], ["no item matches the schema in 'contains'"]),
            (["dependencies": ["a": ["b"]]], ["a": 1], ["missing property 'b', which 'a' needs"]),
            (["not": true], 1, ["matches the schema in 'not'"]),
            (
                ["anyOf": [["type": "null"], ["required": ["a"]]]], [:],
                [
                    "matches none of the alternatives of 'anyOf': expected null, got object; missing required property 'a'"
                ]
            ),
            (
                ["oneOf": [true, ["type": "null"], true]], 1,
                ["matches more than one alternative of 'oneOf': number 1 and 3"]
            ),
            (["if": ["required": ["a"]], "then": ["required": ["b"]]], ["a": 1], ["missing required property 'b'"]),
        ] as [(JSONValue, JSONValue, [String])]
    )
    func messages(schema: JSONValue, value: JSONValue, expected: [String]) throws {
        #expect(try violations(schema, value) == expected)
    }

    @Test("Messages cannot act on a terminal and have a bounded length")
    func hostileMessages() throws {
        let long = String(repeating: "日", count: 100_000)
        let escape = "\u{1b}[31m\u{202e}"
        for key in [long, escape] {
            for found in try JSONSchema(["additionalProperties": false]).validate([key: 1]) {
                #expect(found.message.utf8.count < 200)
                #expect(!found.message.contains("\u{1b}") && !found.message.contains("\u{202e}"))
            }
            let named = try JSONSchema(["const": .string(key), "pattern": "^é$"]).validate("x")
            #expect(named.count == 2 && named.allSatisfy { $0.message.utf8.count < 500 })
        }
    }

    @Test("At most as many violations as wanted are returned")
    func limit() throws {
        let schema = try JSONSchema(["items": ["type": "null"]])
        let values = JSONValue.array(Array(repeating: 1, count: 100))
        #expect(schema.validate(values).count == 20)
        #expect(schema.validate(values, limit: 1).map(\.pointer) == ["/0"])
    }

    @Test("Large objects are validated as small ones are")
    func largeObjects() throws {
        let names = (0..<1000).map { "k\($0)" }
        let schema = try JSONSchema([
            "properties": .object(JSONObject(names.map { ($0, ["type": "integer"]) })),
            "required": .array(names.map { .string($0) }), "additionalProperties": false,
        ])
        var object = JSONObject(names.map { ($0, 1) })
        #expect(schema.validate(.object(object)) == [])
        object["k500"] = "x"
        object["k7"] = nil
        object["l"] = 1
        #expect(
            schema.validate(.object(object)).map(\.description) == [
                "missing required property 'k7'", "/k500: expected integer, got string", "/l: unexpected property 'l'",
            ]
        )
    }
}
