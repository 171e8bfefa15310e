package import EnsignLedger
package import EnsignModel

/// A commit that the host did not apply, as the ledger tells it to everybody who has a clone.
package struct RefusedCommit: Sendable {
    package var entry: RecordedEntry
    package var commit: ObjectID

    /// The most entries that are looked at, the newest.
    private static let limit = 200

    /// Looks for the refusal of one of these commits.
    ///
    /// - Returns: The newest one; nil when none of them was refused, and when it was applied after all.
    package static func find(_ commits: Set<ObjectID>, _ ledger: Ledger, _ tip: RecordedEntry?) throws -> RefusedCommit?
    {
        guard let tip, !commits.isEmpty else { return nil }
        var found: RefusedCommit?
        var left = limit
        try ledger.walk(from: tip) { recorded in
            left -= 1
            guard let source = recorded.entry.source?.commit, commits.contains(source) else { return left > 0 }
            if recorded.entry.kind == .refused { found = RefusedCommit(entry: recorded, commit: source) }
            return false
        }
        return found
    }

    /// What the host said about it, in a sentence without a full stop.
    package var sentence: String {
        let why = entry.entry.error.map { ": \($0)" } ?? ""
        return
            "the host refused \(commit.short) (entry \(entry.entry.sequence), \(entry.entry.time)): \(entry.entry.reason.text)\(why)"
    }

    package var json: JSONValue {
        [
            "commit": .string(commit.description), "seq": .integer(entry.entry.sequence),
            "time": .string(entry.entry.time.description), "reason": .string(entry.entry.reason.text),
            "message": entry.entry.error.map { .string($0) } ?? .null,
        ]
    }
}

extension RecordedEntry {
    /// The result of the newest entry in one word, for a clone that does not reconcile: `refused`, or what came of it.
    package var outcome: String { entry.kind == .refused ? "refused" : entry.result.rawValue }
}
