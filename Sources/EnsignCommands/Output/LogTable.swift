import EnsignLedger
import EnsignModel
import EnsignQueries
import EnsignTargets

extension LedgerLog {
    var table: TextTable {
        TextTable(header: ["SEQ", "TIME", "KIND", "WHAT", "SOURCE", "BY"], rows: rows.map(\.cells))
    }
}

extension LedgerLog.Row {
    fileprivate var cells: [String] {
        let entry = self.entry.entry
        return [
            String(entry.sequence), entry.time.description, entry.kind.rawValue,
            LogLine.text(self) + (entry.overrideWords.map { " [\($0.escapedControls.shortened(to: 100))]" } ?? ""),
            entry.source.map { $0.commit.short } ?? "-",
            "\(entry.actor.name) (\(entry.actor.mode.rawValue))".escapedControls,
        ]
    }
}

/// What an entry did, in one cell.
enum LogLine {
    static func text(_ row: LedgerLog.Row) -> String {
        let entry = row.entry.entry
        if !row.own.isEmpty { return row.own.map(describe).joined(separator: "; ") }
        if entry.kind == .refused {
            return "refused: \(entry.reason): \(entry.error ?? "")".escapedControls.shortened(to: 100)
        }
        if entry.kind == .genesis { return "the ledger begins" }
        if entry.changes.count == 1, entry.changesElsewhere == nil { return describe(entry.changes[0]) }
        let subject = LedgerCommit.subject(of: entry)
        return String(subject.dropFirst(entry.environment.count + 2))
    }

    private static func describe(_ change: Change) -> String {
        var text = change.agent?.description ?? change.scope ?? ""
        if change.action == .repair {
            let path = change.evidence["path"]?.string ?? ""
            let found = change.evidence["found"]?.string ?? ""
            return "repair \(path) (\(DriftedFile.Found(rawValue: found)?.words ?? found))".escapedControls
        }
        if change.driftedMetric != nil {
            let reason = change.evidence["reason"]?.string ?? ""
            return "\(text) \(change.to?.version.description ?? "") drifted: \(reason)".escapedControls
        }
        if change.action == .quarantine {
            // A quarantine that ends starts from what is stable.
            let isLifted = change.from == change.to
            return isLifted
                ? "\(text) quarantine ended" : "\(text) quarantine \(change.from?.version.description ?? "")"
        }
        let versions =
            switch (change.from, change.to) {
            case (nil, let to?): "\(to.version)"
            case (let from?, nil): "\(from.version)"
            case (let from?, let to?):
                from.version == to.version ? "\(to.version)" : "\(from.version) -> \(to.version)"
            case (nil, nil): ""
            }
        if let activity = change.evidence["activityAfterHalt"] {
            return "\(text) acts although halted: \(activity["what"]?.string ?? "")".escapedControls
        }
        let action = change.action == .weight ? "canary \(change.weight?.to ?? 0) %" : change.action.rawValue
        text += " \(action) \(versions)"
        if let reverts = change.evidence["reverts"]?.array, let first = reverts.first?.string {
            text += " (reverts \(first.prefix(10)))"
        } else if let reason = change.evidence["reason"]?.string {
            text += " (\(reason.escapedControls.shortened(to: 60)))"
        }
        return text
    }
}
