import EnsignCrypto
import EnsignTestSupport
import Testing

/// Bytes that somebody changed: nothing crashes, and nothing changed is good.
struct HostileInputTests {
    let key = SSHPrivateKey(seed: Array(repeating: 7, count: 32))
    let message = Array("tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n".utf8)

    @Test("A signature whose text was changed is refused or bad")
    func signatureText() {
        var generator = SeededGenerator(for: "signatureText")
        let text = Array(SSHSignature.sign(message, key: key, namespace: "git").utf8)
        for _ in rounds(4_000) {
            let changed = text.mutated(using: &generator)
            // Line feeds may move: the ledger asks for hasOpenSSHColumns as well.
            let isSame = changed.filter { $0 != 0x0A } == text.filter { $0 != 0x0A }
            guard let signature = try? SSHSignature(armored: changed) else { continue }
            let isGood = signature.verdict(on: message, namespace: "git") == .good
            #expect(!isGood || isSame, "seed \(generator.seed): \(String(decoding: changed, as: UTF8.self))")
            #expect(!(isGood && signature.hasOpenSSHColumns) || changed == text || changed + [0x0A] == text)
        }
    }

    @Test("A signature of which anything but the text's lines was changed is refused or bad")
    func signatureBlob() throws {
        var generator = SeededGenerator(for: "signatureBlob")
        let text = SSHSignature.sign(message, key: key, namespace: "git")
        let blob = try #require(Base64.decode(text.split(separator: "\n").dropFirst().dropLast().joined()))
        var parsed = 0
        for _ in rounds(4_000) {
            let changed = blob.mutated(using: &generator)
            guard let signature = try? SSHSignature(armored: armored(changed, "SSH SIGNATURE")) else { continue }
            parsed += 1
            let isGood = signature.verdict(on: message, namespace: signature.namespace) == .good
            #expect(!isGood || changed == blob, "seed \(generator.seed): \(Hex.encode(changed))")
        }
        #expect(parsed > 100, "the changes should reach the verifier too")
    }

    @Test("A signature is bad for every changed message")
    func changedMessage() throws {
        var generator = SeededGenerator(for: "message")
        let signature = try SSHSignature(armored: Array(SSHSignature.sign(message, key: key, namespace: "git").utf8))
        for _ in 0..<1_000 {
            let changed = message.mutated(using: &generator)
            let isGood = signature.verdict(on: changed, namespace: "git") == .good
            #expect(isGood == (changed == message), "seed \(generator.seed)")
        }
    }

    @Test("A changed key file is refused, or holds the same key")
    func keyFile() throws {
        var generator = SeededGenerator(for: "keyFile")
        let text = key.openSSHText(comment: "comment")
        let blob = try #require(Base64.decode(text.split(separator: "\n").dropFirst().dropLast().joined()))
        for round in rounds(4_000) {
            let isText = round.isMultiple(of: 2)
            let changed =
                isText
                ? Array(text.utf8).mutated(using: &generator)
                : armored(blob.mutated(using: &generator), "OPENSSH PRIVATE KEY")
            guard let loaded = try? SSHPrivateKey(openSSH: changed) else { continue }
            #expect(loaded.publicKey == key.publicKey, "seed \(generator.seed)")
        }
    }

    @Test("A changed allowed-signers file gives entries, or problems that lie inside it")
    func allowedSigners() {
        var generator = SeededGenerator(for: "allowedSigners")
        let file = Array(
            """
            # é
            ada@example.com,"b o" \(key.publicKey.line) é comment
            *@example.com namespaces="git,fi\\"le",valid-after="20200101Z",valid-before="20300101",cert-authority \(key.publicKey.line)

            """.utf8
        )
        for _ in rounds(4_000) {
            let changed = (0..<4).reduce(file) { bytes, _ in bytes.mutated(using: &generator) }
            let (signers, problems) = AllowedSigners.parse(changed)
            let lines = changed.split(separator: 0x0A, omittingEmptySubsequences: false)
            #expect(signers.entries.count + problems.count <= lines.count, "seed \(generator.seed)")
            for problem in problems {
                let isInside =
                    (1...lines.count).contains(problem.line)
                    && (1...(lines[problem.line - 1].count + 1)).contains(problem.column)
                #expect(isInside, "seed \(generator.seed): \(problem)")
            }
        }
    }
}

extension HostileInputTests {
    @Test("Names, options and times of any size in allowed_signers are a problem of their line, or held to any time")
    func allowedSignersLimits() {
        var generator = SeededGenerator(for: "allowedSignersLimits")
        let letter = "A" + String(repeating: "\u{301}", count: 40_000)
        let numbers = ["0", "-1", "9223372036854775807", "99999999999999", "00000101", "99991231235959Z", "22620412Z"]
        let words =
            numbers + [letter, "", "\u{0}", "*", "!*", "\"", "namespaces=\"git\"", "x=\"y\"", key.publicKey.line]
        for _ in rounds(150) {
            let times = ["valid-after", "valid-before"].map {
                "\($0)=\"\(words.randomElement(using: &generator) ?? "")\""
            }
            let line = (words + times).shuffled(using: &generator).prefix(4).joined(separator: " ")
            let text = "\(line)\nada@example.com \(times.joined(separator: ",")) \(key.publicKey.line)\n"
            let (signers, problems) = AllowedSigners.parse(Array(text.utf8))
            for problem in problems { #expect(problem.message.utf8.count < 1_000, "seed \(generator.seed)") }
            for time in [Int64.min, -1, 0, 1_795_251_600, 253_402_300_799, .max] {
                _ = signers.match(key.publicKey, namespace: "git", at: time)
            }
        }
    }
}
