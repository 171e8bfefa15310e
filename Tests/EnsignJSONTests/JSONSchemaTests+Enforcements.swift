import EnsignJSON
import EnsignModel
import Testing

/// For each keyword a schema, with what it lets through and what not.
extension JSONSchemaTests {
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
}
