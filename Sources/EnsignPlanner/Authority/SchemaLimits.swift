package import EnsignModel

/// What a schema of arguments allows, in words, for reviewers: "amount at most 20".
package enum SchemaLimits {
    /// At most this many arguments are spelled out.
    private static let limit = 6

    /// A phrase for each argument that is limited, sorted by name; beyond a few they are only counted.
    package static func phrases(_ input: JSONValue?) -> [String] {
        var found: [String] = []
        collect(input, at: "", into: &found, depth: 0)
        guard found.count > limit else { return found }
        return found.prefix(limit) + ["and \(found.count - limit) more limits"]
    }

    /// How the limits of arguments differ, wherever in the two schemas they stand: `amount at most 5000 (was amount at most
    /// 100)`. Nil when they do not.
    static func difference(_ was: JSONValue?, _ now: JSONValue?) -> String? {
        func limits(_ input: JSONValue?) -> [String] {
            var found: [String] = []
            collect(input.map(UntypedLimits.enforced), at: "", into: &found, depth: 0)
            return found
        }
        let (old, new) = (limits(was), limits(now))
        let (gone, come) = (old.filter { !new.contains($0) }, Set(new).subtracting(old).sorted())
        guard !gone.isEmpty || !come.isEmpty else { return nil }
        let before = gone.isEmpty ? "not limited" : gone.joined(separator: ", ")
        return "\(come.isEmpty ? "no limit" : come.joined(separator: ", ")) (was \(before))"
    }

    private static func collect(_ schema: JSONValue?, at place: String, into found: inout [String], depth: Int) {
        guard case .object(let schema)? = schema, depth < 64 else { return }
        let words = self.words(schema)
        if !words.isEmpty { found.append("\(place.isEmpty ? "arguments" : place) \(words.joined(separator: " and "))") }
        for (name, inner) in (schema["properties"]?.object ?? [:]).sorted(by: { $0.key < $1.key }) {
            collect(inner, at: place.isEmpty ? name : "\(place).\(name)", into: &found, depth: depth + 1)
        }
        for (index, part) in (schema["prefixItems"]?.array ?? []).enumerated() {
            collect(part, at: "\(place)[\(index)]", into: &found, depth: depth + 1)
        }
        collect(schema["items"], at: "\(place)[]", into: &found, depth: depth + 1)
        for part in schema["allOf"]?.array ?? [] { collect(part, at: place, into: &found, depth: depth + 1) }
    }

    private static func words(_ schema: JSONObject) -> [String] {
        var words: [String] = []
        func add(_ key: String, _ phrase: (String) -> String) {
            if let value = schema[key] { words.append(phrase(SchemaDetails.short(value))) }
        }
        add("const") { "always \($0)" }
        if let values = schema["enum"]?.array {
            words.append("one of \(SchemaDetails.short(values.map { $0.string ?? $0.text }.joined(separator: ", ")))")
        }
        add("minimum") { "at least \($0)" }
        add("exclusiveMinimum") { "above \($0)" }
        add("maximum") { "at most \($0)" }
        add("exclusiveMaximum") { "below \($0)" }
        add("pattern") { "matching \($0)" }
        add("maxLength") { "at most \($0) characters" }
        add("maxItems") { "at most \($0) elements" }
        if ["anyOf", "oneOf", "not", "if", "$ref"].contains(where: { schema[$0] != nil }) {
            words.append("under further conditions")
        }
        return words
    }
}
