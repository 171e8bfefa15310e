import EnsignImport
import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

/// A manifest that people have edited is continued as it is meant, however it looks.
@Suite("Importing over what people edited")
struct EditedManifestTests {
    private static let head = "apiVersion: ensign.dev/v1\nkind: Tool\nspec:\n  owner: platform\n  operations:\n"

    private func bring(_ operations: [OfferedOperation], over existing: String) throws(ToolTextError) -> ToolImport {
        let source = ToolImport.Source(owner: "platform", description: nil, server: nil, origin: "a file")
        return try ToolImport(operations, of: source, existing: existing)
    }

    private func tool(_ text: String) throws -> Tool {
        let loaded = ManifestLoader.load(Tool.self, Array(text.utf8), path: "fleet/tools/t/1.0.0.yaml")
        #expect(loaded.findings.filter { $0.severity == .error } == [], "\(text)")
        return try #require(loaded.value)
    }

    private static let a = OfferedOperation(name: "a", description: "A", input: ["type": "object"])

    @Test(
        "Members of an operation that goes go with it, wherever comments stand",
        arguments: ["#      note", "# note", "    # note", "      # note", "        # note", "", "   "]
    )
    func removed(_ line: String) throws {
        let text =
            Self.head + "    a:\n      access: read\n      risk: low\n    gone:\n      access: read\n      risk: low\n"
            + line + "\n      output: {type: object}\n      mcp: {tool: gone2}\n  description: T\n"
        let result = try bring([Self.a], over: text)
        let after = try tool(try #require(result.text))
        #expect(after.operations.keys.sorted() == ["a"])
        #expect(after.operations["a"]?.serverTool == nil && after.operations["a"]?.output == nil)
        #expect(after.description == "T")
        #expect(try bring([Self.a], over: result.text ?? "").differences == [])
    }

    @Test(
        "A schema that the source has changed is the source's, wherever comments stand",
        arguments: ["# note", "    # note", "      # note", "          # note"]
    )
    func changed(_ line: String) throws {
        let text =
            Self.head + "    a:\n      description: A\n      access: read\n      risk: low\n      input:\n"
            + "        type: object\n\(line)\n        additionalProperties: false\n"
        let result = try bring([Self.a], over: text)
        #expect(result.differences.count == 1)
        #expect(try tool(try #require(result.text)).operations["a"]?.input == ["type": "object"])
        #expect(try bring([Self.a], over: result.text ?? "").differences == [])
    }

    @Test("Each line keeps its own end", arguments: [0, 3, 7])
    func mixedLines(_ number: Int) throws {
        var lines = (Self.head + "    a:\n      description: A\n      access: read\n      risk: low\n").split(
            separator: "\n"
        ).map { $0 + "\n" }
        lines[number] = lines[number].dropLast() + "\r\n"
        let text = lines.joined()
        let result = try #require(
            try bring([Self.a, OfferedOperation(name: "b", description: "B", input: nil)], over: text).text
        )
        #expect(result.utf8.count { $0 == 0x0D } == 1)
        #expect(result.utf8.split(separator: 0x0A)[number].last == 0x0D)
    }

    @Test("A pin does not part a field from the comment above it")
    func pinBelowComment() throws {
        let text =
            Self.head
            + "    a:\n      description: A\n      access: read\n      risk: low\n      # what goes in\n      input:\n"
            + "        type: object\n"
        var pinned = Self.a
        pinned.pin = Digest("sha256:" + String(repeating: "a", count: 64))
        let result = try #require(try bring([pinned], over: text).text)
        #expect(result.contains("      # what goes in\n      input:\n"), "\(result)")
    }

    @Test("Lines may end in CR LF, and still do afterwards")
    func carriageReturns() throws {
        let text = (Self.head + "    a: {access: read, risk: low}\n    b:\n      access: read\n      risk: low\n")
            .replacing("\n", with: "\r\n")
        let result = try bring([Self.a], over: text)
        let written = try #require(result.text)
        #expect(written.utf8.count { $0 == 0x0A } == written.utf8.count { $0 == 0x0D })
        #expect(try tool(written).operations.keys.sorted() == ["a"])
        #expect(try bring([Self.a], over: written).differences == [])
    }

    @Test("An operation that comes where another one goes is whole, with and without blank lines between them")
    func replaced() throws {
        for blanks in ["", "\n", "\n\n"] {
            let text = Self.head + "    b:\n      access: read\n      risk: low\n" + blanks
            let result = try bring([OfferedOperation(name: "y", description: nil, input: nil)], over: text)
            #expect(try tool(try #require(result.text)).operations.keys.sorted() == ["y"])
        }
    }

    @Test(
        "Whatever the layout, what is written says what is meant, or nothing is written",
        arguments: 0..<200 as Range<UInt64>
    )
    func layouts(seed: UInt64) throws {
        var random = SeededGenerator(for: "layouts of an edited manifest", standard: seed)
        let names = ["a", "b", "c", "d"]
        var text = Self.head
        func noise() -> String {
            let choices = ["", "", "", "\n", "# x\n", "    # x\n", "      # x\n", "          # x\n", "  # x\n"]
            return choices.randomElement(using: &random) ?? ""
        }
        for name in names {
            text += noise()
            switch Int.random(in: 0..<4, using: &random) {
            case 0: text += "    \(name): {access: read, risk: low}  # why\n"
            case 1: text += "    \(name): {access: read,\n  risk: low,\n      timeout: 5s}\n"
            case 2:
                text +=
                    "    \(name):\n\(noise())      access: read\n\(noise())      risk: low\n\(noise())      timeout: 5s\n"
            default:
                text +=
                    "    \(name):\n      description: |-\n        one\n        # two\n\(noise())      access: read\n"
                    + "      risk: low\n      input:\n        type: object\n\(noise())        required: [x]\n"
            }
        }
        text += noise() + "  description: T\n"
        let before = try tool(text)
        let kept = names.filter { _ in Bool.random(using: &random) } + ["new"]
        let offered = kept.map { OfferedOperation(name: $0, description: "now", input: ["type": "object"]) }
        let result = try bring(offered, over: text)
        let after = try tool(try #require(result.text, "\(text)"))
        #expect(after.operations.keys.sorted() == kept.sorted(), "\(text)")
        #expect(after.description == "T")
        for name in kept where name != "new" {
            #expect(after.operations[name]?.input == ["type": "object"] && after.operations[name]?.description == "now")
            #expect(after.operations[name]?.access == before.operations[name]?.access)
            #expect(after.operations[name]?.timeout == before.operations[name]?.timeout)
        }
        #expect(try bring(offered, over: result.text ?? "").differences == [], "\(text)\n-->\n\(result.text ?? "")")
    }

    @Test("A server that says of an operation that it only reads, and that it destroys, is believed the worse")
    func contradiction() throws {
        let both = OfferedOperation(name: "a", description: "A", input: nil, isReadOnly: true, isDestructive: true)
        let source = ToolImport.Source(owner: "platform", description: nil, server: nil, origin: "a file")
        let new = try ToolImport([both], of: source, existing: nil)
        let text = try #require(new.text)
        #expect(try tool(text).operations["a"]?.access == .execute)
        let again = try bring([both], over: text)
        #expect(again.differences == [] && again.decisions.filter { $0.kind == .look } == [])
    }
}
