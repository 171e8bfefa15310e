import EnsignTestSupport
import EnsignYAML
import Testing

@Suite("Characters that are refused before parsing")
struct TextScanTests {
    @Test("UTF-16 is refused, with and without its byte order")
    func utf16() {
        for bytes: [UInt8] in [[0xFF, 0xFE, 0x61, 0x00], [0xFE, 0xFF, 0x00, 0x61]] {
            let result = TextScan.scan(bytes, manifest: true)
            #expect(result.problems.map(\.code) == ["encoding"])
            #expect(result.problems.first?.hint == "save it as UTF-8")
            #expect(!result.isText)
        }
        // Without a byte order mark the zeros give it away.
        #expect(!TextScan.scan([0x61, 0x00, 0x3A, 0x00], manifest: true).isText)
    }

    @Test("A UTF-8 byte order mark is skipped with a warning and counts for no column")
    func byteOrderMark() {
        let bytes: [UInt8] = [0xEF, 0xBB, 0xBF] + Array("a: 1\na: 2\n".utf8)
        let result = TextScan.scan(bytes, manifest: true)
        #expect(result.start == 3)
        #expect(result.problems.isEmpty)
        #expect(result.warnings.map(\.code) == ["byte-order-mark"])
        #expect(YAMLParser.parse(bytes[3...]).problems.map(\.mark) == [YAMLMark(line: 2, column: 1)])
    }

    @Test(
        "Bytes that are not UTF-8 are refused where they are",
        arguments: [
            [0x80], [0xC0, 0xAF], [0xC2], [0xE0, 0x80, 0xAF], [0xED, 0xA0, 0x80], [0xF0, 0x80, 0x80, 0xAF],
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82], [0xFF],
        ] as [[UInt8]]
    )
    func notUTF8(bytes: [UInt8]) {
        let result = TextScan.scan(Array("a: 1\nb: é ".utf8) + bytes, manifest: true)
        #expect(result.problems.map(\.code) == ["encoding"])
        #expect(result.problems.first?.mark == YAMLMark(line: 2, column: 6))
        #expect(!result.isText)
    }

    @Test("Control characters are refused in manifests and prose", arguments: [true, false])
    func controls(manifest: Bool) {
        #expect(
            scan("a: x①\u{7}y②\u{1B}[2J\n③\u{7F}\n", manifest: manifest) == """
                ① control-character: control character U+0007 in the text [remove it]
                ② control-character: control character U+001B in the text [remove it]
                ③ control-character: control character U+007F in the text [remove it]
                """
        )
        #expect(scan("a①\u{0}b", manifest: manifest).contains("① control-character: control character U+0000"))
        #expect(!TextScan.scan([0x61, 0x00], manifest: manifest).isText)
    }

    @Test("A carriage return is accepted before a line feed only")
    func carriageReturns() {
        #expect(scan("a: 1\r\nb: 2\r\n") == "")
        #expect(
            scan("a: 1①\rb: 2\n") == "① control-character: control character U+000D in the text [end lines with LF]"
        )
    }

    @Test("A tab may not start a line of a manifest; anywhere else it may stand")
    func tabs() {
        #expect(scan("a:\n①\tb: 1\n") == "① tab: a tab cannot indent [use spaces]")
        #expect(scan("a: x\ty\n") == "")
        #expect(scan("\tcode\n", manifest: false) == "")
    }

    @Test("Line breaks that only some readers know are refused in manifests and pointed out in prose")
    func exoticBreaks() {
        let text = "a①\u{85}b②\u{2028}c③\u{2029}d④\u{FEFF}e⑤\u{9F}\n"
        let hint = "[remove it, or write it as an escape in double quotes]"
        let lines = ["① U+0085", "② U+2028", "③ U+2029", "④ U+FEFF", "⑤ U+009F"].map { line in
            let (place, name) = (line.prefix(1), line.dropFirst(2))
            return "\(place) control-character: \(name) in the text \(hint)"
        }
        #expect(scan(text) == lines.joined(separator: "\n"))
        #expect(scan(text, manifest: false) == lines.map { "? " + $0 }.joined(separator: "\n"))
    }

    @Test("Bidirectional controls are refused in manifests and pointed out in prose")
    func bidirectional() {
        for scalar in ["\u{202A}", "\u{202E}", "\u{2066}", "\u{2069}"] {
            let name = "U+" + String(scalar.unicodeScalars.first?.value ?? 0, radix: 16, uppercase: true)
            let said =
                "① bidirectional-control: bidirectional control \(name) can show other text than it is [remove it]"
            #expect(scan("a: x①\(scalar)y") == said)
            #expect(scan("a: x①\(scalar)y", manifest: false) == "? " + said)
        }
    }

    @Test("A scan stops after twenty problems, and after as many warnings")
    func bounded() {
        let controls = String(repeating: "\u{7}\n", count: 1_000)
        #expect(TextScan.scan(Array(controls.utf8), manifest: true).problems.count == 20)
        let hidden = String(repeating: "\u{202E}\n", count: 1_000)
        let prose = TextScan.scan(Array(hidden.utf8), manifest: false)
        #expect(prose.problems.isEmpty)
        #expect(prose.warnings.count == 20)
    }
}
