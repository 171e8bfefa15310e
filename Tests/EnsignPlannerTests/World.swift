import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignTestSupport

extension RolloutContext {
    /// A moment at which nothing but the time matters.
    static func at(_ seconds: Int64) -> RolloutContext {
        RolloutContext(
            now: Timestamp(seconds: seconds),
            compile: { _, _ in nil },
            restrict: { Compiler.restrict($0, to: $1) }
        )
    }
}

/// An environment's recorded state, to which plans can be applied.
struct World {
    private(set) var recorded: [AgentID: RecordedAgent] = [:]
    private(set) var bundles: [Digest: Bundle] = [:]
    /// The digests that each agent had, in the order in which it first had them.
    private var history: [AgentID: [Digest]] = [:]
    /// When a digest was last replaced as the stable one, and whether that was going back.
    private var replaced: [Digest: (at: Timestamp, wasTakenBack: Bool)] = [:]
    var halts = FleetHalts()

    var live: Int64 { Int64(recorded.count) }

    mutating func apply(_ plan: Plan, at now: Timestamp = Timestamp(seconds: 1_800_000_000)) {
        if let halts = plan.halts { self.halts = halts }
        for planned in plan.changes {
            for bundle in planned.bundles { bundles[bundle.digest] = try? bundle.bundle }
            guard planned.route != nil || planned.state != nil else {
                recorded[planned.agent] = nil
                continue
            }
            let after = RecordedAgent(route: planned.route, state: planned.state)
            if let was = recorded[planned.agent]?.stable?.digest, was != after.stable?.digest {
                replaced[was] = (now, planned.all.contains { $0.action == .rollback && $0.from?.digest == was })
            }
            recorded[planned.agent] = after
            if let stable = after.stable?.digest, history[planned.agent]?.contains(stable) != true {
                history[planned.agent, default: []].append(stable)
            }
        }
    }

    /// Plans these agents, and the removal of all others.
    func plan(
        _ desired: [CompiledBundle],
        prune: Bool = true,
        share: Double = 1,
        allowPrune: Bool = true,
        rollout: Rollout = .immediate,
        wanted: [AgentID: (rollout: Rollout?, time: Timestamp)] = [:],
        context: RolloutContext = .at(1_800_000_000),
        order: ([DesiredAgent]) -> [DesiredAgent] = { $0 }
    ) throws -> Plan {
        let declared = Set(desired.map(\.agent))
        let items =
            desired.map {
                let own = wanted[$0.agent]
                return DesiredAgent(
                    agent: $0.agent,
                    compiled: $0,
                    rollout: own?.rollout ?? rollout,
                    wanted: own?.time
                )
            }
            + recorded.keys.filter { !declared.contains($0) }.map { DesiredAgent(agent: $0, compiled: nil) }
        return try Planner.plan(
            environment: "prod",
            source: PlanSource(name: "main", commit: nil),
            entry: nil,
            desired: order(items),
            recorded: RecordedFleet(
                live: live,
                agent: { recorded[$0] },
                isLive: { recorded[$0]?.isLive == true },
                members: { team in recorded.filter { $0.key.team == team && $0.value.isLive }.keys.sorted() },
                bundle: { bundles[$0] },
                history: { agent, digest in
                    guard let history = history[agent], let wanted = history.firstIndex(of: digest),
                        let present = recorded[agent]?.stable.flatMap({ history.firstIndex(of: $0.digest) })
                    else { return nil }
                    let left = replaced[digest]
                    return StableHistory(
                        isEarlier: wanted < present,
                        stableUntil: left?.at ?? context.now,
                        wasTakenBack: left?.wasTakenBack ?? false
                    )
                },
                earlier: { agent in
                    let present = recorded[agent]?.stable?.digest
                    return (history[agent] ?? []).reversed().filter { $0 != present }
                },
                wasStable: { agent, digest in history[agent]?.contains(digest) == true },
                remembered: { recorded.filter { $0.value.state.isWorthKeeping }.keys.sorted() },
                halts: halts
            ),
            rules: PlanRules(prune: prune, maxPruneShare: share, allowPrune: allowPrune),
            context: context
        )
    }

    /// Replaces what is recorded by what its files say.
    mutating func reread() throws {
        for (id, agent) in recorded {
            let state = agent.state.isWorthKeeping ? AgentState(json: agent.state.json) : nil
            let route = agent.route.flatMap { Route(json: $0.json) }
            let again = RecordedAgent(route: route, state: state)
            guard again == agent else { throw Different(agent: id) }
            recorded[id] = again
        }
    }

    struct Different: Error { var agent: AgentID }

    /// The world after what was planned for these agents.
    func with(_ desired: [CompiledBundle]) throws -> World {
        var world = self
        world.apply(try plan(desired))
        return world
    }
}

extension Plan {
    /// The changes as lines: `create support/triage 1.0.0 widening`.
    var shown: [String] {
        changes.flatMap { planned in
            planned.all.map { change in
                let sides = [change.from, change.to].compactMap { $0?.version.description }.joined(separator: " -> ")
                return "\(change.action.rawValue) \(planned.agent) \(sides) \(change.kind.rawValue)"
            }
        }
    }
}
