/// The byte order mark of UTF-8, which some programs write before all else. Readers may ignore it (RFC 8259, section 8.1).
package enum ByteOrderMark {
    private static let bytes: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// The first line of a stream without the mark that it may begin with.
    package static func without(_ line: [UInt8]) -> [UInt8] {
        line.starts(with: bytes) ? Array(line.dropFirst(bytes.count)) : line
    }
}
