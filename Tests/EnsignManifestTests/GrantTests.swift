import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("Grants against needs")
struct GrantTests {
    private let deployment = FleetFixture.deploymentPath
    private let role = FleetFixture.rolePath
    private let erase = "- {tool: crm, operations: [erase], approval: dual}"

    @Test("A grant names a tool and operations that exist")
    func grantReferences() {
        #expect(
            check(deployment, erase, "- {tool: ①cmr, operations: [erase]}\n    \(erase)") == """
                \(deployment):①: error: there is no tool 'cmr' [unknown-tool]
                  hint: did you mean 'crm'?
                """
        )
        #expect(
            check(deployment, erase, "- {tool: crm, operations: [erase, ①earse, ②pay], approval: dual}") == """
                \(deployment):①: error: tool 'crm' 1.0.0 has no operation 'earse' [unknown-operation]
                  hint: did you mean 'erase'?
                \(deployment):②: error: tool 'crm' 1.0.0 has no operation 'pay' [unknown-operation]
                  hint: its operations: erase, find, update
                """
        )
    }

    @Test("A grant of nothing but an unknown operation is one finding")
    func unknownAlone() {
        #expect(
            check(deployment, erase, "\(erase)\n    - {tool: crm, operations: [①earse]}") == """
                \(deployment):①: error: tool 'crm' 1.0.0 has no operation 'earse' [unknown-operation]
                  hint: did you mean 'erase'?
                """
        )
    }

    @Test("Roles exist, and stand in a deployment once")
    func roles() {
        #expect(
            check(deployment, "roles: [reader]", "roles: [reader, ①raeder]") == """
                \(deployment):①: error: there is no role 'raeder' [unknown-role]
                  hint: did you mean 'reader'?
                """
        )
        #expect(
            check(deployment, "roles: [reader]", "roles: [reader, ①reader]") == """
                \(deployment):①: warning: role 'reader' is here twice [duplicate-role]
                  hint: remove one
                """
        )
    }

    @Test("A role's grants name operations that some version of the tool has")
    func roleReferences() {
        #expect(
            check(role, "operations: [find]", "operations: [find, ①fnid]") == """
                \(role):①: error: no version of tool 'crm' has an operation 'fnid' [unknown-operation]
                  hint: did you mean 'find'?
                """
        )
        #expect(
            check(
                role,
                "[{tool: crm, operations: [find]}]",
                "[{tool: crm, operations: [find]}, {tool: ①pay, operations: [x]}]"
            )
            .contains("\(role):①: error: there is no tool 'pay' [unknown-tool]")
        )
        // An operation that only another version has is not a mistake of the role.
        var fixture = FleetFixture()
        fixture["fleet/tools/crm/2.0.0.yaml"] = fixture[FleetFixture.toolPath]?.replacing("erase:", with: "merge:")
        fixture.replace("operations: [find]", with: "operations: [find, merge]", in: role)
        #expect(fixture.check() == "")
    }

    @Test("What the agent needs and nothing grants is a warning at the version")
    func needWithoutGrant() {
        var fixture = FleetFixture()
        fixture.replace(erase, with: "", in: deployment)
        fixture.replace("roles: [reader]", with: "roles: []", in: deployment)
        fixture.replace("version: 1.0.0", with: "version: ①1.0.0", in: deployment)
        #expect(
            fixture.check() == """
                \(deployment):①: warning: the agent needs crm.find, crm.erase, which nothing here grants [need-without-grant]
                  hint: add a grant or a role; without it the agent runs without the operation
                """
        )
    }

    @Test("What is granted and not needed is a warning at the grant, or at the role")
    func grantWithoutNeed() {
        var fixture = FleetFixture()
        fixture.replace("operations: [find, update, erase]", with: "operations: [update]", in: FleetFixture.agentPath)
        fixture[deployment] = fixture[deployment]?.replacing("[reader]", with: "[①reader]")
            .replacing("- {tool: crm, operations: [erase]", with: "- {tool: ②crm, operations: [erase]")
        #expect(
            fixture.check() == """
                \(deployment):①: warning: role 'reader' grants nothing that the agent needs [grant-without-need]
                  hint: remove it, or add the need to the agent
                \(deployment):②: warning: the agent does not need what this grants on 'crm' [grant-without-need]
                  hint: remove the grant, or add the need to the agent
                """
        )
    }

    @Test("Where a need or a grant was refused, nothing is said of the other")
    func noConsequences() {
        #expect(
            check(FleetFixture.agentPath, "{tool: crm, version: 1.0.0,", "{tool: crm, version: ①1.0,")
                == "\(FleetFixture.agentPath):①: error: version: '1.0' is not SemVer: write MAJOR.MINOR.PATCH, such as 1.4.0 [invalid-version]"
        )
        #expect(
            check(role, "[{tool: crm, operations: [find]}]", "①[]")
                == "\(role):①: error: grants must not be empty [too-few]"
        )
        #expect(
            check(deployment, "roles: [reader]", "roles: [①Reader]").split(separator: "\n").first
                == "\(deployment):①: error: an element of roles: 'Reader' is not a name: 1 to 63 of a-z, 0-9 and '-', not starting or ending with '-' [invalid-name]"
        )
    }

    @Test("An operation that is granted twice with different limits is refused, naming both places")
    func grantedTwice() {
        var fixture = FleetFixture()
        fixture.replace(
            erase,
            with: "\(erase)\n    - {tool: crm, operations: [①find], approval: manager}",
            in: deployment
        )
        fixture.replace("operations: [find]", with: "operations: [②find]", in: role)
        #expect(
            fixture.check() == """
                \(deployment):①: error: 'crm.find' is granted twice, with different limits [granted-twice]
                  hint: keep one of the grants, or name it under 'except' in the other: Ensign does not guess which one is meant
                  \(role):②: note: also granted here
                """
        )
        // Twice the same is not a contradiction.
        #expect(check(deployment, erase, "\(erase)\n    - {tool: crm, operations: [find, find]}") == "")
    }

    @Test("A grant that has expired is a warning; on its last day it holds")
    func expiry() {
        var fixture = FleetFixture()
        fixture.replace("2027-06-30", with: "①2027-06-30", in: deployment)
        fixture.today = "2027-06-30"
        #expect(fixture.check() == "")
        fixture.today = "2027-07-01"
        #expect(
            fixture.check() == """
                \(deployment):①: warning: this grant expired on 2027-06-30 [expired-grant]
                  hint: renew it or remove it
                """
        )
    }

    @Test("A role with an expired grant is one warning, however many deployments use it")
    func expiredRole() {
        var fixture = FleetFixture()
        fixture.replace("operations: [find]", with: "operations: [find], expires: ①2020-01-01", in: role)
        for index in 0..<150 {
            for (path, text) in fixture.entries where path.hasPrefix("fleet/agents/support/triage/") {
                fixture.entries[path.replacing("triage", with: "t\(index)")] = text
            }
            fixture.entries["environments/prod/agents/support/t\(index).yaml"] = fixture.entries[deployment]
        }
        #expect(
            fixture.check() == """
                \(role):①: warning: this grant expired on 2020-01-01 [expired-grant]
                  hint: renew it or remove it
                """
        )
    }

    @Test("An argument that the operation does not take is refused where it is")
    func unknownArgument() {
        #expect(
            check(deployment, "credit: {maximum: 100}", "①crdit: {maximum: 100}") == """
                \(deployment):①: error: arguments of crm.update: the operation has no argument 'crdit' [narrowing-misfit]
                  hint: did you mean 'credit'?
                """
        )
        #expect(
            check(deployment, "credit: {maximum: 100}", "credit: {maximum: 100}\n          ①amount: {maximum: 3}")
                == """
                \(deployment):①: error: arguments of crm.update: the operation has no argument 'amount' [narrowing-misfit]
                  hint: its arguments: credit, customer
                """
        )
    }

    @Test("A limit that cannot apply to the argument's type is refused")
    func limitOfAnotherType() {
        #expect(
            check(deployment, "credit: {maximum: 100}", "customer: {①maximum: 100}")
                == "\(deployment):①: error: arguments of crm.update: 'maximum' limits integer or number, and the operation takes string [narrowing-misfit]"
        )
        #expect(
            check(deployment, "credit: {maximum: 100}", "credit: {①type: string}")
                == "\(deployment):①: error: arguments of crm.update: the operation takes number, so nothing would be allowed [narrowing-misfit]"
        )
        #expect(check(deployment, "credit: {maximum: 100}", "credit: {type: integer}") == "")
        #expect(
            check(
                deployment,
                "properties:\n          credit: {maximum: 100}",
                "required: [customer, ①credits]\n        properties:\n          credit: {maximum: 100}"
            )
                == "\(deployment):①: error: arguments of crm.update: the operation has no argument 'credits', so nothing would be allowed [narrowing-misfit]"
        )
    }

    @Test("A misfit in a role is found with the role, and only once")
    func misfitInRole() {
        #expect(
            check(role, "operations: [find]", "operations: [find], arguments: {properties: {①nmae: {maxLength: 3}}}")
                == """
                \(role):①: error: arguments of crm.find: the operation has no argument 'nmae' [narrowing-misfit]
                  hint: did you mean 'name'?
                """
        )
    }

    @Test("A schema's mistakes are found inside the arguments")
    func argumentSchema() {
        #expect(
            check(deployment, "credit: {maximum: 100}", "credit: {①maximun: 100}") == """
                \(deployment):①: error: arguments: unknown keyword 'maximun' [schema-unknown-keyword]
                  hint: did you mean 'maximum'?
                """
        )
    }

    @Test("Thousands of misfits in one deployment are refused in time")
    func manyMisfits() throws {
        let names = (0..<3_000).map { "x\($0): {}" }.joined(separator: ", ")
        var fixture = FleetFixture()
        fixture.replace("properties:\n          credit: {maximum: 100}", with: "properties: {\(names)}", in: deployment)
        var found: [Finding] = []
        let elapsed = try seconds { found = try fixture.findings() }
        #expect(found.count <= 101)
        #expect(elapsed < 4)
        #expect(found.count == 20)
        let operations = (0..<200).map { "op\($0)" }.joined(separator: ", ")
        let grants = (0..<200).map { _ in
            "    - {tool: crm, operations: [\(operations)], arguments: {properties: {a: {}}}}\n"
        }
        fixture = FleetFixture()
        fixture[deployment] =
            "apiVersion: ensign.dev/v1\nkind: Deployment\nspec:\n  version: 1.0.0\n  grants:\n\(grants.joined())"
        #expect(try seconds { found = try fixture.findings() } < 4)
        #expect(found.count <= 105)
    }
}
