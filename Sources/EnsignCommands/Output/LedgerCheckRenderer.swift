import EnsignCommandLine
import EnsignLedger
import EnsignModel
import EnsignQueries

/// Renders the result of proving a ledger.
struct LedgerCheckRenderer {
    let check: LedgerCheck
    let console: Console

    /// - Parameter inJSON: Whether the verdict itself is said elsewhere.
    func lines(inJSON: Bool) -> [Said] {
        var said = inJSON ? [] : verdict
        if let caveat = check.report.caveat {
            said.append(.note("\(check.environment): warning: \(caveat.onOneLine)"))
        }
        let hints = check.failure.map { Explanation($0).hints } ?? []
        return said + hints.map { .note("  hint: \($0.onOneLine)") }
    }

    private var verdict: [Said] {
        let (name, report) = (check.environment, check.report)
        if report.tip == nil, report.verdict == .intact { return [.result("\(name): intact, no entries yet")] }
        let style: Console.Style = report.verdict == .intact ? .green : .red
        let newest = report.tip.map { ", newest \($0.entry.sequence) (\($0.commit.short))" } ?? ""
        let word = console.paint(report.verdict.description, style)
        let reason = report.verdict.reason.map { [Said.note("  \($0.onOneLine)")] } ?? []
        return [.result("\(name): \(word), \(report.entries) entries\(newest)")] + reason
    }
}
