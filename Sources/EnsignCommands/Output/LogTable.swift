import EnsignCommandLine
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
            LogLine.text(self) + (entry.reason.override.map { " [\($0.onOneLine.shortened(to: 100))]" } ?? ""),
            entry.source.map { $0.commit.short } ?? "-",
            "\(entry.actor.name) (\(entry.actor.mode.rawValue))".onOneLine,
        ]
    }
}

/// What an entry did, in one cell.
enum LogLine {
    static func text(_ row: LedgerLog.Row) -> String {
        let entry = row.entry.entry
        if !row.own.isEmpty { return row.own.map { ChangeSentence($0).cell }.joined(separator: "; ") }
        if entry.kind == .refused {
            return "refused: \(entry.reason.text): \(entry.error ?? "")".onOneLine.shortened(to: 100)
        }
        if entry.kind == .genesis { return "the ledger begins" }
        if entry.changes.count == 1, entry.changesElsewhere == nil { return ChangeSentence(entry.changes[0]).cell }
        let subject = LedgerCommit.subject(of: entry)
        return String(subject.dropFirst(entry.environment.count + 2)).onOneLine
    }
}
