import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignReconciler

extension Verb {
    static let verify = Verb(
        name: "verify",
        group: .record,
        summary: "Prove that the ledger is what was signed",
        discussion: """
            Checks every entry: raw bytes, signature, numbers, links, and that each tree follows from the entries. \
            The verdict is one of: intact, incomplete, broken at SEQ, rolled back, forked. Stock git checks the \
            signatures too: see 'ensign keys --help'.
            """,
        options: [.anyEnvironment],
        formats: [.text, .json],
        examples: [
            Example(command: "ensign verify --env prod", meaning: "prod's ledger"),
            Example(command: "ensign verify", meaning: "all ledgers in this repository"),
        ]
    ) { invocation in
        let site = try invocation.site()
        let names =
            try invocation["env"] == nil
            ? Set(Ledger.environments(in: site.repository) + site.files.seenEnvironments()).sorted()
            : [invocation.knownEnvironment(site)]
        var worst = ExitCode.done
        var results: [JSONValue] = []
        for name in names {
            let code: ExitCode
            do {
                let report = try Verifier(site.ledger(name)).run { count in
                    if invocation.console.isInteractive, !invocation.isQuiet {
                        invocation.console.note("\(name): \(count) entries ...")
                    }
                }
                code = invocation.show(name, report, &results)
            } catch {
                // All ledgers are looked at, whatever is wrong with one.
                code = invocation.show(name, Explanation(error), &results)
            }
            if worst != .integrity, code != .done { worst = code }
        }
        if invocation.format == .json { invocation.json(["v": 1, "ledgers": .array(results)]) }
        guard names.isEmpty else { return worst }
        // On a host nothing was recorded yet. Anywhere else the ledger was not fetched, and nothing was proven.
        guard site.isInitialised, !site.settings.isClient else {
            throw Failure(
                message: "there is no ledger here: nothing was verified",
                hints: ["git fetch origin 'refs/ensign/ledger/*:refs/ensign/ledger/*'"]
            )
        }
        if !invocation.isQuiet { invocation.console.note("there is no ledger here yet") }
        return worst
    }
}

extension Invocation {
    fileprivate func show(_ name: String, _ report: Verifier.Report, _ results: inout [JSONValue]) -> ExitCode {
        let verdict = report.verdict
        if format == .json {
            results.append([
                "environment": .string(name), "verdict": .string(verdict.description),
                "reason": verdict.reason.map { .string($0) } ?? .null, "entries": .integer(report.entries),
                "caveat": report.caveat.map { .string($0) } ?? .null,
                "tip": report.tip.map { .string($0.commit.description) } ?? .null,
            ])
        } else if report.tip == nil, verdict == .intact {
            console.line("\(name): intact, no entries yet")
        } else {
            let style: Console.Style = verdict == .intact ? .green : .red
            console.line(
                "\(name): \(console.paint(verdict.description, style)), \(report.entries) entries"
                    + (report.tip.map { ", newest \($0.entry.sequence) (\($0.commit.short))" } ?? "")
            )
            if let reason = verdict.reason { console.note("  \(reason)") }
        }
        if let caveat = report.caveat { console.note("\(name): warning: \(caveat)") }
        switch verdict {
        case .intact: return .done
        case .incomplete: return .failed
        case .broken, .rolledBack, .forked: return .integrity
        }
    }

    /// Says of a ledger that it could not be looked at: nothing is proven of it.
    fileprivate func show(_ name: String, _ failure: Explanation, _ results: inout [JSONValue]) -> ExitCode {
        let verdict = Verifier.Verdict.incomplete(why: failure.message)
        let code = show(name, Verifier.Report(verdict: verdict, entries: 0, tip: nil), &results)
        for hint in failure.hints { console.note("  hint: \(hint.escapedControls)") }
        return failure.code == .integrity ? .integrity : code
    }
}
