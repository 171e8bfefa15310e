/// What looks like a secret in how a program is started or a server is reached, before it is in a manifest.
package enum LiteralSecrets {
    /// Whether a variable, a header or an option of this name has a literal secret as its value.
    package static func isSecret(_ value: String, under name: String) -> Bool {
        SecretNames.isSecret(value, under: name) || isSecret(value)
    }

    /// Whether a text is a secret by its form.
    package static func isSecret(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return SecretForms.known(in: bytes) != nil || bytes.count >= 20 && SecretForms.isRandom(bytes)
    }

    /// The words of a command that hold a secret, by their places, and the secrets in them: `--token abc`, `API_KEY=abc`.
    package static func found(in words: [String]) -> [Int: String] {
        var found: [Int: String] = [:]
        for (index, word) in words.enumerated() {
            if let assigned = SecretAssignments.first(in: Array(word.utf8)[...]) {
                found[index] = assigned.value
            } else if isSecret(word) {
                found[index] = word
            }
            guard index > 0, words[index - 1].hasPrefix("-"), !words[index - 1].contains("="), !word.hasPrefix("-"),
                SecretNames.isSecret(word, under: words[index - 1])
            else { continue }
            found[index] = word
        }
        return found
    }
}
