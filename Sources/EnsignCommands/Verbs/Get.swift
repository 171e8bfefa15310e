import EnsignCommandLine
import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignQueries

extension Verb {
    static let get = Verb(
        name: "get",
        group: .ask,
        summary: "List agents, tools or teams; with --env what is live",
        discussion: """
            Without --env it reads what the branch's tip declares, or the revision that --rev names. 'get agents' with \
            --env reads the ledger: what git wants of each agent, what sessions get, since when, and why that is not the \
            same; with --at or --entry, as it was. The conditions --team, --label, --model and --tool must all hold.
            """,
        arguments: [
            Argument(
                name: "WHAT",
                summary: "agents, tools or teams",
                kind: .choice(Registry.Kind.allCases.map(\.rawValue))
            )
        ],
        options: [
            Option(
                name: "env",
                summary: "Say what is live there",
                value: "ENV",
                kind: .environment,
                use: OptionUse(with: ["agents"], excludes: ["rev"])
            ),
            .atTime.used(OptionUse(needs: ["env"], excludes: ["entry"], because: earlier)),
            .atEntry.used(OptionUse(needs: ["env"], because: earlier)),
            Option(name: "rev", summary: "Read this revision", value: "REV", kind: .revision),
            Option(name: "team", summary: "Only agents of this team", value: "TEAM", kind: .team, use: ofAgents),
            Option(
                name: "label",
                summary: "Only agents with this label",
                value: "KEY=VALUE",
                isRepeatable: true,
                use: ofAgents
            ),
            Option(name: "model", summary: "Only agents that call this model", value: "MODEL", use: ofAgents),
            Option(name: "tool", summary: "Only agents that have this tool", value: "TOOL", kind: .tool, use: ofAgents),
        ],
        formats: [.text, .json],
        examples: [
            Example(
                command: "ensign get agents --env prod",
                meaning: "what runs in prod now, and why not what git says"
            ),
            Example(command: "ensign get agents --env prod --at 7d", meaning: "what ran there a week ago"),
            Example(command: "ensign get agents --model claude-sonnet-4-5", meaning: "who is declared to call it"),
            Example(command: "ensign get tools --output json", meaning: "the tools, for a program"),
        ],
        output: .answer
    ) { invocation in
        let site = try invocation.site()
        let kind = invocation.argument(0).flatMap { Registry.Kind(rawValue: $0) } ?? .agents
        let filter = try invocation.agentFilter()
        if invocation["env"] != nil { return try invocation.getLive(filter, site) }
        let (fleet, commit) = try site.fleet(at: invocation["rev"], today: invocation.today)
        let all = try Registry.read(kind, fleet, at: commit)
        try invocation.require(filter, AgentFilter.Known(fleet).union(all.known))
        let registry = all.filtered(filter)
        if invocation.format == .json {
            invocation.json(registry.json)
        } else {
            invocation.print(registry.table)
            if registry.table.rows.isEmpty, !invocation.isQuiet {
                invocation.console.note(
                    filter.isEmpty ? "\(commit.short) declares no \(kind)" : "no declared agent matches"
                )
            }
        }
        return .done
    }
}

/// What tells agents apart.
private let ofAgents = OptionUse(with: ["agents"])
/// Why an earlier moment needs an environment.
private let earlier = "the ledger that knows is an environment's"

extension Invocation {
    fileprivate func agentFilter() throws(UsageError) -> AgentFilter {
        var filter = AgentFilter()
        (filter.team, filter.model, filter.tool) = (self["team"], self["model"], self["tool"])
        for label in all("label") {
            let parts = label.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, !parts[0].isEmpty else {
                throw UsageError(message: "'\(label)' is not KEY=VALUE", verb: verb.name)
            }
            filter.labels[parts[0], default: []].insert(parts[1])
        }
        return filter
    }

    /// A team or a tool that nothing knows is a typo, and not one that no agent has.
    fileprivate func require(_ filter: AgentFilter, _ known: AgentFilter.Known) throws(UsageError) {
        for (kind, name, names) in [("team", filter.team, known.teams), ("tool", filter.tool, known.tools)] {
            guard let name, !names.contains(name) else { continue }
            throw UsageError(
                message: "there is no \(kind) '\(name)'",
                hint: Suggestion.hint(for: name, among: names.sorted(), plural: "\(kind)s"),
                verb: verb.name
            )
        }
    }

    fileprivate func getLive(_ filter: AgentFilter, _ site: Site) throws -> ExitCode {
        let environment = try knownEnvironment(site)
        try site.requireLedger(environment)
        let all = try LiveAgents.make(site, environment, at: moment(), version: App.version)
        // A team or a tool may be declared, and no agent that is live has it.
        let declared = try (try? site.fleet(at: nil, today: today)).map { try AgentFilter.Known($0.fleet) }
        try require(filter, declared?.union(all.known) ?? all.known)
        let live = all.filtered(filter)
        if format == .json {
            json(live.json)
            return .done
        }
        print(live.table)
        guard !isQuiet else { return .done }
        if live.rows.isEmpty {
            console.note("\(environment): no agent " + (filter.isEmpty ? "is declared or live" : "there matches"))
        }
        if let obstacle = live.obstacle { console.note("\(environment): \(obstacle.onOneLine)") }
        if let caveat = live.caveat(site) { console.note("\(environment): \(caveat)") }
        return .done
    }

    /// A table, or with `--quiet` its first column.
    func print(_ table: TextTable) {
        guard isQuiet else { return console.out(table.render(console)) }
        for row in table.rows { console.line(row[0]) }
    }
}

extension LiveAgents {
    /// What the reader must know about where it comes from; nil when it is what is.
    fileprivate func caveat(_ site: Site) -> String? {
        guard let entry, let entryTime else { return site.reconciles ? "nothing was recorded yet" : nil }
        return site.reconciles ? nil : "as of entry \(entry.sequence) of \(entryTime), the newest that was fetched"
    }
}
