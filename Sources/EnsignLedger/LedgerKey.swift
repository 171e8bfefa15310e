package import EnsignCrypto
import EnsignModel
import EnsignSystem

/// An environment's signing key.
package struct LedgerKey: Sendable {
    private let key: SSHPrivateKey

    package var publicKey: SSHPublicKey { key.publicKey }

    /// Signs bytes as git does.
    package func sign(_ payload: [UInt8]) -> String {
        SSHSignature.sign(payload, key: key, namespace: LedgerCommit.namespace)
    }

    /// Reads the key of an environment.
    ///
    /// - Returns: nil when there is no such file.
    /// - Throws: ``LedgerError/key(environment:path:why:)`` when it is not an unencrypted Ed25519 key, or others may
    ///   read it; ``SystemError`` when it cannot be read.
    package static func load(_ environment: String, path: String) throws -> LedgerKey? {
        guard let status = try Files.status(path) else { return nil }
        guard status.permissions & 0o077 == 0 else {
            throw LedgerError.key(
                environment: environment,
                path: path,
                why: "others may read it; run: chmod 600 \(path)"
            )
        }
        guard let text = try Files.read(path, limit: 65_536) else { return nil }
        do {
            return LedgerKey(key: try SSHPrivateKey(openSSH: text))
        } catch {
            throw LedgerError.key(environment: environment, path: path, why: error.description)
        }
    }

    /// Makes a key for an environment that has none. An existing file stays as it is.
    package static func create(_ environment: String, path: String) throws -> LedgerKey {
        if let folder = Files.parent(of: path) { try Files.makeDirectories(folder, mode: 0o700) }
        let key = SSHPrivateKey.generate()
        let comment = "ensign-\(environment)"
        if try Files.create(path, with: Array(key.openSSHText(comment: comment).utf8), mode: 0o600) {
            try Files.replace(path + ".pub", with: Array("\(key.publicKey.line) \(comment)\n".utf8))
        }
        guard let stored = try load(environment, path: path) else {
            throw LedgerError.key(environment: environment, path: path, why: "it vanished while it was written")
        }
        return stored
    }
}
