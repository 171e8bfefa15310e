import EnsignModel

/// How much may be read of a description's schemas, all operations together: a definition is read for each that uses it.
final class SchemaWork {
    /// No manifest has as many values.
    var left = 200_000
    /// What one side alone says, by side and definition: many schemas have the same parts.
    var others: [SchemaBuilder.Side: [String: Set<String>]] = [:]
}

/// One schema of an interface's description as a schema by itself: definitions that it uses come along.
struct SchemaBuilder {
    let root: JSONValue
    let isOld: Bool
    let side: Side
    let work: SchemaWork
    /// Why it cannot be by itself.
    private(set) var problem: String?
    private var wanted: [String] = []
    private var known: Set<String> = []

    /// Who says what the schema is of. Each has properties that only the other one says: OpenAPI 3.0 and 3.1, "Schema Object"
    /// and JSON Schema's `readOnly` and `writeOnly`.
    enum Side: String {
        case request = "readOnly"
        case response = "writeOnly"
    }

    init(root: JSONValue, isOld: Bool, side: Side, work: SchemaWork) {
        self.root = root
        self.isOld = isOld
        self.side = side
        self.work = work
    }

    /// The schema with the definitions that it leads to; look at ``problem`` after it.
    mutating func finish(_ schema: JSONValue) -> JSONValue {
        var definitions = JSONObject()
        var index = 0
        while index < wanted.count, problem == nil {
            definitions[wanted[index]] = self.schema(root["components"]?["schemas"]?[wanted[index]] ?? true)
            index += 1
        }
        guard case .object(var keywords) = schema else { return schema }
        if !definitions.isEmpty { keywords["$defs"] = .object(definitions) }
        let whole = JSONValue.object(keywords)
        // What 3.1 has is 2020-12's, and says so where that matters.
        guard !isOld, !SchemaReading(of: whole).isNeutral else { return whole }
        keywords["$schema"] = .string(SchemaDialect.draft2020.label)
        return .object(keywords)
    }

    /// - Parameter others: Properties that only the other side says, of the schema that this one is a part of.
    mutating func schema(_ schema: JSONValue, others: Set<String> = []) -> JSONValue {
        guard case .object(let written) = schema else { return schema }
        let others = others.union(self.others(in: schema))
        let keywords = others.isEmpty ? written : Self.without(others, written)
        work.left -= 1
        guard work.left > 0 else {
            problem =
                problem
                ?? "with its definitions, and with the operations before it, it is more than a manifest may have"
            return true
        }
        var result = JSONObject()
        for (keyword, value) in keywords {
            switch keyword {
            case "$ref": result[keyword] = reference(value)
            case "xml", "externalDocs", "$id", "$schema": continue
            case "nullable" where isOld: continue
            case "exclusiveMinimum" where value.bool != nil, "exclusiveMaximum" where value.bool != nil: continue
            default:
                var mapped: [JSONValue] = []
                _ = SchemaPositions.mapping(keyword, value) { inner in
                    mapped.append(inner)
                    return inner
                }
                // The parts of one object: what one of them requires, another one may call the other side's.
                let shared = keyword == "allOf" ? others : []
                var done = mapped.map { self.schema($0, others: shared) }[...]
                result[keyword] = SchemaPositions.mapping(keyword, value) { done.popFirst() ?? $0 }
            }
        }
        return isOld ? renewed(result, keywords) : .object(result)
    }

    /// The properties of an object, and of its parts, that only the other side says.
    private func others(in schema: JSONValue) -> Set<String> {
        work.left -= 1
        guard work.left > 0 else { return [] }
        var found: Set<String> = []
        for (name, property) in schema["properties"]?.object ?? [:] where isOthers(property) { found.insert(name) }
        for part in schema["allOf"]?.array ?? [] {
            guard let name = name(of: part) else {
                found.formUnion(others(in: part))
                continue
            }
            if let known = work.others[side]?[name] {
                found.formUnion(known)
                continue
            }
            // One that is a part of itself adds nothing.
            work.others[side, default: [:]][name] = []
            let others = target(of: part).map { self.others(in: $0) } ?? []
            work.others[side, default: [:]][name] = others
            found.formUnion(others)
        }
        return found
    }

    private func isOthers(_ property: JSONValue) -> Bool {
        property[side.rawValue] == true || target(of: property)?[side.rawValue] == true
    }

    private func target(of schema: JSONValue) -> JSONValue? {
        name(of: schema).flatMap { root["components"]?["schemas"]?[$0] }
    }

    /// The definition that a schema leads to.
    private func name(of schema: JSONValue) -> String? {
        guard let reference = schema["$ref"]?.string.flatMap({ SchemaReference($0) }), reference.segments.count == 3,
            Array(reference.segments.prefix(2)) == ["components", "schemas"]
        else { return nil }
        return reference.segments[2]
    }

    private static func without(_ names: Set<String>, _ keywords: JSONObject) -> JSONObject {
        var result = keywords
        if let properties = keywords["properties"]?.object {
            result["properties"] = .object(
                JSONObject(properties.filter { !names.contains($0.key) }.map { ($0.key, $0.value) })
            )
        }
        if let required = keywords["required"]?.array {
            let rest = required.filter { $0.string.map(names.contains) != true }
            result["required"] = rest.isEmpty ? nil : .array(rest)
        }
        return result
    }

    /// 3.0's own words: `nullable`, and bounds that are exclusive by a flag. What is beside a reference is ignored.
    private func renewed(_ keywords: JSONObject, _ old: JSONObject) -> JSONValue {
        let result = keywords
        if let reference = result["$ref"] { return ["$ref": reference] }
        return JSONValue.object(result).withOldWords(of: old)
    }

    private mutating func reference(_ value: JSONValue) -> JSONValue {
        guard let text = value.string, let reference = SchemaReference(text), reference.segments.count >= 3,
            Array(reference.segments.prefix(2)) == ["components", "schemas"]
        else {
            problem = "a reference leads out of components/schemas: \((value.string ?? "").quoted(utf8: 100))"
            return value
        }
        let name = reference.segments[2]
        guard root["components"]?["schemas"]?[name] != nil else {
            problem = "there is no components/schemas/\(name.onOneLine(utf8: 100))"
            return value
        }
        if known.insert(name).inserted { wanted.append(name) }
        return .string(SchemaReference(segments: ["$defs"] + reference.segments.dropFirst(2)).text)
    }
}
