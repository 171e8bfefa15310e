import EnsignGit
package import EnsignLedger
package import EnsignManifest
package import EnsignModel
package import EnsignPlanner
import EnsignSystem

/// Reads what planning needs and calls the planner.
package struct PlanMaker {
    package let site: Site
    package let environment: String
    package let today: CalendarDate
    let now: Timestamp
    /// What an operator asks for along with the plan.
    package var request: OperatorRequest?
    /// By how many seconds the clock was set since rollouts were last looked at; nil when it was not.
    package var clockStep: Int64?
    /// What the analysis of a canary says.
    package var verdict: (AgentID, Candidate, CanaryProgress, Canary) throws -> CanaryVerdict = { _, _, _, canary in
        CanaryVerdict(canary.analysis == nil ? .notAnalysed : .noData)
    }

    package init(site: Site, environment: String, today: CalendarDate) {
        self.init(site: site, environment: environment, now: Timestamp(seconds: today.daysSince1970 * 86_400))
    }

    package init(site: Site, environment: String, now: Timestamp) {
        self.site = site
        self.environment = environment
        self.now = now
        today = now.date
    }

    /// A plan, or why there is none.
    package struct Outcome: Sendable {
        /// Nil when the findings hold an error.
        package var plan: Plan?
        package var findings: [Finding]
        package var settings: Environment?
        /// What the agents of the desired commit use, where that was found out anew.
        var uses: SharedUses?
    }

    /// What is desired.
    package struct Desired {
        package var source: PlanSource
        package var snapshots: @Sendable () throws -> any Snapshot
        /// Nil for a work tree.
        package var tree: ObjectID?

        package init(source: PlanSource, tree: ObjectID?, snapshots: @escaping @Sendable () throws -> any Snapshot) {
            self.source = source
            self.tree = tree
            self.snapshots = snapshots
        }
    }

    /// Plans from the recorded state to the desired one.
    ///
    /// - Parameters:
    ///   - incremental: Whether agents that no difference between the recorded and the desired commit can touch may be
    ///     taken as they are.
    package func plan(
        _ desired: Desired,
        tip: RecordedEntry?,
        incremental: Bool,
        allowPrune: Bool
    ) throws -> Outcome {
        let recorded = RecordedTree(repository: site.repository, tip: tip)
        let fleet = Fleet(snapshot: try desired.snapshots(), today: today)
        let affected = try affected(desired, tip, incremental, fleet)
        let compiler = EnvironmentCompiler(fleet: fleet, environment: environment)
        var items: [DesiredAgent] = []
        var findings: [Finding] = []
        var uses: SharedUses?
        let isDeclared = try fleet.environmentNames().contains(environment)
        switch affected {
        case .some(let agents, let shared):
            // What is remembered of an agent may concern it although nothing of it changed.
            let asked = request.map { [$0.agent] } ?? []
            var found: [AgentID: [String]] = [:]
            for agent in try agents.union(recorded.remembered()).union(asked).sorted() {
                let resolved = try compiler.resolve(agent)
                found[agent] = resolved?.uses
                items.append(Self.item(agent, resolved))
            }
            if !shared.isEmpty {
                try compiler.checkFolder()
                for case .team(let team) in shared where try compiler.deploys(team) { _ = try fleet.team(team) }
                uses = try self.uses(desired, compiler, found)
            }
            findings = fleet.findings + (try cycles(compiler, items))
        case .all where isDeclared:
            try compiler.checkFolder()
            let compiled = try compileAll(desired, teams: try compiler.teams())
            items = compiled.items
            uses = try self.uses(desired, compiler, compiled.uses)
            findings = fleet.findings + compiled.findings
            let declared = Set(items.map(\.agent))
            let known = Set(try recorded.agents() + recorded.remembered() + (request.map { [$0.agent] } ?? []))
            for agent in known where !declared.contains(agent) {
                items.append(DesiredAgent(agent: agent, compiled: nil))
            }
        case .all:
            // The environment is gone from the commit: everything in it would go, which the guard decides about.
            items = try recorded.agents().map { DesiredAgent(agent: $0, compiled: nil) }
        }
        let settings = isDeclared ? try fleet.environment(environment)?.value : nil
        findings = Self.unique(findings)
        guard !findings.contains(where: { $0.severity == .error }) else {
            return Outcome(plan: nil, findings: findings, settings: settings)
        }
        let index = StableIndex(ledger: site.ledger(environment), tip: tip, recorded: recorded)
        var plan = try Planner.plan(
            environment: environment,
            source: desired.source,
            entry: tip.map { PlanEntry(sequence: $0.entry.sequence, commit: $0.commit) },
            desired: items,
            recorded: RecordedFleet(
                live: recorded.live,
                agent: recorded.agent,
                bundle: recorded.bundle,
                history: index.history,
                earlier: index.earlier
            ),
            rules: PlanRules(
                prune: settings?.prune ?? true,
                maxPruneShare: settings?.maxPruneShare ?? 0.3,
                allowPrune: allowPrune
            ),
            context: try context(desired, settings, compiler)
        )
        plan.declaredOnly = settings?.declaredOnly ?? []
        plan.warnings = warnings(plan, items)
        plan.guards = try guards(desired, tip)
        if let accepted = tip?.acceptedSource, let commit = desired.source.commit {
            plan.historyRewritten = !((try? site.repository.isAncestor(accepted, of: commit)) ?? true)
        }
        return Outcome(plan: plan, findings: findings, settings: settings, uses: uses)
    }

    /// What an operator should know before a canary begins. Only where operators set things: nobody reconciles elsewhere.
    private func warnings(_ plan: Plan, _ items: [DesiredAgent]) -> [String] {
        let key = Settings.prometheusKey(environment)
        guard site.reconciles, site.settings.prometheus(environment) == nil else {
            return []
        }
        let starting = Set(plan.changes.filter { $0.state?.rollout != nil }.map(\.agent))
        let agents = items.filter { starting.contains($0.agent) && $0.rollout.asksPrometheus }.map(\.agent).sorted()
        guard let first = agents.first else { return [] }
        let who = agents.count == 1 ? "\(first)" : "\(first) and \(agents.count - 1) more"
        return ["\(key) is not set, and the analysis of \(who) asks Prometheus: no verdict, and the weight stays"]
    }

    private func context(
        _ desired: Desired,
        _ settings: Environment?,
        _ compiler: EnvironmentCompiler
    ) throws -> RolloutContext {
        var context = RolloutContext(now: now, clockStep: clockStep, request: request, verdict: verdict)
        if let commit = desired.source.commit {
            context.source = commit
            context.wanted = Timestamp(seconds: try site.repository.commit(commit).time)
        }
        if let settings { context.keepFor = settings.keepFor.seconds }
        context.concurrentRollouts = settings?.concurrentRollouts
        context.compile = { try compiler.compile($0, as: $1) }
        return context
    }

    // MARK: Compiling

    private static func item(_ agent: AgentID, _ resolved: ResolvedDeployment?) -> DesiredAgent {
        guard let resolved, let instructions = resolved.loaded.instructions else {
            return DesiredAgent(agent: agent, compiled: nil)
        }
        return item(resolved, instructions)
    }

    private static func item(_ resolved: ResolvedDeployment, _ instructions: String) -> DesiredAgent {
        DesiredAgent(
            agent: resolved.agent,
            compiled: Compiler.compile(resolved, instructions: instructions),
            rollout: resolved.deployment.rollout ?? resolved.settings.rollout ?? .immediate,
            declaredOnly: resolved.deployment.declaredOnly
        )
    }

    private func cycles(_ compiler: EnvironmentCompiler, _ items: [DesiredAgent]) throws -> [Finding] {
        let delegating = items.filter { $0.compiled?.bundle.delegates.isEmpty == false }.map(\.agent)
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
        let parts = try Parallel.map(threads) { index -> Compiled in
            var part = Compiled()
            let fleet = Fleet(snapshot: try snapshots(), today: today)
            let compiler = EnvironmentCompiler(fleet: fleet, environment: environment)
            for (number, team) in teams.enumerated() where number % threads == index {
                for agent in try compiler.agents(of: team) {
                    guard let resolved = try compiler.resolve(agent),
                        let instructions = resolved.loaded.instructions
                    else { continue }
                    part.graph.add(agent, resolved.manifest, path: resolved.loaded.path)
                    part.items.append(Self.item(resolved, instructions))
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

    /// Threads that share a role or a tool each find what is wrong with it.
    package static func unique(_ findings: [Finding]) -> [Finding] {
        var seen: Set<Finding> = []
        return findings.filter { seen.insert($0).inserted }.sorted()
    }
}

extension Deployment {
    /// What this Ensign accepts here and nothing enforces yet.
    fileprivate var declaredOnly: [String] {
        var names: [String] = []
        if costUSDPerDay != nil { names.append("limits.costUSDPerDay") }
        return names + (rollout?.declaredOnly ?? [])
    }
}

extension Environment {
    /// What this Ensign accepts here and nothing enforces yet.
    fileprivate var declaredOnly: [String] {
        var names: [String] = []
        if soak != nil { names.append("soak") }
        if costUSDPerDay != nil { names.append("limits.costUSDPerDay") }
        return names + (rollout?.declaredOnly ?? [])
    }
}

extension Rollout {
    /// Parts of an analysis that nothing reads yet.
    fileprivate var declaredOnly: [String] {
        guard case .canary(let canary) = self, let metrics = canary.analysis?.metrics else { return [] }
        return metrics.filter { $0.query != nil && $0.guarding != .off }.map { "guard of \($0.name)" }
    }

    fileprivate var asksPrometheus: Bool {
        guard case .canary(let canary) = self else { return false }
        return canary.analysis?.metrics.contains { $0.query != nil } ?? false
    }
}
