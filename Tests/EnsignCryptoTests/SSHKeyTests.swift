import EnsignCrypto
import Testing

struct SSHKeyTests {
    @Test(
        "A key made by ssh-keygen loads, with the public key of its .pub file",
        arguments: ["", "test key", "é, a comment"]
    )
    func load(comment: String) throws {
        let scratch = try Scratch()
        try scratch.makeKey("key", comment: comment)
        let key = try SSHPrivateKey(openSSH: scratch.read("key"))
        let line = try scratch.text("key.pub")
        #expect(try SSHPublicKey(line: line) == key.publicKey)
        #expect(line.hasPrefix(key.publicKey.line))
        #expect(key.publicKey.typeName == "ssh-ed25519")
        #expect(key.publicKey.kind == .ed25519)
    }

    @Test("A fingerprint is what ssh-keygen -lf prints", arguments: ["ed25519", "rsa", "ecdsa"])
    func fingerprint(type: String) throws {
        let scratch = try Scratch()
        try scratch.makeKey("key", type: type)
        let key = try SSHPublicKey(line: scratch.text("key.pub"))
        let printed = try scratch.keygen("-lf", "key.pub").output.split(separator: " ")
        try #require(printed.count > 1)
        #expect(key.fingerprint == printed[1])
        #expect("\(key)" == printed[1])
        #expect(key.kind == (type == "ed25519" ? .ed25519 : .other))
    }

    @Test(
        "ssh-keygen reads the file of a new key",
        arguments: ["", "a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg", "ensign prod"]
    )
    func write(comment: String) throws {
        let scratch = try Scratch()
        let key = SSHPrivateKey.generate()
        let text = key.openSSHText(comment: comment)
        try scratch.write("key", text.utf8)
        let result = try scratch.keygen("-y", "-f", "key")
        #expect(result.status == 0, "\(result.error)")
        #expect(result.output == key.publicKey.line + (comment.isEmpty ? "" : " \(comment)") + "\n")
        #expect(try SSHPrivateKey(openSSH: Array(text.utf8)).publicKey == key.publicKey)
    }

    @Test(
        "A loaded key is written as ssh-keygen wrote it, but for the random check numbers",
        arguments: ["", "abc", "test key"]
    )
    func rewrite(comment: String) throws {
        let scratch = try Scratch()
        try scratch.makeKey("key", comment: comment)
        let original = try scratch.text("key")
        let text = try SSHPrivateKey(openSSH: Array(original.utf8)).openSSHText(comment: comment)
        #expect(text.split(separator: "\n").map(\.count) == original.split(separator: "\n").map(\.count))
        #expect(try withoutCheckNumbers(text) == withoutCheckNumbers(original))
    }

    @Test("Two new keys differ")
    func generate() {
        #expect(SSHPrivateKey.generate().publicKey != SSHPrivateKey.generate().publicKey)
    }

    @Test("A seed gives the key and the signature of RFC 8032, section 7.1, test 1")
    func seed() throws {
        let seed = try #require(Hex.decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
        let key = SSHPrivateKey(seed: seed)
        #expect(
            Hex.encode(key.publicKey.blob).hasSuffix("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
        )
        #expect(
            Hex.encode(key.sign([]))
                == "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555"
                + "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        )
    }

    @Test("A key with a passphrase is named so")
    func encrypted() throws {
        let scratch = try Scratch()
        try scratch.makeKey("key", passphrase: "secret phrase")
        let bytes = try scratch.read("key")
        #expect(throws: SSHKeyError.encrypted) { try SSHPrivateKey(openSSH: bytes) }
    }

    @Test("A key of another type is named", arguments: [("rsa", "ssh-rsa"), ("ecdsa", "ecdsa-sha2-nistp256")])
    func otherType(type: String, name: String) throws {
        let scratch = try Scratch()
        try scratch.makeKey("key", type: type)
        let bytes = try scratch.read("key")
        #expect(throws: SSHKeyError.unsupportedType(name)) { try SSHPrivateKey(openSSH: bytes) }
    }

    @Test("Every part of a key file must be as PROTOCOL.key says")
    func malformedFiles() throws {
        let key = SSHPrivateKey(seed: Array(repeating: 7, count: 32))
        let text = key.openSSHText(comment: "abc")
        let blob = try #require(Base64.decode(text.split(separator: "\n").dropFirst().dropLast().joined()))

        func refusal(_ bytes: [UInt8]) -> String? {
            do {
                _ = try SSHPrivateKey(openSSH: bytes)
                return nil
            } catch {
                return error.description
            }
        }
        /// The refusal of the blob with `change` made at `offset`.
        func refusal(at offset: Int, _ change: [UInt8]) -> String? {
            var changed = blob
            changed.replaceSubrange(offset..<(offset + change.count), with: change)
            return refusal(armored(changed, "OPENSSH PRIVATE KEY"))
        }

        // The whole file.
        #expect(refusal(Array(text.utf8)) == nil)
        #expect(refusal(Array(text.utf8.dropLast())) == nil)
        #expect(refusal(Array("\(text)\n \r\n".utf8)) == nil)
        #expect(refusal([]) == "not a valid key: the first line is not '-----BEGIN OPENSSH PRIVATE KEY-----'")
        #expect(
            refusal(Array(" \(text)".utf8))
                == "not a valid key: the first line is not '-----BEGIN OPENSSH PRIVATE KEY-----'"
        )
        #expect(
            refusal(Array(text.utf8.dropLast(2)))
                == "not a valid key: it does not end with the line '-----END OPENSSH PRIVATE KEY-----'"
        )
        #expect(
            refusal(Array("\(text)x".utf8))
                == "not a valid key: it does not end with the line '-----END OPENSSH PRIVATE KEY-----'"
        )
        #expect(
            refusal(Array(text.replacing("\n", with: "\n\n").utf8)) == "not a valid key: an empty line in the base64"
        )
        #expect(refusal(Array(text.replacing("A", with: "-").utf8))?.hasPrefix("not a valid key: ") == true)
        #expect(refusal(Array(repeating: 0x41, count: 70_000)) == "not a valid key: longer than 65536 bytes")

        // What the base64 encodes: magic 15, cipher 8, derivation 8, options 4, number 4, public 4 + 51, private 4 +
        // ...
        #expect(refusal(at: 0, [0]) == "not a valid key: it does not begin as the format openssh-key-v1 does")
        #expect(refusal(at: 14, [1]) == "not a valid key: it does not begin as the format openssh-key-v1 does")
        #expect(
            refusal(at: 15, [0xFF, 0xFF, 0xFF, 0xFF])
                == "not a valid key: it does not begin as the format openssh-key-v1 does"
        )
        #expect(refusal(at: 19, Array("aes0".utf8)) == "the key is protected by a passphrase")
        #expect(refusal(at: 27, Array("pass".utf8)) == "the key is protected by a passphrase")
        #expect(refusal(at: 38, [2]) == "not a valid key: it must hold one key")
        #expect(refusal(at: 39, [0x7F, 0xFF, 0xFF, 0xFF]) == "not a valid key: it ends too early")
        #expect(
            refusal(at: 47, Array("ssh-ed25518".utf8))
                == "keys of type 'ssh-ed25518' are not supported, only 'ssh-ed25519'"
        )
        #expect(
            refusal(at: 47, Array("ssh ed25519".utf8))
                == "not a valid key: it does not begin with the name of a key type"
        )
        #expect(refusal(at: 58, [0, 0, 0, 31]) == "not a valid key: an Ed25519 key must have 32 bytes")
        #expect(refusal(at: 94, [0, 0, 0, 0]) == "not a valid key: bytes after the end of the key")
        #expect(refusal(at: 98, [0xAA, 0xAA, 0xAA, 0xAA, 0xBB]) == "not a valid key: the check numbers differ")
        #expect(refusal(at: 62, [0]) == "not a valid key: the private part is not that of its public key")
        #expect(refusal(at: 161, [0]) == "not a valid key: the private part is not that of its public key")
        #expect(refusal(at: 193, [0]) == "not a valid key: the private part is not that of its public key")
        #expect(refusal(at: blob.count - 1, [9]) == "not a valid key: wrong padding")
        #expect(
            refusal(armored(blob + [0], "OPENSSH PRIVATE KEY")) == "not a valid key: bytes after the end of the key"
        )

        // A public key that is not the seed's own, the same in all three places.
        let other = SSHPrivateKey(seed: Array(repeating: 8, count: 32)).publicKey.blob.suffix(32)
        var mixed = blob
        for offset in [62, 121, 189] { mixed.replaceSubrange(offset..<(offset + 32), with: other) }
        #expect(
            refusal(armored(mixed, "OPENSSH PRIVATE KEY"))
                == "not a valid key: the private part is not that of its public key"
        )
    }

    @Test("No key file cut off anywhere loads")
    func truncatedFiles() throws {
        let text = Array(SSHPrivateKey(seed: Array(repeating: 7, count: 32)).openSSHText(comment: "abc").utf8)
        for count in 0..<(text.count - 1) {
            #expect(throws: SSHKeyError.self) { try SSHPrivateKey(openSSH: Array(text.prefix(count))) }
        }
    }

    @Test("A public key line has a type and base64 that agree")
    func lines() throws {
        let key = SSHPrivateKey(seed: Array(repeating: 7, count: 32)).publicKey
        let base64 = Base64.encode(key.blob)
        for line in [
            key.line, "\(key.line)\n", " \(key.line)\r\n", "ssh-ed25519\t\(base64)  ada@example.com, laptop \n",
        ] {
            #expect(try SSHPublicKey(line: line) == key)
            #expect(try SSHPublicKey(line: line).line == key.line)
        }
        for line in [
            "", "ssh-ed25519", base64, "ssh-rsa \(base64)", "ssh-ed25519 \(base64.dropLast())", "ssh-ed25519 AAAA",
            "ssh-ed25519\n\(base64)", "\(key.line)\n\(key.line)", "\(key.line) comment\n\(key.line)",
            "no-pty \(key.line)",
        ] {
            #expect(throws: SSHKeyError.self, "\(line)") { try SSHPublicKey(line: line) }
        }
    }

    @Test("A wire form is exactly one key; unknown types are carried along")
    func blobs() throws {
        let key = SSHPrivateKey(seed: Array(repeating: 7, count: 32)).publicKey
        #expect(try SSHPublicKey(blob: key.blob) == key)
        #expect(try SSHPublicKey(blob: wire("ssh-new", "anything")).kind == .other)
        #expect(try SSHPublicKey(blob: wire("ssh-new")).line == "ssh-new \(Base64.encode(wire("ssh-new")))")
        #expect(try SSHPublicKey(blob: wire("ssh-new") + [0xFF]).typeName == "ssh-new")
        let malformed: [[UInt8]] = [
            [], [0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0xFF, 0xFF, 0xFF, 0xFF, 0x41], [0x7F, 0xFF, 0xFF, 0xFF],
            wire(""), wire("a b"), wire("a,b"), wire("é"), wire(String(repeating: "x", count: 65)),
            key.blob + [0], Array(key.blob.dropLast()), wire("ssh-ed25519"), wire("sk-ssh-ed25519@openssh.com"),
            wire("sk-ssh-ed25519@openssh.com") + key.blob.suffix(36), Array(repeating: 0, count: 70_000),
        ]
        for blob in malformed {
            #expect(throws: SSHKeyError.self) { try SSHPublicKey(blob: blob) }
        }
    }

    /// What a key file encodes, with both check numbers zero.
    private func withoutCheckNumbers(_ text: String) throws -> [UInt8] {
        var blob = try #require(Base64.decode(text.split(separator: "\n").dropFirst().dropLast().joined()))
        blob.replaceSubrange(98..<106, with: repeatElement(0, count: 8))
        return blob
    }
}

/// Strings in the form of RFC 4251, section 5.
func wire(_ strings: String...) -> [UInt8] { strings.flatMap { wire(Array($0.utf8)) } }

/// A string in the form of RFC 4251, section 5.
func wire(_ bytes: [UInt8]) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: bytes.count >> $0) } + bytes
}

/// `blob` in one line of base64 between lines for `label`.
func armored(_ blob: [UInt8], _ label: String) -> [UInt8] {
    Array("-----BEGIN \(label)-----\n\(Base64.encode(blob))\n-----END \(label)-----\n".utf8)
}
