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
        guard depth < 64, let object = schema.object else { return whole }
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
        for (keyword, rule) in object where keyword != "properties" && keyword != "definitions" && keyword != "$defs" {
            // additionalProperties has a meaning only beside properties.
            var single: JSONObject = [keyword: rule]
            if keyword == "additionalProperties" {
                single["properties"] = object["properties"]
                single["patternProperties"] = object["patternProperties"]
            }
            guard let part = try? JSONSchema(withDefinitions(.object(single), of: definitions)) else { continue }
            if let violation = part.validate(value).first {
                return Failing(pointer: pointer + [keyword], message: violation.message)
            }
        }
        return whole
    }

    /// A part of a schema still needs the definitions that its references lead to.
    private static func withDefinitions(_ schema: JSONValue, of root: JSONValue) -> JSONValue {
        guard case .object(var object) = schema else { return schema }
        for name in ["definitions", "$defs"] where object[name] == nil { object[name] = root[name] }
        return .object(object)
    }
}
