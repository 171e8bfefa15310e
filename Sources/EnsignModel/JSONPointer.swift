/// A place in a JSON value (RFC 6901): `/ticket`, `/lines/0/amount`. Never the whole value.
package struct JSONPointer: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The names and numbers on the way, without escapes. At least one.
    package let segments: [String]

    /// The most bytes of a pointer.
    package static let maxBytes = 256

    /// Parses a pointer; nil for anything else, and for the whole value.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.first == UInt8(ascii: "/"), text.utf8.count <= Self.maxBytes else { return nil }
        var segments: [String] = []
        for part in text.unicodeScalars.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            var segment = String.UnicodeScalarView()
            var escaped = false
            for scalar in part {
                switch (escaped, scalar) {
                case (false, "~"): escaped = true
                case (true, "0"): (segment, escaped) = (segment + ["~"], false)
                case (true, "1"): (segment, escaped) = (segment + ["/"], false)
                case (true, _): return nil
                default: segment.append(scalar)
                }
            }
            guard !escaped else { return nil }
            segments.append(String(segment))
        }
        self.segments = segments
    }

    package static func == (left: JSONPointer, right: JSONPointer) -> Bool {
        left.segments.elementsEqual(right.segments) { $0.hasSameUTF8(as: $1) }
    }

    package var description: String {
        segments.map { segment in
            var text = "/"
            for scalar in segment.unicodeScalars {
                switch scalar {
                case "~": text += "~0"
                case "/": text += "~1"
                default: text.unicodeScalars.append(scalar)
                }
            }
            return text
        }.joined()
    }

    package static func < (left: JSONPointer, right: JSONPointer) -> Bool { left.description < right.description }

    /// What is there; nil when nothing is.
    package func value(in root: JSONValue) -> JSONValue? {
        var value = root
        for segment in segments {
            let next: JSONValue?
            if case .array = value {
                next = Self.index(segment).flatMap { value[$0] }
            } else {
                next = value[segment]
            }
            guard let next else { return nil }
            value = next
        }
        return value
    }

    /// An array's index (RFC 6901, section 4): no sign, no leading zeros.
    package static func index(_ segment: String) -> Int? {
        guard segment.utf8.allSatisfy({ (0x30...0x39).contains($0) }), (1...9).contains(segment.utf8.count),
            segment == "0" || segment.utf8.first != 0x30
        else { return nil }
        return Int(segment)
    }
}
