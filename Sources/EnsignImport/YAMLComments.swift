/// Comments in lines of a manifest, found without a parser, which drops them.
///
/// Quotes begin where a value may begin: `don't # so` has a comment.
enum YAMLComments {
    /// What is behind `#`, for each line of a value in flow style or of one that begins in its line.
    static func scan(_ lines: ArraySlice<String>) -> [String?] {
        var comments: [String?] = []
        var quote: UInt8?
        for line in lines {
            var comment: String?
            var isAtValue = true
            var isBehindBlank = true
            var isEscaped = false
            let bytes = Array(line.utf8)
            for (place, byte) in bytes.enumerated() {
                if let open = quote {
                    if open == UInt8(ascii: "\""), byte == UInt8(ascii: "\\"), !isEscaped {
                        isEscaped = true
                        continue
                    }
                    // A doubled quote closes and opens again.
                    if byte == open, !isEscaped { quote = nil }
                    isEscaped = false
                    isAtValue = byte == open && open == UInt8(ascii: "'")
                    isBehindBlank = false
                    continue
                }
                if byte == UInt8(ascii: "#"), isBehindBlank {
                    comment = String(decoding: bytes[(place + 1)...], as: UTF8.self).trimmed
                    break
                }
                switch byte {
                case UInt8(ascii: "\""), UInt8(ascii: "'"): if isAtValue { quote = byte }
                default: break
                }
                isBehindBlank = byte == 0x20 || byte == 0x09
                isAtValue = isBehindBlank ? isAtValue : "{[,:-".utf8.contains(byte)
            }
            comments.append(comment)
        }
        return comments
    }

    /// The comment behind the first line of a value.
    static func behind(_ line: String) -> String? { scan([line])[0] }
}

extension String {
    fileprivate var trimmed: String? {
        let text = drop { $0 == " " || $0 == "\t" }
        return text.isEmpty ? nil : String(text)
    }
}
