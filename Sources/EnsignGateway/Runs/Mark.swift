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
        unsafe String(unsafeUninitializedCapacity: 16) { output in
            for index in 0..<16 {
                let nibble = UInt8(bits >> UInt64(60 - 4 * index) & 0xF)
                unsafe output.initializeElement(at: index, to: nibble < 10 ? 0x30 + nibble : 0x57 + nibble)
            }
            return 16
        }
    }
}
