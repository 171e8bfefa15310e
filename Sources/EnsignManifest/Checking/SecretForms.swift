/// Texts that look like a secret: the forms in which well-known services write tokens, and what is too random to be a
/// name.
///
/// The forms are those that the services document so that scanners find them. Digests and UUIDs are never secrets.
enum SecretForms {
    // MARK: Well-known forms

    private enum Alphabet {
        /// `A-Z a-z 0-9 _`, the same with `-`, with `-` and `.`, with `-` and `/`; `A-Z 0-9`.
        case word, token, dotted, path, upper

        func contains(_ byte: UInt8) -> Bool {
            switch byte {
            case 0x41...0x5A, 0x30...0x39: true
            case 0x61...0x7A, 0x5F: self != .upper
            case 0x2D: self == .token || self == .dotted || self == .path
            case 0x2E: self == .dotted
            case 0x2F: self == .path
            default: false
            }
        }
    }

    private struct Form {
        var title: String
        var prefix: [UInt8]
        /// The fewest bytes of the alphabet that follow the prefix.
        var least: Int
        var alphabet: Alphabet

        init(_ title: String, _ prefix: String, _ least: Int, _ alphabet: Alphabet) {
            (self.title, self.prefix, self.least, self.alphabet) = (title, Array(prefix.utf8), least, alphabet)
        }
    }

    private static let forms: [Form] = [
        Form("a GitHub token", "ghp_", 30, .word), Form("a GitHub token", "gho_", 30, .word),
        Form("a GitHub token", "ghu_", 30, .word), Form("a GitHub token", "ghs_", 30, .word),
        Form("a GitHub token", "ghr_", 30, .word), Form("a GitHub token", "github_pat_", 30, .word),
        Form("a GitLab token", "glpat-", 16, .token), Form("a GitLab token", "gldt-", 16, .token),
        Form("a GitLab token", "glrt-", 16, .token), Form("an Anthropic key", "sk-ant-", 16, .token),
        Form("an OpenAI key", "sk-proj-", 16, .token), Form("an OpenAI key", "sk-svcacct-", 16, .token),
        Form("an OpenRouter key", "sk-or-v1-", 16, .token), Form("an API key", "sk-", 32, .word),
        Form("a Slack token", "xoxb-", 16, .token),
        Form("a Slack token", "xoxp-", 16, .token), Form("a Slack token", "xoxa-", 16, .token),
        Form("a Slack token", "xoxr-", 16, .token), Form("a Slack token", "xoxs-", 16, .token),
        Form("a Slack token", "xapp-", 16, .token),
        Form("a Slack webhook", "hooks.slack.com/services/", 20, .path),
        Form("an AWS key", "AKIA", 16, .upper), Form("an AWS key", "ASIA", 16, .upper),
        Form("a Google key", "AIza", 30, .token), Form("a Google token", "ya29.", 20, .token),
        Form("a Stripe key", "sk_live_", 16, .word), Form("a Stripe key", "sk_test_", 16, .word),
        Form("a Stripe key", "rk_live_", 16, .word), Form("a Stripe key", "rk_test_", 16, .word),
        Form("a signing secret", "whsec_", 16, .word), Form("an npm token", "npm_", 30, .word),
        Form("a PyPI token", "pypi-AgE", 16, .token), Form("a Hugging Face token", "hf_", 30, .word),
        Form("a SendGrid key", "SG.", 30, .dotted), Form("a DigitalOcean token", "dop_v1_", 30, .word),
        Form("a Shopify token", "shpat_", 30, .word), Form("a Linear key", "lin_api_", 30, .word),
        Form("an Atlassian token", "ATATT3", 20, .token), Form("a Vault token", "hvs.", 20, .token),
        Form("a HubSpot token", "pat-na1-", 30, .token), Form("a HubSpot token", "pat-eu1-", 30, .token),
        Form("a private key", "AGE-SECRET-KEY-1", 40, .upper), Form("a Notion token", "ntn_", 30, .word),
    ]

    /// Which forms begin with a byte, so that a text costs one look for each of its words.
    private static let byFirst: [[Form]] = (0...255).map { byte in forms.filter { $0.prefix[0] == byte } }

    private static let privateKey = "a private key"

    /// What a text holds, in words, and where it begins in bytes; nil when nothing in it has a well-known form.
    static func known(in text: some RandomAccessCollection<UInt8>) -> (title: String, offset: Int)? {
        guard text.count >= 16 else { return nil }
        let bytes = ContiguousArray(text)
        var isInWord = false
        for index in bytes.indices {
            let byte = bytes[index]
            defer { isInWord = Alphabet.word.contains(byte) }
            if byte == 0x2D, has(bytes, index, "-----BEGIN "), isPrivateKey(bytes, index) {
                return (privateKey, index)
            }
            if byte == 0x3A, let start = authority(bytes, index), isPassword(bytes, start) {
                return ("a password in a URL", start)
            }
            guard !isInWord else { continue }
            let isBehindToken = index > 0 && Alphabet.dotted.contains(bytes[index - 1])
            if byte == 0x65, !isBehindToken, isJWT(bytes, index) { return ("a JSON Web Token", index) }
            for form in byFirst[Int(byte)] where bytes[index...].starts(with: form.prefix) {
                // No more than is needed: a text may be made of prefixes alone.
                let rest = bytes[(index + form.prefix.count)...].prefix(form.least)
                if rest.count == form.least, rest.allSatisfy(form.alphabet.contains) { return (form.title, index) }
            }
        }
        return nil
    }

    /// All of what has a well-known form, each to the end of its word; a private key to the end of the text.
    static func all(in text: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        var found: [ArraySlice<UInt8>] = []
        var rest = text
        while let secret = known(in: rest) {
            // Each look copies the rest.
            guard found.count < 100 else { return found + [rest] }
            let start = rest.startIndex + secret.offset
            let part = secret.title == privateKey ? rest[start...] : rest[start...].prefix { $0 > 0x20 }
            found.append(part)
            rest = rest[max(part.endIndex, start + 1)...]
        }
        return found
    }

    private static func has(_ bytes: ContiguousArray<UInt8>, _ index: Int, _ text: StaticString) -> Bool {
        unsafe bytes[index...].starts(
            with: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        )
    }

    /// `-----BEGIN OPENSSH PRIVATE KEY-----` and its like: RFC 7468, section 2.
    private static func isPrivateKey(_ bytes: ContiguousArray<UInt8>, _ start: Int) -> Bool {
        let label = bytes[(start + "-----BEGIN ".utf8.count)...].prefix(48).prefix { $0 != 0x2D }
        return String(decoding: label, as: UTF8.self).hasSuffix("PRIVATE KEY")
    }

    /// Three parts of base64url, the first two of which begin with `{"`: RFC 7515, section 3.1.
    private static func isJWT(_ bytes: ContiguousArray<UInt8>, _ start: Int) -> Bool {
        guard has(bytes, start, "eyJ") else { return false }
        let parts = bytes[start...].prefix(while: Alphabet.dotted.contains).split(separator: 0x2E)
        return parts.count >= 3 && parts[1].starts(with: "eyJ".utf8) && parts.prefix(3).allSatisfy { $0.count >= 10 }
    }

    /// Schemes of which clients mend addresses: they take backslashes for slashes, and any number of them, also none
    /// (https://url.spec.whatwg.org, "special authority slashes state").
    private static let mended = ["https", "http", "wss", "ws", "ftp"].map { Array($0.utf8) }

    /// Where the authority of an address begins whose scheme ends at a colon; nil where it has none.
    private static func authority(_ bytes: ContiguousArray<UInt8>, _ colon: Int) -> Int? {
        let scheme = bytes[..<colon].suffix(8).map { $0 | 0x20 }
        let isMended = mended.contains { name in
            guard scheme.suffix(name.count).elementsEqual(name) else { return false }
            return !(scheme.dropLast(name.count).last.map(Alphabet.dotted.contains) ?? false)
        }
        guard isMended else { return has(bytes, colon, "://") ? colon + 3 : nil }
        return bytes[(colon + 1)...].firstIndex { $0 != 0x2F && $0 != 0x5C }
    }

    /// The same of what addresses write as `%3A`.
    static func known(inEncoded text: some RandomAccessCollection<UInt8>) -> String? {
        known(in: text)?.title ?? PercentEncoding.decoded(Array(text)[...]).flatMap { known(in: $0)?.title }
    }

    private static let longest = 512

    /// `user:password@` at the beginning of an authority, unless a variable stands for the password; `token@` where what
    /// stands there is as long as tokens are, and made of letters and digits.
    private static func isPassword(_ bytes: ContiguousArray<UInt8>, _ start: Int) -> Bool {
        // No more than the longest that is one: a text may be made of schemes alone.
        let authority = bytes[start...].prefix(longest).prefix {
            $0 > 0x20 && $0 != 0x2F && $0 != 0x3F && $0 != 0x23 && $0 != 0x22
        }
        guard let at = authority.lastIndex(of: 0x40) else { return false }
        guard let colon = authority[..<at].firstIndex(of: 0x3A) else {
            let name = authority[..<at]
            return name.count >= 20 && SecretNames.looksMade(String(decoding: name, as: UTF8.self))
        }
        let password = String(decoding: authority[(colon + 1)..<at], as: UTF8.self)
        return !password.isEmpty && !SecretNames.isPlaceholder(password)
    }

    // MARK: What is random

    /// Whether a part of a text is too random to be a name: at least 20 letters and digits in a row that change their
    /// kind as often as chance has it. Digests and UUIDs are not meant.
    static func isRandom(_ text: some Sequence<UInt8>) -> Bool {
        var part: [UInt8] = []
        for byte in text {
            switch byte {
            case 0x41...0x5A, 0x61...0x7A, 0x30...0x39: part.append(byte)
            default:
                if isRandom(part: part) { return true }
                part.removeAll(keepingCapacity: true)
            }
        }
        return isRandom(part: part)
    }

    /// Lengths of digests in hexadecimal digits: MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512.
    private static let digests: Set = [32, 40, 56, 64, 96, 128]

    private static func isRandom(part: [UInt8]) -> Bool {
        guard part.count >= 20 else { return false }
        var (upper, lower, digits, hex, changes) = (0, 0, 0, 0, 0)
        var counts = [Int](repeating: 0, count: 256)
        var last = 0
        for byte in part {
            counts[Int(byte)] += 1
            let kind = byte >= 0x61 ? 1 : byte >= 0x41 ? 2 : 3
            if kind == 1 { lower += 1 } else if kind == 2 { upper += 1 } else { digits += 1 }
            if kind == 3 || (byte | 0x20) <= 0x66 { hex += 1 }
            if last != 0, kind != last { changes += 1 }
            last = kind
        }
        guard counts.count(where: { $0 > 0 }) >= 10, digits < part.count else { return false }
        if hex == part.count, upper == 0 || lower == 0 {
            return digits > 0 && part.count >= 24 && !digests.contains(part.count)
        }
        // Three kinds change in 62 of 100 places by chance, two in 40; words and numbers do so far less often.
        if upper > 0, lower > 0 { return digits > 0 && changes * 100 >= part.count * 46 }
        return digits >= 4 && part.count >= 24 && changes * 5 >= part.count
    }
}
