import CSodium

/// Base64 text (RFC 4648, section 4: the alphabet with `+` and `/`).
///
/// The codec is libsodium's: its time does not depend on the bytes, so it may be used on private keys.
package enum Base64 {
    /// Whether the text is filled up with `=` to a multiple of four characters.
    package enum Padding: Sendable, Hashable {
        /// Filled up; when decoding, it must be.
        case padded
        /// Not filled up; when decoding, it must not be.
        case unpadded
        /// Not filled up, in the alphabet with `-` and `_` (RFC 4648, section 5), as tokens are written.
        case url

        /// libsodium's number for it.
        fileprivate var variant: Int32 {
            switch self {
            case .padded: sodium_base64_VARIANT_ORIGINAL
            case .unpadded: sodium_base64_VARIANT_ORIGINAL_NO_PADDING
            case .url: sodium_base64_VARIANT_URLSAFE_NO_PADDING
            }
        }
    }

    /// Returns the text for `bytes`, in one line.
    package static func encode(_ bytes: [UInt8], padding: Padding = .padded) -> String {
        encode(bytes.span, padding: padding)
    }

    /// Returns the text for `bytes`, in one line.
    package static func encode(_ bytes: Span<UInt8>, padding: Padding = .padded) -> String {
        let capacity = encodedCapacity(bytes.count)
        return unsafe String(unsafeUninitializedCapacity: capacity) { output in
            unsafe encode(bytes, padding: padding, into: UnsafeMutableRawBufferPointer(output))
        }
    }

    /// Returns the bytes that `text` encodes, or nil if it is not exactly what `encode(_:padding:)` writes for them:
    /// other characters, white space, wrong padding and unused bits that are set are all refused.
    package static func decode(_ text: String, padding: Padding = .padded) -> [UInt8]? {
        decode(text.utf8.span, padding: padding)
    }

    /// Returns the bytes that `text` encodes, or nil if it is not exactly what `encode(_:padding:)` writes for them.
    package static func decode(_ text: [UInt8], padding: Padding = .padded) -> [UInt8]? {
        decode(text.span, padding: padding)
    }

    /// Returns the bytes that `text` encodes, or nil if it is not exactly what `encode(_:padding:)` writes for them.
    package static func decode(_ text: Span<UInt8>, padding: Padding = .padded) -> [UInt8]? {
        decode(text, padding: padding, newlines: false)
    }

    /// As `decode(_:padding:)`, and skips line feeds anywhere if `newlines` is set.
    static func decode(_ text: Span<UInt8>, padding: Padding = .padded, newlines: Bool) -> [UInt8]? {
        var decoded: Int?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: decodedCapacity(text.count)) { output, count in
            decoded = unsafe decode(
                text,
                padding: padding,
                newlines: newlines,
                into: UnsafeMutableRawBufferPointer(output)
            )
            count = decoded ?? 0
        }
        return decoded == nil ? nil : bytes
    }

    /// How many characters `byteCount` bytes are as padded text.
    static func encodedCount(_ byteCount: Int) -> Int { (byteCount + 2) / 3 * 4 }

    /// The most bytes that `byteCount` bytes take as text, with the NUL that libsodium writes after it.
    static func encodedCapacity(_ byteCount: Int) -> Int { encodedCount(byteCount) + 1 }

    /// The most bytes that `characterCount` characters can encode.
    static func decodedCapacity(_ characterCount: Int) -> Int { characterCount / 4 * 3 + 3 }

    /// Writes the text for `bytes` and a NUL into `output`, which must hold ``encodedCapacity(_:)``.
    ///
    /// - Returns: How many characters were written, without the NUL.
    static func encode(_ bytes: Span<UInt8>, padding: Padding, into output: UnsafeMutableRawBufferPointer) -> Int {
        precondition(output.count >= encodedCapacity(bytes.count), "no space for the base64 text")
        unsafe bytes.withUnsafeBufferPointer { input in
            _ = unsafe sodium_bin2base64(
                output.characters,
                output.count,
                input.baseAddress,
                input.count,
                padding.variant
            )
        }
        let (quads, rest) = bytes.count.quotientAndRemainder(dividingBy: 3)
        switch (padding, rest) {
        case (_, 0): return quads * 4
        case (.padded, _): return quads * 4 + 4
        case (.unpadded, _), (.url, _): return quads * 4 + rest + 1
        }
    }

    /// Writes the bytes that `text` encodes into `output`.
    ///
    /// - Returns: How many bytes were written, or nil if the text is malformed or `output` is too small.
    static func decode(
        _ text: Span<UInt8>,
        padding: Padding,
        newlines: Bool,
        into output: UnsafeMutableRawBufferPointer
    ) -> Int? {
        // libsodium 1.0.18 treats some bytes from 0x80 on as characters of the alphabet, and skips NUL as an ignored
        // one.
        guard text.indices.allSatisfy({ (1...0x7F).contains(text[$0]) }) else { return nil }
        var count = 0
        let status = unsafe text.withUnsafeBytes { input in
            unsafe sodium_base642bin(
                output.start,
                output.count,
                input.baseAddress?.assumingMemoryBound(to: CChar.self),
                input.count,
                newlines ? "\n" : nil,
                &count,
                nil,
                padding.variant
            )
        }
        return status == 0 ? count : nil
    }
}
