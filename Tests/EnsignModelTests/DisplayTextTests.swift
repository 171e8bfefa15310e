import EnsignModel
import EnsignTestSupport
import Testing

@Suite("Foreign text made safe to print")
struct DisplayTextTests {
    /// One of each kind of character that acts on a terminal or hides something.
    static let unsafe: [(kind: String, scalar: Unicode.Scalar)] = [
        ("a NUL", "\u{0}"), ("the bell", "\u{7}"), ("a backspace", "\u{8}"), ("a tab", "\t"), ("a line feed", "\n"),
        ("a carriage return", "\r"), ("an escape", "\u{1B}"), ("delete", "\u{7F}"), ("next line", "\u{85}"),
        ("a control sequence", "\u{9B}"), ("a soft hyphen", "\u{AD}"), ("a joiner of graphemes", "\u{34F}"),
        ("an Arabic mark", "\u{61C}"), ("a filler of Hangul", "\u{115F}"), ("a vowel without a shape", "\u{17B4}"),
        ("a separator of Mongolian", "\u{180E}"), ("zero width", "\u{200B}"), ("a non-joiner", "\u{200C}"),
        ("a joiner", "\u{200D}"), ("left to right", "\u{200E}"), ("right to left", "\u{200F}"),
        ("a separator of lines", "\u{2028}"), ("a separator of paragraphs", "\u{2029}"), ("an embedding", "\u{202A}"),
        ("an override", "\u{202E}"), ("a word joiner", "\u{2060}"), ("an invisible times", "\u{2062}"),
        ("an isolate", "\u{2066}"), ("the end of an isolate", "\u{2069}"), ("a filler", "\u{3164}"),
        ("private use", "\u{E000}"), ("a variation selector", "\u{FE0F}"), ("a byte order mark", "\u{FEFF}"),
        ("a filler of half width", "\u{FFA0}"), ("an annotation", "\u{FFF9}"), ("no character", "\u{FFFF}"),
        ("not assigned", "\u{378}"), ("a tag", "\u{E0041}"), ("a selector of the supplement", "\u{E0100}"),
        ("private use beyond", "\u{10FFFD}"),
    ]

    @Test("Each kind of character that steers or hides is an escape on one line", arguments: unsafe)
    func escapes(_ kind: String, _ scalar: Unicode.Scalar) {
        let text = "a\(Character(scalar))b"
        #expect(text.onOneLine == "a\\u{\(String(scalar.value, radix: 16))}b", "\(kind)")
        #expect(text.quoted(utf8: 80) == "'\(text.onOneLine)'")
        #expect(text.asPlainName == text.onOneLine)
        #expect(text.inItsColumns == "a b")
        let stays = scalar == "\n" || scalar == "\t"
        #expect(text.onItsLines == (stays ? text : text.onOneLine))
    }

    @Test(
        "What people write stays as it is",
        arguments: ["", "plain ~ text", "Größe 5 €", "日本語のテキスト", "مرحبا", "e\u{301}", "a\u{A0}b", "🙂", "\u{FFFD}"]
    )
    func stays(_ text: String) {
        #expect(text.onOneLine == text)
        #expect(text.onItsLines == text)
        #expect(text.inItsColumns == text)
    }

    @Test("A name that is not ASCII shows its look-alikes")
    func lookAlikes() {
        #expect("p\u{430}yments".asPlainName == "p\\u{430}yments")
        #expect("payments.refund".asPlainName == "payments.refund")
    }

    @Test("A text that is cut stays within its bytes, whatever it is made of", arguments: unsafe)
    func cut(_ kind: String, _ scalar: Unicode.Scalar) {
        let text = String(repeating: Character(scalar), count: 1_000)
        #expect(text.onOneLine(utf8: 80).utf8.count <= 80, "\(kind)")
        #expect(text.quoted(utf8: 80).utf8.count <= 82)
        #expect(text.onOneLine(utf8: 80).hasSuffix("..."))
    }

    @Test("No text ends the process, and none comes out unsafe")
    func hostile() {
        let marks = "a" + String(repeating: "\u{301}", count: 40_000)
        for text in [marks, String(repeating: "\u{202E}", count: 100_000)] + Hostile.texts {
            for shown in [text.onOneLine, text.onOneLine(utf8: 100), text.inItsColumns, text.quoted(utf8: 3)] {
                #expect(!shown.unicodeScalars.contains(where: DisplayText.isUnsafe))
            }
        }
    }
}
