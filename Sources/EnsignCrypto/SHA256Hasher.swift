import CSodium

/// SHA-256 (FIPS 180-4, section 6.2) of bytes that arrive in pieces. A copy goes on independently of the original.
package struct SHA256Hasher: Sendable {
    private var state = crypto_hash_sha256_state()

    /// Starts with no bytes.
    package init() {
        Sodium.start()
        _ = unsafe crypto_hash_sha256_init(&state)
    }

    /// Appends `bytes` to what is hashed.
    package mutating func update(_ bytes: [UInt8]) {
        unsafe bytes.withUnsafeBytes { unsafe update($0) }
    }

    /// Appends `bytes` to what is hashed.
    package mutating func update(_ bytes: ArraySlice<UInt8>) {
        unsafe bytes.withUnsafeBytes { unsafe update($0) }
    }

    /// Appends `bytes` to what is hashed.
    package mutating func update(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBytes { unsafe update($0) }
    }

    /// Appends `bytes`, which are only read during the call, to what is hashed.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard unsafe !bytes.isEmpty else { return }
        _ = unsafe crypto_hash_sha256_update(
            &state,
            bytes.start,
            UInt64(bytes.count)
        )
    }

    /// Returns the 32 bytes of the digest of everything that was appended.
    package consuming func finalize() -> [UInt8] {
        var state = self.state
        return unsafe [UInt8](unsafeUninitializedCapacity: SHA256.byteCount) { output, count in
            _ = unsafe crypto_hash_sha256_final(&state, UnsafeMutableRawBufferPointer(output).start)
            count = SHA256.byteCount
        }
    }
}
