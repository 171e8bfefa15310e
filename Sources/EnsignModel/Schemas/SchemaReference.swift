/// Where a `$ref` leads: a definition at the root of the schema.
package struct SchemaReference: Sendable {
    /// Where definitions may be, at the root of a schema.
    package static let containers = ["$defs", "definitions"]

    /// One of ``containers``.
    package let container: String
    package let name: String

    /// The name of the definition in `#/$defs/<name>` or `#/definitions/<name>`, or `nil`.
    ///
    /// `~0`, `~1` (RFC 6901) and percent signs (RFC 3986) are decoded.
    package init?(_ reference: String) {
        guard
            let container = Self.containers.first(where: { reference.utf8.starts(with: "#/\($0)/".utf8) })
        else { return nil }
        var name: [UInt8] = []
        var rest = reference.utf8.dropFirst(container.utf8.count + 3)
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "/"):
                return nil
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst()?.hexDigit, let low = rest.popFirst()?.hexDigit else { return nil }
                name.append(high << 4 | low)
            default:
                name.append(byte)
            }
        }
        guard let decoded = String(validating: name, as: UTF8.self) else { return nil }
        var unescaped = ""
        var scalars = decoded.unicodeScalars.makeIterator()
        while let scalar = scalars.next() {
            guard scalar == "~" else {
                unescaped.unicodeScalars.append(scalar)
                continue
            }
            switch scalars.next() {
            case "0": unescaped.append("~")
            case "1": unescaped.append("/")
            default: return nil
            }
        }
        self.container = container
        self.name = unescaped
    }

    package init(container: String, name: String) {
        self.container = container
        self.name = name
    }
}

extension SchemaReference: Hashable {
    // By code points, as keys are. String's own equality treats canonically equivalent names as equal.
    package static func == (left: SchemaReference, right: SchemaReference) -> Bool {
        left.container == right.container && left.name.utf8.elementsEqual(right.name.utf8)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(container)
        hasher.combine(name)
    }
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
