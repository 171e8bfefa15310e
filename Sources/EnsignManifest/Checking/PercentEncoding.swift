/// What addresses write as `%5F`: RFC 3986, section 2.1.
enum PercentEncoding {
    /// The text with such bytes decoded, once; nil where it has none.
    static func decoded(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        guard text.contains(UInt8(ascii: "%")) else { return nil }
        var result: [UInt8] = []
        var index = text.startIndex
        var isEncoded = false
        while index < text.endIndex {
            if text[index] == UInt8(ascii: "%"), index + 2 < text.endIndex, let high = digit(text[index + 1]),
                let low = digit(text[index + 2])
            {
                result.append(high << 4 | low)
                (index, isEncoded) = (index + 3, true)
            } else {
                result.append(text[index])
                index += 1
            }
        }
        return isEncoded ? result : nil
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46, 0x61...0x66: (byte | 0x20) - 0x61 + 10
        default: nil
        }
    }
}
