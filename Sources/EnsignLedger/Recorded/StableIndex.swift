package import EnsignModel

/// Which digests were stable when, for every agent: read from the ledger in one walk, when somebody first asks.
package final class StableIndex {
    private let ledger: Ledger
    private let tip: RecordedEntry?
    private let recorded: RecordedTree
    private var stable: StableTimes?

    package init(ledger: Ledger, tip: RecordedEntry?, recorded: RecordedTree) {
        self.ledger = ledger
        self.tip = tip
        self.recorded = recorded
    }

    /// When a digest was stable; nil when it never was, or when its bundle is no longer kept.
    package func history(_ agent: AgentID, _ digest: Digest) throws -> StableHistory? {
        // A digest that was never live is not in the tree: most lookups end here.
        guard try recorded.keeps(digest) else { return nil }
        let present = try recorded.agent(agent)?.stable
        let times = try times()[agent] ?? []
        guard let first = times.lastIndex(where: { $0.digest == digest }),
            let newest = times.firstIndex(where: { $0.digest == digest })
        else { return nil }
        let firstOfPresent = present.flatMap { present in times.lastIndex { $0.digest == present.digest } } ?? -1
        // Its successor ended its time.
        let successor = newest > 0 ? times[newest - 1] : nil
        return StableHistory(
            isEarlier: first > firstOfPresent,
            stableUntil: (successor ?? times[newest]).since,
            wasTakenBack: successor?.takesBack == digest
        )
    }

    /// The digests that were stable before the present one and are still kept, the latest first; of an agent that is gone, all.
    package func earlier(_ agent: AgentID) throws -> [Digest] {
        let present = try recorded.agent(agent)?.stable
        var found: [Digest] = []
        for time in try times()[agent] ?? [] {
            guard let digest = time.digest, digest != present?.digest, !found.contains(digest) else { continue }
            if try recorded.keeps(digest) { found.append(digest) }
        }
        return found
    }

    /// Since when an agent has had its present stable version; nil for one that has none.
    package func since(_ agent: AgentID) throws -> Timestamp? {
        guard let present = try recorded.agent(agent)?.stable, let newest = try times()[agent]?.first,
            newest.digest == present.digest
        else { return nil }
        return newest.since
    }

    /// Whether a digest ever was an agent's stable one, kept or not.
    package func wasStable(_ agent: AgentID, _ digest: Digest) throws -> Bool {
        try times()[agent]?.contains { $0.digest == digest } ?? false
    }

    /// The source commits by which the agent's stable versions were published, the latest first: each of them once.
    package func sources(_ agent: AgentID) throws -> [ObjectID] {
        var found: [ObjectID] = []
        for source in try (times()[agent] ?? []).compactMap(\.source) where !found.contains(source) {
            found.append(source)
        }
        return found
    }

    private func times() throws -> [AgentID: [StableTimes.Time]] {
        if let stable { return stable.times }
        guard let tip else { return [:] }
        let found = try StableTimes.all(tip, of: ledger)
        stable = found
        return found.times
    }
}

/// The time from which each digest was the stable one.
struct StableTimes: LedgerWalk {
    /// Newest first.
    private(set) var times: [AgentID: [Time]] = [:]

    /// One version's time as the stable one.
    struct Time {
        /// Nil for none.
        var digest: Digest?
        var since: Timestamp
        /// What was left by going back to it: somebody took that away.
        var takesBack: Digest?
        /// The commit that was accepted then; nil at genesis.
        var source: ObjectID?
    }

    init(covering: CoveredEntry) {}

    mutating func take(_ entry: RecordedEntry, _ ledger: Ledger) throws {
        switch entry.entry.kind {
        case .outcome, .recovery, .halt:
            for effect in AgentEffect.of(try ledger.changes(of: entry), environment: ledger.environment) ?? [] {
                let back = effect.changes.first { $0.action == .rollback && $0.to == effect.stable }
                times[effect.agent, default: []].append(
                    Time(
                        digest: effect.stable?.digest,
                        since: entry.entry.time,
                        takesBack: back?.from?.digest,
                        source: entry.acceptedSource
                    )
                )
            }
        case .genesis, .intent, .refused, .drift, .resume, .key: break
        }
    }

    /// Runs of the same digest count once: a canary's steps leave the stable version as it is.
    mutating func end() {
        times = times.mapValues { times in
            times.enumerated().filter {
                $0.offset == times.count - 1 || times[$0.offset + 1].digest != $0.element.digest
            }
            .map(\.element)
        }
    }
}
