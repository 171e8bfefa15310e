import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("Hostile files in a fleet")
struct HostileFileTests {
    private let path = FleetFixture.teamPath

    /// What is said about a team's file with these bytes.
    private func check(_ bytes: [UInt8]) -> String {
        var fixture = FleetFixture()
        fixture.entries[path] = .bytes(bytes)
        return fixture.check().replacing("\(path):", with: "")
    }

    @Test("A file over 1 MiB is refused by its size and never read")
    func tooLarge() throws {
        var fixture = FleetFixture()
        for path in [
            FleetFixture.agentPath, FleetFixture.promptPath, FleetFixture.toolPath, FleetFixture.pricesPath,
            FleetFixture.deploymentPath, FleetFixture.environmentPath, FleetFixture.bindingPath, FleetFixture.rolePath,
            FleetFixture.teamPath, "fleet/trust/allowed_signers",
        ] {
            fixture.entries[path] = .huge(100 << 20)
        }
        let snapshot = fixture.snapshot
        let found = fixture.check(in: snapshot)
        #expect(
            found.split(separator: "\n").filter { $0.contains("1 MiB [too-large]") }.map { String($0) } == [
                "environments/prod/agents/support/triage.yaml", "environments/prod/environment.yaml",
                "environments/prod/tools/crm.yaml", "fleet/agents/support/triage/1.0.0/agent.yaml",
                "fleet/prices.yaml", "fleet/roles/reader.yaml", "fleet/teams/support.yaml",
                "fleet/tools/crm/1.0.0.yaml",
            ].map {
                "\($0):1:1: error: the file has 104857600 bytes, more than 1 MiB [too-large]"
            } + ["fleet/trust/allowed_signers:1:1: error: the file has more than 1 MiB [too-large]"]
        )
        #expect(Set(snapshot.reads) == ["environment.yaml", "agent.yaml", "prompt.md", "desk.yaml"])
    }

    @Test("A file of exactly 1 MiB is read, one byte more is not")
    func sizeLimit() {
        let text = team("{members: []}")
        let fill = (1 << 20) - text.utf8.count
        #expect(check(Array("\(text)#\(String(repeating: "x", count: fill - 1))".utf8)) == "")
        #expect(
            check(Array("\(text)#\(String(repeating: "x", count: fill))".utf8))
                == "1:1: error: the file has 1048577 bytes, more than 1 MiB [too-large]"
        )
    }

    @Test("UTF-16 and bytes that are not UTF-8 are refused")
    func encodings() {
        let utf16: [UInt8] = [0xFF, 0xFE] + team("{members: []}").utf8.flatMap { [$0, 0] as [UInt8] }
        #expect(
            check(utf16).hasPrefix(
                """
                1:1: error: the file is UTF-16 [encoding]
                  hint: save it as UTF-8
                """
            )
        )
        #expect(
            check(Array("apiVersion: ensign.dev/v1\nkind: T".utf8) + [0xE4, 0x6D]).hasPrefix(
                """
                2:8: error: the bytes here are not UTF-8 [encoding]
                  hint: save the file as UTF-8
                """
            )
        )
    }

    @Test("A UTF-8 byte order mark is a warning, and moves no position")
    func byteOrderMark() {
        #expect(
            check([0xEF, 0xBB, 0xBF] + Array("apiVersion: ensign.dev/v2\nkind: Team\nspec: {members: []}\n".utf8))
                == """
                1:1: warning: the file starts with a byte order mark [byte-order-mark]
                  hint: save it as UTF-8 without one
                1:13: error: apiVersion: must be 'ensign.dev/v1', and this is 'ensign.dev/v2' [invalid-value]
                  hint: did you mean 'ensign.dev/v1'?
                """
        )
    }

    @Test("A control character is one finding at its place, and the rest of the file is checked")
    func controls() {
        #expect(
            checkTeam("{members: [\"a①\u{7}b\"], ②membrs: x}") == """
                ①: error: control character U+0007 in the text [control-character]
                  hint: remove it
                ②: error: unknown field 'membrs' [unknown-field]
                  hint: did you mean 'members'?
                """
        )
    }

    @Test("A NUL is refused, and nothing after it is looked at")
    func nul() {
        #expect(
            check(Array(team("{members: [\"a\u{0}b\"], x: y}").utf8)).split(separator: "\n").filter {
                $0.contains("error") && !$0.contains("there is no team")
            } == ["3:20: error: control character U+0000 in the text [control-character]"]
        )
    }

    @Test(
        "A line break that only some readers know is one finding, and positions after it are right",
        arguments: ["\u{85}", "\u{2028}", "\u{2029}", "\r", "\u{FEFF}"]
    )
    func exoticBreaks(character: String) {
        let found = checkTeam("{members: [\"a①\(character)b\"], ②membrs: x}\n③spec: {}")
        #expect(found.hasPrefix("①: error: "))
        #expect(found.contains("[control-character]"))
        #expect(found.contains("②: error: unknown field 'membrs' [unknown-field]"))
        #expect(found.contains("③: error: 'spec' is set twice (first on line 3) [duplicate-key]"))
        #expect(!found.contains("yaml-syntax"))
    }

    @Test("A bidirectional control is refused: it shows a reviewer another text")
    func bidirectional() {
        #expect(
            checkTeam("{members: [\"ada①\u{202E}moc.elpmaxe@\"]}") == """
                ①: error: bidirectional control U+202E can show other text than it is [bidirectional-control]
                  hint: remove it
                """
        )
        var fixture = FleetFixture()
        fixture[FleetFixture.promptPath] = "Never ①\u{202E}refund.\n"
        #expect(
            fixture.check() == """
                \(FleetFixture.promptPath):①: warning: bidirectional control U+202E can show other text than it is [bidirectional-control]
                  hint: remove it
                """
        )
    }

    @Test("A tab that indents is one finding with a hint")
    func tabs() {
        let found = check(Array("apiVersion: ensign.dev/v1\nkind: Team\nspec:\n\tmembers: []\n".utf8))
        #expect(
            found.hasPrefix(
                """
                4:1: error: a tab cannot indent [tab]
                  hint: use spaces
                """
            )
        )
        #expect(!found.contains("yaml-syntax"))
        // After spaces the parser meets it.
        #expect(
            check(Array("apiVersion: ensign.dev/v1\nkind: Team\nspec:\n  \tmembers: []\n".utf8)).contains(
                """
                4:3: error: found character that cannot start any token, while scanning for the next token [yaml-syntax]
                  hint: quote a text that starts with a special character; indent with spaces, not tabs
                """
            )
        )
    }

    @Test("Anchors, aliases, merge keys and tags are refused, each at its place")
    func notData() {
        #expect(
            checkTeam("\n  members: ①&m [ada]\n  escalation: ②!!str x\n  ③<<: ④*m")
                .split(separator: "\n").filter { $0.contains("error") } == [
                    "①: error: anchors are not accepted [anchor]",
                    "②: error: explicit tags are not accepted [tag]",
                    "③: error: merge keys are not accepted [merge-key]",
                    "③: error: unknown field '<<' [unknown-field]",
                    "④: error: aliases are not accepted [alias]",
                ]
        )
    }

    @Test("Several documents, and none, are refused")
    func documents() {
        let found = check(Array((team("{members: []}") + "---\n" + team("{members: []}")).utf8))
        #expect(
            found == """
                4:1: error: a second document starts here [several-documents]
                  hint: put it in a file of its own
                """
        )
        for text in ["", "\n", "# nothing\n", "---\n", "---\n...\n"] {
            #expect(check(Array(text.utf8)).contains("error: "), "\(text)")
        }
        #expect(check([]).contains("1:1: error: the file declares nothing [empty-file]"))
    }

    @Test("A Git LFS pointer is named as what it is, for manifests and for instructions")
    func pointers() {
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
        #expect(
            check(Array(pointer.utf8)).hasPrefix(
                """
                1:1: error: this is a Git LFS pointer, not the manifest [lfs-pointer]
                  hint: exclude fleet/ and environments/ from LFS in .gitattributes and commit the file itself
                """
            )
        )
        #expect(
            EnsignManifestTests.check(FleetFixture.promptPath, pointer) == """
                \(FleetFixture.promptPath):1:1: error: this is a Git LFS pointer, not the instructions [lfs-pointer]
                  hint: exclude fleet/ and environments/ from LFS in .gitattributes and commit the file itself
                """
        )
    }

    @Test("Hostile nesting and growth are refused in time")
    func hostile() {
        for text in [
            String(repeating: "{a: ", count: 40_000), String(repeating: "[", count: 100_000),
            String(repeating: "- ", count: 100_000) + "x", String(repeating: "? ", count: 100_000) + "x",
            (0..<80_000).map { "- &a\($0) x\n" }.joined(), "&a [*a]", "{[[],[],[],[]]: []}", "{[a", "? [a",
            "kind: Team\nspec: {members: [{[[],[],[]]: x}]}",
        ] {
            var found = ""
            let elapsed = seconds { found = check(Array(text.utf8)) }
            #expect(found.hasPrefix("1:") || found.hasPrefix("2:"), "\(text.prefix(40))")
            #expect(elapsed < 2, "\(text.prefix(40))")
        }
    }

    @Test("A file of nothing but mistakes is refused in time, and not with a finding for each")
    func manyMistakes() throws {
        let head = "apiVersion: ensign.dev/v1\nkind: Team\n"
        for (name, text) in [
            ("unknown fields", head + (0..<80_000).map { "field\($0): 1\n" }.joined()),
            ("wrong elements", head + "spec: {members: [\(String(repeating: "[],", count: 200_000))]}"),
            ("ambiguous values", head + "spec: {members: [\(String(repeating: "yes,", count: 200_000))]}"),
            ("near misses", head + (0..<80_000).map { "memb\($0): 1\n" }.joined()),
            ("controls", head + String(repeating: "\u{7}", count: 500_000)),
        ] {
            var fixture = FleetFixture()
            fixture.entries[path] = .text(text)
            var found: [Finding] = []
            let elapsed = try seconds { found = try fixture.findings() }
            #expect(elapsed < 6, "\(name)")
            #expect(found.count { $0.path == path } <= 101, "\(name)")
        }
        let values = (0..<100_000).map { "k\($0): 010\n    " }.joined()
        var fixture = FleetFixture()
        fixture.replace(
            "{kind: langgraph, graph: \"tickets:graph\"}",
            with: "\n    \(values)",
            in: FleetFixture.agentPath
        )
        #expect(try fixture.findings().count <= 101)
    }

    @Test("Keys that are lists or mappings are refused wherever any value may stand")
    func complexKeys() {
        for value in ["{①[[], [], []]: x}", "{①{a: b}: x}", "{a: {①[]: x}}"] {
            #expect(
                checkRuntime(value) == """
                    ①: error: a key must be text [complex-key]
                      hint: write 'name: value'
                    """,
                "\(value)"
            )
        }
        #expect(checkSchema("{①[[], [], []]: x}").contains("①: error: a key must be text [complex-key]"))
        #expect(
            check(FleetFixture.agentPath, "{domain: tickets}", "{①[[], []]: x}").contains(
                "①: error: a key must be text"
            )
        )
        #expect(
            check(FleetFixture.toolPath, "    find:", "    ①? [a, b, c]\n    : x\n    find:").contains(
                "a key must be text"
            )
        )
    }

    private func check(_ path: String, _ old: String, _ new: String) -> String {
        EnsignManifestTests.check(path, old, new)
    }
}
