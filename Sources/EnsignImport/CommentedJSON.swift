/// JSON as editors keep their settings: with comments, and with a comma behind the last element.
package enum CommentedJSON {
    /// The document as plain JSON: blanks stand where comments and commas too many were, so that every place stays.
    package static func plain(_ bytes: [UInt8]) -> [UInt8] {
        var result = bytes
        var index = 0
        // Editors of Windows write a byte order mark.
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            for place in 0..<3 { result[place] = 0x20 }
            index = 3
        }
        var comma: Int?
        // Behind one that does not end none ends: it is looked for once, however many begin.
        var ends = true
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "\""):
                comma = nil
                index = end(ofText: bytes, index)
                continue
            case UInt8(ascii: "/") where index + 1 < bytes.count && "/*".utf8.contains(bytes[index + 1]):
                guard ends || bytes[index + 1] == UInt8(ascii: "/"), let end = end(ofComment: bytes, index) else {
                    // It is not a comment: then this is not JSON, and says so.
                    (ends, comma) = (false, nil)
                    index += 2
                    continue
                }
                for place in index..<end where bytes[place] != 0x0A && bytes[place] != 0x0D { result[place] = 0x20 }
                index = end
                continue
            case UInt8(ascii: ","): comma = index
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if let comma { result[comma] = 0x20 }
                comma = nil
            case 0x20, 0x09, 0x0A, 0x0D: break
            default: comma = nil
            }
            index += 1
        }
        return result
    }

    private static func end(ofText bytes: [UInt8], _ start: Int) -> Int {
        var index = start + 1
        while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
            index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        return min(bytes.count, index + 1)
    }

    /// Nil for one that is not closed.
    private static func end(ofComment bytes: [UInt8], _ start: Int) -> Int? {
        if bytes[start + 1] == UInt8(ascii: "/") {
            return bytes[start...].firstIndex { $0 == 0x0A || $0 == 0x0D } ?? bytes.count
        }
        var index = start + 2
        while index + 1 < bytes.count {
            if bytes[index] == UInt8(ascii: "*"), bytes[index + 1] == UInt8(ascii: "/") { return index + 2 }
            index += 1
        }
        return nil
    }
}
