import EnsignJSON
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignTestSupport
import Testing

@Suite("Whether one schema accepts no more than another")
struct SchemaOrderTests {
    private func text(_ value: JSONValue) -> String { String(decoding: value.canonicalBytes(), as: UTF8.self) }

    private func narrower(_ new: String, _ old: String) throws -> Bool {
        SchemaOrder.isProvablyNarrower(
            try JSONParser.parse(Array(new.utf8)),
            than: try JSONParser.parse(Array(old.utf8))
        )
    }

    @Test("Stricter limits are narrower, looser ones are not")
    func limits() throws {
        for (new, old) in [
            (#"{"maximum":5}"#, #"{"maximum":6}"#), (#"{"exclusiveMaximum":6}"#, #"{"maximum":6}"#),
            (#"{"maximum":5}"#, #"{"exclusiveMaximum":6}"#), (#"{"minLength":3}"#, #"{"minLength":2}"#),
            (#"{"required":["a","b"]}"#, #"{"required":["b"]}"#), (#"{"enum":[1]}"#, #"{"enum":[2,1.0]}"#),
            (#"{"const":1}"#, #"{"enum":[1,2]}"#), (#"{"const":1}"#, #"{"type":"number"}"#),
            (#"{"type":"integer"}"#, #"{"type":["string","number"]}"#),
            (#"{"items":{"maximum":1}}"#, #"{"items":{"maximum":2}}"#),
            (#"{"properties":{"a":false}}"#, #"{"properties":{"a":true}}"#),
            (#"{"additionalProperties":false,"properties":{"a":{}}}"#, #"{"properties":{"a":{}}}"#),
            (#"{"additionalProperties":false}"#, #"{"additionalProperties":false,"properties":{"a":{"maximum":1}}}"#),
            (#"{"allOf":[{"maximum":6},{"pattern":"x"}]}"#, #"{"maximum":6}"#),
            (#"{"maximum":1}"#, #"{"allOf":[{"maximum":2}]}"#),
            (#"{"anyOf":[{"maximum":1},{"maximum":2}]}"#, #"{"maximum":3}"#),
            (#"{"maximum":1}"#, #"{"anyOf":[{"maximum":2},false]}"#),
            ("false", #"{"maximum":1}"#), (#"{"maximum":1}"#, "true"), (#"{"maximum":1}"#, #"{"title":"x"}"#),
            (#"{"items":[{"maximum":1}],"maxItems":3}"#, #"{"items":[{"maximum":1}],"maxItems":4}"#),
            (#"{"items":false,"maxItems":3}"#, #"{"items":false}"#),
        ] {
            #expect(try narrower(new, old), "\(new) than \(old)")
            #expect(try narrower(old, old), "\(old)")
            // None of these are equal: the way back is wider.
            #expect(try !narrower(old, new), "\(old) than \(new)")
        }
    }

    @Test("Optional arguments are compared whatever way they are written, and an alternative more is wider")
    func alternatives() throws {
        let (optional, list) = (#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#, #"{"type":["string","null"]}"#)
        let titled = #"{"anyOf":[{"type":"string","title":"x"},{"type":"null"}],"default":null,"title":"Q"}"#
        for (one, other) in [(optional, list), (optional, titled), (list, titled)] {
            #expect(try narrower(one, other) && narrower(other, one), "\(one) and \(other)")
        }
        let three = #"{"anyOf":[{"type":"string"},{"type":"null"},{"type":"integer"}]}"#
        let limited = #"{"anyOf":[{"type":"string","maxLength":3},{"type":"null"}]}"#
        for (new, old) in [
            (optional, three), (list, three), (limited, optional), (limited, list), (#"{"type":"string"}"#, optional),
            (#"{"type":["string","null"],"maxLength":3}"#, limited),
        ] {
            #expect(try narrower(new, old), "\(new) than \(old)")
            if new != #"{"type":["string","null"],"maxLength":3}"# {
                #expect(try !narrower(old, new), "\(old) than \(new)")
            }
        }
        // A value that is both is in neither alternative alone, and still in one of them.
        #expect(try !narrower(list, #"{"anyOf":[{"type":"string","maxLength":3},{"type":"null"}]}"#))
    }

    @Test("No schema at all accepts everything")
    func absent() {
        #expect(SchemaOrder.isProvablyNarrower(["maximum": 1], than: nil))
        #expect(SchemaOrder.isProvablyNarrower(nil, than: nil))
        #expect(!SchemaOrder.isProvablyNarrower(nil, than: ["maximum": 1]))
    }

    @Test("Equal references are equal only where they lead to the same")
    func references() throws {
        let wide = ##"{"properties":{"a":{"$ref":"#/$defs/m"}},"$defs":{"m":{"maximum":500}}}"##
        let narrow = ##"{"properties":{"a":{"$ref":"#/$defs/m"}},"$defs":{"m":{"maximum":100}}}"##
        #expect(try !narrower(wide, narrow))
        #expect(try narrower(wide, wide))
        #expect(
            try narrower(
                ##"{"properties":{"a":{"$ref":"#/$defs/m"}},"maxProperties":1,"$defs":{"m":{"maximum":500}}}"##,
                wide
            )
        )
        // Definitions that nothing refers to change nothing.
        #expect(try narrower(##"{"maximum":1,"$defs":{"m":{}}}"##, ##"{"maximum":2,"$defs":{"m":{"maximum":1}}}"##))
    }

    @Test("Recursive schemas are compared by what they say at each level")
    func recursion() throws {
        func tree(_ limit: Int, _ name: String = "t") -> String {
            ##"{"$ref":"#/$defs/\##(name)","$defs":{"\##(name)":{"type":"object","properties":{"n":{"type":"number","maximum":\##(limit)},"next":{"$ref":"#/$defs/\##(name)"}}}}}"##
        }
        #expect(try narrower(tree(1), tree(2)))
        #expect(try !narrower(tree(2), tree(1)))
        // Names of definitions say nothing.
        #expect(try narrower(tree(1, "a"), tree(1, "b")))
        #expect(try narrower(tree(1, "a"), tree(2, "b")))
        // What only the second level allows is seen.
        let outer =
            ##"{"type":"object","properties":{"n":{"type":"number","maximum":1},"next":{"$ref":"#/$defs/t"}},"$defs":{"t":{"type":"object","properties":{"n":{"type":"number","maximum":9},"next":{"$ref":"#/$defs/t"}}}}}"##
        #expect(try !narrower(outer, tree(1)))
        #expect(try narrower(tree(1), outer))
    }

    @Test("A stricter limit is narrower whatever refers to itself, or to too much, beside it")
    func besideReferences() throws {
        let json =
            ##"{"anyOf":[{"type":"string"},{"type":"array","items":{"$ref":"#/$defs/R"}},{"type":"object","additionalProperties":{"$ref":"#/$defs/R"}}]}"##
        let tree =
            ##"{"type":"object","properties":{"left":{"$ref":"#/$defs/R"},"right":{"$ref":"#/$defs/R"}}}"##
        // Alternatives of alternatives: more than can be looked at.
        var fan = ##"{"anyOf":[{"$ref":"#/$defs/f0"},{"properties":{"a":{"$ref":"#/$defs/f0"}}}]}"##
        for level in 0..<40 {
            let next = ##"{"$ref":"#/$defs/f\##(level + 1)"}"##
            let arms = "[{\"allOf\":[\(next),{\"properties\":{\"a\":\(next)}}]},{\"not\":\(next)}]"
            fan += ",\"f\(level)\":{\"anyOf\":\(arms)}"
        }
        fan += #","f40":{"maximum":5}"#
        for definition in [json, tree, fan] {
            func schema(_ limit: Int) throws -> JSONValue {
                let text =
                    ##"{"type":"object","$defs":{"R":\##(definition)},"properties":{"amount":{"type":"number","maximum":\##(limit)},"meta":{"$ref":"#/$defs/R"}}}"##
                return try JSONParser.parse(Array(text.utf8))
            }
            #expect(SchemaOrder.change(from: try schema(100), to: try schema(10)) == .narrower, "\(definition)")
            #expect(SchemaOrder.change(from: try schema(10), to: try schema(100)) == .wider, "\(definition)")
        }
    }

    @Test("A schema means the same in the words of another dialect")
    func dialects() throws {
        let modern =
            ##"{"$schema":"https://json-schema.org/draft/2020-12/schema","prefixItems":[{"type":"integer"}],"items":false}"##
        let old =
            ##"{"$schema":"http://json-schema.org/draft-07/schema#","items":[{"type":"integer"}],"additionalItems":false}"##
        #expect(try narrower(modern, old) && narrower(old, modern))
        // The same words under another label do not.
        let draft7 =
            ##"{"$schema":"http://json-schema.org/draft-07/schema#","$defs":{"a":{"type":"integer"}},"properties":{"a":{"$ref":"#/$defs/a","maximum":3}}}"##
        let later =
            ##"{"$schema":"https://json-schema.org/draft/2020-12/schema","$defs":{"a":{"type":"integer"}},"properties":{"a":{"$ref":"#/$defs/a","maximum":3}}}"##
        #expect(try !narrower(draft7, later))
        #expect(try narrower(later, draft7))
    }

    @Test("A schema that was narrowed by a grant is narrower than the operation's own")
    func narrowed() throws {
        let base = try JSONParser.parse(
            Array(
                ##"{"type":"object","required":["a"],"additionalProperties":false,"properties":{"a":{"type":"string"},"n":{"type":"number","maximum":500},"m":{"$ref":"#/$defs/m"}},"$defs":{"m":{"maximum":9}}}"##
                    .utf8
            )
        )
        for grant: JSONValue in [
            ["properties": ["n": ["maximum": 100]]], ["properties": ["a": ["pattern": "^x"]], "required": ["n"]],
            ["properties": ["n": ["enum": [1, 2]]]], ["maxProperties": 2],
            ["properties": ["a": [:]], "additionalProperties": false],
            ["properties": ["m": ["maximum": 5]]],
        ] {
            let combined = Narrowing.combine(base, grant)
            #expect(SchemaOrder.isProvablyNarrower(combined, than: base), "\(text(combined))")
            #expect(!SchemaOrder.isProvablyNarrower(base, than: combined), "\(text(combined))")
        }
    }

    @Test("Nested alternatives that never fit are given up in time")
    func time() {
        func nested(_ depth: Int, _ keyword: String, _ limit: String, _ leaf: JSONValue) -> JSONValue {
            (0..<depth).reduce(leaf) { inner, level in
                // Both parts are to be tried, and none is equal to anything on the other side.
                let other: JSONValue = .object(JSONObject([(limit, .integer(Int64(level)))]))
                return .object(JSONObject([(keyword, .array([inner, other]))]))
            }
        }
        for (new, old) in [("allOf", "allOf"), ("anyOf", "anyOf"), ("allOf", "anyOf"), ("anyOf", "allOf")] {
            let clock = ContinuousClock()
            let elapsed = clock.measure {
                let isNarrower = SchemaOrder.isProvablyNarrower(
                    nested(20, new, "maximum", ["pattern": "a"]),
                    than: nested(20, old, "minimum", ["pattern": "b"])
                )
                #expect(!isNarrower)
            }
            #expect(elapsed < .seconds(4), "\(new) \(old)")
        }
    }

    @Test("What is said to be narrower never accepts what the other refuses", arguments: 0..<20 as Range<UInt64>)
    func property(batch: UInt64) throws {
        var generator = SchemaGenerator(SeededGenerator(for: "schema order \(batch)", standard: 60_000 + batch))
        var narrowings = 0
        for _ in 0..<400 {
            let old = generator.root()
            let new: JSONValue
            switch generator.random.int(0...3) {
            case 0: new = generator.root()
            case 1: new = Narrowing.combine(old, generator.schema(depth: 2))
            default: new = generator.changed(old)
            }
            guard new != old, SchemaOrder.isProvablyNarrower(new, than: old),
                lintSchema(old).allSatisfy({ $0.severity == .warning }),
                lintSchema(new).allSatisfy({ $0.severity == .warning })
            else { continue }
            narrowings += 1
            let (wide, narrow) = (try JSONSchema(old), try JSONSchema(new))
            for _ in 0..<25 {
                let value = generator.value(depth: 3)
                let isFine = !narrow.validate(value, limit: 1).isEmpty || wide.validate(value, limit: 1).isEmpty
                #expect(isFine, "seed \(generator.random.seed): \(text(value)) by \(text(new)), not by \(text(old))")
            }
        }
        #expect(narrowings > 40)
    }
}
