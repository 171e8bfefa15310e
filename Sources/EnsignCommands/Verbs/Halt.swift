import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignQueries
import EnsignReconciler
import EnsignSystem

extension Verb {
    static let halt = Verb(
        name: "halt",
        group: .apply,
        summary: "Stop agents at once, until somebody resumes them",
        discussion: """
            Takes the route of an agent, of a team's agents or of all agents away, durably, before it returns. Needs \
            neither the ledger nor its key nor room on the disk; the entry that records it follows as soon as it can. \
            Agents stay halted through restarts, commits and rollbacks until 'ensign resume'. --team and --all cover \
            agents that come later too, until 'ensign resume' with the same. Sessions that run already end when their runtime looks at the route again.
            """,
        arguments: [Argument.haltedAgent],
        options: [.environment, .haltedTeam, .haltedAll, .requiredReason],
        formats: [.text, .json],
        examples: [
            Example(
                command: "ensign halt support/refund-triage --env prod --reason 'refunds everybody'",
                meaning: "one agent"
            ),
            Example(command: "ensign halt --team support --env prod --reason 'CRM leaks'", meaning: "a team's agents"),
            Example(command: "ensign halt --all --env prod --reason 'provider breach'", meaning: "everything"),
        ]
    ) { invocation in
        try HaltCommand(invocation).run()
    }
}

extension Argument {
    static let haltedAgent = Argument(
        name: "AGENT",
        summary: "The agent, <team>/<agent>",
        isRequired: false,
        kind: .agent
    )
}

extension Option {
    static let haltedTeam = Option(name: "team", summary: "Name a team instead of an agent", value: "TEAM", kind: .team)
    static let haltedAll = Option(name: "all", summary: "Take all agents of the environment")
    static let requiredReason = Option(
        name: "reason",
        summary: "Say why, for the record",
        value: "TEXT",
        isRequired: true
    )
}

extension Invocation {
    /// The agent, the team or everything that the command line names: exactly one of them.
    func haltScope() throws(UsageError) -> HaltScope {
        let named = [argument(0) != nil, has("team"), has("all")].count { $0 }
        guard named == 1 else {
            throw UsageError(message: "name one of AGENT, --team TEAM and --all", verb: verb.name)
        }
        if has("all") { return .all }
        guard let team = self["team"] else { return .agent(try agent(0)) }
        guard Name.isValid(team) else {
            throw UsageError(message: "'\(team)' is not the name of a team: \(Name.rule)", verb: verb.name)
        }
        return .team(team)
    }
}

extension HaltScope {
    /// As the command line names it: `--team support`.
    fileprivate var words: String {
        switch self {
        case .agent(let agent): agent.description
        case .team(let team): "--team \(team)"
        case .all: "--all"
        }
    }
}

extension Invocation {
    /// Stops begin and end on the host. Elsewhere it says the command to run there, and the other way.
    func requireHost(_ site: Site, _ environment: String, _ scope: HaltScope, halted: Bool) throws {
        var named: AgentID?
        if case .agent(let agent) = scope { named = agent }
        if case .team(let team) = scope, !site.reconciles, let near = site.teamCalled(team, today: today) {
            throw UsageError(message: "there is no team '\(team)'", hint: "did you mean '\(near)'?", verb: verb.name)
        }
        let words = "ensign \(verb.name) \(scope.words) --env \(environment) --reason ..."
        try site.requireHost(words, environment, named, halted: halted)
    }
}

/// Stops agents: first in effect, then in words, then on record.
private struct HaltCommand {
    let invocation: Invocation
    let site: Site
    let environment: String
    let scope: HaltScope
    let record: HaltRecord
    let halts: HaltSwitch
    /// The newest entry as it was before. The ledger may be unusable.
    private let tip: Result<RecordedEntry?, any Error>

    init(_ invocation: Invocation) throws {
        self.invocation = invocation
        environment = try invocation.environment()
        scope = try invocation.haltScope()
        let reason = try invocation.requiredReason()
        site = try invocation.site()
        try invocation.requireHost(site, environment, scope, halted: true)
        let tip = Result { [site, environment] in try site.ledger(environment).tip() }
        self.tip = tip
        record = HaltRecord(
            scope: scope,
            reason: reason,
            by: invocation.operatorName,
            time: Moment(nanoseconds: Machine.nanoseconds),
            after: (try? tip.get())?.entry.sequence
        )
        halts = try HaltSwitch(site, environment)
    }

    func run() throws -> ExitCode {
        let before = try known()
        // Also for agents that are halted already: somebody may have put a route back by hand, and a resume may be under way,
        // or have died before it was on record. It ends the stops that it knew, and not this one.
        var effect = try reaching { try halts.pull([record]) }
        if before.isHalted { effect.agents = effect.stopped }
        if invocation.format == .text, !before.isHalted || !effect.stopped.isEmpty { tell(effect) }
        let recording = Result { try recorded(effect.forgotten == nil ? [] : [record]) }
        let result = try finish(before, effect, recording)
        invocation.notify(environment, site)
        return result
    }

    /// Where no reconcile would write, there is nothing that agents of this environment read.
    private func reaching<Result>(_ stop: () throws -> Result) throws -> Result {
        do { return try stop() } catch let error as ReconcileError {
            throw Failure(
                message: "no agent is stopped: \(error)",
                hints: [
                    "the stop is remembered: the first reconcile that can write to the live directory carries it out"
                ]
            )
        }
    }

    private struct Known {
        /// Agents that are stopped by hand or by a rule already.
        var already: [AgentID] = []
        /// Whether this very stop is on record, of all that it covers, or waits for its record.
        var isHalted = false
    }

    /// What is known of the agents. The ledger may be unusable: then the target alone says which there are.
    private func known() throws -> Known {
        var known = Known()
        let pending = (try? halts.file.read().pending.filter { $0.kind == .halt }) ?? []
        let agents = try halts.agents(of: scope)
        // Nil when the ledger cannot be read, and not when there is none yet.
        let tree = try? RecordedTree(repository: site.repository, tip: tip.get())
        if case .agent(let agent) = scope {
            let recorded = try? tree?.agent(agent)
            // Where the ledger cannot say, nobody is turned away.
            guard try tree == nil || recorded?.isLive == true || halts.hasRoute(agent) else {
                try invocation.requireKnown(environment, site)
                try invocation.requireKnown(agent, environment, site)
                throw unknown("'\(agent)' is not live in '\(environment)'")
            }
        } else if agents.isEmpty, tree != nil, try !comes() {
            try invocation.requireKnown(environment, site)
            throw unknown("no \(scope.text(environment)) are live")
        }
        known.already = agents.filter { agent in
            pending.contains { $0.scope.covers(agent) } || (try? tree?.agent(agent))??.state.halt != nil
        }
        let areAll = known.already.count == agents.count
        let isWhole = try !scope.coversLater || tree?.halts()[scope] != nil
        known.isHalted = pending.contains { $0.scope == scope } || isWhole && areAll
        return known
    }

    /// Whether agents may come that the scope covers although none is live: the ledger has begun, the team is declared.
    private func comes() throws -> Bool {
        guard try site.ledger(environment).tip() != nil else { return false }
        switch scope {
        case .agent: return false
        case .all: return true
        case .team(let team):
            guard let commit = try site.desiredCommit() else { return false }
            return try site.repository.entry(at: RepositoryPath.team(team), in: site.repository.commit(commit).tree)
                != nil
        }
    }

    private func unknown(_ message: String) -> Refusal {
        Refusal(message: message, hints: ["'ensign status --env \(environment)' shows what is live and what is halted"])
    }

    private func recorded(_ more: [HaltRecord]) throws -> Reconciler.Report {
        var options = Reconciler.Options()
        // Whoever holds the lock records it, at the latest when it has finished.
        options.lockTimeout = .seconds(5)
        return try Reconciler(site: site, environment: environment, actor: invocation.actor(.cli), options: options)
            .recordHalts(more)
    }

    // MARK: Telling

    private func tell(_ effect: HaltSwitch.Effect) {
        let names =
            effect.agents.count == 1 ? effect.agents[0].description : counted(effect.agents.count, "agent")
        invocation.console.line("\(environment): halted \(names) in \(effect.duration.milliseconds) ms")
        guard !invocation.isQuiet else { return }
        if effect.agents.count > 1 {
            for agent in effect.agents.prefix(50) { invocation.console.line("  \(agent)") }
            if effect.agents.count > 50 { invocation.console.line("  ... and \(effect.agents.count - 50) more") }
        }
        if scope.coversLater {
            invocation.console.note(
                "\(environment): \(scope) stays halted, with what comes later, until 'ensign resume \(scope.words)'"
            )
        }
        if !effect.removed.isEmpty {
            invocation.console.note(
                "\(environment): there is no room for halted routes: \(counted(effect.removed.count, "route was", "routes were")) removed, which stops agents as well"
            )
        }
    }

    private func finish(
        _ before: Known,
        _ effect: HaltSwitch.Effect,
        _ recording: Result<Reconciler.Report, any Error>
    ) throws -> ExitCode {
        var effect = effect
        var warnings: [String] = []
        var entry: PlanEntry?
        var failure: (any Error)?
        switch recording {
        case .success(let report):
            entry = report.halts.isEmpty ? nil : report.entry
            warnings = report.warnings
            // Also under the names that agents were given meanwhile.
            effect.agents = Set(effect.agents + report.followed).sorted()
        case .failure(let error): failure = error
        }
        if invocation.format == .json {
            invocation.json([
                "v": 1, "environment": .string(environment),
                "halted": .array(effect.agents.map { .string($0.description) }),
                "already": .array(before.already.map { .string($0.description) }),
                "removed": .array(effect.removed.sorted().map { .string($0.description) }),
                "milliseconds": .integer(effect.duration.milliseconds),
                "remembered": .bool(effect.forgotten == nil),
                "entry": entry.map {
                    ["seq": .integer($0.sequence), "commit": .string($0.commit.description)]
                } ?? .null,
                "notRecorded": failure.map { .string("\($0)") } ?? .null,
            ])
        } else if !invocation.isQuiet {
            if !before.already.isEmpty {
                let names =
                    before.already.count == 1
                    ? "\(before.already[0]) was" : "\(counted(before.already.count, "agent")) were"
                invocation.console.note("\(environment): \(names) halted already")
            }
            for warning in warnings { invocation.console.note("\(environment): \(warning)") }
            if let entry { invocation.console.note("\(environment): recorded as entry \(entry.sequence)") }
            if let failure {
                invocation.console.note("\(environment): not recorded yet: \(failure)".onOneLine)
                if effect.forgotten == nil {
                    invocation.console.note("  the agents are stopped; the next reconcile that can records it")
                }
            }
        }
        if let forgotten = effect.forgotten, failure != nil {
            throw Failure(
                message: "the agents are stopped now, but that could not be remembered: \(forgotten)",
                hints: ["the next reconcile would start them again: make room and run this again"]
            )
        }
        return .done
    }
}
