package import EnsignManifest
package import EnsignModel
import EnsignSystem

/// A fleet's findings.
package struct FleetValidation: Sendable {
    package var findings: [Finding]
    package var counts: FleetChecker.Counts

    package init(findings: [Finding], counts: FleetChecker.Counts) {
        self.findings = findings
        self.counts = counts
    }

    package var errors: Int { findings.count { $0.severity == .error } }
    package var warnings: Int { findings.count - errors }

    /// Refuses secrets in released versions that are new: what the branch has already no push can take away.
    ///
    /// - Parameter branch: What the branch has; nil for nothing.
    package func refusingSecrets(newSince branch: (any Snapshot)?, today: CalendarDate) throws -> FleetValidation {
        guard findings.contains(where: \.isSecretInRelease) else { return self }
        let fleet = branch.map { Fleet(snapshot: $0, today: today) }
        var result = self
        for index in findings.indices where findings[index].isSecretInRelease {
            if try fleet?.has(findings[index].path) != true { result.findings[index].severity = .error }
        }
        return result
    }

    /// Checks a whole fleet, its teams shared out among threads.
    package static func run(
        _ snapshots: @escaping @Sendable () throws -> any Snapshot,
        today: CalendarDate
    ) throws -> FleetValidation {
        do { return try all(snapshots, today: today) } catch let problem as FleetTooLarge {
            return FleetValidation(findings: [problem.finding], counts: FleetChecker.Counts())
        }
    }

    private static func all(
        _ snapshots: @escaping @Sendable () throws -> any Snapshot,
        today: CalendarDate
    ) throws -> FleetValidation {
        let budget = WalkBudget()
        let teams = try FleetChecker.teams(Fleet(snapshot: try snapshots(), today: today, budget: budget))
        let threads = teams.count >= 8 ? min(Parallel.cores, 8) : 1
        struct Part: Sendable {
            var findings: [Finding]
            var counts: FleetChecker.Counts
            var delegations: [String: DelegationGraph]
        }
        let parts = try Parallel.map(threads) { index -> Part in
            var checker = FleetChecker(fleet: Fleet(snapshot: try snapshots(), today: today, budget: budget))
            if index == 0 { try checker.checkShared() }
            for (number, team) in teams.enumerated() where number % threads == index { try checker.checkTeam(team) }
            return Part(findings: checker.findings, counts: checker.counts, delegations: checker.delegations)
        }
        var counts = FleetChecker.Counts()
        var graphs: [String: DelegationGraph] = [:]
        for part in parts {
            counts += part.counts
            for (environment, graph) in part.delegations {
                graphs[environment, default: DelegationGraph()].merge(graph)
            }
        }
        let cycles = graphs.sorted { $0.key < $1.key }.flatMap { $0.value.cycles(in: $0.key) }
        return FleetValidation(findings: Finding.unique(parts.flatMap(\.findings) + cycles), counts: counts)
    }

    /// Checks some agents of a fleet whose other parts are known to be valid.
    ///
    /// - Parameter shared: Whether to check what is shared, too: teams, roles, tools.
    package static func run(
        _ snapshot: any Snapshot,
        agents: Set<AgentID>,
        shared: Bool = false,
        today: CalendarDate
    ) throws -> FleetValidation {
        let fleet = Fleet(snapshot: snapshot, today: today)
        var checker = FleetChecker(fleet: fleet)
        if shared { try checker.checkShared() }
        for (team, members) in Dictionary(grouping: agents, by: \.team).sorted(by: { $0.key < $1.key }) {
            try checker.checkTeam(team, only: Set(members.map(\.name)))
        }
        var findings = checker.findings
        for (environment, graph) in checker.delegations.sorted(by: { $0.key < $1.key }) {
            findings += try EnvironmentCompiler(fleet: fleet, environment: environment).cycles(from: graph.agents)
        }
        return FleetValidation(findings: Finding.unique(findings), counts: checker.counts)
    }
}
