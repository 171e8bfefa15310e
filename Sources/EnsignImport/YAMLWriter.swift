package import EnsignModel

/// Writes values as the YAML of Ensign's manifests: block style, quotes only where a reader could take a text for
/// something else, short lists of scalars in one line.
package struct YAMLWriter {
    private(set) package var lines: [String] = []

    package init() {}

    /// The lines of one member of a mapping.
    ///
    /// - Parameters:
    ///   - indent: How many blanks stand before the key.
    ///   - comment: Stands behind the value, or behind the key of a longer one; one line.
    package static func member(
        _ key: String,
        _ value: JSONValue,
        indent: Int,
        comment: String? = nil
    ) -> [String] {
        var writer = YAMLWriter()
        writer.write(key, value, indent, comment)
        return writer.lines
    }

    private mutating func write(_ key: String, _ value: JSONValue, _ indent: Int, _ comment: String? = nil) {
        let start = Self.blanks(indent) + Self.key(key) + ":"
        let end = comment.map { "  # \($0)" } ?? ""
        switch value {
        case .object(let members) where !members.isEmpty:
            lines.append(start + end)
            for (name, inner) in members { write(name, inner, indent + 2) }
        case .array(let elements) where !elements.isEmpty:
            if let list = Self.flow(elements), start.utf8.count + list.utf8.count < 100 {
                lines.append("\(start) \(list)\(end)")
            } else {
                lines.append(start + end)
                for element in elements { write(element: element, indent + 2) }
            }
        case .string(let text) where Self.isLiteral(text):
            lines.append("\(start) |\(text.hasSuffix("\n") ? "" : "-")\(end)")
            append(literal: text, indent + 2)
        default: lines.append("\(start) \(Self.scalar(value))\(end)")
        }
    }

    private mutating func write(element: JSONValue, _ indent: Int) {
        let dash = Self.blanks(indent) + "-"
        switch element {
        case .object(let members) where !members.isEmpty:
            let first = lines.count
            for (name, inner) in members { write(name, inner, indent + 2) }
            lines[first] = dash + " " + lines[first].dropFirst(indent + 2)
        case .array(let elements) where !elements.isEmpty:
            if let list = Self.flow(elements), list.utf8.count < 90 {
                lines.append("\(dash) \(list)")
            } else {
                let first = lines.count
                for inner in elements { write(element: inner, indent + 2) }
                lines[first] = dash + " " + lines[first].dropFirst(indent + 2)
            }
        case .string(let text) where Self.isLiteral(text):
            lines.append("\(dash) |\(text.hasSuffix("\n") ? "" : "-")")
            append(literal: text, indent + 2)
        default: lines.append("\(dash) \(Self.scalar(element))")
        }
    }

    private mutating func append(literal text: String, _ indent: Int) {
        let body = text.hasSuffix("\n") ? String(text.unicodeScalars.dropLast()) : text
        for line in body.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false) {
            lines.append(line.isEmpty ? "" : Self.blanks(indent) + String(line))
        }
    }

    private static func blanks(_ count: Int) -> String { String(repeating: " ", count: count) }

    // MARK: Scalars

    /// A list in one line; nil unless it is of short scalars.
    private static func flow(_ elements: [JSONValue]) -> String? {
        guard elements.count <= 20 else { return nil }
        var words: [String] = []
        for element in elements {
            switch element {
            case .array, .object: return nil
            case .string(let text): words.append(text.contains(",") ? quoted(text) : self.text(text))
            default: words.append(scalar(element))
            }
        }
        return "[\(words.joined(separator: ", "))]"
    }

    private static func scalar(_ value: JSONValue) -> String {
        switch value {
        case .string(let text): self.text(text)
        case .object: "{}"
        case .array: "[]"
        case .null, .bool, .integer, .number: String(decoding: value.canonicalBytes(), as: UTF8.self)
        }
    }

    private static func key(_ text: String) -> String {
        text.utf8.count > 200 ? quoted(text) : self.text(text)
    }

    /// A text, plain where nothing but a text can be meant.
    static func text(_ text: String) -> String { isPlain(text) ? text : quoted(text) }

    private static let words: Set<String> = ["y", "n", "yes", "no", "true", "false", "on", "off", "null", "nan", "inf"]

    private static func isPlain(_ text: String) -> Bool {
        guard let first = text.utf8.first, isLetter(first) || first == 0x5F, text.utf8.last != 0x20 else {
            return false
        }
        guard !words.contains(text.lowercased()), !text.contains(": "), !text.contains(" #") else { return false }
        return text.utf8.last != UInt8(ascii: ":")
            && text.utf8.allSatisfy { byte in
                isLetter(byte) || (0x30...0x39).contains(byte) || " _-./()'+;:@#=%*?!,".utf8.contains(byte)
            }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) }

    /// A text in double quotes, on one line, with what does not show as an escape (YAML 1.2.2, section 5.7).
    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case "\r": result += "\\r"
            case _ where DisplayText.isUnsafe(scalar): result += escape(scalar.value)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    private static func escape(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        let (letter, width) = value <= 0xFF ? ("x", 2) : value <= 0xFFFF ? ("u", 4) : ("U", 8)
        return "\\\(letter)" + String(repeating: "0", count: width - digits.count) + digits
    }

    /// Whether a text is better read over its own lines, and comes back from there unchanged.
    private static func isLiteral(_ text: String) -> Bool {
        let scalars = text.unicodeScalars
        guard scalars.contains("\n"), let first = scalars.first, first != " ", first != "\n", !text.hasSuffix("\n\n")
        else { return false }
        guard !scalars.contains(where: { $0 != "\n" && DisplayText.isUnsafe($0) }) else { return false }
        return scalars.split(separator: "\n", omittingEmptySubsequences: false).allSatisfy { line in
            line.last != " "
        }
    }
}
