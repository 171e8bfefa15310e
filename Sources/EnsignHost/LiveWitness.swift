import EnsignLedger
import EnsignModel
import EnsignPolicy
import EnsignTargets

/// The live directory as a witness of a ledger that is gone with its high-water mark: what this clone's key has signed
/// there names an entry.
struct LiveWitness {
    let target: any Target
    let environment: String
    /// Where the environment's key is.
    let keyPath: String

    /// The entry that the first file whose proof holds was published by; nil when none has such a proof, or the key is
    /// not here: whoever has lost it begins anew.
    func entry() throws -> Int64? {
        guard let first = try target.read(LivePath.header) else { return try entryOfRoutes() }
        return try prove(first, .header) ?? entryOfRoutes()
    }

    private func entryOfRoutes() throws -> Int64? {
        for agent in try target.agents(of: nil) {
            guard let bytes = try target.read(LivePath.route(agent)) else { continue }
            if let entry = try prove(bytes, .route(agent)) { return entry }
        }
        return nil
    }

    private func prove(_ bytes: [UInt8], _ file: LiveProof.File) throws -> Int64? {
        guard try !LedgerKey.isMissing(keyPath), let key = try LedgerKey.load(environment, path: keyPath) else {
            return nil
        }
        let keys = LiveKeys(environment: environment, keys: [key.publicKey])
        guard case .success(let proven) = LiveProof.verify(bytes, as: file, of: environment, keys: keys) else {
            return nil
        }
        return proven.entry
    }
}
