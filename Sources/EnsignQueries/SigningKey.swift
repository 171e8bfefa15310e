import EnsignCrypto
package import EnsignHost
import EnsignLedger
package import EnsignModel
import EnsignPolicy
import EnsignSystem

/// A key that may sign an environment's ledger.
package struct SigningKey: Sendable, Hashable {
    package var environment: String
    /// As `allowed_signers` writes it: `ssh-ed25519 AAAA...`.
    package var line: String
    /// The numbers of the entries that it may sign; nil for no end, and from nil on for a key that is only prepared.
    package var from: Int64?
    package var to: Int64?

    package init(environment: String, line: String, from: Int64?, to: Int64?) {
        self.environment = environment
        self.line = line
        self.from = from
        self.to = to
    }

    /// Oldest first, the one that is prepared for a rotation last; before the first entry the key that is there for it.
    package static func all(_ site: Site, _ environment: String) throws -> [SigningKey] {
        // Whose keys counted before a rotation must not be told as those that count.
        _ = try site.ledger(environment).checkedTip()
        let keys = try site.ledger(environment).keys().map {
            SigningKey(environment: environment, line: $0.line, from: $0.from, to: $0.to)
        }
        guard keys.isEmpty else {
            let next = try isHidden(site, environment) ? nil : KeyRotation.prepared(site, environment)?.line
            // One that the newest entry hands over to is listed already.
            guard let next, !keys.contains(where: { $0.line == next }) else { return keys }
            return keys + [SigningKey(environment: environment, line: next, from: nil, to: nil)]
        }
        let path = site.settings.signingKey(environment, site.files)
        guard let key = try LedgerKey.load(environment, path: path) else { return [] }
        return [SigningKey(environment: environment, line: key.publicKey.line, from: 0, to: nil)]
    }

    /// Whether this account may not see a key that is prepared: private keys are their owner's.
    package static func isHidden(_ site: Site, _ environment: String) throws -> Bool {
        do { _ = try KeyRotation.prepared(site, environment) } catch let error as SystemError where error.isDenied {
            return true
        }
        return false
    }

    /// The name in front of the key in `allowed_signers`.
    package var principal: String { "\(environment)@ensign.invalid" }

    /// A line of `allowed_signers`. What is live is signed by the newest key alone: with one that was handed over,
    /// somebody could sign a route as of an entry that it did sign.
    package var allowedSigner: String { "\(principal) namespaces=\"\(namespaces.joined(separator: ","))\" \(line)" }

    private var namespaces: [String] {
        switch (from, to) {
        case (nil, _): [LiveProof.namespace]
        case (_, nil): ["git", LiveProof.namespace]
        case (_, _): ["git"]
        }
    }

    package static func json(_ keys: [SigningKey]) -> JSONValue { ["v": 1, "keys": .array(keys.map(\.json))] }

    private var json: JSONValue {
        [
            "environment": .string(environment), "principal": .string(principal), "key": .string(line),
            "fingerprint": (try? SSHPublicKey(line: line)).map { .string($0.fingerprint) } ?? .null,
            "fromSeq": from.map { .integer($0) } ?? .null, "toSeq": to.map { .integer($0) } ?? .null,
            "namespaces": .array(namespaces.map { .string($0) }),
        ]
    }
}
