/// The bytes are not JSON, or nested too deep.
struct MalformedJSON: Error {
    let offset: Int
}

/// Reads JSON in place, member by member, and skips what nobody asked for.
///
/// `EnsignJSON` makes a value of every byte, which telemetry has too many of: most of a span is text that is not read
/// (docs/decisions/0010-telemetry-scanner.md). What is skipped is checked for balance only: strings end, brackets match.
/// So a cut-off text is never taken for a whole one.
///
/// Every read is checked against the end. The bytes belong to the caller and must outlive the scanner.
@safe
struct JSONScanner {
    /// The most arrays and objects within one another.
    static let depthLimit = 64

    private let bytes: UnsafeRawBufferPointer
    private let end: Int
    private(set) var index: Int

    init(_ bytes: UnsafeRawBufferPointer, from start: Int = 0) {
        unsafe self.bytes = bytes
        end = bytes.count
        index = min(start, end)
    }

    /// Text between quotes, still escaped.
    struct Text {
        let start: Int
        let end: Int
        let hasEscapes: Bool

        var count: Int { end - start }
    }

    // MARK: - Structure

    private func malformed() -> MalformedJSON { MalformedJSON(offset: index) }

    /// The next byte that is not white space; nil at the end.
    @inline(__always)
    mutating func peek() -> UInt8? {
        while index < end {
            let byte = unsafe bytes[index]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return byte }
            index += 1
        }
        return nil
    }

    private mutating func take(_ byte: UInt8) throws(MalformedJSON) {
        guard peek() == byte else { throw malformed() }
        index += 1
    }

    /// Enters an object.
    mutating func beginObject() throws(MalformedJSON) { try take(UInt8(ascii: "{")) }

    /// The next member's name; the scanner is then before its value. Nil behind the object.
    mutating func nextKey(_ isFirst: inout Bool) throws(MalformedJSON) -> Text? {
        guard try nextItem(&isFirst, close: UInt8(ascii: "}")) else { return nil }
        let key = try text()
        try take(UInt8(ascii: ":"))
        return key
    }

    /// Enters an array.
    mutating func beginArray() throws(MalformedJSON) { try take(UInt8(ascii: "[")) }

    /// Whether an element follows; the scanner is then before it. False behind the array.
    mutating func nextElement(_ isFirst: inout Bool) throws(MalformedJSON) -> Bool {
        try nextItem(&isFirst, close: UInt8(ascii: "]"))
    }

    private mutating func nextItem(_ isFirst: inout Bool, close: UInt8) throws(MalformedJSON) -> Bool {
        guard let byte = peek() else { throw malformed() }
        if byte == close {
            index += 1
            return false
        }
        if isFirst {
            isFirst = false
        } else {
            try take(UInt8(ascii: ","))
        }
        return true
    }

    /// Moves back to an earlier place of the scanner.
    mutating func rewind(to place: Int) {
        precondition(place <= end, "a place within the bytes")
        index = place
    }

    // MARK: - Values

    /// Reads a string's place.
    mutating func text() throws(MalformedJSON) -> Text {
        try take(UInt8(ascii: "\""))
        let start = index
        var hasEscapes = false
        while true {
            // Eight bytes at a time until one of them is a quote or a backslash
            // ("Determine if a word has a byte equal to n", graphics.stanford.edu/~seander/bithacks.html).
            while index + 8 <= end {
                let word = unsafe bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self).littleEndian
                let quotes = word ^ 0x2222_2222_2222_2222
                let slashes = word ^ 0x5C5C_5C5C_5C5C_5C5C
                let ones: UInt64 = 0x0101_0101_0101_0101
                let hits = ((quotes &- ones) & ~quotes | (slashes &- ones) & ~slashes) & 0x8080_8080_8080_8080
                if hits != 0 {
                    index += hits.trailingZeroBitCount / 8
                    break
                }
                index += 8
            }
            guard index < end else { throw malformed() }
            let byte = unsafe bytes[index]
            if byte == UInt8(ascii: "\"") {
                index += 1
                return Text(start: start, end: index - 1, hasEscapes: hasEscapes)
            }
            if byte == UInt8(ascii: "\\") {
                hasEscapes = true
                guard index + 1 < end else { throw malformed() }
                index += 2
            } else {
                index += 1
            }
        }
    }

    /// A number, `true`, `false` or `null` as it is written.
    mutating func word() throws(MalformedJSON) -> Text {
        _ = peek()
        let start = index
        while index < end {
            switch unsafe bytes[index] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."):
                index += 1
                continue
            default: break
            }
            break
        }
        guard index > start else { throw malformed() }
        return Text(start: start, end: index, hasEscapes: false)
    }

    /// Passes over a value of any kind.
    mutating func skip() throws(MalformedJSON) {
        guard let first = peek() else { throw malformed() }
        switch first {
        case UInt8(ascii: "\""): _ = try text()
        case UInt8(ascii: "{"), UInt8(ascii: "["): try skipContainer()
        default: _ = try word()
        }
    }

    /// Bit n of `kinds` says whether the container n levels further out is an object.
    private mutating func skipContainer() throws(MalformedJSON) {
        var kinds: UInt64 = 0
        var depth = 0
        repeat {
            guard index < end else { throw malformed() }
            switch unsafe bytes[index] {
            case UInt8(ascii: "\""):
                _ = try text()
                continue
            case UInt8(ascii: "{"):
                kinds = kinds << 1 | 1
                depth += 1
            case UInt8(ascii: "["):
                kinds <<= 1
                depth += 1
            case UInt8(ascii: "}"):
                guard kinds & 1 == 1 else { throw malformed() }
                kinds >>= 1
                depth -= 1
            case UInt8(ascii: "]"):
                guard kinds & 1 == 0 else { throw malformed() }
                kinds >>= 1
                depth -= 1
            default: break
            }
            guard depth < Self.depthLimit else { throw malformed() }
            index += 1
        } while depth > 0
    }

    // MARK: - Content

    /// A digest of the bytes from a place up to the scanner's.
    func digest(from place: Int) -> UInt64 {
        precondition(place <= index, "a place behind the scanner")
        return unsafe StableHash.of(bytes[place..<index])
    }

    /// Whether a text is these words, unescaped.
    @inline(__always)
    func equals(_ text: Text, _ words: StaticString) -> Bool {
        if text.hasEscapes { return string(text) == words.description }
        let count = words.utf8CodeUnitCount
        guard text.count == count else { return false }
        for offset in 0..<count where unsafe bytes[text.start + offset] != words.utf8Start[offset] { return false }
        return true
    }

    /// Whether a text is these words, which are written small, in letters of any case.
    func equalsInAnyCase(_ text: Text, _ words: StaticString) -> Bool {
        if text.hasEscapes { return string(text).lowercased() == words.description }
        let count = words.utf8CodeUnitCount
        guard text.count == count else { return false }
        for offset in 0..<count {
            let byte = unsafe bytes[text.start + offset]
            let isCapital = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
            if unsafe (isCapital ? byte | 0x20 : byte) != words.utf8Start[offset] { return false }
        }
        return true
    }

    /// Whether a text begins with these words.
    @inline(__always)
    func hasPrefix(_ text: Text, _ words: StaticString) -> Bool {
        if text.hasEscapes { return string(text).hasPrefix(words.description) }
        let count = words.utf8CodeUnitCount
        guard text.count >= count else { return false }
        for offset in 0..<count where unsafe bytes[text.start + offset] != words.utf8Start[offset] { return false }
        return true
    }

    /// Whether these words stand somewhere in a text, as they are written there.
    func contains(_ text: Text, _ words: StaticString) -> Bool {
        let count = words.utf8CodeUnitCount
        guard text.count >= count else { return false }
        for start in text.start...(text.end - count) {
            var offset = 0
            while offset < count, unsafe bytes[start + offset] == words.utf8Start[offset] { offset += 1 }
            if offset == count { return true }
        }
        return false
    }

    /// One byte of a text.
    func byte(_ text: Text, at offset: Int) -> UInt8 {
        precondition(offset < text.count, "an offset within the text")
        return unsafe bytes[text.start + offset]
    }

    /// A text without its escapes; what is not UTF-8 becomes U+FFFD.
    func string(_ text: Text) -> String {
        guard text.hasEscapes else {
            return unsafe String(decoding: bytes[text.start..<text.end], as: UTF8.self)
        }
        return String(decoding: unescaped(text), as: UTF8.self)
    }

    private func unescaped(_ text: Text) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var place = text.start
        while place < text.end {
            let byte = unsafe bytes[place]
            guard byte == UInt8(ascii: "\\"), place + 1 < text.end else {
                result.append(byte)
                place += 1
                continue
            }
            let escape = unsafe bytes[place + 1]
            place += 2
            switch escape {
            case UInt8(ascii: "n"): result.append(0x0A)
            case UInt8(ascii: "t"): result.append(0x09)
            case UInt8(ascii: "r"): result.append(0x0D)
            case UInt8(ascii: "b"): result.append(0x08)
            case UInt8(ascii: "f"): result.append(0x0C)
            case UInt8(ascii: "u"): result.append(contentsOf: String(scalar(&place, text.end)).utf8)
            default: result.append(escape)
            }
        }
        return result
    }

    /// The scalar of `\uXXXX`, or of two of them that are a surrogate pair; U+FFFD for anything else.
    private func scalar(_ place: inout Int, _ end: Int) -> Character {
        let first = unit(&place, end)
        guard let first else { return "\u{FFFD}" }
        if let scalar = Unicode.Scalar(UInt32(first)) { return Character(scalar) }
        var next = place
        guard first < 0xDC00, next + 2 <= end, unsafe bytes[next] == UInt8(ascii: "\\"),
            unsafe bytes[next + 1] == UInt8(ascii: "u")
        else { return "\u{FFFD}" }
        next += 2
        guard let second = unit(&next, end), (0xDC00...0xDFFF).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00))
        else { return "\u{FFFD}" }
        place = next
        return Character(scalar)
    }

    private func unit(_ place: inout Int, _ end: Int) -> UInt16? {
        guard place + 4 <= end else {
            place = end
            return nil
        }
        var value: UInt16 = 0
        for offset in 0..<4 {
            guard let digit = unsafe hexDigit(bytes[place + offset]) else { return nil }
            value = value << 4 | UInt16(digit)
        }
        place += 4
        return value
    }
}

/// 0 to 15, in either case; nil for anything else.
@inline(__always)
func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
