package import EnsignModel

/// The differences of two schemas in words, for reviewers: "amount: maximum 500 (was 100)".
package enum SchemaDetails {
    /// One difference in words, and whether it provably allows less.
    private struct Difference {
        var text: String
        var isTighter = false
    }

    /// Every difference, those first that may allow more: none of them hides behind another.
    package static func differences(_ was: JSONValue?, _ now: JSONValue?) -> [String] {
        var found: [Difference] = []
        compare(was ?? .bool(true), now ?? .bool(true), at: "", into: &found, depth: 0)
        return (found.filter { !$0.isTighter } + found.filter(\.isTighter)).map(\.text)
    }

    /// The first differences in one text, where nothing depends on them.
    static func summary(_ was: JSONValue?, _ now: JSONValue?) -> String {
        let found = differences(was, now)
        let shown = found.prefix(6).joined(separator: "; ")
        return found.count > 6 ? "\(shown); and \(found.count - 6) more" : shown
    }

    /// Whether a keyword that changes for itself allows less. Where a schema is turned round or chosen from, nothing is
    /// known.
    private static func isTighter(_ key: String, _ was: JSONValue?, _ now: JSONValue?) -> Bool {
        func schema(_ value: JSONValue?) -> JSONValue { value.map { .object([key: $0]) } ?? .bool(true) }
        return !turning.contains(key) && SchemaOrder.change(from: schema(was), to: schema(now)) == .narrower
    }

    /// Keywords inside which less may be more.
    private static let turning: Set = [
        "not", "if", "then", "else", "oneOf", "anyOf", "contains", "minContains", "maxContains", "dependencies",
        "dependentSchemas", "$ref", "$defs", "definitions",
    ]

    private static func compare(
        _ was: JSONValue,
        _ now: JSONValue,
        at place: String,
        into found: inout [Difference],
        depth: Int,
        isTurned: Bool = false
    ) {
        guard was != now, depth < 64 else { return }
        let prefix = place.isEmpty ? "" : "\(place): "
        guard case .object(let old) = was, case .object(let new) = now else {
            found.append(Difference(text: "\(prefix)\(now.text) (was \(was.text))"))
            return
        }
        for key in old.keys(with: new) where old[key] != new[key] {
            if key == "properties" {
                let (before, after) = (old[key]?.object ?? [:], new[key]?.object ?? [:])
                for name in before.keys(with: after) where before[name] != after[name] {
                    let inner = place.isEmpty ? name : "\(place).\(name)"
                    switch (before[name], after[name]) {
                    case (let was?, let now?):
                        compare(was, now, at: inner, into: &found, depth: depth + 1, isTurned: isTurned)
                    case (nil, _): found.append(Difference(text: "\(inner) is new"))
                    case (_, nil): found.append(Difference(text: "\(inner) is gone"))
                    }
                }
            } else if !quiet.contains(key) {
                switch (old[key], new[key]) {
                case (let was?, let now?) where short(was) == short(now):
                    compareInside(
                        was,
                        now,
                        at: place.isEmpty ? key : "\(place).\(key)",
                        into: &found,
                        depth: depth,
                        isTurned: isTurned || turning.contains(key)
                    )
                case (let was?, let now?):
                    found.append(
                        Difference(
                            text: "\(prefix)\(key) \(short(now)) (was \(short(was)))",
                            isTighter: !isTurned && isTighter(key, was, now)
                        )
                    )
                case (nil, let now?):
                    found.append(
                        Difference(
                            text: "\(prefix)\(key) \(short(now)) (was not limited)",
                            isTighter: !isTurned && isTighter(key, nil, now)
                        )
                    )
                case (let was?, nil): found.append(Difference(text: "\(prefix)no \(key) (was \(short(was)))"))
                case (nil, nil): break
                }
            }
        }
    }

    /// Descends into values with the same beginning: two equal excerpts show nothing.
    private static func compareInside(
        _ was: JSONValue,
        _ now: JSONValue,
        at place: String,
        into found: inout [Difference],
        depth: Int,
        isTurned: Bool
    ) {
        switch (was, now) {
        case (.object, .object): compare(was, now, at: place, into: &found, depth: depth + 1, isTurned: isTurned)
        case (.array(let old), .array(let new)) where old.count == new.count:
            for (index, (was, now)) in zip(old, new).enumerated() where was != now {
                compareInside(was, now, at: "\(place)[\(index)]", into: &found, depth: depth + 1, isTurned: isTurned)
            }
        case (.array(let old), .array(let new)):
            found.append(Difference(text: "\(place) changed, \(new.count) elements (was \(old.count))"))
        default:
            let (was, now) = (short(was), short(now))
            found.append(Difference(text: was == now ? "\(place) changed" : "\(place) \(now) (was \(was))"))
        }
    }

    private static let quiet: Set<String> = ["title", "description", "examples", "example", "$comment", "default"]

    static func short(_ value: JSONValue) -> String { short(value.text) }

    static func short(_ text: String) -> String { text.cut(utf8: 60) }
}
