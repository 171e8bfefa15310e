import EnsignCrypto
package import EnsignGit
import EnsignLedger
package import EnsignModel

/// What is known of a source commit: who wrote it, and whether a key that the fleet trusts signed it.
package enum SourceInspector {
    package static func inspect(_ id: ObjectID, in site: Site) throws -> Entry.Source {
        let commit = try site.repository.commit(id)
        let (state, signer) = try signature(of: commit, site)
        return Entry.Source(
            ref: site.settings.desiredRef,
            commit: id,
            author: commit.author,
            signer: signer,
            signature: state
        )
    }

    /// Checks the signature against `fleet/trust/allowed_signers` of the commit itself, as git does with that file.
    private static func signature(of commit: Commit, _ site: Site) throws -> (Entry.SignatureState, String?) {
        guard let armored = commit.signature else { return (.none, nil) }
        // Git keeps OpenPGP and X.509 signatures too, but Ensign knows none of their keys.
        guard let signature = try? SSHSignature(inCommit: armored) else {
            let isSSH = armored.starts(with: "-----BEGIN SSH SIGNATURE".utf8)
            return (isSSH ? .bad : .unknownKey, nil)
        }
        let fingerprint = signature.publicKey.fingerprint
        switch signature.verdict(on: commit.signedBytes, namespace: "git") {
        case .badSignature, .wrongNamespace: return (.bad, fingerprint)
        case .unsupportedKeyType: return (try ask(armored, commit, site), fingerprint)
        case .good: break
        }
        if try isOwn(commit, signature.publicKey, site) { return (.good, fingerprint) }
        let signers = AllowedSigners.parse(try allowedSigners(commit, site.repository) ?? []).0
        switch signers.match(signature.publicKey, namespace: "git", at: commit.time) {
        case .signer: return (.good, fingerprint)
        case .unknownKey, .wrongNamespace, .expired, .notYetValid: return (.unknownKey, fingerprint)
        }
    }

    /// Nil when there is no such file, or none that is read.
    private static func allowedSigners(_ commit: Commit, _ repository: Repository) throws -> [UInt8]? {
        guard let file = try repository.entry(at: RepositoryPath.allowedSigners, in: commit.tree),
            file.mode == .file, try repository.header(of: file.id).size <= 1 << 20
        else { return nil }
        return try repository.bytes(of: file.id, .blob)
    }

    private static func ask(_ armored: [UInt8], _ commit: Commit, _ site: Site) throws -> Entry.SignatureState {
        let keygen = SSHKeygen(folder: site.files.scratch, run: site.runKeygen)
        let signers = try allowedSigners(commit, site.repository)
        switch try keygen.check(armored, of: commit.signedBytes, signers: signers, at: commit.time) {
        case .good: return .good
        case .bad: return .bad
        case .unknownKey: return .unknownKey
        case .unsupported: return .unsupported
        }
    }

    /// Whether Ensign made the commit here: those on rollback branches are signed with the key of their environment's
    /// ledger, which no list names. A former key does not count: it may be in other hands.
    private static func isOwn(_ commit: Commit, _ key: SSHPublicKey, _ site: Site) throws -> Bool {
        let name = commit.author.dropFirst("Ensign ".count).prefix { $0 != " " }
        let environment = String(name)
        guard Name.isValid(environment), commit.author == "Ensign \(environment) <\(environment)@ensign.invalid>" else {
            return false
        }
        let path = site.settings.signingKey(environment, site.files)
        // Nobody needs this key to know who wrote a commit.
        return (try? LedgerKey.load(environment, path: path))?.publicKey == key
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
