import EnsignModel
import Foundation

/// Puts content under the name of another object, as somebody does who may write to the repository.
enum LooseObject {
    /// - Parameter kind: `tree`, `blob` or `commit`.
    static func put(_ bytes: [UInt8], _ kind: String, at name: ObjectID, in repository: String) throws {
        let hex = name.description
        let folder = "\(repository)/objects/\(hex.prefix(2))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let path = "\(folder)/\(hex.dropFirst(2))"
        try? FileManager.default.removeItem(atPath: path)
        let content = Array("\(kind) \(bytes.count)".utf8) + [0] + bytes
        try Data(stored(content)).write(to: URL(fileURLWithPath: path))
    }

    /// zlib's form without compression: RFC 1950, and stored blocks of RFC 1951.
    private static func stored(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = [0x78, 0x01]
        var rest = bytes[...]
        repeat {
            let block = rest.prefix(0xFFFF)
            rest = rest.dropFirst(block.count)
            let count = UInt16(block.count)
            result.append(rest.isEmpty ? 1 : 0)
            for word in [count, ~count] { result += [UInt8(word & 0xFF), UInt8(word >> 8)] }
            result += block
        } while !rest.isEmpty
        var (a, b): (UInt32, UInt32) = (1, 0)
        for byte in bytes {
            a = (a + UInt32(byte)) % 65_521
            b = (b + a) % 65_521
        }
        return result + [UInt8(b >> 8), UInt8(b & 0xFF), UInt8(a >> 8), UInt8(a & 0xFF)]
    }
}
