import EnsignModel
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignJSON

/// Node's engine, where it is installed: another reading of ECMA-262.
private let node = ["/usr/bin/node", "/usr/local/bin/node"].first { FileManager.default.isExecutableFile(atPath: $0) }

@Suite("Patterns are ECMAScript's")
struct PatternTests {
    /// Whether a pattern matches somewhere in a text; nil if it is refused.
    private func matches(_ pattern: String, _ text: String) -> Bool? {
        guard let schema = try? JSONSchema(["pattern": .string(pattern)]) else { return nil }
        return schema.validate(.string(text)).isEmpty
    }

    @Test(
        "White space, dots, properties and escapes mean what the standard says",
        arguments: [
            ("^\\s$", "\u{a0}", true), ("^\\s$", "\u{feff}", true), ("^\\s$", "\u{2028}", true),
            ("^\\s$", "\u{3000}", true), ("^\\s$", "\u{180e}", false), ("^\\S$", "\u{a0}", false),
            ("^[\\s]$", "\u{2003}", true), ("^[^\\s@]+$", "a\u{a0}b", false), ("^[\\S]$", "\u{feff}", false),
            ("^[^\\S]$", "\u{a0}", true), ("^[\\Sx]$", "é", true), ("^(?!\\s*$).+", "\u{a0}", false),
            ("^.$", "\r", false), ("^.$", "\u{2028}", false), ("^.$", "\u{2029}", false), ("^.$", "\u{85}", true),
            ("^\\p{Letter}$", "é", true), ("^\\p{gc=Lu}$", "É", true), ("^\\p{gc=Lu}$", "é", false),
            ("^\\p{digit}+$", "4٣", true), ("^\\p{Script=Greek}$", "α", true), ("^\\p{sc=Grek}$", "a", false),
            ("^\\P{Assigned}$", "a", false), ("^\\p{LC}$", "a", true), ("^[\\p{Lu}1]$", "É", true),
            ("^\\ud83d\\ude00$", "😀", true), ("^[\\ud83d\\ude00-\\u{1F64F}]$", "😁", true), ("\\ud83d", "😀", false),
            ("^[^\\ud83d]$", "😀", true), ("^\\cA$", "\u{1}", true), ("^[\\b]$", "\u{8}", true),
            ("^[\\-a]+$", "-a", true),
            ("^(?:(['\"])\\w*\\1,?)+$", "'a',\"b\"", true), ("(?<n>a)\\k<n>", "aa", true), ("\\1(a)", "a", true),
            ("^[[:alph]$", ":", true), ("^$", "\n", false), ("[]", "a", false), ("^[^]$", "\n", true),
        ]
    )
    func meanings(_ pattern: String, _ text: String, _ isMatch: Bool) {
        #expect(matches(pattern, text) == isMatch)
    }

    @Test("Every name of a property that is known compiles")
    func properties() {
        for name in ["General_Category=Decimal_Number", "scx=Latn", "Emoji_Presentation", "ID_Start", "Any", "ASCII"] {
            #expect(matches("\\p{\(name)}", "") == false, "\(name)")
        }
        for name in [
            "greek", "LATIN", "L&", "Script=greek", "sc=Nothing", "gc=", "=Lu", " L", "Lu ", "emoji", "", "Xan",
        ] {
            #expect(matches("\\p{\(name)}", "") == nil, "\(name)")
        }
    }

    @Test("Whatever a pattern is, it compiles or has a mistake at a place inside it")
    func garbage() {
        var random = EnsignTestSupport.SeededGenerator(for: "garbagePatterns", standard: 92)
        let parts =
            Self.atoms + Self.quantifiers + [
                "(", ")", "(?", "(?<", "(?<n", "(?<n>", "(?:", "(?=", "(?!", "(?<=", "[", "[^", "]", "-", "\\", "\\u",
                "\\u{",
                "\\x", "\\c", "\\p{", "\\P{L", "\\k<", "{", "{1", "{1,", "|", "*", "^", "$", "\u{10ffff}", "\u{1}",
            ]
        for _ in 0..<20_000 {
            let pattern = (0..<random.int(0...9)).map { _ in random.pick(parts) }.joined()
            guard let error = PatternError(in: pattern) else { continue }
            #expect((1...pattern.unicodeScalars.count + 1).contains(error.column), "\(pattern)")
            #expect(!error.message.isEmpty && error.message != "not enough memory", "\(pattern)")
        }
    }

    // MARK: Against node

    private static let atoms = [
        "a", "b", "c", "1", "_", "é", "😀", " ", ".", "\\s", "\\S", "\\d", "\\D", "\\w", "\\W", "\\n", "\\r", "\\t",
        "\\v",
        "\\x41", "\\x4", "\\u0041", "\\u{1F600}", "\\u{110000}", "\\ud83d\\ude00", "\\ud83d", "\\ude00", "\\cA", "\\c1",
        "\\0", "\\01", "\\-", "\\_", "\\/", "\\.", "\\]", "\\a", "\\é", "-", "/", "]", "}", "{", "[abc]", "[^a]",
        "[a-c]",
        "[c-a]", "[\\s]", "[^\\s]", "[\\Sa]", "[^\\S]", "[\\d-x]", "[]", "[^]", "[]a]", "[a-]", "[-a]", "[\\b]",
        "[\\-]",
        "[a\\]]", "[[]", "[[:alpha:]]", "[\\u{1F600}-\\u{1F64F}]", "[😀é]", "[^😀]", "[\\ud83d\\ude00]", "[\\ud83d]",
        "[^\\w\\s]", "[\\p{L}_]", "[^\\P{L}]", "\\p{L}", "\\p{Lu}", "\\P{L}", "\\p{Letter}", "\\p{gc=Lu}",
        "\\p{sc=Greek}",
        "\\p{Script=Grek}", "\\p{Greek}", "\\pL", "\\p{Alphabetic}", "\\p{^L}", "\\p{L&}", "\\p{lu}", "\\p{Any}",
        "\\1", "\\2", "\\k<n>", "\\k", "\\9",
    ]
    private static let assertions = ["^", "$", "\\b", "\\B"]
    private static let quantifiers = [
        "*", "+", "?", "{2}", "{1,2}", "{0,}", "{2,1}", "{,2}", "*?", "+?", "{1,}?", "++",
    ]
    private static let characters: [Character] = [
        "a", "b", "c", "A", "1", "_", "-", ".", "/", "]", "{", "é", "😀", "α", "\n", "\r", "\t", " ", "\u{a0}",
        "\u{feff}", "\u{2028}", "\u{85}", "\u{1}", "\u{8}",
    ]

    private func pattern(_ random: inout EnsignTestSupport.SeededGenerator, depth: Int = 0) -> String {
        (0..<random.int(1...(depth == 0 ? 4 : 3))).map { _ in item(&random, depth) }.joined()
    }

    private func item(_ random: inout EnsignTestSupport.SeededGenerator, _ depth: Int) -> String {
        func inside() -> String { pattern(&random, depth: depth + 1) }
        var text: String
        switch random.int(0...11) {
        case 0: text = random.pick(Self.assertions)
        case 1 where depth < 3: text = random.pick(["(?=", "(?!", "(?<=", "(?<!"]) + inside() + ")"
        case 2 where depth < 3, 3 where depth < 3: text = random.pick(["(", "(", "(?:", "(?<n>"]) + inside() + ")"
        case 4 where depth < 3: text = "(?:" + inside() + "|" + inside() + ")"
        // Plain things more often, so that a whole pattern is mostly valid.
        case 5, 6: text = random.pick(["a", "b", "[ab]", "\\s", ".", "\\1"])
        default: text = random.pick(Self.atoms)
        }
        if random.once(in: 3) { text += random.pick(Self.quantifiers) }
        return text
    }

    @Test("Random patterns match what they match in V8, or are refused", .enabled(if: node != nil))
    func againstNode() throws {
        var random = EnsignTestSupport.SeededGenerator(for: "againstNode", standard: 91)
        let patterns = (0..<4_000).map { _ in pattern(&random) }
        let texts = (0..<60).map { _ in
            String((0..<random.int(0...5)).map { _ in random.pick(Self.characters) })
        }
        let scratch = try ScratchDirectory()
        let script = """
            const {patterns, texts} = JSON.parse(require("fs").readFileSync(0, "utf8"));
            for (const pattern of patterns) {
              let found;
              try { found = new RegExp(pattern, "u"); } catch { console.log("-"); continue; }
              console.log(texts.map((text) => (found.test(text) ? 1 : 0)).join(""));
            }
            """
        let input: JSONValue = [
            "patterns": .array(patterns.map { .string($0) }), "texts": .array(texts.map { .string($0) }),
        ]
        let result = try run(
            try #require(node),
            ["-e", script],
            in: scratch.path,
            input: String(decoding: input.canonicalBytes(), as: UTF8.self)
        )
        #expect(result.status == 0, "\(result.errors)")
        let answers = result.output.split(separator: "\n")
        try #require(answers.count == patterns.count)
        var (compared, refused) = (0, 0)
        for (pattern, answer) in zip(patterns, answers) {
            guard let schema = try? JSONSchema(["pattern": .string(pattern)]) else {
                guard answer != "-" else { continue }
                refused += 1
                // What cannot be carried over; nothing else is refused.
                let why = PatternError(in: pattern)?.message ?? ""
                let isKnown = ["lookbehind", "looks behind", "earlier repetition"].contains { why.contains($0) }
                #expect(isKnown, "\(pattern): \(why)")
                continue
            }
            #expect(answer != "-", "\(pattern) is not ECMAScript")
            let ours = texts.map { schema.validate(.string($0)).isEmpty ? "1" : "0" }.joined()
            #expect(ours == answer, "\(pattern)")
            compared += 1
        }
        #expect(compared > 800 && refused < compared / 5, "\(compared) compared, \(refused) refused")
    }
}
