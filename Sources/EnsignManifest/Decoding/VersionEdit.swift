package import EnsignModel
import EnsignYAML

/// Changes the version in a deployment's text and nothing else: comments, order and formatting survive byte for byte.
package enum VersionEdit {
    /// The text with `spec.version` replaced.
    ///
    /// - Returns: nil when the version is not written as one plain or quoted word.
    package static func replacing(_ bytes: [UInt8], with version: AgentVersion) -> [UInt8]? {
        let scan = TextScan.scan(bytes, manifest: true)
        let (tape, problems) = YAMLParser.parse(bytes[scan.start...])
        guard problems.isEmpty, let root = tape.root, let spec = tape.value(in: root, for: Array("spec".utf8)),
            let node = tape.value(in: spec, for: Array("version".utf8)),
            let start = offset(of: tape.mark(of: node), in: bytes, from: scan.start)
        else { return nil }
        let old = Array(tape.bytes(of: node))
        guard !old.isEmpty else { return nil }
        let isQuoted = tape.kind(of: node) == .quoted
        let first = isQuoted ? start + 1 : start
        guard first + old.count <= bytes.count, Array(bytes[first..<first + old.count]) == old else { return nil }
        if isQuoted {
            guard first + old.count < bytes.count, bytes[start] == 0x22 || bytes[start] == 0x27,
                bytes[first + old.count] == bytes[start]
            else { return nil }
        }
        return bytes[..<first] + Array(version.description.utf8) + bytes[(first + old.count)...]
    }

    /// The index of the byte at which a node begins.
    static func offset(of mark: YAMLMark, in bytes: [UInt8], from start: Int) -> Int? {
        var (line, column, index) = (UInt32(1), UInt32(1), start)
        while index < bytes.count {
            if line == mark.line, column == mark.column { return index }
            if bytes[index] == 0x0A {
                (line, column) = (line + 1, 1)
                index += 1
            } else {
                index += 1
                while index < bytes.count, bytes[index] & 0xC0 == 0x80 { index += 1 }
                column += 1
            }
        }
        return nil
    }
}
