import EnsignCrypto
import Testing

struct SSHSignatureTests {
    /// Messages of lengths around the block sizes of both hashes.
    static let messages: [[UInt8]] = [0, 1, 63, 64, 111, 112, 128, 1024, 70_000].map { count in
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ count) }
    }

    let key = SSHPrivateKey(seed: Array(repeating: 7, count: 32))

    @Test(
        "ssh-keygen -Y verify accepts our signatures, and they are the bytes that -Y sign writes",
        arguments: messages
    )
    func sign(message: [UInt8]) throws {
        let scratch = try Scratch()
        let text = SSHSignature.sign(message, key: key, namespace: "git")
        try scratch.write("signature", text.utf8)
        try scratch.write("allowed", "ada@example.com \(key.publicKey.line)\n".utf8)
        try scratch.write("key", key.openSSHText(comment: "").utf8)
        let verified = try scratch.keygen(
            "-Y",
            "verify",
            "-f",
            "allowed",
            "-I",
            "ada@example.com",
            "-n",
            "git",
            "-s",
            "signature",
            input: message
        )
        #expect(verified.status == 0, "\(verified.output)\(verified.error)")
        let signed = try scratch.keygen("-Y", "sign", "-q", "-f", "key", "-n", "git", input: message)
        #expect(signed.output == text)
    }

    @Test("Signatures of ssh-keygen -Y sign are good, with both hashes", arguments: messages, ["sha256", "sha512"])
    func verify(message: [UInt8], hash: String) throws {
        let scratch = try Scratch()
        try scratch.makeKey("key")
        let signed = try scratch.keygen(
            "-Y",
            "sign",
            "-q",
            "-f",
            "key",
            "-n",
            "file",
            "-O",
            "hashalg=\(hash)",
            input: message
        )
        let signature = try SSHSignature(armored: Array(signed.output.utf8))
        #expect(signature.hashAlgorithm.rawValue == hash)
        #expect(signature.namespace == "file")
        #expect(signature.hasOpenSSHColumns)
        #expect(signature.publicKey == (try SSHPublicKey(line: scratch.text("key.pub"))))
        #expect(signature.verdict(on: message, namespace: "file") == .good)
        #expect(signature.verdict(on: message.span, namespace: "file") == .good)
        let verdict = unsafe message.withUnsafeBytes { unsafe signature.verdict(on: $0, namespace: "file") }
        #expect(verdict == .good)
        #expect(signature.verdict(on: message + [0], namespace: "file") == .badSignature)
        #expect(signature.verdict(on: message, namespace: "git") == .wrongNamespace)
    }

    @Test("Signatures by other types of keys are neither good nor bad", arguments: ["rsa", "ecdsa"])
    func otherTypes(type: String) throws {
        let scratch = try Scratch()
        try scratch.makeKey("key", type: type)
        let signed = try scratch.keygen("-Y", "sign", "-q", "-f", "key", "-n", "git", input: [1, 2, 3])
        let signature = try SSHSignature(armored: Array(signed.output.utf8))
        #expect(signature.publicKey == (try SSHPublicKey(line: scratch.text("key.pub"))))
        #expect(signature.verdict(on: [1, 2, 3], namespace: "git") == .unsupportedKeyType)
        #expect(signature.verdict(on: [1, 2, 3], namespace: "file") == .wrongNamespace)
    }

    @Test("A signature by another key over the same message is bad")
    func otherKey() throws {
        let other = SSHPrivateKey(seed: Array(repeating: 8, count: 32)).publicKey
        let blob = try blob(of: SSHSignature.sign([1], key: key, namespace: "git"))
        let forged = blob.prefix(10) + wire(other.blob) + blob.dropFirst(10 + 4 + other.blob.count)
        #expect(
            try SSHSignature(armored: armored(Array(forged), "SSH SIGNATURE")).verdict(on: [1], namespace: "git")
                == .badSignature
        )
    }

    @Test("A namespace is compared by its bytes")
    func namespaceBytes() throws {
        let signature = try SSHSignature(armored: Array(SSHSignature.sign([1], key: key, namespace: "\u{E9}").utf8))
        #expect(signature.verdict(on: [1], namespace: "\u{E9}") == .good)
        #expect(signature.verdict(on: [1], namespace: "e\u{301}") == .wrongNamespace)
    }

    @Test("A security key's signature is as ssh-keygen has it, whether a person was present or not")
    func securityKeys() throws {
        let scratch = try Scratch()
        let message = Array("hello".utf8)
        let typeName = "sk-ssh-ed25519@openssh.com"
        let publicBlob = wire(typeName) + wire(Array(key.publicKey.blob.suffix(32))) + wire("ssh:")
        let publicKey = try SSHPublicKey(blob: publicBlob)
        #expect(publicKey.kind == .ed25519SecurityKey)

        func signature(flags: UInt8, signedFlags: UInt8) -> [UInt8] {
            let counter: [UInt8] = [0, 0, 1, 2]
            let signed = Array("SSHSIG".utf8) + wire("git", "", "sha512") + wire(SHA512.digest(of: message))
            let wrapped =
                SHA256.digest(of: Array("ssh:".utf8)) + [signedFlags] + counter + SHA256.digest(of: signed)
            let inner = wire(typeName) + wire(key.sign(wrapped)) + [flags] + counter
            let blob = Array("SSHSIG".utf8) + [0, 0, 0, 1] + wire(publicBlob) + wire("git", "", "sha512") + wire(inner)
            return armored(blob, "SSH SIGNATURE")
        }
        func verdict(_ armored: [UInt8]) throws -> SSHSignature.Verdict {
            try SSHSignature(armored: armored).verdict(on: message, namespace: "git")
        }
        #expect(try verdict(signature(flags: 1, signedFlags: 1)) == .good)
        #expect(try verdict(signature(flags: 5, signedFlags: 5)) == .good)
        #expect(try verdict(signature(flags: 5, signedFlags: 1)) == .badSignature)
        #expect(try verdict(signature(flags: 0, signedFlags: 0)) == .good)
        #expect(
            try SSHSignature(armored: signature(flags: 1, signedFlags: 1)).verdict(on: [], namespace: "git")
                == .badSignature
        )

        try scratch.write("signature", signature(flags: 1, signedFlags: 1))
        try scratch.write("allowed", "ada@example.com \(publicKey.line)\n".utf8)
        let verified = try scratch.keygen(
            "-Y",
            "verify",
            "-f",
            "allowed",
            "-I",
            "ada@example.com",
            "-n",
            "git",
            "-s",
            "signature",
            input: message
        )
        #expect(verified.status == 0, "\(verified.output)\(verified.error)")
    }

    @Test("Armor is exactly a BEGIN line, base64 and an END line")
    func armor() throws {
        let text = SSHSignature.sign([1], key: key, namespace: "git")
        let blob = try blob(of: text)
        let base64 = Base64.encode(blob)
        let begin = "-----BEGIN SSH SIGNATURE-----\n"
        let end = "-----END SSH SIGNATURE-----"

        let accepted = [
            (text, true), (String(text.dropLast()), true), ("\(begin)\(base64)\n\(end)", false),
            ("\(begin)\(base64.prefix(76))\n\(base64.dropFirst(76))\n\(end)\n", false),
            ("\(begin)\(base64.prefix(1))\n\(base64.dropFirst(1))\n\(end)\n", false),
        ]
        for (text, hasOpenSSHColumns) in accepted {
            let signature = try SSHSignature(armored: Array(text.utf8)[...])
            #expect(signature.verdict(on: [1], namespace: "git") == .good)
            #expect(signature.hasOpenSSHColumns == hasOpenSSHColumns)
        }

        let refused = [
            "", "\n", begin, end, "\(begin)\(end)", "\(begin)\n\(end)", "\(begin)\n\n\(end)", " \(text)", "\n\(text)",
            "\(text)\n", "\(text) ", "\(text)x", text + text, "\(begin)\(text)", String(text.dropLast(2)),
            text.replacing("\n", with: "\r\n"), text.replacing("\n", with: "\n\n"), text.replacing("\n", with: " \n"),
            "\(begin)\(base64) \n\(end)\n", "\(begin)\(base64)=\n\(end)\n", "\(begin)\(base64.dropLast())\n\(end)\n",
            "\(begin)\(base64)\n\n\(end)\n", "\(begin)\n\(base64)\n\(end)\n", "\(begin)\(base64)\(end)\n",
            "\(begin.dropLast()) \n\(base64)\n\(end)\n", "-----begin ssh signature-----\n\(base64)\n\(end)\n",
            "\(begin)\(base64)\nx\(end)\n", "\(begin)\(base64)\n\(end)-\n",
            "\(begin)\(String(repeating: "A", count: 70_000))\n\(end)\n",
        ]
        for text in refused {
            let error = #expect(throws: SSHSignatureError.self, "\(text)") {
                try SSHSignature(armored: Array(text.utf8))
            }
            guard case .malformedArmor = error else {
                Issue.record("\(String(describing: error)) for \(text)")
                continue
            }
        }
    }

    @Test("A blob is exactly what PROTOCOL.sshsig says, without lenience")
    func blob() throws {
        let inner = wire("ssh-ed25519") + wire(Array(repeating: 1, count: 64))
        let publicKey = key.publicKey.blob
        func blob(
            magic: String = "SSHSIG",
            version: [UInt8] = [0, 0, 0, 1],
            key: [UInt8]? = nil,
            namespace: [UInt8] = Array("git".utf8),
            reserved: String = "",
            hash: [UInt8] = Array("sha512".utf8),
            inner: [UInt8]? = nil,
            after: [UInt8] = []
        ) -> [UInt8] {
            Array(magic.utf8) + version + wire(key ?? publicKey) + wire(namespace) + wire(reserved) + wire(hash)
                + wire(inner ?? wire("ssh-ed25519") + wire(Array(repeating: 1, count: 64))) + after
        }
        func error(_ blob: [UInt8]) -> SSHSignatureError? {
            do {
                let signature = try SSHSignature(armored: armored(blob, "SSH SIGNATURE"))
                #expect(signature.verdict(on: [1], namespace: signature.namespace) != .good)
                return nil
            } catch { return error }
        }

        #expect(error(blob()) == nil)
        #expect(error(blob(magic: "SSHSIX")) == .malformedBlob("it does not begin with SSHSIG"))
        #expect(error(blob(version: [0, 0, 0, 2])) == .unsupportedVersion(2))
        #expect(error(blob(version: [0, 0, 0, 0])) == .unsupportedVersion(0))
        #expect(error(blob(version: [0xFF, 0xFF, 0xFF, 0xFF])) == .unsupportedVersion(.max))
        #expect(error(blob(reserved: "x")) == .malformedBlob("the reserved field is not empty"))
        #expect(error(blob(after: [0])) == .malformedBlob("bytes after its end"))
        #expect(error(blob(hash: Array("sha1".utf8))) == .unsupportedHash("sha1"))
        #expect(error(blob(hash: Array("SHA512".utf8))) == .unsupportedHash("SHA512"))
        #expect(error(blob(hash: [0xFF])) == .unsupportedHash("ff"))
        for namespace in [[], [0], Array("git\0".utf8), [0xFF]] {
            #expect(
                error(blob(namespace: namespace))
                    == .malformedBlob("the namespace must be UTF-8, not empty, without a NUL")
            )
        }
        for key in [[], wire(""), publicKey + [0], publicKey.dropLast()] {
            guard case .malformedBlob = error(blob(key: Array(key))) else {
                Issue.record("accepted the public key \(key)")
                continue
            }
        }
        #expect(error(blob(inner: [])) == .malformedBlob("the signature in it ends too early"))
        #expect(error(blob(inner: inner + [0])) == .malformedBlob("bytes after the signature in it"))
        #expect(
            error(blob(inner: wire("ssh-rsa") + inner.dropFirst(15)))
                == .malformedBlob("the signature in it is not of the key's type")
        )
        #expect(
            error(blob(inner: wire("ssh-ed25519") + wire(Array(repeating: 1, count: 63))))
                == .malformedBlob("an Ed25519 signature must have 64 bytes")
        )
        let securityKey = wire("sk-ssh-ed25519@openssh.com") + publicKey.suffix(36) + wire("ssh:")
        let securityInner = wire("sk-ssh-ed25519@openssh.com") + inner.suffix(68)
        #expect(error(blob(key: securityKey, inner: securityInner + [1, 0, 0, 0, 0])) == nil)
        #expect(
            error(blob(key: securityKey, inner: securityInner + [1, 0, 0, 0]))
                == .malformedBlob("the signature in it ends too early")
        )
        #expect(
            error(blob(key: securityKey, inner: securityInner + [1, 0, 0, 0, 0, 0]))
                == .malformedBlob("bytes after the signature in it")
        )

        // Every cut, and every length that is a lie.
        let whole = blob()
        for count in 0..<whole.count { #expect(error(Array(whole.prefix(count))) != nil) }
        for offset in [10, 14, 29, 65, 72, 76, 86, 90, 105] {
            for length: [UInt8] in [
                [0xFF, 0xFF, 0xFF, 0xFF], [0x80, 0, 0, 0], [0x7F, 0xFF, 0xFF, 0xFF], [0, 0, 1, 0],
            ] {
                var lying = whole
                lying.replaceSubrange(offset..<(offset + 4), with: length)
                #expect(error(lying) != nil, "offset \(offset)")
            }
        }
    }

    @Test("Keys of small order verify nothing")
    func smallOrder() throws {
        let blob = try blob(of: SSHSignature.sign([1], key: key, namespace: "git"))
        for point in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ] {
            let bytes = try #require(Hex.decode(point))
            // With the neutral point for key and R, and S = 0, a lenient verifier accepts any message.
            var forged = blob
            forged.replaceSubrange(33..<65, with: bytes)
            forged.replaceSubrange((blob.count - 64)..., with: bytes + Array(repeating: 0, count: 32))
            let signature = try SSHSignature(armored: armored(forged, "SSH SIGNATURE"))
            #expect(signature.verdict(on: [1], namespace: "git") == .badSignature)
        }
    }

    @Test("Adding the order of the group to a signature does not make a second one")
    func malleability() throws {
        var blob = try blob(of: SSHSignature.sign([1], key: key, namespace: "git"))
        let order = try #require(Hex.decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"))
        var carry = 0
        for (index, byte) in order.enumerated() {
            let sum = Int(blob[blob.count - 32 + index]) + Int(byte) + carry
            blob[blob.count - 32 + index] = UInt8(truncatingIfNeeded: sum)
            carry = sum >> 8
        }
        let signature = try SSHSignature(armored: armored(blob, "SSH SIGNATURE"))
        #expect(signature.verdict(on: [1], namespace: "git") == .badSignature)
    }

    /// What a signature's base64 encodes.
    private func blob(of text: String) throws -> [UInt8] {
        try #require(Base64.decode(text.split(separator: "\n").dropFirst().dropLast().joined()))
    }
}
