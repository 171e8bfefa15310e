import CSodium

/// An Ed25519 private key in memory that is never swapped and is zeroed when the last reference is released.
///
/// A class, because all signers of an environment share its one key; nothing in it changes.
package final class SSHPrivateKey: Sendable {
    /// The seed and the public key, one after the other.
    private let secret: SecretBytes

    /// The key that verifies what this one signs.
    package let publicKey: SSHPublicKey

    /// Takes over the 64 bytes of a secret.
    private init(secret: consuming SecretBytes) {
        self.publicKey = secret.withBytes { SSHPublicKey(ed25519: $0.extracting(Ed25519.seedByteCount..<$0.count)) }
        self.secret = secret
    }

    /// Makes the key that follows from `seed`, 32 bytes (RFC 8032, section 5.1.5): for tests that need the same key
    /// again.
    package convenience init(seed: [UInt8]) {
        self.init(secret: Ed25519.secret(seed: seed.span))
    }

    /// Makes a new key from the system's randomness.
    package static func generate() -> SSHPrivateKey {
        var seed = SecretBytes(count: Ed25519.seedByteCount)
        unsafe seed.withMutableBytes { unsafe randombytes_buf($0.start, $0.count) }
        return SSHPrivateKey(secret: seed.withBytes { Ed25519.secret(seed: $0) })
    }

    /// Returns the 64 bytes of the signature of `message` (RFC 8032, section 5.1.6). See ``SSHSignature`` for signed
    /// files.
    package func sign(_ message: [UInt8]) -> [UInt8] {
        secret.withBytes { Ed25519.sign(message.span, secret: $0) }
    }
}

/// The key file format `openssh-key-v1` (PROTOCOL.key).
extension SSHPrivateKey {
    /// The name that the format begins with; a NUL follows.
    private static let magic: StaticString = "openssh-key-v1"

    /// Reads a private key file as ssh-keygen writes it. White space after its last line is ignored.
    ///
    /// - Throws: ``SSHKeyError/encrypted`` if it needs a passphrase, ``SSHKeyError/unsupportedType(_:)`` if it holds a
    ///   key of another type, else ``SSHKeyError/malformed(_:)``: also if the public and private parts do not belong
    ///   together.
    package convenience init(openSSH text: [UInt8]) throws(SSHKeyError) {
        let end = text.lastIndex { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }.map { $0 + 1 } ?? 0
        let body: Span<UInt8>
        do {
            let range = try Armor.privateKey.body(of: text.span.extracting(0..<end)).range
            body = text.span.extracting(range)
        } catch {
            throw .malformed(error.why)
        }

        var decoded = SecretBytes(count: Base64.decodedCapacity(body.count))
        let count = unsafe decoded.withMutableBytes {
            unsafe Base64.decode(body, padding: .padded, newlines: true, into: $0)
        }
        guard let count else { throw .malformed("it is not valid base64") }
        try self.init(
            secret: decoded.withBytes { (bytes) throws(SSHKeyError) in
                try Self.secret(inBlob: bytes.extracting(0..<count))
            }
        )
    }

    /// Returns the text of a private key file, not encrypted, as ssh-keygen would write it.
    ///
    /// The text is an ordinary string: the caller must keep it no longer than needed.
    ///
    /// - Parameter comment: Shown by ssh-keygen and agents. It must not contain a NUL.
    /// - Returns: The text with a line feed at its end. Two calls differ in the random check numbers.
    package func openSSHText(comment: String) -> String {
        precondition(!comment.utf8.contains(0), "a key's comment must not contain a NUL")
        Sodium.start()
        let check = randombytes_random()

        // 4 + 4 check, 4 + 11 type, 4 + 32 public, 4 + 64 secret, 4 + comment, up to 7 of padding to the block size 8.
        let unpadded = 131 + comment.utf8.count
        let padding = (8 - unpadded % 8) % 8

        var head: [UInt8] = []
        head.append(contentsOf: "\(Self.magic)\0".utf8)
        head.appendWire("none".utf8)  // cipher
        head.appendWire("none".utf8)  // key derivation
        head.appendWire([])  // its options
        head.appendWire(1)  // number of keys
        head.appendWire(publicKey.blob)
        head.appendWire(UInt32(unpadded + padding))
        head.appendWire(check)
        head.appendWire(check)
        head.append(contentsOf: publicKey.blob)  // the private form begins with the same two strings
        head.appendWire(UInt32(Ed25519.secretByteCount))

        var tail: [UInt8] = []
        tail.appendWire(comment.utf8)
        tail.append(contentsOf: (0..<padding).map { UInt8($0 + 1) })

        var blob = SecretBytes(count: head.count + Ed25519.secretByteCount + tail.count)
        secret.withBytes { secret in
            unsafe blob.withMutableBytes { output in
                unsafe output.copyBytes(from: head)
                for index in secret.indices { unsafe output[head.count + index] = secret[index] }
                for index in tail.indices { unsafe output[head.count + secret.count + index] = tail[index] }
            }
        }
        return blob.withBytes { Armor.privateKey.text($0) }
    }

    /// Finds the secret in the decoded base64 of a key file (PROTOCOL.key, sections 1 and 3).
    private static func secret(inBlob blob: Span<UInt8>) throws(SSHKeyError) -> SecretBytes {
        var cursor = WireCursor()
        guard let magic = cursor.take(Self.magic.utf8CodeUnitCount + 1, in: blob),
            blob.extracting(magic).hasPrefix(Self.magic), blob[magic.upperBound - 1] == 0,
            let cipher = cursor.string(in: blob),
            let derivation = cursor.string(in: blob),
            let options = cursor.string(in: blob)
        else { throw .malformed("it does not begin as the format openssh-key-v1 does") }

        guard blob.extracting(cipher).equals("none"), blob.extracting(derivation).equals("none") else {
            throw .encrypted
        }
        guard options.isEmpty else { throw .malformed("options for a passphrase that it does not have") }
        guard cursor.uint32(in: blob) == 1 else { throw .malformed("it must hold one key") }
        guard let publicRange = cursor.string(in: blob), let privateRange = cursor.string(in: blob) else {
            throw .malformed("it ends too early")
        }
        guard cursor.isAtEnd(of: blob) else { throw .malformed("bytes after the end of the key") }

        let publicKey = try SSHPublicKey(blob: blob.extracting(publicRange).array)
        guard publicKey.kind == .ed25519 else { throw .unsupportedType(publicKey.typeName) }
        return try secret(inPrivatePart: blob.extracting(privateRange), of: publicKey)
    }

    /// Finds the secret in the private part of a key file (PROTOCOL.key, section 3).
    private static func secret(
        inPrivatePart part: Span<UInt8>,
        of publicKey: SSHPublicKey
    ) throws(SSHKeyError) -> SecretBytes {
        guard part.count.isMultiple(of: 8) else { throw .malformed("the private part is not made of whole blocks") }
        var cursor = WireCursor()
        guard let first = cursor.uint32(in: part), let second = cursor.uint32(in: part), first == second else {
            throw .malformed("the check numbers differ")
        }
        // The private form of an Ed25519 key begins with the two strings of the public one.
        guard let start = cursor.take(publicKey.blob.count, in: part),
            part.extracting(start).equals(publicKey.blob.span),
            let secretRange = cursor.string(in: part), secretRange.count == Ed25519.secretByteCount
        else { throw .malformed("the private part is not that of its public key") }
        guard cursor.string(in: part) != nil else { throw .malformed("it has no comment") }

        var padding: UInt8 = 0
        while let byte = cursor.byte(in: part) {
            padding &+= 1
            guard byte == padding else { throw .malformed("wrong padding") }
        }

        // Signing with a public key that is not the seed's own would reveal the seed, so it is derived again.
        let stored = part.extracting(secretRange)
        let derived = Ed25519.secret(seed: stored.extracting(0..<Ed25519.seedByteCount))
        let isConsistent = derived.withBytes { derived in
            guard let publicRange = publicKey.ed25519Range else { return false }
            // The compared bytes are public by now: each byte is the seed's own, or belongs to the public key.
            return derived.equals(stored)
                && derived.extracting(Ed25519.seedByteCount..<derived.count)
                    .equals(publicKey.blob.span.extracting(publicRange))
        }
        guard isConsistent else { throw .malformed("the private part is not that of its public key") }
        return derived
    }
}
