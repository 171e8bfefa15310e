import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

/// Every value of a small fleet's manifests, replaced by hostile ones.
@Suite("Hostile values in manifests")
struct HostileValueTests {
    /// The places of a manifest's scalars: what comes after a colon or a dash, to the end of the line or of the flow.
    private func places(_ text: String) -> [Range<String.Index>] {
        text.matches(of: #/[:\-,{\[] ?([^ :,{}\[\]\n][^,{}\[\]\n]*)/#).map { $0.output.1 }.map {
            $0.startIndex..<$0.endIndex
        }
    }

    private static let values =
        Hostile.integers.map(String.init)
        + [
            "1e400", "1e308", "-0", "0.1", "\"\"", "\"\\0\"", Hostile.letter, "null", "~",
            "{}", "[]",
        ]
        + ["36525d", "36526d", "0s", "999999999999999d", "9999-12-31", "0000-01-01", "18446744073709551615.0.0"]

    @Test(
        "A fleet with any value replaced is checked, and compiles or says why not; what it says is bounded",
        arguments: FleetFixture().entries.keys.sorted()
    )
    func values(path: String) throws {
        let small = FleetFixture()
        guard case .text(let text)? = small.entries[path] else { return }
        for (index, place) in places(text).enumerated() {
            // Each value at every third place, and each place with a third of the values.
            for (number, value) in Self.values.enumerated() where isTried(index + number, oneIn: 3) {
                var fixture = small
                fixture.entries[path] = .text(text[..<place.lowerBound] + value + text[place.upperBound...])
                for finding in try fixture.findings() {
                    #expect(finding.message.utf8.count <= Finding.maxText, "\(path): \(finding.code)")
                    #expect((finding.hint?.utf8.count ?? 0) <= Finding.maxText, "\(path): \(finding.code)")
                }
                let fleet = fixture.fleet()
                let compiled = try EnvironmentCompiler(fleet: fleet, environment: "prod").compile(.triage)
                #expect(compiled != nil || fleet.hasErrors, "\(path)")
            }
        }
    }

    /// A letter with marks in an order that takes the square of their number to sort.
    private func letter(_ count: Int) -> String {
        var random = SeededGenerator(for: "letter", standard: 61)
        var text = "A"
        for _ in 0..<count { text.unicodeScalars.append(random.once(in: 2) ? "\u{301}" : "\u{323}") }
        return text
    }

    @Test("A letter with more than 30 marks is refused wherever it is, and takes no time")
    func combining() throws {
        let small = FleetFixture()
        let most = letter(30)
        #expect(check(FleetFixture.promptPath, "\(most)\(most)\n") == "")
        let long = letter(400_000)
        let escaped = letter(100_000).unicodeScalars.map { $0 == "A" ? "A" : "\\u0\(String($0.value, radix: 16))" }
            .joined()
        let took = try seconds {
            for (path, text) in [
                (FleetFixture.promptPath, long), (FleetFixture.teamPath, "# \(long)\n"),
                (FleetFixture.teamPath, team("{members: [ada@example.com], escalation: \"\(escaped)\"}")),
                (FleetFixture.teamPath, team("{members: [ada@example.com], \"\(escaped)\": x}")),
            ] {
                var fixture = small
                fixture.entries[path] = .text(text)
                let codes = try fixture.findings().map(\.code)
                #expect(codes.contains("combining-characters"), "\(path): \(codes)")
            }
            // git has names of any length; these are short enough for the keys of a dictionary here.
            let name = letter(1_000)
            var fixture = small
            fixture.entries["fleet/agents/support/triage/1.0.0/\(name)"] = .text("x")
            fixture.entries["fleet/\(name)"] = .text("x")
            let messages = try fixture.findings().map(\.message)
            #expect(messages.filter { $0 == "the name is longer than 255 bytes" }.count == 2, "\(messages.count)")
        }
        #expect(took < 20)
    }

    @Test("A key of one letter with 50,000 marks is refused like any other")
    func key() throws {
        for path in FleetFixture().entries.keys.sorted() where path.hasSuffix(".yaml") {
            var fixture = FleetFixture()
            guard case .text(let text)? = fixture.entries[path] else { continue }
            let key = "a" + String(repeating: "\u{301}", count: 50_000)
            fixture.entries[path] = .text(text + "? \"\(key)\" : 1\n? \"\(key)\" : 2\n")
            let findings = try fixture.findings()
            #expect(!findings.isEmpty)
            for finding in findings { #expect(finding.message.utf8.count <= Finding.maxText) }
        }
    }
}
