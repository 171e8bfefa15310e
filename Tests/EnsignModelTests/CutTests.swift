import EnsignModel
import EnsignTestSupport
import Testing

@Suite("Texts of somebody else's are cut")
struct CutTests {
    private func sizeInJSON(_ text: String) -> Int {
        var bytes: [UInt8] = []
        JSONValue.appendCanonical(text, to: &bytes)
        return bytes.count - 2
    }

    @Test("What is left takes no more bytes than asked for, escaped, and is the beginning of the text")
    func bound() {
        var random = SeededGenerator(for: "cut", standard: 17)
        let scalars: [Unicode.Scalar] = [
            "a", "\"", "\\", "\n", "\u{0}", "\u{1F}", "\u{301}", "\u{E9}", "\u{20AC}", "\u{1F600}",
        ]
        for _ in 0..<2_000 {
            var text = ""
            for _ in 0..<random.int(0...120) { text.unicodeScalars.append(random.pick(scalars)) }
            let most = random.int(3...200)
            let cut = text.cut(utf8: most)
            #expect(sizeInJSON(cut) <= most, "seed \(random.seed): \(text)")
            if sizeInJSON(text) <= most {
                #expect(cut.utf8.elementsEqual(text.utf8))
            } else {
                #expect(cut.hasSuffix("..."))
                let kept = cut.unicodeScalars.dropLast(3)
                #expect(text.unicodeScalars.starts(with: kept))
                // Not one scalar less than fits.
                let next = text.unicodeScalars.dropFirst(kept.count).prefix(1)
                #expect(sizeInJSON(String(String.UnicodeScalarView(kept + next)) + "...") > most)
            }
        }
    }

    @Test("One letter with 40,000 combining marks is cut like any other text")
    func letter() {
        #expect(Hostile.letter.count == 1)
        #expect(Hostile.letter.cut(utf8: 500).utf8.count <= 500)
        let finding = Finding(code: "x", "'\(Hostile.letter)'", path: "a", hint: Hostile.letter)
        #expect(finding.message.utf8.count <= Finding.maxText)
        #expect((finding.hint?.utf8.count ?? 0) <= Finding.maxText)
    }
}
