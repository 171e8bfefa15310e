import EnsignModel
import EnsignTestSupport
import EnsignYAML
import Testing

@Suite("YAML that is accepted")
struct AcceptedYAMLTests {
    @Test("Block and flow style, comments and quotes read the same")
    func styles() {
        let flow = "{a: [x, \"y\"], b: {c: 'd: e'}}"
        let block = """
            # A comment.
            a:          # and one here
              - x
              - "y"

            b:
              c: 'd: e'
            """
        #expect(read(flow) == "{a: [x, \"y\"], b: {c: \"d: e\"}}")
        #expect(read(block) == read(flow))
    }

    @Test("A plain scalar stays the text that was written, whatever YAML makes of it")
    func plainText() {
        #expect(
            read("[no, 1.10, 0x1F, 010, 1_000, 12:30:45, 2026-01-01, .inf, ~, null, true]")
                == "[no, 1.10, 0x1F, 010, 1_000, 12:30:45, 2026-01-01, .inf, ~, null, true]"
        )
    }

    @Test("Block scalars are quoted text: folded or literal, with LF line ends")
    func blockScalars() {
        #expect(read("a: |\n  one\n  two\nb: >-\n  one\n  two\n") == "{a: \"one\\ntwo\\n\", b: \"one two\"}")
        #expect(read("a: |\r\n  one\r\n  two\r\n") == "{a: \"one\\ntwo\\n\"}")
    }

    @Test("A missing value is an empty plain scalar, at the place where it would stand")
    func missingValue() {
        let text = MarkedText("a:①\nb: {c: ②}\n")
        let tape = YAMLParser.parse(text.bytes[...]).tape
        #expect(tape.shown == "{a: , b: {c: }}")
        #expect((0..<tape.end(of: 0)).filter { tape.kind(of: $0) == .plain && tape.string(of: $0).isEmpty }.count == 2)
    }

    @Test("Every node has its line and column, columns in Unicode scalars")
    func positions() {
        let text = MarkedText("①ключ:\n  - ②{③日本: ④\"e\u{301}\", ⑤b: ⑥1}\n  - ⑦|\n    text\n")
        let tape = YAMLParser.parse(text.bytes[...]).tape
        let found = (0..<tape.end(of: 0)).map { node in
            text.name(.init(line: tape.mark(of: node).line, column: tape.mark(of: node).column))
        }
        // A block mapping starts where its first key does, a block sequence at its first dash.
        #expect(found == ["①", "①", "2:3", "②", "③", "④", "⑤", "⑥", "⑦"])
    }

    @Test("CRLF line ends do not move positions")
    func carriageReturns() {
        #expect(problems("a: 1\r\n①a: 2\r\n") == problems("a: 1\n①a: 2\n"))
    }

    @Test("Keys are found by their bytes")
    func lookup() throws {
        let tape = YAMLParser.parse(Array("{a: 1, ab: 2, \"a b\": 3}".utf8)[...]).tape
        let root = try #require(tape.root)
        #expect(tape.value(in: root, for: Array("ab".utf8)).map(tape.string) == "2")
        #expect(tape.value(in: root, for: Array("a b".utf8)).map(tape.string) == "3")
        #expect(tape.value(in: root, for: Array("b".utf8)) == nil)
        #expect(tape.value(in: root + 1, for: Array("a".utf8)) == nil)
    }
}

@Suite("YAML that is refused")
struct RefusedYAMLTests {
    @Test("Anchors and aliases are refused where they are, and the rest is read")
    func anchors() {
        #expect(
            read("a: ①&x 1\nb: ②*x\nc: 3\n") == """
                {a: 1, b: !, c: 3}
                ① anchor: anchors are not accepted [write the value out where it is needed]
                ② alias: aliases are not accepted [write the value out]
                """
        )
        #expect(problems("①&a [②*a]\n").contains("② alias"))
        #expect(problems("①&a {b: 1}\n") == problems("①&a [b]\n"))
    }

    @Test("Merge keys are refused; a quoted '<<' is a key like any other")
    func mergeKeys() {
        #expect(
            read("①<<: {a: 1}\nb: 2\n") == """
                {<<: {a: 1}, b: 2}
                ① merge-key: merge keys are not accepted [write the fields out]
                """
        )
        #expect(read("\"<<\": 1\na: <<\n") == "{\"<<\": 1, a: <<}")
    }

    @Test(
        "Explicit tags are refused",
        arguments: [
            "①!!python/object/apply:os.system [ls]", "①!!str 1", "①! 1", "①!<tag:yaml.org,2002:int> 1",
            "a: ①!!binary aGk=",
            "①!!map {a: 1}", "- ①!custom x",
        ]
    )
    func tags(text: String) {
        #expect(problems(text) == "① tag: explicit tags are not accepted [remove the word that starts with '!']")
    }

    @Test("A duplicate key names both lines, whatever the style of the keys")
    func duplicateKeys() {
        #expect(
            read("②a: 1\nb: 2\n①\"a\": 3\n") == """
                {a: 1, b: 2, "a": 3}
                ① duplicate-key: 'a' is set twice (first on line 1) [keep one of them] (② first set here)
                """
        )
        // Canonically equivalent texts are different keys: bytes are compared.
        #expect(problems("é: 1\ne\u{301}: 2\n") == "")
    }

    @Test("Duplicate keys are found in large mappings too", arguments: [2, 12, 13, 500])
    func manyKeys(count: Int) {
        let keys = (1..<count).map { "k\($0): 1\n" }.joined()
        #expect(problems("\(keys)①k1: 2\n").hasPrefix("① duplicate-key: 'k1' is set twice (first on line 1)"))
    }

    @Test("A key that is a list or a mapping is refused and does no harm")
    func complexKeys() {
        #expect(
            read("{①[a, b]: c, d: e}") == """
                {[a, b]: c, d: e}
                ① complex-key: a key must be text [write 'name: value']
                """
        )
        #expect(problems("? ①{a: b}\n: c\n").contains("① complex-key"))
    }

    @Test("A question mark right before a key is refused: readers take it for two things")
    func gluedQuestionMark() {
        let why = "① complex-key: a '?' right before a key is read in two ways [put the key into quotes]"
        #expect(problems("{ ?①foo: bar }") == why)
        #expect(problems("a: [é, ?①foo: bar]") == why)
        #expect(problems("{a: b, ?①\"foo\": bar}") == why)
        // Everywhere else it is text.
        for text in [
            "?foo: bar", "a: ?b", "{a?: b, c: d?}", "a: \"why?\"", "a: |\n  ?b\n", "[a?b, 'x?']", "# ?a\nb: c",
            "{a: b, what?}",
        ] {
            #expect(problems(text) == "", "\(text)")
        }
    }

    @Test("A second document is refused; an explicit start of the first is not")
    func severalDocuments() {
        #expect(
            read("a: 1\n①---\nb: 2\n") == """
                {a: 1}
                ① several-documents: a second document starts here [put it in a file of its own]
                """
        )
        #expect(read("---\na: 1\n...\n") == "{a: 1}")
    }

    @Test("Directives are refused")
    func directives() {
        #expect(
            problems("①%YAML 1.1\n---\na: 1\n")
                == "① directive: YAML directives are not accepted [remove the line that starts with %]"
        )
        #expect(problems("①%TAG ! tag:example.com,2000:\n---\na: 1\n").contains("① directive"))
    }

    @Test("A file that declares nothing is refused", arguments: ["", "\n\n", "# only a comment\n", "  \n"])
    func empty(text: String) {
        #expect(
            read(text) == "nothing\n1:1 empty-file: the file declares nothing [see 'ensign new --help' for a start]"
        )
    }

    @Test("Nesting beyond 64 levels is refused where level 65 opens")
    func depth() {
        let fine = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        #expect(problems(fine) == "")
        let deep = String(repeating: "[", count: 64) + "①[" + String(repeating: "]", count: 65)
        #expect(problems(deep) == "① too-deep: more than 64 levels of nesting [flatten the value]")
        let block = (0..<64).map { String(repeating: " ", count: $0) + "a:\n" }.joined()
        #expect(problems(block + String(repeating: " ", count: 64) + "①a: 1\n") == problems(deep))
    }

    @Test("A syntax error keeps what stood before it")
    func syntaxErrors() {
        #expect(
            read("a: {b: 1}\nc: ②[x, y\nd①: 2\n") == """
                {a: {b: 1}, c: [x, !]} (cut off)
                ② yaml-syntax: the '[' that opens here is not closed \
                [write ',' between its elements and ']' behind the last one] (① one of the two is missing before this)
                """
        )
    }

    @Test(
        "A syntax error is reported where it has to be mended",
        arguments: [
            ("a: 1\n①b 2\nc: 3\n", "this line has no ':' behind a name"),
            ("a: ①\"1\nb: 2\nc: 3\n", "the quote that opens here is never closed"),
            ("a: ①\"1\nb: 2\nc: \"3\"\nd: 4\n", "the quote that opens here is closed only by one on line 3"),
            ("a:\n  b: 1\n   ①c: 2\n  d: 3\n", "this line is indented further than the one that it follows"),
            ("a:\n    b: 1\n  ①c: 2\n", "this line is indented differently from the others of its mapping"),
            ("a: ①[x\nb:\n  - c\n", "the '[' that opens here is not closed"),
            ("a: ①{x: 1\nb: 2\n", "the '{' that opens here is not closed"),
            ("a: b①: c\n", "mapping values are not allowed in this context"),
        ]
    )
    func whereToMend(_ text: String, _ message: String) {
        let found = problems(text)
        #expect(found.hasPrefix("① yaml-syntax: \(message)"), "\(found)")
    }

    @Test("What is missing at the end is reported there, with and without a final line end")
    func missingAtTheEnd() {
        let open = problems("a: ①[x②")
        #expect(open.hasPrefix("① yaml-syntax: the '[' that opens here is not closed"))
        #expect(open.hasSuffix("(② one of the two is missing before this)"))
        #expect(problems("a: ①[x\n").hasPrefix("① yaml-syntax: the '[' that opens here is not closed"))
        #expect(problems("é: ①\"ü").hasPrefix("① yaml-syntax: the quote that opens here is never closed"))
        #expect(problems("a: 1\n①b").hasPrefix("① yaml-syntax: this line has no ':' behind a name"))
        for text in ["a:", "a: {b", "a: {b:", "- a\n-", "? a", "é: [ü, {a"] {
            let bytes = Array(text.utf8)
            let tape = YAMLParser.parse(bytes[...]).tape
            for node in 0..<(tape.root.map(tape.end) ?? 0) {
                let mark = tape.mark(of: node)
                #expect(Position(line: mark.line, column: mark.column).lies(inside: bytes), "\(text)")
            }
        }
    }

    @Test("After fifty problems the rest is left")
    func manyProblems() {
        let text = String(repeating: "- &a b\n", count: 1_000)
        let (tape, problems) = YAMLParser.parse(Array(text.utf8)[...])
        #expect(problems.count == YAMLParser.maxProblems + 1)
        #expect(problems.last?.code == "too-many-problems")
        #expect(!tape.isComplete)
        #expect(tape.defect == nil)
    }

    @Test(
        "A text that breaks off anywhere leaves a tape that can be walked",
        arguments: [
            "{[a", "? [a", "? {a", "? {a: [b", "{a: {b: [c, {d", "a: {b", "- a: [b: ", "? a\n? b\n- ", "{a, b: &x [*x",
            "{? {[[a", "a: b\n  c: d", "? ? ? ? a\n- [", "{a: 'b", "\"", "[a, {[]: [",
        ]
    )
    func brokenOff(text: String) {
        let bytes = Array(text.utf8)
        for length in 0...bytes.count {
            let tape = YAMLParser.parse(bytes[..<length]).tape
            #expect(tape.defect == nil, "\(text.prefix(length))")
        }
    }

    @Test("A container in the place of a key has no text", arguments: ["{[[],[],[],[]]: []}", "{{a: b, c: d}: []}"])
    func containersHaveNoText(text: String) throws {
        let tape = YAMLParser.parse(Array(text.utf8)[...]).tape
        #expect(tape.defect == nil)
        let root = try #require(tape.root)
        #expect(tape.string(of: root + 1) == "")
        #expect(tape.value(in: root, for: Array("kind".utf8)) == nil)
    }
}
