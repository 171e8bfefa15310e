/// Where a `$ref` leads: to a schema in the same document.
package struct SchemaReference: Sendable {
    /// Where definitions usually are, at the root of a schema.
    package static let containers = ["$defs", "definitions"]

    /// JSON Pointer segments (RFC 6901) from the root, unescaped. Empty: the root itself.
    package let segments: [String]

    /// The pointer in `#`, `#/$defs/<name>`, `#/properties/<name>` and so on, or `nil`.
    ///
    /// Percent signs (RFC 3986) are decoded first, then `~0` and `~1`, as RFC 6901 section 6 says.
    package init?(_ reference: String) {
        guard reference.utf8.first == UInt8(ascii: "#") else { return nil }
        var bytes: [UInt8] = []
        var rest = reference.utf8.dropFirst()
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst()?.hexDigit, let low = rest.popFirst()?.hexDigit else { return nil }
            bytes.append(high << 4 | low)
        }
        guard let pointer = String(validating: bytes, as: UTF8.self) else { return nil }
        if pointer.isEmpty {
            segments = []
            return
        }
        guard pointer.utf8.first == UInt8(ascii: "/") else { return nil }
        var segments: [String] = []
        for part in pointer.unicodeScalars.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            guard let segment = Self.unescaped(part) else { return nil }
            segments.append(segment)
        }
        self.segments = segments
    }

    package init(segments: [String]) { self.segments = segments }

    private static func unescaped(_ part: Substring.UnicodeScalarView) -> String? {
        var text = String.UnicodeScalarView()
        var scalars = part.makeIterator()
        while let scalar = scalars.next() {
            guard scalar == "~" else {
                text.append(scalar)
                continue
            }
            switch scalars.next() {
            case "0": text.append("~")
            case "1": text.append("/")
            default: return nil
            }
        }
        return String(text)
    }

    /// Whether it leads to a definition at the root of the schema.
    package var isRootDefinition: Bool { segments.count == 2 && Self.containers.contains(segments[0]) }

    /// The reference as `$ref` has it.
    package var text: String {
        var text = "#"
        for segment in segments {
            text += "/"
            for scalar in segment.unicodeScalars {
                switch scalar {
                case "~": text += "~0"
                case "/": text += "~1"
                case "%": text += "%25"
                default: text.unicodeScalars.append(scalar)
                }
            }
        }
        return text
    }

    /// The schema that it leads to; nil unless keywords that hold schemas lead there.
    package func target(in root: JSONValue) -> JSONValue? {
        var schema = root
        var rest = segments[...]
        while let keyword = rest.popFirst() {
            guard let form = SchemaPositions.form(of: keyword), let value = schema[keyword] else { return nil }
            switch form {
            case .one: schema = value
            case .oneOrList where value.array == nil: schema = value
            case .list, .oneOrList:
                guard let index = rest.popFirst(), let number = Int(index), String(number) == index,
                    let element = value[number]
                else { return nil }
                schema = element
            case .members, .membersOrNames:
                guard let name = rest.popFirst(), let member = value[name], member.array == nil else { return nil }
                schema = member
            }
        }
        return schema
    }
}

extension SchemaReference: Hashable {
    // By code points, as keys are. String's own equality treats canonically equivalent names as equal.
    package static func == (left: SchemaReference, right: SchemaReference) -> Bool {
        left.segments.elementsEqual(right.segments) { $0.hasSameUTF8(as: $1) }
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(segments) }
}

extension UInt8 {
    fileprivate var hexDigit: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
