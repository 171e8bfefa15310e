import EnsignModel
import EnsignSystem
import EnsignTargets

/// Where observing in slices goes on, kept between runs in `<git dir>/ensign/cache/<env>/observation`.
///
/// A cache: when it is missing or damaged, or was made for another entry than the newest, a round starts anew and reads
/// everything. What a file's times say holds only against what was recorded when it was read.
enum ObservationFile {
    static func read(_ path: String, at entry: ObjectID) throws -> ObservationCursor {
        guard let bytes = try Files.readOwn(path, limit: 4 << 20), let end = bytes.firstIndex(of: 0x0A),
            ObjectID(String(decoding: bytes[..<end], as: UTF8.self)) == entry
        else { return ObservationCursor() }
        return ObservationCursor(bytes: Array(bytes[(end + 1)...]))
    }

    static func write(_ cursor: ObservationCursor, at entry: ObjectID, _ path: String) throws {
        if let folder = Files.parent(of: path) { try Files.makeDirectories(folder) }
        try Files.replace(path, with: Array("\(entry)\n".utf8) + cursor.bytes, durable: false)
    }
}
