/// A schema in one form, whatever its dialect: draft 7's words, definitions at the root, references alone.
///
/// What the validator checks and what comparisons compare is this form, so both read every dialect alike:
///
/// - `prefixItems` with `items` become a list in `items` with `additionalItems`;
/// - `dependentRequired` and `dependentSchemas` become `dependencies`;
/// - what is beside `$ref` goes with it into `allOf`, where the dialect reads it, and is dropped where it does not;
/// - bounds beyond ±2^53 are clamped, because no number beyond is exact;
/// - `contains` keeps `minContains` and `maxContains`, which draft 7 does not have;
/// - annotations are dropped, unless they are asked for.
///
/// Pure and total. A reference that leads nowhere stays as it is. Only schemas that `lintSchema` accepts are known to mean
/// the same.
package enum SchemaTranslation {
    /// The plain form.
    ///
    /// Definitions are in `$defs` at the root: those that are used.
    package static func plain(_ schema: JSONValue, keepsAnnotations: Bool = false) -> JSONValue {
        var hoist = Hoist(root: schema, keepsAnnotations: keepsAnnotations)
        hoist.dialect = SchemaReading(of: schema).dialect
        return hoist.result(under: "$defs")
    }

    /// The schema in the words of 2020-12, which has a word for everything that the others have.
    package static func latest(_ schema: JSONValue) -> JSONValue {
        guard case .object(var keywords) = renewed(plain(schema, keepsAnnotations: true)) else { return schema }
        keywords["$schema"] = .string(SchemaDialect.draft2020.label)
        return .object(keywords)
    }

    /// A plain schema with 2020-12's words for lists of schemas and for dependencies.
    private static func renewed(_ schema: JSONValue) -> JSONValue {
        guard let old = schema.object else { return schema }
        var keywords = JSONObject(old.map { ($0.key, SchemaPositions.mapping($0.key, $0.value, renewed)) })
        if let list = keywords["items"], list.array != nil {
            keywords["prefixItems"] = list
            keywords["items"] = keywords["additionalItems"]
            keywords["additionalItems"] = nil
        }
        if let dependencies = keywords["dependencies"]?.object {
            let names = dependencies.filter { $0.value.array != nil }
            let schemas = dependencies.filter { $0.value.array == nil }
            keywords["dependencies"] = nil
            if !names.isEmpty { keywords["dependentRequired"] = .object(JSONObject(names.map { ($0.key, $0.value) })) }
            if !schemas.isEmpty {
                keywords["dependentSchemas"] = .object(JSONObject(schemas.map { ($0.key, $0.value) }))
            }
        }
        return .object(keywords)
    }

    /// The same schema in its own dialect, with all its references to definitions at the root. Unchanged where they
    /// already are: a schema that becomes part of another takes its definitions along, and nothing else.
    package static func selfContained(_ schema: JSONValue) -> JSONValue {
        guard !refersToRootOnly(schema, depth: 0) else { return schema }
        var hoist = Hoist(root: schema, keepsAnnotations: true)
        return hoist.result(under: "$defs")
    }

    /// Whether each reference leads to a definition at the root.
    package static func refersToRootOnly(_ schema: JSONValue) -> Bool { refersToRootOnly(schema, depth: 0) }

    private static func refersToRootOnly(_ schema: JSONValue, depth: Int) -> Bool {
        guard depth < 512, let keywords = schema.object else { return true }
        if let reference = keywords["$ref"]?.string.flatMap({ SchemaReference($0) }), !reference.isRootDefinition {
            return false
        }
        return keywords.allSatisfy { keyword, value in
            SchemaPositions.schemas(below: keyword, value).allSatisfy { refersToRootOnly($0.schema, depth: depth + 1) }
        }
    }

    /// The greatest whole number up to which all are exact (RFC 8785, appendix D; ECMA-262's MAX_SAFE_INTEGER).
    package static let greatestExact: Int64 = (1 << 53) - 1

    /// A bound that no exact number reaches, as one that says the same of all that are exact; nil for any other.
    package static func clamped(_ keyword: String, _ value: JSONValue) -> JSONValue? {
        guard case .integer(let bound) = value, bound.magnitude > greatestExact + 1 else { return nil }
        return clamped(keyword, isNegative: bound < 0)
    }

    /// The bound to use instead of one beyond ±2^53; nil where it cannot be replaced.
    ///
    /// Only bounds that keep nothing out are: an upper one above, a lower one below.
    package static func clamped(_ keyword: String, isNegative: Bool) -> JSONValue? {
        switch (keyword, isNegative) {
        case ("maximum", false): .integer(greatestExact)
        case ("exclusiveMaximum", false): .integer(greatestExact + 1)
        case ("minimum", true): .integer(-greatestExact)
        case ("exclusiveMinimum", true): .integer(-greatestExact - 1)
        default: nil
        }
    }
}

/// Rewrites a schema so that what its references lead to is at the root.
private struct Hoist {
    let root: JSONValue
    let keepsAnnotations: Bool
    /// What to translate from. `nil`: the words stay.
    var dialect: SchemaDialect?
    /// Targets in the order in which they were met; each gets a definition.
    private var targets: [SchemaReference] = []
    private var names: [SchemaReference: String] = [:]
    private var taken: Set<String> = []

    init(root: JSONValue, keepsAnnotations: Bool) {
        self.root = root
        self.keepsAnnotations = keepsAnnotations
    }

    mutating func result(under container: String) -> JSONValue {
        let body = rewrite(root, isRoot: true)
        var definitions = JSONObject()
        var index = 0
        while index < targets.count {
            let target = targets[index]
            definitions[name(target)] = rewrite(target.target(in: root) ?? true)
            index += 1
        }
        guard case .object(var keywords) = body, !targets.isEmpty else { return body }
        keywords[container] = .object(definitions)
        return .object(keywords)
    }

    /// The name of the definition for a target: its own where it is one of `$defs` at the root, else where it is.
    private mutating func name(_ target: SchemaReference) -> String {
        if let name = names[target] { return name }
        let isOwn = target.segments.count == 2 && target.segments[0] == "$defs"
        var name = isOwn ? target.segments[1] : String(target.text.dropFirst(2))
        while !taken.insert(name).inserted { name += "_" }
        names[target] = name
        targets.append(target)
        return name
    }

    private mutating func rewrite(_ schema: JSONValue, isRoot: Bool = false) -> JSONValue {
        guard let keywords = schema.object else { return schema }
        var result = JSONObject()
        for (keyword, value) in keywords {
            switch keyword {
            case "$ref": result[keyword] = rewrite(reference: value)
            case "$defs", "definitions", "$id": continue
            case "$schema" where isRoot && dialect == nil: result[keyword] = value
            case "$schema": continue
            case _ where SchemaAnnotations.has(keyword):
                if keepsAnnotations { result[keyword] = value }
            default:
                result[keyword] = SchemaPositions.mapping(keyword, value) { rewrite($0) }
            }
        }
        if let dialect { translate(&result, from: dialect) }
        return .object(result)
    }

    private mutating func rewrite(reference value: JSONValue) -> JSONValue {
        guard let reference = value.string.flatMap({ SchemaReference($0) }), reference.target(in: root) != nil else {
            return value
        }
        return .string(SchemaReference(segments: ["$defs", name(reference)]).text)
    }

    // MARK: Words

    private func translate(_ keywords: inout JSONObject, from dialect: SchemaDialect) {
        for keyword in ["maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"] {
            if let value = keywords[keyword], let clamped = SchemaTranslation.clamped(keyword, value) {
                keywords[keyword] = clamped
            }
        }
        // A list in `items` is of the drafts before 2020-12, `prefixItems` of the ones since.
        if dialect.checks("prefixItems") == true, let prefix = keywords["prefixItems"] {
            keywords["additionalItems"] = keywords["items"]
            keywords["items"] = prefix
            keywords["prefixItems"] = nil
        }
        if dialect.checks("dependentRequired") == true { translateDependencies(&keywords) }
        translateContains(&keywords)
        guard let reference = keywords["$ref"] else { return }
        let beside = keywords.filter { $0.key != "$ref" && !SchemaAnnotations.has($0.key) }
        guard !beside.isEmpty else { return }
        if dialect.readsBesideReference {
            keywords["$ref"] = nil
            keywords["allOf"] = .array((keywords["allOf"]?.array ?? []) + [["$ref": reference]])
        } else {
            for (keyword, _) in beside { keywords[keyword] = nil }
        }
    }

    private func translateDependencies(_ keywords: inout JSONObject) {
        var dependencies = JSONObject()
        for (name, names) in keywords["dependentRequired"]?.object ?? [:] { dependencies[name] = names }
        for (name, schema) in keywords["dependentSchemas"]?.object ?? [:] {
            dependencies[name] = dependencies[name].map { ["allOf": [["required": $0], schema]] } ?? schema
        }
        keywords["dependentRequired"] = nil
        keywords["dependentSchemas"] = nil
        if !dependencies.isEmpty { keywords["dependencies"] = .object(dependencies) }
    }

    /// `contains` wants one unless `minContains` says otherwise, and with 0 nothing is wanted.
    private func translateContains(_ keywords: inout JSONObject) {
        if keywords["minContains"]?.int == 1 { keywords["minContains"] = nil }
        guard keywords["minContains"]?.int == 0, keywords["maxContains"] == nil else { return }
        keywords["minContains"] = nil
        keywords["contains"] = nil
    }
}
