import EnsignCrypto

/// What stands for a text where only equality matters.
enum Fingerprint {
    static func hex(of text: String) -> String { SHA256.hex(of: Array(text.utf8)) }

    /// The 32 bytes.
    static func digest(of bytes: [UInt8]) -> [UInt8] { SHA256.digest(of: bytes) }
}
