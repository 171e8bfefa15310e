import EnsignLedger
import EnsignModel

/// Agents that were given other names, as the newest entries say: a stop that came meanwhile has the old one.
struct MovedAgents {
    struct Move: Sendable, Hashable {
        var from: AgentID
        var to: AgentID
        /// The entry that has it on record, and when it was written.
        var sequence: Int64
        var time: Timestamp
        /// Whether nobody is recorded under the old name any more.
        var isWhole: Bool
    }

    /// The oldest first.
    private(set) var moves: [Move] = []
    /// The number of the newest entry when this run began; -1 when there was none.
    let begun: Int64

    /// The most entries that are looked at: a stop that waited through more of them waited for days.
    private static let mostEntries = 4_096
    /// How long before its record a stop may have been meant: an entry is dated before it is written.
    private static let slack: Int64 = 3_600

    /// - Parameters:
    ///   - tip: An entry that is not an intent.
    ///   - records: The stops that are to be recorded behind it.
    init(_ ledger: Ledger, _ tip: RecordedEntry, _ records: [HaltRecord], begun: Int64) throws {
        self.begun = begun
        let recorded = RecordedTree(repository: ledger.repository, tip: tip)
        let halts = records.filter { $0.kind == .halt }
        var entry = tip
        for _ in 0..<Self.mostEntries {
            let (sequence, time) = (entry.entry.sequence, entry.entry.time)
            guard halts.contains(where: { isMeanwhile(sequence, time, $0) }), sequence > 0,
                let parent = entry.parents.first
            else { break }
            let intent = try ledger.read(parent)
            defer { entry = intent }
            guard !entry.entry.kind.isIntent, intent.entry.kind.isIntent else { continue }
            // What became of it says the outcome, or the recovery: of a rename that died the new name may be all that there is.
            let done = Set(try ledger.changes(of: entry).compactMap(\.agent))
            for change in try ledger.changes(of: intent).reversed() {
                guard let from = change.agent, let to = change.evidence?.successor, done.contains(to) else { continue }
                let isWhole = try !recorded.isLive(from)
                moves.append(Move(from: from, to: to, sequence: sequence, time: time, isWhole: isWhole))
            }
        }
        moves.reverse()
    }

    /// Whether an entry may have been written after somebody asked for a stop.
    private func isMeanwhile(_ sequence: Int64, _ time: Timestamp, _ record: HaltRecord) -> Bool {
        if sequence > begun { return true }
        if let after = record.after { return sequence > after }
        return time.advanced(seconds: Self.slack) >= record.time.timestamp
    }

    /// Whether a stop is for the agent that has another name now.
    private func isMeant(_ move: Move, by record: HaltRecord) -> Bool {
        guard record.scope.covers(move.from), isMeanwhile(move.sequence, move.time, record) else { return false }
        if move.sequence > begun || record.after != nil || move.time >= record.time.timestamp { return true }
        // Only times say it, and not for certain: whoever named the agent meant it, whoever named its team maybe not.
        return record.scope == .agent(move.from) && move.isWhole
    }

    /// The stops that hold under the names that their agents have now, besides those under which they came.
    func following(_ records: [HaltRecord]) -> [HaltRecord] {
        var known = records.filter { $0.kind == .halt }
        let count = known.count
        for move in moves {
            guard let meant = known.first(where: { isMeant(move, by: $0) }),
                !known.contains(where: { $0.scope.covers(move.to) })
            else { continue }
            var record = meant
            record.id = UInt64.random(in: 1 ... .max)
            record.scope = .agent(move.to)
            known.append(record)
        }
        return Array(known.dropFirst(count))
    }

    /// The names that were given up, under which nobody is recorded.
    var gone: Set<AgentID> { Set(moves.filter(\.isWhole).map(\.from)) }
}
