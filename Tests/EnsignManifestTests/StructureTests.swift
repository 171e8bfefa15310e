import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("Structure of a manifest")
struct StructureTests {
    @Test("The small fleet has nothing to find")
    func clean() {
        #expect(FleetFixture().check() == "")
    }

    @Test("An unknown field is an error at its name, with the nearest known one as hint")
    func unknownField() {
        #expect(
            checkTeam("{①membrs: [ada@example.com], members: [ada@example.com]}") == """
                ①: error: unknown field 'membrs' [unknown-field]
                  hint: did you mean 'members'?
                """
        )
    }

    @Test("An unknown field that is like none gets the list of fields")
    func unknownFieldUnlikeAny() {
        #expect(
            checkTeam("{members: [], ①owner: x}") == """
                ①: error: unknown field 'owner' [unknown-field]
                  hint: fields here: members, escalation, limits
                """
        )
        #expect(
            check(FleetFixture.deploymentPath, "limits: {costUSDPerDay: 40}", "rollout: {immediate: {①now: true}}")
                == """
                \(FleetFixture.deploymentPath):①: error: unknown field 'now' [unknown-field]
                  hint: immediate has no fields
                """
        )
    }

    @Test("Fields differ in case")
    func fieldCase() {
        #expect(
            check(FleetFixture.teamPath, "①apiversion: ensign.dev/v1\nkind: Team\nspec: {members: []}\n")
                == """
                \(FleetFixture.teamPath):1:1: error: the manifest needs 'apiVersion': the manifest's format. [missing-field]
                \(FleetFixture.teamPath):①: error: unknown field 'apiversion' [unknown-field]
                  hint: did you mean 'apiVersion'?
                """.replacing("1:1", with: "①")
        )
    }

    @Test("A missing field is an error where its record starts, and says what the field is for")
    func missingField() {
        #expect(
            checkTeam("①{escalation: x}")
                == "①: error: spec needs 'members': the people in the team, as `allowed_signers` names those who sign. [missing-field]"
        )
        #expect(
            check(
                FleetFixture.agentPath,
                "{provider: anthropic, name: claude-sonnet-4-5, parameters: {temperature: 0.2}}",
                "①{provider: anthropic}"
            )
                == "\(FleetFixture.agentPath):①: error: model needs 'name': the model's name at the provider. [missing-field]"
        )
    }

    @Test("A field that is set twice is an error that names both lines")
    func duplicateKey() {
        #expect(
            check(
                FleetFixture.teamPath,
                "apiVersion: ensign.dev/v1\nkind: Team\nspec:\n  ②members: []\n  ①members: [a]\n"
            )
                == """
                \(FleetFixture.teamPath):①: error: 'members' is set twice (first on line 4) [duplicate-key]
                  hint: keep one of them
                  \(FleetFixture.teamPath):②: note: first set here
                """
        )
    }

    @Test("A manifest of another kind is refused, and its fields are not held against the wrong kind")
    func wrongKind() {
        #expect(
            check(FleetFixture.teamPath, "apiVersion: ensign.dev/v1\nkind: ①Role\nspec: {grants: []}\n")
                .hasPrefix(
                    """
                    \(FleetFixture.teamPath):①: error: kind is Role, and \(FleetFixture.teamPath) is where a Team belongs [wrong-kind]
                      hint: write kind: Team, or move the file
                    """
                )
        )
    }

    @Test("A kind that does not exist is refused with the nearest, and the rest is checked as the path's kind")
    func unknownKind() {
        #expect(
            check(FleetFixture.teamPath, "apiVersion: ensign.dev/v1\nkind: ①Taem\nspec: {②member: []}\n")
                == """
                \(FleetFixture.teamPath):①: error: kind: must be 'Team', and this is 'Taem' [invalid-value]
                  hint: did you mean 'Team'?
                \(FleetFixture.teamPath):②: error: spec needs 'members': the people in the team, as `allowed_signers` names those who sign. [missing-field]
                \(FleetFixture.teamPath):3:8: error: unknown field 'member' [unknown-field]
                  hint: did you mean 'members'?
                """.replacing("②: error: spec", with: "3:7: error: spec").replacing("3:8", with: "②")
        )
    }

    @Test("Another version of the format is refused")
    func apiVersion() {
        #expect(
            check(FleetFixture.teamPath, "apiVersion: ①ensign.dev/v2\nkind: Team\nspec: {members: []}\n") == """
                \(FleetFixture.teamPath):①: error: apiVersion: must be 'ensign.dev/v1', and this is 'ensign.dev/v2' [invalid-value]
                  hint: did you mean 'ensign.dev/v1'?
                """
        )
    }

    @Test("A document that is not a mapping is refused", arguments: ["①[a, b]", "①text", "①\"\"", "①- apiVersion: x"])
    func noMapping(text: String) {
        let found = check(FleetFixture.teamPath, "\(text)\n")
        #expect(
            found.hasPrefix(
                "\(FleetFixture.teamPath):①: error: a manifest must be a mapping with apiVersion, kind and spec [wrong-type]"
            )
        )
    }

    @Test("A structural error hides no other finding of its file")
    func findingsGoOn() {
        let found = check(
            FleetFixture.agentPath,
            """
            apiVersion: ensign.dev/v1
            kind: Agent
            metadata: {name: ①other}
            spec:
              description: ②[]
              ③modle: {provider: a, name: b}
              model: {provider: &a x, name: y}
              instructions: ④promt.md
              needs:
                tools:
                  - {tool: ⑤cmr, version: 1.0.0, operations: [find]}
                  - {tool: crm, version: ⑥1.0.1, operations: [find]}
                  - {tool: ⑧crm, version: 1.0.0, operations: [⑦fnid]}
                agents: [⑨support/dekc]
              limits: {steps: ⑩many}
              instructions: prompt.md
            """
        )
        for (marker, code) in [
            ("①", "wrong-identity"), ("②", "wrong-type"), ("③", "unknown-field"), ("④", "missing-file"),
            ("⑤", "unknown-tool"), ("⑥", "unknown-version"), ("⑦", "unknown-operation"), ("⑧", "duplicate-need"),
            ("⑨", "unknown-agent"), ("⑩", "wrong-type"), ("7:21", "anchor"), ("16:3", "duplicate-key"),
        ] {
            #expect(
                found.split(separator: "\n").contains {
                    $0.hasPrefix("\(FleetFixture.agentPath):\(marker): error:") && $0.hasSuffix("[\(code)]")
                },
                "\(marker) \(code)"
            )
        }
    }

    @Test("After a syntax error what was read is checked, and nothing is said to be missing")
    func syntaxErrors() {
        #expect(
            check(FleetFixture.teamPath, "apiVersion: ensign.dev/v1\nkind: Team\n①specs: {}\nspec: {members: ②[x\n")
                .split(separator: "\n").filter { $0.contains("error") } == [
                    "\(FleetFixture.teamPath):①: error: unknown field 'specs' [unknown-field]",
                    "\(FleetFixture.teamPath):②: error: the '[' that opens here is not closed [yaml-syntax]",
                ]
        )
    }

    @Test(
        "A file that a syntax error cuts off causes no findings in others about what it would have declared",
        arguments: [
            (FleetFixture.environmentPath, "promotesFrom: dev", "promotesFrom: 'dev"),
            (FleetFixture.environmentPath, "promotesFrom: dev", "promotesFrom dev"),
            ("environments/dev/environment.yaml", "spec: {mutableVersions", "spec: {x: [mutableVersions"),
            (FleetFixture.toolPath, "update:", "update"),
            (FleetFixture.toolPath, "required: [customer]", "required: [customer"),
            (FleetFixture.toolPath, "access: write", "  access: write"), (FleetFixture.rolePath, "[find]", "[find"),
            (FleetFixture.rolePath, "tool: crm", "tool: 'crm"), (FleetFixture.teamPath, "[ada", "[\"ada"),
            (FleetFixture.bindingPath, "\"vault:crm-prod\"}}", "\"vault:crm-prod\"}"),
            (FleetFixture.agentPath, "needs:", "needs"),
            (FleetFixture.agentPath, "description: Sorts", "description: \"Sorts"),
            (FleetFixture.agentPath, "[find, update, erase]", "[find, update, erase"),
        ]
    )
    func noCascades(_ path: String, _ old: String, _ new: String) throws {
        var fixture = FleetFixture()
        fixture["environments/dev/agents/support/desk.yaml"] = """
            apiVersion: ensign.dev/v1
            kind: Deployment
            spec: {version: next}

            """
        for file in ["agent.yaml", "prompt.md"] {
            fixture["fleet/agents/support/desk/next/\(file)"] = fixture["fleet/agents/support/desk/1.0.0/\(file)"]
        }
        #expect(fixture.check() == "")
        fixture.replace(old, with: new, in: path)
        let found = try fixture.findings()
        #expect(found.filter { $0.path != path }.map(\.message) == [])
        #expect(found.contains { $0.path == path && $0.code == "yaml-syntax" })
    }

    @Test("An unclosed list says nothing of the words that it took in")
    func unclosedList() {
        var fixture = FleetFixture()
        fixture.replace("roles: [reader]", with: "roles: ①[reader", in: FleetFixture.deploymentPath)
        let found = fixture.check(only: FleetFixture.deploymentPath).split(separator: "\n").filter {
            $0.contains("error")
        }
        #expect(
            found == ["\(FleetFixture.deploymentPath):①: error: the '[' that opens here is not closed [yaml-syntax]"]
        )
    }

    @Test("A version that is not there: which ones are, and no guess by spelling")
    func unknownVersion() {
        var fixture = FleetFixture()
        fixture.replace("version: 1.0.0", with: "version: ①1.0.1", in: FleetFixture.deploymentPath)
        #expect(
            fixture.check(only: FleetFixture.deploymentPath).hasSuffix(
                "①: error: agent 'support/triage' has no version 1.0.1 [unknown-version]\n  hint: its versions: 1.0.0"
            )
        )
    }

    @Test("One bad file hides no finding in another")
    func badFiles() throws {
        var fixture = FleetFixture()
        fixture.entries[FleetFixture.teamPath] = .bytes([0xFF, 0xFE, 0x61, 0x00])
        fixture.entries[FleetFixture.toolPath] = .bytes([0x00])
        fixture.entries[FleetFixture.agentPath] = .huge(1 << 30)
        fixture[FleetFixture.rolePath] = "{[[a"
        fixture[FleetFixture.environmentPath] = ""
        fixture[FleetFixture.deploymentPath] = "- ①&a b\n"
        fixture[FleetFixture.pricesPath] = team("{members: []}")
        let found = try fixture.findings()
        for (path, code) in [
            (FleetFixture.teamPath, "encoding"), (FleetFixture.toolPath, "control-character"),
            (FleetFixture.agentPath, "too-large"), (FleetFixture.rolePath, "yaml-syntax"),
            (FleetFixture.environmentPath, "empty-file"), (FleetFixture.deploymentPath, "anchor"),
            (FleetFixture.pricesPath, "wrong-kind"),
        ] {
            #expect(found.contains { $0.path == path && $0.code == code && $0.severity == .error }, "\(path) \(code)")
        }
    }
}
