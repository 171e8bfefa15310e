import EnsignCrypto
package import EnsignGit
package import EnsignModel

/// What is known of a source commit: who wrote it, and whether a key that the fleet trusts signed it.
package enum SourceInspector {
    package static func inspect(_ id: ObjectID, ref: String, repository: Repository) throws -> Entry.Source {
        let commit = try repository.commit(id)
        let (state, signer) = try signature(of: commit, repository)
        return Entry.Source(
            ref: ref,
            commit: id,
            author: commit.author,
            signer: signer,
            signature: state
        )
    }

    /// Checks the signature against `fleet/trust/allowed_signers` of the commit itself.
    private static func signature(
        of commit: Commit,
        _ repository: Repository
    ) throws -> (Entry.SignatureState, String?) {
        guard let armored = commit.signature else { return (.none, nil) }
        // Git keeps OpenPGP and X.509 signatures too, but Ensign knows none of their keys.
        guard let signature = try? SSHSignature(armored: armored) else {
            let isSSH = armored.starts(with: "-----BEGIN SSH SIGNATURE".utf8)
            return (isSSH ? .bad : .unknownKey, nil)
        }
        let fingerprint = signature.publicKey.fingerprint
        switch signature.verdict(on: commit.signedBytes, namespace: "git") {
        case .badSignature, .wrongNamespace: return (.bad, fingerprint)
        case .unsupportedKeyType: return (.unknownKey, fingerprint)
        case .good: break
        }
        guard let file = try repository.entry(at: RepositoryPath.allowedSigners, in: commit.tree),
            file.mode == .file, try repository.header(of: file.id).size <= 1 << 20
        else { return (.unknownKey, fingerprint) }
        let (signers, _) = AllowedSigners.parse(try repository.bytes(of: file.id, .blob))
        switch signers.match(signature.publicKey, namespace: "git", at: commit.time) {
        case .signer: return (.good, fingerprint)
        case .unknownKey, .wrongNamespace, .expired, .notYetValid: return (.unknownKey, fingerprint)
        }
    }

    private static let revertMark = Array("This reverts commit ".utf8)

    /// The commits that new commits say they revert: git writes `This reverts commit <id>.` into the message.
    package static func reverted(from new: ObjectID, since old: ObjectID?, repository: Repository) throws -> [ObjectID]
    {
        var reverted: [ObjectID] = []
        for id in try repository.commits(from: new, notIn: old, limit: 200) {
            // As bytes: a message may have any size, and so may one letter of it.
            var rest = Array(try repository.commit(id).message.utf8)[...]
            while let range = rest.firstRange(of: Self.revertMark) {
                rest = rest[range.upperBound...]
                if let target = ObjectID(String(decoding: rest.prefix(40), as: UTF8.self)) { reverted.append(target) }
            }
        }
        return reverted
    }
}
