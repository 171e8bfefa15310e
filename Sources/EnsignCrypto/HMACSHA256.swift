import CNettle
import CSodium

/// HMAC-SHA-256 (RFC 2104, FIPS 198-1).
package enum HMACSHA256 {
    /// The length of an authenticator in bytes.
    package static let byteCount = 32

    /// Returns the 32 bytes that authenticate `bytes` under `key`, which may have any length.
    package static func digest(of bytes: [UInt8], key: [UInt8]) -> [UInt8] {
        var output = [UInt8](repeating: 0, count: byteCount)
        unsafe cnettle_hmac_sha256(key, key.count, bytes, bytes.count, &output)
        return output
    }

    /// Whether two authenticators are the same, in a time that does not depend on where they differ.
    package static func areEqual(_ one: [UInt8], _ other: [UInt8]) -> Bool {
        guard one.count == other.count else { return false }
        return unsafe sodium_memcmp(one, other, one.count) == 0
    }
}

/// Bytes from the system's randomness.
package enum Randomness {
    package static func bytes(_ count: Int) -> [UInt8] {
        Sodium.start()
        var output = [UInt8](repeating: 0, count: count)
        unsafe randombytes_buf(&output, count)
        return output
    }
}
