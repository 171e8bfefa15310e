import EnsignGit
package import EnsignHost
import EnsignLedger
import EnsignManifest
package import EnsignModel
package import EnsignPlanner
import EnsignReconciler

/// What runs in an environment, agent by agent: what git wants, what sessions get, and why that is not the same.
package struct LiveAgents: Sendable {
    package var environment: String
    package var now: Timestamp
    /// The entry that it was read from; nil where nothing was recorded yet.
    package var entry: PlanEntry?
    /// When that entry was written.
    package var entryTime: Timestamp?
    /// Why what is desired is not applied; nil when it is, and for an earlier moment.
    package var obstacle: String?
    /// Sorted by agent.
    package var rows: [Row]

    /// One agent.
    package struct Row: Sendable {
        package var agent: AgentID
        /// What git asks for; nil where it declares no such agent.
        package var wanted: AgentVersion?
        package var stable: Change.Side?
        package var candidate: Change.Side?
        /// The candidate's share of the sessions in per cent; nil without a canary.
        package var weight: Int64?
        /// `stable`, `canary`, `paused`, `queued`, `halted`, another word of what holds it, or `not-live`.
        package var phase: String
        /// Since when it has been in this: halted, in a canary, or on its stable version. Nil where that is not known.
        package var since: Timestamp?
        /// Why sessions do not have what git wants, or none at all; nil when they have it.
        package var reason: String?
        /// The bundles that sessions have, the stable one last.
        package var bundles: [Bundle]

        /// What the gateway does with what it would refuse of it; `observe` if it lets it through of some of its sessions.
        /// Nil where there are none.
        package var mode: EnforcementMode? {
            bundles.isEmpty ? nil : bundles.contains { $0.mode == .observe } ? .observe : .enforce
        }
    }

    /// Reads what is live, and plans without changing anything to know why.
    ///
    /// - Parameters:
    ///   - moment: An earlier one tells what git wanted then by the commit that was accepted.
    ///   - version: This Ensign's own.
    package static func make(_ site: Site, _ environment: String, at moment: LedgerMoment, version: String) throws
        -> LiveAgents
    {
        guard moment == .newest else { return try earlier(site, environment, moment) }
        let report = try RolloutReport.make(site, environment, agent: nil, version: version)
        let desired = try site.desiredCommit()
        let tip = try site.ledger(environment).checkedTip()
        var live = LiveAgents(environment: environment, now: report.now, obstacle: report.obstacle, rows: [])
        if live.obstacle == nil, !site.reconciles {
            live.obstacle = try RefusedCommit.find(Set([desired].compactMap { $0 }), site.ledger(environment), tip)?
                .sentence
        }
        try live.fill(site, tip, desired, report)
        return live
    }

    private static func earlier(_ site: Site, _ environment: String, _ moment: LedgerMoment) throws -> LiveAgents {
        let entry = try site.ledger(environment).entry(at: moment)
        var live = LiveAgents(environment: environment, now: entry?.entry.time ?? Timestamp(seconds: 0), rows: [])
        try live.fill(site, entry, entry?.acceptedSource, nil)
        return live
    }

    private mutating func fill(
        _ site: Site,
        _ entry: RecordedEntry?,
        _ desired: ObjectID?,
        _ report: RolloutReport?
    ) throws {
        let known = Dictionary(uniqueKeysWithValues: (report?.rows ?? []).map { ($0.agent, $0) })
        let isHost = report?.isHost ?? false
        self.entry = entry.map { PlanEntry(sequence: $0.entry.sequence, commit: $0.commit) }
        entryTime = entry?.entry.time
        let fleet = try desired.flatMap { commit -> Fleet? in
            guard site.repository.contains(commit) else { return nil }
            let tree = try site.repository.commit(commit).tree
            return Fleet(snapshot: GitSnapshot(site.repository, tree: tree), today: now.date)
        }
        let live = entry.map { LiveFleet(site, environment, at: $0) }
        let recorded = try live?.agents() ?? []
        let declared = try fleet?.deployedAgents(in: environment) ?? []
        let tree = RecordedTree(repository: site.repository, tip: entry)
        let times = StableIndex(ledger: site.ledger(environment), tip: entry, recorded: tree)
        for agent in Set(recorded).union(declared).union(known.keys).sorted() {
            let wanted = try fleet?.deployment(agent, in: environment)?.value?.version?.value
            guard let state = try live?.agent(agent), state.isLive else {
                // What is only remembered of an agent that is gone is not what runs.
                guard declared.contains(agent) else { continue }
                let waits = known[agent]?.waitsFor(isHost: isHost)
                rows.append(.notLive(agent, wanted, waits.map { "waits for \($0)" } ?? obstacle))
                continue
            }
            let running = Running(
                agent: agent,
                recorded: state,
                versions: try live?.versions(of: agent) ?? [],
                since: try times.since(agent)
            )
            rows.append(row(running, wanted, known[agent], isHost: isHost))
        }
    }

    /// An agent that is live, as it is recorded.
    private struct Running {
        var agent: AgentID
        var recorded: RecordedAgent
        /// What sessions have.
        var versions: [LiveFleet.Version]
        /// Since when it has its stable version; nil where that is not known.
        var since: Timestamp?
    }

    private func row(
        _ running: Running,
        _ wanted: AgentVersion?,
        _ rollout: RolloutReport.Row?,
        isHost: Bool
    ) -> Row {
        let (agent, state, since) = (running.agent, running.recorded.state, running.since)
        let canary = state.canary
        let phase = rollout?.phase ?? state.phase(of: agent)
        var row = Row(
            agent: agent,
            wanted: wanted,
            stable: state.stable,
            candidate: canary?.candidate.side ?? state.rollout?.candidate.side
                ?? rollout?.held.flatMap { _ in rollout?.wanted },
            weight: canary?.progress.weight,
            phase: phase,
            since: since,
            bundles: running.versions.map(\.bundle)
        )
        if let halt = state.halt {
            row.since = halt.since
            row.reason = "halted by \(halt.by): \(halt.reason)"
        } else if state.haltedByGit {
            row.reason = "halted by git"
        } else if let rollout, rollout.held != nil || state.rollout != nil || rollout.leaving != nil {
            row.since = canary?.progress.started ?? since
            row.reason = rollout.waitsFor(isHost: isHost).map { "waits for \($0)" }
        } else if wanted == nil {
            row.reason = obstacle.map { "git no longer declares it; \($0)" } ?? "git no longer declares it"
        } else if let wanted, wanted != state.stable?.version, state.quarantinedVersions.contains(wanted) {
            // As it was, nothing but the record says what holds.
            let held = HeldReason.quarantined
            row.phase = "quarantined"
            row.reason = "waits for \(held.waitsFor(isHost: isHost, silence: nil))"
        } else if wanted != state.stable?.version, wanted != row.candidate?.version {
            row.reason = obstacle ?? "not reconciled yet"
        } else if !state.quarantine.isEmpty {
            row.reason = "quarantined: \(state.quarantinedVersions.map(\.description).joined(separator: ", "))"
        }
        return row
    }
}

extension LiveAgents.Row {
    fileprivate static func notLive(_ agent: AgentID, _ wanted: AgentVersion?, _ why: String?) -> Self {
        Self(
            agent: agent,
            wanted: wanted,
            phase: "not-live",
            reason: why ?? "not reconciled yet",
            bundles: []
        )
    }
}

extension LiveAgents {
    /// The agents of which a version that sessions have fulfils the filter.
    package func filtered(_ filter: AgentFilter) -> LiveAgents {
        var live = self
        live.rows = rows.filter(filter.matches)
        return live
    }

    package var json: JSONValue {
        [
            "v": 1, "environment": .string(environment),
            "entry": entry.map {
                [
                    "seq": .integer($0.sequence), "commit": .string($0.commit.description),
                    "time": entryTime.map { .string($0.description) } ?? .null,
                ]
            } ?? .null,
            "obstacle": obstacle.map { .string($0) } ?? .null, "agents": .array(rows.map(\.json)),
        ]
    }
}

extension LiveAgents.Row {
    fileprivate var json: JSONValue {
        let bundle = bundles.last
        return [
            "agent": .string(agent.description), "team": .string(agent.team),
            "wanted": wanted.map { .string($0.description) } ?? .null, "stable": stable?.json ?? .null,
            "candidate": candidate?.json ?? .null, "weight": weight.map { .integer($0) } ?? .null,
            "phase": .string(phase), "since": since.map { .string($0.description) } ?? .null,
            "reason": reason.map { .string($0) } ?? .null,
            "labels": .object(
                JSONObject((bundle?.labels ?? [:]).sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })
            ),
            "model": bundle?.model.map { .string($0.key) } ?? .null,
            "mode": mode.map { .string($0.rawValue) } ?? .null,
            "tools": .array((bundle?.tools.map(\.tool) ?? []).sorted().map { .string($0) }),
        ]
    }
}
