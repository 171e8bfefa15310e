package import EnsignModel

/// Makes small JSON Schemas and small values that often match: few names, few numbers, every keyword.
package struct SchemaGenerator {
    package var random: SeededGenerator
    /// Names of definitions that a `$ref` may lead to.
    private var definitions: [String] = []
    /// Whether the words of later drafts are used. A root decides anew.
    private var isModern = false
    /// Whether what is beside `$ref` counts.
    private var readsBesideReference = false

    private static let names = ["a", "b", "c"]
    private static let patterns = ["^a", "b$", "^[ab]$", "."]
    private static let types = ["array", "boolean", "integer", "null", "number", "object", "string"]

    package init(_ random: SeededGenerator) {
        self.random = random
    }

    // MARK: Schemas

    /// A whole schema of any dialect, now and then with definitions that it refers to.
    package mutating func root() -> JSONValue {
        isModern = random.once(in: 2)
        let label: String? =
            random.once(in: 3)
            ? nil
            : isModern ? "https://json-schema.org/draft/2020-12/schema" : "http://json-schema.org/draft-07/schema#"
        readsBesideReference = isModern && label != nil
        guard random.once(in: 2) else { return labelled(schema(depth: 3), label) }
        // Mostly each refers to later ones only; else references may come back, where the linter has the last word.
        let names = ["d0", "d1", "d2"].prefix(random.int(1...3))
        let mayComeBack = random.once(in: 2)
        var bodies: JSONObject = [:]
        for (index, name) in names.enumerated() {
            definitions = mayComeBack ? Array(names) : Array(names[(index + 1)...])
            bodies[name] = schema(depth: 2)
        }
        definitions = Array(names)
        defer { definitions = [] }
        guard case .object(var keywords) = schema(depth: 3) else { return true }
        keywords["$defs"] = .object(bodies)
        return labelled(.object(keywords), label)
    }

    private func labelled(_ schema: JSONValue, _ label: String?) -> JSONValue {
        guard case .object(var keywords) = schema, let label else { return schema }
        keywords["$schema"] = .string(label)
        return .object(keywords)
    }

    package mutating func schema(depth: Int) -> JSONValue {
        if random.once(in: 15) { return true }
        if random.once(in: 25) { return false }
        if let name = definitions.randomElement(using: &random), random.once(in: 4) {
            var keywords: JSONObject = ["$ref": .string("#/$defs/\(name)")]
            if readsBesideReference, random.once(in: 2) { add(to: &keywords, depth: 0) }
            return .object(keywords)
        }
        var keywords: JSONObject = [:]
        for _ in 0..<random.int(0...3) { add(to: &keywords, depth: depth) }
        return .object(keywords)
    }

    /// The schema with one thing changed: mostly a limit, or a part replaced, added or left out.
    package mutating func changed(_ schema: JSONValue, depth: Int = 3) -> JSONValue {
        guard case .object(var keywords) = schema, !keywords.isEmpty, keywords["$ref"] == nil, !random.once(in: 8)
        else {
            return self.schema(depth: depth)
        }
        let (key, value) = keywords[random.int(0...keywords.count - 1)]
        switch (key, value) {
        case ("properties", .object(var members)) where !members.isEmpty && depth > 0 && !random.once(in: 4):
            let (name, member) = members[random.int(0...members.count - 1)]
            members[name] = random.once(in: 6) ? nil : changed(member, depth: depth - 1)
            keywords["properties"] = .object(members)
        case ("allOf", .array(var parts)), ("anyOf", .array(var parts)), ("oneOf", .array(var parts)):
            let index = random.int(0...parts.count - 1)
            parts[index] = changed(parts[index], depth: depth - 1)
            keywords[key] = .array(parts)
        case (_, .integer(let number)) where number >= 0:
            keywords[key] = .integer(max(key == "multipleOf" ? 1 : 0, number + Int64(random.int(-1...1))))
        default:
            switch random.int(0...3) {
            case 0 where !["if", "items"].contains(key): keywords[key] = nil
            default: add(to: &keywords, depth: depth)
            }
        }
        return .object(keywords)
    }

    private mutating func add(to keywords: inout JSONObject, depth: Int) {
        let leaves = [
            "type", "type", "enum", "const", "maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum", "multipleOf",
            "maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "maxProperties",
            "minProperties",
            "required", "required", "title", "format", "description", "default",
        ]
        let branches = [
            "items", "items", "contains", "properties", "properties", "properties", "patternProperties",
            "additionalProperties", "additionalProperties", "additionalProperties", "dependencies", "propertyNames",
            "if",
            "allOf", "anyOf", "oneOf", "not",
        ]
        let keyword = random.pick(depth > 0 ? leaves + branches + branches : leaves)
        switch keyword {
        case "type":
            let names = Self.types.shuffled(using: &random).prefix(random.int(1...3)).map { JSONValue.string($0) }
            keywords[keyword] = names.count == 1 ? names[0] : .array(names)
        case "enum":
            var values: [JSONValue] = []
            for _ in 0..<random.int(1...4) {
                let value = value(depth: 1)
                if !values.contains(value) { values.append(value) }
            }
            keywords[keyword] = .array(values)
        case "const", "default": keywords[keyword] = value(depth: 1)
        case "maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum":
            keywords[keyword] = random.pick([-1, 0, 1, 1.5, 2, 3])
        case "multipleOf": keywords[keyword] = random.pick([1, 2, 0.5])
        case "maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties":
            keywords[keyword] = .integer(Int64(random.int(0...3)))
        case "pattern": keywords[keyword] = .string(random.pick(Self.patterns))
        case "uniqueItems": keywords[keyword] = .bool(.random(using: &random))
        case "required": keywords[keyword] = names()
        case "title", "description", "format": keywords[keyword] = .string(random.pick(["x", "y"]))
        case "items":
            keywords["additionalItems"] = nil
            if isModern {
                if random.once(in: 2) { keywords["prefixItems"] = schemas(depth) }
                if random.once(in: 2) { keywords[keyword] = schema(depth: depth - 1) }
            } else if random.once(in: 3) {
                keywords[keyword] = schemas(depth)
                if random.once(in: 2) { keywords["additionalItems"] = schema(depth: depth - 1) }
            } else {
                keywords[keyword] = schema(depth: depth - 1)
            }
        case "properties": keywords[keyword] = members(Self.names, depth)
        case "patternProperties": keywords[keyword] = members(Self.patterns, depth)
        case "additionalProperties":
            keywords[keyword] = random.once(in: 2) ? false : schema(depth: depth - 1)
        case "dependencies":
            guard case .object(var dependencies) = members(Self.names, depth) else { return }
            guard isModern else {
                dependencies["c"] = names()
                keywords[keyword] = .object(dependencies)
                return
            }
            keywords["dependentRequired"] = ["c": names(), "a": names()]
            keywords["dependentSchemas"] = .object(dependencies)
        case "contains":
            keywords[keyword] = schema(depth: depth - 1)
            guard isModern else { return }
            if random.once(in: 2) { keywords["minContains"] = .integer(Int64(random.int(0...3))) }
            if random.once(in: 2) { keywords["maxContains"] = .integer(Int64(random.int(0...3))) }
        case "if":
            keywords["if"] = schema(depth: depth - 1)
            keywords["then"] = random.once(in: 2) ? schema(depth: depth - 1) : nil
            keywords["else"] = random.once(in: 2) ? schema(depth: depth - 1) : nil
        case "allOf", "anyOf", "oneOf": keywords[keyword] = schemas(depth)
        default: keywords[keyword] = schema(depth: depth - 1)
        }
    }

    private mutating func names() -> JSONValue {
        .array(Self.names.shuffled(using: &random).prefix(random.int(0...2)).map { .string($0) })
    }

    private mutating func schemas(_ depth: Int) -> JSONValue {
        .array((0..<random.int(1...3)).map { _ in schema(depth: depth - 1) })
    }

    private mutating func members(_ names: [String], _ depth: Int) -> JSONValue {
        var members: JSONObject = [:]
        for name in names.shuffled(using: &random).prefix(random.int(0...3)) {
            members[name] = schema(depth: depth - 1)
        }
        return .object(members)
    }

    // MARK: Values

    package mutating func value(depth: Int) -> JSONValue {
        switch random.int(0...(depth > 0 ? 9 : 5)) {
        case 0: return .null
        case 1: return .bool(.random(using: &random))
        case 2, 3: return random.pick([-1, 0, 1, 1.5, 2, 3, 4])
        case 4, 5: return .string(random.pick(["", "a", "b", "ab", "abc"]))
        case 6: return .array((0..<random.int(0...3)).map { _ in value(depth: depth - 1) })
        default:
            var members: JSONObject = [:]
            for name in ["a", "b", "c", "ab"].shuffled(using: &random).prefix(random.int(0...3)) {
                members[name] = value(depth: depth - 1)
            }
            return .object(members)
        }
    }
}
