import CNettle

/// SHA-256 (FIPS 180-4, section 6.2) of bytes that are in memory, by Nettle: it uses the processor's instructions for it,
/// which libsodium does not.
package enum SHA256 {
    /// The length of a digest in bytes.
    package static let byteCount = 32

    /// Returns the 32 bytes of the digest of `bytes`.
    package static func digest(of bytes: [UInt8]) -> [UInt8] {
        unsafe bytes.withUnsafeBytes { unsafe digest(of: $0) }
    }

    /// Returns the 32 bytes of the digest of `bytes`.
    package static func digest(of bytes: Span<UInt8>) -> [UInt8] {
        unsafe bytes.withUnsafeBytes { unsafe digest(of: $0) }
    }

    /// Returns the 32 bytes of the digest of `bytes`, which are only read during the call.
    package static func digest(of bytes: UnsafeRawBufferPointer) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { output, count in
            unsafe digest(of: bytes, into: UnsafeMutableRawBufferPointer(output))
            count = byteCount
        }
    }

    /// Returns the digest of `bytes` as 64 lowercase hexadecimal digits, as `sha256sum` prints it.
    package static func hex(of bytes: [UInt8]) -> String { Hex.encode(digest(of: bytes)) }

    /// Returns the digest of `bytes` as 64 lowercase hexadecimal digits, as `sha256sum` prints it.
    package static func hex(of bytes: Span<UInt8>) -> String { Hex.encode(digest(of: bytes)) }

    /// Returns the digest of `bytes` as 64 lowercase hexadecimal digits, as `sha256sum` prints it.
    package static func hex(of bytes: UnsafeRawBufferPointer) -> String { unsafe Hex.encode(digest(of: bytes)) }

    /// Writes the digest of `bytes` over the first 32 bytes of `output`, which must have as many.
    static func digest(of bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) {
        precondition(output.count >= byteCount, "a SHA-256 digest needs 32 bytes")
        unsafe cnettle_sha256(bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, output.start)
    }
}
