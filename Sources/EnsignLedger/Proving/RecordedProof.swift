import EnsignCrypto
import EnsignModel
import EnsignPolicy

/// Holds files of an entry's tree, with their proofs, against what the entry says.
struct RecordedProof {
    let environment: String
    /// The entry that published them: an intent, or a halt itself.
    let publisher: RecordedEntry

    /// Whether bytes are a route as that entry publishes it: with the proof that it is, or as versions wrote it that had
    /// none.
    func isRoute(_ bytes: [UInt8], _ route: Route) -> Bool {
        if bytes == route.bytes { return true }
        guard let proven = proven(bytes, .route(route.agent)) else { return false }
        return proven.value == route.members
    }

    /// Whether a file that belongs to no agent has no proof, or the one of that entry.
    func isShared(_ bytes: [UInt8], at path: String) -> Bool {
        guard let file = LiveProof.File(path: path), let parts = try? LiveProof.withoutProof(bytes), parts.entry != nil
        else { return true }
        return proven(bytes, file) != nil
    }

    /// Whether bytes say the same as a route, whoever signed them: what an earlier entry published was held against that.
    static func says(_ bytes: [UInt8], _ route: Route) -> Bool {
        guard let parts = try? LiveProof.withoutProof(bytes) else { return false }
        return parts.value == route.members
    }

    private func proven(_ bytes: [UInt8], _ file: LiveProof.File) -> LiveProof.Proven? {
        let keys = LiveKeys(environment: environment, keys: [publisher.signer])
        // Entries of version 1 have none.
        guard publisher.entry.format >= .v2,
            case .success(let proven) = LiveProof.verify(bytes, as: file, of: environment, keys: keys),
            proven.entry == publisher.entry.sequence
        else { return nil }
        return proven
    }
}
