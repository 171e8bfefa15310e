import EnsignHost
package import EnsignJudge
import EnsignLedger
package import EnsignManifest
package import EnsignModel
import EnsignPlanner
import EnsignPolicy

/// The canaries of an environment and what telemetry says of them.
package struct CanaryEvidence {
    private var canaries: [AgentID: WatchedCanary] = [:]
    private var analyst: CanaryAnalyst?
    /// Why Prometheus cannot be asked; nil when it can.
    private let obstacle: String?
    /// Why what was counted could not be written down; nil when it was.
    var unkept: (any Error)?

    /// Finds the canaries that are under way and have an analysis.
    ///
    /// - Parameter fleet: The desired one: how a rollout is judged is what git says now.
    init(_ recorded: RecordedTree, _ environment: String, _ fleet: Fleet, _ site: Site) throws {
        let key = Settings.prometheusKey(environment)
        obstacle =
            site.reconciles && site.settings.prometheus(environment) == nil
            ? "\(key) is not set: git config \(key) URL" : nil
        for agent in try recorded.remembered() {
            guard let state = try recorded.agent(agent)?.state, state.canary != nil,
                case .canary(let canary) = try Self.rollout(agent, environment, fleet),
                var watched = WatchedCanary(agent, state, canary)
            else { continue }
            watched.candidateOperations = Self.operations(of: watched.candidate, recorded)
            watched.stableOperations = Self.operations(of: watched.stable, recorded)
            canaries[agent] = watched
        }
    }

    /// How many operations a bundle grants; nil when it cannot be read.
    private static func operations(of digest: Digest, _ recorded: RecordedTree) -> Int? {
        (try? recorded.bundle(digest)).flatMap { $0 }.map { ToolNames($0).count }
    }

    /// How an agent takes over: the deployment's own rollout, else the environment's.
    package static func rollout(_ agent: AgentID, _ environment: String, _ fleet: Fleet) throws -> Rollout? {
        let own = try fleet.deployment(agent, in: environment)?.value?.rollout
        return try own ?? fleet.environment(environment)?.value?.rollout
    }

    private var watched: [WatchedCanary] { canaries.values.sorted { $0.agent < $1.agent } }

    /// Judges the samples that came since the last run. They and the judge's state are kept together.
    ///
    /// - Throws: ``SystemError`` when they could not be kept; the verdicts are there all the same.
    mutating func take(from store: EvidenceStore, _ answers: [SeriesAnswer]) throws {
        let (watched, obstacle) = (watched, obstacle)
        var result: CanaryAnalyst?
        defer { analyst = result }
        let alone = watched.filter { $0.stage == .alone }.map(\.agent)
        let records = store.traffic.map { traffic in
            Dictionary(alone.map { ($0, traffic($0)) }) { first, _ in first }.compactMapValues { $0 }
        }
        try store.update { samples, store in
            var analyst = CanaryAnalyst(json: store, canaries: watched)
            if let records { analyst.remember { records[$0] } }
            analyst.take(samples)
            for answer in answers { analyst.take(answer) }
            if let obstacle { analyst.cannotRead(watched, because: obstacle) }
            store = watched.isEmpty ? .null : analyst.json
            result = analyst
        }
    }

    /// Reads what the last run kept, for looking at it.
    mutating func read(_ state: JSONValue?) {
        var analyst = CanaryAnalyst(json: state, canaries: watched)
        if let obstacle { analyst.cannotRead(watched, because: obstacle) }
        self.analyst = analyst
    }

    /// What is still to be asked of Prometheus, and when there is more.
    func open(now: Moment) -> (requests: [SeriesRequest], due: Moment?) {
        guard let analyst else { return ([], nil) }
        return (analyst.requests(watched, now: now), analyst.due(watched))
    }

    /// The canary of an agent that is watched; nil when there is none, or nothing judges it.
    func watched(_ agent: AgentID) -> WatchedCanary? { canaries[agent] }

    /// - Parameter canary: The rollout as the planner has it.
    package func verdict(_ agent: AgentID, _ canary: Canary) -> CanaryVerdict {
        guard canary.analysis != nil else { return CanaryVerdict(.notAnalysed) }
        guard let analyst, let watched = canaries[agent] else { return CanaryVerdict(.noData) }
        return analyst.verdict(watched)
    }
}
