/// An SSH public key (RFC 4253, section 6.6). Two are equal when their wire forms are equal, byte for byte.
///
/// Ed25519 (RFC 8709, section 4) and its security-key form (PROTOCOL.u2f) are understood and can verify signatures. Any
/// other type, certificates included, is only kept: it has a name, a fingerprint and a line.
package struct SSHPublicKey: Sendable, CustomStringConvertible {
    /// What is understood of a key.
    package enum Kind: Sendable, Hashable {
        /// `ssh-ed25519`.
        case ed25519
        /// `sk-ssh-ed25519@openssh.com`: on a FIDO token.
        case ed25519SecurityKey
        /// Any other type: cannot verify signatures here.
        case other
    }

    /// The longest wire form that is read. OpenSSH's own certificates and RSA keys stay far below.
    static let byteLimit = 65_536

    /// The wire form: the type's name as a `string`, then what that type says.
    package let blob: [UInt8]

    /// What is understood of the key.
    package let kind: Kind

    /// Reads a wire form, all of it.
    ///
    /// - Throws: ``SSHKeyError/malformed(_:)`` if it does not begin with a type's name (RFC 4250, section 4.6.1), if a
    ///   type that is understood is not exactly of its form, or beyond 65,536 bytes. An unknown type is not an error.
    package init(blob: [UInt8]) throws(SSHKeyError) {
        self.kind = try Self.kind(of: blob.span)
        self.blob = blob
    }

    /// Reads a line as in a `.pub` file: type, space, base64 of the wire form and, after a space, a comment, which is
    /// ignored.
    ///
    /// White space around the line is ignored. Options before the type are not accepted here.
    ///
    /// - Throws: ``SSHKeyError/malformed(_:)``.
    package init(line: String) throws(SSHKeyError) {
        let isLineEnd = { (byte: UInt8) in byte == 0x0A || byte == 0x0D }
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
        let isSpace = { (byte: UInt8) in isBlank(byte) || isLineEnd(byte) }
        let trimmed = line.utf8.drop(while: isSpace).reversed().drop(while: isSpace).reversed()
        guard !trimmed.contains(where: isLineEnd) else { throw .malformed("more than one line") }
        let fields = trimmed.split(maxSplits: 2, whereSeparator: isBlank)
        guard fields.count >= 2 else { throw .malformed("a key line needs a type and base64 after it") }
        try self.init(type: Array(fields[0]), base64: Array(fields[1]))
    }

    /// Reads the two fields of a key line.
    ///
    /// - Throws: ``SSHKeyError/malformed(_:)``, also if the fields disagree about the type.
    init(type: [UInt8], base64: [UInt8]) throws(SSHKeyError) {
        guard base64.count <= Self.byteLimit else { throw .malformed("longer than \(Self.byteLimit) bytes") }
        guard let blob = Base64.decode(base64) else { throw .malformed("the key is not valid base64") }
        try self.init(blob: blob)
        guard blob.span.extracting(typeRange).equals(type.span) else {
            throw .malformed("the line and the key in it name different types")
        }
    }

    /// Makes the key of type `ssh-ed25519` with these 32 bytes (RFC 8709, section 4).
    init(ed25519 bytes: Span<UInt8>) {
        precondition(bytes.count == 32, "an Ed25519 public key has 32 bytes")
        var blob: [UInt8] = []
        blob.reserveCapacity(51)
        blob.appendWire("ssh-ed25519".utf8)
        blob.appendWire(bytes.array)
        self.blob = blob
        self.kind = .ed25519
    }

    /// The type's name, as in `ssh-ed25519`.
    package var typeName: String { blob.span.extracting(typeRange).text ?? "" }

    /// `SHA256:` and the base64, not padded, of the SHA-256 of the wire form: what `ssh-keygen -lf` prints.
    package var fingerprint: String { "SHA256:" + Base64.encode(SHA256.digest(of: blob), padding: .unpadded) }

    /// The type's name, a space and the base64 of the wire form: a line of a `.pub` file, with neither comment nor line
    /// feed.
    package var line: String { "\(typeName) \(Base64.encode(blob))" }

    /// The fingerprint.
    package var description: String { fingerprint }

    /// Whether signatures by keys of this type can be checked, here or by ssh-keygen: those that a line can list, so no
    /// certificates.
    package var isCheckable: Bool { kind != .other || Self.othersThatSign.contains(typeName) }

    private static let othersThatSign: Set = [
        "ssh-rsa", "ssh-dss", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    ]

    /// Where the type's name is in the wire form.
    private var typeRange: Range<Int> {
        var cursor = WireCursor()
        return cursor.string(in: blob.span) ?? 0..<0
    }

    /// Where the 32 bytes of the Ed25519 key are in the wire form, for the types that have them.
    var ed25519Range: Range<Int>? {
        guard kind != .other else { return nil }
        var cursor = WireCursor()
        _ = cursor.string(in: blob.span)
        return cursor.string(in: blob.span)
    }

    /// Where a security key's application, as in `ssh:`, is in the wire form (PROTOCOL.u2f).
    var applicationRange: Range<Int>? {
        guard kind == .ed25519SecurityKey else { return nil }
        var cursor = WireCursor()
        _ = cursor.string(in: blob.span)
        _ = cursor.string(in: blob.span)
        return cursor.string(in: blob.span)
    }

    /// Checks a wire form.
    private static func kind(of blob: Span<UInt8>) throws(SSHKeyError) -> Kind {
        guard blob.count <= byteLimit else { throw .malformed("longer than \(byteLimit) bytes") }
        var cursor = WireCursor()
        guard let typeRange = cursor.string(in: blob), isTypeName(blob.extracting(typeRange)) else {
            throw .malformed("it does not begin with the name of a key type")
        }
        let type = blob.extracting(typeRange)
        let kind: Kind =
            if type.equals("ssh-ed25519") {
                .ed25519
            } else if type.equals("sk-ssh-ed25519@openssh.com") {
                .ed25519SecurityKey
            } else {
                .other
            }
        guard kind != .other else { return kind }

        guard let key = cursor.string(in: blob), key.count == 32 else {
            throw .malformed("an Ed25519 key must have 32 bytes")
        }
        if kind == .ed25519SecurityKey {
            guard let application = cursor.string(in: blob), !application.contains(where: { blob[$0] == 0 }) else {
                throw .malformed("a security key must name its application")
            }
        }
        guard cursor.isAtEnd(of: blob) else { throw .malformed("bytes after the end of the key") }
        return kind
    }

    /// Whether `name` may name a key type: 1 to 64 printable ASCII characters, no comma (RFC 4250, section 4.6.1).
    private static func isTypeName(_ name: Span<UInt8>) -> Bool {
        (1...64).contains(name.count)
            && name.indices.allSatisfy { (0x21...0x7E).contains(name[$0]) && name[$0] != UInt8(ascii: ",") }
    }
}

extension SSHPublicKey: Hashable {
    /// Whether the wire forms are equal.
    package static func == (left: SSHPublicKey, right: SSHPublicKey) -> Bool { left.blob == right.blob }

    /// Hashes the wire form.
    package func hash(into hasher: inout Hasher) { hasher.combine(blob) }
}
