package import EnsignHost
package import EnsignLedger
package import EnsignModel

/// What an environment's sessions have, as an entry of its ledger says: the one place that questions about what is live
/// ask.
package struct LiveFleet {
    package let environment: String
    package let entry: RecordedEntry
    private let recorded: RecordedTree

    package init(_ site: Site, _ environment: String, at entry: RecordedEntry) {
        self.environment = environment
        self.entry = entry
        recorded = RecordedTree(repository: site.repository, tip: entry)
    }

    /// One version of an agent that takes sessions, or would if the agent were not halted.
    package struct Version: Sendable, Hashable {
        package var side: Change.Side
        package var bundle: Bundle
        /// Its share of the sessions in per cent; 0 when the agent is halted.
        package var weight: Int64
        package var isHalted: Bool
    }

    /// What all agents share; nil where nothing is recorded of that.
    package func policy() throws -> GatewayPolicy? { try recorded.policy() }

    /// Live agents, halted ones included; sorted.
    package func agents() throws -> [AgentID] { try recorded.agents() }

    /// Nil for an agent of which this entry knows nothing.
    package func agent(_ agent: AgentID) throws -> RecordedAgent? { try recorded.agent(agent) }

    /// The versions that sessions get, the stable one last; of a halted agent the one that comes back. Empty when there is
    /// none.
    package func versions(of agent: AgentID) throws -> [Version] {
        guard let known = try recorded.agent(agent), known.isLive else { return [] }
        guard !known.isHalted else {
            return try [known.stable].compactMap { side in
                try side.flatMap { try version($0, weight: 0, isHalted: true) }
            }
        }
        return try (known.route?.targets ?? []).compactMap { target in
            try version(
                Change.Side(version: target.version, digest: target.digest),
                weight: target.weight,
                isHalted: false
            )
        }
    }

    private func version(_ side: Change.Side, weight: Int64, isHalted: Bool) throws -> Version? {
        guard let bundle = try recorded.bundle(side.digest) else { return nil }
        return Version(side: side, bundle: bundle, weight: weight, isHalted: isHalted)
    }

    /// What the sessions of an agent have; empty for one that is halted or not live.
    package func running(_ agent: AgentID) throws -> [Bundle] {
        try versions(of: agent).filter { !$0.isHalted }.map(\.bundle)
    }
}

/// Which entry of the ledger is asked about.
package enum LedgerMoment: Sendable, Hashable {
    case newest
    case entry(Int64)
    /// What was live then: the newest entry that is not younger.
    case time(Timestamp)
}

/// A moment that the ledger does not have.
package struct NoSuchMoment: Error, Sendable, Hashable, CustomStringConvertible {
    package var description: String
}

extension Ledger {
    /// The entry of a moment; nil only for ``LedgerMoment/newest`` without a ledger.
    ///
    /// - Throws: ``NoSuchMoment`` for one before the first entry or after the newest.
    package func entry(at moment: LedgerMoment) throws -> RecordedEntry? {
        let tip = try tip()
        if moment == .newest { return tip }
        guard let tip else { throw NoSuchMoment(description: "the ledger of '\(environment)' has no entry yet") }
        var found: RecordedEntry?
        var first = tip
        try walk(from: tip) { entry in
            first = entry
            let isIt =
                switch moment {
                case .newest: true
                case .entry(let number): entry.entry.sequence == number
                case .time(let time): entry.entry.time <= time
                }
            if isIt { found = entry }
            return !isIt
        }
        if let found { return found }
        throw NoSuchMoment(
            description: moment.isTime
                ? "the ledger of '\(environment)' begins at \(first.entry.time)"
                : "the ledger of '\(environment)' has the entries \(first.entry.sequence) to \(tip.entry.sequence)"
        )
    }
}

extension LedgerMoment {
    fileprivate var isTime: Bool { if case .time = self { true } else { false } }
}
