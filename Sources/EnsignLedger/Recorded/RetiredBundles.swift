package import EnsignModel
import EnsignSystem

/// Which bundles lost their last route, and when: what `keepFor` counts from.
///
/// A cache, `<git dir>/ensign/cache/<env>/retired`, made from the ledger: a line with the number of the newest entry that
/// it covers, then a line `<seconds> <digest> <agent>` for each bundle that an entry took out of a route.
package struct RetiredBundles {
    package struct Retired: Hashable {
        var time: Int64
        package var digest: Digest
        package var agent: AgentID
    }

    private(set) var covered: Int64
    private(set) var bundles: [Retired]

    /// Reads the cache and catches up with the ledger.
    package static func load(_ path: String, tip: RecordedEntry, ledger: Ledger) throws -> RetiredBundles {
        var known = try read(path) ?? RetiredBundles(covered: -1, bundles: [])
        if known.covered > tip.entry.sequence { known = RetiredBundles(covered: -1, bundles: []) }
        var found: [Retired] = []
        try ledger.walk(from: tip) { entry in
            guard entry.entry.sequence > known.covered else { return false }
            switch entry.entry.kind {
            case .outcome, .recovery, .halt: break
            case .genesis, .intent, .resume, .refused, .drift, .key: return true
            }
            for change in try ledger.changes(of: entry) {
                guard let agent = change.agent else { continue }
                let time = entry.entry.time.seconds
                var gone = change.evidence?.replaced ?? []
                if let from = change.from, from.digest != change.to?.digest { gone.append(from.digest) }
                for digest in gone { found.append(Retired(time: time, digest: digest, agent: agent)) }
            }
            return true
        }
        known.bundles += found.reversed()
        known.covered = tip.entry.sequence
        return known
    }

    /// Bundles that were retired at or before a moment, each once.
    package func retired(before moment: Int64) -> [Retired] {
        // A bundle that came back and went again counts from the last time.
        var last: [Digest: Retired] = [:]
        for bundle in bundles { last[bundle.digest] = bundle }
        return last.values.filter { $0.time <= moment }.sorted { $0.digest < $1.digest }
    }

    package mutating func remove(_ digests: Set<Digest>) { bundles.removeAll { digests.contains($0.digest) } }

    package func write(_ path: String) throws {
        if let folder = Files.parent(of: path) { try Files.makeDirectories(folder) }
        var text = "\(covered)\n"
        for bundle in bundles { text += "\(bundle.time) \(bundle.digest.hex) \(bundle.agent)\n" }
        try Files.replace(path, with: Array(text.utf8), durable: false)
    }

    private static func read(_ path: String) throws -> RetiredBundles? {
        guard let bytes = try Files.readOwn(path, limit: 1 << 28) else { return nil }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        guard let first = lines.first, let covered = Int64(first) else { return nil }
        var bundles: [Retired] = []
        for line in lines.dropFirst() {
            let parts = line.split(separator: " ")
            guard parts.count == 3, let time = Int64(parts[0]), let digest = Digest(hex: parts[1]),
                let agent = AgentID(parts[2])
            else { return nil }
            bundles.append(Retired(time: time, digest: digest, agent: agent))
        }
        return RetiredBundles(covered: covered, bundles: bundles)
    }
}
