import EnsignCommandLine
import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignQueries

extension Verb {
    static let log = Verb(
        name: "log",
        group: .record,
        summary: "Show the ledger, newest entry first",
        discussion: """
            Shows what was done and why. With AGENT only the entries that changed it. Intents are left out where their \
            outcome follows; --all shows every entry.
            """,
        arguments: [Argument(name: "AGENT", summary: "Only this agent's history", isRequired: false, kind: .agent)],
        options: [
            .environment,
            Option(name: "all", summary: "Show intents too"),
            Option(
                name: "since",
                summary: "Only from this time on: 2026-11-24T12:00:00Z, 2026-11-24, or 7d (ago)",
                value: "TIME"
            ),
            Option(name: "until", summary: "Only up to this time; a day means its end", value: "TIME"),
            Option(
                name: "at",
                summary: "Only the entry that was the newest at this time",
                value: "TIME",
                use: OptionUse(excludes: ["entry", "since", "until", "limit"])
            ),
            Option(
                name: "entry",
                summary: "Only entry N",
                value: "N",
                use: OptionUse(excludes: ["all", "since", "until", "limit"])
            ),
            Option(name: "limit", summary: "Show at most N entries", value: "N"),
        ],
        formats: [.text, .json],
        examples: [
            Example(command: "ensign log --env prod", meaning: "what happened in prod"),
            Example(command: "ensign log --env prod support/refund-triage", meaning: "one agent's history"),
            Example(command: "ensign log --env prod --since 7d", meaning: "what happened in the last week"),
            Example(
                command: "ensign log --env prod --output json --limit 1",
                meaning: "the newest entry, for a program"
            ),
        ],
        output: .answer
    ) { invocation in
        let site = try invocation.site()
        let environment = try invocation.knownEnvironment(site)
        let agent = invocation.argument(0) == nil ? nil : try invocation.agent(0)
        guard let limit = Int(invocation["limit"] ?? String(Int.max)), limit > 0 else {
            throw UsageError(message: "--limit must be a whole number above 0", verb: "log")
        }
        var filter = LedgerLog.Filter()
        filter.agent = agent
        filter.hasIntents = invocation.has("all")
        filter.limit = limit
        (filter.since, filter.until) = (
            try invocation.time("since", endOfDay: false), try invocation.time("until", endOfDay: true)
        )
        let moment = try invocation.moment()
        switch moment {
        case .newest: break
        case .entry(let number): filter.sequence = number
        case .time(let time): (filter.until, filter.limit) = (time, 1)
        }
        try site.requireLedger(environment)
        // A moment that the ledger does not have is not one at which nothing happened.
        if moment != .newest { _ = try site.ledger(environment).entry(at: moment) }
        let log = try LedgerLog.read(site, environment, filter)
        if let agent, log.rows.isEmpty { try invocation.requireKnown(agent, environment, site) }
        if invocation.format == .json {
            invocation.json(log.json)
        } else {
            invocation.console.out(log.table.render(invocation.console))
            if log.rows.isEmpty, !invocation.isQuiet {
                let isBegun = try site.ledger(environment).checkedTip() != nil
                invocation.console.note("\(environment): \(isBegun ? filter.nothing : "nothing was recorded yet")")
            }
        }
        return .done
    }
}

extension LedgerLog.Filter {
    /// That no entry is so, in words.
    fileprivate var nothing: String {
        let time = since == nil && until == nil ? "" : " of that time"
        return "no entry\(time) " + (agent.map { "changed \($0)" } ?? "is there")
    }
}
