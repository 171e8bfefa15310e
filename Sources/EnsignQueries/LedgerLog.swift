package import EnsignHost
package import EnsignLedger
package import EnsignModel

/// Entries of an environment's ledger, newest first.
package struct LedgerLog: Sendable {
    package var environment: String
    package var rows: [Row]

    package struct Row: Sendable {
        package var entry: RecordedEntry
        /// What it changed in the requested agent; empty when all are shown.
        package var own: [Change]
    }

    /// Which entries.
    package struct Filter: Sendable, Hashable {
        /// Only entries that changed it; nil for all.
        package var agent: AgentID?
        /// Whether intents are there too whose outcome follows.
        package var hasIntents = false
        /// Only entries of this time or later; nil for all.
        package var since: Timestamp?
        /// Only entries of this time or earlier; nil for all.
        package var until: Timestamp?
        /// Only the entry of this number; nil for all. Intents are there then, too.
        package var sequence: Int64?
        /// The most entries, the newest; above 0.
        package var limit = Int.max

        package init() {}
    }

    /// Reads them. No entries, or no ledger, is not an error.
    package static func read(_ site: Site, _ environment: String, _ filter: Filter) throws -> LedgerLog {
        let ledger = site.ledger(environment)
        var log = LedgerLog(environment: environment, rows: [])
        guard let tip = try ledger.checkedTip() else { return log }
        var answered: Set<ObjectID> = []
        try ledger.walk(from: tip) { entry in
            let kind = entry.entry.kind
            if kind == .outcome || kind == .recovery, let previous = entry.entry.previous {
                answered.insert(previous.commit)
            }
            if let wanted = filter.sequence, entry.entry.sequence != wanted { return entry.entry.sequence > wanted }
            // Not the end of the walk: a clock may have been set back.
            if let since = filter.since, entry.entry.time < since { return true }
            if let until = filter.until, entry.entry.time > until { return true }
            if filter.sequence == nil, !filter.hasIntents, kind.isIntent, answered.contains(entry.commit) {
                return true
            }
            var own: [Change] = []
            if let agent = filter.agent {
                own = try ledger.changes(of: entry).filter { $0.agent == agent }
                if own.isEmpty { return true }
            }
            log.rows.append(Row(entry: entry, own: own))
            return log.rows.count < filter.limit
        }
        return log
    }

    package var json: JSONValue {
        ["v": 1, "environment": .string(environment), "entries": .array(rows.map(\.json))]
    }
}

extension LedgerLog.Row {
    /// The entry as it is signed, and its commit.
    fileprivate var json: JSONValue {
        var object = entry.entry.json.object ?? [:]
        object["commit"] = .string(entry.commit.description)
        return .object(object)
    }
}
