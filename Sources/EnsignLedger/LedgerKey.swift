package import EnsignCrypto
import EnsignModel
import EnsignSystem

/// An environment's signing key.
package struct LedgerKey: Sendable {
    private let key: SSHPrivateKey

    package var publicKey: SSHPublicKey { key.publicKey }

    /// Signs bytes, as git does or for what else the namespace says.
    package func sign(_ payload: [UInt8], namespace: String = LedgerCommit.namespace) -> String {
        SSHSignature.sign(payload, key: key, namespace: namespace)
    }

    /// Reads the key of an environment.
    ///
    /// - Returns: nil when there is no such file.
    /// - Throws: ``LedgerError/key(environment:path:why:)`` when it is not an unencrypted Ed25519 key, or others may
    ///   read it; ``SystemError`` when it cannot be read.
    package static func load(_ environment: String, path: String) throws -> LedgerKey? {
        guard let status = try Files.status(path) else { return nil }
        guard status.kind != .directory else {
            throw LedgerError.key(environment: environment, path: path, why: "it is a folder")
        }
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

    /// The file beside the key in which a rotation has kept a former one; nil where that one is not there.
    package static func former(_ path: String, _ signer: SSHPublicKey) throws -> String? {
        guard let folder = Files.parent(of: path) else { return nil }
        return try (Files.list(folder) ?? []).map { "\(folder)/\($0)" }.first { file in
            guard file.hasPrefix("\(path).before-"), let text = try Files.read(file, limit: 65_536) else {
                return false
            }
            return (try? SSHPrivateKey(openSSH: text))?.publicKey == signer
        }
    }

    /// Whether there is no key yet: no file, or an empty one, which 0.1.0 left behind on a full disk.
    package static func isMissing(_ path: String) throws -> Bool { try Files.status(path)?.size ?? 0 == 0 }

    /// Makes a key for an environment whose ledger has not begun, and that has none. The file is there whole or not at
    /// all; one that is there and not empty stays as it is. Its public half is written where it is missing or another.
    package static func create(_ environment: String, path: String) throws -> LedgerKey {
        if let folder = Files.parent(of: path) { try Files.makeDirectories(folder, mode: 0o700) }
        if try isMissing(path) {
            let key = SSHPrivateKey.generate()
            let text = Array(key.openSSHText(comment: comment(environment)).utf8)
            try Files.remove(path)
            _ = try Files.create(path, with: text, mode: 0o600)
        }
        guard let stored = try load(environment, path: path) else {
            throw LedgerError.key(environment: environment, path: path, why: "it vanished while it was written")
        }
        try stored.writePublicHalf(environment, path)
        return stored
    }

    private static func comment(_ environment: String) -> String { "ensign-\(environment)" }

    private func writePublicHalf(_ environment: String, _ path: String) throws {
        let line = Array("\(publicKey.line) \(Self.comment(environment))\n".utf8)
        guard try Files.readOwn(path + ".pub", limit: 4_096) != line else { return }
        try Files.replace(path + ".pub", with: line)
    }

    /// Puts a key in another's place, which stays beside it under the name `former`. There is a whole key at `path` at
    /// every moment, and this may be done again after any crash.
    ///
    /// - Parameter next: Where the new key is.
    package static func replace(_ environment: String, at path: String, by next: String, keeping former: String) throws
    {
        guard let new = try load(environment, path: next) else { return }
        if let old = try load(environment, path: path), old.publicKey != new.publicKey,
            let text = try Files.read(path, limit: 65_536)
        {
            _ = try Files.create(former, with: text, mode: 0o600)
            try old.writePublicHalf(environment, former)
        }
        try new.writePublicHalf(environment, path)
        try Files.rename(next, to: path)
        try Files.remove(next + ".pub")
        if let folder = Files.parent(of: path) { try Files.syncDirectory(folder) }
    }
}
