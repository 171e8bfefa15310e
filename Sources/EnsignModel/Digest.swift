/// A SHA-256 digest, written `sha256:<64 hex>`.
package struct Digest: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// 64 lowercase hexadecimal digits.
    package let hex: String

    /// Makes a digest from 64 lowercase hexadecimal digits; nil for anything else.
    package init?(hex: some StringProtocol) {
        // In memory that is one piece, which most text is, several times as fast.
        let isHex = hex.utf8.withContiguousStorageIfAvailable { unsafe $0.allSatisfy(isLowercaseHex) }
        guard hex.utf8.count == 64, isHex ?? hex.utf8.allSatisfy(isLowercaseHex) else { return nil }
        self.hex = String(hex)
    }

    /// Parses `sha256:<64 hex>`.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count == 71, text.hasPrefix("sha256:") else { return nil }
        self.init(hex: text.dropFirst(7))
    }

    package var description: String { "sha256:\(hex)" }

    /// `sha256:` and the first twelve digits, for tables.
    package var short: String { "sha256:\(hex.prefix(12))" }

    package static func < (left: Digest, right: Digest) -> Bool { left.hex < right.hex }
}

/// The name of a git object: 20 bytes, written as 40 hexadecimal digits.
package struct ObjectID: Sendable, Hashable, CustomStringConvertible {
    private let high: UInt64
    private let middle: UInt64
    private let low: UInt32

    /// Makes an id from exactly 20 bytes; nil for any other number.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 20 else { return nil }
        var high: UInt64 = 0
        var middle: UInt64 = 0
        var low: UInt32 = 0
        for (index, byte) in bytes.enumerated() {
            switch index {
            case 0..<8: high = high << 8 | UInt64(byte)
            case 8..<16: middle = middle << 8 | UInt64(byte)
            default: low = low << 8 | UInt32(byte)
            }
        }
        (self.high, self.middle, self.low) = (high, middle, low)
    }

    /// Makes an id from the 20 bytes at `pointer`.
    package init(pointer: UnsafeRawPointer) {
        high = unsafe UInt64(bigEndian: pointer.loadUnaligned(as: UInt64.self))
        middle = unsafe UInt64(bigEndian: pointer.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        low = unsafe UInt32(bigEndian: pointer.loadUnaligned(fromByteOffset: 16, as: UInt32.self))
    }

    /// Writes the 20 bytes at `pointer`.
    package func store(to pointer: UnsafeMutableRawPointer) {
        unsafe pointer.storeBytes(of: high.bigEndian, as: UInt64.self)
        unsafe pointer.storeBytes(of: middle.bigEndian, toByteOffset: 8, as: UInt64.self)
        unsafe pointer.storeBytes(of: low.bigEndian, toByteOffset: 16, as: UInt32.self)
    }

    /// Parses 40 lowercase hexadecimal digits.
    package init?(_ text: some StringProtocol) {
        let parsed = text.utf8.withContiguousStorageIfAvailable { unsafe Self(digits: $0) }
        guard let id = unsafe parsed ?? Array(text.utf8).withUnsafeBufferPointer({ unsafe Self(digits: $0) }) else {
            return nil
        }
        self = id
    }

    /// Parses 40 lowercase hexadecimal digits in ASCII.
    package init?(digits: UnsafeBufferPointer<UInt8>) {
        guard digits.count == 40 else { return nil }
        var high: UInt64 = 0
        var middle: UInt64 = 0
        var low: UInt32 = 0
        for index in 0..<40 {
            let digit: UInt8
            switch unsafe digits[index] {
            case let byte where byte >= 0x30 && byte <= 0x39: digit = byte - 0x30
            case let byte where byte >= 0x61 && byte <= 0x66: digit = byte - 0x61 + 10
            default: return nil
            }
            if index < 16 {
                high = high << 4 | UInt64(digit)
            } else if index < 32 {
                middle = middle << 4 | UInt64(digit)
            } else {
                low = low << 4 | UInt32(digit)
            }
        }
        (self.high, self.middle, self.low) = (high, middle, low)
    }

    /// What git writes for "no object".
    package static let zero = ObjectID(high: 0, middle: 0, low: 0)

    private init(high: UInt64, middle: UInt64, low: UInt32) {
        (self.high, self.middle, self.low) = (high, middle, low)
    }

    /// The 20 bytes.
    package var bytes: [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(20)
        for shift in stride(from: 56, through: 0, by: -8) {
            result.append(UInt8(truncatingIfNeeded: high >> UInt64(shift)))
        }
        for shift in stride(from: 56, through: 0, by: -8) {
            result.append(UInt8(truncatingIfNeeded: middle >> UInt64(shift)))
        }
        for shift in stride(from: 24, through: 0, by: -8) {
            result.append(UInt8(truncatingIfNeeded: low >> UInt32(shift)))
        }
        return result
    }

    package var description: String {
        unsafe String(unsafeUninitializedCapacity: 40) { output in
            for index in 0..<40 {
                let nibble =
                    if index < 16 {
                        high >> UInt64(60 - 4 * index) & 0xF
                    } else if index < 32 {
                        middle >> UInt64(60 - 4 * (index - 16)) & 0xF
                    } else {
                        UInt64(low >> UInt32(28 - 4 * (index - 32)) & 0xF)
                    }
                unsafe output.initializeElement(at: index, to: UInt8(nibble < 10 ? 0x30 + nibble : 0x57 + nibble))
            }
            return 40
        }
    }

    /// The first ten digits, for people.
    package var short: String { String(description.prefix(10)) }
}

private func isLowercaseHex(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
}
