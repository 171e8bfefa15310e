import EnsignModel
import EnsignTestSupport
import Testing

@Suite("Foreign text made safe to print")
struct DisplayTextTests {
    @Test("Each kind of character that steers or hides is an escape on one line", arguments: Hostile.unsafeScalars)
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

    @Test("A text that is cut stays within its bytes, whatever it is made of", arguments: Hostile.unsafeScalars)
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
