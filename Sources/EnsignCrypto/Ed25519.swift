import CSodium

/// Ed25519 (RFC 8032, section 5.1) on bare bytes.
enum Ed25519 {
    /// The length of the seed from which the rest of a key follows.
    static let seedByteCount = 32
    /// The length of a public key.
    static let publicByteCount = 32
    /// The length of libsodium's signing secret: the seed and the public key. OpenSSH stores the same 64 bytes.
    static let secretByteCount = 64
    /// The length of a signature.
    static let signatureByteCount = 64

    /// Whether `signature`, at an offset into the bytes of `container`, is one of `message` by the key with these 32
    /// bytes.
    ///
    /// As strict as libsodium: keys of small order and signatures that are not reduced never verify, so that nobody can
    /// make a second signature out of a first.
    static func verifies(signature: Span<UInt8>, message: Span<UInt8>, publicKey: Span<UInt8>) -> Bool {
        guard signature.count == signatureByteCount, publicKey.count == publicByteCount else { return false }
        return unsafe signature.withUnsafeBytes { signature in
            unsafe message.withUnsafeBufferPointer { message in
                unsafe publicKey.withUnsafeBytes { publicKey in
                    unsafe crypto_sign_ed25519_verify_detached(
                        signature.start,
                        message.baseAddress,
                        UInt64(message.count),
                        publicKey.start
                    ) == 0
                }
            }
        }
    }

    /// Returns the signature of `message`. The same key and message always give the same one.
    static func sign(_ message: Span<UInt8>, secret: Span<UInt8>) -> [UInt8] {
        precondition(secret.count == secretByteCount, "an Ed25519 secret has 64 bytes")
        return unsafe [UInt8](unsafeUninitializedCapacity: signatureByteCount) { output, count in
            unsafe secret.withUnsafeBytes { secret in
                unsafe message.withUnsafeBufferPointer { message in
                    _ = unsafe crypto_sign_ed25519_detached(
                        UnsafeMutableRawBufferPointer(output).start,
                        nil,
                        message.baseAddress,
                        UInt64(message.count),
                        secret.start
                    )
                }
            }
            count = signatureByteCount
        }
    }

    /// Returns the 64 bytes of the secret that follows from `seed`.
    static func secret(seed: Span<UInt8>) -> SecretBytes {
        precondition(seed.count == seedByteCount, "an Ed25519 seed has 32 bytes")
        var secret = SecretBytes(count: secretByteCount)
        unsafe secret.withMutableBytes { secret in
            unsafe seed.withUnsafeBytes { seed in
                unsafe withUnsafeTemporaryAllocation(byteCount: publicByteCount, alignment: 1) { publicKey in
                    _ = unsafe crypto_sign_ed25519_seed_keypair(
                        publicKey.start,
                        secret.start,
                        seed.start
                    )
                }
            }
        }
        return secret
    }
}
