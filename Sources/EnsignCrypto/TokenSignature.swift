import CMbedTLS

/// A public key of an identity provider, and whether it signed something (RFC 7518, section 3; RFC 8037, section 3.1).
package enum TokenKey: Sendable, Hashable {
    /// `RS256`: modulus and exponent, big-endian.
    case rsa(modulus: [UInt8], exponent: [UInt8])
    /// `ES256`: x and y, 32 bytes each.
    case p256(point: [UInt8])
    /// `EdDSA` with Ed25519: 32 bytes.
    case ed25519([UInt8])

    /// The one algorithm that the key is for, as tokens name it. So a token never chooses how it is verified.
    package var algorithm: String {
        switch self {
        case .rsa: "RS256"
        case .p256: "ES256"
        case .ed25519: "EdDSA"
        }
    }

    /// Whether `signature` is this key's of `message`.
    package func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        switch self {
        case .rsa(let modulus, let exponent):
            guard !modulus.isEmpty, !exponent.isEmpty, !signature.isEmpty else { return false }
            return unsafe cmbed_rsa_verifies(
                modulus,
                modulus.count,
                exponent,
                exponent.count,
                SHA256.digest(of: message),
                signature,
                signature.count
            ) != 0
        case .p256(let point):
            guard point.count == 64, signature.count == 64 else { return false }
            return unsafe cmbed_p256_verifies(point, SHA256.digest(of: message), signature) != 0
        case .ed25519(let key):
            return Ed25519.verifies(signature: signature.span, message: message.span, publicKey: key.span)
        }
    }
}

/// Whether two texts of bytes are equal, in a time that depends on their lengths alone.
package func areEqualInConstantTime(_ one: [UInt8], _ other: [UInt8]) -> Bool {
    guard one.count == other.count else { return false }
    var difference: UInt8 = 0
    for index in one.indices { difference |= one[index] ^ other[index] }
    return difference == 0
}
