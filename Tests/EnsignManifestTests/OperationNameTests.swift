import EnsignJSON
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignTestSupport
import Testing

@Suite("Operations by the names that servers give them")
struct OperationNameTests {
    /// The small fleet with these operations besides, needed and granted.
    private func fixture(with names: [String], declared: (String) -> String = { _ in "{access: read, risk: low}" })
        -> FleetFixture
    {
        var fixture = FleetFixture()
        func quoted(_ name: String) -> String { "\"\(name)\"" }
        let declarations = names.map { "    \(quoted($0)): \(declared($0))\n" }.joined()
        let list = names.map(quoted).joined(separator: ", ")
        fixture.replace(
            "    erase: {access: execute, risk: high}\n",
            with: "    erase: {access: execute, risk: high}\n\(declarations)",
            in: FleetFixture.toolPath
        )
        fixture.replace(
            "[find, update, erase]",
            with: "[find, update, erase, \(list)]",
            in: FleetFixture.agentPath
        )
        fixture.replace(
            "- {tool: crm, operations: [erase], approval: dual}",
            with: "- {tool: crm, operations: [erase], approval: dual}\n    - {tool: crm, operations: [\(list)]}",
            in: FleetFixture.deploymentPath
        )
        return fixture
    }

    @Test("Any name that MCP allows is declared, needed, granted and in the bundle as it is")
    func names() throws {
        var generator = SeededGenerator(for: "names of operations", standard: 0x0A11)
        let verbs = ["get", "list", "create", "search", "run"]
        let nouns = ["issue", "pull_request", "file", "user", "db", "page2"]
        var names: Set = [String(repeating: "x", count: 128), ".", "-", "_", "null", "true", "1.0", "0x1F", "on"]
        for verb in verbs {
            for noun in nouns {
                let capital = noun.prefix(1).uppercased() + noun.dropFirst()
                names.formUnion([
                    "\(verb)_\(noun)", "\(verb)-\(noun)", "\(verb).\(noun)", "\(verb)\(capital)", "\(noun)__\(verb)",
                    "\(verb.uppercased())_\(noun.uppercased())", "_\(verb)_\(noun)_",
                ])
            }
        }
        while names.count < 400 {
            let alphabet = Array("abcXYZ019_-.")
            names.insert(
                String(
                    (0..<Int.random(in: 1...40, using: &generator)).map { _ in
                        alphabet.randomElement(using: &generator) ?? "a"
                    }
                )
            )
        }
        let fixture = fixture(with: names.sorted())
        #expect(fixture.check() == "", "seed \(generator.seed)")
        let bundle = try #require(try fixture.compile()).bundle
        let granted = Set(try #require(bundle.tools.first).operations.keys)
        #expect(granted == names.union(["find", "update", "erase"]), "seed \(generator.seed)")
        #expect(try #require(Bundle(json: JSONParser.parse(bundle.bytes))) == bundle)
    }

    @Test("What is not a name of an operation is refused where it is, in the tool, in needs and in grants")
    func refused() {
        let rule = "1 to 128 of A-Z, a-z, 0-9, '_', '-' and '.'"
        #expect(
            check(FleetFixture.toolPath, "    erase:", "    ①er/ase: {access: read, risk: low}\n    erase:")
                == "\(FleetFixture.toolPath):①: error: a key of operations: 'er/ase' is not the name of an operation: \(rule) [invalid-name]"
        )
        #expect(
            check(FleetFixture.agentPath, "[find, update, erase]", "[find, update, erase, ①er ase]")
                .hasPrefix(
                    "\(FleetFixture.agentPath):①: error: an element of operations: 'er ase' is not the name of an operation: \(rule) [invalid-name]"
                )
        )
        #expect(
            check(FleetFixture.deploymentPath, "operations: [erase]", "operations: [①erasé]")
                .hasPrefix(
                    "\(FleetFixture.deploymentPath):①: error: an element of operations: 'erasé' is not the name of an operation: \(rule) [invalid-name]"
                )
        )
    }

    @Test("Teams, agents, tools, roles and environments keep their narrower names")
    func otherNames() {
        for (path, old, new) in [
            (FleetFixture.agentPath, "{tool: crm,", "{tool: c_rm,"),
            (FleetFixture.deploymentPath, "roles: [reader]", "roles: [Reader]"),
            (FleetFixture.agentPath, "agents: [support/desk]", "agents: [support/d.esk]"),
            (FleetFixture.toolPath, "owner: support", "owner: Support"),
        ] {
            #expect(check(path, old, new).contains("[invalid-name]"))
        }
    }

    @Test("The server's name for an operation is in the bundle where it is declared, and nowhere else")
    func serverTool() throws {
        let plain = fixture(with: ["search"])
        let named = fixture(with: ["search"]) { _ in "{access: read, risk: low, mcp: {tool: crm/search v2}}" }
        #expect(named.check() == "")
        let (before, after) = (try #require(try plain.compile()), try #require(try named.compile()))
        let operations = try #require(after.bundle.tools.first).operations
        #expect(operations["search"]?.serverTool == "crm/search v2" && operations["find"]?.serverTool == nil)
        let json = try after.bundle.json["tools"]?[0]?["operations"]
        #expect(json?["search"]?["mcp"] == ["tool": "crm/search v2"])
        #expect(json?["find"]?.object?.contains { $0.key == "mcp" } == false)
        #expect(before.artifact != after.artifact, "another tool is called")
        #expect(try Bundle(json: JSONParser.parse(after.bytes)) == after.bundle)
    }

    @Test("Another tool of the server under the same name is a widening, both ways")
    func serverToolChange() throws {
        let plain = try #require(try fixture(with: ["search"]).compile()).bundle
        let named = try #require(
            try fixture(with: ["search"]) { _ in "{access: read, risk: low, mcp: {tool: drop_all}}" }.compile()
        ).bundle
        for (before, after, sentence) in [
            (plain, named, "by crm.search calls the server's 'drop_all' (was 'search')"),
            (named, plain, "by crm.search calls the server's 'search' (was 'drop_all')"),
        ] {
            let difference = BundleDifference(before: before, after: after)
            #expect(difference.kind == .widening)
            #expect(difference.authority.gained == [sentence])
        }
        let restricted = try Compiler.restrict(named, to: plain).bundle
        #expect(restricted.tools.first?.operations["search"] == nil, "what is not the same permission is left out")
    }
}
