import EnsignJSON
import EnsignModel

/// One line of samples: `{"trial":"a","metric":"success","variant":"canary","value":1}`.
///
/// Lines as programs write them are read in place; any other goes through the full JSON reader.
@unsafe
struct SampleLine {
    /// The text of the trial's name as JSON, quotes included; empty for none. Valid as long as the line's bytes.
    var trial = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    var metric: [UInt8] = []
    var variant = Variant.stable
    var value = 0.0

    @unsafe
    enum Reading {
        case sample(SampleLine)
        /// Nothing but whitespace.
        case empty
        case problem(String)
    }

    static func read(_ bytes: UnsafeRawBufferPointer) -> Reading {
        var scanner = unsafe Scanner(bytes: bytes)
        if let sample = unsafe scanner.sample() { return unsafe .sample(sample) }
        if unsafe bytes.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { return unsafe .empty }
        return unsafe slow(bytes)
    }

    /// The trial's name as it is printed.
    static func name(_ text: ArraySlice<UInt8>) -> JSONValue {
        guard !text.isEmpty else { return .null }
        return (try? JSONParser.parse(Array(text))) ?? .null
    }
}

extension SampleLine {
    /// Reads what the scanner does not: escapes, other members, numbers with many digits, values that lie.
    private static func slow(_ bytes: UnsafeRawBufferPointer) -> Reading {
        var text = unsafe Array(bytes)
        // Python writes NaN and Infinity, which JSON does not have.
        let lie = unsafe nonNumber(in: text)
        if let lie { text.replaceSubrange(lie, with: Array("null".utf8)) }
        let json: JSONValue
        do {
            json = try JSONParser.parse(text)
        } catch {
            return unsafe .problem("not JSON: \(error.message)")
        }
        guard json.object != nil else { return unsafe .problem("not a JSON object") }
        guard let metric = json["metric"]?.string else {
            return unsafe .problem("'metric' is missing, or is not a text")
        }
        guard let variant = json["variant"]?.string.flatMap({ Variant(rawValue: $0) }) else {
            return unsafe .problem("'variant' is neither \"stable\" nor \"canary\"")
        }
        var sample = unsafe SampleLine()
        unsafe sample.metric = Array(metric.utf8)
        unsafe sample.variant = variant
        switch json["value"] {
        case .integer(let value): unsafe sample.value = Double(value)
        case .number(let value): unsafe sample.value = value
        case .bool(let value): unsafe sample.value = value ? 1 : 0
        case .null where lie != nil: unsafe sample.value = .nan
        default: return unsafe .problem("'value' is missing, or is not a number")
        }
        switch json["trial"] {
        case nil, .null: break
        case .string, .integer, .number:
            guard let range = unsafe memberText("trial", in: bytes) else {
                return unsafe .problem("'trial' cannot be read")
            }
            unsafe sample.trial = unsafe UnsafeRawBufferPointer(rebasing: bytes[range])
        default: return unsafe .problem("'trial' is not text")
        }
        return unsafe .sample(sample)
    }

    /// Where `NaN`, `Infinity` or `-Infinity` is a value.
    private static func nonNumber(in text: [UInt8]) -> Range<Int>? {
        for word in ["-Infinity", "Infinity", "NaN"] {
            let word = Array(word.utf8)
            guard text.count > word.count else { continue }
            for start in 1..<text.count - word.count + 1
            where text[start] == word[0] && text[start..<start + word.count].elementsEqual(word) {
                if text[start - 1] == UInt8(ascii: ":") || text[start - 1] == 0x20 { return start..<start + word.count }
            }
        }
        return nil
    }

    /// The text of a top-level member's scalar. The line is known to be a valid object.
    private static func memberText(_ name: StaticString, in bytes: UnsafeRawBufferPointer) -> Range<Int>? {
        var index = 0
        var depth = 0
        var isKey = false
        while index < bytes.count {
            switch unsafe bytes[index] {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                isKey = unsafe bytes[index] == UInt8(ascii: "{")
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            case UInt8(ascii: ","): isKey = true
            case UInt8(ascii: ":"): isKey = false
            case UInt8(ascii: "\""):
                let start = index
                index += 1
                while index < bytes.count, unsafe bytes[index] != UInt8(ascii: "\"") {
                    unsafe index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
                }
                guard index < bytes.count else { return nil }
                if isKey, depth == 1,
                    unsafe bytes[start + 1..<index].elementsEqual(
                        UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
                    )
                {
                    return unsafe scalar(after: index + 1, in: bytes)
                }
            default: break
            }
            index += 1
        }
        return nil
    }

    private static func scalar(after start: Int, in bytes: UnsafeRawBufferPointer) -> Range<Int>? {
        var begin = start
        while begin < bytes.count, unsafe [0x20, 0x09, UInt8(ascii: ":")].contains(bytes[begin]) { begin += 1 }
        guard begin < bytes.count else { return nil }
        var end = begin + 1
        if unsafe bytes[begin] == UInt8(ascii: "\"") {
            while end < bytes.count, unsafe bytes[end] != UInt8(ascii: "\"") {
                unsafe end += bytes[end] == UInt8(ascii: "\\") ? 2 : 1
            }
            return end < bytes.count ? begin..<end + 1 : nil
        }
        while end < bytes.count, unsafe ![0x20, 0x09, UInt8(ascii: ","), UInt8(ascii: "}")].contains(bytes[end]) {
            end += 1
        }
        return begin..<end
    }
}

/// Reads the four members in any order, unescaped, with numbers that are exact in a double.
@unsafe
private struct Scanner {
    let bytes: UnsafeRawBufferPointer
    private var index = 0

    init(bytes: UnsafeRawBufferPointer) { unsafe self.bytes = unsafe bytes }

    /// Nil for anything out of the ordinary.
    mutating func sample() -> SampleLine? {
        var sample = unsafe SampleLine()
        var seen = 0
        guard unsafe take(UInt8(ascii: "{")) else { return nil }
        repeat {
            guard let key = unsafe string(), unsafe take(UInt8(ascii: ":")) else { return nil }
            let member: Int
            switch key.count {
            case 5 where unsafe equal(key, "trial"):
                member = 1
                unsafe skipSpace()
                let start = unsafe index
                guard unsafe string() != nil else { return nil }
                unsafe sample.trial = unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<index])
            case 6 where unsafe equal(key, "metric"):
                member = 2
                guard let text = unsafe string() else { return nil }
                unsafe sample.metric = unsafe Array(bytes[text])
            case 7 where unsafe equal(key, "variant"):
                member = 4
                guard let text = unsafe string() else { return nil }
                if unsafe equal(text, "stable") {
                    unsafe sample.variant = .stable
                } else if unsafe equal(text, "canary") {
                    unsafe sample.variant = .canary
                } else {
                    return nil
                }
            case 5 where unsafe equal(key, "value"):
                member = 8
                guard let value = unsafe number() else { return nil }
                unsafe sample.value = value
            default: return nil
            }
            guard seen & member == 0 else { return nil }
            seen |= member
        } while unsafe take(UInt8(ascii: ","))
        guard unsafe take(UInt8(ascii: "}")), seen & 14 == 14 else { return nil }
        unsafe skipSpace()
        return unsafe index == bytes.count ? sample : nil
    }

    private mutating func skipSpace() {
        while unsafe index < bytes.count, unsafe bytes[index] == 0x20 || bytes[index] == 0x09 || bytes[index] == 0x0D {
            unsafe index += 1
        }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        unsafe skipSpace()
        guard unsafe index < bytes.count, unsafe bytes[index] == byte else { return false }
        unsafe index += 1
        return true
    }

    /// The inside of a string of printable ASCII without escapes.
    private mutating func string() -> Range<Int>? {
        guard unsafe take(UInt8(ascii: "\"")) else { return nil }
        let start = unsafe index
        while unsafe index < bytes.count {
            let byte = unsafe bytes[index]
            if byte == UInt8(ascii: "\"") {
                unsafe index += 1
                return unsafe start..<index - 1
            }
            guard byte >= 0x20, byte < 0x7F, byte != UInt8(ascii: "\\") else { return nil }
            unsafe index += 1
        }
        return nil
    }

    private func equal(_ range: Range<Int>, _ text: StaticString) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        for offset in 0..<range.count where unsafe bytes[range.lowerBound + offset] != text.utf8Start[offset] {
            return false
        }
        return true
    }

    private static let powers: [Double] = [
        1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20,
        1e21, 1e22,
    ]

    /// A decimal of at most 2^53 with at most 22 places: one division of exact numbers is correctly rounded.
    private mutating func number() -> Double? {
        unsafe skipSpace()
        var digits = 0
        var places = 0
        var value: UInt64 = 0
        let start = unsafe index
        var isFraction = false
        while unsafe index < bytes.count {
            let byte = unsafe bytes[index]
            if byte >= 0x30, byte <= 0x39 {
                guard digits < 18 else { return nil }
                value = value * 10 + UInt64(byte - 0x30)
                digits += 1
                if isFraction { places += 1 }
            } else if byte == UInt8(ascii: "."), !isFraction, digits > 0 {
                isFraction = true
            } else {
                break
            }
            unsafe index += 1
        }
        let whole = digits - places
        guard digits > 0, !isFraction || places > 0, value <= 1 << 53 else { return nil }
        // 01 is not JSON; exponents go the slow way.
        if whole > 1, unsafe bytes[start] == 0x30 { return nil }
        if unsafe index < bytes.count, unsafe bytes[index] | 0x20 == 0x65 { return nil }
        return unsafe Double(value) / Self.powers[places]
    }
}
