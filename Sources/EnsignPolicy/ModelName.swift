import EnsignCrypto

/// The name by which a language model calls an operation.
///
/// Model APIs take 1 to 64 of `A-Za-z0-9_-`. A name depends on its tool and operation alone, so that what else is granted
/// never changes it, and no two operations have the same. `Tests/Vectors/model-names.json` has examples; the clients make
/// the same names.
package enum ModelName {
    /// The longest name that model APIs take, in bytes.
    package static let longest = 64

    /// The hexadecimal digits of a digest behind a name.
    static let digestDigits = 10

    /// `<tool>__<operation>` where that is allowed and can be nothing else; otherwise the same with `_` for each `.`, cut,
    /// and with a digest behind it.
    ///
    /// A name that frameworks would fold onto another one's gets the digest too: some make one `_` of several, and drop
    /// it at the end.
    package static func name(_ tool: String, _ operation: String) -> String {
        let plain = "\(tool)__\(operation)"
        if isPlain(operation), plain.utf8.count <= longest, !looksDigested(plain) { return plain }
        let dotless = plain.utf8.map { $0 == UInt8(ascii: ".") ? UInt8(ascii: "_") : $0 }
        let kept = dotless.prefix(longest - 1 - digestDigits)
        let digest = SHA256.hex(of: Array("\(tool).\(operation)".utf8)).prefix(digestDigits)
        return String(decoding: kept, as: UTF8.self) + "_" + digest
    }

    private static func isPlain(_ operation: String) -> Bool {
        !operation.utf8.contains(UInt8(ascii: ".")) && !operation.contains("__") && !operation.hasPrefix("_")
            && !operation.hasSuffix("_")
    }

    /// Whether a name ends as those with a digest do.
    private static func looksDigested(_ name: String) -> Bool {
        let end = name.utf8.suffix(digestDigits + 1)
        return end.first == UInt8(ascii: "_")
            && end.dropFirst().allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x61...0x66, 0x41...0x46: true
                default: false
                }
            }
    }
}
