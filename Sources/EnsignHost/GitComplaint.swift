import EnsignModel

/// Why a git command failed, out of what it wrote on standard error.
package enum GitComplaint {
    /// git's own line about it: the first `fatal:`, `error:` or `! [rejected]`. What follows such a line is mostly advice.
    ///
    /// When git only says that it could not read from the remote, what the transport said before it is the reason.
    ///
    /// - Returns: One line, at most 500 bytes, without credentials; nil when nothing was written.
    package static func reason(in text: String) -> String? {
        let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmingPrefix { $0 == " " || $0 == "\t" } }
        guard let index = lines.firstIndex(where: isVerdict) else {
            return lines.first { !$0.isEmpty }.map { clean(String($0)) }
        }
        let verdict = adding(wordsIn: text, to: String(lines[index]))
        guard verdict.hasPrefix("fatal: Could not read from remote"),
            let before = lines[..<index].last(where: { !$0.isEmpty })
        else { return clean(verdict) }
        return clean("\(before) (\(verdict))")
    }

    /// Adds the first line of what the forge itself said where git only says that a hook declined: the hook knows why.
    package static func adding(wordsIn text: String, to verdict: String) -> String {
        guard verdict.hasSuffix("hook declined)") else { return verdict }
        // Git pads these lines with blanks.
        let lines = text.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("remote:") }
            .map { $0.dropFirst("remote:".count).split(whereSeparator: \.isWhitespace).joined(separator: " ") }
        guard let words = lines.first(where: { !$0.isEmpty }) else { return verdict }
        return "\(verdict): \(words.withoutCredentials.cut(utf8: 200))"
    }

    private static func isVerdict(_ line: Substring) -> Bool {
        line.hasPrefix("fatal: ") || line.hasPrefix("error: ") || line.hasPrefix("! [")
    }

    /// Without the secrets in addresses, which git repeats.
    private static func clean(_ line: String) -> String { line.withoutCredentials.cut(utf8: 500) }
}
