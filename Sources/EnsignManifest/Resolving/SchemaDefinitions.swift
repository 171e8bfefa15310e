import EnsignModel

/// A schema taken apart: `$defs`, `definitions` and `$schema` are only at the root, so a schema that becomes part of
/// another must leave them there.
struct SchemaDefinitions {
    private(set) var body: JSONValue
    private var definitions: [String: JSONObject] = [:]
    private var dialect: JSONValue?

    private static let containers = ["$defs", "definitions"]

    init(_ schema: JSONValue) {
        body = schema
        guard case .object(var keywords) = schema else { return }
        for container in Self.containers { definitions[container] = keywords.take(container)?.object }
        dialect = keywords.take("$schema")
        body = .object(keywords)
    }

    /// The schema with its definitions renamed so that none clashes with one of `other`.
    func apart(from other: SchemaDefinitions) -> SchemaDefinitions {
        if definitions == other.definitions { return self }
        var prefix = "grant-"
        while other.definitions.values.contains(where: { $0.contains { $0.key.hasPrefix(prefix) } }) { prefix += "-" }
        var result = self
        result.body = Self.renaming(body, prefix)
        result.definitions = definitions.mapValues { members in
            JSONObject(members.map { (prefix + $0.key, Self.renaming($0.value, prefix)) })
        }
        return result
    }

    /// `body` with the definitions of two schemas that do not clash.
    static func join(_ body: JSONValue, _ one: SchemaDefinitions, _ other: SchemaDefinitions) -> JSONValue {
        guard case .object(var keywords) = body else { return body }
        for container in containers {
            var members = one.definitions[container] ?? [:]
            for (name, schema) in other.definitions[container] ?? [:] { members[name] = schema }
            if !members.isEmpty { keywords[container] = .object(members) }
        }
        if let dialect = one.dialect ?? other.dialect { keywords["$schema"] = dialect }
        return .object(keywords)
    }

    /// The schema with its references changed to definitions with a prefixed name. The prefix needs no escaping in a
    /// pointer.
    private static func renaming(_ schema: JSONValue, _ prefix: String) -> JSONValue {
        guard case .object(var keywords) = schema else { return schema }
        for (key, value) in keywords {
            switch key {
            case "$ref":
                guard let target = value.string else { continue }
                for container in containers where target.hasPrefix("#/\(container)/") {
                    keywords[key] = .string("#/\(container)/\(prefix)\(target.dropFirst(container.count + 3))")
                }
            case "items", "additionalItems", "contains", "additionalProperties", "propertyNames", "if", "then", "else",
                "not", "allOf", "anyOf", "oneOf":
                keywords[key] = value.array.map { .array($0.map { renaming($0, prefix) }) } ?? renaming(value, prefix)
            case "properties", "patternProperties", "dependencies":
                keywords[key] = value.object.map { members in
                    .object(JSONObject(members.map { ($0.key, renaming($0.value, prefix)) }))
                }
            default: break
            }
        }
        return .object(keywords)
    }
}

extension JSONObject {
    /// Removes a member and returns its value.
    fileprivate mutating func take(_ key: String) -> JSONValue? {
        let value = self[key]
        self[key] = nil
        return value
    }
}
