import EnsignImport
import EnsignJSON
import EnsignMCP
import EnsignManifest
import EnsignModel
import EnsignPolicy
import EnsignTestSupport
import Testing

@Suite("Importing a tool")
struct ToolImportTests {
    private static let source = ToolImport.Source(
        owner: "support",
        description: "The MCP server tracker.",
        server: ["mcp": ["command": ["tracker-mcp", "--stdio"]]],
        origin: "the MCP server 'tracker'"
    )

    func bring(_ operations: [OfferedOperation], existing: String? = nil) throws(ToolTextError) -> ToolImport {
        try ToolImport(operations, of: Self.source, existing: existing)
    }

    func errors(_ text: String) -> [String] {
        let loaded = ManifestLoader.load(Tool.self, Array(text.utf8), path: "fleet/tools/t/1.0.0.yaml")
        return loaded.findings.filter { $0.severity == .error }.map { "\($0.position.line): \($0.message)" }
    }

    static let search = OfferedOperation(
        name: "search",
        description: "Searches.",
        input: ["type": "object", "properties": ["query": ["type": "string"]], "required": ["query"]],
        isReadOnly: true
    )

    @Test("A new tool is a manifest in Ensign's own style, guesses marked")
    func new() throws {
        let result = try bring([
            Self.search, OfferedOperation(name: "close", description: "Closes.\nFor good.", input: ["type": "object"]),
        ])
        #expect(
            result.text == """
                # From the MCP server 'tracker'. 'ensign import' updates what the source says, and keeps the rest.
                apiVersion: ensign.dev/v1
                kind: Tool
                spec:
                  owner: support
                  description: The MCP server tracker.
                  server:
                    mcp:
                      command: [tracker-mcp, "--stdio"]
                  operations:
                    close:
                      description: |-
                        Closes.
                        For good.
                      access: execute  # guess: no readOnlyHint
                      risk: high
                      input:
                        type: object
                    search:
                      description: Searches.
                      access: read  # readOnlyHint, the server's own word
                      risk: low
                      input:
                        properties:
                          query:
                            type: string
                        required: [query]
                        type: object

                """
        )
        #expect(errors(result.text ?? "") == [])
        #expect(result.decisions.map(\.kind) == [.guess])
    }

    @Test("An update changes what the server says, and keeps what people wrote")
    func update() throws {
        let existing = """
            apiVersion: ensign.dev/v1
            kind: Tool
            # Reviewed by Ada.
            spec:
              owner: support
              operations:
                # Never grant this one.
                drop:
                  access: execute
                  risk: high
                  input: {type: object}

                search:   # asked daily
                  access: read      # seen its code
                  risk: medium
                  description: Searches.
                  timeout: 5s
                  input:
                    type: object
                    properties:
                      query: {type: string}
                  # the end
              credentials: {ref: "vault:tracker"}
            # bye

            """
        var search = Self.search
        search.description = "Searches everything."
        let result = try bring(
            [search, OfferedOperation(name: "read", input: ["type": "object"], isReadOnly: true)],
            existing: existing
        )
        #expect(
            result.text == """
                apiVersion: ensign.dev/v1
                kind: Tool
                # Reviewed by Ada.
                spec:
                  owner: support
                  operations:
                    read:
                      access: read  # readOnlyHint, the server's own word
                      risk: low
                      input:
                        type: object
                    search:   # asked daily
                      access: read      # seen its code
                      risk: medium
                      description: Searches everything.
                      timeout: 5s
                      input:
                        properties:
                          query:
                            type: string
                        required: [query]
                        type: object
                      # the end
                  credentials: {ref: "vault:tracker"}
                # bye

                """
        )
        #expect(
            result.differences.map(\.text) == [
                "- drop", "+ read",
                "~ search: description 'Searches everything.' (was 'Searches.'); input: required [\"query\"] (was not limited)",
            ]
        )
        #expect(errors(result.text ?? "") == [])
        let again = try bring(
            [search, OfferedOperation(name: "read", input: ["type": "object"], isReadOnly: true)],
            existing: result.text
        )
        #expect(again.differences == [] && again.text == result.text)
    }

    @Test("The pin of a server's definition is written, brought up to date, and said; a source without one leaves it")
    func pins() throws {
        var search = Self.search
        search.pin = ToolPin.digest(name: "search", input: search.input, output: nil)
        let pin = try #require(search.pin)
        let first = try bring([search])
        let written = "      risk: low\n      pin: \(pin)\n      input:\n"
        #expect(first.text?.contains(written) == true && errors(first.text ?? "") == [])
        #expect(try bring([search], existing: first.text).differences == [])
        #expect(try bring([Self.search], existing: first.text).text == first.text, "an API's description has no pin")
        let old = try #require(try bring([Self.search]).text)
        let pinned = try bring([search], existing: old)
        #expect(pinned.differences.map(\.text) == ["~ search: pin \(pin.short) (was none)"])
        #expect(pinned.text?.contains(written) == true)
        var changed = search
        changed.input = ["type": "object", "properties": ["query": ["type": "string"], "page": ["type": "integer"]]]
        changed.pin = ToolPin.digest(name: "search", input: changed.input, output: nil)
        let result = try bring([changed], existing: first.text)
        let now = try #require(changed.pin)
        #expect(result.differences.first?.text.hasSuffix("pin \(now.short) (was \(pin.short))") == true)
        #expect(result.text?.contains("pin: \(now)\n      input:\n") == true && errors(result.text ?? "") == [])
    }

    @Test("A pin is over name and schemas alone, whatever their order and however numbers are written")
    func pinned() throws {
        let base = #"{"name":"refund","inputSchema":{"type":"object","properties":{"amount":{"maximum":5000}}}}"#
        let pin = ToolPin.digest(of: try JSONParser.parse(Array(base.utf8)))
        #expect(pin?.description == "sha256:3e40ce8b773ab58283f25715be13d9b828ea16de63379422fe886d2c35e87a1f")
        for same in [
            #"{"inputSchema":{"properties":{"amount":{"maximum":5e3}},"type":"object"},"name":"refund","outputSchema":null}"#,
            #"{"name":"refund","description":"x","title":"y","annotations":{"readOnlyHint":true},"inputSchema":{"type":"object","properties":{"amount":{"maximum":5000.0}}}}"#,
        ] {
            #expect(ToolPin.digest(of: try JSONParser.parse(Array(same.utf8))) == pin)
        }
        for other in [
            #"{"name":"refund2","inputSchema":{"type":"object","properties":{"amount":{"maximum":5000}}}}"#,
            #"{"name":"refund","inputSchema":{"type":"object","properties":{"amount":{"maximum":5001}}}}"#,
            #"{"name":"refund","inputSchema":{"type":"object","properties":{"amount":{"maximum":5000}}},"outputSchema":{}}"#,
            #"{"name":"refund"}"#,
        ] {
            let digest = ToolPin.digest(of: try JSONParser.parse(Array(other.utf8)))
            #expect(digest != nil && digest != pin)
        }
        #expect(ToolPin.digest(of: ["inputSchema": [:]]) == nil)
    }

    @Test("An operation that has another name than the server's tool is found again by mcp.tool")
    func renamed() throws {
        let first = try bring([Self.search])
        let text = (first.text ?? "").replacing("    search:\n", with: "    look-up:\n      mcp: {tool: search}\n")
        var search = Self.search
        search.description = "Searches all."
        let result = try bring([search], existing: text)
        #expect(result.differences.map(\.kind) == [.changed])
        #expect(result.text?.contains("look-up:\n      mcp: {tool: search}\n      description: Searches all.") == true)
    }

    @Test("Each operation that stands for a tool of the server follows it")
    func twice() throws {
        let first = try bring([Self.search])
        let text = (first.text ?? "") + "    narrow:\n      mcp: {tool: search}\n      access: read\n      risk: low\n"
        var search = Self.search
        search.description = "Searches all."
        let result = try bring([search], existing: text)
        #expect(result.differences.map { $0.text.prefix(9) } == ["~ narrow:", "~ search:"])
        #expect(result.text?.ranges(of: "description: Searches all.").count == 2)
        #expect(errors(result.text ?? "") == [])
    }

    @Test(
        "A tool of the server that has the name of an operation for another tool gets a free name",
        arguments: [["find", "search"], ["search"], ["find", "search", "search-2"]]
    )
    func shadowed(offered: [String]) throws {
        let first = try bring([Self.search])
        let text = (first.text ?? "").replacing("    search:\n", with: "    search:\n      mcp: {tool: find}\n")
        let result = try bring(
            offered.map {
                OfferedOperation(name: $0, description: "Searches.", input: Self.search.input, isReadOnly: true)
            },
            existing: text
        )
        let free = offered.contains("search-2") ? "search-3" : "search-2"
        #expect(result.text?.contains("    \(free):\n      mcp:\n        tool: search\n") == true)
        #expect(result.differences.contains { $0.kind == .added && $0.subject == free })
        #expect(result.decisions.contains { $0.subject == free })
        #expect(errors(result.text ?? "") == [])
        // A grant of the old one never comes to mean the new one.
        #expect(result.text?.contains("    search:\n      mcp: {tool: find}") == offered.contains("find"))
        let again = try bring(
            offered.map {
                OfferedOperation(name: $0, description: "Searches.", input: Self.search.input, isReadOnly: true)
            },
            existing: result.text
        )
        #expect(again.differences == [])
    }

    @Test("An operation whose text holds a secret is left out")
    func secret() throws {
        let token = "ghp_" + String(repeating: "a1B2", count: 9)
        let result = try bring([
            Self.search, OfferedOperation(name: "b", description: "Use \(token)", isReadOnly: true),
        ])
        #expect(result.operations == 1 && result.text?.contains(token) == false)
        #expect(result.decisions.map(\.kind) == [.leftOut])
        #expect(result.decisions.allSatisfy { !$0.text.contains(token) })
    }

    @Test("What cannot be declared is left out, with the reason; the rest is declared")
    func leftOut() throws {
        let result = try bring([
            Self.search, Self.search, OfferedOperation(name: "a b"), OfferedOperation(name: ""),
            OfferedOperation(name: "x\u{1b}[2J"), OfferedOperation(name: String(repeating: "n", count: 129)),
            OfferedOperation(name: "dyn", input: ["$dynamicRef": "#a"]),
            OfferedOperation(name: "out", input: [:], output: ["type": "strin"]),
            OfferedOperation(name: "long", description: String(repeating: "x", count: 65_537)),
            OfferedOperation(name: "big", input: ["enum": [.integer(.max)]]),
            OfferedOperation(name: "marks", description: "a" + String(repeating: "\u{301}", count: 50)),
            OfferedOperation(name: "deep", input: ["default": (0..<60).reduce(1) { value, _ in [value] }]),
            OfferedOperation(name: "key", input: ["properties": [String(repeating: "k", count: 2_000): [:]]]),
            OfferedOperation(name: "fine", input: ["type": "integer", "maximum": .integer(.max)]),
        ])
        #expect(result.operations == 2)
        #expect(result.decisions.count { $0.kind == .leftOut } == 12)
        #expect(result.decisions.allSatisfy { !$0.text.contains("\u{1b}") })
        #expect(errors(result.text ?? "") == [])
        let many = try bring((0..<501).map { OfferedOperation(name: "o\($0)", isReadOnly: true) })
        #expect(many.text == nil && many.decisions.last?.kind == .leftOut)
        let flood = try bring((0..<100_000).map { _ in OfferedOperation(name: " ") })
        #expect(flood.decisions.count < 110)
    }

    @Test("Any text and any value comes back from the manifest as it was", arguments: 0..<40 as Range<UInt64>)
    func roundTrip(batch: UInt64) throws {
        var random = SeededGenerator(for: "import \(batch)", standard: 4_100 + batch)
        let texts =
            Hostile.texts.filter { $0.utf8.count < 400 } + [
                Hostile.unsafeText, "y", "no", "null", "~", "1", "1.0", "0x1F", "2026-01-01", "12:30", "a: b", "a #b",
                "- a", "'", "\"", "|", "x:",
            ]
        func text() -> String { texts.randomElement(using: &random) ?? "" }
        func value(_ depth: Int) -> JSONValue {
            switch Int.random(in: 0...(depth > 0 ? 6 : 3), using: &random) {
            case 0: return .string(text())
            case 1: return .integer(.random(in: -100...100, using: &random))
            case 2: return JSONValue(.random(in: -1...1, using: &random))
            case 3: return [.null, true, .bool(false)].randomElement(using: &random) ?? .null
            case 4: return .array((0..<Int.random(in: 0...4, using: &random)).map { _ in value(depth - 1) })
            default:
                var members = JSONObject()
                for _ in 0..<Int.random(in: 0...4, using: &random) { members[text()] = value(depth - 1) }
                return .object(members)
            }
        }
        for _ in 0..<25 {
            let schema: JSONValue = [
                "type": "object", "default": value(3), "x-any": value(3), "examples": [value(2)],
                "properties": ["a": ["description": .string(text()), "const": value(2)]],
            ]
            let operation = OfferedOperation(name: "op", description: text(), input: schema, isReadOnly: true)
            let result = try bring([operation])
            guard let manifest = result.text else { continue }
            let said = "seed \(random.seed)\n\(manifest)"
            let loaded = ManifestLoader.load(Tool.self, Array(manifest.utf8), path: "fleet/tools/t/1.0.0.yaml")
            let errors = loaded.findings.filter { $0.severity == .error }
            try #require(errors == [], "\(said)")
            #expect(loaded.value?.operations["op"]?.input == schema, "\(said)")
            // The same again is not a change.
            let again = try bring([operation], existing: manifest)
            #expect(again.differences == [], "\(said)")
        }
    }

    @Test("The version is the server's where that is SemVer, else a decision")
    func versions() throws {
        let cases: [(String?, String)] = [
            ("1.2.3", "1.2.3"), ("v2.1.1", "2.1.1"), (nil, "0.1.0"), ("", "0.1.0"), ("2.3", "0.1.0"),
            ("\u{1b}[0m", "0.1.0"),
        ]
        for (claimed, expected) in cases {
            let (version, decision) = ImportedVersion.first(claimed)
            #expect(version.description == expected && decision != nil)
            #expect(decision?.text.contains("\u{1b}") == false)
        }
        let newest = try #require(SemanticVersion("1.4.2"))
        #expect(ImportedVersion.next(after: newest, "2.0.0").description == "2.0.0")
        #expect(ImportedVersion.next(after: newest, "1.4.2").description == "1.5.0")
        #expect(ImportedVersion.next(after: newest, nil).description == "1.5.0")
    }
}
