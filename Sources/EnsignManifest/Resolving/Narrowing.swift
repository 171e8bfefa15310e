package import EnsignModel

/// Combining an operation's input schema with a grant's narrower one.
package enum Narrowing {
    /// A schema that accepts exactly what both accept.
    ///
    /// An operation without a schema takes no arguments, so nothing can be narrowed to any.
    ///
    /// Keywords are merged where that keeps the meaning, because runtimes give the result to language models, which
    /// read one flat schema better; where a merge could change the meaning, `allOf` keeps both.
    package static func combine(_ base: JSONValue?, _ narrowing: JSONValue) -> JSONValue {
        let base = TakenInput.schema(base)
        let (whole, own) = SchemaDefinitions.readable(together: base, narrowing)
        let narrower = own.apart(from: whole)
        return SchemaDefinitions.join(combineBodies(whole.body, narrower.body), whole, narrower)
    }

    private static func combineBodies(_ base: JSONValue, _ narrowing: JSONValue) -> JSONValue {
        merge(base, narrowing) ?? ["allOf": [base, narrowing]]
    }

    private static func merge(_ base: JSONValue, _ narrowing: JSONValue) -> JSONValue? {
        if narrowing == .bool(true) || narrowing == base { return base }
        if base == .bool(true) || base == [:] { return narrowing }
        guard case .object(var result) = base, case .object(let extra) = narrowing else { return nil }
        // In draft-07 a reference ignores its neighbours, and these keywords depend on theirs.
        let coupled: Set<String> = [
            "$ref", "additionalProperties", "patternProperties", "items", "additionalItems", "prefixItems",
            "minContains",
            "maxContains", "if", "then", "else",
        ]
        if result["$ref"] != nil { return nil }
        // `additionalProperties` means the same on both sides only if both name the same properties beside it.
        if extra["additionalProperties"] != nil {
            let isSame =
                extra["patternProperties"] == result["patternProperties"]
                && names(extra["properties"]) == names(result["properties"])
            guard isSame else { return nil }
        }
        for (key, value) in extra {
            guard let present = result[key] else {
                if key == "properties" {
                    guard addProperties(value, to: &result) else { return nil }
                    continue
                }
                if coupled.contains(key) { return nil }
                result[key] = value
                continue
            }
            if present == value { continue }
            guard let both = mergeKeyword(key, present, value, base: base) else { return nil }
            result[key] = both
        }
        return .object(result)
    }

    private static func mergeKeyword(
        _ key: String,
        _ base: JSONValue,
        _ extra: JSONValue,
        base schema: JSONValue
    ) -> JSONValue? {
        switch key {
        case "title", "description", "$comment", "examples", "default": return extra
        case "maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties":
            return tighter(base, extra) { $0 < $1 }
        case "minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties":
            return tighter(base, extra) { $0 > $1 }
        case "required":
            guard let first = base.array, let second = extra.array else { return nil }
            return .array(first + second.filter { !first.contains($0) })
        case "enum":
            guard let first = base.array, let second = extra.array else { return nil }
            let both = first.filter { second.contains($0) }
            return both.isEmpty ? nil : .array(both)
        case "properties":
            var result: JSONObject = ["properties": base]
            for member in ["additionalProperties", "patternProperties"] { result[member] = schema[member] }
            return addProperties(extra, to: &result) ? result["properties"] : nil
        default: return nil
        }
    }

    /// Adds properties to an object schema; false when that could change what the schema's neighbours apply to.
    private static func addProperties(_ extra: JSONValue, to schema: inout JSONObject) -> Bool {
        guard let added = extra.object, var properties = (schema["properties"] ?? [:]).object else { return false }
        for (name, narrower) in added {
            if let present = properties[name] {
                properties[name] = combineBodies(present, narrower)
            } else if schema["additionalProperties"] == nil, schema["patternProperties"] == nil {
                properties[name] = narrower
            } else {
                // Naming the property would exempt it from additionalProperties.
                return false
            }
        }
        schema["properties"] = .object(properties)
        return true
    }

    private static func names(_ properties: JSONValue?) -> [ExactText] {
        (properties?.object ?? [:]).map { ExactText($0.key) }
    }

    private static func tighter(
        _ base: JSONValue,
        _ extra: JSONValue,
        _ isTighter: (Double, Double) -> Bool
    ) -> JSONValue? {
        guard let first = base.double, let second = extra.double else { return nil }
        return isTighter(second, first) ? extra : base
    }

    /// Why a narrowing does not fit the schema that it narrows.
    package struct Misfit: Sendable, Hashable {
        /// JSON Pointer segments into the narrowing.
        package var pointer: [String]
        package var message: String
        package var hint: String?
    }

    /// The parts of a narrowing that can never apply: properties that the operation does not take, limits for another
    /// type.
    ///
    /// - Returns: At most 20: a narrowing for another operation consists of misfits.
    package static func misfits(_ narrowing: JSONValue, in base: JSONValue?) -> [Misfit] {
        var found: [Misfit] = []
        collectMisfits(narrowing, TakenInput.schema(base), at: [], depth: 0, into: &found)
        return Array(found.prefix(maxMisfits))
    }

    private static let maxMisfits = 20

    private static func collectMisfits(
        _ narrowing: JSONValue,
        _ base: JSONValue,
        at pointer: [String],
        depth: Int,
        into found: inout [Misfit]
    ) {
        guard depth < 64, let object = narrowing.object, let schema = base.object, schema["$ref"] == nil
        else { return }
        if let types = typeNames(schema["type"]) { collectTypes(object, types, at: pointer, into: &found) }
        for (name, value) in object["properties"]?.object ?? [:] where found.count < maxMisfits {
            if let inner = schema["properties"]?[name] {
                collectMisfits(value, inner, at: pointer + ["properties", name], depth: depth + 1, into: &found)
            } else if !mayTake(name, schema) {
                let known = schema["properties"]?.object.map { $0.map(\.key) } ?? []
                let hint =
                    known.isEmpty
                    ? "declare the arguments in a new version of the tool"
                    : Suggestion.hint(for: name, among: known, plural: "its arguments")
                let message = "the operation has no argument '\(name)'"
                found.append(Misfit(pointer: pointer + ["properties", name], message: message, hint: hint))
            }
        }
        collectRequired(object, schema, at: pointer, into: &found)
    }

    /// Keywords and types that say nothing of what the operation takes.
    private static func collectTypes(
        _ object: JSONObject,
        _ types: Set<String>,
        at pointer: [String],
        into found: inout [Misfit]
    ) {
        let taken = "the operation takes \(types.sorted().joined(separator: " or "))"
        for (keyword, _) in object {
            guard let needed = keywordTypes[keyword], needed.isDisjoint(with: types) else { continue }
            let limits = "'\(keyword)' limits \(needed.sorted().joined(separator: " or "))"
            found.append(Misfit(pointer: pointer + [keyword], message: "\(limits), and \(taken)", hint: nil))
        }
        if let wanted = typeNames(object["type"]), wanted.isDisjoint(with: widened(types)) {
            let message = "\(taken), so nothing would be allowed"
            found.append(Misfit(pointer: pointer + ["type"], message: message, hint: nil))
        }
    }

    /// Whether a schema that does not name an argument may take it all the same.
    private static func mayTake(_ name: String, _ schema: JSONObject) -> Bool {
        let isOpen = ["patternProperties", "allOf", "anyOf", "oneOf"].contains { schema[$0] != nil }
        let isClosed = schema["properties"]?.object != nil || schema["additionalProperties"] == .bool(false)
        return isOpen || !isClosed
    }

    private static func collectRequired(
        _ object: JSONObject,
        _ schema: JSONObject,
        at pointer: [String],
        into found: inout [Misfit]
    ) {
        guard let required = object["required"]?.array, let known = schema["properties"]?.object,
            schema["additionalProperties"] == .bool(false)
        else { return }
        for (index, name) in required.enumerated() where found.count < maxMisfits {
            guard let name = name.string, known[name] == nil else { continue }
            let message = "the operation has no argument '\(name)', so nothing would be allowed"
            found.append(Misfit(pointer: pointer + ["required", String(index)], message: message, hint: nil))
        }
    }

    private static func typeNames(_ value: JSONValue?) -> Set<String>? {
        switch value {
        case .string(let name): [name]
        case .array(let names): Set(names.compactMap(\.string))
        default: nil
        }
    }

    /// An integer is a number.
    private static func widened(_ types: Set<String>) -> Set<String> {
        types.contains("number")
            ? types.union(["integer"]) : types.contains("integer") ? types.union(["number"]) : types
    }

    private static let keywordTypes: [String: Set<String>] = [
        "maximum": ["number", "integer"], "minimum": ["number", "integer"],
        "exclusiveMaximum": ["number", "integer"], "exclusiveMinimum": ["number", "integer"],
        "multipleOf": ["number", "integer"],
        "maxLength": ["string"], "minLength": ["string"], "pattern": ["string"],
        "maxItems": ["array"], "minItems": ["array"], "uniqueItems": ["array"], "items": ["array"],
        "contains": ["array"], "additionalItems": ["array"], "prefixItems": ["array"],
        "maxProperties": ["object"], "minProperties": ["object"], "required": ["object"], "properties": ["object"],
        "patternProperties": ["object"], "additionalProperties": ["object"], "dependencies": ["object"],
        "dependentRequired": ["object"], "dependentSchemas": ["object"], "propertyNames": ["object"],
    ]
}
