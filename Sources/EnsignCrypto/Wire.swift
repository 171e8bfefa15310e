/// Reads the data types of RFC 4251, section 5, from bytes that may be hostile.
///
/// It holds only the position and receives the bytes with each call: a struct that holds a `Span` still needs an
/// experimental feature of the compiler. Every function returns nil, and does not advance, when the bytes end too
/// early.
struct WireCursor {
    /// The offset of the next byte.
    private(set) var position = 0

    /// Reads one `byte`.
    mutating func byte(in bytes: Span<UInt8>) -> UInt8? {
        guard let range = take(1, in: bytes) else { return nil }
        return bytes[range.lowerBound]
    }

    /// Reads a `uint32`, big-endian.
    mutating func uint32(in bytes: Span<UInt8>) -> UInt32? {
        guard let range = take(4, in: bytes) else { return nil }
        return range.reduce(0) { $0 << 8 | UInt32(bytes[$1]) }
    }

    /// Reads a `string`: a `uint32` length and as many bytes.
    ///
    /// - Returns: Where those bytes are.
    mutating func string(in bytes: Span<UInt8>) -> Range<Int>? {
        let start = position
        guard let length = uint32(in: bytes), let range = take(Int(length), in: bytes) else {
            position = start
            return nil
        }
        return range
    }

    /// Reads the `count` next bytes.
    ///
    /// - Returns: Where they are.
    mutating func take(_ count: Int, in bytes: Span<UInt8>) -> Range<Int>? {
        guard count <= bytes.count - position else { return nil }
        defer { position += count }
        return position..<(position + count)
    }

    /// Whether nothing is left.
    func isAtEnd(of bytes: Span<UInt8>) -> Bool { position == bytes.count }
}

extension [UInt8] {
    /// Appends a `uint32` (RFC 4251, section 5).
    mutating func appendWire(_ value: UInt32) {
        append(UInt8(truncatingIfNeeded: value >> 24))
        append(UInt8(truncatingIfNeeded: value >> 16))
        append(UInt8(truncatingIfNeeded: value >> 8))
        append(UInt8(truncatingIfNeeded: value))
    }

    /// Appends a `string` (RFC 4251, section 5). It must be shorter than 4 GiB.
    mutating func appendWire(_ string: some Collection<UInt8>) {
        appendWire(UInt32(string.count))
        append(contentsOf: string)
    }
}

extension Span<UInt8> {
    /// Whether these are exactly the bytes of `text`.
    func equals(_ text: StaticString) -> Bool {
        count == text.utf8CodeUnitCount && hasPrefix(text)
    }

    /// Whether these begin with the bytes of `text`.
    func hasPrefix(_ text: StaticString) -> Bool {
        guard count >= text.utf8CodeUnitCount else { return false }
        return indices.prefix(text.utf8CodeUnitCount).allSatisfy { unsafe self[$0] == text.utf8Start[$0] }
    }

    /// Whether these are exactly `other`.
    func equals(_ other: Span<UInt8>) -> Bool {
        count == other.count && indices.allSatisfy { self[$0] == other[$0] }
    }

    /// The text, if these are valid UTF-8.
    var text: String? {
        guard let text = try? UTF8Span(validating: self) else { return nil }
        return String(copying: text)
    }

    /// A copy.
    var array: [UInt8] {
        unsafe withUnsafeBufferPointer { unsafe Array($0) }
    }
}
