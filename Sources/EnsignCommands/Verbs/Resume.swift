import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignQueries
import EnsignReconciler
import EnsignSupervisor

extension Verb {
    static let resume = Verb(
        name: "resume",
        group: .apply,
        summary: "End a halt: the stable version takes sessions again",
        discussion: """
            Ends what 'ensign halt' or the kill switch began. The agent returns to its stable version; a candidate \
            begins anew. A halt of all or of a team covers agents that come later, and ends with the same --all or \
            --team. An agent that git halts too (halted: true) stays halted: change the deployment and push. \
            Reconciles on the way, so the manifests must be valid.
            """,
        arguments: [Argument.haltedAgent],
        options: [.environment, .haltedTeam, .haltedAll, .requiredReason],
        formats: [.text, .json],
        examples: [
            Example(
                command: "ensign resume support/refund-triage --env prod --reason 'limit fixed in 1.4.1'",
                meaning: "one agent"
            ),
            Example(command: "ensign resume --all --env prod --reason 'all clear'", meaning: "every halted agent"),
        ]
    ) { invocation in
        let environment = try invocation.environment()
        let scope = try invocation.haltScope()
        let reason = try invocation.requiredReason()
        let site = try invocation.site()
        try invocation.requireHost(site, environment, scope, halted: false)
        try invocation.requireKnown(environment, site)
        if case .agent(let agent) = scope { try invocation.requireKnown(agent, environment, site) }
        var options = Reconciler.Options()
        // Whoever stops an agent from here on does not know of this, and is not meant.
        options.knownStops = Set(try HaltSwitch(site, environment).file.remembered().map(\.id))
        // Stops that are not on record yet come first: they are what is resumed.
        _ = try Reconciler(site: site, environment: environment, actor: invocation.actor(.cli), options: options)
            .recordHalts()
        let halted = try HaltedAgents(site, environment)
        let agents = try halted.asked(scope, environment)
        var request = OperatorRequest(
            agents: Set(agents),
            operation: .unhalt,
            by: invocation.operatorName,
            reason: reason
        )
        request.scope = scope
        options.request = request
        let reconciler = Reconciler(
            site: site,
            environment: environment,
            actor: invocation.actor(.cli),
            options: options
        )
        let report = try reconciler.run()
        let code = try invocation.finish(reconciler, report, forge: Forge(site))
        guard code == .done else { return code }
        // A version that waited for this: whoever let it through sees what more it may do.
        for change in report.plan?.changes ?? [] where invocation.format == .text && !invocation.isQuiet {
            for sentence in try change.difference.authority.gained
            where change.startsCanary || change.change.to?.digest != change.change.from?.digest {
                invocation.console.note("  \(change.agent) gains: \(sentence.onOneLine)")
            }
        }
        let still = try HaltedAgents(site, environment)
        for agent in agents where still.isHaltedByOperator(agent) {
            if still.isGone(agent), scope.coversLater {
                // Nothing of it runs, and no other waits for it.
                invocation.console.note(
                    "\(environment): \(agent), which is gone, stays halted: it starts so if it comes back"
                )
                continue
            }
            throw Failure(
                message: "'\(agent)' is still halted",
                hints: [
                    "somebody may have stopped it again meanwhile: 'ensign status --env \(environment)' says since when",
                    "if it is no longer declared and prune is off, nothing of it is planned: declare or remove it",
                ]
            )
        }
        for team in still.halts.teams.keys.sorted() where scope == .all {
            invocation.console.note(
                "\(environment): team \(team) itself stays halted, for what comes later: 'ensign resume --team \(team)'"
            )
        }
        for agent in halted.keptByGit(scope) where !agents.contains(agent) {
            invocation.console.note("\(environment): \(agent) stays halted: git says so, \(try still.gitsWord(agent))")
        }
        return .done
    }
}

extension HaltedAgents {
    fileprivate func gitsWord(_ agent: AgentID) throws -> String {
        try place(agent) ?? "a commit said so that was not accepted, and it holds until one is"
    }

    /// The agents whose halt ends; at least one, unless the scope itself is halted.
    fileprivate func asked(_ scope: HaltScope, _ environment: String) throws -> [AgentID] {
        let agents = resumable(scope)
        guard agents.isEmpty, halts[scope] == nil else { return agents }
        if let agent = keptByGit(scope).first {
            throw Refusal(
                message: "'\(agent)' is halted by git: \(try gitsWord(agent))",
                hints: [
                    try place(agent) == nil
                        ? "push a commit that is accepted: 'ensign validate' says what keeps the newest one out"
                        : "set halted: false there, commit and push"
                ]
            )
        }
        switch scope {
        case .agent(let agent) where try !isLive(agent):
            throw Refusal(message: "'\(agent)' is not live in '\(environment)', and not halted")
        case .agent(let agent): throw Refusal(message: "'\(agent)' is not halted in '\(environment)'")
        case .team, .all: throw Refusal(message: "no \(scope.text(environment)) are halted")
        }
    }
}
