package import EnsignModel

/// What a schema of arguments allows, in words, for reviewers: "amount at most 20".
package enum SchemaLimits {
    /// At most this many arguments are spelled out.
    private static let limit = 6

    /// A phrase for each argument that is limited, sorted by name; beyond a few they are only counted.
    package static func phrases(_ input: JSONValue?) -> [String] {
        let found = limits(input)
        guard found.count > limit else { return found }
        return found.prefix(limit) + ["and \(found.count - limit) more limits"]
    }

    /// How the limits of arguments differ, wherever in the two schemas they are: `amount at most 5000 (was amount at most
    /// 100)`. Nil when they do not.
    static func difference(_ was: JSONValue?, _ now: JSONValue?) -> String? {
        let (old, new) = (limits(was.map(UntypedLimits.enforced)), limits(now.map(UntypedLimits.enforced)))
        let (gone, come) = (old.filter { !new.contains($0) }, Set(new).subtracting(old).sorted())
        guard !gone.isEmpty || !come.isEmpty else { return nil }
        let before = gone.isEmpty ? "not limited" : gone.joined(separator: ", ")
        return "\(come.isEmpty ? "no limit" : come.joined(separator: ", ")) (was \(before))"
    }

    private static func limits(_ input: JSONValue?) -> [String] {
        guard var schema = input else { return [] }
        // In one dialect: what is beside a reference counts in some alone.
        if SchemaOrder.refers(schema) { schema = SchemaTranslation.plain(schema) }
        var search = Search(root: schema)
        search.collect(schema, at: "", depth: 0)
        return search.found
    }

    /// Finds the limits of one schema.
    private struct Search {
        let root: JSONValue
        var found: [String] = []
        /// References that are being followed.
        var following: Set<String> = []
        /// How many schemas are still looked at: references can multiply them.
        var remaining = 2_000

        mutating func collect(_ schema: JSONValue?, at place: String, depth: Int, ending: String = "") {
            guard case .object(let schema)? = schema else { return }
            guard depth < 64, remaining > 0 else { return add("under further conditions", at: place) }
            remaining -= 1
            let words = SchemaLimits.words(schema)
            if !words.isEmpty { add(words.joined(separator: " and ") + ending, at: place) }
            follow(schema["$ref"], at: place, depth, ending)
            choose(schema["anyOf"]?.array, at: place, depth)
            for (name, inner) in (schema["properties"]?.object ?? [:]).sorted(by: { $0.key < $1.key }) {
                collect(inner, at: place.isEmpty ? name : "\(place).\(name)", depth: depth + 1)
            }
            for (index, part) in (schema["prefixItems"]?.array ?? []).enumerated() {
                collect(part, at: "\(place)[\(index)]", depth: depth + 1)
            }
            collect(schema["items"], at: "\(place)[]", depth: depth + 1)
            for part in schema["allOf"]?.array ?? [] { collect(part, at: place, depth: depth + 1) }
        }

        private mutating func add(_ words: String, at place: String) {
            found.append("\(place.isEmpty ? "arguments" : place) \(words)")
        }

        private mutating func follow(_ reference: JSONValue?, at place: String, _ depth: Int, _ ending: String) {
            guard let text = reference?.string else { return }
            // Round a circle the limits are those that were said.
            guard !following.contains(text) else { return }
            guard let target = SchemaReference(text)?.target(in: root) else {
                return add("under further conditions", at: place)
            }
            following.insert(text)
            collect(target, at: place, depth: depth + 1, ending: ending)
            following.remove(text)
        }

        /// Alternatives: none of them limits anything that another one allows. One beside null has its limits, as the
        /// optional arguments of Python's frameworks do.
        private mutating func choose(_ arms: [JSONValue]?, at place: String, _ depth: Int) {
            guard let arms else { return }
            let others = arms.filter { $0["type"] != "null" }
            if others.count == 1, others.count < arms.count {
                return collect(others[0], at: place, depth: depth + 1, ending: " or null")
            }
            var search = Search(root: root, following: following, remaining: remaining)
            for arm in arms { search.collect(arm, at: place, depth: depth + 1) }
            remaining = search.remaining
            // One that names no type says what else holds of the value.
            let isConditional = arms.contains { arm in ["type", "$ref", "anyOf"].allSatisfy { arm[$0] == nil } }
            if !search.found.isEmpty || others.isEmpty || isConditional {
                add("under further conditions", at: place)
            }
        }
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
        if ["oneOf", "not", "if"].contains(where: { schema[$0] != nil }) { words.append("under further conditions") }
        return words
    }
}
