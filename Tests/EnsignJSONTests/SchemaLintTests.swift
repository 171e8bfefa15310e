import EnsignJSON
import EnsignModel
import Testing

@Suite("lintSchema")
struct SchemaLintTests {
    /// `<severity> <code> <pointer>: <message> [<suggestion>]`
    func lint(_ schema: JSONValue, of dialects: Bool = false) -> [String] {
        lintSchema(schema).filter { dialects || $0.code != .unlabelledDialect }.map { problem in
            let suggestion = problem.suggestion.map { " [\($0)]" } ?? ""
            let severity = problem.severity == .error ? "" : "warning "
            return "\(severity)\(problem.code.rawValue) \(problem.pointer.jsonPointer): \(problem.message)\(suggestion)"
        }
    }

    @Test("A schema of all keywords has no problems")
    func clean() {
        let schema: JSONValue = [
            "$schema": "http://json-schema.org/draft-07/schema#", "$comment": "c", "title": "t", "description": "d",
            "default": .null, "examples": [], "format": "date", "readOnly": true, "writeOnly": false,
            "deprecated": true,
            "type": ["object", "array"], "enum": [1], "const": 1, "multipleOf": 0.1, "maximum": 3, "minimum": 1,
            "exclusiveMaximum": 4, "exclusiveMinimum": 0, "maxLength": 1, "minLength": 1, "pattern": "^a$",
            "items": [true, ["$ref": "#/$defs/a", "description": "d"]], "additionalItems": false, "maxItems": 2,
            "minItems": 0, "uniqueItems": true, "contains": [:], "maxProperties": 3, "minProperties": 0,
            "required": ["a"], "properties": ["a": true, "type": [:]], "patternProperties": ["^b": true],
            "additionalProperties": ["$ref": "#/definitions/b"], "dependencies": ["a": ["b"], "c": [:]],
            "propertyNames": ["maxLength": 3], "if": true, "then": true, "else": true, "allOf": [true], "anyOf": [true],
            "oneOf": [true], "not": false, "$defs": ["a": ["$ref": "#/definitions/b"]], "definitions": ["b": true],
            "$id": "https://example.com/schema", "contentEncoding": "base64", "contentMediaType": "image/png",
            "contentSchema": ["anything": 1], "discriminator": ["propertyName": "a"], "example": .null,
            "x-order": ["anything": 1],
        ]
        #expect(lint(schema) == [])
        // Those of later drafts, `$ref` and `x-order`.
        #expect(schema.object?.count == SchemaKeyword.allCases.count - 5 - 1 + 1)
        #expect(lint(true) == [] && lint(false) == [] && lint([:]) == [])
    }

    @Test(
        "A keyword that is not checked is an error, with what was meant",
        arguments: [
            ("requierd", "required"), ("itmes", "items"), ("propertys", "properties"), ("maxlength", "maxLength"),
            ("additional_properties", "additionalProperties"), ("ref", "$ref"), ("defs", "$defs"), ("typ", "type"),
            ("x", nil), ("", nil), ("x-", nil), ("unevaluatedItems", "items"),
            ("unevaluatedProperties", "additionalProperties"), ("$dynamicRef", nil), ("$anchor", nil),
            ("nullable", "type"), ("divisibleBy", "multipleOf"), ("Title", "title"),
        ] as [(String, String?)]
    )
    func unknownKeyword(name: String, suggestion: String?) {
        let problems = lintSchema(["properties": ["a": [name: 1]]])
        #expect(problems.map(\.code) == [.unknownKeyword])
        #expect(problems.first?.pointer == ["properties", "a", name])
        #expect(problems.first?.suggestion == suggestion)
    }

    @Test("Long names are cut and never searched for suggestions")
    func longNames() {
        let problems = lintSchema([String(repeating: "type", count: 100_000): 1, "a\u{1b}[2J": 1])
        #expect(problems.count == 2)
        #expect(problems.allSatisfy { $0.message.utf8.count < 120 && $0.suggestion == nil })
        #expect(problems.allSatisfy { !$0.message.contains("\u{1b}") })
    }

    @Test(
        "Values of the wrong kind",
        arguments: [
            (1, [": a schema is an object or a boolean, not a number"]),
            (
                ["type": "int"],
                [
                    "/type: there is no type 'int'; there are array, boolean, integer, null, number, object, string [integer]"
                ]
            ),
            (
                ["type": ["string", "String", "string", 1]],
                [
                    "/type/1: there is no type 'String'; there are array, boolean, integer, null, number, object, string [string]",
                    "/type/2: 'string' is repeated", "/type/3: expected the name of a type, got a number",
                ]
            ),
            (
                ["type": "any"],
                ["/type: there is no type 'any'; there are array, boolean, integer, null, number, object, string"]
            ),
            (["type": []], ["/type: must not be empty"]),
            (["type": .null], ["/type: expected the name of a type or an array of them, got null"]),
            (["enum": 1], ["/enum: expected an array, got a number"]),
            (["enum": []], ["/enum: must not be empty: nothing would be valid"]),
            (["multipleOf": 0], ["/multipleOf: must be more than 0"]),
            (["multipleOf": -0.5], ["/multipleOf: must be more than 0"]),
            (["multipleOf": "2"], ["/multipleOf: expected a number, got a string"]),
            (["minimum": "2"], ["/minimum: expected a number, got a string"]),
            (["maximum": .number(.nan)], ["/maximum: expected a number, got a number"]),
            (["exclusiveMaximum": true], ["/exclusiveMaximum: expected a number, got a boolean"]),
            (
                ["exclusiveMinimum": 9_007_199_254_740_993],
                [
                    "/exclusiveMinimum: 9007199254740993 is beyond 2^53 and has no exact double, with which numbers are compared"
                ]
            ),
            (["maxLength": -1], ["/maxLength: expected a whole number that is not negative, got a number"]),
            (["minItems": 1.5], ["/minItems: expected a whole number that is not negative, got a number"]),
            (["minProperties": "1"], ["/minProperties: expected a whole number that is not negative, got a string"]),
            (["maxItems": .number(1e19)], ["/maxItems: expected a whole number that is not negative, got a number"]),
            (["pattern": 1], ["/pattern: expected a string, got a number"]),
            (["items": 1], ["/items: a schema is an object or a boolean, not a number"]),
            (["items": []], ["/items: must not be empty"]),
            (["items": [true, 1]], ["/items/1: a schema is an object or a boolean, not a number"]),
            (
                ["additionalItems": 1, "items": [true]],
                ["/additionalItems: a schema is an object or a boolean, not a number"]
            ),
            (["uniqueItems": 1], ["/uniqueItems: expected a boolean, got a number"]),
            (["contains": []], ["/contains: a schema is an object or a boolean, not an array"]),
            (["required": "a"], ["/required: expected an array of property names, got a string"]),
            (
                ["required": ["a", 1, "a"]],
                ["/required/1: expected a property name, got a number", "/required/2: 'a' is repeated"]
            ),
            (["required": ["a\u{0}"]], [#"/required/0: 'a\u{0}' contains a NUL character"#]),
            (["properties": []], ["/properties: expected an object, got an array"]),
            (
                ["properties": ["a": "string", "b\u{0}": true]],
                [
                    "/properties/a: a schema is an object or a boolean, not a string",
                    "/properties/b\u{0}: 'b\\u{0}' contains a NUL character",
                ]
            ),
            (
                ["patternProperties": ["a": .null]],
                ["/patternProperties/a: a schema is an object or a boolean, not null"]
            ),
            (
                ["additionalProperties": "false"],
                ["/additionalProperties: a schema is an object or a boolean, not a string"]
            ),
            (
                ["dependencies": ["a": ["b", "b"], "c": 1]],
                [
                    "/dependencies/a/1: 'b' is repeated",
                    "/dependencies/c: a schema is an object or a boolean, not a number",
                ]
            ),
            (["propertyNames": "a"], ["/propertyNames: a schema is an object or a boolean, not a string"]),
            (
                ["if": 1, "then": 1, "else": 1],
                [
                    "/else: a schema is an object or a boolean, not a number",
                    "/if: a schema is an object or a boolean, not a number",
                    "/then: a schema is an object or a boolean, not a number",
                ]
            ),
            (["allOf": []], ["/allOf: must not be empty"]),
            (["anyOf": [:]], ["/anyOf: expected an array of schemas, got an object"]),
            (["oneOf": [1]], ["/oneOf/0: a schema is an object or a boolean, not a number"]),
            (["not": .null], ["/not: a schema is an object or a boolean, not null"]),
            (["$defs": true], ["/$defs: expected an object, got a boolean"]),
            (["definitions": ["a/b": 1]], ["/definitions/a~1b: a schema is an object or a boolean, not a number"]),
            (["title": 1], ["/title: expected a string, got a number"]),
            (["examples": 1], ["/examples: expected an array, got a number"]),
            (["deprecated": "yes"], ["/deprecated: expected a boolean, got a string"]),
            (
                ["$schema": "http://json-schema.org/draft-04/schema#"],
                [
                    "/$schema: the dialect is none of draft 7, draft 2019-09, draft 2020-12 [https://json-schema.org/draft/2020-12/schema]"
                ]
            ),
            (
                ["$schema": "https://json-schema.org/draft/2020-12/schema", "items": [true]],
                ["/items: in draft 2020-12 'items' is one schema [prefixItems]"]
            ),
            (["prefixItems": []], ["/prefixItems: must not be empty"]),
            (
                ["dependentRequired": ["a": true]],
                ["/dependentRequired/a: expected an array of property names, got a boolean"]
            ),
            (
                ["dependentSchemas": ["a": ["b"]]],
                ["/dependentSchemas/a: a schema is an object or a boolean, not an array"]
            ),
            (
                ["contains": true, "minContains": -1],
                ["/minContains: expected a whole number that is not negative, got a number"]
            ),
            (["$id": "#a"], ["/$id: must be an address without '#'"]),
            (["x-a": .number(.nan)], ["/x-a: must not contain NaN or infinity"]),
            (
                ["minimum": .integer(.max)],
                [
                    "/minimum: 9223372036854775807 is beyond 2^53 and has no exact double, with which numbers are compared"
                ]
            ),
        ] as [(JSONValue, [String])]
    )
    func invalidValues(schema: JSONValue, expected: [String]) {
        #expect(lint(schema) == expected.map { "schema-invalid-value " + $0 })
    }

    @Test("NaN in const or enum is a problem, not a trap")
    func nonFinite() {
        #expect(
            lint(["const": ["a": [.number(.nan)]]]) == ["schema-invalid-value /const: must not contain NaN or infinity"]
        )
        #expect(
            lint(["enum": [.number(.infinity)]]) == ["schema-invalid-value /enum: must not contain NaN or infinity"]
        )
    }

    @Test(
        "A keyword that the schema's dialect ignores is refused, and a dialect that is not named is what the words show",
        arguments: [
            (nil, ["prefixItems": [true], "items": false, "dependentRequired": ["a": ["b"]]], []),
            (nil, ["contains": true, "minContains": 0, "maxContains": 2, "dependentSchemas": ["a": true]], []),
            (
                nil, ["dependencies": ["a": ["b"]]],
                [
                    "warning schema-unlabelled : 'dependencies' as it is here is of draft 7, and readers may take a schema without '$schema' for 2020-12"
                ]
            ),
            (
                nil, ["dependencies": ["a": ["b"]], "not": ["prefixItems": [true]]],
                [
                    "schema-ignored-keyword : 'dependencies' as it is here is of draft 7, and 'prefixItems' of later drafts: '$schema' must say which counts"
                ]
            ),
            (.draft7, ["dependencies": ["a": ["b"]], "items": [true], "additionalItems": false], []),
            (
                .draft7, ["prefixItems": [true]],
                [
                    "schema-ignored-keyword /prefixItems: 'prefixItems' is of draft 2020-12, and ignored in draft 7, which '$schema' names [items]"
                ]
            ),
            (
                .draft2020, ["dependencies": [:]],
                [
                    "schema-ignored-keyword /dependencies: 'dependencies' is of draft 7, and ignored in draft 2020-12, which '$schema' names [dependentRequired]"
                ]
            ),
            (.draft2020, ["$ref": "#/$defs/a", "type": "string", "$defs": ["a": true]], []),
            (.draft2019, ["$ref": "#/$defs/a", "items": [true], "additionalItems": false, "$defs": ["a": true]], []),
            (
                .draft2020, ["minContains": 1],
                ["schema-ignored-keyword /minContains: 'minContains' without 'contains' is ignored"]
            ),
            (
                .draft2020, ["contains": true, "minContains": 3, "maxContains": 2],
                ["warning schema-contradiction /minContains: 'minContains' is more than 'maxContains'"]
            ),
        ] as [(SchemaDialect?, JSONObject, [String])]
    )
    func dialects(dialect: SchemaDialect?, keywords: JSONObject, expected: [String]) {
        var keywords = keywords
        if let dialect { keywords["$schema"] = .string(dialect.label) }
        #expect(lint(.object(keywords), of: true) == expected)
    }

    @Test("Bounds that no exact number reaches are accepted where they keep nothing out")
    func bounds() throws {
        let schema: JSONValue = [
            "maximum": .integer(.max), "minimum": .integer(.min), "exclusiveMaximum": .integer(.max),
            "exclusiveMinimum": .integer(.min), "type": "integer",
        ]
        #expect(lint(schema) == [])
        let compiled = try JSONSchema(schema)
        for value: JSONValue in [0, .integer((1 << 53) - 1), .integer(1 - (1 << 53))] {
            #expect(compiled.validate(value).isEmpty, "\(value)")
        }
        for value: JSONValue in [.integer(1 << 53), .integer(.min), .number(1e300), "1"] {
            #expect(!compiled.validate(value).isEmpty, "\(value)")
        }
    }

    @Test(
        "Keywords that are ignored, contradict or do nothing",
        arguments: [
            (
                ["then": true, "else": true],
                [
                    "schema-ignored-keyword /else: 'else' without 'if' is ignored",
                    "schema-ignored-keyword /then: 'then' without 'if' is ignored",
                ]
            ),
            (
                ["additionalItems": false, "items": true],
                ["schema-ignored-keyword /additionalItems: 'additionalItems' is ignored unless 'items' is an array"]
            ),
            (["if": true], ["warning schema-contradiction /if: 'if' without 'then' and 'else' does nothing"]),
            (
                ["minLength": 3, "maxLength": 2],
                ["warning schema-contradiction /minLength: 'minLength' is more than 'maxLength'"]
            ),
            (["minimum": 1, "maximum": 1], []),
            (
                ["exclusiveMinimum": 1, "maximum": 1],
                [
                    "warning schema-contradiction /exclusiveMinimum: no number is between 'exclusiveMinimum' and 'maximum'"
                ]
            ),
            (["enum": [1, "a", .number(1)]], ["warning schema-contradiction /enum/2: the value is repeated"]),
            (
                ["required": ["ammount"], "properties": ["amount": true], "additionalProperties": false],
                [
                    "warning schema-contradiction /required/0: 'ammount' is required, but neither in 'properties' nor allowed beside them [amount]"
                ]
            ),
            (["required": ["a"], "additionalProperties": false, "patternProperties": ["a": true]], []),
        ] as [(JSONValue, [String])]
    )
    func combinations(schema: JSONValue, expected: [String]) {
        #expect(lint(schema) == expected)
    }

    @Test("What a schema costs does not grow with its problems times its names")
    func suggestionEffort() {
        let names = (0..<60_000).map { "property-with-a-long-name-\($0)" }
        let schema: JSONValue = [
            "additionalProperties": false,
            "properties": .object(JSONObject(names.map { ($0, [:]) })),
            "required": .array((0..<200).map { .string("property-with-a-long-name-x\($0)") }),
        ]
        let elapsed = ContinuousClock().measure { #expect(lintSchema(schema).count == 100) }
        // Each name for each problem would be six million comparisons.
        #expect(elapsed < .seconds(20))
    }

    @Test("At most 100 problems are returned")
    func limit() {
        let names = (0..<5000).map { "unknown\($0)" }
        #expect(lintSchema(.object(JSONObject(names.map { ($0, 1) }))).count == 100)
        #expect(lintSchema(["required": .array(Array(repeating: 1, count: 5000))]).count == 100)
        #expect(lintSchema(["enum": .array(Array(repeating: 1, count: 5000))]).count == 100)
        #expect(lintSchema(["allOf": .array(Array(repeating: 1, count: 5000))]).count == 100)
        let cycles = JSONObject((0..<5000).map { ("d\($0)", ["$ref": .string("#/$defs/d\($0)")]) })
        #expect(lintSchema(["$defs": .object(cycles)]).count == 100)
    }

    @Test(
        "The nearest name is suggested",
        arguments: [
            ("modle", "model"), ("mdel", "model"), ("Model", "model"), ("mods", nil), ("x", nil), ("nam", "name"),
            ("model", "model"),
            ("toolsets", nil), ("", nil), ("descritpion", "description"), ("description12", "description"),
            ("description123", nil),
        ] as [(String, String?)]
    )
    func suggestions(name: String, expected: String?) {
        #expect(closestMatch(to: name, among: ["model", "name", "tools", "description"]) == expected)
    }
}
