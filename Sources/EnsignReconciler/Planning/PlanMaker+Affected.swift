import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel

extension PlanMaker {
    /// Which agents must be compiled: those that a difference between what is live and the desired commit can touch.
    func affected(_ desired: Desired, _ fleet: Fleet) throws -> AffectedAgents {
        guard let tree = desired.tree, let tip = situation.tip, try situation.isIncremental(),
            let base = try settled(tip) ?? tip.acceptedSource,
            site.repository.contains(base)
        else { return .all }
        let old = try site.repository.commit(base).tree
        let found = try AffectedAgents.between(old, tree, environment: environment, repository: site.repository)
        guard case .some(let agents, let shared) = found, !shared.isEmpty else { return found }
        let users = try users(of: shared, old, fleet)
        // Most of them: together they are compiled in parallel.
        if users.count > 500, Int64(users.count) * 2 > tip.agents { return .all }
        return .some(agents.union(users), shared: shared)
    }

    /// The newest commit that was found to need nothing beyond this entry: nearer than the one that the entry accepted,
    /// when commits since have changed nothing here.
    private func settled(_ tip: RecordedEntry) throws -> ObjectID? {
        guard let known = try StateFile<SettledCommit>(site.files, environment).read(), known.entry == tip.commit,
            known.version == tip.entry.actor.version, site.repository.contains(known.desired)
        else { return nil }
        return known.desired
    }

    /// The agents that used shared parts in the commit that is live. Those that use them only since are in the difference.
    private func users(of shared: Set<SharedPart>, _ old: ObjectID, _ fleet: Fleet) throws -> Set<AgentID> {
        var words = Set(shared.map(\.word))
        // A role that grants a tool is checked against it, whether or not the agent needs that.
        for name in try fleet.names(in: "roles", files: true) {
            let grants = try Fleet(snapshot: fleet.snapshot, today: today).role(name)?.value?.grants ?? []
            if grants.contains(where: { words.contains(SharedPart.tool($0.tool.value).word) }) {
                words.insert(SharedPart.role(name).word)
            }
        }
        words.subtract(shared.compactMap { if case .team = $0 { $0.word } else { nil } })
        guard !words.isEmpty else { return [] }
        let known = StateFile<SharedUses>(site.files, environment).known() ?? SharedUses()
        var users: Set<AgentID> = []
        let before = EnvironmentCompiler(
            fleet: Fleet(snapshot: GitSnapshot(site.repository, tree: old), today: today),
            environment: environment
        )
        for team in try before.teams() {
            let key = try SharedUses.key(team, environment, tree: old, site.repository)
            users.formUnion(try known.users(of: words, team: team, key: key) ?? before.agents(of: team))
        }
        return users
    }

    /// What the desired commit's agents use: what was found now, and what is known of folders that did not change.
    ///
    /// - Parameter found: Of the agents that were compiled.
    func uses(_ desired: Desired, _ compiler: EnvironmentCompiler, _ found: [AgentID: [String]]) throws -> SharedUses? {
        guard let tree = desired.tree else { return nil }
        let known = StateFile<SharedUses>(site.files, environment).known() ?? SharedUses()
        let compiled = Dictionary(grouping: found, by: \.key.team)
        var result = SharedUses()
        // Read quietly: the folders were checked, as far as they changed.
        let compiler = EnvironmentCompiler(
            fleet: Fleet(snapshot: compiler.fleet.snapshot, today: today),
            environment: environment
        )
        for team in try compiler.teams() {
            let key = try SharedUses.key(team, environment, tree: tree, site.repository)
            if compiled[team] == nil, known.holds(team, key: key) {
                result.take(team, from: known)
                continue
            }
            var agents = known.agents(of: team, key: key) ?? [:]
            for (agent, uses) in compiled[team] ?? [] { agents[agent.name] = uses }
            // All of a team or nothing of it.
            guard try compiler.agents(of: team).allSatisfy({ agents[$0.name] != nil }) else { continue }
            result.set(team, key: key, agents)
        }
        return result
    }
}
