import EnsignJSON
import EnsignModel
import Testing

/// What of a pattern is refused, and how it is said.
extension SchemaLintTests {
    @Test(
        "Patterns are what ECMAScript and PCRE2 both know",
        arguments: [
            ("(", "there is no ) for this (, at character 1"),
            ("é[", "there is no ] for this [, at character 2"),
            ("a**", "there is nothing to repeat before *, at character 3"),
            ("\\", "a \\ at the end, at character 1"),
            ("a\\Z", "\\Z is not an ECMAScript escape, at character 2"),
            ("\\Qa\\E", "\\Q is not an ECMAScript escape, at character 1"),
            ("é(?i)a", "ECMAScript has no such group, at character 2"),
            ("(?R)?", "ECMAScript has no such group, at character 1"),
            ("(*UTF)a", "there is nothing to repeat before *, at character 2"),
            ("(?#c)", "ECMAScript has no such group, at character 1"),
            ("\\p{Nothing}", "ECMAScript knows no property Nothing, or PCRE2 does not, at character 1"),
            ("a\u{0}b", "a NUL character must be written as \\x00, at character 2"),
            ("a\\\u{0}", "a NUL character must be written as \\x00, at character 3"),
            ("(?<a>x)\\k<b>", "there is no such group, at character 8"),
            ("a++", "there is nothing to repeat before +, at character 3"),
            ("[[:alpha:]]", "a ] itself is written \\], at character 11"),
            ("[]a]", "a ] itself is written \\], at character 4"),
            ("x{", "a brace itself is written \\{, at character 2"),
            ("(?=a)*", "there is nothing to repeat before *, at character 6"),
            ("\\pL", "\\p needs a property in braces, as in \\p{L}, at character 1"),
            ("\\p{^L}", "ECMAScript knows no property ^L, or PCRE2 does not, at character 1"),
            ("\\p{Greek}", "ECMAScript knows no property Greek, or PCRE2 does not, at character 1"),
            ("\\p{lu}", "ECMAScript knows no property lu, or PCRE2 does not, at character 1"),
            ("\\x{41}", "\\x needs two hexadecimal digits, at character 1"),
            ("\\c1", "\\c is not an ECMAScript escape, at character 1"),
            ("\\_", "\\_ is not an ECMAScript escape, at character 1"),
            ("\\-", "\\- is not an ECMAScript escape, at character 1"),
            (
                "^(?:(a)|b)*\\1$",
                "this reference may be to an earlier repetition, which ECMAScript forgets, at character 12"
            ),
            ("(?<=a+)b", "lookbehind assertion is not fixed length, at character 1"),
        ]
    )
    func patterns(pattern: String, message: String) {
        let expected = "schema-invalid-pattern /pattern: the pattern does not compile: \(message)"
        #expect(lint(["pattern": .string(pattern)]) == [expected])
        #expect(lintSchema(["patternProperties": [pattern: true]]).map(\.code) == [.invalidPattern])
    }

    @Test(
        "Patterns that are accepted",
        arguments: [
            "", "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", "\\d+\\.\\d{2}", "(?<year>\\d{4})-\\k<year>", "(a)\\1", "[^]",
            "[]", "\\u00e9\\x41",
            "\\p{L}+", "(?=a)(?!b)(?<=c)(?<!d)", "[(*?]", "\\(\\*", "\\u{1F600}",
        ]
    )
    func acceptedPatterns(pattern: String) throws {
        #expect(lint(["pattern": .string(pattern)]) == [])
        #expect(throws: Never.self) {
            try JSONSchema(["pattern": .string(pattern), "patternProperties": [pattern: true]])
        }
    }

    @Test("Patterns too long or nested too deeply are refused")
    func hostilePatterns() {
        for pattern in [
            String(repeating: "a", count: 5000),
            String(repeating: "(", count: 1000) + String(repeating: ")", count: 1000),
            "(?:(?:(?:a{1000}){1000}){1000})",
        ] {
            #expect(lintSchema(["pattern": .string(pattern)]).map(\.code) == [.invalidPattern])
        }
    }
}
