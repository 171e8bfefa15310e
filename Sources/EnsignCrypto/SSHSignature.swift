/// A detached signature of a file or commit by an SSH key (PROTOCOL.sshsig).
///
/// It carries the public key that it was made with. `verdict(on:namespace:)` says whether that key signed the
/// message; whether the key may sign is another question (``AllowedSigners``, or the ledger's own list).
package struct SSHSignature: Sendable, Hashable {
    /// The hash that a message goes through before it is signed.
    package enum HashAlgorithm: String, Sendable, Hashable, CaseIterable {
        /// SHA-256.
        case sha256
        /// SHA-512: what ssh-keygen and ``SSHSignature/sign(_:key:namespace:)`` use.
        case sha512
    }

    /// The result of checking a signature.
    package enum Verdict: Sendable, Hashable {
        /// ``SSHSignature/publicKey`` signed this message in this namespace.
        case good
        /// It did not: another message, or another key.
        case badSignature
        /// The signature is for another namespace, ``SSHSignature/namespace``. Nothing else was checked.
        case wrongNamespace
        /// Keys of this type cannot be checked here. Nothing was checked: neither good nor bad.
        case unsupportedKeyType
    }

    /// The bytes that a signature and what it signs begin with.
    private static let magic: StaticString = "SSHSIG"

    /// The key that the signature says it was made with.
    package let publicKey: SSHPublicKey

    /// What the signature is for, as in `git` or `file`. Never empty, no NUL.
    package let namespace: String

    /// The hash that the message goes through.
    package let hashAlgorithm: HashAlgorithm

    /// Whether the base64 is in lines of 70 characters, as ssh-keygen and ``sign(_:key:namespace:)`` write it.
    ///
    /// Other programs use other lengths, which PROTOCOL.sshsig allows. Where one signature must have one spelling, as
    /// in the ledger, require this: then all bytes of the text, but a line feed at its end, follow from the signature's
    /// values.
    package let hasOpenSSHColumns: Bool

    /// The decoded base64.
    private let blob: [UInt8]

    /// Where the signature's own bytes are in ``blob``: for Ed25519 the 64 of RFC 8032; for another type, everything in
    /// it.
    private let signatureRange: Range<Int>

    /// Reads a signature.
    ///
    /// The text must be the BEGIN line, base64 in lines that are not empty, and the END line with or without a line
    /// feed: nothing before, nothing after, no other white space. For an unknown key type, the innermost part stays
    /// unchecked.
    ///
    /// - Throws: ``SSHSignatureError``.
    package init(armored text: [UInt8]) throws(SSHSignatureError) { try self.init(armored: text.span) }

    /// Reads a signature, as `init(armored:)` of an array does.
    ///
    /// - Throws: ``SSHSignatureError``.
    package init(armored text: ArraySlice<UInt8>) throws(SSHSignatureError) { try self.init(armored: text.span) }

    /// Reads a signature, as `init(armored:)` of an array does.
    ///
    /// - Throws: ``SSHSignatureError``.
    package init(armored text: Span<UInt8>) throws(SSHSignatureError) {
        let body: Armor.Body
        do { body = try Armor.signature.body(of: text) } catch { throw .malformedArmor(error.why) }
        guard let blob = Base64.decode(text.extracting(body.range), newlines: true) else {
            throw .malformedArmor("it is not valid base64")
        }

        let bytes = blob.span
        var cursor = WireCursor()
        guard let magic = cursor.take(Self.magic.utf8CodeUnitCount, in: bytes),
            bytes.extracting(magic).equals(Self.magic)
        else { throw .malformedBlob("it does not begin with SSHSIG") }
        guard let version = cursor.uint32(in: bytes) else { throw .malformedBlob("it ends too early") }
        guard version == 1 else { throw .unsupportedVersion(version) }
        guard let key = cursor.string(in: bytes),
            let namespace = cursor.string(in: bytes),
            let reserved = cursor.string(in: bytes),
            let hash = cursor.string(in: bytes),
            let signature = cursor.string(in: bytes)
        else { throw .malformedBlob("it ends too early") }
        guard cursor.isAtEnd(of: bytes) else { throw .malformedBlob("bytes after its end") }
        guard reserved.isEmpty else { throw .malformedBlob("the reserved field is not empty") }
        guard let namespace = bytes.extracting(namespace).text, !namespace.isEmpty, !namespace.utf8.contains(0) else {
            throw .malformedBlob("the namespace must be UTF-8, not empty, without a NUL")
        }

        self.publicKey = try Self.publicKey(bytes.extracting(key))
        self.namespace = namespace
        self.hashAlgorithm = try Self.hashAlgorithm(bytes.extracting(hash))
        self.hasOpenSSHColumns = body.hasOpenSSHColumns
        self.signatureRange = try Self.signatureRange(in: bytes, at: signature, by: publicKey.kind)
        self.blob = blob
    }

    /// Reads a signature as git does, which hands what is in a commit to ssh-keygen: text after the END line does not
    /// count, nor does white space within the base64 (sshsig.c, `sshsig_dearmor`).
    ///
    /// - Throws: ``SSHSignatureError``.
    package init(inCommit text: [UInt8]) throws(SSHSignatureError) {
        try self.init(armored: Armor.signature.tidied(text))
    }

    /// Signs `message`. The same key, message and namespace always give the same text.
    ///
    /// - Parameters:
    ///   - message: What is signed, through SHA-512.
    ///   - key: The key that signs.
    ///   - namespace: What the signature is for, as in `git`. It must not be empty or contain a NUL.
    /// - Returns: The signature's text, byte for byte as `ssh-keygen -Y sign` writes it: 70 characters of base64 in a
    ///   line, a line feed at the end.
    package static func sign(_ message: [UInt8], key: borrowing SSHPrivateKey, namespace: String) -> String {
        precondition(!namespace.isEmpty && !namespace.utf8.contains(0), "a namespace is not empty and has no NUL")
        let signature = unsafe message.withUnsafeBytes {
            unsafe key.sign(signedBytes($0, namespace: namespace, hashAlgorithm: .sha512))
        }

        var inner: [UInt8] = []
        inner.appendWire("ssh-ed25519".utf8)
        inner.appendWire(signature)

        var blob: [UInt8] = []
        blob.reserveCapacity(256)
        blob.append(contentsOf: "\(magic)".utf8)
        blob.appendWire(1)
        blob.appendWire(key.publicKey.blob)
        blob.appendWire(namespace.utf8)
        blob.appendWire([])
        blob.appendWire(HashAlgorithm.sha512.rawValue.utf8)
        blob.appendWire(inner)
        return Armor.signature.text(blob.span)
    }

    /// Says whether ``publicKey`` signed `message` for `namespace`.
    package func verdict(on message: [UInt8], namespace: String) -> Verdict {
        unsafe message.withUnsafeBytes { unsafe verdict(on: $0, namespace: namespace) }
    }

    /// Says whether ``publicKey`` signed `message` for `namespace`.
    package func verdict(on message: Span<UInt8>, namespace: String) -> Verdict {
        unsafe message.withUnsafeBytes { unsafe verdict(on: $0, namespace: namespace) }
    }

    /// Says whether ``publicKey`` signed `message`, which is only read during the call, for `namespace`.
    package func verdict(on message: UnsafeRawBufferPointer, namespace: String) -> Verdict {
        // Avoids ==, under which different bytes can be the same text.
        guard namespace.utf8.elementsEqual(self.namespace.utf8) else { return .wrongNamespace }
        guard let keyRange = publicKey.ed25519Range else { return .unsupportedKeyType }

        var signed = unsafe Self.signedBytes(message, namespace: namespace, hashAlgorithm: hashAlgorithm)
        if let application = publicKey.applicationRange {
            signed = securityKeyBytes(signed, application: application)
        }
        let isGood = Ed25519.verifies(
            signature: blob.span.extracting(signatureRange),
            message: signed.span,
            publicKey: publicKey.blob.span.extracting(keyRange)
        )
        return isGood ? .good : .badSignature
    }

    /// Returns what the key signs for `message` (PROTOCOL.sshsig, section 3).
    private static func signedBytes(
        _ message: UnsafeRawBufferPointer,
        namespace: String,
        hashAlgorithm: HashAlgorithm
    ) -> [UInt8] {
        let name = hashAlgorithm.rawValue.utf8
        let hashCount = hashAlgorithm == .sha256 ? SHA256.byteCount : SHA512.byteCount
        var signed: [UInt8] = []
        signed.reserveCapacity(6 + 4 + namespace.utf8.count + 4 + 4 + name.count + 4 + hashCount)
        signed.append(contentsOf: "SSHSIG".utf8)
        signed.appendWire(namespace.utf8)
        signed.appendWire([])  // reserved
        signed.appendWire(name)
        signed.appendWire(repeatElement(0, count: hashCount))
        unsafe signed.withUnsafeMutableBytes { signed in
            let hash = unsafe UnsafeMutableRawBufferPointer(rebasing: signed.suffix(hashCount))
            switch hashAlgorithm {
            case .sha256: unsafe SHA256.digest(of: message, into: hash)
            case .sha512: unsafe SHA512.digest(of: message, into: hash)
            }
        }
        return signed
    }

    /// Returns what a security key signs in place of `signed`: the SHA-256 of its application, the flags and the
    /// counter of this signature, and the SHA-256 of `signed` (PROTOCOL.u2f, "SSH U2F signatures").
    ///
    /// Whether a person was present, the flags say; git does not ask, and allowed_signers has no word for it.
    private func securityKeyBytes(_ signed: [UInt8], application: Range<Int>) -> [UInt8] {
        let flagsAndCounter = signatureRange.upperBound..<(signatureRange.upperBound + 5)
        return SHA256.digest(of: publicKey.blob.span.extracting(application))
            + blob[flagsAndCounter]
            + SHA256.digest(of: signed)
    }

    /// Reads the key inside a signature.
    private static func publicKey(_ bytes: Span<UInt8>) throws(SSHSignatureError) -> SSHPublicKey {
        do { return try SSHPublicKey(blob: bytes.array) } catch { throw .malformedBlob("\(error)") }
    }

    /// Reads the name of the hash inside a signature.
    private static func hashAlgorithm(_ name: Span<UInt8>) throws(SSHSignatureError) -> HashAlgorithm {
        if name.equals("sha512") { return .sha512 }
        if name.equals("sha256") { return .sha256 }
        throw .unsupportedHash(name.text ?? Hex.encode(name))
    }

    /// Finds the signature's own bytes (RFC 8709, section 6; PROTOCOL.u2f for security keys) within `range`.
    private static func signatureRange(
        in bytes: Span<UInt8>,
        at range: Range<Int>,
        by kind: SSHPublicKey.Kind
    ) throws(SSHSignatureError) -> Range<Int> {
        guard kind != .other else { return range }
        let inner = bytes.extracting(range)
        var cursor = WireCursor()
        guard let type = cursor.string(in: inner), let signature = cursor.string(in: inner) else {
            throw .malformedBlob("the signature in it ends too early")
        }
        let isOfType =
            kind == .ed25519
            ? inner.extracting(type).equals("ssh-ed25519")
            : inner.extracting(type).equals("sk-ssh-ed25519@openssh.com")
        guard isOfType else { throw .malformedBlob("the signature in it is not of the key's type") }
        guard signature.count == Ed25519.signatureByteCount else {
            throw .malformedBlob("an Ed25519 signature must have 64 bytes")
        }
        // The flags, one byte, and the counter, a uint32.
        if kind == .ed25519SecurityKey, cursor.take(5, in: inner) == nil {
            throw .malformedBlob("the signature in it ends too early")
        }
        guard cursor.isAtEnd(of: inner) else { throw .malformedBlob("bytes after the signature in it") }
        let start = range.lowerBound + signature.lowerBound
        return start..<(start + signature.count)
    }
}
