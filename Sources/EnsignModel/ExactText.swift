/// A text that equals another one only where both have the same code points.
///
/// `String` takes canonically equivalent texts for equal as well: `K` and the sign for kelvin, `é` in one character and in two.
/// Servers, secret stores and models do not, so what decides whether a declared text has changed compares these.
package struct ExactText: Sendable, Hashable, Comparable, CustomStringConvertible {
    package let text: String

    package init(_ text: String) { self.text = text }

    package var description: String { text }

    // The hash of `String` will do: what has the same code points has the same hash.
    package static func == (left: ExactText, right: ExactText) -> Bool { left.text.hasSameUTF8(as: right.text) }

    package static func < (left: ExactText, right: ExactText) -> Bool { left.text.utf16Order(right.text) < 0 }
}

extension String {
    /// Whether both strings have the same code points. `==` also treats canonically equivalent ones as equal.
    package func hasSameUTF8(as other: String) -> Bool { utf16Order(other) == 0 }
}

extension String? {
    /// The same for texts that may be missing.
    package func hasSameUTF8(as other: String?) -> Bool { map(ExactText.init) == other.map(ExactText.init) }
}

extension JSONObject {
    /// The keys of both, each once, in the order of objects.
    package func keys(with other: JSONObject) -> [String] {
        Set(map { ExactText($0.key) }).union(other.map { ExactText($0.key) }).sorted().map(\.text)
    }
}
