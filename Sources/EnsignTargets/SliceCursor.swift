/// Where the rotating slice of a directory is.
///
/// A file whose inode changed before the last complete round began was read in that round or an earlier one after that
/// change, so it is still what it was: looking at its times is enough. The kernel sets the change time; programs cannot.
package struct SliceCursor: Sendable, Hashable {
    /// The folder to go on with; `""` starts a round.
    package var next: String
    /// When the running round began, in nanoseconds of the file system's clock.
    package var roundStart: Int64
    /// When the last complete round began; everything that changed before it has been read since.
    package var verifiedBefore: Int64
    /// Folders that changed in the running round, and when each was last looked at: once is enough for each change.
    package var lookedAt: [String: Int64]

    package init(
        next: String = "",
        roundStart: Int64 = 0,
        verifiedBefore: Int64 = 0,
        lookedAt: [String: Int64] = [:]
    ) {
        self.next = next
        self.roundStart = roundStart
        self.verifiedBefore = verifiedBefore
        self.lookedAt = lookedAt
    }

    /// The most folders that are remembered; those beyond are looked at again in each run until the round ends.
    package static let maxFolders = 4_096

    /// The most files that a slice looks at.
    package static let files = 500
}

extension SliceCursor {
    /// Reads a cursor back; what is not one starts a round anew.
    ///
    /// Lines: when the round began, what is verified, the folder to go on with, then `<time> <folder>` for each that was
    /// looked at.
    package init(_ cursor: ObservationCursor) {
        self.init()
        let text = String(decoding: cursor.bytes, as: UTF8.self)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 4, let start = Int64(lines[0]), let before = Int64(lines[1]), start >= 0, before >= 0
        else { return }
        var lookedAt: [String: Int64] = [:]
        for line in lines[3...] where !line.isEmpty {
            let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let time = Int64(parts[0]) else { return }
            lookedAt[String(parts[1])] = time
        }
        self.init(next: String(lines[2]), roundStart: start, verifiedBefore: before, lookedAt: lookedAt)
    }

    package var cursor: ObservationCursor {
        var text = "\(roundStart)\n\(verifiedBefore)\n\(next)\n"
        for (folder, time) in lookedAt.sorted(by: { $0.key < $1.key }) { text += "\(time) \(folder)\n" }
        return ObservationCursor(bytes: Array(text.utf8))
    }
}
