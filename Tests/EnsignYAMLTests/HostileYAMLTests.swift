import EnsignModel
import EnsignTestSupport
import EnsignYAML
import Testing

/// Times are for a debug build on a busy machine: what takes seconds without the limits must stay below two.
@Suite("Hostile YAML")
struct HostileYAMLTests {
    /// Parses and gives the codes, the first problem's place and the seconds it took.
    private func parse(_ text: String) -> (codes: [String], first: YAMLMark?, seconds: Double) {
        let bytes = Array(text.utf8)
        var problems: [YAMLProblem] = []
        let elapsed = seconds {
            let scan = TextScan.scan(bytes, manifest: true)
            problems = scan.problems + YAMLParser.parse(bytes[scan.start...]).problems
        }
        return (problems.map(\.code), problems.first?.mark, elapsed)
    }

    @Test("Billion laughs: refused at the first anchor, nothing grows")
    func billionLaughs() {
        let letters = ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
        let rows = letters.enumerated().map { index, letter in
            let part = index == 0 ? "lol" : "*\(letters[index - 1])"
            return "\(letter): &\(letter) [\((0..<9).map { _ in part }.joined(separator: ", "))]\n"
        }
        let result = parse(rows.joined())
        #expect(result.codes.first == "anchor")
        #expect(result.first == YAMLMark(line: 1, column: 4))
        #expect(result.seconds < 2)
    }

    @Test("A node that contains itself is refused")
    func selfAlias() {
        #expect(parse("&a [*a]").codes == ["anchor", "alias"])
        #expect(parse("&a {b: *a}").codes == ["anchor", "alias"])
    }

    @Test("40,000 levels of flow nesting end at level 65", arguments: ["{a: ", "[", "{? [", "{a: ["])
    func deepFlow(step: String) {
        let result = parse(String(repeating: step, count: 40_000))
        #expect(result.codes.last == "too-deep")
        #expect(result.seconds < 2)
    }

    @Test("Deep block nesting ends at level 65", arguments: ["- ", "? "])
    func deepBlock(step: String) {
        let result = parse(String(repeating: step, count: 40_000) + "x\n")
        #expect(result.codes.last == "too-deep" || result.codes.last == "too-many-problems")
        #expect(result.seconds < 2)
    }

    @Test("80,000 anchors cost no more than any 1 MB")
    func manyAnchors() {
        let result = parse((0..<80_000).map { "- &a\($0) x\n" }.joined())
        #expect(result.codes.first == "anchor")
        #expect(result.codes.count <= YAMLParser.maxProblems + 1)
        #expect(result.seconds < 2)
    }

    @Test("Chained merge keys are refused")
    func mergeChain() {
        let text = "a0: &a0 {x: 1}\n" + (1..<500).map { "a\($0): &a\($0)\n  <<: *a\($0 - 1)\n" }.joined()
        let result = parse(text)
        #expect(result.codes.contains("merge-key"))
        #expect(result.seconds < 2)
    }

    @Test("A key of 1 MB and a scalar of 1 MB are read once")
    func longTokens() {
        let long = String(repeating: "k", count: 1 << 20)
        #expect(parse("\(long): 1\n").seconds < 2)
        #expect(parse("k: \(long)\n").seconds < 2)
        #expect(parse("k: \"\(long)\"\n").seconds < 2)
        #expect(parse("{\(long)\n").seconds < 2)
    }

    @Test("Many keys, many duplicates, many brackets: no square in time")
    func quadraticTraps() {
        #expect(parse((0..<100_000).map { "k\($0): 1\n" }.joined()).seconds < 4)
        #expect(parse(String(repeating: "a: 1\n", count: 100_000)).seconds < 4)
        #expect(parse(String(repeating: "[],", count: 100_000)).seconds < 4)
        #expect(parse("[" + String(repeating: "{},", count: 100_000) + "]").seconds < 4)
        #expect(parse(String(repeating: "\"a\" ", count: 100_000)).seconds < 4)
        #expect(parse(String(repeating: "x: [\n", count: 30)).seconds < 2)
        #expect(parse(String(repeating: "? x\n", count: 100_000)).seconds < 4)
        #expect(parse(String(repeating: "#\n", count: 300_000) + "a: 1").seconds < 4)
    }

    @Test("Any bytes parse, or have a problem at a place inside them", arguments: 0..<40 as Range<UInt64>)
    func anyBytes(batch: UInt64) {
        var random = SeededGenerator(for: "any bytes \(batch)", standard: 1_000 + batch)
        let hostile = [
            "\u{0}", "\t", "\r", "\r\n", "\u{85}", "\u{2028}", "\u{FEFF}", "\u{202E}", "&a ", "*a", "<<: ", "!!x ",
            "---\n", "...\n", "%YAML 1.2\n", "? ", ": ", "- ", "[", "]", "{", "}", "\"", "'", "|", ">", "#", "\n", " ",
            "  ", "@", "`", "\u{1F600}", "e\u{301}",
        ]
        let base = Array(
            "apiVersion: v1\nspec:\n  list:\n    - {a: 'b', \"c\": [1, 2]}\n    - |\n      text\n  é: >-\n    x\n".utf8
        )
        for _ in 0..<100 {
            let bytes =
                random.once(in: 4)
                ? (0..<random.int(0...60)).map { _ in UInt8(random.int(0...255)) }
                : base.mutated(&random, hostile: hostile)
            let scan = TextScan.scan(bytes, manifest: true)
            let (tape, problems) = YAMLParser.parse(bytes[scan.start...])
            #expect(tape.defect == nil, "seed \(random.seed): \(bytes)")
            // The parser counts like everybody else only in text that the scan has passed.
            for problem in scan.problems + (scan.problems.isEmpty ? problems : []) {
                let position = Position(line: problem.mark.line, column: problem.mark.column)
                #expect(position.lies(inside: bytes), "seed \(random.seed): \(problem) \(bytes)")
            }
            if scan.problems.isEmpty, problems.isEmpty { #expect(tape.root != nil && tape.isComplete) }
        }
    }
}
