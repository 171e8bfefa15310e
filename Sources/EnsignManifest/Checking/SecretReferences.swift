/// A value that refers to another one, as `${NAME}`, `${NAME:-default}`, `{{name}}` or `{credentials}`, and what stands
/// around the references.
struct SecretReferences {
    /// A literal part of the value.
    private struct Part {
        var text: String
        /// Whether a reference stands directly before it, or behind it.
        var isBehind: Bool
        var isBefore: Bool
    }

    private var parts: [Part] = []
    /// What a reference is where nothing is set.
    private var defaults: [String] = []

    /// The marks of a reference's begin and end.
    private static let marks = [("${", "}"), ("{{", "}}"), ("{credentials", "}")].map {
        (Array($0.utf8), Array($1.utf8))
    }

    /// - Returns: Nil for a value without a reference.
    init?(_ value: some StringProtocol) {
        guard value.utf8.contains(where: { $0 == 0x24 || $0 == 0x7B }) else { return nil }
        let bytes = Array(value.utf8)
        var (index, start, isBehind) = (0, 0, false)
        while index < bytes.count {
            let begin = bytes[index] == 0x24 || bytes[index] == 0x7B
            guard begin, let mark = Self.marks.first(where: { bytes[index...].starts(with: $0.0) }) else {
                index += 1
                continue
            }
            if index > start {
                let text = String(decoding: bytes[start..<index], as: UTF8.self)
                parts.append(Part(text: text, isBehind: isBehind, isBefore: true))
            }
            let inside = bytes[(index + mark.0.count)...]
            // One that is not closed goes on to the end: it was cut.
            let end = Self.end(of: inside, mark.1) ?? bytes.count
            note(default: inside[..<max(inside.startIndex, end)])
            index = min(bytes.count, end + mark.1.count)
            (start, isBehind) = (index, true)
        }
        guard isBehind else { return nil }
        if start < bytes.count {
            let text = String(decoding: bytes[start...], as: UTF8.self)
            parts.append(Part(text: text, isBehind: true, isBefore: false))
        }
    }

    /// Where a reference ends; references may be in its default.
    private static func end(of text: ArraySlice<UInt8>, _ mark: [UInt8]) -> Int? {
        var depth = 0
        for index in text.indices {
            if text[index] == 0x7B { depth += 1 }
            if depth == 0, text[index...].starts(with: mark) { return index }
            if text[index] == 0x7D { depth -= 1 }
        }
        return nil
    }

    private mutating func note(default inside: ArraySlice<UInt8>) {
        for index in inside.indices.dropLast() where inside[index] == 0x3A {
            let next = inside[index + 1]
            guard next == 0x2D || next == 0x3D else { continue }
            defaults.append(String(decoding: inside[(index + 2)...], as: UTF8.self))
            return
        }
    }

    /// Whether a part is more than what is around a secret, such as `Bearer ` or `session=`: it goes on where a reference
    /// ends, or is made, as keys are.
    var holdLiteral: Bool {
        // A default that refers again is found where it is.
        if defaults.contains(where: { !$0.isEmpty && !$0.contains("${") && !SecretNames.isPlaceholder($0) }) {
            return true
        }
        return parts.contains { part in
            if part.isBehind, let first = part.text.utf8.first, Self.isLetter(first) { return true }
            if part.isBefore, let last = part.text.utf8.last, Self.isLetter(last) { return true }
            return part.text.split { " ;,=:@/&?".contains($0) }.contains { SecretNames.looksMade($0) }
        }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { SecretNames.isNamePart(byte) && byte != 0x5F }
}
