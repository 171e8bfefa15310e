import EnsignJSON
import EnsignModel
import Testing

@Suite("JSONSchema")
struct JSONSchemaTests {
    private func violations(_ schema: JSONValue, _ value: JSONValue) throws -> [String] {
        try JSONSchema(schema).validate(value).map(\.description)
    }

    struct Enforcement: CustomTestStringConvertible, Sendable {
        let keyword: SchemaKeyword
        let schema: JSONValue
        let valid: [JSONValue]
        let invalid: [JSONValue]

        init(_ keyword: SchemaKeyword, _ schema: JSONValue, valid: [JSONValue], invalid: [JSONValue]) {
            self.keyword = keyword
            self.schema = schema
            self.valid = valid
            self.invalid = invalid
        }

        var testDescription: String { keyword.rawValue }
    }

    static let enforcements: [Enforcement] = [
        .init(
            .type,
            ["type": "integer"],
            valid: [1, .number(1), .number(1e300)],
            invalid: [1.5, "1", true, .null, [], [:]]
        ),
        .init(.type, ["type": ["string", "null"]], valid: ["", .null], invalid: [0, false, [], [:]]),
        .init(.type, ["type": "number"], valid: [1, 1.5], invalid: ["1", .null]),
        .init(.type, ["type": "boolean"], valid: [true, false], invalid: [0, "true", .null]),
        .init(.type, ["type": "array"], valid: [[]], invalid: [[:], ""]),
        .init(.type, ["type": "object"], valid: [[:]], invalid: [[], "", .null]),
        .init(
            .enum,
            ["enum": ["a", 1, .null, ["x": [1]]]],
            valid: ["a", 1, .number(1), .null, ["x": [1]]],
            invalid: ["b", true, [:]]
        ),
        .init(
            .const,
            ["const": 9_007_199_254_740_993],
            valid: [9_007_199_254_740_993],
            invalid: [9_007_199_254_740_992]
        ),
        .init(.const, ["const": "\u{e9}"], valid: ["\u{e9}"], invalid: ["e\u{301}"]),
        .init(.const, ["const": ["a": "\n"], "enum": [["a": "\n"], 2]], valid: [["a": "\n"]], invalid: [2]),
        .init(.multipleOf, ["multipleOf": 2], valid: [4, 0, -2, .number(1e30), "3"], invalid: [3, 4.5, -1]),
        .init(.multipleOf, ["multipleOf": 0.01], valid: [19.99, 0.07, 1e10, 3], invalid: [0.005, 19.999]),
        .init(.multipleOf, ["multipleOf": 2.5], valid: [5, 7.5, .number(1e21)], invalid: [4, 1]),
        .init(
            .multipleOf,
            ["multipleOf": .integer(.max)],
            valid: [.integer(.max), 0],
            invalid: [.integer(.max - 1), 1]
        ),
        .init(.maximum, ["maximum": 3], valid: [3, 2.5, "9"], invalid: [4, 3.0001, .number(1e19)]),
        .init(.maximum, ["maximum": .number(0x1p53)], valid: [9_007_199_254_740_992], invalid: [9_007_199_254_740_993]),
        .init(.exclusiveMaximum, ["exclusiveMaximum": 3], valid: [2, 2.99], invalid: [3, .number(3)]),
        .init(.minimum, ["minimum": -1.5], valid: [-1.5, -1, 0], invalid: [-1.6, -2]),
        .init(.minimum, ["minimum": .number(9.3e18)], valid: [.number(1e19)], invalid: [.integer(.max), 0]),
        .init(.exclusiveMinimum, ["exclusiveMinimum": 0], valid: [1, 0.001], invalid: [0, .number(-0.0), -1]),
        .init(.maxLength, ["maxLength": 2], valid: ["é😀", "", 333], invalid: ["abc", "a\u{0}b"]),
        .init(.minLength, ["minLength": 3], valid: ["abc", "é😀x", "\u{0}\u{0}\u{0}", 1], invalid: ["ab", "é😀"]),
        .init(.pattern, ["pattern": "^[a-z]+$"], valid: ["abc", 5], invalid: ["", "aB", "abc\n", "a\u{0}b"]),
        .init(.pattern, ["pattern": "b"], valid: ["abc", "b"], invalid: ["ac"]),
        .init(.pattern, ["pattern": "^.$"], valid: ["😀"], invalid: ["ab", "\n"]),
        .init(.items, ["items": ["type": "integer"]], valid: [[], [1, 2], "x"], invalid: [["a"], [1, .null]]),
        .init(.items, ["items": [["type": "integer"], false]], valid: [[], [1]], invalid: [["a"], [1, 1]]),
        .init(.additionalItems, ["items": [true], "additionalItems": false], valid: [[1]], invalid: [[1, 2]]),
        .init(
            .additionalItems,
            ["items": [true], "additionalItems": ["type": "null"]],
            valid: [[1, .null]],
            invalid: [[1, 2]]
        ),
        .init(
            .prefixItems,
            ["prefixItems": [["type": "integer"], false]],
            valid: [[], [1], "x"],
            invalid: [["a"], [1, 1]]
        ),
        .init(
            .minContains,
            ["contains": ["type": "null"], "minContains": 2],
            valid: [[.null, 1, .null], 1],
            invalid: [[], [.null]]
        ),
        .init(
            .maxContains,
            ["contains": ["type": "null"], "maxContains": 1],
            valid: [[.null, 1], 1],
            invalid: [[], [.null, .null]]
        ),
        .init(
            .dependentRequired,
            ["dependentRequired": ["a": ["b"]]],
            valid: [[:], ["b": 1], ["a": 1, "b": 2], 1],
            invalid: [["a": 1]]
        ),
        .init(
            .dependentSchemas,
            ["dependentSchemas": ["a": ["minProperties": 2]]],
            valid: [[:], ["b": 1], ["a": 1, "b": 2], 1],
            invalid: [["a": 1]]
        ),
        .init(.maxItems, ["maxItems": 1], valid: [[], [1], "abc"], invalid: [[1, 2]]),
        .init(.minItems, ["minItems": 1], valid: [[1]], invalid: [[]]),
        .init(
            .uniqueItems,
            ["uniqueItems": true],
            valid: [[], [1, "1", true, .null, [1], ["a": 1]]],
            invalid: [[1, .number(1)], [["a": [1]], 2, ["a": [1]]]]
        ),
        .init(.uniqueItems, ["uniqueItems": false], valid: [[1, 1]], invalid: []),
        .init(.contains, ["contains": ["const": 2]], valid: [[1, 2], "x"], invalid: [[], [1]]),
        .init(.maxProperties, ["maxProperties": 1], valid: [[:], ["a": 1], []], invalid: [["a": 1, "b": 2]]),
        .init(.minProperties, ["minProperties": 1], valid: [["a": 1]], invalid: [[:]]),
        .init(.required, ["required": ["a", "b"]], valid: [["a": .null, "b": 1], []], invalid: [["a": 1], [:]]),
        .init(
            .properties,
            ["properties": ["a": ["type": "null"], "b": false]],
            valid: [[:], ["a": .null], ["c": 1], 3],
            invalid: [["a": 1], ["b": 1]]
        ),
        .init(
            .properties,
            ["properties": ["a": true], "additionalProperties": false],
            valid: [["a": 1]],
            invalid: [["a\u{0}b": 1], ["\u{0}": 1]]
        ),
        .init(
            .patternProperties,
            ["patternProperties": ["^x": ["type": "integer"]]],
            valid: [["x1": 1, "y": ""]],
            invalid: [["x1": ""]]
        ),
        .init(
            .additionalProperties,
            ["properties": ["a": true], "patternProperties": ["^x": true], "additionalProperties": false],
            valid: [["a": 1, "xy": 1]],
            invalid: [["b": 1]]
        ),
        .init(
            .additionalProperties,
            ["properties": ["a": true], "additionalProperties": ["type": "null"]],
            valid: [["a": 1, "b": .null]],
            invalid: [["b": 1]]
        ),
        .init(
            .dependencies,
            ["dependencies": ["a": ["b", "c"]]],
            valid: [["a": 1, "b": 1, "c": 1], ["b": 1]],
            invalid: [["a": 1, "b": 1]]
        ),
        .init(
            .dependencies,
            ["dependencies": ["a": ["required": ["b"]], "z": false]],
            valid: [["a": 1, "b": 1]],
            invalid: [["a": 1], ["z": 1]]
        ),
        .init(
            .propertyNames,
            ["propertyNames": ["pattern": "^[a-z]$", "maxLength": 1]],
            valid: [["a": 1], 1],
            invalid: [["A": 1], ["ab": 1]]
        ),
        .init(
            .propertyNames,
            ["propertyNames": ["enum": ["a", "\n"]]],
            valid: [["a": 1, "\n": 2]],
            invalid: [["b": 1]]
        ),
        .init(
            .propertyNames,
            ["propertyNames": ["type": "string", "not": ["minLength": 3]]],
            valid: [["a": 1]],
            invalid: [["abc": 1]]
        ),
        .init(.propertyNames, ["propertyNames": false], valid: [[:]], invalid: [["a": 1]]),
        .init(
            .if,
            ["if": ["type": "integer"], "then": ["minimum": 1], "else": ["type": "null"]],
            valid: [1, .null],
            invalid: [0, "x"]
        ),
        .init(.then, ["if": true, "then": false], valid: [], invalid: [1, .null]),
        .init(.else, ["if": false, "else": ["const": 1]], valid: [1], invalid: [2]),
        .init(.allOf, ["allOf": [["minimum": 1], ["maximum": 3]]], valid: [2], invalid: [0, 4]),
        .init(
            .anyOf,
            ["anyOf": [["type": "null"], ["minimum": 2, "type": "number"]]],
            valid: [.null, 3],
            invalid: [1, "x"]
        ),
        .init(.oneOf, ["oneOf": [["type": "integer"], ["minimum": 2]]], valid: [1, 2.5, "x"], invalid: [3, 0.5]),
        .init(.not, ["not": ["type": "null"]], valid: [1], invalid: [.null]),
        .init(.ref, ["$ref": "#/$defs/a", "$defs": ["a": ["type": "null"]]], valid: [.null], invalid: [1]),
        .init(
            .defs,
            ["items": ["$ref": "#/$defs/a"], "$defs": ["a": ["$ref": "#/$defs/b"], "b": ["const": 1]]],
            valid: [[1]],
            invalid: [[2]]
        ),
        .init(
            .definitions,
            ["items": ["$ref": "#/definitions/a"], "definitions": ["a": ["type": "null"]]],
            valid: [[.null]],
            invalid: [[1]]
        ),
    ]

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

    // MARK: Limits

    struct ExpensivePattern: CustomTestStringConvertible, Sendable {
        let pattern: String
        let subject: String

        init(_ pattern: String, _ unit: String, times: Int, then end: String = "") {
            self.pattern = pattern
            self.subject = String(repeating: unit, count: times) + end
        }

        var testDescription: String { pattern }
    }

    @Test(
        "A pattern that backtracks or reads too much is a violation, not a hang",
        .timeLimit(.minutes(1)),
        arguments: [
            ExpensivePattern("(a+)+$", "a", times: 40, then: "!"),
            ExpensivePattern("^(a|a)*$", "a", times: 40, then: "!"),
            ExpensivePattern("(?=(a+)+$)[ab]", "a", times: 40, then: "!"),
            ExpensivePattern("^(?:a?){30}a{30}$", "a", times: 30, then: "!"),
            ExpensivePattern("a*[bc]", "a", times: 1_000_000),
            ExpensivePattern(".*.*.*[bc]", "a", times: 100_000),
            ExpensivePattern("a{60000}[bc]", String(repeating: "a", count: 59_999) + "b", times: 16),
            ExpensivePattern("(a{3000})\\1\\1[bc]", "a", times: 200_000),
            ExpensivePattern("(x+x+)+[yz]", "x", times: 100_000),
            ExpensivePattern("(?<=b.{3000})a", "a", times: 1_000_000),
        ]
    )
    func expensivePatterns(_ expensive: ExpensivePattern) throws {
        let pattern = JSONValue.string(expensive.pattern)
        for schema: JSONValue in [["pattern": pattern], ["not": ["pattern": pattern]]] {
            let found = try JSONSchema(schema).validate(.string(expensive.subject))
            #expect(found.map(\.isLimit) == [true], "\(found)")
            #expect(found.first?.message.hasPrefix("pattern too expensive: ") == true)
        }
    }

    @Test("Harmless patterns match long texts")
    func longTexts() throws {
        let prose = String(repeating: "The quick brown fox jumps over the lazy dog.\n", count: 2_000)
        for pattern in ["^[A-Za-z. \\n]+$", "fox", "(lazy|eager) dog", "^(?:[^\\n]*\\n)*$", "\\bdog\\b"] {
            let found = try JSONSchema(["pattern": .string(pattern)]).validate(.string(prose))
            #expect(found == [], "\(pattern)")
        }
        #expect(try JSONSchema(["pattern": "unicorn"]).validate(.string(prose)).map(\.isLimit) == [false])
    }

    @Test("Schemas that multiply the work are a violation, not a hang", .timeLimit(.minutes(1)))
    func expensiveSchemas() throws {
        var definitions: JSONObject = [:]
        for level in 0..<30 {
            let next: JSONValue = level == 29 ? ["type": "null"] : ["$ref": .string("#/$defs/d\(level + 1)")]
            definitions["d\(level)"] = ["anyOf": [next, next, next]]
        }
        let schema = try JSONSchema(["$ref": "#/$defs/d0", "$defs": .object(definitions)])
        let found = schema.validate(1)
        #expect(found.map(\.isLimit) == [true])
        #expect(found.first?.message == "too expensive to validate against this schema")
    }

    @Test("A value that is nested too deeply is refused")
    func deepValue() throws {
        var value: JSONValue = 1
        for _ in 0..<600 { value = [value] }
        #expect(try JSONSchema(true).validate(value).map(\.isLimit) == [true])
    }

    @Test("The deepest schema that the linter passes compiles and validates on a small stack")
    func deepSchema() async throws {
        var schema: JSONValue = ["type": "null"]
        var value: JSONValue = .null
        for _ in 0..<63 {
            schema = ["properties": ["a": schema], "required": ["a"]]
            value = ["a": value]
        }
        let task = Task { [schema, value] in try JSONSchema(schema).validate(value) }
        #expect(try await task.value == [])
        #expect(throws: JSONSchemaError.self) { try JSONSchema(["not": schema]) }
    }

    @Test("One schema validates on several threads at once")
    func threads() async throws {
        let schema = try JSONSchema(["items": ["pattern": "^(a|b)+$", "enum": ["a", "b", "ab"]], "uniqueItems": true])
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    (0..<200).allSatisfy { _ in
                        schema.validate(["a", "b"]).isEmpty && schema.validate(["a", "c"]).count == 2
                    }
                }
            }
            for await isRight in group { #expect(isRight) }
        }
    }

    @Test("A schema with problems does not compile, and the error names the first")
    func problems() throws {
        let error = #expect(throws: JSONSchemaError.self) { try JSONSchema(["typ": 1, "items": 3]) }
        #expect(error?.problems.count == 2)
        #expect(error?.description == "/items: a schema is an object or a boolean, not a number (and 1 more)")
    }
}
