import EnsignModel

/// The type of a plain (unquoted) scalar.
enum Scalar {
    case null
    case boolean(Bool)
    case integer(Int64)
    case number(Double)
    case text
    /// Some YAML reader takes it for something other than its text: `yes`, `010`, `0x1F`, `12:30:45`, `2026-01-01`,
    /// `~`.
    case ambiguous
    /// A JSON number that a double cannot hold exactly or at all.
    case outOfRange

    init(plain bytes: ArraySlice<UInt8>) {
        guard let first = bytes.first else {
            self = .null
            return
        }
        switch first {
        case UInt8(ascii: "t"), UInt8(ascii: "f"), UInt8(ascii: "n"):
            if bytes.elementsEqual("true".utf8) {
                self = .boolean(true)
            } else if bytes.elementsEqual("false".utf8) {
                self = .boolean(false)
            } else if bytes.elementsEqual("null".utf8) {
                self = .null
            } else {
                self = Self.isWord(bytes) ? .ambiguous : .text
            }
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "."):
            self = Self.numeric(bytes)
        case UInt8(ascii: "~"):
            self = bytes.count == 1 ? .ambiguous : .text
        case UInt8(ascii: "y"), UInt8(ascii: "Y"), UInt8(ascii: "N"), UInt8(ascii: "o"), UInt8(ascii: "O"),
            UInt8(ascii: "T"), UInt8(ascii: "F"):
            self = Self.isWord(bytes) ? .ambiguous : .text
        case UInt8(ascii: "="), UInt8(ascii: "<"):
            // YAML 1.1's default and merge keys.
            self = bytes.elementsEqual("=".utf8) || bytes.elementsEqual("<<".utf8) ? .ambiguous : .text
        default:
            self = .text
        }
    }

    /// Words that YAML 1.1 or 1.2 reads as a boolean or null (https://yaml.org/type/bool.html, null.html).
    private static let words: Set<String> = [
        "y", "yes", "n", "no", "true", "false", "on", "off", "null",
    ]

    private static func isWord(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard bytes.count <= 5 else { return false }
        return words.contains(String(decoding: bytes, as: UTF8.self).lowercased())
    }

    private static func numeric(_ bytes: ArraySlice<UInt8>) -> Scalar {
        if let isInteger = isJSONNumber(bytes) {
            let text = String(decoding: bytes, as: UTF8.self)
            if isInteger {
                guard let value = Int64(text), value.magnitude <= 1 << 53 else { return .outOfRange }
                return .integer(value)
            }
            guard let value = Double(text), value.isFinite else { return .outOfRange }
            return .number(value)
        }
        return looksNumeric(bytes) ? .ambiguous : .text
    }

    /// Nil when the bytes are not a JSON number (RFC 8259, section 6); else whether it is written as an integer.
    private static func isJSONNumber(_ bytes: ArraySlice<UInt8>) -> Bool? {
        var index = bytes.startIndex
        func digits() -> Int {
            let start = index
            while index < bytes.endIndex, (0x30...0x39).contains(bytes[index]) { index += 1 }
            return index - start
        }
        if bytes[index] == UInt8(ascii: "-") { index += 1 }
        guard index < bytes.endIndex else { return nil }
        let leadsWithZero = bytes[index] == 0x30
        let count = digits()
        guard count > 0, !(leadsWithZero && count > 1) else { return nil }
        var isInteger = true
        if index < bytes.endIndex, bytes[index] == UInt8(ascii: ".") {
            index += 1
            guard digits() > 0 else { return nil }
            isInteger = false
        }
        if index < bytes.endIndex, bytes[index] | 0x20 == UInt8(ascii: "e") {
            index += 1
            if index < bytes.endIndex, bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-") {
                index += 1
            }
            guard digits() > 0 else { return nil }
            isInteger = false
        }
        return index == bytes.endIndex ? isInteger : nil
    }

    /// Whether some YAML reader reads the bytes as a number, a time or a date (https://yaml.org/type/int.html,
    /// float.html, timestamp.html).
    private static func looksNumeric(_ bytes: ArraySlice<UInt8>) -> Bool {
        var rest = bytes
        if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { rest = rest.dropFirst() }
        guard let first = rest.first else { return false }
        let lower = String(decoding: rest, as: UTF8.self).lowercased()
        if lower == ".inf" || lower == ".nan" { return true }
        if lower.hasPrefix("0x") || lower.hasPrefix("0o") || lower.hasPrefix("0b") {
            return lower.dropFirst(2).utf8.allSatisfy { isHex($0) || $0 == UInt8(ascii: "_") }
        }
        guard (0x30...0x39).contains(first) || (first == UInt8(ascii: ".") && rest.count > 1) else { return false }
        let isNumberLike = rest.allSatisfy { byte in
            (0x30...0x39).contains(byte) || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
                || byte == UInt8(ascii: ":") || byte | 0x20 == UInt8(ascii: "e") || byte == UInt8(ascii: "+")
                || byte == UInt8(ascii: "-")
        }
        if isNumberLike {
            // "1.4.0" is a version, "1-2" a range: readers take neither for a number, but they read "2026-01-01" as a
            // date.
            let points = rest.count { $0 == UInt8(ascii: ".") }
            let dashes = rest.dropFirst().count { $0 == UInt8(ascii: "-") }
            if dashes == 2 { return CalendarDate(String(decoding: rest, as: UTF8.self)) != nil || rest.count <= 10 }
            return points <= 1 && dashes == 0
        }
        // A timestamp: a date, then T or blanks and a time.
        return rest.count > 10 && CalendarDate(String(decoding: rest.prefix(10), as: UTF8.self)) != nil
    }

    private static func isHex(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte | 0x20)
    }
}
