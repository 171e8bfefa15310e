import EnsignGit
package import EnsignHost
import EnsignJSON
import EnsignJudge
package import EnsignLedger
package import EnsignModel
import EnsignPlanner
import EnsignSystem

/// Drifts of behaviour that the ledger has and that still hold: the agent has the same stable version since, and was not
/// resumed.
///
/// A cache, `<git dir>/ensign/cache/<env>/behaviour`, made from the ledger: it says which entry it covers.
package struct BehaviourRecord {
    /// One of them.
    package struct Drift: Sendable, Hashable {
        package var change: Change
        /// When it was recorded, and by which entry.
        package var time: Timestamp
        package var sequence: Int64

        package var agent: AgentID? { change.agent }
        package var metric: String { change.driftedMetric ?? "" }
        package var reason: String { change.evidence?.reason ?? "" }
    }

    private var covered: Int64
    private var commit: ObjectID
    /// Oldest first.
    package private(set) var drifts: [Drift]

    /// Reads the cache and catches up with the ledger. What was found out is kept where a reconcile keeps such things.
    package static func load(_ site: Site, _ environment: String, tip: RecordedEntry) throws -> BehaviourRecord {
        let ledger = site.ledger(environment)
        let path = site.files.behaviour(environment)
        let known = read(path)
        if let known, known.commit == tip.commit { return known }
        var record = BehaviourRecord(covered: tip.entry.sequence, commit: tip.commit, drifts: [])
        // Newest first: what later entries say of an agent decides which older drifts still hold.
        var later = Later()
        try ledger.walk(from: tip) { entry in
            if let known, entry.entry.sequence == known.covered, entry.commit == known.commit {
                record.drifts += known.drifts.reversed().filter { later.leaves($0.change) }
                return false
            }
            switch entry.entry.kind {
            case .drift where entry.entry.reason == driftReason:
                for change in try ledger.changes(of: entry).reversed() where later.leaves(change) {
                    record.drifts.append(
                        Drift(change: change, time: entry.entry.time, sequence: entry.entry.sequence)
                    )
                }
            case .outcome, .recovery, .halt: later.add(try ledger.changes(of: entry), environment)
            case .genesis, .intent, .resume, .refused, .drift, .key: break
            }
            return true
        }
        record.drifts.reverse()
        // A question makes no folders: it may be another account's.
        if let folder = Files.parent(of: path), (try? Files.status(folder)) != nil { try? record.write(path) }
        return record
    }

    /// The reason of an entry about behaviour.
    package static let driftReason = "behaviour"

    /// What entries after a drift say of agents.
    private struct Later {
        private var resumed: Set<AgentID> = []
        private var stable: [AgentID: Set<Digest?>] = [:]

        mutating func add(_ changes: [Change], _ environment: String) {
            for change in changes where change.action == .resume {
                if let agent = change.agent { resumed.insert(agent) }
            }
            for effect in AgentEffect.of(changes, environment: environment) ?? [] {
                let side = effect.state.map(\.stable) ?? effect.changes.last?.to
                stable[effect.agent, default: []].insert(side?.digest)
            }
        }

        func leaves(_ drift: Change) -> Bool {
            guard let agent = drift.agent, !resumed.contains(agent) else { return false }
            return stable[agent]?.allSatisfy { $0 == drift.from?.digest } ?? true
        }
    }

    package func has(_ change: Change) -> Bool {
        drifts.contains {
            $0.agent == change.agent && $0.metric == change.driftedMetric
                && $0.change.from?.digest == change.from?.digest
        }
    }

    // MARK: The file

    private func write(_ path: String) throws {
        let json: JSONValue = [
            "v": 1, "seq": .integer(covered), "commit": .string(commit.description),
            "drifts": .array(
                drifts.map {
                    [
                        "change": $0.change.json, "time": .string($0.time.description), "seq": .integer($0.sequence),
                    ]
                }
            ),
        ]
        try Files.replace(path, with: json.canonicalBytes() + [0x0A], durable: false)
    }

    private static func read(_ path: String) -> BehaviourRecord? {
        guard let bytes = (try? Files.readOwn(path, limit: 1 << 26)) ?? nil, let json = try? JSONParser.parse(bytes),
            json["v"]?.int == 1, let covered = json["seq"]?.int,
            let commit = json["commit"]?.string.flatMap({ ObjectID($0) }), let values = json["drifts"]?.array
        else { return nil }
        let drifts = values.compactMap { value -> Drift? in
            guard let change = value["change"].flatMap({ Change(json: $0) }),
                let time = value["time"]?.string.flatMap({ Timestamp($0) }), let sequence = value["seq"]?.int
            else { return nil }
            return Drift(change: change, time: time, sequence: sequence)
        }
        guard drifts.count == values.count else { return nil }
        return BehaviourRecord(covered: covered, commit: commit, drifts: drifts)
    }
}

extension ReconcileSession {
    /// Records stable versions that are no longer what they were: each once, until the agent gets another one or is
    /// resumed. Changes nothing.
    mutating func recordDrifts() throws {
        guard let telemetry, let before = tip, before.acceptedSource != nil else { return }
        let found = telemetry.drifts
        guard !found.isEmpty else { return }
        let recorded = RecordedTree(repository: site.repository, tip: before)
        let known = try BehaviourRecord.load(site, environment, tip: before)
        let changes = try found.map(\.change).filter { change in
            // One that was replaced meanwhile is nobody's business any more.
            guard let agent = change.agent, try recorded.agent(agent)?.stable == change.from else { return false }
            return !known.has(change)
        }
        if !changes.isEmpty {
            let entry = try append(
                .drift,
                source: acceptedSource(before),
                parent: before.acceptedSource,
                reason: BehaviourRecord.driftReason,
                changes: changes,
                agents: before.agents,
                result: .ok
            )
            tip = entry
            report.behaviour += changes
            _ = try BehaviourRecord.load(site, environment, tip: entry)
        }
        telemetry.settle(found)
    }
}
