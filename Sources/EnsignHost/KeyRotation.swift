import EnsignCrypto
package import EnsignLedger
package import EnsignModel
import EnsignSystem

/// Hands an environment's ledger over to a new key.
///
/// First the new key is made durable under another name; then comes the entry that lists it, signed by the old key;
/// then the names change. After a crash, the next rotation or a rename by hand goes on: the entry names the key.
package struct KeyRotation {
    private let site: Site
    private let environment: String
    private let actor: Entry.Actor

    package init(site: Site, environment: String, actor: Entry.Actor) {
        self.site = site
        self.environment = environment
        self.actor = actor
    }

    /// Rotates the key.
    ///
    /// - Returns: The `key` entry.
    /// - Throws: ``ReconcileError/missingKey(environment:path:)`` when the ledger has not begun or its key is missing.
    package func run(reason: String, now: Timestamp) throws -> RecordedEntry {
        let lock = try FileLock(site.files.lock(environment), timeout: .seconds(60))
        defer { withExtendedLifetime(lock) {} }
        let path = site.settings.signingKey(environment, site.files)
        let ledger = site.ledger(environment)
        guard let tip = try ledger.tip(), let outgoing = try LedgerKey.load(environment, path: path) else {
            throw ReconcileError.missingKey(environment: environment, path: path)
        }
        try ledger.checkHighWater(tip)
        let next = path + ".next"
        let incoming = try LedgerKey.load(environment, path: next) ?? LedgerKey.create(environment, path: next)
        let source = try tip.acceptedSource.map {
            try SourceInspector.inspect($0, ref: site.settings.desiredRef, repository: site.repository)
        }
        let entry: RecordedEntry
        if tip.entry.kind == .key, tip.entry.keys == [incoming.publicKey.line] {
            entry = tip
        } else {
            entry = try ledger.append(
                EntryDraft(
                    kind: .key,
                    source: source,
                    parent: tip.acceptedSource,
                    actor: actor,
                    time: now,
                    reason: reason,
                    changes: [],
                    agents: tip.agents,
                    result: .ok,
                    keys: [incoming.publicKey.line]
                ),
                after: tip,
                key: outgoing
            )
        }
        for suffix in ["", ".pub"] {
            if try Files.status(path + suffix) != nil {
                try Files.rename(path + suffix, to: "\(path).before-\(entry.entry.sequence)\(suffix)")
            }
            try Files.rename(next + suffix, to: path + suffix)
        }
        return entry
    }
}
