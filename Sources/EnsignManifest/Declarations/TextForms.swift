import EnsignModel

extension TextForm {
    /// Prose of up to 4 KB.
    package static let prose = TextForm("text", maxBytes: 4_096)
    /// What a tool's server tells models: some write pages.
    static let manual = TextForm("text", maxBytes: 65_536)
    /// A short text of one line.
    package static let line = TextForm("a line of text", maxBytes: 256) { text in
        text.utf8.contains(0x0A) ? "must be one line" : text.isEmpty ? "must not be empty" : nil
    }
    /// A label's value: any text, even one that looks like a boolean.
    static let label = TextForm("text", takesAnyScalar: true)

    package static let name = TextForm("a name", code: "invalid-name", pattern: "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    { text in
        Name.isValid(text) ? nil : "'\(text)' is not a name: \(Name.rule)"
    }

    /// The name of an operation, which is any name of a tool of MCP.
    static let operation = TextForm(
        "the name of an operation",
        code: "invalid-name",
        pattern: "^[A-Za-z0-9_.-]{1,128}$"
    ) { text in
        guard !OperationName.isValid(text) else { return nil }
        return "'\(text.cut(utf8: 140))' is not the name of an operation: \(OperationName.rule)"
    }

    /// An operation, or all of them.
    static let operationOrAll = TextForm(
        "the name of an operation or \"*\"",
        code: "invalid-name",
        pattern: "^([A-Za-z0-9_.-]{1,128}|[*])$"
    ) { text in
        text == "*" ? nil : operation.problem(text)
    }

    package static let agent = TextForm(
        "an agent, <team>/<agent>",
        code: "invalid-name",
        pattern: "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
    ) { text in
        AgentID(text) == nil ? "'\(text)' is not an agent: write <team>/<agent>" : nil
    }

    static let release = TextForm("a semantic version", code: "invalid-version", pattern: semver) { text in
        SemanticVersion(text) == nil ? "'\(text)' is not SemVer: write MAJOR.MINOR.PATCH, such as 1.4.0" : nil
    }

    static let agentVersion = TextForm(
        "a semantic version or 'next'",
        code: "invalid-version",
        pattern: "^next$|\(semver)"
    ) { text in
        AgentVersion(text) == nil ? "'\(text)' is not SemVer: write MAJOR.MINOR.PATCH, such as 1.4.0, or next" : nil
    }

    package static let duration = TextForm("a duration", code: "invalid-duration", pattern: "^[0-9]{1,15}(ms|s|m|h|d)$")
    { text in
        TimeSpan(text) == nil ? "'\(text)' is not a duration: write a whole number and ms, s, m, h or d" : nil
    }

    /// How far apart the samples of a query are.
    static let step = TextForm(
        "a duration from 1s to 1h",
        code: "invalid-duration",
        pattern: "^[0-9]{1,15}(ms|s|m|h|d)$"
    ) { text in
        guard let span = TimeSpan(text) else { return duration.problem(text) }
        return PrometheusQuery.steps.contains(span.milliseconds) ? nil : "'\(text)' is not from 1s to 1h"
    }

    /// PromQL: only Prometheus can tell whether it is valid.
    static let query = TextForm("a PromQL query", maxBytes: PrometheusQuery.maxBytes) { text in
        guard text.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control }) else {
            return "must be one line without control characters; YAML folds lines after '>-'"
        }
        return text.allSatisfy(\.isWhitespace) ? "must not be empty" : nil
    }

    static let date = TextForm("a date", pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}$") { text in
        CalendarDate(text) == nil ? "'\(text)' is not a date: write YYYY-MM-DD" : nil
    }

    static let fileName = TextForm(
        "the name of a file",
        code: "invalid-name",
        pattern: "^[A-Za-z0-9_-][A-Za-z0-9._-]*$",
        maxBytes: 128
    ) {
        text in
        if text.isEmpty || !text.utf8.allSatisfy(isNamePart) || text.hasPrefix(".") || text == "agent.yaml" {
            return "'\(text)' is not the name of a file beside this one: use A-Z, a-z, 0-9, '.', '_' and '-'"
        }
        return nil
    }

    /// The name of a prompt, as the runtime asks for it.
    static let promptName = TextForm(
        "a name",
        code: "invalid-name",
        pattern: "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
        maxBytes: 64
    ) { text in
        let isName =
            text.first.map { $0.isASCII && ($0.isLetter || $0.isNumber) } == true
            && text.utf8.allSatisfy(isNamePart)
        return isName ? nil : "'\(text)' is not a name: use A-Z, a-z, 0-9, '.', '_' and '-'"
    }

    /// What a framework calls an agent: any line, since each has rules of its own.
    package static let alias = TextForm("a name", code: "invalid-name", maxBytes: 128) { line.problem($0) }

    /// A variable of an environment, as POSIX has it (Base Definitions, section 8.1).
    package static let variable = TextForm("a variable", pattern: "^[A-Za-z_][A-Za-z0-9_]*$") { text in
        let isName =
            text.utf8.first.map { !(0x30...0x39).contains($0) } == true
            && text.utf8.allSatisfy { isNamePart($0) && $0 != 0x2D && $0 != 0x2E }
        return isName ? nil : "'\(text)' is not a variable: use A-Z, a-z, 0-9 and '_'"
    }

    /// The name of a header field: RFC 9110, section 5.1.
    package static let header = TextForm(
        "a header's name",
        code: "invalid-name",
        pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
    ) { text in
        let isToken = !text.isEmpty && text.utf8.allSatisfy { isNamePart($0) || "!#$%&'*+^`|~".utf8.contains($0) }
        return isToken ? nil : "'\(text)' is not the name of a header"
    }

    static let digest = TextForm("a digest", pattern: "^sha256:[0-9a-f]{64}$") { text in
        Digest(text) == nil ? "'\(text)' is not a digest: write sha256: and 64 hexadecimal digits" : nil
    }

    /// A team, or a person as `allowed_signers` names one.
    static let approver = TextForm(
        "a team or a principal",
        pattern: "^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?|\(principalPart)+@\(principalPart)+)$"
    ) { text in
        guard Approver(text) == nil else { return nil }
        return
            "'\(text)' is neither a team nor one person: write a team's name, or a principal of allowed_signers such as ada@example.com"
    }

    /// What `Approver.isExact` takes.
    private static let principalPart = "[#-)+./0-9:;<=>@A-Z[\\]^_`a-z{|}~-]"

    static let rate = TextForm("a rate", pattern: "^([1-9][0-9]{0,5}|1000000)/[smhd]$", maxBytes: 32) { text in
        CallRate(text) == nil
            ? "'\(text)' is not a rate: write a whole number, '/' and s, m, h or d, such as 30/m" : nil
    }

    static let toolOperation = TextForm(
        "an operation of a tool",
        pattern: "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.[A-Za-z0-9_.-]{1,128}$"
    ) { text in
        Precondition.operation(text) == nil ? "'\(text)' is not an operation: write <tool>.<operation>" : nil
    }

    /// RFC 6901.
    static let pointer = TextForm(
        "a JSON Pointer",
        pattern: "^(/([^~/]|~[01])*)+$",
        maxBytes: JSONPointer.maxBytes
    ) { text in
        JSONPointer(text) == nil
            ? "'\(text)' is not a JSON Pointer into the arguments: write '/' and a name, such as /ticket" : nil
    }

    static let timezone = TextForm("a time zone", pattern: "^[A-Za-z][A-Za-z0-9_+/-]*$", maxBytes: 64) { text in
        let isName =
            text.first.map { $0.isASCII && $0.isLetter } == true
            && text.utf8.allSatisfy { isNamePart($0) && $0 != 0x2E || $0 == 0x2B || $0 == 0x2F }
        return isName ? nil : "'\(text)' is not a time zone: write a name such as Europe/Berlin"
    }

    static let webhook = TextForm("a path", pattern: "^/[^\\s?#]*$") { text in
        let isPath = text.hasPrefix("/") && !text.contains { $0.isWhitespace || $0 == "?" || $0 == "#" }
        return isPath ? nil : "'\(text)' is not a path: begin with '/', without a query"
    }

    /// The five fields of crontab: POSIX, crontab, section INPUT FILES; steps and names as in Vixie's.
    static let cron = TextForm("a schedule of five fields", pattern: "^\\S+( +\\S+){4}$") { text in
        Schedule.problem(text)
    }

    private static func isNamePart(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x61...0x7A, 0x41...0x5A, 0x30...0x39, 0x2D, 0x2E, 0x5F: true
        default: false
        }
    }

    /// `<scheme>:<path>`: where a secret is kept, never the secret.
    package static let credentials = TextForm(
        "a reference to credentials",
        code: "literal-secret",
        pattern: "^[a-z][a-z0-9+.-]*:[^\\s]+$"
    ) {
        text in
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let isReference =
            parts.count == 2 && !parts[1].isEmpty && parts[0].first.map { ("a"..."z").contains($0) } == true
            && parts[0].utf8.allSatisfy { byte in
                switch byte {
                case 0x61...0x7A, 0x30...0x39, 0x2B, 0x2D, 0x2E: true
                default: false
                }
            } && !text.contains(where: \.isWhitespace)
        return isReference ? nil : "this is not a reference like 'vault:payments': a literal secret is never accepted"
    }

    /// A server's address. What lets somebody in does not belong into it: everybody may read a bundle, and the record
    /// keeps it for ever.
    static let url = TextForm("a URL without credentials", code: "literal-secret") { text in
        if let problem = line.problem(text) { return problem }
        let secret = "a name, a password or a token is part of it: a literal secret is never accepted"
        guard isPlainAddress(text) else {
            return "it is not written <scheme>://<host>..., and clients may find a name and a password in it"
        }
        // An address in the address, as `?next=` has it.
        let decoded = PercentEncoding.decoded(Array(text.utf8)[...]).map { String(decoding: $0, as: UTF8.self) } ?? text
        for part in decoded.split(separator: "://").dropFirst() {
            if part.prefix(while: { !"/?#&\\".contains($0) }).contains("@") { return secret }
        }
        guard let slashes = text.firstRange(of: "//") else { return nil }
        let rest = text[slashes.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let query = rest.drop { $0 != "?" && $0 != "#" }
        let names = query.split(whereSeparator: { "?&;#".contains($0) }).map { $0.prefix { $0 != "=" } }
        let isTelling = names.contains { name in
            // An escaped name may be any.
            name.contains("%")
                || SecretNames.words(name).contains(where: tellingWords.contains) || SecretNames.isTelling(name)
        }
        return authority.contains("@") || isTelling ? secret : nil
    }

    /// Whether all clients read the same host in an address. Many mend what is written in another form: they take
    /// backslashes for slashes, and any number of them (https://url.spec.whatwg.org, "special authority slashes state").
    private static func isPlainAddress(_ text: String) -> Bool {
        guard let colon = text.firstIndex(where: { $0 == ":" || $0 == "/" || $0 == "\\" }), text[colon] == ":" else {
            return !text.contains { $0 == "@" || $0 == "\\" }
        }
        let rest = text[colon...].dropFirst()
        let slashes = rest.prefix { $0 == "/" || $0 == "\\" }
        // `host:8080/path` has no scheme.
        if slashes.isEmpty { return !rest.contains { $0 == "@" || $0 == "\\" } && !rest.lowercased().contains("%40") }
        return slashes == "//" && !rest.prefix { $0 != "?" && $0 != "#" }.contains("\\")
    }

    private static let tellingWords: Set = [
        "token", "secret", "password", "passwd", "pwd", "pass", "key", "apikey", "auth", "authorization", "sig",
        "signature", "credential", "credentials", "code", "jwt", "accesstoken", "hmac", "session", "sessionid",
    ]

    /// A SPIFFE trust domain: https://spiffe.io, "SPIFFE-ID", section 2.1.
    static let trustDomain = TextForm("a trust domain", pattern: "^[a-z0-9._-]{1,255}$") { text in
        let isValid =
            !text.isEmpty && text.utf8.count <= 255
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x61...0x7A, 0x30...0x39, 0x2D, 0x2E, 0x5F: true
                default: false
                }
            }
        return isValid ? nil : "'\(text)' is not a trust domain: use a-z, 0-9, '.', '_' and '-'"
    }

    /// `<provider>/<model>`.
    static let modelKey = TextForm("a model, <provider>/<name>", code: "invalid-name", pattern: "^[^/\\s]+/[^\\s]+$") {
        text in
        let parts = text.split(separator: "/", maxSplits: 1)
        return parts.count == 2 ? nil : "'\(text)' is not a model: write <provider>/<name>"
    }

    private static let semver =
        "^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)"
        + "(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(\\.(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
        + "(\\+[0-9a-zA-Z-]+(\\.[0-9a-zA-Z-]+)*)?$"
}
