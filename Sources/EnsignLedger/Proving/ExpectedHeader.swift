package import EnsignCrypto
package import EnsignModel
import EnsignPolicy

/// What `fleet.json` should be, but for the time in it: no entry has that.
package struct ExpectedHeader: Sendable {
    private let header: LiveHeader
    private let keys: LiveKeys
    /// Whether nothing here was signed yet: then the header of an earlier version, without proof, is as it should be.
    private let allowsBare: Bool

    /// - Parameters:
    ///   - entry: The newest that published.
    ///   - tip: The newest of all, which may hand over to another key.
    package init(_ entry: RecordedEntry, tip: RecordedEntry, allowsBare: Bool) {
        header = entry.header
        keys = LiveKeys(environment: header.environment, keys: [entry.signer] + tip.successors)
        self.allowsBare = allowsBare
    }

    /// The bytes without time and proof.
    package var bytes: [UInt8] { header.bytes }

    package func matches(_ found: [UInt8]) -> Bool { found == bytes ? allowsBare : heard(in: found) != nil }

    /// When it says that the host was last heard; nil when it is not as it should be.
    package func heard(in found: [UInt8]) -> Timestamp? {
        guard
            case .success(let proven) = LiveProof.verify(found, as: .header, of: header.environment, keys: keys),
            proven.entry == header.sequence, let heard = LiveHeader.heard(proven.value)
        else { return nil }
        var wanted = header
        wanted.heard = heard
        return wanted.members == proven.value ? heard : nil
    }
}

extension RecordedEntry {
    /// The keys that may sign the next entry.
    package var successors: [SSHPublicKey] {
        entry.keys.map { $0.compactMap { try? SSHPublicKey(line: $0) } } ?? [signer]
    }
}
