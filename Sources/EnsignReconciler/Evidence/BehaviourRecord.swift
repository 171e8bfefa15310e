import EnsignGit
package import EnsignHost
import EnsignJudge
package import EnsignLedger
package import EnsignModel
import EnsignPlanner

/// Drifts of behaviour that the ledger has and that still hold: the agent has the same stable version since, and was not
/// resumed.
package struct BehaviourRecord: LedgerProjection {
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

    package let covered: CoveredEntry
    /// Newest first, as the walk finds them.
    private var newestFirst: [Drift] = []
    /// Of the walk: what later entries say of an agent decides which older drifts still hold.
    private var later = Later()

    /// Oldest first.
    package var drifts: [Drift] { newestFirst.reversed() }

    /// What holds up to an entry. What was found out is kept where a reconcile keeps such things.
    package static func load(_ site: Site, _ environment: String, tip: RecordedEntry) throws -> BehaviourRecord {
        let file = StateFile<BehaviourRecord>(site.files, environment)
        let known = file.known()
        let record = try upTo(tip, of: site.ledger(environment), known: known)
        // A question makes no folders: another account may ask it.
        if record.covered != known?.covered { try? file.write(record, inNewFolder: false) }
        return record
    }

    /// What entries after a drift say of agents.
    private struct Later: Sendable {
        private var resumed: Set<AgentID> = []
        private var stable: [AgentID: Set<Digest?>] = [:]

        mutating func add(_ changes: [Change], _ environment: String) {
            for change in changes where change.action == .resume {
                if let agent = change.agent { resumed.insert(agent) }
            }
            for effect in AgentEffect.of(changes, environment: environment) ?? [] {
                stable[effect.agent, default: []].insert(effect.stable?.digest)
            }
        }

        func leaves(_ drift: Change) -> Bool {
            guard let agent = drift.agent, !resumed.contains(agent) else { return false }
            return stable[agent]?.allSatisfy { $0 == drift.from?.digest } ?? true
        }
    }

    package func has(_ change: Change) -> Bool {
        newestFirst.contains {
            $0.agent == change.agent && $0.metric == change.driftedMetric
                && $0.change.from?.digest == change.from?.digest
        }
    }

    // MARK: The walk

    package init(covering covered: CoveredEntry) { self.covered = covered }

    package mutating func take(_ entry: RecordedEntry, _ ledger: Ledger) throws {
        switch entry.entry.kind {
        case .drift where entry.entry.reason == Entry.Reason(.behaviour):
            for change in try ledger.changes(of: entry).reversed() where later.leaves(change) {
                newestFirst.append(Drift(change: change, time: entry.entry.time, sequence: entry.entry.sequence))
            }
        case .outcome, .recovery, .halt: later.add(try ledger.changes(of: entry), ledger.environment)
        case .genesis, .intent, .resume, .refused, .drift, .key: break
        }
    }

    package mutating func take(rest: BehaviourRecord) {
        newestFirst += rest.newestFirst.filter { later.leaves($0.change) }
    }

    package mutating func end() { later = Later() }
}

extension BehaviourRecord: StateValue {
    package static let kind = StateKind("cache/<env>/behaviour", .projection, limit: 1 << 26)

    package init?(_ contents: StateContents) {
        guard let covered = CoveredEntry(contents), let values = contents["drifts"]?.array else { return nil }
        let drifts = values.compactMap { value -> Drift? in
            guard let change = value["change"].flatMap({ Change(json: $0) }),
                let time = value["time"]?.string.flatMap({ Timestamp($0) }), let sequence = value["seq"]?.int
            else { return nil }
            return Drift(change: change, time: time, sequence: sequence)
        }
        guard drifts.count == values.count else { return nil }
        self.init(covering: covered)
        newestFirst = drifts.reversed()
    }

    package var contents: StateContents {
        StateContents([
            "seq": .integer(covered.sequence), "commit": .string(covered.commit.description),
            "drifts": .array(
                drifts.map {
                    [
                        "change": $0.change.json, "time": .string($0.time.description), "seq": .integer($0.sequence),
                    ]
                }
            ),
        ])
    }
}
