import EnsignGit
package import EnsignHost
package import EnsignJudge
import EnsignLedger
package import EnsignModel
import EnsignPlanner
import EnsignReconciler

/// What decides about an agent's canary, and what has decided before.
package struct EvidenceReport: Sendable {
    package var environment: String
    package var agent: AgentID
    package var now: Timestamp
    /// Whether this clone counts. A developer's has the ledger alone.
    package var isHost: Bool
    /// Whether anything is known of the agent here.
    package var isKnown: Bool
    /// The canary that is under way; nil when there is none.
    package var canary: Trial?
    /// A candidate that waits for its turn: nothing is measured yet.
    package var queued: Change.Side?
    /// How much of the environment's telemetry was rejected, of all agents, by reason; nil where that is not known.
    package var rejections: [(reason: String, count: Int64)]?
    /// That samples of the environment's canaries were lost, in a sentence; nil when none were.
    package var dropped: String?
    /// That costs are those of the bundles' own models, in a sentence; nil when none are.
    package var priced: String?
    /// Newest first.
    package var history: [Decision]

    /// A candidate against the stable version.
    package struct Trial: Sendable {
        package var candidate: Change.Side
        package var stable: Change.Side
        package var weight: Int64
        package var since: Timestamp
        package var holdEnds: Timestamp?
        package var deadline: Timestamp?
        /// Nil where it is not known: elsewhere than on the host, and for what git no longer declares.
        package var verdict: CanaryVerdict?
    }

    /// What an entry of the ledger decided about the agent.
    package struct Decision: Sendable {
        package var sequence: Int64
        package var commit: ObjectID
        package var time: Timestamp
        /// A promotion or rollback; a quarantine on its own.
        package var change: Change
        /// Whether the entry also quarantines the version that it leaves.
        package var quarantines: Bool

        package var verdict: Verdict? { change.evidence?.verdict }
        package var reason: String? { change.evidence?.reason }
        package var analysis: JudgeReport? { change.evidence?.analysis }
    }

    /// Reads what is recorded and what was counted, without changing anything.
    ///
    /// - Parameter limit: The most decisions, the newest.
    package static func make(
        _ site: Site,
        _ environment: String,
        agent: AgentID,
        limit: Int,
        version: String,
        now: Timestamp
    ) throws -> EvidenceReport {
        let tip = try site.ledger(environment).checkedTip()
        let recorded = try RecordedTree(repository: site.repository, tip: tip).agent(agent)
        var report = EvidenceReport(
            environment: environment,
            agent: agent,
            now: now,
            isHost: site.reconciles,
            isKnown: recorded != nil,
            history: try tip.map { try history(site.ledger(environment), $0, agent, limit) } ?? []
        )
        if !report.history.isEmpty { report.isKnown = true }
        if case .queued(let candidate)? = recorded?.state.rollout { report.queued = candidate.side }
        if let (candidate, progress) = recorded?.state.canary, let stable = recorded?.stable {
            let row = try RolloutReport.make(site, environment, agent: agent, version: version).rows.first
            report.canary = Trial(
                candidate: candidate.side,
                stable: stable,
                weight: progress.weight,
                since: progress.evidenceSince,
                holdEnds: row?.canary.flatMap { progress.holdEnds($0) },
                deadline: row?.canary.flatMap { progress.deadline($0) },
                verdict: report.isHost ? row?.verdict : nil
            )
        }
        if report.isHost, let kept = try EvidenceStore.kept(site, environment) {
            report.dropped = kept.dropped
            report.priced = kept.pricedSentence(agent)
            report.rejections = kept.rejections?.object.map { counts in
                counts.compactMap { reason, count in count.int.map { (reason, $0) } }
            }
        }
        return report
    }

    private static func history(
        _ ledger: Ledger,
        _ tip: RecordedEntry,
        _ agent: AgentID,
        _ limit: Int
    ) throws -> [Decision] {
        var history: [Decision] = []
        try ledger.walk(from: tip) { recorded in
            let entry = recorded.entry
            guard entry.kind == .outcome || entry.kind == .recovery else { return true }
            let changes = try ledger.changes(of: recorded).filter { $0.agent == agent && $0.action.decides }
            // Where there are two, the second names the version that the first leaves.
            if let change = changes.first(where: { $0.action != .quarantine }) ?? changes.first {
                history.append(
                    Decision(
                        sequence: entry.sequence,
                        commit: recorded.commit,
                        time: entry.time,
                        change: change,
                        quarantines: changes.contains { $0.action == .quarantine && $0.from != $0.to }
                    )
                )
            }
            return history.count < limit
        }
        return history
    }
}

extension Change.Action {
    /// Whether it ends what was tried, one way or the other.
    fileprivate var decides: Bool {
        switch self {
        case .promote, .rollback, .quarantine: true
        case .create, .update, .delete, .weight, .halt, .resume, .repair: false
        }
    }
}

// MARK: - What is missing

extension EvidenceReport.Trial {
    /// What a verdict waits for, metric by metric; empty when there is one, or nothing is judged.
    package var missing: [String] {
        guard let verdict else { return [] }
        switch verdict.outcome {
        case .pass, .fail, .notAnalysed: return []
        case .noData, .inconclusive, .error: break
        }
        guard let report = verdict.report, !report.metrics.isEmpty else {
            return ["the first look at what was measured"]
        }
        return report.metrics.compactMap { metric in
            let (name, stable, canary) = (metric.name, metric.stable.count, metric.canary.count)
            switch metric.verdict {
            case .noData:
                if let why = report.silent, MetricName(name)?.isOfCalls == true { return "\(name): \(why)" }
                let whose =
                    canary > 0 ? "the stable version" : stable > 0 ? "the candidate" : "either version"
                return "\(name): samples of \(whose)"
            case .inconclusive: return "\(name): more samples (\(canary) of the candidate, \(stable) of stable so far)"
            case .error: return "\(name): an answer that can be read"
            case .pass, .fail, .notAnalysed: return nil
            }
        }
    }
}

// MARK: - JSON

extension EvidenceReport {
    package var json: JSONValue {
        [
            "v": 1, "environment": .string(environment), "agent": .string(agent.description),
            "time": .string(now.description), "host": .bool(isHost),
            "canary": canary.map(\.json) ?? .null, "queued": queued?.json ?? .null,
            "rejections": rejections.map {
                .object(JSONObject($0.map { ($0.reason, .integer($0.count)) }))
            } ?? .null,
            "dropped": dropped.map { .string($0) } ?? .null,
            "priced": priced.map { .string($0) } ?? .null,
            "history": .array(
                history.map { decision in
                    [
                        "seq": .integer(decision.sequence), "commit": .string(decision.commit.description),
                        "time": .string(decision.time.description),
                        "action": .string(decision.change.action.rawValue),
                        "from": decision.change.from?.json ?? .null, "to": decision.change.to?.json ?? .null,
                        "quarantines": .bool(decision.quarantines),
                        "verdict": decision.verdict.map { .string($0.rawValue) } ?? .null,
                        "reason": decision.reason.map { .string($0) } ?? .null,
                        "analysis": decision.analysis?.json ?? .null,
                    ]
                }
            ),
        ]
    }
}

extension EvidenceReport.Trial {
    fileprivate var json: JSONValue {
        func time(_ time: Timestamp?) -> JSONValue { time.map { .string($0.description) } ?? .null }
        return [
            "candidate": candidate.json, "stable": stable.json, "weight": .integer(weight),
            "since": time(since), "holdEnds": time(holdEnds), "deadline": time(deadline),
            "verdict": verdict.map { .string($0.outcome.rawValue) } ?? .null,
            "analysis": verdict?.report?.json ?? .null,
            "missing": .array(missing.map { .string($0) }),
            "notes": .array((verdict?.notes ?? []).map { .string($0) }),
        ]
    }
}
