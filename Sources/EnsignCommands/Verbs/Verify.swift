import EnsignCommandLine
import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignQueries
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
        ],
        output: .answer
    ) { invocation in
        let site = try invocation.site()
        let names =
            try invocation["env"] == nil
            ? LedgerCheck.environments(site) : [invocation.knownEnvironment(site)]
        var worst = ExitCode.done
        var checks: [LedgerCheck] = []
        for name in names {
            let check = LedgerCheck.run(site, name) { count in
                if invocation.console.isInteractive, !invocation.isQuiet {
                    invocation.console.note("\(name): \(count) entries ...")
                }
            }
            let renderer = LedgerCheckRenderer(check: check, console: invocation.console)
            invocation.console.say(renderer.lines(inJSON: invocation.format == .json))
            worst = worst.worst(check.code)
            checks.append(check)
        }
        if invocation.format == .json { invocation.json(LedgerCheck.json(checks)) }
        guard names.isEmpty else { return worst }
        guard site.reconciles else { throw LedgerCheck.NoLedger() }
        if !invocation.isQuiet { invocation.console.note("there is no ledger here yet") }
        return worst
    }
}

extension LedgerCheck {
    fileprivate var code: ExitCode {
        switch report.verdict {
        case .intact: .done
        case .incomplete: failure.map { Explanation($0).code } == .integrity ? .integrity : .failed
        case .broken, .rolledBack, .forked: .integrity
        }
    }
}
