import EnsignCrypto
import Testing

struct AllowedSignersTests {
    let key = SSHPrivateKey(seed: Array(repeating: 7, count: 32))
    let other = SSHPrivateKey(seed: Array(repeating: 8, count: 32)).publicKey

    /// 2026-11-21T09:00:00Z.
    let now: Int64 = 1_795_251_600

    @Test("A file gives one entry for each line that is not blank or a comment")
    func entries() throws {
        let line = key.publicKey.line
        let (signers, problems) = parse(
            """
            # who may sign

            ada@example.com,bo@example.com \(line) ada's laptop 
            \t"cy@example.com,d d@example.com" \t namespaces="git,file" \(line)
            *@example.com,!eve@example.com CERT-authority,Namespaces="*\\"x",valid-after="20200101Z",valid-before="20300101" \(line)\r
              # indented
            """
        )
        #expect(problems.isEmpty)
        try #require(signers.entries.map(\.line) == [3, 4, 5])
        #expect(signers.entries.allSatisfy { $0.key == key.publicKey })
        #expect(signers.entries[0].principals.patterns == ["ada@example.com", "bo@example.com"])
        #expect(signers.entries[0].comment == "ada's laptop")
        #expect(signers.entries[0].namespaces == nil)
        #expect(!signers.entries[0].isCertificateAuthority)
        #expect(signers.entries[1].principals.patterns == ["cy@example.com", "d d@example.com"])
        #expect(signers.entries[1].namespaces?.patterns == ["git", "file"])
        #expect(signers.entries[2].isCertificateAuthority)
        #expect(signers.entries[2].namespaces?.patterns == ["*\"x"])
        #expect(signers.entries[2].validAfter == 1_577_836_800)
        #expect(signers.entries[2].validBefore == 1_893_456_000)
        #expect(signers.entries[2].comment.isEmpty)
    }

    @Test("An empty file has nobody in it", arguments: ["", "\n", "\r\n\r\n", "# nobody yet", " \t"])
    func empty(text: String) {
        let (signers, problems) = parse(text)
        #expect(signers.entries.isEmpty)
        #expect(problems.isEmpty)
        #expect(signers.match(key.publicKey, namespace: "git", at: now) == .unknownKey)
    }

    @Test(
        "A bad line is a problem at its place (①), and the others are kept",
        arguments: [
            ("①\"ada K", "the quote is never closed"),
            ("\"ada\"①x K", "expected a space after the closing quote"),
            ("①, K", "the principals are not a list of patterns of 1 to 1022 bytes in UTF-8"),
            ("①\"\" K", "the principals are not a list of patterns of 1 to 1022 bytes in UTF-8"),
            ("ada①", "no key after the principals"),
            ("ada ①", "no key after the principals"),
            ("ada ①ssh-ed25519", "expected options or a key: a type and base64 after it"),
            ("ada ssh-ed25519 ①# none", "not a valid key: the key is not valid base64"),
            ("ada ssh-ed25519 ①AAAA", "not a valid key: it does not begin with the name of a key type"),
            ("ada ssh-ed25519 ①!!!!", "not a valid key: the key is not valid base64"),
            ("ada ssh-rsa ①B", "not a valid key: the line and the key in it name different types"),
            ("ada cert-authority①", "no key after the options"),
            ("ada ①cert-authorityx K", ""),
            ("ada ①touch-required,cert-authority K", "unknown option 'touch-required'"),
            ("ada ①namespace=\"git\" K", "unknown option 'namespace'"),
            ("ada cert-authority,① K", "unknown option ''"),
            ("ada ①,cert-authority K", "unknown option ''"),
            ("ada cert-authority①=\"x\" K", "expected a space after the options"),
            ("ada namespaces① K", "'namespaces' needs a value: namespaces=\"...\""),
            ("ada namespaces=①git K", "the value of 'namespaces' must be in quotes"),
            ("ada namespaces=①\"git K", "the quote is never closed"),
            ("ada namespaces=\"git\"①x K", "expected a space after the options"),
            ("ada namespaces=①\"\" K", "'namespaces' is not a list of patterns of 1 to 1022 bytes in UTF-8"),
            ("ada namespaces=\"a\",①namespaces=\"b\" K", "'namespaces' is there twice"),
            ("ada valid-after=①\"2020\" K", "the value of 'valid-after' is not a time: YYYYMMDD[HHMM[SS]][Z]"),
            ("ada valid-after=\"20200101\",①valid-after=\"20200102\" K", "'valid-after' is there twice"),
            (
                "ada valid-after=\"20200102\",①valid-before=\"20200101\" K",
                "'valid-before' is not later than 'valid-after'"
            ),
            ("é ①ünknown=\"x\" K", "unknown option 'ünknown'"),
            ("ada K comment①\u{1}", "a control character"),
            ("ada①\u{0} K", "a control character"),
            ("ada①\r K", "a control character"),
        ]
    )
    func problems(marked: String, message: String) throws {
        let text = marked.replacing("K", with: key.publicKey.line).replacing(
            "B",
            with: Base64.encode(key.publicKey.blob)
        )
        let column = text.unicodeScalars.prefix { $0 != "①" }.count + 1
        let line = text.replacing("①", with: "")
        let (signers, problems) = parse("first \(other.line)\n\(line)\nthird \(other.line)\n")
        #expect(signers.entries.map(\.line) == [1, 3])
        try #require(problems.count == 1)
        #expect(problems[0].line == 2)
        // Without a message: only that the line is refused.
        guard !message.isEmpty else { return }
        #expect(problems[0].column == column)
        #expect(problems[0].message == message)
    }

    @Test("A key that no plain line has is unknown")
    func unknown() {
        let (signers, _) = parse("ada \(other.line)\nca cert-authority \(key.publicKey.line)\n")
        #expect(signers.match(key.publicKey, namespace: "git", at: now) == .unknownKey)
    }

    @Test("The first line that allows the key decides, else the reason nearest to allowing it")
    func match() throws {
        let line = key.publicKey.line
        let (signers, problems) = parse(
            """
            a namespaces="file" \(line)
            b namespaces="git*",valid-before="20260101" \(line)
            c namespaces="g?t",valid-after="20270101" \(line)
            d namespaces="git,!git-secret" \(line)
            e \(line)
            """
        )
        #expect(problems.isEmpty)
        func result(_ count: Int, _ namespace: String = "git", at time: Int64? = nil) -> String {
            let (some, _) = parse(
                signers.entries.prefix(count).map { entry in
                    var options: [String] = []
                    if let namespaces = entry.namespaces { options.append("namespaces=\"\(namespaces)\"") }
                    if entry.validBefore != nil { options.append("valid-before=\"20260101\"") }
                    if entry.validAfter != nil { options.append("valid-after=\"20270101\"") }
                    return "\(entry.principals) \(options.joined(separator: ",")) \(entry.key.line)\n"
                }.joined()
            )
            return switch some.match(key.publicKey, namespace: namespace, at: time ?? now) {
            case .signer(let entry): "signer \(entry.principals)"
            case .unknownKey: "unknown"
            case .wrongNamespace(let entry): "wrong namespace \(entry.principals)"
            case .expired(let entry): "expired \(entry.principals)"
            case .notYetValid(let entry): "not yet valid \(entry.principals)"
            }
        }
        #expect(result(1) == "wrong namespace a")
        #expect(result(2) == "expired b")
        #expect(result(3) == "expired b")
        // Git asks who signs first: that is the first line whose time matches, and its principal is nobody of d.
        #expect(result(4) == "expired b")
        #expect(result(5) == "expired b")
        #expect(result(4, "git-secret") == "expired b")
        #expect(result(5, "git-secret") == "expired b")
        #expect(result(5, "file") == "signer a")
        #expect(result(4, "other") == "wrong namespace a")
        #expect(result(3, at: 1_767_225_600) == "not yet valid c")
        #expect(result(3, at: 1_767_225_601) == "expired b")
        #expect(result(3, at: 1_798_761_599) == "expired b")
        #expect(result(3, at: 1_798_761_600) == "expired b")
        #expect(result(5, at: .min) == "not yet valid c")
        #expect(result(5, at: .max) == "expired b")
    }

    @Test(
        "Times are UTC, with or without Z, and as generous as ssh-keygen's",
        arguments: [
            ("19700101000001", 1), ("197001010001z", 60), ("20200431", 1_588_291_200), ("20210229", 1_614_556_800),
            ("20200101000060", 1_577_836_860),
            ("20000229", 951_782_400), ("20240229235959Z", 1_709_251_199), ("20380119031408", 2_147_483_648),
            ("99991231235959Z", 253_402_300_799), ("21000301", 4_107_542_400),
        ]
    )
    func times(text: String, seconds: Int64) {
        let (signers, problems) = parse("ada valid-after=\"\(text)\" \(key.publicKey.line)")
        #expect(problems.isEmpty)
        #expect(signers.entries.first?.validAfter == seconds)
    }

    @Test(
        "Anything else is not a time",
        arguments: [
            "", "Z", "2020", "2020010", "202001010", "2020010100", "20200101000000000", "20200001", "20201301",
            "20200100",
            "20200132", "19000229", "19700101", "19700101Z", "196912312359UTC", "00000101", "2020010124Z",
            "202001012400", "202001010060",
            "20200101000062",
            "20200101ZZ", "20200101 Z", " 20200101", "20200101UT", "2020-1-1", "-0200101", "+0200101", "٢٠٢٠٠١٠١",
        ]
    )
    func notTimes(text: String) {
        let (signers, problems) = parse("ada valid-after=\"\(text)\" \(key.publicKey.line)")
        #expect(signers.entries.isEmpty)
        #expect(problems.map(\.column) == [17])
    }

    @Test("Patterns match as in ssh_config(5)")
    func patterns() throws {
        func matches(_ patterns: String, _ text: String) throws -> Bool {
            try #require(PatternList(Array(patterns.utf8))).matches(text)
        }
        #expect(try matches("git", "git"))
        #expect(try !matches("git", "Git"))
        #expect(try !matches("git", "gitx"))
        #expect(try !matches("gitx", "git"))
        #expect(try matches("a,git,b", "git"))
        #expect(try matches("*", ""))
        #expect(try matches("*@example.com", "@example.com"))
        #expect(try matches("*@example.com", "a@b@example.com"))
        #expect(try !matches("*@example.com", "a@example.com.evil"))
        #expect(try matches("a*b*c", "axxbyybzc"))
        #expect(try !matches("a*b*c", "axxbyybz"))
        #expect(try matches("g?t", "git"))
        #expect(try !matches("g?t", "gt"))
        #expect(try matches("*,!b", "a"))
        #expect(try !matches("*,!b", "b"))
        #expect(try !matches("!b,*", "b"))
        #expect(try !matches("!b", "a"))
        #expect(try !matches("git", ""))
        #expect(PatternList(Array(repeating: 0x61, count: 1022)) != nil)
        #expect(PatternList(Array(repeating: 0x61, count: 1023)) == nil)
        #expect(PatternList(Array(",,".utf8)) == nil)
        #expect(PatternList([0xFF]) == nil)
        // A matcher that tries every star again would not come back.
        #expect(try !matches(String(repeating: "*a", count: 500), String(repeating: "a", count: 5_000) + "b"))
    }

    @Test(
        "ssh-keygen -Y verify says the same of a line (P for the principal's, K for the key, O for another)",
        arguments: [
            "P K", "P O", "*@example.com K comment", "*@example.org K", "!P,* K", "x,P,y K", "\"P\" K", "x\"P\" K",
            "x,\"P\" K", "\"x y,P\" K", "P namespaces=\"git\" K", "P namespaces=\"file\" K", "P namespaces=\"*\" K",
            "P namespaces=\"*,!git\" K", "P NAMESPACES=\"git\" K", "P namespaces=git K", "P namespaces= K",
            "P namespaces=\"git\",namespaces=\"git\" K", "P cert-authority K", "P cert-authority,namespaces=\"git\" K",
            "P valid-after=\"20261121090000Z\" K", "P valid-after=\"20261121090001Z\" K",
            "P valid-after=\"202611210900\" K",
            "P valid-before=\"20261121090000Z\" K", "P valid-before=\"20261121085959Z\" K",
            "P valid-before=\"20261122\" K",
            "P valid-after=\"20200101\",valid-before=\"20300101\",namespaces=\"git\" K", "P valid-after=\"2020\" K",
            "P valid-after=\"20300101\",valid-before=\"20200101\" K", "P valid-after=20200101 K", "P unknown=\"x\" K",
            "P namespaces=\"git\", K", "P", "P  ", "P ssh-ed25519", "P ssh-ed25519 AAAA", "# P K", "  P \t K  comment",
            "P K\r",
            "P namespaces=\"g\\\"it,git\" K", "P namespaces=\"git\"x K",
        ]
    )
    func sameAsStock(template: String) throws {
        let scratch = try Scratch()
        let principal = "ada@example.com"
        let line = template.replacing("P", with: principal).replacing("K", with: key.publicKey.line)
            .replacing("O", with: other.line)
        try scratch.write("allowed", "\(line)\n".utf8)
        try scratch.write("signature", SSHSignature.sign([1], key: key, namespace: "git").utf8)
        let stock = try scratch.keygen(
            "-Y",
            "verify",
            "-f",
            "allowed",
            "-I",
            principal,
            "-n",
            "git",
            "-s",
            "signature",
            "-O",
            "verify-time=20261121090000Z",
            input: [1]
        )
        let (signers, _) = parse("\(line)\n")
        let isAllowed =
            if case .signer(let entry) = signers.match(key.publicKey, namespace: "git", at: now) {
                entry.principals.matches(principal)
            } else {
                false
            }
        #expect(isAllowed == (stock.status == 0), "\(line)\n\(stock.output)\(stock.error)")
    }

    private func parse(_ text: String) -> (AllowedSigners, [AllowedSigners.Problem]) {
        AllowedSigners.parse(Array(text.utf8))
    }
}
