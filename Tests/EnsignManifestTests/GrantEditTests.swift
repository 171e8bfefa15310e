import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("Taking operations out of a deployment's text")
struct GrantEditTests {
    private let deployment = FleetFixture.deploymentPath
    private let head = "apiVersion: ensign.dev/v1\nkind: Deployment\nspec:\n  version: 1.0.0\n"

    private func fixture(_ grants: String) -> FleetFixture {
        var fixture = FleetFixture()
        fixture[deployment] = head + grants
        return fixture
    }

    /// The grants without some operations of `crm`, as they are written then; the rest of the text must be as it was.
    private func without(_ operations: [String], _ grants: String) throws -> String {
        let fixture = fixture(grants)
        let resolved = try #require(
            try EnvironmentCompiler(fleet: fixture.fleet(), environment: "prod").resolve(.triage),
            "\(fixture.check())"
        )
        let reduction = GrantReduction(resolved, removing: Set(operations.map { "crm.\($0)" }))
        let bytes = try #require(GrantEdit.applying(reduction.changes, to: Array((head + grants).utf8)))
        let text = String(decoding: bytes, as: UTF8.self)
        let rest = try #require(text.hasPrefix(head) ? String(text.dropFirst(head.utf8.count)) : nil)
        // And it grants what is left.
        let after = try #require(try self.fixture(rest).compile(), "\(self.fixture(rest).check())").bundle
        let before = try #require(try fixture.compile()).bundle
        let names = Set(before.tools.flatMap { $0.operations.keys })
        #expect(Set(after.tools.flatMap { $0.operations.keys }) == names.subtracting(operations), "\(rest)")
        return rest
    }

    @Test("A name goes from its list, and with the last one the grant; everything else stays, byte for byte")
    func names() throws {
        #expect(
            try without(["find"], "  grants:\n    - {tool: crm, operations: [find, update]}   # why\n  # end\n")
                == "  grants:\n    - {tool: crm, operations: [update]}   # why\n  # end\n"
        )
        #expect(
            try without(
                ["find", "update"],
                "  grants:\n    # one\n    - {tool: crm, operations: [find, update]}  # a\n    - {tool: crm, operations: [erase], approval: dual}\n"
            )
                == "  grants:\n    # one\n    - {tool: crm, operations: [erase], approval: dual}\n"
        )
        let lines = """
              grants:
                - tool: crm      # the CRM
                  operations:
                    - find
                    - "update"   # ä
                  approval: manager
                -
                  operations: [erase]
                  tool: crm
              halted: false

            """
        #expect(try without(["find"], lines) == lines.replacing("        - find\n", with: ""))
        #expect(try without(["update"], lines) == lines.replacing("        - \"update\"   # ä\n", with: ""))
        #expect(
            try without(["erase"], lines)
                == lines.replacing("    -\n      operations: [erase]\n      tool: crm\n", with: "")
        )
        #expect(try without(["find", "update", "erase"], lines) == "  grants: []\n  halted: false\n")
    }

    @Test("Lists in brackets are edited too, in one line or several")
    func brackets() throws {
        let grants =
            "{tool: crm, operations: [find]}, {tool: crm, operations: [update], approval: dual}, {tool: crm, operations: [erase]}"
        func left(_ gone: String...) throws -> String { try without(gone, "  grants: [\(grants)]\n") }
        #expect(
            try left("find")
                == "  grants: [{tool: crm, operations: [update], approval: dual}, {tool: crm, operations: [erase]}]\n"
        )
        #expect(
            try left("erase")
                == "  grants: [{tool: crm, operations: [find]}, {tool: crm, operations: [update], approval: dual}]\n"
        )
        #expect(try left("update", "erase") == "  grants: [{tool: crm, operations: [find]}]\n")
        #expect(try left("find", "erase") == "  grants: [{tool: crm, operations: [update], approval: dual}]\n")
        #expect(try left("find", "update", "erase") == "  grants: []\n")
        #expect(
            try without(
                ["find"],
                "  grants:\n    - {tool: crm,   # '[\n       operations: [find,\n         'update', erase]}\n"
            )
                == "  grants:\n    - {tool: crm,   # '[\n       operations: ['update', erase]}\n"
        )
    }

    @Test("Comments and line ends of what stays stay where they are, in lists of every form")
    func comments() throws {
        let flow =
            "  grants:\n    - tool: crm\n      operations: [\n        find,    # reads\n        update,  # writes\n        erase    # for good\n      ]\n"
        #expect(
            try without(["update"], flow) == flow.replacing("        update,  # writes\n        ", with: "        ")
        )
        let last = try without(["erase"], flow)
        #expect(last.contains("find,    # reads\n        update,  # writes\n"), "\(last)")
        let block = MarkedText(
            "spec:\n  grants:\n    - tool: crm\n      operations: [①\"*\"]\n      except:\n        # never\n        - ②erase   # for good\n      # the manager\n      approval: manager\n"
        )
        #expect(
            try adding("find", beside: "erase", block)
                == block.text.replacing("for good\n", with: "for good\n        - find\n")
        )
        let inline = MarkedText(
            "spec:\n  grants:\n    - tool: crm\n      operations: [①\"*\"]\n      except: [②erase]   # for good\n"
        )
        #expect(
            try adding("find", beside: "erase", inline) == inline.text.replacing("[erase]", with: "[erase, find]")
        )
    }

    @Test("What is inserted where the next grant is cut out is no obstacle")
    func insertedWhereCut() throws {
        let text = MarkedText(
            "spec:\n  grants:\n    - tool: crm\n      operations: [①\"*\"]\n    - {tool: crm, operations: [erase]}\n"
        )
        #expect(
            try adding("find", beside: nil, text, removing: [1])
                == text.text.replacing("    - {tool: crm, operations: [erase]}\n", with: "      except: [find]\n")
        )
    }

    /// The text with one exception more in its first grant, which selects `*` at ①, and perhaps has one at ②.
    private func adding(
        _ exception: String,
        beside other: String?,
        _ text: MarkedText,
        removing removed: [Int] = []
    ) throws -> String {
        var excepted = [Located(OperationSelector.name(exception), at: .start)]
        if let other { excepted.insert(Located(.name(other), at: try #require(text.positions["②"])), at: 0) }
        let selection = OperationSelection(
            [Located(.all, at: try #require(text.positions["①"]))],
            except: excepted
        )
        var changes: [Int: GrantEdit.Change] = [0: .select(selection)]
        for index in removed { changes[index] = .remove }
        return String(decoding: try #require(GrantEdit.applying(changes, to: Array(text.text.utf8))), as: UTF8.self)
    }

    @Test("What a selector selects is left out by name, or names stand in its place where they are fewer")
    func selectors() throws {
        #expect(
            try without(["erase"], "  grants:\n    - {tool: crm, operations: [\"*\"]}\n")
                == "  grants:\n    - {tool: crm, operations: [\"*\"], except: [erase]}\n"
        )
        #expect(
            try without(["erase", "find"], "  grants:\n    - {tool: crm, operations: [\"*\"]}\n")
                == "  grants:\n    - {tool: crm, operations: [update]}\n"
        )
        #expect(
            try without(
                ["find"],
                "  grants:\n    - operations: [erase, {access: read}, {access: write}]   # all\n      tool: crm\n"
            )
                == "  grants:\n    - operations: [erase, {access: read}, {access: write}]   # all\n      except: [find]\n      tool: crm\n"
        )
        #expect(
            try without(
                ["find"],
                "  grants:\n    - tool: crm\n      operations:\n        - \"*\"\n      except: [erase]"
            )
                == "  grants:\n    - tool: crm\n      operations:\n        - update\n      except: [erase]"
        )
        #expect(
            try without(
                ["erase", "update"],
                "  grants:\n    - tool: crm\n      operations:\n        - update\n        - {risk: high}\n        - find\n"
            )
                == "  grants:\n    - tool: crm\n      operations:\n        - find\n"
        )
        #expect(
            try without(
                ["erase", "update", "find"],
                "  grants:\n    - {tool: crm, operations: [\"*\"], approval: dual}\n"
            )
                == "  grants: []\n"
        )
    }

    @Test("What a role grants cannot be taken out of the deployment")
    func roles() throws {
        let fixture = fixture("  roles: [reader]\n  grants: [{tool: crm, operations: [update, find]}]\n")
        let resolved = try #require(
            try EnvironmentCompiler(fleet: fixture.fleet(), environment: "prod").resolve(.triage)
        )
        let reduction = GrantReduction(resolved, removing: ["crm.find"])
        #expect(reduction.changes.isEmpty && reduction.roles == ["crm.find": "reader"])
    }

    @Test("Whatever is damaged in the text, there is an edit or none")
    func hostile() throws {
        var random = SeededGenerator(for: "grant edits", standard: 7)
        let text =
            head
            + "  grants:\n    - {tool: crm, operations: [find, \"upd'ate\"]} # x\n    - tool: crm\n      operations:\n        - erase\n"
        for _ in rounds(3_000) {
            let bytes = Array(text.utf8).mutated(
                &random,
                hostile: ["[", "\"", "'", "{", "#", "- ", ":", "\n", "except: []"]
            )
            for change in [
                GrantEdit.Change.remove,
                .select(OperationSelection([Located(.name("a"), at: .start)], except: [Located(.all, at: .start)])),
            ] {
                for indices in [[0], [1], [0, 1], [2]] {
                    let changes = Dictionary(uniqueKeysWithValues: indices.map { ($0, change) })
                    _ = GrantEdit.applying(changes, to: bytes)
                }
            }
        }
    }
}
