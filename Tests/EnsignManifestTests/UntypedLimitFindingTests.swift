import EnsignModel
import EnsignTestSupport
import Testing

@Suite("Untyped limits in manifests")
struct UntypedLimitFindingTests {
    private let deployment = FleetFixture.deploymentPath
    private let role = FleetFixture.rolePath
    private let tool = FleetFixture.toolPath

    private static let number =
        "'maximum' limits numbers alone, and other values are let in here: a text such as \"4000\" gets past it"
    private static let text = "limits texts alone, and other values are let in here: a number or a list gets past it"

    /// The small fleet with another schema of `credit` in the tool, and another narrowing of it in the deployment.
    private func credit(tool schema: String, grant: String) -> FleetFixture {
        var fixture = FleetFixture()
        fixture.replace("credit: {type: number, minimum: 0, maximum: 500}", with: "credit: \(schema)", in: tool)
        fixture.replace("credit: {maximum: 100}", with: "credit: \(grant)", in: deployment)
        return fixture
    }

    @Test(
        "A limit for one type is refused in a grant where neither it nor the tool fixes the type",
        arguments: ["{}", "true", "{type: [number, string]}", "{anyOf: [{type: number}, {type: string}]}"]
    )
    func untyped(schema: String) {
        #expect(
            credit(tool: schema, grant: "{①maximum: 100}").check() == """
                \(deployment):①: error: arguments of crm.update: \(Self.number) [schema-untyped-limit]
                  hint: add type: number, here or in the tool's schema
                """
        )
        #expect(credit(tool: schema, grant: "{maximum: 100, type: number}").check() == "")
        #expect(credit(tool: schema, grant: "{enum: [50, 100]}").check() == "")
    }

    @Test(
        "What the tool fixes the grant need not say again",
        arguments: [
            "{type: integer}", "{type: [number, 'null']}", "{enum: [50, 150]}", "{allOf: [{type: number}]}",
            "{anyOf: [{type: number}, {type: 'null'}]}",
        ]
    )
    func fixedByTool(schema: String) {
        #expect(credit(tool: schema, grant: "{maximum: 100}").check() == "")
    }

    @Test("A reference of the tool's schema fixes the type too")
    func fixedByReference() {
        var fixture = credit(tool: "{$ref: '#/$defs/money'}", grant: "{maximum: 100}")
        fixture.replace(
            "required: [customer]",
            with: "required: [customer]\n        $defs: {money: {type: number}}",
            in: tool
        )
        #expect(fixture.check() == "")
    }

    @Test("An operation without a schema takes nothing: limits of its arguments can never apply")
    func withoutInput() {
        let erase = "operations: [erase], approval: dual"
        for arguments in [
            "{properties: {①id: {maxLength: 9}}}",
            "{type: object, properties: {①id: {type: string, maxLength: 9}}}",
        ] {
            #expect(
                check(deployment, erase, "operations: [erase], arguments: \(arguments)") == """
                    \(deployment):①: error: arguments of crm.erase: the operation has no argument 'id' [narrowing-misfit]
                      hint: declare the arguments in a new version of the tool
                    """
            )
        }
    }

    @Test("An untyped limit in a role is refused there")
    func inRole() {
        var fixture = credit(tool: "{}", grant: "{type: number, maximum: 100}")
        fixture.replace(
            "operations: [find]",
            with: "operations: [update], arguments: {properties: {credit: {①maximum: 5}}}",
            in: role
        )
        #expect(
            fixture.check(only: role) == """
                \(role):①: error: arguments of crm.update: \(Self.number) [schema-untyped-limit]
                  hint: add type: number, here or in the tool's schema
                """
        )
    }

    @Test("In a tool's input an untyped limit is a warning, in its output and in a contract nothing")
    func inTool() {
        let input = "{type: object, properties: {name: {type: string}}}"
        #expect(
            check(tool, input, "{type: object, properties: {name: {①pattern: a}}}") == """
                \(tool):①: warning: input: 'pattern' \(Self.text) [schema-untyped-limit]
                  hint: add type: string
                """
        )
        #expect(check(tool, "output: {type: object}", "output: {properties: {a: {maximum: 3}}}") == "")
        #expect(check(FleetFixture.agentPath, "{type: object, required: [ticket]}", "{required: [ticket]}") == "")
        // What is not a schema has no limits.
        #expect(
            check(tool, input, "{properties: {name: {①maximun: 3}}}") == """
                \(tool):①: error: input: unknown keyword 'maximun' [schema-unknown-keyword]
                  hint: did you mean 'maximum'?
                """
        )
    }

    @Test("A schema whose references fan out without end is refused in a grant")
    func fan() {
        let schema: JSONValue = ["allOf": [["$ref": "#/$defs/d0"]], "$defs": .object(UntypedLimitsTests.fan)]
        let said = check(
            deployment,
            "operations: [erase], approval: dual",
            "operations: [erase], arguments: \(schema.text)"
        )
        #expect(said.contains("its references lead to too many schemas") && said.contains("error"))
    }
}
