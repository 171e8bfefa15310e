/// The bound on combining characters of Unicode's Stream-Safe Text Format (UAX #15, section 13).
///
/// The marks on a letter must be sorted before two texts can be compared or hashed, which takes time quadratic in their
/// number: one letter with 400,000 marks, 800 KB, takes a minute for each comparison. No language has more than a few.
package enum StreamSafe {
    /// The most combining characters in a row.
    package static let limit = 30

    /// Whether a scalar must be sorted with its neighbours.
    package static func isCombining(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value >= 0x300 && scalar.properties.canonicalCombiningClass != .notReordered
    }

    /// Whether a text has more than ``limit`` combining characters in a row.
    ///
    /// - Parameter bytes: UTF-8. Invalid bytes do not count as combining characters.
    package static func isExceeded(by bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        // U+0300 is CC 80: nearly every text ends here.
        guard unsafe bytes.contains(where: { $0 >= 0xCC }) else { return false }
        var run = 0
        for scalar in unsafe String(decoding: bytes, as: UTF8.self).unicodeScalars {
            run = isCombining(scalar) ? run + 1 : 0
            if run > limit { return true }
        }
        return false
    }
}
