package import EnsignLedger
package import EnsignModel

/// Agents that were given other names, as the newest entries say: a stop that came meanwhile has the old one.
package struct MovedAgents {
    struct Move: Sendable, Hashable {
        var from: AgentID
        var to: AgentID
        /// The entry that has it on record, and when it was written.
        var sequence: Int64
        var time: Timestamp
    }

    /// The oldest first.
    let moves: [Move]
    /// The names that were given up, under which nobody is recorded.
    private let gone: Set<AgentID>
    /// The number of the newest entry when this run began; -1 when there was none.
    private let begun: Int64

    /// The most entries that are looked at: a stop that waited through more of them waited for days.
    private static let mostEntries = 4_096
    /// How long before its record a stop may have been meant: an entry is dated before it is written.
    private static let slack: Int64 = 3_600

    /// - Parameters:
    ///   - tip: An entry that is not an intent.
    ///   - records: The stops that are to be recorded behind it.
    init(_ ledger: Ledger, _ tip: RecordedEntry, _ records: [HaltRecord], begun: Int64) throws {
        self.begun = begun
        let halts = records.filter { $0.kind == .halt }
        moves = try Self.moves(ledger, tip, most: Self.mostEntries) { entry in
            halts.contains { Self.isMeanwhile(entry.sequence, entry.time, $0, begun) }
        }
        let recorded = RecordedTree(repository: ledger.repository, tip: tip)
        gone = Set(try moves.map(\.from).filter { try !recorded.isLive($0) })
    }

    /// The name under which an agent that had this one is known now; nil where the newest thousand entries gave it no other.
    package static func present(_ agent: AgentID, _ ledger: Ledger, _ tip: RecordedEntry) throws -> AgentID? {
        let name = try moves(ledger, tip, most: 1_000) { _ in true }.reduce(agent) { $0 == $1.from ? $1.to : $0 }
        return name == agent ? nil : name
    }

    /// What the entries say from the newest back, the oldest first.
    private static func moves(
        _ ledger: Ledger,
        _ tip: RecordedEntry,
        most: Int,
        while isWanted: (Entry) -> Bool
    ) throws -> [Move] {
        var moves: [Move] = []
        var entry = tip
        for _ in 0..<most {
            guard isWanted(entry.entry), entry.entry.sequence > 0, let parent = entry.parents.first else { break }
            let intent = try ledger.read(parent)
            defer { entry = intent }
            guard !entry.entry.kind.isIntent, intent.entry.kind.isIntent else { continue }
            let meant = try ledger.changes(of: intent).filter { $0.evidence?.successor != nil }
            guard !meant.isEmpty else { continue }
            // What became of it says the outcome, or the recovery: of a rename that died the new name may be all that there is.
            let done = Set(try ledger.changes(of: entry).compactMap(\.agent))
            for change in meant.reversed() {
                guard let from = change.agent, let to = change.evidence?.successor, done.contains(to) else { continue }
                moves.append(Move(from: from, to: to, sequence: entry.entry.sequence, time: entry.entry.time))
            }
        }
        return moves.reversed()
    }

    /// Whether an entry may have been written after somebody asked for a stop.
    private static func isMeanwhile(
        _ sequence: Int64,
        _ time: Timestamp,
        _ record: HaltRecord,
        _ begun: Int64
    ) -> Bool {
        if let after = record.after { return sequence > after }
        return sequence > begun || time.advanced(seconds: slack) >= record.time.timestamp
    }

    /// Whether a stop is for the agent that has another name now.
    private func isMeant(_ move: Move, by record: HaltRecord) -> Bool {
        guard record.scope.covers(move.from), Self.isMeanwhile(move.sequence, move.time, record, begun) else {
            return false
        }
        if move.sequence > begun || record.after != nil { return true }
        // Only times say it, and not for certain: where somebody has the old name, that one was meant; and whoever named a team
        // may not have meant who left it.
        return record.scope == .agent(move.from) && gone.contains(move.from)
    }

    /// The agents of a stop that have another name now, and no longer this one.
    func gone(of record: HaltRecord) -> Set<AgentID> {
        Set(moves.filter { gone.contains($0.from) && isMeant($0, by: record) }.map(\.from))
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
            record.original = meant.asked
            record.scope = .agent(move.to)
            known.append(record)
        }
        return Array(known.dropFirst(count))
    }
}
