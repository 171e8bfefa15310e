/// Texts of a schema that limit nothing, and that a model reads all the same: descriptions, defaults, examples.
package enum SchemaWords {
    /// One that differs.
    package struct Difference: Sendable, Hashable {
        /// Where, by names: `limit.description`.
        package var place: String
        /// Nil where there is none.
        package var was: String?
        package var now: String?

        package var text: String { "\(now ?? "none") (was \(was ?? "none"))" }
    }

    /// The most that are told apart in one schema.
    package static let most = 200

    private static let keywords: Set = [
        "title", "description", "default", "example", "examples", "$comment", "deprecated", "readOnly", "writeOnly",
        "contentEncoding", "contentMediaType",
    ]
    /// Keywords whose members are schemas by name.
    private static let named: Set = [
        "properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies",
    ]

    /// Those that differ, sorted by place; no more than ``most``.
    package static func differences(_ was: JSONValue?, _ now: JSONValue?) -> [Difference] {
        guard was != now else { return [] }
        var (old, new): ([ExactText: String], [ExactText: String]) = ([:], [:])
        if let was { collect(was, at: "", depth: 0, into: &old) }
        if let now { collect(now, at: "", depth: 0, into: &new) }
        let places = Set(old.keys).union(new.keys).filter { !old[$0].hasSameUTF8(as: new[$0]) }.sorted()
        return places.prefix(most).map { Difference(place: $0.text, was: old[$0], now: new[$0]) }
    }

    /// Recursion follows the schema, which the parser has limited to 64 levels.
    private static func collect(
        _ schema: JSONValue,
        at place: String,
        depth: Int,
        into found: inout [ExactText: String]
    ) {
        guard depth < 128, let members = schema.object else { return }
        func inside(_ name: String) -> String { place.isEmpty ? name : "\(place).\(name)" }
        for (key, value) in members {
            if keywords.contains(key) || key.hasPrefix("x-") {
                found[ExactText(inside(key))] = value.string ?? value.text
            } else if named.contains(key) {
                let isPlain = key == "properties"
                for (name, schema) in value.object ?? [:] {
                    collect(schema, at: inside(isPlain ? name : "\(key).\(name)"), depth: depth + 1, into: &found)
                }
            } else if let schemas = value.array {
                for (index, schema) in schemas.enumerated() {
                    collect(schema, at: inside("\(key).\(index)"), depth: depth + 1, into: &found)
                }
            } else {
                collect(value, at: inside(key), depth: depth + 1, into: &found)
            }
        }
    }
}
