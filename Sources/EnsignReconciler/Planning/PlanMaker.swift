import EnsignGit
import EnsignHost
import EnsignJudge
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignSystem

/// Reads what planning needs and calls the planner. ``Situation`` alone makes plans with it.
package struct PlanMaker {
    let situation: Situation
    let recorded: RecordedTree

    init(_ situation: Situation) {
        self.situation = situation
        recorded = RecordedTree(repository: situation.site.repository, tip: situation.tip)
    }

    var site: Site { situation.site }
    var environment: String { situation.environment }
    var today: CalendarDate { situation.today }

    /// What is desired, compiled as far as it can differ from what is live.
    struct Resolved {
        var desired: Desired
        var items: [DesiredAgent] = []
        var findings: [Finding] = []
        /// Nil when the commit does not declare the environment.
        var settings: Environment?
        /// What the agents of the commit use, where that was found out anew.
        var uses: SharedUses?
        var fleet: Fleet
        var compiler: EnvironmentCompiler
        /// Whether it removes agents that are live.
        var removes = false

        var isInvalid: Bool { findings.contains { $0.severity == .error } }
    }

    /// Compiles what is desired, as far as it can differ from what is live.
    ///
    /// - Parameter alsoHalted: Agents that a commit which cannot be applied stops. When given, agents that git has stopped
    ///   stay so.
    func resolve(_ desired: Desired, alsoHalted: Set<AgentID>? = nil) throws -> Resolved {
        let fleet = Fleet(snapshot: try desired.snapshots(), today: today)
        var resolved = Resolved(
            desired: desired,
            fleet: fleet,
            compiler: EnvironmentCompiler(fleet: fleet, environment: environment)
        )
        let isDeclared = try fleet.environmentNames().contains(environment)
        switch try affected(desired, fleet) {
        case .some(let agents, let shared):
            try resolve(agents.union(alsoHalted ?? []), shared, &resolved)
        case .all where isDeclared: try resolveAll(&resolved)
        case .all:
            // The environment is gone from the commit: everything in it would go, and the guard decides about that.
            resolved.items = try recorded.agents().map { DesiredAgent(agent: $0, compiled: nil) }
        }
        if isDeclared { resolved.settings = try fleet.environment(environment)?.value }
        resolved.findings = Finding.unique(resolved.findings)
        resolved.removes = try resolved.items.contains { item in
            try item.compiled == nil && recorded.isLive(item.agent)
        }
        guard let alsoHalted else { return resolved }
        for (index, item) in resolved.items.enumerated() where item.compiled != nil {
            let isStopped = try alsoHalted.contains(item.agent) || recorded.agent(item.agent)?.state.haltedByGit == true
            if isStopped { resolved.items[index].compiled?.halted = true }
        }
        return resolved
    }

    private func resolve(_ agents: Set<AgentID>, _ shared: Set<SharedPart>, _ resolved: inout Resolved) throws {
        let (compiler, fleet) = (resolved.compiler, resolved.fleet)
        // What is remembered of an agent may concern it although nothing of it changed.
        let asked = situation.request?.agents ?? []
        var found: [AgentID: [String]] = [:]
        let gateway = site.settings.gateway(environment)
        let looked = try agents.union(recorded.remembered()).union(asked)
        for agent in looked.sorted() {
            let deployment = try compiler.resolve(agent)
            found[agent] = deployment?.uses
            resolved.items.append(try Self.item(agent, deployment, gateway))
        }
        for agent in try undeclared(compiler) where !looked.contains(agent) {
            resolved.items.append(DesiredAgent(agent: agent, compiled: nil))
        }
        if !shared.isEmpty {
            try compiler.checkFolder()
            for case .team(let team) in shared where try compiler.deploys(team) { _ = try fleet.team(team) }
            resolved.uses = try uses(resolved.desired, compiler, found)
        }
        resolved.findings = fleet.findings + (try cycles(compiler, resolved.items))
    }

    /// Agents that are live although the commit does not declare them: a plan names them, and what they share with others
    /// may give them less.
    private func undeclared(_ compiler: EnvironmentCompiler) throws -> [AgentID] {
        guard try compiler.fleet.environment(environment)?.value?.prune == false else { return [] }
        return try recorded.agents().filter { try !compiler.fleet.deploys($0, in: environment) }
    }

    private func resolveAll(_ resolved: inout Resolved) throws {
        let (compiler, fleet) = (resolved.compiler, resolved.fleet)
        try compiler.checkFolder()
        let compiled: Compiled
        do { compiled = try compileAll(resolved.desired, teams: try compiler.teams()) } catch let problem
            as FleetTooLarge
        {
            resolved.findings = [problem.finding]
            return
        }
        resolved.items = compiled.items
        resolved.uses = try uses(resolved.desired, compiler, compiled.uses)
        resolved.findings = fleet.findings + compiled.findings
        let declared = Set(compiled.items.map(\.agent))
        let asked = situation.request?.agents ?? []
        for agent in asked.union(try recorded.agents() + recorded.remembered()) where !declared.contains(agent) {
            resolved.items.append(DesiredAgent(agent: agent, compiled: nil))
        }
    }

    /// Plans from the recorded state to what is desired.
    ///
    /// - Parameter evidence: What the judge says of canaries; nil when it is not asked, or not here.
    func plan(_ resolved: Resolved, _ evidence: CanaryEvidence?) throws -> Plan {
        let tip = situation.tip
        let index = StableIndex(ledger: site.ledger(environment), tip: tip, recorded: recorded)
        let settings = resolved.settings
        let sources = SourceLedgers(site, into: environment, now: situation.now)
        defer { sources.keep() }
        var plan = try Planner.plan(
            environment: environment,
            source: resolved.desired.source,
            entry: tip.map { PlanEntry(sequence: $0.entry.sequence, commit: $0.commit) },
            desired: resolved.items,
            recorded: RecordedFleet(
                live: recorded.live,
                agent: recorded.agent,
                isLive: recorded.isLive,
                members: recorded.agents(of:),
                bundle: recorded.bundle,
                history: index.history,
                earlier: index.earlier,
                wasStable: index.wasStable,
                remembered: recorded.remembered,
                halts: try recorded.halts()
            ),
            rules: PlanRules(
                prune: settings?.prune ?? true,
                maxPruneShare: try maxPruneShare(resolved),
                allowPrune: situation.allowPrune
            ),
            context: try context(resolved, evidence, sources, index)
        )
        plan.warnings = situation.caveats + (try warnings(plan, resolved)) + [hidden(plan, resolved)].compactMap { $0 }
        plan.guards = try situation.guards(resolved.desired, renamed: plan.renamed)
        plan.rules = try rules(resolved)
        plan.policy = try policy(resolved)
        if let settings {
            let shared = plan.policy.map(\.after) ?? (try? recorded.policy())
            let hasGateway = site.settings.gateway(environment) != nil
            plan.declaredOnly = DeclaredOnly.names(settings, shared, hasGateway: hasGateway)
        }
        if let accepted = tip?.acceptedSource, let commit = resolved.desired.source.commit {
            let lacks = (try? site.repository.isAncestor(accepted, of: commit)) == false
            let source = resolved.desired.source.name
            // Only the desired branch itself can be rewritten; any other may simply be behind.
            plan.historyRewritten = lacks && site.reconciles && source == site.settings.branch
            if lacks, !plan.historyRewritten {
                plan.warnings.append(
                    "\(source) does not contain \(accepted.short), which is live: what differs may be others' work"
                )
            }
        }
        return plan
    }

    /// The change of the environment's own rules since the recorded source: only what the ledger has counts, so that each
    /// change is recorded, and once.
    private func rules(_ resolved: Resolved) throws -> Change? {
        guard let recorded = situation.tip?.acceptedSource, recorded != resolved.desired.source.commit,
            let now = resolved.settings
        else { return nil }
        let (path, tree) = (RepositoryPath.environment(environment), try site.repository.commit(recorded).tree)
        let before = try site.repository.entry(at: path, in: tree)
        if let new = resolved.desired.tree, try site.repository.entry(at: path, in: new) == before { return nil }
        let fleet = Fleet(snapshot: GitSnapshot(site.repository, tree: tree), today: today)
        guard let was = try fleet.environment(environment)?.value else { return nil }
        return Change.ofRules(from: was, to: now, environment: environment)
    }

    /// The share that may be removed at once: a commit that removes agents cannot raise it for itself.
    private func maxPruneShare(_ resolved: Resolved) throws -> Double {
        let own = resolved.settings?.maxPruneShare ?? 0.3
        guard resolved.removes, let accepted = try situation.accepted() else { return own }
        let tree = try site.repository.commit(accepted).tree
        let before = try Fleet(snapshot: GitSnapshot(site.repository, tree: tree), today: today)
            .environment(environment)?.value?.maxPruneShare
        return min(own, before ?? own)
    }

    /// What an operator should know: guards that cannot fire, and canaries that nobody can judge. Only where operators
    /// set things: nobody reconciles elsewhere.
    private func warnings(_ plan: Plan, _ resolved: Resolved) throws -> [String] {
        guard site.reconciles else { return [] }
        let sight = try TelemetrySight.look(
            site,
            environment,
            fleet: resolved.fleet,
            agents: resolved.items.filter { $0.compiled != nil }.map(\.agent),
            now: situation.now
        )
        let blind = [sight?.sentence, try unpriced(resolved)].compactMap { $0 }
        let key = Settings.prometheusKey(environment)
        guard site.settings.prometheus(environment) == nil else { return blind }
        let starting = Set(plan.changes.filter { $0.state?.rollout != nil }.map(\.agent))
        let agents = resolved.items.filter { starting.contains($0.agent) && $0.rollout.asksPrometheus }.map(\.agent)
        guard let first = agents.min() else { return blind }
        let who = agents.count == 1 ? "\(first)" : "\(first) and \(agents.count - 1) more"
        return blind + [
            "\(key) is not set, and the analysis of \(who) asks Prometheus: no verdict, and the weight stays"
        ]
    }

    /// What agents that change may bring along past their grants, in a sentence; nil for nothing.
    private func hidden(_ plan: Plan, _ resolved: Resolved) -> String? {
        let changing = Set(plan.changes.map(\.agent))
        var found: [(agent: AgentID, sentence: String)] = []
        for item in resolved.items where changing.contains(item.agent) {
            guard let runtime = item.compiled?.runtime, let sentence = HiddenAuthority.sentence(in: runtime)
            else { continue }
            found.append((item.agent, sentence))
        }
        found.sort { $0.agent < $1.agent }
        guard let (agent, sentence) = found.first else { return nil }
        return "\(agent): \(sentence)" + (found.count > 1 ? "; and \(found.count - 1) more agents alike" : "")
    }

    /// That limits in dollars do not see what some models cost, in a sentence; nil when they do, or there are none.
    private func unpriced(_ resolved: Resolved) throws -> String? {
        let rules = resolved.settings?.killSwitch ?? []
        let limited = resolved.items.filter { item in
            rules.contains(where: \.countsMoney) || item.rollout.countsMoney
        }
        let models = Set(limited.flatMap { $0.compiled?.models ?? [] })
        guard !models.isEmpty else { return nil }
        let prices = try Fleet(snapshot: resolved.fleet.snapshot, today: today).prices()?.value?.models ?? [:]
        let unknown = models.filter { prices[$0] == nil }.sorted()
        guard let first = unknown.first else { return nil }
        let more = unknown.count > 1 ? " and \(unknown.count - 1) more" : ""
        return "limits in USD do not see what runs on \(first)\(more): fleet/prices.yaml has no price for it"
    }

    private func context(
        _ resolved: Resolved,
        _ evidence: CanaryEvidence?,
        _ sources: SourceLedgers,
        _ index: StableIndex
    ) throws -> RolloutContext {
        var context = RolloutContext(
            now: situation.now,
            clockStep: situation.clockStep,
            request: situation.request,
            compile: { try compile($0, as: $1, resolved.compiler, index) },
            restrict: { Compiler.restrict($0, to: $1) },
            verdict: { agent, canary in
                evidence?.verdict(agent, canary) ?? CanaryVerdict(canary.analysis == nil ? .notAnalysed : .noData)
            }
        )
        if let accepted = try situation.accepted() {
            let before = GitSnapshot(site.repository, tree: try site.repository.commit(accepted).tree)
            let fleet = Fleet(snapshot: before, today: today)
            context.asked = { try EnvironmentCompiler(fleet: fleet, environment: environment).compile($0)?.bundle }
        }
        if let commit = resolved.desired.source.commit {
            context.source = commit
            context.wanted = Timestamp(seconds: try site.repository.commit(commit).time)
        }
        context.promotion = try promotionRule()
        context.promotionRule = promotionRule(of:)
        context.proven = { rule, agent, version in sources.of(rule).record(agent, version) }
        if let settings = resolved.settings { context.keepFor = settings.keepFor.seconds }
        context.concurrentRollouts = resolved.settings?.concurrentRollouts
        return context
    }

    /// What versions that come in must have shown, by the last accepted commit: no commit loosens it for itself. Nil
    /// where nothing is set, and before anything was accepted.
    private func promotionRule() throws -> PromotionRule? {
        guard let tip = situation.tip, let accepted = try situation.accepted() else { return nil }
        // The first reconcile takes what is declared, also when it was interrupted.
        guard try tip.agents > 0 || site.ledger(environment).isComplete(tip) else { return nil }
        return try promotionRule(of: accepted)
    }

    /// What a commit demands; nil also for one that is not here.
    private func promotionRule(of commit: ObjectID) throws -> PromotionRule? {
        guard site.repository.contains(commit) else { return nil }
        let snapshot = GitSnapshot(site.repository, tree: try site.repository.commit(commit).tree)
        guard let settings = try Fleet(snapshot: snapshot, today: today).environment(environment)?.value,
            let soak = settings.soak, let source = settings.promotesFrom?.value
        else { return nil }
        return PromotionRule(source: source, soak: soak.seconds, keepFor: settings.keepFor.seconds)
    }

    /// A version under the permissions of the desired deployment. One that was deleted since is read where it was last
    /// accepted: sessions have it still. So is the deployment of an agent that stays although it is no longer declared.
    private func compile(
        _ agent: AgentID,
        as version: AgentVersion,
        _ compiler: EnvironmentCompiler,
        _ index: StableIndex
    ) throws -> CompiledBundle? {
        if let compiled = try compiler.compile(agent, as: version, isLive: recorded.isLive) { return compiled }
        guard let accepted = try situation.accepted() else { return nil }
        func compile(_ older: ObjectID, _ places: [String]) throws -> CompiledBundle? {
            let both = FallbackSnapshot(
                compiler.fleet.snapshot,
                GitSnapshot(site.repository, tree: try site.repository.commit(older).tree),
                below: [RepositoryPath.agent(agent), RepositoryPath.tools] + places
            )
            return try EnvironmentCompiler(fleet: Fleet(snapshot: both, today: today), environment: environment)
                .compile(agent, as: version, isLive: recorded.isLive)
        }
        if let compiled = try compile(accepted, []) { return compiled }
        guard try recorded.isLive(agent), try !compiler.fleet.deploys(agent, in: environment) else { return nil }
        let path = RepositoryPath.deployment(agent, in: environment)
        let sources = try [accepted] + index.sources(agent)
        let last = try sources.first { source in
            try site.repository.contains(source)
                && site.repository.entry(at: path, in: site.repository.commit(source).tree) != nil
        }
        return try last.flatMap { try compile($0, [RepositoryPath.deployments(in: environment)]) }
    }

    // MARK: Compiling

    /// - Parameter gateway: Where it runs; nil where there is none.
    private static func item(_ agent: AgentID, _ resolved: ResolvedDeployment?, _ gateway: String?) throws
        -> DesiredAgent
    {
        guard let resolved, let texts = resolved.loaded.texts else {
            return DesiredAgent(agent: agent, compiled: nil)
        }
        return try item(resolved, texts, gateway)
    }

    private static func item(_ resolved: ResolvedDeployment, _ texts: AgentTexts, _ gateway: String?) throws
        -> DesiredAgent
    {
        let compiled = Compiler.compile(resolved, texts)
        return DesiredAgent(
            agent: resolved.agent,
            compiled: compiled,
            rollout: resolved.deployment.rollout ?? resolved.settings.rollout ?? .immediate,
            declaredOnly: DeclaredOnly.names(resolved.deployment, try compiled.bundle, hasGateway: gateway != nil)
        )
    }

    private func cycles(_ compiler: EnvironmentCompiler, _ items: [DesiredAgent]) throws -> [Finding] {
        let delegating = items.filter { $0.compiled?.delegates.isEmpty == false }.map(\.agent)
        return delegating.isEmpty ? [] : try compiler.cycles(from: delegating)
    }

    private struct Compiled: Sendable {
        var items: [DesiredAgent] = []
        var findings: [Finding] = []
        var graph = DelegationGraph()
        var uses: [AgentID: [String]] = [:]
    }

    /// Compiles every agent of the environment, teams shared out among threads.
    private func compileAll(_ desired: Desired, teams: [String]) throws -> Compiled {
        let threads = teams.count >= 8 ? min(Parallel.cores, 8) : 1
        let (environment, today, snapshots) = (environment, today, desired.snapshots)
        let gateway = site.settings.gateway(environment)
        let budget = WalkBudget()
        let shelf = DiskShelf(site)
        let parts = try Parallel.map(threads) { index -> Compiled in
            var part = Compiled()
            let fleet = Fleet(snapshot: try snapshots(), today: today, budget: budget)
            let compiler = EnvironmentCompiler(fleet: fleet, environment: environment)
            for (number, team) in teams.enumerated() where number % threads == index {
                for agent in try compiler.agents(of: team) {
                    guard let resolved = try compiler.resolve(agent),
                        let texts = resolved.loaded.texts
                    else { continue }
                    part.graph.add(agent, resolved.manifest, path: resolved.loaded.path)
                    var item = try Self.item(resolved, texts, gateway)
                    item.compiled = try item.compiled.map(shelf.keep)
                    part.items.append(item)
                    part.uses[agent] = resolved.uses
                }
            }
            part.findings = fleet.findings
            return part
        }
        var all = Compiled()
        for part in parts {
            all.items += part.items
            all.findings += part.findings
            all.graph.merge(part.graph)
            all.uses.merge(part.uses) { first, _ in first }
        }
        all.findings += all.graph.cycles(in: environment)
        return all
    }
}

extension Rollout {
    fileprivate var countsMoney: Bool {
        guard case .canary(let canary) = self else { return false }
        return canary.analysis?.metrics.contains { $0.name == "cost" } ?? false
    }

    fileprivate var asksPrometheus: Bool {
        guard case .canary(let canary) = self else { return false }
        return canary.analysis?.metrics.contains { $0.query != nil } ?? false
    }
}

extension KillRule {
    fileprivate var countsMoney: Bool { if case .spend = self { true } else { false } }
}
