import EnsignHost
import EnsignManifest
import EnsignModel

/// What is live of one agent, and of those that it may hand work to.
struct DevelopedState: Sendable, Hashable {
    var agents: [AgentID: CompiledBundle] = [:]
    var policy: GatewayPolicy?
}

/// Compiles one agent of a work tree, and those that it may hand work to, as far as they are deployed.
struct WorkTreeCompiler: Sendable {
    /// The work tree, or any folder with `fleet/` and `environments/`.
    let path: String
    let environment: String
    let agent: AgentID
    /// Instead of the deployed one; nil for that.
    let version: AgentVersion?
    /// What is read; nil for what is on disk.
    var snapshots: (@Sendable () throws -> any Snapshot)?

    /// What a work tree says now.
    struct Result {
        /// Nil where errors leave nothing to make live. Without the agent where it is not deployed.
        var state: DevelopedState?
        /// Sorted.
        var findings: [Finding]
        /// All agents that matter, deployed or not.
        var concerned: Set<AgentID>
        /// For showing lines.
        var fleet: Fleet
    }

    /// - Parameter before: What was live until now: limits and prices that cannot be read stay as they were.
    /// - Throws: When files cannot be read.
    func compile(before: GatewayPolicy?, today: CalendarDate) throws -> Result {
        let fleet = Fleet(snapshot: try snapshots?() ?? DirectorySnapshot(path: path), today: today)
        var result = Result(state: nil, findings: [], concerned: [agent], fleet: fleet)
        do {
            let state = try state(fleet, before: before, &result.concerned)
            let cycles = try EnvironmentCompiler(fleet: fleet, environment: environment).cycles(from: [agent])
            result.findings = Finding.unique(fleet.findings + cycles).filter { !isExpected($0) }.sorted()
            if !result.findings.contains(where: { $0.severity == .error }) { result.state = state }
        } catch let problem as FleetTooLarge {
            result.findings = [problem.finding]
        }
        return result
    }

    private func state(
        _ fleet: Fleet,
        before: GatewayPolicy?,
        _ concerned: inout Set<AgentID>
    ) throws -> DevelopedState {
        var state = DevelopedState()
        guard try fleet.environmentNames().contains(environment) else { return state }
        let compiler = EnvironmentCompiler(fleet: fleet, environment: environment)
        try compiler.checkFolder()
        var open = [agent]
        while let next = open.popLast() {
            guard let resolved = try compiler.resolve(next, as: next == agent ? version : nil),
                let texts = resolved.loaded.texts
            else { continue }
            let compiled = Compiler.compile(resolved, texts)
            state.agents[next] = compiled
            for delegate in compiled.delegates where concerned.insert(delegate).inserted {
                if try fleet.deploys(delegate, in: environment) { open.append(delegate) }
            }
        }
        // Reports no findings: what is wrong elsewhere does not stop this agent, as it stops no environment.
        let quiet = Fleet(snapshot: fleet.snapshot, today: fleet.today)
        state.policy = try quiet.policy(of: environment, besides: before)
        return state
    }

    /// Whoever names a version means it: it is not deployed here.
    private func isExpected(_ finding: Finding) -> Bool { version != nil && finding.code == "mutable-version" }
}
