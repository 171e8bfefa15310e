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

    /// The words of a command that hold a secret, by their places, and the secrets in them: `--token abc`, `API_KEY=abc`,
    /// `/token:abc`.
    package static func found(in words: [String]) -> [Int: String] {
        var found: [Int: String] = [:]
        for (index, word) in words.enumerated() {
            if let assigned = SecretAssignments.first(in: Array(word.utf8)[...]) {
                found[index] = assigned.value
            } else if isSecret(word) {
                found[index] = word
            }
            if index > 0, isGiven(word, to: words[index - 1]) { found[index] = word }
        }
        return found
    }

    /// Whether a word is the secret that the word before asks for: `--token abc`. Without a dash, in a command, that may be
    /// a verb and its object, so the value must look made: `token create`, `token 7f3a9c01`.
    static func isGiven(_ word: String, to name: String, inCommand: Bool = true) -> Bool {
        guard !name.contains("="), !word.hasPrefix("-"), SecretNames.isSecret(word, under: name) else { return false }
        return name.hasPrefix("-") || inCommand && SecretNames.isTelling(name) && SecretNames.looksMade(word)
    }
}
