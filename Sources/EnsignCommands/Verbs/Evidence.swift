import EnsignCommandLine
import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignQueries
import EnsignReconciler
import EnsignSystem

extension Verb {
    static let evidence = Verb(
        name: "evidence",
        group: .ask,
        summary: "Show what decides about a canary, and what decided before",
        discussion: """
            First the canary that is under way: since when evidence counts, what was measured on both versions, the \
            verdict of each metric, and what is missing for one. Then the agent's earlier decisions in the ledger, \
            newest first. Changes nothing. A developer's clone has the ledger alone, and shows the second part.
            """,
        arguments: [Argument(name: "AGENT", summary: "The agent, <team>/<agent>", kind: .agent)],
        options: [
            .environment,
            Option(name: "limit", summary: "Show at most N earlier decisions; 10 if left out", value: "N"),
        ],
        formats: [.text, .json, .markdown],
        examples: [
            Example(
                command: "ensign evidence support/refund-triage --env prod",
                meaning: "why does the canary not go on?"
            ),
            Example(
                command: "ensign evidence support/refund-triage --env prod --limit 1 --output json",
                meaning: "what decided the last time, for a program"
            ),
        ],
        output: .answer
    ) { invocation in
        let site = try invocation.site()
        let environment = try invocation.knownEnvironment(site)
        let agent = try invocation.agent(0)
        guard let limit = Int(invocation["limit"] ?? "10"), limit > 0 else {
            throw UsageError(message: "--limit must be a whole number above 0", verb: "evidence")
        }
        try site.requireLedger(environment)
        let report = try EvidenceReport.make(
            site,
            environment,
            agent: agent,
            limit: limit,
            version: App.version,
            now: Timestamp(seconds: Machine.now)
        )
        if !report.isKnown { try invocation.requireKnown(agent, environment, site) }
        let renderer = EvidenceRenderer(report: report, console: invocation.console)
        switch invocation.format {
        case .json: invocation.json(report.json)
        case .markdown: invocation.console.out(renderer.markdown)
        case .text, .sarif:
            invocation.console.out(renderer.text)
            // No samples, and why there can be none.
            let sight = try site.sight(environment, site.ledger(environment).tip(), now: invocation.now)
            for sentence in sight?.sentences ?? [] {
                invocation.console.note("\(environment): \(sentence.onOneLine)")
            }
        }
        return .done
    }
}
