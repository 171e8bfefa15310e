import EnsignCrypto

/// 64 bits of a digest under the state's secret: equal for what is equal, and telling nothing else.
struct Mark: Hashable, Sendable {
    let bits: UInt64

    /// The first 64 bits of SHA-256 of the secret and the parts, each with its length before it.
    init(of parts: [String], secret: [UInt8]) {
        var bytes = secret
        for part in parts {
            bytes += "\(part.utf8.count):".utf8
            bytes += part.utf8
        }
        bits = SHA256.digest(of: bytes).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// - Parameter text: 16 hexadecimal digits.
    init?(_ text: some StringProtocol) {
        guard text.utf8.count == 16, let bits = UInt64(text, radix: 16) else { return nil }
        self.bits = bits
    }

    /// 16 hexadecimal digits.
    var hex: String {
        let digits = String(bits, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
