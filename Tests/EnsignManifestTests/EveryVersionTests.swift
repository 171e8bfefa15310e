import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

/// What is compared with all versions of a tool: some of them nothing deploys.
@Suite("Every version of a tool")
struct EveryVersionTests {
    private let agent = FleetFixture.agentPath
    private let deployment = FleetFixture.deploymentPath

    private static func tool(_ operation: String, _ risk: String = "low") -> String {
        """
        apiVersion: ensign.dev/v1
        kind: Tool
        spec:
          owner: support
          server: {mcp: {command: [crm-mcp]}}
          operations: {\(operation): {access: read, risk: \(risk), input: {type: object, properties: {id: {type: string}}, additionalProperties: false}}}

        """
    }

    /// The small fleet with two versions more, of which the last has an error.
    private func fleet() -> FleetFixture {
        var fixture = FleetFixture()
        fixture["fleet/tools/crm/1.1.0.yaml"] = Self.tool("search")
        fixture["fleet/tools/crm/1.2.0.yaml"] = Self.tool("search", "lowx")
        return fixture
    }

    /// What an environment is told, as a reconcile is.
    private func environmentFindings(_ fixture: FleetFixture) throws -> [Finding] {
        let compiler = EnvironmentCompiler(fleet: fixture.fleet(), environment: "prod")
        try compiler.checkFolder()
        for agent in try compiler.agents(of: "support") { #expect(try compiler.compile(agent) != nil) }
        return compiler.fleet.findings.filter { $0.severity == .error }
    }

    enum Naming: CaseIterable { case role, exceptionOfRole, pin, exceptionOfNeed, ownGrant, precondition }

    @Test(
        "A version that nothing deploys never stops an environment, whatever is compared with it",
        arguments: Naming.allCases
    )
    func quiet(naming: Naming) throws {
        var fixture = fleet()
        switch naming {
        case .role: fixture.replace("[find]", with: "[find, search]", in: FleetFixture.rolePath)
        case .exceptionOfRole:
            fixture.replace(
                "operations: [find]",
                with: "operations: [{access: read}], except: [search]",
                in: FleetFixture.rolePath
            )
        case .pin:
            fixture.replace(
                "spec: {server",
                with: "spec: {operations: {search: {pin: \"sha256:\(String(repeating: "a", count: 64))\"}}, server",
                in: FleetFixture.bindingPath
            )
        case .exceptionOfNeed:
            fixture.replace(
                "[find, update, erase]",
                with: "[\"*\"], except: [search]",
                in: agent
            )
        case .ownGrant:
            fixture["fleet/tools/other/1.0.0.yaml"] = Self.tool("list", "lowx")
            fixture.replace(
                "    - {tool: crm, operations: [erase]",
                with: "    - {tool: other, operations: [list]}\n    - {tool: crm, operations: [erase]",
                in: deployment
            )
        case .precondition:
            fixture.replace(
                "[erase], approval: dual}",
                with: "[erase], approval: dual, after: {operation: crm.find, within: 1m}}",
                in: deployment
            )
        }
        #expect(try environmentFindings(fixture) == [])
        let all = try fixture.findings().filter { $0.severity == .error }
        #expect(!all.isEmpty && all.allSatisfy { $0.path.hasPrefix("fleet/tools/") }, "the whole fleet's check says it")
    }

    @Test("A role's arguments are compared with the versions that are deployed")
    func arguments() throws {
        var fixture = FleetFixture()
        fixture["fleet/tools/crm/1.1.0.yaml"] = Self.tool("find")
        fixture["fleet/tools/crm/1.2.0.yaml"] = Self.tool("search")
        fixture.replace(
            "[find]}",
            with: "[find, search], arguments: {properties: {name: {type: string, maxLength: 9}}}}",
            in: FleetFixture.rolePath
        )
        #expect(try environmentFindings(fixture) == [])
        #expect(codes(try fixture.findings()).contains("narrowing-misfit"))
    }

    @Test("An operation that no version has is an error for the environment too, once for a role")
    func unknown() throws {
        var fixture = FleetFixture()
        fixture.replace("[find]", with: "[find, serch]", in: FleetFixture.rolePath)
        #expect(codes(try environmentFindings(fixture)) == ["unknown-operation"])
    }

    @Test("A precondition that is not there is one mistake, in a role too", arguments: ["nope.find", "crm.nope"])
    func missingPrecondition(name: String) throws {
        var fixture = FleetFixture()
        fixture.replace("[find]}", with: "[find], after: {operation: \(name), within: 1m}}", in: FleetFixture.rolePath)
        #expect(try fixture.findings().filter { $0.severity == .error }.count == 1)
    }

    @Test("A circle of any number of preconditions is found, once, and long chains without one in time")
    func longCircles() throws {
        let count = 150
        func fixture(closed: Bool) -> FleetFixture {
            var fixture = FleetFixture()
            let names = (0..<count).map { "op\(String($0 + 1000).dropFirst())" }
            fixture["fleet/tools/big/1.0.0.yaml"] =
                "apiVersion: ensign.dev/v1\nkind: Tool\nspec:\n  owner: support\n  server: {mcp: {command: [big]}}\n  operations:\n"
                + names.map { "    \($0): {access: read, risk: low}\n" }.joined()
            fixture.replace(
                "{tool: crm, version",
                with: "{tool: big, version: 1.0.0, operations: [{access: read}]}\n      - {tool: crm, version",
                in: agent
            )
            let grants = names.indices.map { index in
                let other = index + 1 < count ? names[index + 1] : closed ? names[0] : nil
                let after = other.map { ", after: {operation: big.\($0), within: 1m}" } ?? ""
                return "    - {tool: big, operations: [\(names[index])]\(after)}\n"
            }
            fixture.replace("  grants:\n", with: "  grants:\n\(grants.joined())", in: deployment)
            return fixture
        }
        #expect(codes(try fixture(closed: true).findings().filter { $0.severity == .error }) == ["precondition-cycle"])
        #expect(try fixture(closed: false).findings().filter { $0.severity == .error } == [])
    }

    @Test("A role for many versions of a tool costs the same for each deployment, however many versions there are")
    func manyVersions() throws {
        let versions = 40
        let deployments = 100
        var fixture = FleetFixture()
        for version in 0..<versions {
            let operations = (0..<(version == 0 ? 50 : 100)).map { "    op\($0): {access: read, risk: low}\n" }.joined()
            fixture["fleet/tools/big/1.\(version).0.yaml"] =
                "apiVersion: ensign.dev/v1\nkind: Tool\nspec:\n  owner: support\n  server: {mcp: {command: [x]}}\n  operations:\n\(operations)"
        }
        fixture[FleetFixture.rolePath] =
            "apiVersion: ensign.dev/v1\nkind: Role\nspec: {grants: [{tool: big, operations: [\((0..<100).map { "op\($0)" }.joined(separator: ", "))]}]}\n"
        for index in 0..<deployments {
            fixture["fleet/agents/support/a\(index)/1.0.0/agent.yaml"] =
                "apiVersion: ensign.dev/v1\nkind: Agent\nspec: {description: x, model: {provider: a, name: b}, needs: {tools: [{tool: big, version: 1.0.0, operations: [op1]}]}}\n"
            fixture["environments/prod/agents/support/a\(index).yaml"] =
                "apiVersion: ensign.dev/v1\nkind: Deployment\nspec: {version: 1.0.0, roles: [reader]}\n"
        }
        let snapshot = fixture.snapshot
        #expect(try seconds { _ = try fixture.findings(snapshot) } < 5)
    }
}
