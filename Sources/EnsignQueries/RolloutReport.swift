import EnsignGit
package import EnsignHost
package import EnsignJudge
import EnsignLedger
import EnsignManifest
package import EnsignModel
package import EnsignPlanner
package import EnsignReconciler

/// The state of an environment's rollouts, for people: recorded state, what git wants, and why anything waits.
package struct RolloutReport: Sendable {
    package var environment: String
    package var now: Timestamp
    /// Whether this clone reads the telemetry. Elsewhere verdicts are not known.
    package var isHost: Bool
    /// Why what is desired is not applied, in a sentence; nil when it is.
    package var obstacle: String?
    /// Agents with a rollout, a halt or a quarantine, and agents that wait; the one agent that is asked about in any case.
    /// Sorted.
    package var rows: [Row]
    /// Nil where something watches the canaries, or there are none.
    package var waiting: WaitingCanary?
    /// That samples of the environment's canaries were lost, in a sentence; nil when none were.
    package var dropped: String?

    /// One agent.
    package struct Row: Sendable {
        package var agent: AgentID
        package var state: AgentState
        /// The rollout as the manifests have it now; nil when git no longer declares the agent.
        package var canary: Canary?
        /// What git asks for, if that is something else than the stable version.
        package var wanted: Change.Side?
        package var held: HeldReason?
        /// What holds it, in words; nil where the reason says it all.
        package var because: String?
        /// Nil without a canary, and where it is not known.
        package var verdict: CanaryVerdict?
        /// Why it is still here though git no longer declares it: who hands work to it; nil otherwise.
        package var leaving: String?
        /// Drifts of the stable version that are on record.
        package var drifts: [BehaviourRecord.Drift] = []
        /// What the guard of the stable version says, a sentence for each metric.
        package var guards: [String] = []
        /// Since when sessions have had the stable version; nil where it was not asked for.
        package var stableSince: Timestamp?
    }

    /// Reads what is recorded and plans, without changing anything.
    ///
    /// - Parameters:
    ///   - agent: One agent; nil for all that have something to report.
    ///   - version: This Ensign's own.
    package static func make(_ site: Site, _ environment: String, agent: AgentID?, version: String) throws
        -> RolloutReport
    {
        let situation = try Situation.look(site, environment, version: version)
        var report = RolloutReport(environment: environment, now: situation.now, isHost: site.reconciles, rows: [])
        let desired = try site.desiredCommit().map { try Desired(site, $0, name: site.settings.branch) }
        let decision = try situation.decide(desired)
        let (tip, plan) = (situation.tip, decision.plan)
        report.obstacle = decision.obstacle?.sentence(site.settings.desiredRef, decision.findings)
        let recorded = RecordedTree(repository: site.repository, tip: tip)
        let fleet = try decision.goesBy.map { commit in
            Fleet(snapshot: try Desired(site, commit, name: "").snapshots(), today: situation.today)
        }
        let evidence = decision.evidence
        let kept = try EvidenceStore.kept(site, environment)
        let held = Dictionary((plan?.held ?? []).map { ($0.agent, $0) }) { first, _ in first }
        let leaving = Dictionary((plan?.leaving ?? []).map { ($0.agent, $0.sentence) }) { first, _ in first }
        let drifts = Dictionary(
            grouping: try tip.map { try BehaviourRecord.load(site, environment, tip: $0).drifts } ?? [],
            by: \.agent
        )
        var agents = Set(try recorded.remembered()).union(held.keys).union(drifts.keys.compactMap { $0 })
        if let agent, kept?.guards.explanations(agent).isEmpty == false { agents.insert(agent) }
        if let agent { agents = try agents.contains(agent) || recorded.isLive(agent) ? [agent] : [] }
        for agent in agents.sorted() {
            guard let known = try recorded.agent(agent) else { continue }
            var canary: Canary?
            if let fleet, case .canary(let found) = try CanaryEvidence.rollout(agent, environment, fleet) {
                canary = found
            }
            report.rows.append(
                Row(
                    agent: agent,
                    state: known.state,
                    canary: canary,
                    wanted: known.state.rollout?.candidate.side ?? held[agent]?.wanted,
                    held: held[agent]?.reason,
                    because: held[agent]?.because,
                    verdict: known.state.canary == nil ? nil : canary.flatMap { evidence?.verdict(agent, $0) },
                    leaving: leaving[agent],
                    drifts: drifts[agent] ?? [],
                    guards: kept?.guards.explanations(agent) ?? []
                )
            )
        }
        if let agent, !report.rows.isEmpty {
            let times = StableIndex(ledger: site.ledger(environment), tip: tip, recorded: recorded)
            report.rows[0].stableSince = try times.since(agent)
        }
        report.dropped = kept?.dropped
        report.waiting = WaitingCanary(
            hasTrials: report.rows.contains { $0.state.trial != nil },
            environment,
            site,
            now: situation.now
        )
        return report
    }
}

extension RolloutReport.Row {
    /// What the agent is in, in one word.
    package var phase: String {
        if state.isHalted { return "halted" }
        switch state.rollout {
        case .soaking: return held == .quarantined ? "quarantined" : "soaking"
        case .queued: return held == .paused ? "paused" : "queued"
        case .canary(_, let progress): return progress.pause == nil ? "canary" : "paused"
        case nil where state.leaving != nil: return "leaving"
        case nil: return held == nil ? "stable" : held?.rawValue ?? "stable"
        }
    }

    /// When the present hold ends; nil without a canary, and where git no longer declares it.
    package var holdEnds: Timestamp? {
        guard let (_, progress) = state.canary else { return nil }
        return canary.flatMap { progress.holdEnds($0) }
    }
}

extension RolloutReport.Row {
    /// Why nothing moves, and what a person can do about it; nil when there is nothing to wait for.
    package func waitsFor(isHost: Bool) -> String? {
        if let leaving { return "other agents, before it is removed: \(leaving)" }
        if case .soaking(_, let soak)? = state.rollout, held != .quarantined {
            let why = because ?? soak.why
            return why.hasPrefix("soak ") ? "its \(why)" : "its soak: \(why)"
        }
        if let held { return held.waitsFor(isHost: isHost, silence: verdict?.report?.silent) }
        if state.canary != nil { return "the end of the hold" }
        if state.pause != nil { return "nothing; its next canary begins paused: 'ensign rollout resume'" }
        return drifts.isEmpty ? nothing : "a person: its behaviour drifted"
    }

    /// Why an agent is named that waits for nothing.
    private var nothing: String? {
        guard !state.quarantine.isEmpty else { return nil }
        return "nothing; quarantined: \(state.quarantine.map(\.version.description).joined(separator: ", "))"
    }
}

extension Decision.Obstacle {
    /// In a sentence without a full stop.
    fileprivate func sentence(_ ref: String, _ findings: [Finding]) -> String {
        switch self {
        case .invalid:
            let errors = findings.filter { $0.severity == .error }
            let first = errors.first.map { "; \($0.path):\($0.position.line): \($0.message)" } ?? ""
            return "what \(ref) asks for is invalid: \(counted(errors.count, "error"))\(first)"
        case .refused(_, let refusal): return "what \(ref) asks for is refused: \(refusal.message)"
        case .missing: return "there is no \(ref)"
        case .unreadable(let error): return "\(ref) cannot be read: \(error)"
        }
    }
}

extension AgentState {
    /// What the agent is in, in one word, by what is recorded alone.
    package func phase(of agent: AgentID) -> String { RolloutReport.Row(agent: agent, state: self).phase }
}

extension RolloutReport {
    package var json: JSONValue {
        [
            "v": 1, "environment": .string(environment), "time": .string(now.description),
            "canaryWaiting": waiting?.json ?? .null, "dropped": dropped.map { .string($0) } ?? .null,
            "rollouts": .array(
                rows.map { row in
                    [
                        "agent": .string(row.agent.description), "phase": .string(row.phase), "state": row.state.json,
                        "wanted": row.wanted?.json ?? .null, "held": row.held.map { .string($0.rawValue) } ?? .null,
                        "leaving": row.leaving.map { .string($0) } ?? .null,
                        "holdEnds": row.holdEnds.map { .string($0.description) } ?? .null,
                        "verdict": row.verdict.map {
                            [
                                "outcome": .string($0.outcome.rawValue), "analysis": $0.report?.json ?? .null,
                                "notes": .array($0.notes.map { .string($0) }),
                            ]
                        } ?? .null,
                        "stableSince": row.stableSince.map { .string($0.description) } ?? .null,
                        "behaviour": .array(row.drifts.map(\.json)), "guard": .array(row.guards.map { .string($0) }),
                    ]
                }
            ),
        ]
    }
}
