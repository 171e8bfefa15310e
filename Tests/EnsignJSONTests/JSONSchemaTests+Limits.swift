import EnsignJSON
import EnsignModel
import Testing

/// What no schema and no value may cost.
extension JSONSchemaTests {
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
