import EnsignModel
import EnsignSystem
import EnsignTargets

/// Where the rotating slice stands, kept between runs in `<git dir>/ensign/cache/<env>/observation`.
///
/// A cache: when it is missing or damaged, or was made for another entry than the newest, a round starts anew and reads
/// everything. What a file's times say holds only against what was recorded when it was read.
enum ObservationFile {
    static func read(_ path: String, at entry: ObjectID) throws -> ObservationCursor {
        guard let bytes = try Files.readOwn(path, limit: 4 << 20) else { return ObservationCursor() }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 5, ObjectID(lines[0]) == entry, let start = Int64(lines[1]), let before = Int64(lines[2]),
            start >= 0, before >= 0
        else { return ObservationCursor() }
        var cursor = ObservationCursor(next: String(lines[3]), roundStart: start, verifiedBefore: before)
        for line in lines[4...] where !line.isEmpty {
            let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let time = Int64(parts[0]) else { return ObservationCursor() }
            cursor.lookedAt[String(parts[1])] = time
        }
        return cursor
    }

    static func write(_ cursor: ObservationCursor, at entry: ObjectID, _ path: String) throws {
        if let folder = Files.parent(of: path) { try Files.makeDirectories(folder) }
        var text = "\(entry)\n\(cursor.roundStart)\n\(cursor.verifiedBefore)\n\(cursor.next)\n"
        for (folder, time) in cursor.lookedAt.sorted(by: { $0.key < $1.key }) { text += "\(time) \(folder)\n" }
        try Files.replace(path, with: Array(text.utf8), durable: false)
    }
}
