import EnsignModel

/// A schema taken apart: definitions and `$schema` are at the root, so a schema that becomes part of another must leave
/// them there.
struct SchemaDefinitions {
    private(set) var body: JSONValue
    private var definitions: [String: JSONObject] = [:]
    private var dialect: JSONValue?
    private let reading: SchemaReading

    private static let containers = ["$defs", "definitions"]

    /// - Parameter schema: References may lead anywhere in it: what they lead to is then copied into definitions.
    init(_ schema: JSONValue) {
        let schema = SchemaTranslation.selfContained(schema)
        reading = SchemaReading(of: schema)
        body = schema
        guard case .object(var keywords) = schema else { return }
        for container in Self.containers { definitions[container] = keywords.take(container)?.object }
        dialect = keywords.take("$schema")
        _ = keywords.take("$id")
        body = .object(keywords)
    }

    /// Two schemas that can become one: as they are, if their words mean the same in one dialect; else both in 2020-12's.
    static func readable(together one: JSONValue, _ other: JSONValue) -> (SchemaDefinitions, SchemaDefinitions) {
        let parts = (SchemaDefinitions(one), SchemaDefinitions(other))
        let agree = parts.0.reading.dialect == parts.1.reading.dialect
        if parts.0.reading.isNeutral || parts.1.reading.isNeutral || agree { return parts }
        return (parts.0.latest(of: one), parts.1.latest(of: other))
    }

    private func latest(of schema: JSONValue) -> SchemaDefinitions {
        reading.dialect == .draft2020 ? self : SchemaDefinitions(SchemaTranslation.latest(schema))
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
        // The label of the one whose words depend on it; it may have none.
        let ruling = one.reading.isNeutral && !other.reading.isNeutral ? other : one
        if let dialect = one.dialect ?? other.dialect {
            let isLabelled = ruling.reading.isLabelled || ruling.reading.isNeutral
            keywords["$schema"] = isLabelled ? ruling.dialect ?? dialect : .string(ruling.reading.dialect.label)
        }
        return .object(keywords)
    }

    /// The schema with its references changed to definitions with a prefixed name. The prefix needs no escaping in a
    /// pointer.
    private static func renaming(_ schema: JSONValue, _ prefix: String) -> JSONValue {
        guard case .object(var keywords) = schema else { return schema }
        for (key, value) in keywords {
            if key == "$ref" {
                guard let target = value.string else { continue }
                for container in containers where target.hasPrefix("#/\(container)/") {
                    keywords[key] = .string("#/\(container)/\(prefix)\(target.dropFirst(container.count + 3))")
                }
            } else {
                keywords[key] = SchemaPositions.mapping(key, value) { renaming($0, prefix) }
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
