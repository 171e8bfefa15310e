import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignReconciler
import EnsignTargets

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
            Option(name: "limit", summary: "Show at most N entries", value: "N"),
        ],
        formats: [.text, .json],
        examples: [
            Example(command: "ensign log --env prod", meaning: "what happened in prod"),
            Example(command: "ensign log --env prod support/refund-triage", meaning: "one agent's history"),
            Example(
                command: "ensign log --env prod --output json --limit 1",
                meaning: "the newest entry, for a program"
            ),
        ]
    ) { invocation in
        let site = try invocation.site()
        let environment = try invocation.knownEnvironment(site)
        let agent = invocation.argument(0) == nil ? nil : try invocation.agent(0)
        guard let limit = Int(invocation["limit"] ?? String(Int.max)), limit > 0 else {
            throw UsageError(message: "--limit must be a whole number above 0", verb: "log")
        }
        let ledger = site.ledger(environment)
        guard let tip = try ledger.tip() else {
            if let agent { try invocation.requireKnown(agent, environment, site) }
            if invocation.format == .json {
                invocation.json(["v": 1, "environment": .string(environment), "entries": []])
            }
            return .done
        }
        var shown: [RecordedEntry] = []
        var answered: Set<ObjectID> = []
        try ledger.walk(from: tip) { entry in
            let kind = entry.entry.kind
            if kind == .outcome || kind == .recovery, let previous = entry.entry.previous {
                answered.insert(previous.commit)
            }
            if !invocation.has("all"), kind.isIntent, answered.contains(entry.commit) { return true }
            if let agent, try !ledger.changes(of: entry).contains(where: { $0.agent == agent }) { return true }
            shown.append(entry)
            return shown.count < limit
        }
        if let agent, shown.isEmpty { try invocation.requireKnown(agent, environment, site) }
        if invocation.format == .json {
            invocation.json([
                "v": 1, "environment": .string(environment),
                "entries": .array(
                    shown.map { entry in
                        var object = entry.entry.json.object ?? [:]
                        object["commit"] = .string(entry.commit.description)
                        return .object(object)
                    }
                ),
            ])
            return .done
        }
        var table = TextTable(header: ["SEQ", "TIME", "KIND", "WHAT", "SOURCE", "BY"])
        for recorded in shown {
            let entry = recorded.entry
            table.rows.append([
                String(entry.sequence), entry.time.description, entry.kind.rawValue,
                try LogLine.text(recorded, agent: agent, ledger)
                    + (entry.overrideWords.map { " [\($0.escapedControls.shortened(to: 100))]" } ?? ""),
                entry.source.map { $0.commit.short } ?? "-",
                "\(entry.actor.name) (\(entry.actor.mode.rawValue))".escapedControls,
            ])
        }
        invocation.console.out(table.render(invocation.console))
        return .done
    }
}

extension Invocation {
    /// An agent without history that nothing declares is a slip of the pen.
    func requireKnown(_ agent: AgentID, _ environment: String, _ site: Site) throws {
        guard try site.desiredCommit() != nil else { return }
        let (fleet, _) = try site.fleet(at: nil, today: today)
        guard try !fleet.declares(agent), try !fleet.deploys(agent, in: environment) else { return }
        throw UsageError(
            message: "there is no agent '\(agent)', and '\(environment)' never had one",
            hint: Suggestion.hint(
                for: agent.description,
                among: try fleet.agents().map(\.description),
                plural: "agents"
            ),
            verb: verb.name
        )
    }
}

/// What an entry did, in one cell.
enum LogLine {
    static func text(_ recorded: RecordedEntry, agent: AgentID?, _ ledger: Ledger) throws -> String {
        let entry = recorded.entry
        if let agent {
            let own = try ledger.changes(of: recorded).filter { $0.agent == agent }
            if !own.isEmpty { return own.map(describe).joined(separator: "; ") }
        }
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
            let path = change.evidence?.repair?.path ?? ""
            let found = change.evidence?.repair?.found ?? ""
            return "repair \(path) (\(DriftedFile.Found(rawValue: found)?.words ?? found))".escapedControls
        }
        if change.driftedMetric != nil {
            let reason = change.evidence?.reason ?? ""
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
        if let activity = change.evidence?.activityAfterHalt {
            return "\(text) acts although halted: \(activity.what)".escapedControls
        }
        let action = change.action == .weight ? "canary \(change.weight?.to ?? 0) %" : change.action.rawValue
        text += " \(action) \(versions)"
        if let first = change.evidence?.reverts.first {
            text += " (reverts \(first.short))"
        } else if let reason = change.evidence?.reason {
            text += " (\(reason.escapedControls.shortened(to: 60)))"
        }
        return text
    }
}
