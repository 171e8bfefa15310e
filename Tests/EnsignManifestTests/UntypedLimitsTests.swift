import EnsignJSON
import EnsignTestSupport
import Testing

@testable import EnsignModel

@Suite("Limits that values of another type get past")
struct UntypedLimitsTests {
    private func found(_ schema: String, beside other: String? = nil) throws -> [String] {
        let schema = try JSONParser.parse(Array(schema.utf8))
        let other = try other.map { try JSONParser.parse(Array($0.utf8)) }
        let untyped = UntypedLimits(in: schema, beside: other)
        #expect(untyped.isComplete)
        return untyped.limits.map { $0.pointer.joined(separator: "/") }.sorted()
    }

    /// Every keyword that limits values of one type, with a value that limits something.
    private static let limits: [(keyword: String, value: String, types: [String])] = [
        ("maximum", "5", ["number", "integer"]), ("exclusiveMaximum", "5", ["number", "integer"]),
        ("minimum", "5", ["number", "integer"]), ("exclusiveMinimum", "5", ["number", "integer"]),
        ("multipleOf", "5", ["number", "integer"]), ("maxLength", "5", ["string"]), ("minLength", "5", ["string"]),
        ("pattern", #""^a""#, ["string"]), ("format", #""date""#, ["string", "number", "integer"]),
        ("items", #"{"type":"string"}"#, ["array"]), ("maxItems", "5", ["array"]), ("minItems", "5", ["array"]),
        ("uniqueItems", "true", ["array"]), ("contains", #"{"const":1}"#, ["array"]),
        ("maxProperties", "5", ["object"]), ("minProperties", "5", ["object"]), ("required", #"["a"]"#, ["object"]),
        ("properties", #"{"a":{"type":"string"}}"#, ["object"]),
        ("patternProperties", #"{"a":{"type":"string"}}"#, ["object"]),
        ("additionalProperties", "false", ["object"]), ("propertyNames", #"{"pattern":"^a"}"#, ["object"]),
        ("dependencies", #"{"a":["b"]}"#, ["object"]),
    ]
    private static let types = ["array", "boolean", "integer", "null", "number", "object", "string"]

    @Test("A limit holds where the type that it limits is the only one, and nowhere else", arguments: limits)
    func eachKeyword(limit: (keyword: String, value: String, types: [String])) throws {
        let keyword = "\"\(limit.keyword)\":\(limit.value)"
        #expect(try found("{\(keyword)}") == [limit.keyword])
        for type in Self.types where type != "null" {
            let expected = limit.types.contains(type) ? [] : [limit.keyword]
            #expect(try found("{\(keyword),\"type\":\"\(type)\"}") == expected, "\(type)")
            // A null beside it slips nothing through.
            #expect(try found("{\(keyword),\"type\":[\"\(type)\",\"null\"]}") == expected, "\(type)")
            guard !limit.types.contains(type) else { continue }
            #expect(
                try found("{\(keyword),\"type\":[\"\(limit.types[0])\",\"\(type)\"]}") == [limit.keyword],
                "\(type)"
            )
        }
        // Wherever the type is fixed.
        let type = "{\"type\":\"\(limit.types[0])\"}"
        #expect(try found("{\(keyword)}", beside: type) == [])
        #expect(try found("{\"allOf\":[{\(keyword)},\(type)]}") == [])
        #expect(try found("{\"allOf\":[{\(keyword)},{\"$ref\":\"#/$defs/t\"}],\"$defs\":{\"t\":\(type)}}") == [])
        #expect(try found("{\(keyword),\"anyOf\":[\(type),{\"type\":\"null\"}]}") == [])
        #expect(try found("{\(keyword),\"anyOf\":[\(type),{\"type\":\"boolean\"}]}") == [limit.keyword])
        #expect(try found("{\(keyword),\"if\":{},\"then\":\(type),\"else\":false}") == [])
        #expect(try found("{\"anyOf\":[{\(keyword),\"type\":\"\(limit.types[0])\"},{\"type\":\"boolean\"}]}") == [])
        // At each depth.
        let inner = "{\(keyword)}"
        let object = #""type":"object","#
        #expect(try found("{\(object)\"properties\":{\"x\":\(inner)}}") == ["properties/x/\(limit.keyword)"])
        #expect(
            try found("{\(object)\"properties\":{\"x\":\(inner)}}", beside: "{\"properties\":{\"x\":\(type)}}") == []
        )
        #expect(
            try found("{\(object)\"properties\":{\"x\":\(inner)}}", beside: "{\"additionalProperties\":\(type)}") == []
        )
        #expect(
            try found("{\"type\":\"array\",\"items\":\(inner)}", beside: "{\"items\":\(type)}") == []
        )
        #expect(try found("{\"type\":\"array\",\"items\":\(inner)}") == ["items/\(limit.keyword)"])
        #expect(
            try found("{\(object)\"additionalProperties\":\(inner)}") == ["additionalProperties/\(limit.keyword)"]
        )
    }

    @Test("Values that are listed need no type")
    func listed() throws {
        #expect(try found(#"{"enum":["a","b"]}"#) == [])
        #expect(try found(#"{"const":4}"#) == [])
        #expect(try found(#"{"enum":["abc","b"],"maxLength":2}"#) == [])
        #expect(try found(#"{"enum":["abc",7],"maxLength":2}"#) == ["maxLength"])
        #expect(try found(#"{"maximum":5}"#, beside: #"{"enum":[1,9]}"#) == [])
    }

    @Test("What limits nothing needs no type")
    func inert() throws {
        for schema in [
            #"{"properties":{}}"#, #"{"required":[]}"#, #"{"additionalProperties":true}"#, #"{"items":true}"#,
            #"{"items":{}}"#, #"{"uniqueItems":false}"#, #"{"minLength":0}"#, #"{"minItems":0}"#,
            #"{"minProperties":0}"#, #"{"title":"x","description":"y","default":4}"#, "true", "false", "7",
        ] {
            #expect(try found(schema) == [], "\(schema)")
        }
        #expect(try found(#"{"minimum":0}"#) == ["minimum"])
        #expect(try found(#"{"items":false}"#) == ["items"])
    }

    @Test("A condition fixes no type: what fails it is not looked at by what hangs on it")
    func conditions() throws {
        let whole = #""type":"object","#
        #expect(try found(#"{"if":{"type":"number"},"then":{"maximum":5}}"#) == ["then/maximum"])
        #expect(try found(#"{"not":{"type":"number","minimum":5}}"#) == ["not/minimum"])
        #expect(try found(#"{"type":"number","not":{"minimum":5}}"#) == [])
        #expect(
            try found(
                "{\(whole)\"properties\":{\"a\":{\"type\":\"number\"}},\"not\":{\"properties\":{\"a\":{\"minimum\":5}}}}"
            )
                == []
        )
        #expect(
            try found(#"{"type":"object","dependencies":{"a":{"properties":{"b":{"maximum":5}}}}}"#)
                == ["dependencies/a/properties/b/maximum"]
        )
        #expect(try found(#"{"type":"object","propertyNames":{"maxLength":5}}"#) == [])
    }

    @Test("A definition is judged where it is used")
    func definitions() throws {
        let money = ##""$defs":{"money":{"maximum":5}}"##
        let use = ##"{"$ref":"#/$defs/money"}"##
        #expect(try found("{\"type\":\"object\",\"properties\":{\"a\":\(use)},\(money)}") == ["$defs/money/maximum"])
        #expect(
            try found(
                "{\"type\":\"object\",\"properties\":{\"a\":{\"allOf\":[{\"type\":\"number\"},\(use)]}},\(money)}"
            )
                == []
        )
        #expect(try found("{\"type\":\"object\",\(money)}") == [])
        #expect(
            try found(
                "{\"type\":\"object\",\"properties\":{\"a\":\(use)},\(money)}",
                beside: ##"{"properties":{"a":{"$ref":"#/definitions/n~0"}},"definitions":{"n~":{"type":"integer"}}}"##
            ) == []
        )
    }

    /// Definitions that refer to themselves more than once, as frameworks write them.
    static let recursive: [String] = [
        // pydantic's JsonValue and zod's z.json().
        ##"{"anyOf":[{"type":"string"},{"type":"array","items":{"$ref":"#/$defs/R"}},{"type":"object","additionalProperties":{"$ref":"#/$defs/R"}}]}"##,
        ##"{"oneOf":[{"type":"null"},{"type":"array","items":{"$ref":"#/$defs/R"}},{"type":"object","additionalProperties":{"$ref":"#/$defs/R"}}]}"##,
        ##"{"type":"object","properties":{"n":{"type":"number","maximum":5},"left":{"$ref":"#/$defs/R"},"right":{"$ref":"#/$defs/R"}}}"##,
        ##"{"type":"object","properties":{"l":{"anyOf":[{"$ref":"#/$defs/R"},{"type":"null"}]},"r":{"anyOf":[{"$ref":"#/$defs/R"},{"type":"null"}]}}}"##,
        ##"{"type":"object","properties":{"all":{"type":"array","items":{"$ref":"#/$defs/R"}},"not":{"$ref":"#/$defs/R","description":"d"}},"anyOf":[{"required":["all"]},{"required":["not"]}]}"##,
        ##"{"anyOf":[{"type":"string"},{"type":"object","properties":{"a":{"$ref":"#/$defs/R"},"b":{"$ref":"#/$defs/R"},"c":{"$ref":"#/$defs/R"}},"additionalProperties":{"$ref":"#/$defs/R"}}],"properties":{"a":{"$ref":"#/$defs/R"}}}"##,
        ##"{"if":{"type":"object"},"then":{"properties":{"a":{"$ref":"#/$defs/R"}}},"else":{"type":"array","items":{"$ref":"#/$defs/R"}}}"##,
    ]

    @Test("A definition that refers to itself leaves the limits beside it as they are", arguments: recursive)
    func besideRecursion(definition: String) throws {
        let schema =
            ##"{"type":"object","$defs":{"R":\##(definition)},"properties":{"meta":{"$ref":"#/$defs/R"},"amount":{"type":"number","maximum":10},"open":{"maximum":3}}}"##
        let elapsed = try ContinuousClock().measure {
            let found = try found(schema)
            #expect(found.filter { !$0.hasPrefix("$defs") } == ["properties/open/maximum"])
            let enforced = UntypedLimits.enforced(try JSONParser.parse(Array(schema.utf8)))
            #expect(enforced["properties"]?["amount"]?["maximum"] == 10)
            #expect(enforced["properties"]?["open"] == [:])
        }
        #expect(elapsed < .seconds(1))
    }

    /// Alternatives that refer on to alternatives, 40 times: 2 to the power of 40 ways.
    static var fan: JSONObject {
        var definitions: JSONObject = [:]
        for level in 0..<40 {
            let next: JSONValue = ["$ref": .string("#/$defs/d\(level + 1)")]
            let other: JSONValue = ["properties": ["a": next]]
            definitions["d\(level)"] = ["anyOf": [["allOf": [next, other]], ["allOf": [other, ["not": next]]]]]
        }
        definitions["d40"] = ["maximum": 5]
        return definitions
    }

    @Test("Where references lead to too many schemas it is said, and limits elsewhere that do hold are kept")
    func fan() throws {
        let schema: JSONValue = [
            "type": "object", "$defs": .object(Self.fan),
            "properties": [
                "fan": ["$ref": "#/$defs/d0"], "amount": ["type": "number", "maximum": 10], "open": ["maximum": 3],
            ],
        ]
        let elapsed = ContinuousClock().measure { #expect(!UntypedLimits(in: schema).isComplete) }
        #expect(elapsed < .seconds(2))
        let enforced = UntypedLimits.enforced(schema)
        #expect(enforced["$defs"]?["d40"] == [:])
        #expect(enforced["properties"]?["amount"]?["maximum"] == 10)
        #expect(enforced["properties"]?["open"] == [:])
        // A circle, which no schema that is accepted has.
        let circle: JSONValue = ["$ref": "#/$defs/a", "$defs": ["a": ["allOf": [["$ref": "#/$defs/a"]]]]]
        _ = UntypedLimits(in: circle)
    }

    @Test("Many alternatives, parts and properties are looked at in time", arguments: ["anyOf", "allOf", "properties"])
    func wide(keyword: String) throws {
        var parts: [JSONValue] = []
        for index in 0..<20_000 {
            let name = "p\(index)"
            let limit: JSONValue = ["maximum": .integer(Int64(index))]
            parts.append(["properties": .object(JSONObject([(name, limit)]))])
        }
        let schema: JSONValue =
            keyword == "properties"
            ? ["properties": .object(JSONObject(parts.enumerated().map { ("x\($0)", $1) }))]
            : .object(JSONObject([(keyword, .array(parts))]))
        let elapsed = ContinuousClock().measure { #expect(!UntypedLimits(in: schema).limits.isEmpty) }
        #expect(elapsed < .seconds(10))
    }

    @Test(
        "A type that is said to be impossible at a place is not there in any value",
        arguments: 0..<10 as Range<UInt64>
    )
    func typesAreSound(batch: UInt64) throws {
        var generator = SchemaGenerator(SeededGenerator(for: "types \(batch)", standard: 31_000 + batch))
        var held = 0
        for _ in 0..<300 {
            let schema = generator.root()
            guard lintSchema(schema).allSatisfy({ $0.severity == .warning }) else { continue }
            let compiled = try JSONSchema(schema)
            for _ in 0..<12 {
                let value = generator.value(depth: 3)
                guard compiled.validate(value, limit: 1).isEmpty else { continue }
                var budget = 100_000
                var place = SchemaPlace()
                place.add(schema, root: SchemaPlace.Root(schema, number: 0), &budget)
                held += try expectPossible(value, place, "seed \(generator.random.seed): \(schema) \(value)")
            }
        }
        #expect(held > 500)
    }

    /// How many values were compared.
    private func expectPossible(_ value: JSONValue, _ place: SchemaPlace, _ said: String) throws -> Int {
        #expect(!place.types.isDisjoint(with: JSONTypes(of: value)), "\(said)")
        var budget = 100_000
        switch value {
        case .array(let elements):
            return try elements.reduce(1) { try $0 + expectPossible($1, place.inside(.item, &budget), said) }
        case .object(let members):
            return try members.reduce(1) { count, member in
                _ = try expectPossible(member.value, place.inside(.anyProperty, &budget), said)
                return try count + expectPossible(member.value, place.inside(.property(member.key), &budget), said)
            }
        default: return 1
        }
    }

    @Test("Without its limits that do not hold a schema accepts all that it did", arguments: 0..<10 as Range<UInt64>)
    func enforced(batch: UInt64) throws {
        var generator = SchemaGenerator(SeededGenerator(for: "enforced \(batch)", standard: 32_000 + batch))
        var accepted = 0
        for _ in 0..<300 {
            let schema = generator.root()
            guard lintSchema(schema).allSatisfy({ $0.severity == .warning }) else { continue }
            let enforced = UntypedLimits.enforced(schema)
            guard enforced != schema else { continue }
            let (narrow, wide) = (try JSONSchema(schema), try JSONSchema(enforced))
            for _ in 0..<12 {
                let value = generator.value(depth: 3)
                guard narrow.validate(value, limit: 1).isEmpty else { continue }
                accepted += 1
                #expect(
                    wide.validate(value, limit: 1).isEmpty,
                    "seed \(generator.random.seed): \(value) by \(schema), not by \(enforced)"
                )
            }
        }
        #expect(accepted > 500)
    }
}
