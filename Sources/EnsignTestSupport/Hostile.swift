package import EnsignModel

/// Values at the limits of types, calendars and texts, for every parser.
package enum Hostile {
    /// One letter, to a person and to `String.count`; 80 KB to everybody else.
    package static let letter = "A" + String(repeating: "\u{301}", count: 40_000)

    package static let integers: [Int64] = [
        .min, .min + 1, -86_400, -1, 0, 1, 100, 101, 1 << 31, 1 << 40, 1 << 53, .max / 1_000_000_000 + 1, .max - 1,
        .max,
    ]

    package static let times = [
        "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2262-04-11T23:47:17Z",
        "5138-11-16T09:46:40Z", "9999-12-31T23:59:59Z",
    ]

    package static let texts =
        ["", "\u{0}", letter, " ", "..", "/", "\"\\\u{1}", "0", "ffffffffffffffff", "1e400", "NaN", "\u{202E}", "a/b"]
        + integers.map(String.init) + times

    /// One of each kind of character that acts on a terminal or hides something.
    package static let unsafeScalars: [(kind: String, scalar: Unicode.Scalar)] = [
        ("a NUL", "\u{0}"), ("the bell", "\u{7}"), ("a backspace", "\u{8}"), ("a tab", "\t"), ("a line feed", "\n"),
        ("a carriage return", "\r"), ("an escape", "\u{1B}"), ("delete", "\u{7F}"), ("next line", "\u{85}"),
        ("a control sequence", "\u{9B}"), ("a soft hyphen", "\u{AD}"), ("a joiner of graphemes", "\u{34F}"),
        ("an Arabic mark", "\u{61C}"), ("a filler of Hangul", "\u{115F}"), ("a vowel without a shape", "\u{17B4}"),
        ("a separator of Mongolian", "\u{180E}"), ("zero width", "\u{200B}"), ("a non-joiner", "\u{200C}"),
        ("a joiner", "\u{200D}"), ("left to right", "\u{200E}"), ("right to left", "\u{200F}"),
        ("a separator of lines", "\u{2028}"), ("a separator of paragraphs", "\u{2029}"), ("an embedding", "\u{202A}"),
        ("an override", "\u{202E}"), ("a word joiner", "\u{2060}"), ("an invisible times", "\u{2062}"),
        ("an isolate", "\u{2066}"), ("the end of an isolate", "\u{2069}"), ("a filler", "\u{3164}"),
        ("private use", "\u{E000}"), ("a variation selector", "\u{FE0F}"), ("a byte order mark", "\u{FEFF}"),
        ("a filler of half width", "\u{FFA0}"), ("an annotation", "\u{FFF9}"), ("no character", "\u{FFFF}"),
        ("not assigned", "\u{378}"), ("a tag", "\u{E0041}"), ("a selector of the supplement", "\u{E0100}"),
        ("private use beyond", "\u{10FFFD}"),
    ]

    /// A text with every kind of them.
    package static let unsafeText = "x" + String(String.UnicodeScalarView(unsafeScalars.map(\.scalar))) + "y"

    private static let numbers: [JSONValue] =
        integers.map { .integer($0) } + [0.5, -0.5, 1e15, 1e300, -1e300, .leastNonzeroMagnitude].map { JSONValue($0) }
    /// One of each kind.
    private static let others: [JSONValue] = [.null, .bool(true), .bool(false), 0, "", .string(letter), [], [:], [[]]]

    /// The replacements for a value: all of its own kind, and one of each other.
    private static func values(for value: JSONValue) -> [JSONValue] {
        switch value {
        case .integer, .number: numbers + others
        case .string: texts.map { .string($0) } + others
        default: others
        }
    }

    /// Calls `body` with the value, each of its leaves replaced by each hostile value in turn, each member and element
    /// removed, and then several of these at once, a given number of times, by the printed seed.
    package static func variants(
        of json: JSONValue,
        for test: String,
        pairs: Int = 300,
        _ body: (JSONValue) throws -> Void
    ) rethrows {
        let places = places(in: json)
        for place in places {
            for value in place.leaf.map(values) ?? [] { try body(json.replacing(place.path[...], with: value)) }
            if !place.path.isEmpty { try body(json.replacing(place.path[...], with: nil)) }
        }
        var random = SeededGenerator(for: test, standard: 49)
        for _ in 0..<pairs {
            var changed = json
            for _ in 0..<random.int(2...4) {
                let place = random.pick(places)
                if let leaf = place.leaf {
                    changed = changed.replacing(place.path[...], with: random.pick(values(for: leaf)))
                }
            }
            try body(changed)
        }
    }

    fileprivate enum Step {
        case key(String)
        case index(Int)
    }

    private static func places(in json: JSONValue) -> [(path: [Step], leaf: JSONValue?)] {
        switch json {
        case .array(let elements) where !elements.isEmpty:
            [([], nil)]
                + elements.enumerated().flatMap { index, element in
                    places(in: element).map { ([.index(index)] + $0.path, $0.leaf) }
                }
        case .object(let members) where !members.isEmpty:
            [([], nil)] + members.flatMap { key, value in places(in: value).map { ([.key(key)] + $0.path, $0.leaf) } }
        default: [([], json)]
        }
    }
}

extension JSONValue {
    /// Nil removes the member or element. A missing place changes nothing.
    fileprivate func replacing(_ path: ArraySlice<Hostile.Step>, with value: JSONValue?) -> JSONValue {
        guard let step = path.first else { return value ?? self }
        let rest = path.dropFirst()
        switch (self, step) {
        case (.array(var elements), .index(let index)) where elements.indices.contains(index):
            if rest.isEmpty, value == nil {
                elements.remove(at: index)
            } else {
                elements[index] = elements[index].replacing(rest, with: value)
            }
            return .array(elements)
        case (.object(var members), .key(let key)):
            guard let member = members[key] else { return self }
            members[key] = rest.isEmpty ? value : member.replacing(rest, with: value)
            return .object(members)
        default: return self
        }
    }
}
