/// Names under which secrets stand, and values that are none.
enum SecretNames {
    /// What a name says of its value.
    enum Weight: Sendable, Hashable {
        case none
        /// A secret if it looks made and not written: `KEY`, `PASS`, `sig`.
        case maybe
        case surely
    }

    private static let endings = [
        "token", "secret", "secrets", "password", "passwords", "passwd", "passphrase", "apikey", "apikeys",
        "credential", "credentials", "creds",
    ]
    private static let whole: Set = [
        "authorization", "proxyauthorization", "cookie", "cookies", "pat", "jwt", "bearer", "pgpassword", "auth",
        "mnemonic", "seedphrase",
    ]
    private static let keys: Set = [
        "api", "access", "secret", "private", "auth", "encryption", "signing", "account", "master", "service",
        "subscription", "license",
    ]
    /// Whose tokens are not the count of a text's.
    private static let holders: Set = ["api", "access", "auth", "bearer", "refresh", "bot", "secret"]
    /// Marks in a model's vocabulary.
    private static let marks: Set = ["eos", "bos", "pad", "stop", "unk", "mask", "sep", "cls"]
    /// What keys order, find or press.
    private static let plainKeys: Set = [
        "sort", "primary", "foreign", "partition", "cache", "public", "row", "group", "route", "routing", "shard",
        "index", "idempotency", "dedup", "map", "lookup", "object", "message", "event", "order", "range", "hash", "tab",
        "enter", "translation",
    ]

    /// The words of a name, in lower case: `apiKey` is two.
    static func words(_ name: some StringProtocol) -> [String] {
        var words: [String] = [""]
        var wasLower = false
        for letter in name {
            if !letter.isLetter && !letter.isNumber {
                words.append("")
            } else {
                if letter.isUppercase, wasLower { words.append("") }
                words[words.count - 1] += letter.lowercased()
            }
            wasLower = letter.isLowercase
        }
        words.removeAll(where: \.isEmpty)
        return words
    }

    /// What a variable, a header or an option of this name says of its value.
    static func weight(_ name: some StringProtocol) -> Weight {
        let words = words(name)
        guard let last = words.last else { return .none }
        let prior = words.dropLast().last
        if last == "token", let prior, marks.contains(prior) { return .none }
        if whole.contains(words.joined()) || whole.contains(last) && prior != nil { return .surely }
        if endings.contains(where: last.hasSuffix) { return .surely }
        switch last {
        case "tokens": return prior.map(holders.contains) == true ? .surely : .none
        case "pass", "pwd": return prior != nil ? .surely : .maybe
        case "keys": return prior.map(keys.contains) == true ? .surely : .none
        case "key":
            if let prior, keys.contains(prior) { return .surely }
            return prior.map(plainKeys.contains) == true ? .none : .maybe
        case "sig", "signature", "hmac": return .maybe
        default: return last.hasSuffix("key") && keys.contains(String(last.dropLast(3))) ? .surely : .none
        }
    }

    /// Whether a variable, a header or an option of this name holds a secret, whatever it looks like.
    static func isTelling(_ name: some StringProtocol) -> Bool { weight(name) == .surely }

    /// Whether anything under a name may be a secret.
    static func mayHold(_ name: some StringProtocol) -> Bool {
        weight(name) != .none || logins.contains(words(name).last ?? "")
    }

    /// Whether a value under a name is a literal secret.
    static func isSecret(_ value: some StringProtocol, under name: some StringProtocol) -> Bool {
        let weight = weight(name)
        guard weight != .none, !value.isEmpty else { return isLogin(value, under: name) }
        // A number is how many or how long; as a password it is one.
        if Double(value) != nil, value.count <= 9 {
            let isPassword = words(name).last.map { $0.hasPrefix("pass") || $0.hasPrefix("pwd") } ?? false
            return weight == .surely && isPassword && value.count >= 4
        }
        return !isPlaceholder(value) && (weight == .surely || looksMade(value))
    }

    /// Options that take who somebody is, and often what proves it: curl's `-u`.
    private static let logins: Set = ["u", "user", "login", "userpwd", "username"]

    /// `name:password` where a name is meant; `name:group` and `1000:1000` are none.
    private static func isLogin(_ value: some StringProtocol, under name: some StringProtocol) -> Bool {
        let parts = value.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, logins.contains(words(name).last ?? ""), parts[0] != parts[1],
            !isPlaceholder(parts[1]), Int(parts[1]) == nil
        else { return false }
        return parts[1].utf8.contains { !(0x61...0x7A).contains($0) && $0 != 0x2D && $0 != 0x5F }
    }

    /// Whether a value is made, as keys are: one word of letters and digits.
    static func looksMade(_ value: some StringProtocol) -> Bool {
        var (letters, digits) = (0, 0)
        for byte in value.utf8 {
            switch byte {
            case 0x41...0x5A, 0x61...0x7A: letters += 1
            case 0x30...0x39: digits += 1
            case 0x2B, 0x2D, 0x2F, 0x3D, 0x5F, 0x7E: break
            default: return false
            }
        }
        return letters > 0 && digits > 0 && value.utf8.count >= 8
    }

    /// Values that say how, and not with what.
    private static let switches: Set = [
        "true", "false", "yes", "no", "on", "off", "null", "none", "required", "optional", "enabled", "disabled",
        "auto",
        "oauth", "oauth2", "basic", "bearer", "digest", "oidc", "iam", "mtls", "saml", "kerberos", "ntlm",
    ]

    /// Whether a value stands for another one, or is none: a variable, a placeholder, a path, a number, a switch.
    static func isPlaceholder(_ value: some StringProtocol) -> Bool {
        guard let first = value.utf8.first, let last = value.last?.utf8.first else { return true }
        if let references = SecretReferences(value) { return !references.holdLiteral }
        if Double(value) != nil, value.count <= 9 { return true }
        let inside = value.dropFirst().dropLast()
        switch first {
        case UInt8(ascii: "*"): return value.allSatisfy { $0 == "*" }
        case UInt8(ascii: "$"): return isVariables(value)
        case UInt8(ascii: "%") where last == first: return isFieldName(inside)
        case UInt8(ascii: "`"): return true
        case UInt8(ascii: "{") where last == UInt8(ascii: "}"): return isFieldName(inside)
        case UInt8(ascii: "<") where last == UInt8(ascii: ">"): return true
        case UInt8(ascii: "/"), UInt8(ascii: "~"), UInt8(ascii: "."): return isPath(value)
        default: break
        }
        return value.hasPrefix("op://") || value.hasPrefix("file:") || switches.contains(value.lowercased())
    }

    /// `$NAME`, `$(command)` and several of them.
    private static func isVariables(_ value: some StringProtocol) -> Bool {
        let parts = value.split(separator: "$")
        return !parts.isEmpty
            && parts.allSatisfy { part in
                if part.hasPrefix("(") { return true }
                let name = part.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
                let isWord = !name.contains { $0.isLowercase } || !name.contains { $0.isNumber } || name.contains("_")
                return !name.isEmpty && isWord && part.dropFirst(name.count).allSatisfy { " :@/-.,".contains($0) }
            }
    }

    /// `name`, `API_KEY_2` and `input:name` in braces; not what only looks so.
    private static func isFieldName(_ name: some StringProtocol) -> Bool {
        let isUpper = !name.contains { $0.isLowercase }
        return name.utf8.allSatisfy { isNamePart($0) || $0 == 0x2D || $0 == 0x2E || $0 == 0x3A || $0 == 0x20 }
            && (isUpper || !looksMade(String(name.filter { $0 != "." && $0 != ":" && $0 != " " })))
    }

    private static func isPath(_ value: some StringProtocol) -> Bool {
        let isRooted = value.hasPrefix("/") || value.hasPrefix("~/") || value.hasPrefix("./") || value.hasPrefix("../")
        return isRooted && !SecretForms.isRandom(value.utf8)
    }

    static func isNamePart(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x41...0x5A, 0x61...0x7A, 0x30...0x39, 0x5F: true
        default: false
        }
    }
}
