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
            Option(name: "env", summary: "Say what is live there", value: "ENV", kind: .environment), .atTime, .atEntry,
            Option(name: "rev", summary: "Read this revision", value: "REV", kind: .revision),
            Option(name: "team", summary: "Only agents of this team", value: "TEAM", kind: .team),
            Option(name: "label", summary: "Only agents with this label", value: "KEY=VALUE", isRepeatable: true),
            Option(name: "model", summary: "Only agents that call this model", value: "MODEL"),
            Option(name: "tool", summary: "Only agents that have this tool", value: "TOOL", kind: .tool),
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
        let filter = try invocation.agentFilter(kind)
        if invocation["env"] != nil { return try invocation.getLive(kind, filter, site) }
        if invocation["at"] != nil || invocation["entry"] != nil {
            throw UsageError(message: "--at and --entry ask the ledger of an environment: add --env ENV", verb: "get")
        }
        let (fleet, commit) = try site.fleet(at: invocation["rev"], today: invocation.today)
        let registry = try Registry.read(kind, fleet, at: commit).filtered(filter)
        if invocation.format == .json {
            invocation.json(registry.json)
        } else {
            invocation.print(registry.table)
        }
        return .done
    }
}

extension Invocation {
    fileprivate func agentFilter(_ kind: Registry.Kind) throws(UsageError) -> AgentFilter {
        var filter = AgentFilter()
        (filter.team, filter.model, filter.tool) = (self["team"], self["model"], self["tool"])
        for label in all("label") {
            let parts = label.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, !parts[0].isEmpty else {
                throw UsageError(message: "'\(label)' is not KEY=VALUE", verb: verb.name)
            }
            filter.labels[parts[0]] = parts[1]
        }
        guard filter.isEmpty || kind == .agents else {
            throw UsageError(message: "--team, --label, --model and --tool are for 'get agents'", verb: verb.name)
        }
        return filter
    }

    fileprivate func getLive(_ kind: Registry.Kind, _ filter: AgentFilter, _ site: Site) throws -> ExitCode {
        guard kind == .agents else {
            throw UsageError(message: "--env is for 'get agents': tools and teams are the fleet's", verb: verb.name)
        }
        guard self["rev"] == nil else {
            throw UsageError(
                message: "--env asks what is live, --rev what is declared: give one of them",
                verb: verb.name
            )
        }
        let environment = try knownEnvironment(site)
        try site.requireLedger(environment)
        let live = try LiveAgents.make(site, environment, at: moment(), version: App.version).filtered(filter)
        if format == .json {
            json(live.json)
            return .done
        }
        print(live.table)
        guard !isQuiet else { return .done }
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
