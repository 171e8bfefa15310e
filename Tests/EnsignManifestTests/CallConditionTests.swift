import EnsignCrypto
import EnsignJSON
import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("Approvers, rates, preconditions, records and pins in manifests")
struct CallConditionManifestTests {
    private static let pin = "sha256:" + String(repeating: "a", count: 64)
    private static let grant = "approval: manager"

    /// The small fleet with this in the grant of `crm.update`.
    private func granting(_ fields: String) -> FleetFixture {
        var fixture = FleetFixture()
        fixture.replace(Self.grant, with: "\(Self.grant)\n      \(fields)", in: FleetFixture.deploymentPath)
        return fixture
    }

    private func check(_ fields: String) -> String {
        granting(fields).check().replacing("\(FleetFixture.deploymentPath):", with: "")
    }

    @Test("What a grant asks is in the bundle, and a deployment's mode and runs are")
    func compiled() throws {
        var fixture = granting(
            """
            approvers: [support, bo@example.com]
                  rate: 30/m
                  after: {operation: crm.find, within: 10m}
                  record: [/customer, /credit]
            """
        )
        fixture.replace(
            "limits: {costUSDPerDay: 40}",
            with: "limits: {costUSDPerDay: 40, runs: 5}\n  mode: observe",
            in: FleetFixture.deploymentPath
        )
        fixture.replace("seconds: 90}", with: "seconds: 90, runs: 7}", in: FleetFixture.agentPath)
        fixture.replace(
            "      risk: medium",
            with: "      risk: medium\n      pin: \(Self.pin)",
            in: FleetFixture.toolPath
        )
        #expect(fixture.check() == "")
        let compiled = try #require(try fixture.compile())
        let operation = try #require(compiled.bundle.operation("crm", "update"))
        #expect(operation.approvers == [.principal("bo@example.com"), .team("support")])
        #expect(operation.rate == CallRate("30/m"))
        #expect(operation.after.map(\.description) == ["after crm.find within 10m"])
        #expect(operation.record.map(\.description) == ["/credit", "/customer"])
        #expect(operation.pin == Digest(Self.pin))
        #expect(try compiled.bundle.tools[0].owner == "support")
        #expect(try compiled.bundle.limits.runs == 5 && compiled.bundle.mode == .observe)
        #expect(try Bundle(json: JSONParser.parse(compiled.bytes)) == compiled.bundle)
    }

    @Test("A record of one place needs no list; a Binding's pin wins over the tool's")
    func shorter() throws {
        var fixture = granting("record: /customer")
        fixture.replace(
            "      risk: medium",
            with: "      risk: medium\n      pin: \(Self.pin)",
            in: FleetFixture.toolPath
        )
        let other = Self.pin.replacing("a", with: "b").replacing("shb256", with: "sha256")
        fixture.replace(
            "spec: {server",
            with: "spec: {operations: {update: {pin: \"\(other)\"}}, server",
            in: FleetFixture.bindingPath
        )
        #expect(fixture.check() == "")
        let operation = try #require(try fixture.compile()?.bundle.operation("crm", "update"))
        #expect(operation.record.map(\.description) == ["/customer"])
        #expect(operation.pin == Digest(other))
    }

    @Test("What is not written as it must be is refused where it is")
    func shapes() {
        #expect(
            check("rate: ①30/min")
                == "①: error: rate: '30/min' is not a rate: write a whole number, '/' and s, m, h or d, such as 30/m [invalid-value]"
        )
        #expect(
            check("approvers: [①\"*@example.com\"]")
                == "①: error: an element of approvers: '*@example.com' is neither a team nor one person: write a team's name, or a principal of allowed_signers such as ada@example.com [invalid-value]"
        )
        #expect(
            check("record: ①ticket")
                == "①: error: record: 'ticket' is not a JSON Pointer into the arguments: write '/' and a name, such as /ticket [invalid-value]"
        )
        #expect(
            check("after: {operation: ①find, within: 10m}")
                == "①: error: operation: 'find' is not an operation: write <tool>.<operation> [invalid-value]"
        )
        #expect(check("after: ①{operation: crm.find}").hasPrefix("①: error: after needs 'within': "))
        #expect(check("approvers: ①[]").hasPrefix("①: error: approvers must not be empty [too-few]"))
    }

    @Test("Teams that may agree exist; approvers whom nobody asks are a warning")
    func approvers() {
        #expect(
            check("approvers: [①finance]") == """
                ①: error: there is no team 'finance' [unknown-team]
                  hint: declare it in fleet/teams/finance.yaml
                """
        )
        var fixture = FleetFixture()
        fixture.replace(Self.grant, with: "approvers: [①support]", in: FleetFixture.deploymentPath)
        #expect(
            fixture.check() == """
                \(FleetFixture.deploymentPath):①: warning: calls of crm.update need no approval: nobody of 'approvers' is asked [approvers-without-approval]
                  hint: add approval: manager or dual, or remove the approvers
                """
        )
    }

    @Test("What must come before is granted, is another operation, and both take the argument that must be the same")
    func preconditions() {
        #expect(check("after: {operation: crm.erase, within: 10m}") == "")
        #expect(
            check("after: {operation: ①crm.serch, within: 10m}").hasPrefix(
                "①: error: no version of tool 'crm' has an operation 'serch' [unknown-operation]"
            )
        )
        #expect(
            check("after: {operation: ①cmr.find, within: 10m}").hasPrefix(
                "①: error: there is no tool 'cmr' [unknown-tool]"
            )
        )
        #expect(
            check("after: {operation: ①crm.update, within: 10m}") == """
                ①: error: 'crm.update' can never be called: crm.update comes after crm.update [precondition-cycle]
                  hint: remove 'after' from one of the grants
                """
        )
        #expect(
            check("after: {operation: crm.find, within: 10m, same: ①customer}").hasPrefix(
                "①: error: crm.find, which must come before crm.update: the operation has no argument 'customer'"
            ),
            "an open schema takes it, and nobody reads it: refused as in 'arguments'"
        )
        #expect(check("after: {operation: crm.find, within: 10m, same: ①nobody}").contains("①: error: crm.update: "))
        #expect(
            check("after: {operation: crm.erase, within: 10m, same: ①customer}") == """
                ①: error: crm.erase, which must come before crm.update: without 'input' the operation takes no arguments [precondition-misfit]
                  hint: declare the arguments in a new version of the tool
                """
        )
        var fixture = granting("after: {operation: crm.erase, within: 10m}")
        fixture.replace(
            "    - {tool: crm, operations: [erase], approval: dual}\n",
            with: "",
            in: FleetFixture.deploymentPath
        )
        #expect(
            fixture.check(only: FleetFixture.deploymentPath).contains(
                ":10:26: error: 'crm.update' must come after 'crm.erase', which the agent is not granted: it could never be called [ungranted-precondition]"
            )
        )
    }

    @Test("A circle of preconditions is found once")
    func circle() {
        var fixture = granting("after: {operation: crm.erase, within: 10m}")
        fixture.replace(
            "operations: [erase], approval: dual}",
            with: "operations: [erase], approval: dual, after: {operation: ①crm.update, within: 1m}}",
            in: FleetFixture.deploymentPath
        )
        #expect(
            fixture.check() == """
                \(FleetFixture.deploymentPath):①: error: 'crm.erase' can never be called: crm.erase comes after crm.update comes after crm.erase [precondition-cycle]
                  hint: remove 'after' from one of the grants
                """
        )
    }

    @Test("A record names an argument that the operation takes")
    func records() {
        #expect(check("record: [/customer, ①/tiket]").contains("①: error: '/tiket' of crm.update: "))
        #expect(check("record: [①/customer/id]").contains("①: error: "), "a text has no members")
    }

    @Test("Pins are digests, and of operations that there are")
    func pins() {
        var fixture = FleetFixture()
        fixture.replace(
            "      risk: medium",
            with: "      risk: medium\n      pin: ①sha256:abc",
            in: FleetFixture.toolPath
        )
        #expect(fixture.check(only: FleetFixture.toolPath).contains("①: error: pin: 'sha256:abc' is not a digest"))
        fixture = FleetFixture()
        fixture.replace(
            "spec: {server",
            with: "spec: {operations: {updat: {pin: ①\"\(Self.pin)\"}}, server",
            in: FleetFixture.bindingPath
        )
        #expect(
            fixture.check() == """
                \(FleetFixture.bindingPath):①: error: no version of tool 'crm' has an operation 'updat' [unknown-operation]
                  hint: did you mean 'update'?
                """
        )
    }

    // MARK: policy.json

    private static let key = SSHPrivateKey.generate().publicKey.line

    private func policy(_ signers: String..., change: (inout FleetFixture) -> Void = { _ in }) throws -> GatewayPolicy?
    {
        var fixture = FleetFixture()
        fixture[RepositoryPath.allowedSigners] = signers.joined(separator: "\n") + "\n"
        fixture[FleetFixture.pricesPath] = nil
        change(&fixture)
        return try fixture.fleet().policy(of: "prod")
    }

    @Test("Nothing to say, nothing to publish: without approvers, limits and prices there is no policy")
    func nothing() throws {
        #expect(try policy { $0[RepositoryPath.allowedSigners] = nil } == nil)
        let found = try #require(
            try policy("ada@example.com \(Self.key)", "ada@example.com namespaces=\"git\" \(Self.key)")
        )
        #expect(found.approvers == [:], "no line is for approvals")
        #expect(
            found.teams["support"] == GatewayPolicy.Team(others: ["ada@example.com"]),
            "an issuer may vouch for her"
        )
        #expect(try FleetFixture().fleet().policy(of: "prod")?.prices.keys.sorted() == ["anthropic/claude-sonnet-4-5"])
    }

    @Test("A key counts where its line names the namespace itself and the person exactly")
    func keys() throws {
        let option = "namespaces=\"ensign-approval\""
        let found = try #require(
            try policy("ada@example.com,bo@example.com \(option),valid-after=\"20260101Z\" \(Self.key)")
        )
        #expect(found.approvers.keys.sorted() == ["ada@example.com", "bo@example.com"])
        #expect(
            found.approvers["ada@example.com"] == [
                GatewayPolicy.Key(key: Self.key, from: Timestamp("2026-01-01T00:00:00Z"))
            ]
        )
        #expect(found.teams["support"]?.members == ["ada@example.com"], "bo is in no team")
        #expect(found.owners == ["crm": "support"])
        for line in [
            "*@example.com \(option) \(Self.key)", "ada@example.com \(Self.key)",
            "ada@example.com namespaces=\"*\" \(Self.key)", "ada@example.com namespaces=\"ensign-*\" \(Self.key)",
            "ada@example.com namespaces=\"ensign-denial\" \(Self.key)",
            "ada@example.com namespaces=\"ensign-approval,!ensign-*\" \(Self.key)",
            "ada@example.com cert-authority,\(option) \(Self.key)", "ada@example.com,!ada@* \(option) \(Self.key)",
        ] {
            #expect(try policy(line)?.approvers == [:], "\(line)")
        }
        let mixed = try #require(try policy("*,ada@example.com,!eve@example.com \(option) \(Self.key)"))
        #expect(mixed.approvers.keys.sorted() == ["ada@example.com"])
    }

    @Test("Limits of environment and teams, and the owner in the newest version of a tool, are in it")
    func limits() throws {
        let found = try #require(
            try policy("ada@example.com namespaces=\"ensign-approval\" \(Self.key)") { fixture in
                fixture.replace(
                    "  keepFor: 7d",
                    with: "  limits: {costUSDPerDay: 400}",
                    in: FleetFixture.environmentPath
                )
                fixture["fleet/teams/crm-people.yaml"] =
                    "apiVersion: ensign.dev/v1\nkind: Team\nspec: {members: [], limits: {costUSDPerDay: 12.5}}\n"
                fixture["fleet/tools/crm/1.1.0.yaml"] = fixture[FleetFixture.toolPath]?
                    .replacing("owner: support", with: "owner: crm-people")
            }
        )
        #expect(found.costUSDPerDay == 400)
        #expect(found.teams["crm-people"] == GatewayPolicy.Team(members: [], costUSDPerDay: 12.5))
        #expect(found.owners == ["crm": "crm-people"])
        #expect(GatewayPolicy(json: try JSONParser.parse(found.bytes)) == found)
    }

    @Test("A line for approvals by which nobody can agree is a warning at its place")
    func useless() {
        func check(_ line: String) -> String {
            var fixture = FleetFixture()
            fixture[RepositoryPath.allowedSigners] = "# first\n\(line)\n"
            return fixture.check(only: RepositoryPath.allowedSigners)
        }
        let option = "namespaces=\"ensign-approval\""
        #expect(check("ada@example.com \(option) \(Self.key)") == "")
        #expect(
            check("*@example.com \(option) \(Self.key)") == """
                fleet/trust/allowed_signers:2:1: warning: '*@example.com' names no person exactly, so nobody agrees with this key [useless-approver]
                  hint: write one line for each person, with the principal that the teams name
                """
        )
        #expect(check("ada@example.com cert-authority,\(option) \(Self.key)").contains("agrees to nothing"))
        let other = check("ada@example.com \(option) \(Self.otherKey)")
        #expect(other.contains("of type 'ecdsa-sha2-nistp256' are not checked") && other.contains("use an Ed25519 key"))
    }

    private static let otherKey =
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBNUgnDALXu2jFdw2wdXDj2k0yxUbwKR3q1i6+V/Nb2n0SFNxy3g6Ow5Ef/RKDQd46bDUDzm8Dmr0s+1rGv9gnBI="

    private static let option = "namespaces=\"ensign-approval\""

    @Test("A person in two spellings is a warning, at the second one")
    func spellings() {
        func check(_ signers: [String], _ members: String, only path: String) -> String {
            var fixture = FleetFixture()
            fixture[RepositoryPath.allowedSigners] = signers.joined(separator: "\n") + "\n"
            fixture["fleet/teams/support.yaml"] =
                "apiVersion: ensign.dev/v1\nkind: Team\nspec: {members: [\(members)]}\n"
            return fixture.check(only: path)
        }
        let (ada, capital) = (
            "ada@example.com \(Self.option) \(Self.key)", "ADA@example.com namespaces=\"git\" \(Self.key)"
        )
        #expect(check([ada], "ada@example.com", only: RepositoryPath.allowedSigners) == "")
        let capitals = check([ada, capital], "ada@example.com", only: RepositoryPath.allowedSigners)
        #expect(
            capitals.hasPrefix(
                "fleet/trust/allowed_signers:2:1: warning: 'ADA@example.com' differs only in case from 'ada@example.com' in fleet/trust/allowed_signers: where two people must agree both are one [principal-case]"
            )
        )
        #expect(capitals.contains("fleet/trust/allowed_signers:1:1: note: the other spelling"))
        #expect(
            check([ada], "Ada@example.com", only: "fleet/teams/support.yaml").hasPrefix(
                "fleet/teams/support.yaml:3:18: warning: 'Ada@example.com' differs only in case from 'ada@example.com' in fleet/trust/allowed_signers: no key there is its own, so it never agrees to a call [principal-case]"
            )
        )
        #expect(
            check([], "zoë@example.com, ZOË@example.com", only: "fleet/teams/support.yaml").contains("both are one")
        )
    }

    @Test("An approval that nobody can give is a warning at its grant, whatever the reason")
    func nobody() {
        func check(_ signers: String, members: String = "ada@example.com") -> String {
            var fixture = FleetFixture()
            fixture[RepositoryPath.allowedSigners] = signers
            fixture["fleet/teams/support.yaml"] =
                "apiVersion: ensign.dev/v1\nkind: Team\nspec: {members: [\(members)]}\n"
            return fixture.check(only: FleetFixture.deploymentPath)
        }
        func line(_ person: String, _ key: String = Self.key, _ option: String = Self.option) -> String {
            "\(person)@example.com \(option) \(key)\n"
        }
        let other = SSHPrivateKey.generate().publicKey.line
        #expect(check(line("ada") + line("bo", other), members: "ada@example.com, bo@example.com") == "")
        #expect(check("# nobody has begun with it\n") == "")
        for signers in [
            line("ada", Self.key, "namespaces=\"git\""), line("bo"), line("Ada"),
            line("ada", Self.key, "\(Self.option),valid-before=\"20200101Z\""),
        ] {
            let found = check(signers)
            #expect(
                found.hasPrefix(
                    "environments/prod/agents/support/triage.yaml:14:"
                )
                    && found.contains(
                        "calls of crm.erase, crm.update need an approval, and nobody of support has a key in the namespace ensign-approval [nobody-approves]"
                    ),
                "\(signers) \(found)"
            )
        }
        let one = check(line("ada"))
        #expect(one.contains("calls of crm.erase need an approval, and of support only ada@example.com has a key"))
        #expect(!one.contains("crm.update"))
        let shared = check(line("ada") + line("bo"), members: "ada@example.com, bo@example.com")
        #expect(shared.contains("all of support have the same key"))
    }
}
