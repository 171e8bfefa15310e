import EnsignModel
import EnsignSystem

/// The newest desired commit that was found to need nothing, with the entry that it was held against.
///
/// A cache, `<git dir>/ensign/cache/<env>/settled`: a commit that touches other environments writes no entry here, and
/// without this every later run would compare it again.
struct SettledFile: Hashable {
    var desired: ObjectID
    var entry: ObjectID
    var version: String

    static func read(_ path: String) throws -> SettledFile? {
        guard let bytes = try Files.readOwn(path, limit: 1_024) else { return nil }
        let parts = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        guard parts.count == 3, let desired = ObjectID(parts[0]), let entry = ObjectID(parts[1]) else { return nil }
        return SettledFile(desired: desired, entry: entry, version: String(parts[2]))
    }

    func write(_ path: String) throws {
        if let folder = Files.parent(of: path) { try Files.makeDirectories(folder) }
        try Files.replace(path, with: Array("\(desired)\n\(entry)\n\(version)\n".utf8), durable: false)
    }
}
