/// A list of patterns (ssh_config(5), PATTERNS): `*` matches any bytes, `?` matches one, and a pattern after `!`
/// excludes.
package struct PatternList: Sendable, Hashable, CustomStringConvertible {
    /// The longest pattern, in bytes. In OpenSSH a list with a longer one matches nothing; here it is refused.
    package static let patternByteLimit = 1022

    /// The patterns as written, with their `!`. None is empty, and there is at least one.
    package let patterns: [String]
    /// How many there are before the first empty one.
    private let beforeEmpty: Int

    /// Reads patterns with commas between them. Empty ones are left out.
    ///
    /// - Returns: nil if there is none, one is longer than ``patternByteLimit``, or the text is not UTF-8.
    package init?(_ list: [UInt8]) {
        guard let text = list.span.text else { return nil }
        let patterns = text.utf8.split(separator: UInt8(ascii: ",")).map { String(Substring($0)) }
        let isShort = patterns.allSatisfy { $0.utf8.count <= Self.patternByteLimit }
        guard !patterns.isEmpty, isShort else { return nil }
        self.patterns = patterns
        beforeEmpty =
            text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).prefix { !$0.isEmpty }.count
    }

    /// The patterns with commas between them.
    package var description: String { patterns.joined(separator: ",") }

    /// Whether a pattern matches all of `text` and none that begins with `!` does. Case matters, and `?` is one byte.
    package func matches(_ text: String) -> Bool {
        let text = Array(text.utf8)
        var isMatched = false
        for pattern in patterns {
            if pattern.utf8.first == UInt8(ascii: "!") {
                if Self.matches(text, pattern: Array(pattern.utf8.dropFirst())) { return false }
            } else if !isMatched {
                isMatched = Self.matches(text, pattern: Array(pattern.utf8))
            }
        }
        return isMatched
    }

    /// The patterns that the list itself matches, up to the first empty one, with the `!` of those that have one: what
    /// `ssh-keygen -Y find-principals` offers as signers, and `-Y verify` then takes (sshsig.c, ssh-keygen.c
    /// `sig_find_principals`). A list such as `!*` has none.
    package var signers: [String] { patterns.prefix(beforeEmpty).filter { matches($0) } }

    /// Whether `pattern` matches all of `text`, in at most the product of their lengths: only the last `*` is retried.
    private static func matches(_ text: [UInt8], pattern: [UInt8]) -> Bool {
        let star = UInt8(ascii: "*")
        let question = UInt8(ascii: "?")
        var textIndex = 0
        var patternIndex = 0
        var lastStar: (pattern: Int, text: Int)?
        while textIndex < text.count {
            if patternIndex < pattern.count, pattern[patternIndex] == star {
                lastStar = (patternIndex, textIndex)
                patternIndex += 1
            } else if patternIndex < pattern.count,
                pattern[patternIndex] == question || pattern[patternIndex] == text[textIndex]
            {
                patternIndex += 1
                textIndex += 1
            } else if let star = lastStar {
                lastStar = (star.pattern, star.text + 1)
                patternIndex = star.pattern + 1
                textIndex = star.text + 1
            } else {
                return false
            }
        }
        return pattern[patternIndex...].allSatisfy { $0 == star }
    }
}
