import EnsignModel
import EnsignSystem

/// The newest entry that this clone has seen, outside the ref: it shows a ledger whose tail was cut.
///
/// `<git dir>/ensign/high-water/<env>` holds one line, `<seq> <commit>`.
struct HighWater: Hashable {
    var sequence: Int64
    var commit: ObjectID

    /// Reads the mark.
    ///
    /// - Returns: nil when there is none. A mark that cannot be parsed counts as none: it is only a witness, and
    ///   `ensign verify` reports it.
    static func read(_ path: String) throws -> HighWater? {
        guard let bytes = try Files.readOwn(path, limit: 256) else { return nil }
        let parts = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        guard parts.count == 2, let sequence = Int64(parts[0]), sequence >= 0,
            let commit = ObjectID(parts[1])
        else { return nil }
        return HighWater(sequence: sequence, commit: commit)
    }

    /// Whether there is a mark that cannot be parsed.
    static func isDamaged(_ path: String) throws -> Bool {
        try Files.readOwn(path, limit: 256) != nil && read(path) == nil
    }

    func write(_ path: String) throws {
        if let folder = Files.parent(of: path) { try Files.makeDirectories(folder) }
        try Files.replace(path, with: Array("\(sequence) \(commit)\n".utf8), durable: false)
    }
}
