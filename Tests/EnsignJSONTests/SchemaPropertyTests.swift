import EnsignJSON
import EnsignModel
import Testing

@Suite("Schemas at random")
struct SchemaPropertyTests {
    /// Makes schemas that the linter passes.
    struct Generator {
        var random: SeededGenerator
        /// Names of definitions that a schema may refer to: only to later ones, so that there is no cycle.
        var definitions: [String] = []

        private static let names = ["a", "b", "a/b", "~", "é", "e\u{301}", "", "%", "type"]
        private static let patterns = ["^a", "b$", "^[a-z]{1,3}$", ".", "", "(a|b)*", "\\d"]

        mutating func root() -> JSONValue {
            let all = (0..<Int.random(in: 0...4, using: &random)).map {
                "\(Self.names.randomElement(using: &random) ?? "")\($0)"
            }
            var bodies: JSONObject = [:]
            for (index, name) in all.enumerated() {
                definitions = Array(all[(index + 1)...])
                bodies[name] = schema(depth: 3)
            }
            definitions = all
            guard case .object(var keywords) = schema(depth: 4) else { return .bool(.random(using: &random)) }
            keywords["$defs"] = .object(bodies)
            return .object(keywords)
        }

        mutating func schema(depth: Int) -> JSONValue {
            switch Int.random(in: 0..<12, using: &random) {
            case 0:
                return .bool(.random(using: &random))
            case 1, 2:
                guard let name = definitions.randomElement(using: &random) else { return [:] }
                let escaped = name.unicodeScalars.map { scalar in
                    switch scalar {
                    case "~": "~0"
                    case "/": "~1"
                    case "%": "%25"
                    default: String(scalar)
                    }
                }
                return ["$ref": .string("#/$defs/" + escaped.joined()), "description": "d"]
            default:
                var keywords: JSONObject = [:]
                for _ in 0..<Int.random(in: 0...4, using: &random) {
                    add(to: &keywords, depth: depth)
                }
                return .object(keywords)
            }
        }

        private mutating func add(to keywords: inout JSONObject, depth: Int) {
            let leaves: [SchemaKeyword] = [
                .type, .enum, .const, .multipleOf, .maximum, .exclusiveMaximum, .minimum, .exclusiveMinimum, .maxLength,
                .minLength, .pattern, .maxItems, .minItems, .uniqueItems, .maxProperties, .minProperties, .required,
                .title,
                .format, .default,
            ]
            let branches: [SchemaKeyword] = [
                .items, .contains, .properties, .patternProperties, .additionalProperties, .dependencies,
                .propertyNames,
                .if, .allOf, .anyOf, .oneOf, .not,
            ]
            let keyword = (depth > 0 ? leaves + branches + branches : leaves).randomElement(using: &random) ?? .type
            keywords[keyword.rawValue] = value(of: keyword, keywords: &keywords, depth: depth)
        }

        private mutating func value(of keyword: SchemaKeyword, keywords: inout JSONObject, depth: Int) -> JSONValue {
            switch keyword {
            case .type:
                let types = ["array", "boolean", "integer", "null", "number", "object", "string"].shuffled(
                    using: &random
                )
                return .array(types.prefix(.random(in: 1...7, using: &random)).map { .string($0) })
            case .enum: return .array((0..<3).map { _ in randomValue(depth: 2, using: &random) })
            case .const, .default: return randomValue(depth: 2, using: &random)
            case .multipleOf: return [1, 2, 0.5, 0.01, 1e30, .integer(.max)].randomElement(using: &random) ?? 1
            case .maximum, .exclusiveMaximum, .minimum, .exclusiveMinimum:
                return [0, -1, 2.5, 1e19, -1e300, .integer(1 << 60)].randomElement(using: &random) ?? 0
            case .maxLength, .minLength, .maxItems, .minItems, .maxProperties, .minProperties:
                return [0, 1, 2, 10, .integer(.max)].randomElement(using: &random) ?? 0
            case .pattern: return .string(Self.patterns.randomElement(using: &random) ?? "")
            case .uniqueItems: return .bool(.random(using: &random))
            case .required: return names()
            case .title, .format: return .string(randomString(using: &random))
            case .items where Bool.random(using: &random):
                if Bool.random(using: &random) { keywords["additionalItems"] = schema(depth: depth - 1) }
                return schemas(depth: depth)
            case .allOf, .anyOf, .oneOf: return schemas(depth: depth)
            case .properties: return members(Self.names, depth: depth)
            case .patternProperties: return members(Self.patterns, depth: depth)
            case .dependencies:
                guard case .object(var members) = members(Self.names, depth: depth) else { return [:] }
                members["d"] = names()
                return .object(members)
            case .if:
                keywords["then"] = schema(depth: depth - 1)
                return schema(depth: depth - 1)
            default:
                if keyword == .items { keywords["additionalItems"] = nil }
                return schema(depth: depth - 1)
            }
        }

        private mutating func names() -> JSONValue {
            .array(Self.names.shuffled(using: &random).prefix(.random(in: 0...3, using: &random)).map { .string($0) })
        }

        private mutating func schemas(depth: Int) -> JSONValue {
            .array((0..<Int.random(in: 1...3, using: &random)).map { _ in schema(depth: depth - 1) })
        }

        private mutating func members(_ names: [String], depth: Int) -> JSONValue {
            var members: JSONObject = [:]
            for name in names.shuffled(using: &random).prefix(.random(in: 0...3, using: &random)) {
                members[name] = schema(depth: depth - 1)
            }
            return .object(members)
        }

        // MARK: Mutation

        /// Changes one thing somewhere: a keyword, a name, a value, a reference.
        mutating func mutate(_ value: JSONValue) -> JSONValue {
            let goesDeeper = Int.random(in: 0..<4, using: &random) > 0
            switch value {
            case .object(var members) where !members.isEmpty && goesDeeper:
                let (key, member) = members[Int.random(in: 0..<members.count, using: &random)]
                members[key] = mutate(member)
                return .object(members)
            case .array(var elements) where !elements.isEmpty && goesDeeper:
                let index = Int.random(in: 0..<elements.count, using: &random)
                elements[index] = mutate(elements[index])
                return .array(elements)
            case .object(var members):
                let keyword = SchemaKeyword.allCases.randomElement(using: &random)?.rawValue ?? ""
                let junk = Int.random(in: 0..<4, using: &random) == 0
                members[junk ? randomString(using: &random) : keyword] = anything()
                return .object(members)
            default:
                return anything()
            }
        }

        private mutating func anything() -> JSONValue {
            switch Int.random(in: 0..<6, using: &random) {
            case 0:
                let name = definitions.randomElement(using: &random) ?? "a"
                return ["$ref": .string("#/$defs/\(name)")]
            case 1: return schema(depth: 2)
            case 2: return [schema(depth: 1)]
            case 3:
                return [-1, 0, .integer(.min), 1e300, .number(.nan), "(", "(?R)", "#/$defs/a0", "#"].randomElement(
                    using: &random
                ) ?? 0
            default: return randomValue(depth: 2, using: &random)
            }
        }
    }

    @Test("What the linter passes compiles, and validating any value ends", arguments: 0..<600 as Range<UInt64>)
    func cleanSchemas(seed: UInt64) throws {
        var generator = Generator(random: SeededGenerator(seed: seed))
        let schema = generator.root()
        let problems = lintSchema(schema).filter { $0.severity == .error }
        try #require(problems == [], "seed \(seed): \(text(schema))")
        let compiled = try JSONSchema(schema)
        for _ in 0..<10 {
            let value = randomValue(depth: 4, using: &generator.random)
            let violations = compiled.validate(value)
            #expect(
                violations.allSatisfy { exists($0.path, in: value) },
                "seed \(seed): \(text(schema)) \(text(value))"
            )
            #expect(violations.allSatisfy { !$0.isLimit && !$0.message.isEmpty }, "seed \(seed)")
            #expect(violations.isEmpty == compiled.validate(value, limit: 1).isEmpty, "seed \(seed)")
        }
    }

    @Test("A damaged schema has problems or compiles, and nothing crashes", arguments: 0..<600 as Range<UInt64>)
    func damagedSchemas(seed: UInt64) throws {
        var generator = Generator(random: SeededGenerator(seed: seed ^ 0x5EED))
        var schema = generator.root()
        for _ in 0..<10 {
            schema = generator.mutate(schema)
            let isClean = lintSchema(schema).allSatisfy { $0.severity == .warning }
            do throws(JSONSchemaError) {
                let compiled = try JSONSchema(schema)
                #expect(isClean, "seed \(seed)")
                let value = randomValue(depth: 3, using: &generator.random)
                #expect(compiled.validate(value).allSatisfy { exists($0.path, in: value) }, "seed \(seed)")
            } catch {
                #expect(!isClean && !error.problems.isEmpty, "seed \(seed): \(error)")
            }
        }
    }

    @Test("A schema and its negation never agree", arguments: 0..<300 as Range<UInt64>)
    func negation(seed: UInt64) throws {
        var generator = Generator(random: SeededGenerator(seed: seed ^ 0xBAD))
        let schema = generator.schema(depth: 4)
        let (positive, negative) = (try JSONSchema(schema), try JSONSchema(["not": schema]))
        let double = try JSONSchema([
            "allOf": [schema, true], "not": ["not": ["$ref": "#/$defs/s"]], "$defs": ["s": schema],
        ])
        for _ in 0..<10 {
            let value = randomValue(depth: 3, using: &generator.random)
            let isValid = positive.validate(value).isEmpty
            #expect(negative.validate(value).isEmpty != isValid, "seed \(seed): \(text(schema)) \(text(value))")
            #expect(double.validate(value).isEmpty == isValid, "seed \(seed): \(text(schema)) \(text(value))")
        }
    }

    private func exists(_ path: [JSONPathStep], in value: JSONValue) -> Bool {
        var value = value
        for step in path {
            let next: JSONValue? =
                switch step {
                case .key(let key): value[key]
                case .index(let index): value[index]
                }
            guard let next else { return false }
            value = next
        }
        return true
    }
}
