import CSodium

/// SHA-512 (FIPS 180-4, section 6.4) of bytes that are in memory.
package enum SHA512 {
    /// The length of a digest in bytes.
    package static let byteCount = 64

    /// Returns the 64 bytes of the digest of `bytes`.
    package static func digest(of bytes: [UInt8]) -> [UInt8] {
        unsafe bytes.withUnsafeBytes { unsafe digest(of: $0) }
    }

    /// Returns the 64 bytes of the digest of `bytes`.
    package static func digest(of bytes: Span<UInt8>) -> [UInt8] {
        unsafe bytes.withUnsafeBytes { unsafe digest(of: $0) }
    }

    /// Returns the 64 bytes of the digest of `bytes`, which are only read during the call.
    package static func digest(of bytes: UnsafeRawBufferPointer) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { output, count in
            unsafe digest(of: bytes, into: UnsafeMutableRawBufferPointer(output))
            count = byteCount
        }
    }

    /// Writes the digest of `bytes` over the first 64 bytes of `output`, which must have as many.
    static func digest(of bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) {
        Sodium.start()
        precondition(output.count >= byteCount, "a SHA-512 digest needs 64 bytes")
        _ = unsafe crypto_hash_sha512(
            output.start,
            bytes.baseAddress?.assumingMemoryBound(to: UInt8.self),
            UInt64(bytes.count)
        )
    }
}
