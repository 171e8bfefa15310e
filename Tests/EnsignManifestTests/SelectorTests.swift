import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignTestSupport
import Testing

@Suite("Operations that needs and grants select")
struct SelectorTests {
    private let agent = FleetFixture.agentPath
    private let deployment = FleetFixture.deploymentPath
    private let named = "[find, update, erase]"

    private func compile(_ changes: (path: String, old: String, new: String)...) throws -> Bundle {
        var fixture = FleetFixture()
        for change in changes { fixture.replace(change.old, with: change.new, in: change.path) }
        let errors = try fixture.findings().filter { $0.severity == .error }
        #expect(errors.isEmpty, "\(fixture.render(errors))")
        return try #require(try fixture.compile(), "\(fixture.check())").bundle
    }

    private func granted(_ bundle: Bundle) -> [String] {
        (bundle.tools.first?.operations.keys.map { $0 } ?? []).sorted()
    }

    /// The grants of the small fleet's deployment, without those that it has.
    private let grants = """
          roles: [reader]
          grants:
            - tool: crm
              operations: [update]
              approval: manager
              arguments:
                properties:
                  credit: {maximum: 100}
              expires: 2027-06-30
            - {tool: crm, operations: [erase], approval: dual}
        """

    private func granting(_ operations: String) -> (path: String, old: String, new: String) {
        (deployment, grants, "  grants: [{tool: crm, \(operations)}]")
    }

    @Test("A need that selects means the operations of the tool's version, and its bundle is that of the names")
    func needs() throws {
        let written = try compile()
        for (selection, same) in [
            ("[\"*\"]", true), ("[{access: read}, {access: write}, {access: execute}]", true),
            ("[erase, {risk: low}, {risk: medium}]", true), ("[{access: read}, update]", false),
        ] {
            let selected = try compile((agent, named, selection))
            #expect((selected == written) == same && (selected.bytes == written.bytes) == same, "\(selection)")
            #expect((selected.artifact == written.artifact) == same, "\(selection)")
        }
        #expect(
            try compile((agent, "operations: \(named)", "operations: [\"*\"], except: [erase]")).artifact
                == compile((agent, named, "[update, find]")).artifact
        )
    }

    @Test(
        "A grant that selects gives what it selects among what is needed",
        arguments: [
            ("operations: [\"*\"]", ["erase", "find", "update"]),
            ("operations: [{access: read}]", ["find"]),
            ("operations: [{risk: low}, erase]", ["erase", "find"]),
            ("operations: [{access: write, risk: medium}]", ["update"]),
            ("operations: [{access: read}, {access: write}]", ["find", "update"]),
            ("operations: [\"*\"], except: [erase]", ["find", "update"]),
            ("operations: [\"*\"], except: [{risk: high}, find]", ["update"]),
            ("operations: [\"*\"], except: [{access: execute, risk: low}]", ["erase", "find", "update"]),
            ("operations: [find, {access: read}]", ["find"]),
        ]
    )
    func grantsSelect(_ operations: String, _ expected: [String]) throws {
        #expect(granted(try compile(granting(operations))) == expected)
        #expect(granted(try compile((agent, named, "[\"*\"]"), granting(operations))) == expected)
    }

    @Test("Selectors in needs and names in grants meet, and the reverse; what is not needed is not given")
    func meeting() throws {
        #expect(
            granted(try compile((agent, named, "[{risk: low}, update]"), granting("operations: [\"*\"]"))) == [
                "find", "update",
            ]
        )
        #expect(
            granted(try compile((agent, named, "[\"*\"]"), granting("operations: [update, find]"))) == [
                "find", "update",
            ]
        )
        #expect(
            granted(try compile((agent, named, "[{access: read}]"), granting("operations: [{access: write}, find]")))
                == ["find"]
        )
    }

    @Test("Limits of a grant hold for each operation that it selects")
    func limits() throws {
        let bundle = try compile(granting("operations: [\"*\"], except: [find], approval: dual, expires: 2027-06-30"))
        let operations = try #require(bundle.tools.first).operations
        #expect(operations.values.allSatisfy { $0.approval == .dual && $0.expires == CalendarDate("2027-06-30") })
        #expect(
            check(
                deployment,
                grants,
                "  grants: [{tool: crm, operations: [\"*\"], arguments: {properties: {①credit: {maximum: 1}}}}]"
            )
            .contains(
                "\(deployment):①: error: arguments of crm.find: the operation has no argument 'credit' [narrowing-misfit]"
            )
        )
    }

    @Test("An operation that two grants select with different limits is granted twice, until one leaves it out")
    func twice() throws {
        let both = "  grants: [{tool: crm, operations: [①\"*\"]}, {tool: crm, operations: [②erase], approval: dual}]"
        #expect(
            check(deployment, grants, both) == """
                \(deployment):②: error: 'crm.erase' is granted twice, with different limits [granted-twice]
                  hint: keep one of the grants, or name it under 'except' in the other: Ensign does not guess which one is meant
                  \(deployment):①: note: also granted here
                """
        )
        let apart = both.replacing("\"*\"]}", with: "\"*\"], except: [erase]}").replacing("①", with: "").replacing(
            "②",
            with: ""
        )
        let bundle = try compile((deployment, grants, apart))
        #expect(
            bundle.operation("crm", "erase")?.approval == .dual
                && bundle.operation("crm", "find")?.approval == Approval.none
        )
    }

    @Test("A selector that selects nothing is an error where it is, as an operation that is not there is")
    func empty() {
        let kinds = "{access: execute, risk: high}, {access: read, risk: low}, {access: write, risk: medium}"
        #expect(
            check(agent, named, "[find, ①{access: read, risk: high}, update, erase]") == """
                \(agent):①: error: {access: read, risk: high} selects no operation of tool 'crm' 1.0.0 [empty-selection]
                  hint: its operations are \(kinds)
                """
        )
        #expect(
            check(deployment, "[erase], approval", "[erase, ①{access: write, risk: low}], approval") == """
                \(deployment):①: error: {access: write, risk: low} selects no operation of tool 'crm' 1.0.0 [empty-selection]
                  hint: its operations are \(kinds)
                """
        )
        #expect(
            check(deployment, "[erase], approval", "[{risk: high}], except: [①{access: execute}], approval").contains(
                "\(deployment):①: error: 'except' leaves out every operation that is selected of tool 'crm' 1.0.0 [empty-selection]"
            )
        )
        #expect(
            check(FleetFixture.rolePath, "[find]", "[find, ①{access: read, risk: high}]") == """
                \(FleetFixture.rolePath):①: error: {access: read, risk: high} selects no operation of tool 'crm', in any version [empty-selection]
                  hint: its operations are \(kinds)
                """
        )
    }

    @Test(
        "A slip in what is left out is an error, in needs, grants and roles: it would let in what is meant to stay out"
    )
    func exceptions() throws {
        for (path, old, new) in [
            (agent, "operations: \(named)", "operations: [\"*\"], except: [①erasse]"),
            (
                deployment, "operations: [erase], approval",
                "operations: [\"*\"], except: [①erasse, find, update], approval"
            ),
            (FleetFixture.rolePath, "operations: [find]", "operations: [\"*\"], except: [①erasse, update, erase]"),
        ] {
            #expect(
                check(path, old, new) == """
                    \(path):①: error: no version of tool 'crm' has an operation 'erasse' [unknown-operation]
                      hint: did you mean 'erase'?
                    """
            )
        }
        // Also where only the environment is compiled, which reads no role by itself.
        var fixture = FleetFixture()
        fixture.replace(
            "operations: [find]",
            with: "operations: [\"*\"], except: [erasse, update, erase]",
            in: FleetFixture.rolePath
        )
        let fleet = fixture.fleet()
        _ = try EnvironmentCompiler(fleet: fleet, environment: "prod").compile(.triage)
        #expect(fleet.findings.contains { $0.code == "unknown-operation" })
    }

    @Test("In a role only what no version of the tool has is empty, whatever else the versions have")
    func emptyInRoles() {
        var fixture = FleetFixture()
        fixture["fleet/tools/crm/2.0.0.yaml"] = fixture[FleetFixture.toolPath]?.replacing(
            "    erase:",
            with: "    drop: {access: execute, risk: low}\n    erase:"
        )
        fixture.replace("[find]", with: "[find, {access: execute, risk: low}]", in: FleetFixture.rolePath)
        #expect(fixture.check() == "")
        fixture.replace(
            "{access: execute, risk: low}]",
            with: "①{access: read, risk: high}]",
            in: FleetFixture.rolePath
        )
        #expect(
            fixture.check().hasPrefix(
                "\(FleetFixture.rolePath):①: error: {access: read, risk: high} selects no operation"
            )
        )
    }

    @Test("A slip in a release that none deploys is a warning, as any name that is gone")
    func undeployed() {
        var fixture = FleetFixture()
        let old = "fleet/agents/support/triage/0.9.0"
        fixture["\(old)/agent.yaml"] = fixture[agent]?.replacing(
            "operations: \(named)",
            with: "operations: [\"*\"], except: [gone]"
        )
        fixture["\(old)/prompt.md"] = "Sort.\n"
        #expect(fixture.check().hasPrefix("\(old)/agent.yaml:"))
        #expect(
            fixture.check().contains(
                "warning: no version of tool 'crm' has an operation 'gone'; no environment deploys 0.9.0"
            )
        )
    }

    @Test("What another version of the tool has may be left out already")
    func exceptionOfAnotherVersion() {
        var fixture = FleetFixture()
        fixture["fleet/tools/crm/2.0.0.yaml"] = fixture[FleetFixture.toolPath]?.replacing(
            "    erase:",
            with: "    drop: {access: execute, risk: high}\n    erase:"
        )
        fixture.replace("operations: \(named)", with: "operations: [\"*\"], except: [drop]", in: agent)
        #expect(fixture.check() == "")
    }

    @Test("A new version of a tool gives what a selector selects there, and the plan says that it is more")
    func newVersion() throws {
        var fixture = FleetFixture()
        fixture["fleet/tools/crm/2.0.0.yaml"] = fixture[FleetFixture.toolPath]?.replacing(
            "    erase:",
            with: "    history: {access: read, risk: low}\n    drop: {access: execute, risk: high}\n    erase:"
        )
        fixture.replace(named, with: "[{access: read}]", in: agent)
        fixture.replace(grants, with: "  grants: [{tool: crm, operations: [{access: read}]}]", in: deployment)
        let before = try #require(try fixture.compile()).bundle
        fixture.replace("{tool: crm, version: 1.0.0,", with: "{tool: crm, version: 2.0.0,", in: agent)
        #expect(fixture.check() == "")
        let after = try #require(try fixture.compile()).bundle
        #expect(granted(after) == ["find", "history"])
        let difference = BundleDifference(before: before, after: after)
        #expect(difference.kind == .widening)
        #expect(difference.authority.gained == ["may now call crm.history (read, low risk)"])
        // And what is written out stays as it is.
        fixture.replace("[{access: read}]}]", with: "[find]}]", in: deployment)
        #expect(granted(try #require(try fixture.compile()).bundle) == ["find"])
    }

    @Test("A need that selects and is not granted is said with a few of its operations")
    func ungranted() {
        var fixture = FleetFixture()
        let many = (10..<60).map { "    get_\($0): {access: read, risk: low}\n" }.joined()
        fixture.replace("    erase:", with: "\(many)    erase:", in: FleetFixture.toolPath)
        fixture.replace(named, with: "[\"*\"]", in: agent)
        let found = fixture.check()
        #expect(found.contains("crm.get_19 and 40 more, which nothing here grants [need-without-grant]"), "\(found)")
    }

    @Test("What is not a selector is refused where it is")
    func malformed() {
        for (element, problem) in [
            (
                "①{}",
                "an element of operations needs access or risk: without one it selects nothing in particular [missing-field]"
            ),
            (
                "{access: ①reed}",
                "access: 'reed' is not one of read, write, execute [invalid-value]\n  hint: did you mean 'read'?"
            ),
            ("{①acces: read}", "unknown field 'acces' [unknown-field]\n  hint: did you mean 'access'?"),
            (
                "①\"**\"",
                "an element of operations: '**' is not the name of an operation: \(OperationName.rule) [invalid-name]"
            ),
            (
                "①[find]",
                "an element of operations must be the name of an operation or \"*\", and this is a list [wrong-type]"
            ),
        ] {
            #expect(
                check(deployment, "[erase], approval", "[erase, \(element)], approval").hasPrefix(
                    "\(deployment):①: error: \(problem)"
                ),
                "\(element)"
            )
        }
        #expect(
            check(deployment, "[erase], approval", "[①*], approval").contains(
                "\(deployment):①: error: a '*' is an alias here, and there is no name behind it [yaml-syntax]\n  hint: quote it: \"*\""
            ),
            "an alias in YAML"
        )
    }

    @Test("A selection is written as it was read")
    func text() {
        func at(_ selector: OperationSelector) -> Located<OperationSelector> { Located(selector, at: .start) }
        let selection = OperationSelection(
            [at(.all), at(.name("find")), at(.name("on")), at(.name("1.0")), at(.matching(access: .read, risk: nil))],
            except: [at(.matching(access: .write, risk: .high)), at(.name("_x"))]
        )
        #expect(
            selection.text
                == "operations: [\"*\", find, \"on\", \"1.0\", {access: read}], except: [{access: write, risk: high}, _x]"
        )
    }
}
