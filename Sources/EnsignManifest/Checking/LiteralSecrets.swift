/// What looks like a secret in how a program is started or a server is reached, before it is in a manifest.
package enum LiteralSecrets {
    /// Whether a variable, a header or an option of this name has a literal secret as its value.
    package static func isSecret(_ value: String, under name: String) -> Bool {
        SecretNames.isSecret(value, under: name) || isSecret(value)
    }

    /// Whether a text is a secret by its form.
    package static func isSecret(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return SecretForms.known(inEncoded: bytes) != nil || bytes.count >= 20 && SecretForms.isRandom(bytes)
    }

    /// A text for people, with `***` for each secret in it.
    package static func hidden(_ text: String) -> String {
        var result = text
        // Nobody writes more into one message, and the search must end.
        for _ in 0..<20 {
            guard let found = assigned(in: Array(result.utf8)[...]), found.value != "***", !found.value.isEmpty else {
                break
            }
            result = result.replacing(found.value, with: "***")
        }
        // Its addresses and words are looked at by themselves: one of them may be a secret.
        var parts: [String] = []
        var part = ""
        for character in result {
            if character == " " || "\n\t\"'`,;()[]<>".contains(character) {
                parts += [part, String(character)]
                part = ""
            } else {
                part.append(character)
            }
        }
        return (parts + [part]).map { isSecret($0) ? "***" : $0 }.joined()
    }

    /// A name and the literal secret that a text gives to it; also as an address has it, `api%5Fkey=abc`.
    static func assigned(in text: ArraySlice<UInt8>) -> SecretAssignments.Found? {
        if let found = SecretAssignments.first(in: text) ?? ProgramPasswords.first(in: text) { return found }
        guard let decoded = PercentEncoding.decoded(text) else { return nil }
        return SecretAssignments.first(in: decoded[...])
    }

    /// The words of a command that hold a secret, by their places, and the secrets in them: `--token abc`, `API_KEY=abc`,
    /// `/token:abc`.
    package static func found(in words: [String]) -> [Int: String] {
        var found: [Int: String] = [:]
        for (index, word) in words.enumerated() {
            let text = Array(word.utf8)
            if let assigned = assigned(in: text[...]) {
                // As it is written, where only its name was encoded.
                found[index] = word.contains(assigned.value) ? assigned.value : word
            } else if isSecret(word) {
                found[index] = word
            }
        }
        for given in given(in: words, inCommand: true) { found[given.index] = given.value }
        return found
    }

    /// The secrets that words are given by the words before them.
    static func given(in words: [String], inCommand: Bool) -> [ProgramPasswords.Found] {
        var found = inCommand ? ProgramPasswords.found(in: words) : []
        for index in words.indices.dropFirst() {
            let (before, word) = (words[index - 1], words[index])
            let option = index > 1 ? words[index - 2] : ""
            if isGiven(word, to: before, inCommand: inCommand)
                || inCommand && isHeader(word, of: before, behind: option)
            {
                found.append((index, before, word))
            }
        }
        return found
    }

    /// Whether a word is the secret that the word before asks for: `--token abc`. Without a dash, in a command, that may be
    /// a verb and its object, so the value must look made: `token create`, `token 7f3a9c01`.
    private static func isGiven(_ word: String, to name: String, inCommand: Bool) -> Bool {
        guard !name.contains("="), !word.hasPrefix("-"), SecretNames.isSecret(word, under: name) else { return false }
        return name.hasPrefix("-") || inCommand && SecretNames.isTelling(name) && SecretNames.looksMade(word)
    }

    /// Whether a word is the value of a header that is in words of its own: `Authorization: Bearer` and `abc`,
    /// `--header Authorization abc`, `Bearer abc`.
    private static func isHeader(_ word: String, of before: String, behind option: String) -> Bool {
        guard !word.hasPrefix("-"), !SecretNames.isPlaceholder(word) else { return false }
        let parts = before.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let scheme = parts.last.map { String($0.drop { $0 == " " }) } ?? ""
        let isScheme = ["bearer", "basic"].contains(scheme.lowercased())
        if parts.count == 2, SecretNames.isTelling(parts[0]) { return scheme.isEmpty || isScheme }
        if ["-H", "--header", "--headers"].contains(option), SecretNames.isTelling(before) { return !isScheme }
        // In small letters it is more often the word for a kind: `--auth-type bearer run`.
        guard isScheme, parts.count == 1, !before.hasPrefix("-") else { return false }
        return SecretNames.looksMade(word) || before == "Bearer" && !isKind(option)
    }

    private static func isKind(_ option: String) -> Bool {
        ["type", "scheme", "kind", "method", "mode"].contains(SecretNames.words(option).last ?? "")
    }
}
