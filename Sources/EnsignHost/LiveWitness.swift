import EnsignCrypto
import EnsignLedger
package import EnsignModel
import EnsignPolicy
import EnsignTargets

/// The live directory as a witness of a ledger that is gone, or older than what is live: what this clone's key has signed
/// there names an entry. The high-water mark alone says nothing of that when a backup brings it along.
package struct LiveWitness {
    private let target: any Target
    private let site: Site
    private let environment: String

    init(_ target: any Target, _ site: Site, _ environment: String) {
        self.target = target
        self.site = site
        self.environment = environment
    }

    /// The newest entry by which a file was published whose proof holds; nil when none is newer than that number, or the
    /// key is not here: whoever has lost it begins anew.
    ///
    /// Routes are read only where the header says nothing.
    func entry(after newest: Int64) throws -> Int64? {
        if let header = try target.read(LivePath.header) {
            guard let claimed = Self.claimed(header) else { return try entryOfRoutes(after: newest) }
            // Each run asks: whoever claims no more than the ledger has needs no proof.
            guard claimed > newest else { return nil }
            if let proven = try prove(header, .header, keys()) { return proven }
        }
        return try entryOfRoutes(after: newest)
    }

    /// Agents whose route says that they are halted, of whatever chain its entry is, and whoever signed it: nobody has to prove a
    /// halt, and the key that signed it may be lost with the entries. Sorted.
    package func halted() throws -> [AgentID] {
        try target.agents(of: nil)
            .filter { try target.read(LivePath.route($0)).map { Route.isHalted($0) } == true }
            .sorted()
    }

    private func entryOfRoutes(after newest: Int64) throws -> Int64? {
        let keys = try keys()
        var last: Int64?
        for agent in try target.agents(of: nil) {
            guard let bytes = try target.read(LivePath.route(agent)),
                let claimed = Self.claimed(bytes), claimed > max(newest, last ?? -1)
            else { continue }
            if let entry = try prove(bytes, .route(agent), keys) { last = entry }
        }
        return last
    }

    private static func claimed(_ bytes: [UInt8]) -> Int64? { try? LiveProof.withoutProof(bytes).entry }

    /// This clone's, and the one that a rotation was prepared for before the backup was made.
    private func keys() throws -> LiveKeys? {
        let path = site.settings.signingKey(environment, site.files)
        guard try !LedgerKey.isMissing(path), let key = try LedgerKey.load(environment, path: path) else { return nil }
        let next = try KeyRotation.prepared(site, environment)
        return LiveKeys(environment: environment, keys: [key.publicKey] + [next].compactMap { $0 })
    }

    private func prove(_ bytes: [UInt8], _ file: LiveProof.File, _ keys: LiveKeys?) throws -> Int64? {
        guard let keys, case .success(let proven) = LiveProof.verify(bytes, as: file, of: environment, keys: keys)
        else {
            return nil
        }
        return proven.entry
    }
}
