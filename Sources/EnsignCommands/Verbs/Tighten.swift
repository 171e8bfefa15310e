import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignQueries
import EnsignReconciler

extension Verb {
    static let tighten = Verb(
        name: "tighten",
        group: .declare,
        summary: "Take away grants that an agent does not use",
        discussion: """
            On the host of the fleet: compares what the agent is granted with the calls that telemetry showed, and takes \
            out of its deployment file what was not called in so many days, on a new branch, with a commit and the text of \
            a pull request. Refused where telemetry is not known for all of these days, or shows no call of the agent at \
            all. What a role grants, and what was granted only lately, is listed and stays.
            """,
        arguments: [Argument(name: "AGENT", summary: "The agent, <team>/<agent>", kind: .agent)],
        options: [
            .environment,
            Option(name: "days", summary: "How many days without a call; 30 if absent", value: "N"),
            Option(name: "dry-run", summary: "Say what would go, and make no branch"),
            Option(
                name: "branch",
                summary: "Name the new branch",
                value: "NAME",
                use: OptionUse(excludes: ["dry-run"])
            ),
        ],
        formats: [.text, .json, .markdown],
        examples: [
            Example(
                command: "ensign tighten support/refund-triage --env prod --dry-run",
                meaning: "what it did not call in 30 days"
            ),
            Example(
                command:
                    "ensign tighten support/refund-triage --env prod --days 90 --output markdown > pull-request.md",
                meaning: "in 90 days, with the text for the pull request"
            ),
        ]
    ) { invocation in
        let site = try invocation.site()
        let agent = try invocation.agent(0)
        let environment = try invocation.environment()
        try site.require(environment, among: site.environmentNames())
        try invocation.requireKnown(agent, environment, site)
        let command = TightenCommand(site: site, invocation: invocation, agent: agent, environment: environment)
        return try command.run(days: invocation.days())
    }
}

extension Invocation {
    fileprivate func days() throws(UsageError) -> Int64 {
        guard let text = self["days"] else { return 30 }
        guard let days = Int64(text), (1...Tightening.most).contains(days) else {
            throw UsageError(message: "--days is a number from 1 to \(Tightening.most)", verb: verb.name)
        }
        return days
    }
}

/// One call of `tighten`.
private struct TightenCommand {
    let site: Site
    let invocation: Invocation
    let agent: AgentID
    let environment: String

    func run(days: Int64) throws -> ExitCode {
        let (_, base) = try site.fleet(at: nil, today: invocation.today)
        let found: Tightening
        do {
            found = try Tightening.find(site, agent, environment, days: days, at: base, now: invocation.now)
        } catch let refusal as Tightening.Refusal {
            throw Refusal(message: refusal.message, hints: refusal.hints)
        }
        guard let edited = found.edited else { return try show(found, nil) }
        let proposal = Proposal(
            site: site,
            invocation: invocation,
            edits: [found.path: edited],
            base: base,
            title: title,
            body: "Not called in \(days) days: \(found.removed.map(\.name).joined(separator: ", "))",
            done: "tightened"
        )
        let report = try proposal.make(in: environment) { commit in
            guard !invocation.has("dry-run") else { return nil }
            return try proposal.branch("ensign/tighten/\(environment)/\(agent)", at: commit)
        }
        guard report.isValid else {
            if invocation.format == .json { invocation.json(try found.answer(report)) }
            return .invalid
        }
        return try show(found, report)
    }

    private var title: String { "Tighten \(agent) in \(environment)" }

    private func show(_ found: Tightening, _ report: ProposalReport?) throws -> ExitCode {
        switch invocation.format {
        case .json: invocation.json(try found.answer(report))
        case .markdown:
            invocation.console.out("# \(title)\n\n" + found.markdown)
            if let plan = report?.plan { invocation.console.out("\n" + (try PlanRenderer(plan: plan).markdown())) }
        case .text, .sarif:
            invocation.console.out(found.table.render(invocation.console))
            if let plan = report?.plan {
                invocation.console.line("")
                invocation.console.out(try PlanRenderer(plan: plan, paint: invocation.console.paint).text())
            }
            if let sentence = report?.sentence { invocation.console.line("\n" + sentence) }
        }
        guard !invocation.isQuiet else { return .done }
        if let sentence = found.unknownSentence { invocation.console.note("warning: \(sentence)") }
        if found.removed.isEmpty {
            invocation.console.note("Nothing to take away: \(agent) called all that can be taken out here.")
        } else if let next = report?.next {
            invocation.console.note(next)
        }
        return .done
    }
}

extension Tightening {
    fileprivate func answer(_ report: ProposalReport?) throws -> JSONValue {
        .object(try ProposalReport.answer(json, report))
    }

    fileprivate var table: TextTable {
        var table = TextTable(header: ["OPERATION", "LAST CALL", "THROUGH", "PROPOSED", "WHERE"])
        for row in operations {
            table.rows.append([
                row.name, row.lastCall?.description ?? "-", row.through, row.verdict.words.onOneLine,
                "\(row.origin.path):\(row.origin.position.line)",
            ])
        }
        return table
    }

    fileprivate var markdown: String {
        var text =
            "Of what `\(agent)` is granted in `\(environment)`, it did not call this in \(counted(Int(days), "day")):\n\n"
        for row in removed { text += "- `\(row.name)`: \(row.lastCall.map { "last on \($0)" } ?? "never seen")\n" }
        if removed.isEmpty { text += "- nothing that can be taken out here\n" }
        let kept = operations.filter { if case .keep = $0.verdict { true } else { false } }
        if !kept.isEmpty {
            text += "\nNot called either, and kept:\n\n"
            for row in kept { text += "- `\(row.name)`: \(row.verdict.words.inMarkdown)\n" }
        }
        if let sentence = unknownSentence { text += "\nWarning: \(sentence.inMarkdown)\n" }
        return text
    }

    /// That it called something else, which may be one of these under a name that nobody knows.
    fileprivate var unknownSentence: String? {
        guard !unknownCalls.isEmpty else { return nil }
        let names = unknownCalls.map { $0.name.quoted(utf8: 80) }.joined(separator: ", ")
        return "\(agent) also called \(names), which means none of its grants: make sure that it is none of these"
    }
}

extension Tightening.Verdict {
    fileprivate var words: String {
        switch self {
        case .used: "-"
        case .remove: "remove"
        case .keep(let why): "keep: \(why)"
        }
    }
}
