import EnsignJSON
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignSystem

/// The canaries of an environment and what telemetry says of them.
struct CanaryEvidence {
    private var canaries: [AgentID: WatchedCanary] = [:]
    private var analyst: CanaryAnalyst?

    /// Finds the canaries that are under way and have an analysis.
    ///
    /// - Parameter fleet: The desired one: how a rollout is judged is what git says now.
    init(_ recorded: RecordedTree, _ environment: String, _ fleet: Fleet) throws {
        for agent in try recorded.remembered() {
            guard let state = try recorded.agent(agent)?.state, state.canary != nil,
                case .canary(let canary) = try Self.rollout(agent, environment, fleet),
                let watched = WatchedCanary(agent, state, canary)
            else { continue }
            canaries[agent] = watched
        }
    }

    /// How an agent takes over: the deployment's own rollout, else the environment's.
    static func rollout(_ agent: AgentID, _ environment: String, _ fleet: Fleet) throws -> Rollout? {
        let own = try fleet.deployment(agent, in: environment)?.value?.rollout
        return try own ?? fleet.environment(environment)?.value?.rollout
    }

    /// Judges the samples that came since the last run. They and the judge's state are checkpointed together.
    mutating func take(from telemetry: TelemetryPipeline) {
        let watched = canaries.values.sorted { $0.agent < $1.agent }
        analyst = telemetry.consume { samples, store in
            var analyst = CanaryAnalyst(json: store, canaries: watched)
            analyst.take(samples)
            store = watched.isEmpty ? .null : analyst.json
            return analyst
        }
    }

    /// Reads what the last run wrote down, for looking at it.
    mutating func read(_ path: String) throws {
        guard let bytes = try Files.readOwn(path, limit: 1 << 28), let json = try? JSONParser.parse(bytes) else {
            return
        }
        analyst = CanaryAnalyst(json: json["consumer"], canaries: canaries.values.sorted { $0.agent < $1.agent })
    }

    /// - Parameter canary: The rollout as the planner has it.
    func verdict(_ agent: AgentID, _ canary: Canary) -> CanaryVerdict {
        guard canary.analysis != nil else { return CanaryVerdict(.notAnalysed) }
        guard let analyst, let watched = canaries[agent] else { return CanaryVerdict(.noData) }
        return analyst.verdict(watched)
    }
}
