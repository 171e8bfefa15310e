package import EnsignCrypto
package import EnsignLedger
package import EnsignModel
import EnsignSystem

/// Hands an environment's ledger over to a new key.
///
/// First the new key is made durable under another name; then comes the entry that lists it, signed by the old key;
/// then the new key takes the old one's place. After a crash at any moment the next rotation goes on, and until then
/// nothing else is signed: the entry names the key.
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
    /// - Returns: The `key` entry; of a rotation that was interrupted after its entry, that one.
    /// - Throws: ``ReconcileError/missingKey(environment:path:)`` when the ledger has not begun or its key is missing.
    package func run(now: Timestamp) throws -> RecordedEntry {
        let lock = try FileLock(site.files.lock(environment), timeout: .seconds(60))
        defer { withExtendedLifetime(lock) {} }
        let path = site.settings.signingKey(environment, site.files)
        let ledger = site.ledger(environment)
        let tip = try ledger.tip()
        try ledger.checkHighWater(tip)
        if let tip, try Self.isInterrupted(after: tip, environment, path) {
            try finish(tip, path)
            return tip
        }
        guard let tip, let outgoing = try LedgerKey.load(environment, path: path) else {
            throw ReconcileError.missingKey(environment: environment, path: path)
        }
        let incoming = try LedgerKey.create(environment, path: Self.next(path))
        let source = try tip.acceptedSource.map { try SourceInspector.inspect($0, in: site) }
        let entry = try ledger.append(
            EntryDraft(
                kind: .key,
                source: source,
                parent: tip.acceptedSource,
                actor: actor,
                time: now,
                reason: Entry.Reason(.rotated),
                changes: [],
                agents: tip.agents,
                result: .ok,
                keys: [incoming.publicKey.line]
            ),
            after: tip,
            key: outgoing
        )
        try finish(entry, path)
        return entry
    }

    /// Makes the key that the next rotation hands over to, so that whoever reads what is live can have its line before.
    ///
    /// - Returns: Its public half; of a key that was prepared before, that one.
    /// - Throws: ``ReconcileError/missingKey(environment:path:)`` when the ledger has not begun or its key is missing.
    package func prepare() throws -> SSHPublicKey {
        let lock = try FileLock(site.files.lock(environment), timeout: .seconds(60))
        defer { withExtendedLifetime(lock) {} }
        let path = site.settings.signingKey(environment, site.files)
        guard let tip = try site.ledger(environment).tip(), try LedgerKey.load(environment, path: path) != nil else {
            throw ReconcileError.missingKey(environment: environment, path: path)
        }
        if try Self.isInterrupted(after: tip, environment, path) {
            throw ReconcileError.rotationInterrupted(environment: environment)
        }
        return try LedgerKey.create(environment, path: Self.next(path)).publicKey
    }

    /// The key that the next rotation hands over to; nil when none was prepared.
    package static func prepared(_ site: Site, _ environment: String) throws -> SSHPublicKey? {
        let path = next(site.settings.signingKey(environment, site.files))
        return try LedgerKey.isMissing(path) ? nil : LedgerKey.load(environment, path: path)?.publicKey
    }

    private func finish(_ entry: RecordedEntry, _ path: String) throws {
        let former = "\(path).before-\(entry.entry.sequence)"
        try LedgerKey.replace(environment, at: path, by: Self.next(path), keeping: former)
    }

    private static func next(_ path: String) -> String { path + ".next" }

    /// Whether the newest entry hands over to a key that has not taken its place yet. What the old key signed from then
    /// on would break the ledger.
    ///
    /// - Parameter path: Where the environment's key is.
    package static func isInterrupted(after tip: RecordedEntry, _ environment: String, _ path: String) throws -> Bool {
        guard tip.entry.kind == .key, !(try LedgerKey.isMissing(next(path))),
            let next = try LedgerKey.load(environment, path: next(path))
        else { return false }
        return tip.entry.keys == [next.publicKey.line]
    }
}
