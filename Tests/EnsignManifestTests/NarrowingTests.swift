import EnsignJSON
import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("Narrowing an operation's input by a grant")
struct NarrowingTests {
    private func text(_ value: JSONValue) -> String { String(decoding: value.canonicalBytes(), as: UTF8.self) }

    private func parse(_ text: String) throws -> JSONValue { try JSONParser.parse(Array(text.utf8)) }

    private func combined(_ base: String, _ narrowing: String) throws -> String {
        text(Narrowing.combine(try parse(base), try parse(narrowing)))
    }

    @Test("An operation without a schema takes no arguments, whatever a grant says of them")
    func noBase() throws {
        for grant: JSONValue in [
            true, ["properties": ["a": ["type": "number"]]], ["type": "object", "additionalProperties": true],
        ] {
            let both = try JSONSchema(Narrowing.combine(nil, grant))
            #expect(both.validate([:]).isEmpty && !both.validate(["a": 1]).isEmpty, "\(text(grant))")
        }
        let wanting = try JSONSchema(Narrowing.combine(nil, ["required": ["a"]]))
        #expect(!wanting.validate([:]).isEmpty)
        let misfits = Narrowing.misfits(["properties": ["a": ["type": "number"]]], in: nil)
        #expect(misfits.map(\.message) == ["the operation has no argument 'a'"])
    }

    @Test("Limits are merged into the operation's schema, the stricter one of each")
    func merged() throws {
        #expect(
            try combined(
                #"{"type":"object","required":["a"],"additionalProperties":false,"properties":{"a":{"type":"string"},"n":{"type":"number","maximum":500,"minimum":1}}}"#,
                #"{"required":["n","a"],"properties":{"n":{"maximum":100,"minimum":0},"a":{"enum":["x","y"]}}}"#
            )
                == #"{"additionalProperties":false,"properties":{"a":{"enum":["x","y"],"type":"string"},"n":{"maximum":100,"minimum":1,"type":"number"}},"required":["a","n"],"type":"object"}"#
        )
        #expect(try combined(#"{"enum":["a","b","c"]}"#, #"{"enum":["c","d","b"]}"#) == #"{"enum":["b","c"]}"#)
        #expect(try combined(#"{"maximum":5}"#, #"{"exclusiveMaximum":5}"#) == #"{"exclusiveMaximum":5,"maximum":5}"#)
        #expect(try combined(#"{"maxLength":5}"#, "true") == #"{"maxLength":5}"#)
    }

    @Test("What cannot be merged stands side by side in allOf")
    func sideBySide() throws {
        #expect(
            try combined(#"{"pattern":"^a"}"#, #"{"pattern":"b$"}"#)
                == #"{"allOf":[{"pattern":"^a"},{"pattern":"b$"}]}"#
        )
        #expect(
            try combined(#"{"additionalProperties":false}"#, #"{"properties":{"x":{}}}"#)
                == #"{"allOf":[{"additionalProperties":false},{"properties":{"x":{}}}]}"#
        )
        #expect(try combined(#"{"enum":["a"]}"#, #"{"enum":["b"]}"#) == #"{"allOf":[{"enum":["a"]},{"enum":["b"]}]}"#)
        #expect(try combined(#"{"type":"string"}"#, "false") == #"{"allOf":[{"type":"string"},false]}"#)
    }

    @Test("A grant that leaves arguments out keeps them out")
    func closedGrant() throws {
        let base = try parse(#"{"properties":{"a":{},"b":{}},"additionalProperties":false}"#)
        let grant = try parse(#"{"properties":{"a":{}},"additionalProperties":false}"#)
        let both = try JSONSchema(Narrowing.combine(base, grant))
        #expect(both.validate(["a": 1]).isEmpty)
        #expect(!both.validate(["a": 1, "b": 1]).isEmpty)
    }

    @Test("Definitions stay at the root, where references find them, and those of the grant stay apart")
    func definitions() throws {
        let base = try parse(
            ##"{"properties":{"n":{"$ref":"#/$defs/money"}},"additionalProperties":false,"$defs":{"money":{"maximum":500}}}"##
        )
        let grant = try parse(
            ##"{"properties":{"n":{"$ref":"#/$defs/money"},"m":{}},"$defs":{"money":{"$ref":"#/$defs/less"},"less":{"maximum":100}}}"##
        )
        let combined = Narrowing.combine(base, grant)
        #expect(lintSchema(combined) == [])
        let schema = try JSONSchema(combined)
        #expect(schema.validate(["n": 100]).isEmpty)
        #expect(!schema.validate(["n": 101]).isEmpty)
        #expect(!schema.validate(["m": 1]).isEmpty)
        // A reference inside a value is not a reference.
        let data = try parse(##"{"const":{"$ref":"#/$defs/a"},"$defs":{"a":{"maximum":1}}}"##)
        let other = try parse(##"{"allOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"type":"object"}}}"##)
        let both = try JSONSchema(Narrowing.combine(other, data))
        #expect(both.validate(["$ref": "#/$defs/a"]).isEmpty)
    }

    @Test("The combined schema accepts exactly what both accept", arguments: 0..<20 as Range<UInt64>)
    func property(batch: UInt64) throws {
        var generator = SchemaGenerator(SeededGenerator(for: "combine \(batch)", standard: 7_000 + batch))
        var compared = 0
        for _ in 0..<150 {
            let base = generator.root()
            let narrowing = generator.random.once(in: 3) ? generator.root() : generator.changed(base)
            guard lintSchema(base).allSatisfy({ $0.severity == .warning }),
                lintSchema(narrowing).allSatisfy({ $0.severity == .warning })
            else { continue }
            let combined = Narrowing.combine(base, narrowing)
            let said = "seed \(generator.random.seed): \(text(base)) and \(text(narrowing)) is \(text(combined))"
            let problems = lintSchema(combined).filter { $0.severity == .error }
            guard problems.isEmpty else {
                Issue.record("\(said): \(problems)")
                continue
            }
            let (first, second) = (try JSONSchema(base), try JSONSchema(narrowing))
            let both = try JSONSchema(combined)
            for _ in 0..<12 {
                let value = generator.value(depth: 3)
                let expected = first.validate(value, limit: 1).isEmpty && second.validate(value, limit: 1).isEmpty
                #expect(both.validate(value, limit: 1).isEmpty == expected, "\(text(value)), \(said)")
                compared += 1
            }
        }
        #expect(compared > 1_000)
    }
}
