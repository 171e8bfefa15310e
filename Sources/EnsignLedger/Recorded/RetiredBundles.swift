package import EnsignModel

/// Which bundles lost their last route, and when: the start of `keepFor`.
package struct RetiredBundles: LedgerProjection {
    package struct Retired: Hashable, Sendable {
        var time: Int64
        package var digest: Digest
        package var agent: AgentID
    }

    package let covered: CoveredEntry
    /// The oldest last, in the order of the walk.
    private var newestFirst: [Retired] = []

    package init(covering covered: CoveredEntry) { self.covered = covered }

    package mutating func take(_ entry: RecordedEntry, _ ledger: Ledger) throws {
        switch entry.entry.kind {
        case .outcome, .recovery, .halt: break
        case .genesis, .intent, .resume, .refused, .drift, .key: return
        }
        for change in try ledger.changes(of: entry) {
            guard let agent = change.agent else { continue }
            let time = entry.entry.time.seconds
            var gone = change.evidence?.replaced ?? []
            if let from = change.from, from.digest != change.to?.digest { gone.append(from.digest) }
            for digest in gone { newestFirst.append(Retired(time: time, digest: digest, agent: agent)) }
        }
    }

    package mutating func take(rest: RetiredBundles) { newestFirst += rest.newestFirst }

    /// Bundles that were retired at or before a moment, each once.
    package func retired(before moment: Int64) -> [Retired] {
        // A bundle that returned and was retired again counts from the last time.
        var last: [Digest: Retired] = [:]
        for bundle in newestFirst where last[bundle.digest] == nil { last[bundle.digest] = bundle }
        return last.values.filter { $0.time <= moment }.sorted { $0.digest < $1.digest }
    }

    /// Forgets bundles that are gone. Made anew from the ledger they are listed again: whoever asks looks whether a bundle
    /// is still kept.
    package mutating func remove(_ digests: Set<Digest>) { newestFirst.removeAll { digests.contains($0.digest) } }
}

extension RetiredBundles: StateValue {
    package static let kind = StateKind("cache/<env>/retired", .projection, limit: 1 << 28)

    package init?(_ contents: StateContents) {
        guard let covered = CoveredEntry(contents) else { return nil }
        self.init(covering: covered)
        for record in contents.records {
            guard let digest = Digest(hex: record.key), let value = record.value, let time = value[0]?.int,
                let agent = value[1]?.string.flatMap({ AgentID($0) })
            else { return nil }
            newestFirst.append(Retired(time: time, digest: digest, agent: agent))
        }
    }

    package var contents: StateContents {
        StateContents(
            ["seq": .integer(covered.sequence), "commit": .string(covered.commit.description)],
            records: newestFirst.map {
                StateRecord($0.digest.hex, [.integer($0.time), .string($0.agent.description)])
            }
        )
    }
}
