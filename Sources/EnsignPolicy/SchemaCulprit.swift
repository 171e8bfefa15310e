import EnsignJSON
package import EnsignModel

/// Finds the innermost keyword of a schema that a value breaks, so that a message can name one line.
package enum SchemaCulprit {
    package struct Failing: Sendable, Hashable {
        /// JSON Pointer segments into the schema.
        package var pointer: [String]
        package var message: String
    }

    /// The first keyword that refuses `value`; nil when the schema accepts it.
    package static func find(in schema: JSONValue, for value: JSONValue) throws -> Failing? {
        try find(in: schema, for: value, definitions: schema, at: [], depth: 0)
    }

    private static func find(
        in schema: JSONValue,
        for value: JSONValue,
        definitions: JSONValue,
        at pointer: [String],
        depth: Int
    ) throws -> Failing? {
        let violations = try JSONSchema(withDefinitions(schema, of: definitions)).validate(value)
        guard let first = violations.first else { return nil }
        let whole = Failing(pointer: pointer, message: first.message)
        // Part of a schema cannot be held against a value when references lead into the whole.
        guard depth < 64, let object = schema.object, depth > 0 || SchemaTranslation.refersToRootOnly(schema) else {
            return whole
        }
        // Into the invalid property, then to the keyword that it breaks.
        if let properties = object["properties"]?.object, let members = value.object {
            for (name, inner) in properties {
                guard let member = members[name] else { continue }
                if let failing = try find(
                    in: inner,
                    for: member,
                    definitions: definitions,
                    at: pointer + ["properties", name],
                    depth: depth + 1
                ) {
                    return Failing(
                        pointer: failing.pointer,
                        message: depth == 0 ? "\(name): \(failing.message)" : failing.message
                    )
                }
            }
        }
        for (keyword, rule) in object where keyword != "properties" && !SchemaAnnotations.has(keyword) {
            var single: JSONObject = [keyword: rule]
            for partner in partners[keyword] ?? [] { single[partner] = object[partner] }
            guard let part = try? JSONSchema(withDefinitions(.object(single), of: definitions)) else { continue }
            if let violation = part.validate(value).first {
                return Failing(pointer: pointer + [keyword], message: violation.message)
            }
        }
        return whole
    }

    /// Keywords that have a meaning only beside others.
    private static let partners: [String: [String]] = [
        "additionalProperties": ["properties", "patternProperties"], "items": ["prefixItems"],
        "additionalItems": ["items"], "contains": ["minContains", "maxContains"],
        "minContains": ["contains", "maxContains"], "maxContains": ["contains", "minContains"], "if": ["then", "else"],
        "then": ["if", "else"], "else": ["if", "then"],
    ]

    /// A part of a schema still needs the definitions that its references lead to, and is read by the same dialect.
    private static func withDefinitions(_ schema: JSONValue, of root: JSONValue) -> JSONValue {
        guard case .object(var object) = schema else { return schema }
        for name in ["definitions", "$defs", "$schema"] where object[name] == nil { object[name] = root[name] }
        return .object(object)
    }
}
