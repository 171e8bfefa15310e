import EnsignModel

/// A schema of a server or a generator in the words that manifests know (docs/json-schema.md): what only annotates is
/// dropped where it is unknown, older forms are written anew. What may keep a value out is never dropped: a word that is
/// not known stays, and the manifest's rules refuse it.
struct ForeignSchema {
    private(set) var schema: JSONValue
    /// Words that were left out.
    private(set) var dropped: Set<String> = []

    /// - Parameter unlabelled: How a schema without a label is meant; nil where its words show it.
    init(_ schema: JSONValue, unlabelled: SchemaDialect?) {
        self.schema = schema
        self.schema = renewed(schema, isRoot: true).schema
        guard case .object(var keywords) = self.schema, keywords["$schema"] == nil, let unlabelled else { return }
        // Words of draft 7 alone tell what is meant, whatever the rule.
        let reading = SchemaReading(of: self.schema)
        guard !reading.isNeutral, reading.ofDraft7 == nil else { return }
        keywords["$schema"] = .string(unlabelled.label)
        self.schema = .object(keywords)
    }

    /// Words that generators write for forms, editors and other programs.
    private static let annotations: Set = [
        "enumNames", "enumDescriptions", "markdownDescription", "errorMessage", "strict", "propertyOrdering",
        "externalDocs", "optional",
    ]
    /// Words that are absent where they are null.
    private static let absent: Set = ["title", "description", "properties", "required"]
    /// Any label without a version, which means the newest.
    private static let newest = "http://json-schema.org/schema#"

    /// Labels of which the schemas mean the same in draft 7: it has all their words, exclusive bounds by a flag aside,
    /// which are written anew.
    private static let older: Set = [
        "https://json-schema.org/draft-07/schema", "http://json-schema.org/draft-06/schema",
        "https://json-schema.org/draft-06/schema", "http://json-schema.org/draft-04/schema",
        "https://json-schema.org/draft-04/schema",
    ]

    /// - Returns: Also what the schema says of itself as a property: that it must be there.
    private mutating func renewed(
        _ schema: JSONValue,
        isRoot: Bool = false,
        isProperty: Bool = false
    ) -> (schema: JSONValue, isRequired: Bool) {
        guard let old = schema.object else { return (schema, false) }
        var result = JSONObject()
        var required: [JSONValue] = []
        for (keyword, value) in old {
            switch keyword {
            case "$schema" where isRoot: result[keyword] = relabelled(value)
            case _ where Self.absent.contains(keyword) && value.isNull: continue
            case _ where Self.annotations.contains(keyword) || keyword.hasPrefix("ui:"): dropped.insert(keyword)
            case "default", "example", "examples":
                // No reader holds it exactly, and it limits nothing.
                if value.inexactNumber == nil { result[keyword] = value } else { dropped.insert(keyword) }
            case "nullable" where value.bool != nil: continue
            // A property's own word of the third draft: its object says it.
            case "required" where value.bool != nil && isProperty: continue
            case "exclusiveMinimum" where value.bool != nil, "exclusiveMaximum" where value.bool != nil: continue
            case "properties":
                guard let members = value.object else {
                    result[keyword] = value
                    continue
                }
                var properties = JSONObject()
                for (name, property) in members {
                    let (schema, isRequired) = renewed(property, isProperty: true)
                    properties[name] = schema
                    if isRequired { required.append(.string(name)) }
                }
                result[keyword] = .object(properties)
            default:
                if let bound = Self.clamped(keyword, value) {
                    result[keyword] = bound
                    continue
                }
                var inner: [JSONValue] = []
                _ = SchemaPositions.mapping(keyword, value) { schema in
                    inner.append(schema)
                    return schema
                }
                var done = inner.map { self.renewed($0).schema }[...]
                result[keyword] = SchemaPositions.mapping(keyword, value) { done.popFirst() ?? $0 }
            }
        }
        if !required.isEmpty {
            let named = result["required"]?.array ?? []
            result["required"] = .array(named + required.filter { !named.contains($0) })
        }
        return (.object(result).withOldWords(of: old), old["required"] == true)
    }

    /// A bound that no exact number reaches, also one beyond what 64 bits hold, which is read as a number.
    private static func clamped(_ keyword: String, _ value: JSONValue) -> JSONValue? {
        guard case .number(let bound) = value, bound.magnitude > 0x1p53 else {
            return SchemaTranslation.clamped(keyword, value)
        }
        return SchemaTranslation.clamped(keyword, isNegative: bound < 0)
    }

    private func relabelled(_ label: JSONValue) -> JSONValue? {
        guard let text = label.string else { return label }
        if text == Self.newest || text + "#" == Self.newest { return nil }
        let plain = text.hasSuffix("#") ? String(text.dropLast()) : text
        return Self.older.contains(plain) ? .string(SchemaDialect.draft7.label) : label
    }
}

extension JSONValue {
    /// An object's schema with what older words beside it say: bounds that are exclusive by a flag (draft 4, OpenAPI 3.0),
    /// and OpenAPI 3.0's `nullable`.
    func withOldWords(of old: JSONObject) -> JSONValue {
        guard case .object(var result) = self else { return self }
        for (flag, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] where old[flag] == true
        {
            result[flag] = result[bound]
            result[bound] = nil
        }
        guard old["nullable"] == true else { return .object(result) }
        if let type = result["type"]?.string, type != "null" { result["type"] = [.string(type), "null"] }
        if let types = result["type"]?.array, !types.contains("null") { result["type"] = .array(types + ["null"]) }
        if let values = result["enum"]?.array, !values.contains(.null) { result["enum"] = .array(values + [.null]) }
        if result["type"] == nil, result["enum"] == nil { return ["anyOf": [.object(result), ["type": "null"]]] }
        return .object(result)
    }
}
