package import EnsignLedger
package import EnsignModel

/// What the ledger says was done about a pushed commit by somebody who was faster than the push: mostly `watch`.
package struct AppliedCommit: Sendable {
    package var entry: RecordedEntry
    /// All of them, also those that do not fit into the entry.
    package var changes: [Change]

    /// The most entries that one push can have led to before its hook has its turn.
    private static let limit = 20

    /// - Returns: The entries that the commit led to, oldest first; empty when it led to none.
    package static func find(_ commit: ObjectID, _ ledger: Ledger, _ tip: RecordedEntry?) throws -> [AppliedCommit] {
        guard let tip else { return [] }
        var found: [AppliedCommit] = []
        var left = limit
        try ledger.walk(from: tip) { recorded in
            left -= 1
            guard recorded.entry.source?.commit == commit else { return false }
            switch recorded.entry.kind {
            case .outcome, .recovery, .refused:
                found.append(AppliedCommit(entry: recorded, changes: try ledger.changes(of: recorded)))
            case .genesis, .intent, .drift, .halt, .resume, .key: break
            }
            return left > 0
        }
        return found.reversed()
    }

    /// `applied by watch as entry 6`.
    package var heading: String {
        let by =
            switch entry.entry.actor.mode {
            case .watch: "watch"
            case .cli: "'ensign reconcile'"
            case .hook: "another push"
            }
        let what = entry.entry.kind == .refused ? "refused" : "applied"
        return "\(what) by \(by) as entry \(entry.entry.sequence) (\(entry.commit.short))"
    }
}
