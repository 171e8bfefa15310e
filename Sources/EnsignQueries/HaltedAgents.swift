import EnsignGit
package import EnsignHost
import EnsignLedger
import EnsignManifest
package import EnsignModel

/// Which agents are halted, and who says so.
package struct HaltedAgents {
    private let site: Site
    private let environment: String
    /// By agent; those that git or an operator halts.
    package let states: [AgentID: AgentState]
    /// What is halted as a whole.
    package let halts: FleetHalts
    private let tree: RecordedTree

    package init(_ site: Site, _ environment: String) throws {
        try self.init(
            site,
            environment,
            RecordedTree(repository: site.repository, tip: site.ledger(environment).checkedTip())
        )
    }

    init(_ site: Site, _ environment: String, _ tree: RecordedTree) throws {
        (self.site, self.environment, self.tree) = (site, environment, tree)
        var states: [AgentID: AgentState] = [:]
        for agent in try tree.remembered() {
            if let state = try tree.agent(agent)?.state, state.isHalted { states[agent] = state }
        }
        self.states = states
        halts = try tree.halts()
    }

    package func isLive(_ agent: AgentID) throws -> Bool { try tree.isLive(agent) }

    package func isHaltedByOperator(_ agent: AgentID) -> Bool { states[agent]?.halt != nil }

    /// Whether nothing of it is live: only its halt is remembered.
    package func isGone(_ agent: AgentID) -> Bool { states[agent]?.stable == nil }

    /// Agents that git halts, by themselves or with an operator; sorted.
    package func keptByGit(_ scope: HaltScope) -> [AgentID] {
        states.filter { scope.covers($0.key) && $0.value.haltedByGit }.keys.sorted()
    }

    /// Agents whose halt an operator can end; sorted.
    package func resumable(_ scope: HaltScope) -> [AgentID] {
        states.filter { scope.covers($0.key) && $0.value.halt != nil && !$0.value.haltedByGit }.keys.sorted()
    }

    /// Where git says it: `environments/prod/agents/support/desk.yaml:5:3: halted: true`.
    ///
    /// - Returns: nil where the newest commit does not: the stop of a commit that was refused holds until one is accepted.
    package func place(_ agent: AgentID) throws -> String? {
        let path = RepositoryPath.deployment(agent, in: environment)
        guard let commit = try site.desiredCommit() else { return nil }
        let tree = try site.repository.commit(commit).tree
        let fleet = Fleet(snapshot: GitSnapshot(site.repository, tree: tree), today: Timestamp(seconds: 0).date)
        guard try fleet.deployment(agent, in: environment)?.value?.halted == true,
            let file = try site.repository.entry(at: path, in: tree)
        else { return nil }
        let bytes = try site.repository.bytes(of: file.id, .blob)
        guard let position = ManifestLoader.positions(of: [["spec", "halted"]], in: bytes)[0] else { return path }
        return "\(path):\(position.line):\(position.column): halted: true"
    }
}

extension HaltScope {
    /// For people: `agents of 'support'`.
    package func text(_ environment: String) -> String {
        switch self {
        case .agent(let agent): "\(agent)"
        case .team(let team): "agents of '\(team)'"
        case .all: "agents in '\(environment)'"
        }
    }
}
