import EnsignCrypto
import EnsignGit
import EnsignJSON
import EnsignModel

/// Checks an entry against the one before it: numbers, links, accepted source, and that its tree follows.
struct NeighbourChecker {
    let ledger: Ledger
    /// The oldest faulty entry.
    private(set) var broken: Verifier.Break?

    init(_ ledger: Ledger) {
        self.ledger = ledger
    }

    mutating func note(_ sequence: Int64, _ why: String) {
        if let broken, broken.sequence <= sequence { return }
        broken = Verifier.Break(sequence: sequence, why: why)
    }

    mutating func checkGenesis(_ entry: RecordedEntry) {
        let sequence = entry.entry.sequence
        if entry.entry.kind != .genesis || sequence != 0 || !entry.parents.isEmpty {
            note(sequence, "the first entry is not a genesis with number 0")
        }
        if (entry.entry.keys ?? []).isEmpty { note(sequence, "genesis lists no keys") }
        if !entry.state.isEmpty || entry.hasChangesFile { note(sequence, "genesis has more than its entry") }
    }

    mutating func checkPair(_ older: RecordedEntry, _ newer: RecordedEntry) throws {
        let entry = newer.entry
        let sequence = entry.sequence
        if entry.previous?.commit != older.commit { note(sequence, "the previous entry is not the one it names") }
        if entry.previous?.sha256 != older.sha256 { note(sequence, "the previous entry.json is not the one it names") }
        if sequence != older.entry.sequence.adding(saturating: 1) {
            note(sequence, "the number does not follow \(older.entry.sequence)")
        }
        if entry.format < older.entry.format {
            note(sequence, "its format is older than that of the entry before it")
        }
        if entry.kind == .genesis { note(sequence, "a genesis that is not the first entry") }
        if newer.parents.count != 2 || newer.parents.first != older.commit {
            note(sequence, "its parents are not the previous entry and the source commit")
        }
        if let accepted = newer.acceptedSource {
            checkSource(accepted, older, newer)
            if !ledger.repository.contains(accepted) { throw LedgerError.missingSource(accepted) }
        }
        try checkTree(older, newer)
    }

    private mutating func checkSource(_ accepted: ObjectID, _ older: RecordedEntry, _ newer: RecordedEntry) {
        switch newer.entry.kind {
        case .intent, .resume, .outcome, .recovery:
            if newer.entry.source?.commit != accepted {
                note(newer.entry.sequence, "its second parent is not the source it names")
            }
        case .genesis, .refused, .drift, .halt, .key:
            if let before = older.acceptedSource, before != accepted {
                note(
                    newer.entry.sequence,
                    "it changes the accepted source, and a \(newer.entry.kind.rawValue) must not"
                )
            }
        }
    }

    private mutating func checkTree(_ older: RecordedEntry, _ newer: RecordedEntry) throws {
        let sequence = newer.entry.sequence
        for entry in newer.state where !Self.isKnown(entry) {
            note(sequence, "the tree has an entry that no ledger has")
        }
        if newer.hasChangesFile != (newer.entry.changesElsewhere != nil) {
            note(sequence, "changes.jsonl is there without being named, or named without being there")
        }
        switch newer.entry.kind {
        case .outcome, .recovery: try checkOutcome(older, newer)
        case .halt: try checkHalt(older, newer)
        case .genesis, .intent, .resume, .refused, .drift, .key:
            if let name = Self.difference(older, newer) {
                note(sequence, "a \(newer.entry.kind.rawValue) must not change the recorded state, and \(name) differs")
            }
            if newer.agents != older.agents { note(sequence, "the number of live agents changed without a change") }
        }
        if newer.entry.kind == .drift { try checkDrift(older, newer) }
    }

    /// What may be in a tree besides the entry itself.
    private static func isKnown(_ entry: TreeEntry) -> Bool {
        let name = String(decoding: entry.name, as: UTF8.self)
        switch entry.mode {
        case .directory: return name == "agents" || name == "bundles" || name == "state"
        case .file: return LivePath.isShared(name)
        case .executable, .symlink, .submodule, .other: return false
        }
    }

    /// The first part of the recorded state that is not the same in both; nil when all is.
    private static func difference(_ older: RecordedEntry, _ newer: RecordedEntry) -> String? {
        let (was, now) = (older.state, newer.state)
        guard !was.elementsEqual(now),
            let first = Set(was).symmetricDifference(now).min(by: { $0.name.lexicographicallyPrecedes($1.name) })
        else { return nil }
        return String(decoding: first.name, as: UTF8.self)
    }

    /// A drift entry says what was found: files that differ from the record, or behaviour that has changed.
    private mutating func checkDrift(_ older: RecordedEntry, _ newer: RecordedEntry) throws {
        let sequence = newer.entry.sequence
        let changes = try ledger.changes(of: newer)
        guard newer.entry.reason == Entry.Reason(.behaviour) else {
            if changes.contains(where: { $0.action != .repair }) { note(sequence, "a drift of files does more") }
            return
        }
        if older.entry.kind.isIntent { note(sequence, "it is between an intent and its outcome") }
        if changes.isEmpty { note(sequence, "a drift of behaviour is about no agent") }
        for change in changes {
            guard let agent = change.agent, change.driftedMetric != nil, change.evidence?.state == nil,
                change.evidence?.hasUnreadableState != true
            else {
                note(sequence, "a drift of behaviour does more")
                continue
            }
            if try stable(of: agent, older) != change.from {
                note(sequence, "\(agent) had another stable version than the one that is said to have drifted")
            }
        }
    }

    private func stable(of agent: AgentID, _ entry: RecordedEntry) throws -> Change.Side? {
        let file = try ledger.repository.entry(at: AgentState.path(agent), in: entry.tree)
        let state = try file.flatMap { file in
            try AgentState(json: JSONParser.parse(ledger.repository.bytes(of: file.id, .blob)))
        }
        return RecordedAgent(route: try route(of: agent, entry), state: state).stable
    }

    private mutating func checkOutcome(_ older: RecordedEntry, _ newer: RecordedEntry) throws {
        let sequence = newer.entry.sequence
        if !older.entry.kind.isIntent { note(sequence, "there is no intent before it") }
        let changes = try ledger.changes(of: newer)
        if newer.entry.kind == .outcome, newer.entry.result == .ok, try ledger.changes(of: older) != changes {
            note(sequence, "its changes are not those of the intent")
        }
        try checkEffects(of: changes, older, newer)
    }

    /// A halt has no intent: what it records has already happened. It only stops agents.
    private mutating func checkHalt(_ older: RecordedEntry, _ newer: RecordedEntry) throws {
        let sequence = newer.entry.sequence
        if older.entry.kind.isIntent { note(sequence, "it is between an intent and its outcome") }
        let changes = try ledger.changes(of: newer)
        for change in changes where change.action != .halt || change.from != change.to {
            note(sequence, "a halt does more than stop agents")
        }
        for effect in AgentEffect.of(changes, environment: ledger.environment) ?? []
        where effect.state?.isHalted != true {
            note(sequence, "a halt leaves \(effect.agent) running")
        }
        if let halts = FleetHalts.after(changes), let before = try self.halts(older), halts?.isAtLeast(before) != true {
            note(sequence, "a halt lets something go")
        }
        if older.folder("bundles") != newer.folder("bundles") { note(sequence, "a halt must not change bundles") }
        try checkEffects(of: changes, older, newer)
    }

    /// The tree is the previous tree with exactly these changes.
    private mutating func checkEffects(of changes: [Change], _ older: RecordedEntry, _ newer: RecordedEntry) throws {
        let sequence = newer.entry.sequence
        guard let effects = AgentEffect.of(changes, environment: ledger.environment) else {
            return note(sequence, "a change carries a state that is none")
        }
        let live = effects.reduce(older.agents) { $0.adding(saturating: $1.changes.live) }
        if newer.agents != live {
            note(sequence, "it counts \(newer.agents) live agents, and the changes come to \(live)")
        }
        var expected = Expected(effects)
        if let halts = FleetHalts.after(changes) {
            guard let halts else { return note(sequence, "a change carries stops that are none") }
            expected.add(FleetHalts.path, halts.bytes)
        }
        let published = Published(effects)
        // A halt has no intent: it publishes itself.
        let proof = RecordedProof(
            environment: ledger.environment,
            publisher: newer.entry.kind == .halt ? newer : older
        )
        try checkNamed(effects, newer)
        var removedBundles: [TreeEntry] = []
        let differences = try ledger.repository.differences(from: older.tree, to: newer.tree) { path in
            path != "entry.json" && path != "changes.jsonl"
        }
        for difference in differences {
            if difference.path.hasPrefix("agents/") || difference.path.hasPrefix("state/") {
                guard let wanted = expected.take(difference.path) else {
                    note(sequence, "\(difference.path) changed, and the entry does not say so")
                    continue
                }
                if try !isStored(difference.after, wanted, proof) {
                    note(sequence, "\(difference.path) is not what the entry says")
                }
            } else if let digest = LivePath.digest(atBundle: difference.path) {
                if let after = difference.after {
                    if try !published.asksFor(digest, ledger.repository.bytes(of: after.id, .blob, proof: .ownCheck)) {
                        note(sequence, "bundle \(digest.short) is not what its name says, or nobody asked for it")
                    }
                } else if let before = difference.before {
                    removedBundles.append(before)
                }
            } else if LivePath.isShared(difference.path) {
                if !changes.contains(where: { $0.file?.path == difference.path }) {
                    note(sequence, "\(difference.path) changed, and the entry does not say so")
                }
            } else {
                note(sequence, "\(difference.path) is not a file of a ledger")
            }
        }
        try checkRemoved(removedBundles, newer)
        try checkShared(changes, newer, proof)
        // Unchanged files must already have been what the entry says.
        for (path, wanted) in expected.rest {
            if try !isUnchanged(ledger.repository.entry(at: path, in: newer.tree), wanted) {
                note(sequence, "\(path) is not what the entry says")
            }
        }
    }

    /// Routes and what is remembered name bundles that are there.
    private mutating func checkNamed(_ effects: [AgentEffect], _ newer: RecordedEntry) throws {
        for effect in effects {
            for digest in effect.digests
            where try ledger.repository.entry(at: LivePath.bundle(digest), in: newer.tree) == nil {
                note(newer.entry.sequence, "\(effect.agent) has bundle \(digest.short), and it is not there")
            }
        }
    }

    /// Files that belong to no agent are what the last change that names them says.
    private mutating func checkShared(_ changes: [Change], _ newer: RecordedEntry, _ proof: RecordedProof) throws {
        let last = Dictionary(changes.compactMap(\.file).map { ($0.path, $0) }) { $1 }
        for file in last.values {
            let stored = try ledger.repository.entry(at: file.path, in: newer.tree).map(contents)
            if stored.map({ SHA256.hex(of: $0) }) != file.digest?.hex {
                note(newer.entry.sequence, "\(file.path) is not what the entry says")
            } else if let stored, !proof.isShared(stored, at: file.path) {
                note(newer.entry.sequence, "\(file.path) has a proof that is not of the entry that published it")
            }
        }
    }

    /// The bundles that an entry's changes ask for, and whose each is.
    private struct Published {
        private var agents: [Digest: AgentID] = [:]

        init(_ effects: [AgentEffect]) {
            for effect in effects { for digest in effect.digests { agents[digest] = effect.agent } }
        }

        /// Whether these are the bytes of that name, and of the agent that gets them: its name comes first in canonical
        /// JSON.
        func asksFor(_ digest: Digest, _ bytes: [UInt8]) -> Bool {
            guard let agent = agents[digest], SHA256.hex(of: bytes) == digest.hex else { return false }
            return bytes.starts(with: "{\"agent\":\"\(agent)\",".utf8)
        }
    }

    /// The files that an entry's changes make, by path.
    private struct Expected {
        struct File {
            /// Nil for a file that must not be there. A route's without its proof.
            var bytes: [UInt8]?
            /// What a route's file says, whoever proves it; nil for other files.
            var route: Route?

            init(_ bytes: [UInt8]?, route: Route? = nil) {
                self.bytes = bytes
                self.route = route
            }

            var id: ObjectID? { bytes.map { Repository.objectID(of: $0, .blob) } }
        }

        private(set) var rest: [String: File] = [:]

        init(_ effects: [AgentEffect]) {
            for effect in effects {
                rest[LivePath.route(effect.agent)] = File(effect.route?.bytes, route: effect.route)
                rest[AgentState.path(effect.agent)] = File(effect.state?.bytes)
            }
        }

        mutating func add(_ path: String, _ bytes: [UInt8]?) { rest[path] = File(bytes) }

        mutating func take(_ path: String) -> File? { rest.removeValue(forKey: path) }
    }

    /// Whether what an entry has changed is that file. The object itself is read: stock git does not check what is under
    /// an id when it shows it.
    private func isStored(_ stored: TreeEntry?, _ file: Expected.File, _ proof: RecordedProof) throws -> Bool {
        guard let stored, let bytes = file.bytes else { return stored == nil && file.bytes == nil }
        let found = try contents(stored)
        // Content under another object's name: what it says does not matter.
        guard stored.id == Repository.objectID(of: found, .blob) else { return false }
        return file.route.map { proof.isRoute(found, $0) } ?? (found == bytes)
    }

    /// Whether what an entry has left as it was is that file.
    private func isUnchanged(_ stored: TreeEntry?, _ file: Expected.File) throws -> Bool {
        if stored?.id == file.id { return true }
        guard let stored, let route = file.route else { return false }
        return RecordedProof.says(try contents(stored), route)
    }

    /// A bundle may go only when no route names it.
    private mutating func checkRemoved(_ bundles: [TreeEntry], _ newer: RecordedEntry) throws {
        for entry in bundles {
            let bytes = try ledger.repository.bytes(of: entry.id, .blob)
            guard let agent = try JSONParser.parse(bytes)["agent"]?.string.flatMap({ AgentID($0) }) else { continue }
            let digest = SHA256.hex(of: bytes)
            guard let route = try route(of: agent, newer) else { continue }
            if route.targets.contains(where: { $0.digest.hex == digest }) {
                note(newer.entry.sequence, "a bundle that \(agent) is routed to is gone")
            }
        }
    }

    /// What an entry has stopped as a whole; nil when it cannot be read.
    private func halts(_ entry: RecordedEntry) throws -> FleetHalts? {
        guard let file = try ledger.repository.entry(at: FleetHalts.path, in: entry.tree) else { return FleetHalts() }
        return try FleetHalts(json: JSONParser.parse(ledger.repository.bytes(of: file.id, .blob)))
    }

    private func route(of agent: AgentID, _ entry: RecordedEntry) throws -> Route? {
        guard let file = try ledger.repository.entry(at: LivePath.route(agent), in: entry.tree) else { return nil }
        return try Route(json: JSONParser.parse(ledger.repository.bytes(of: file.id, .blob)))
    }

    private func contents(_ entry: TreeEntry) throws -> [UInt8] {
        try ledger.repository.bytes(of: entry.id, .blob, proof: .ownCheck)
    }
}
