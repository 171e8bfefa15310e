package import EnsignModel

/// Compiles agents of one environment.
///
/// The files it reads define what concerns the environment: its own folder and what its deployments reach. Findings
/// elsewhere never get here.
package struct EnvironmentCompiler {
    package let fleet: Fleet
    package let environment: String
    private let checker: FleetChecker
    private let quiet = QuietFleet()

    package init(fleet: Fleet, environment: String) {
        self.fleet = fleet
        self.environment = environment
        checker = FleetChecker(fleet: fleet)
    }

    /// Checks the environment's own folder; the deployments are checked as they are compiled.
    package func checkFolder() throws { try checker.checkEnvironment(environment) }

    /// The teams that deploy something here, sorted.
    package func teams() throws -> [String] {
        try (fleet.folder(RepositoryPath.deployments(in: environment)) ?? [])
            .filter { $0.kind == .directory && Name.isValid($0.name) }.map(\.name).sorted()
    }

    /// Whether a team deploys something here.
    package func deploys(_ team: String) throws -> Bool {
        try fleet.folder(RepositoryPath.deployments(of: team, in: environment)) != nil
    }

    /// The agents that a team deploys here, its folder checked, sorted.
    package func agents(of team: String) throws -> [AgentID] {
        try checker.deployments(of: team, in: environment).map { AgentID(team: team, name: $0) }.sorted()
    }

    /// Resolves one deployment; nil when there is none, or when findings say why it cannot be.
    ///
    /// - Parameter other: A version to deploy instead of the file's.
    package func resolve(_ agent: AgentID, as other: AgentVersion? = nil) throws -> ResolvedDeployment? {
        let resolver = DeploymentResolver(fleet: fleet, environment: environment, agent: agent)
        return try resolver.resolve(as: other) { version in
            guard let loaded = try fleet.agent(agent, version) else { return nil }
            try checker.checkTeam(agent.team, at: .start, in: loaded.path)
            try checker.check(loaded)
            return loaded
        }
    }

    /// Compiles one deployment; nil when there is none, or when findings say why it cannot be.
    package func compile(_ agent: AgentID) throws -> (bundle: CompiledBundle, manifest: Agent, path: String)? {
        guard let resolved = try resolve(agent), let texts = resolved.loaded.texts else { return nil }
        return (Compiler.compile(resolved, texts), resolved.manifest, resolved.loaded.path)
    }

    /// Compiles another version of an agent under the permissions of its deployment. Reports no findings: nil when
    /// there are errors. Delegates that are no longer deployed are left out.
    ///
    /// - Parameter isLive: Whether an agent takes work all the same, though it is no longer deployed.
    package func compile(_ agent: AgentID, as version: AgentVersion, isLive: (AgentID) throws -> Bool) throws
        -> CompiledBundle?
    {
        let quiet = self.quiet.take(like: fleet)
        let resolved = try DeploymentResolver(fleet: quiet, environment: environment, agent: agent)
            .resolve(as: version) { try quiet.agent(agent, $0) }
        let obstacles = quiet.findings.filter { $0.severity == .error && $0.code != "delegate-not-deployed" }
        guard obstacles.isEmpty else { return nil }
        self.quiet.giveBack(quiet)
        guard let resolved, let texts = resolved.loaded.texts else { return nil }
        let compiled = Compiler.compile(resolved, texts)
        let delegates = try compiled.delegates.filter { delegate in
            try fleet.deploys(delegate, in: environment) || isLive(delegate)
        }
        guard delegates != compiled.delegates else { return compiled }
        var bundle = try compiled.bundle
        bundle.delegates = delegates
        return Compiler.seal(bundle, halted: compiled.halted)
    }

    /// Cycles of delegation that some of these agents take part in, their delegates followed through the environment.
    package func cycles(from agents: [AgentID]) throws -> [Finding] {
        var graph = DelegationGraph()
        var seen = Set(agents)
        var open = agents
        while let agent = open.popLast() {
            // Reports no findings: those about an unchanged agent were reported when it changed.
            let quiet = Fleet(snapshot: fleet.snapshot, today: fleet.today)
            guard let version = try quiet.deployment(agent, in: environment)?.value?.version?.value,
                let loaded = try quiet.agent(agent, version), let manifest = loaded.value
            else { continue }
            graph.add(agent, manifest, path: loaded.path)
            for delegate in manifest.delegates where seen.insert(delegate.value).inserted {
                open.append(delegate.value)
            }
        }
        return graph.cycles(in: environment)
    }
}

/// A fleet whose findings nobody sees, for one compilation after the other: roles and tools are read once for all of them.
private final class QuietFleet {
    private var fleet: Fleet?
    private var uses = 0
    /// What it remembers of folders stays bounded.
    private static let mostUses = 500

    func take(like other: Fleet) -> Fleet {
        defer { fleet = nil }
        return fleet ?? Fleet(snapshot: other.snapshot, today: other.today)
    }

    /// - Parameter used: One without an error that matters: what it remembers is sound.
    func giveBack(_ used: Fleet) {
        uses += 1
        guard uses % Self.mostUses != 0 else { return }
        used.forgetFindings()
        fleet = used
    }
}
