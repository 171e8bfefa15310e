import CSodium

/// Hexadecimal text (RFC 4648, section 8), written in lowercase.
package enum Hex {
    /// Returns two lowercase digits for each byte.
    package static func encode(_ bytes: [UInt8]) -> String {
        encode(bytes.span)
    }

    /// Returns two lowercase digits for each byte.
    package static func encode(_ bytes: Span<UInt8>) -> String {
        let digitCount = bytes.count * 2
        // libsodium also writes a NUL.
        return unsafe String(unsafeUninitializedCapacity: digitCount + 1) { output in
            unsafe bytes.withUnsafeBufferPointer { input in
                _ = unsafe sodium_bin2hex(
                    UnsafeMutableRawBufferPointer(output).characters,
                    output.count,
                    input.baseAddress,
                    input.count
                )
            }
            return digitCount
        }
    }

    /// Returns the bytes that `text` encodes, or nil unless it consists of pairs of digits.
    ///
    /// Digits of either case are accepted: if a format has only one spelling, compare with what `encode(_:)` writes.
    package static func decode(_ text: String) -> [UInt8]? { decode(text.utf8.span) }

    /// Returns the bytes that `text` encodes, or nil unless it consists of pairs of digits of either case.
    package static func decode(_ text: [UInt8]) -> [UInt8]? { decode(text.span) }

    /// Returns the bytes that `text` encodes, or nil unless it consists of pairs of digits of either case.
    package static func decode(_ text: Span<UInt8>) -> [UInt8]? {
        guard !text.isEmpty else { return [] }
        guard text.count.isMultiple(of: 2) else { return nil }
        var status: Int32 = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: text.count / 2) { output, count in
            unsafe text.withUnsafeBytes { input in
                status = unsafe sodium_hex2bin(
                    UnsafeMutableRawBufferPointer(output).start,
                    output.count,
                    input.baseAddress?.assumingMemoryBound(to: CChar.self),
                    input.count,
                    nil,
                    &count,
                    nil
                )
            }
        }
        return status == 0 ? bytes : nil
    }
}
