import EnsignModel

/// The position of the rotating slice of a directory.
///
/// A file whose inode changed before the last complete round began was read in that round or an earlier one after that
/// change, so it is unchanged: checking its times is enough. The kernel sets the change time; programs cannot.
package struct SliceCursor: Sendable, Hashable {
    /// The next folder; `""` starts a round.
    package var next: String
    /// When the running round began, in nanoseconds of the file system's clock.
    package var roundStart: Int64
    /// When the last complete round began; everything that changed before it has been read since.
    package var verifiedBefore: Int64
    /// Folders that changed in the running round, and when each was last checked: one check is enough for each change.
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

    /// The most folders that are remembered; those beyond are checked again in each run until the round ends.
    package static let maxFolders = 4_096

    /// The most files that a slice checks, apart from those of its last folder; each folder takes the place of
    /// ``filesOfFolder`` more.
    package static let files = 200

    /// To list a folder and to read what is recorded of it takes as long as to check this many files in it, roughly.
    package static let filesOfFolder = 8
}

extension SliceCursor {
    /// Reads a cursor back; anything else starts a new round.
    package init(_ cursor: ObservationCursor) {
        self.init()
        let json = cursor.json
        guard let next = json["next"]?.string, let start = json["roundStart"]?.int, start >= 0,
            let before = json["verifiedBefore"]?.int, before >= 0, let folders = json["lookedAt"]?.object
        else { return }
        var lookedAt: [String: Int64] = [:]
        for (folder, time) in folders {
            guard let time = time.int else { return }
            lookedAt[folder] = time
        }
        self.init(next: next, roundStart: start, verifiedBefore: before, lookedAt: lookedAt)
    }

    package var cursor: ObservationCursor {
        ObservationCursor(json: [
            "next": .string(next), "roundStart": .integer(roundStart), "verifiedBefore": .integer(verifiedBefore),
            "lookedAt": .object(
                JSONObject(lookedAt.sorted { $0.key < $1.key }.map { ($0.key, JSONValue.integer($0.value)) })
            ),
        ])
    }
}
