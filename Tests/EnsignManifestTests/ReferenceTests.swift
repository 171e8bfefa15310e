import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("References from one manifest to another")
struct ReferenceTests {
    private let agent = FleetFixture.agentPath
    private let deployment = FleetFixture.deploymentPath

    @Test("An agent names tools that exist, in a version that exists, with operations that it has")
    func toolNeeds() {
        #expect(
            check(agent, "{tool: crm,", "{tool: ①cmr,") == """
                \(agent):①: error: there is no tool 'cmr' [unknown-tool]
                  hint: did you mean 'crm'?
                """
        )
        #expect(
            check(agent, "{tool: crm,", "{tool: ①payments,") == """
                \(agent):①: error: there is no tool 'payments' [unknown-tool]
                  hint: tools: crm
                """
        )
        #expect(
            check(agent, "{tool: crm, version: 1.0.0,", "{tool: crm, version: ①1.0.1,") == """
                \(agent):①: error: tool 'crm' has no version 1.0.1 [unknown-version]
                  hint: its versions: 1.0.0
                """
        )
        #expect(
            check(agent, "[find, update, erase]", "[find, update, erase, ①udpate, ②refund]") == """
                \(agent):①: error: tool 'crm' 1.0.0 has no operation 'udpate' [unknown-operation]
                  hint: did you mean 'update'?
                \(agent):②: error: tool 'crm' 1.0.0 has no operation 'refund' [unknown-operation]
                  hint: its operations: erase, find, update
                """
        )
    }

    @Test("A tool stands in an agent's needs once")
    func duplicateNeed() {
        #expect(
            check(
                agent,
                "- {tool: crm, version: 1.0.0, operations: [find, update, erase]}",
                "- {tool: ②crm, version: 1.0.0, operations: [find, update, erase]}\n      - {tool: ①crm, version: 1.0.0, operations: [find]}"
            )
            .hasPrefix(
                """
                \(agent):①: error: tool 'crm' is in needs twice [duplicate-need]
                  hint: list all its operations in one place
                  \(agent):②: note: first here
                """
            )
        )
    }

    @Test("Delegates are agents that exist, and not the agent itself")
    func delegates() {
        #expect(
            check(agent, "agents: [support/desk]", "agents: [①support/dekc, ②it/desk, ③desk]") == """
                \(agent):①: error: there is no agent 'support/dekc' [unknown-agent]
                  hint: did you mean 'support/desk'?
                \(agent):②: error: there is no agent 'it/desk' [unknown-agent]
                  hint: agents: support/desk, support/triage
                \(agent):③: error: an element of agents: 'desk' is not an agent: write <team>/<agent> [invalid-name]
                """
        )
        #expect(
            check(agent, "agents: [support/desk]", "agents: [①support/triage]")
                == "\(agent):①: error: the agent delegates to itself [delegation-cycle]"
        )
    }

    @Test("A release that no environment deploys may name what is gone; what is deployed or edited may not")
    func oldReleases() throws {
        let old = "fleet/agents/support/triage/0.9.0/agent.yaml"
        let next = "fleet/agents/support/triage/next/agent.yaml"
        let gone = [
            ("{tool: crm,", "{tool: ①gone,", "unknown-tool"),
            ("{tool: crm, version: 1.0.0,", "{tool: crm, version: ①0.1.0,", "unknown-version"),
            ("[find, update, erase]", "[find, ①merge]", "unknown-operation"),
            ("agents: [support/desk]", "agents: [①it/desk]", "unknown-agent"),
        ]
        for (now, then, code) in gone {
            for (path, severity) in [(old, "warning"), (next, "error"), (agent, "error")] {
                var fixture = FleetFixture()
                fixture[path] = fixture[agent]
                fixture[path.replacing("agent.yaml", with: "prompt.md")] = "Be kind.\n"
                fixture.replace(now, with: then, in: path)
                let found = try fixture.findings().filter { $0.code == code && $0.path == path }
                #expect(found.map { "\($0.severity)" } == [severity], "\(path) \(code)")
            }
        }
    }

    @Test("Look-alikes of a name are not that name, wherever one is")
    func lookAlikes() {
        for name in ["crm\u{200B}", "сrm", "ｃrm", "CRM", "crm-", "c rm", "crm\u{301}"] {
            #expect(
                check(agent, "{tool: crm,", "{tool: ①\"\(name)\",").contains(
                    "\(agent):①: error: tool: '\(name)' is not a name: 1 to 63 of a-z, 0-9 and '-'"
                ),
                "\(name)"
            )
            #expect(
                check(agent, "[support/desk]", "[①\"support/\(name)\"]").contains(
                    "\(agent):①: error: an element of agents: 'support/\(name)' is not an agent: write <team>/<agent>"
                ),
                "\(name)"
            )
        }
    }

    @Test("A delegate is deployed in the same environment")
    func undeployedDelegate() {
        var fixture = FleetFixture()
        fixture["environments/prod/agents/support/desk.yaml"] = nil
        fixture.replace("version: 1.0.0", with: "version: ①1.0.0", in: deployment)
        fixture.replace("[support/desk]", with: "[②support/desk]", in: agent)
        #expect(
            fixture.check() == """
                \(deployment):①: error: 'support/triage' 1.0.0 delegates to 'support/desk', which 'prod' does not deploy [delegate-not-deployed]
                  hint: add environments/prod/agents/support/desk.yaml
                  \(agent):②: note: delegated to here
                """
        )
    }

    @Test("Promotion in a circle is found once, over any number of environments")
    func promotionCircles() {
        var fixture = FleetFixture()
        fixture["environments/dev/environment.yaml"] =
            "apiVersion: ensign.dev/v1\nkind: Environment\nspec: {mutableVersions: true, promotesFrom: ①stage}\n"
        fixture["environments/stage/environment.yaml"] =
            "apiVersion: ensign.dev/v1\nkind: Environment\nspec: {promotesFrom: prod}\n"
        fixture["environments/last/environment.yaml"] =
            "apiVersion: ensign.dev/v1\nkind: Environment\nspec: {promotesFrom: prod}\n"
        #expect(
            fixture.check() == """
                environments/dev/environment.yaml:①: error: promotion goes in a circle: dev from stage from prod from dev [promotion-cycle]
                  hint: remove promotesFrom from the environment where versions come in
                """
        )
    }

    @Test("Delegation in a circle is found once, over any number of agents and teams")
    func cycles() {
        var fixture = FleetFixture()
        fixture["fleet/teams/it.yaml"] = team("{members: []}")
        func add(_ name: String, _ delegates: String) {
            fixture["fleet/agents/\(name)/1.0.0/agent.yaml"] = """
                apiVersion: ensign.dev/v1
                kind: Agent
                spec:
                  description: x
                  model: {provider: a, name: b}
                  instructions: prompt.md
                  needs: {agents: \(delegates)}

                """
            fixture["fleet/agents/\(name)/1.0.0/prompt.md"] = "x"
            fixture["environments/prod/agents/\(name).yaml"] =
                "apiVersion: ensign.dev/v1\nkind: Deployment\nspec: {version: 1.0.0}\n"
        }
        add("it/a", "[it/b, it/c]")
        add("it/b", "[it/c]")
        add("it/c", "[support/desk]")
        #expect(fixture.check() == "")
        fixture.replace(
            "instructions: prompt.md",
            with: "instructions: prompt.md\n  needs: {agents: [①it/b]}",
            in: "fleet/agents/support/desk/1.0.0/agent.yaml"
        )
        #expect(
            fixture.check() == """
                fleet/agents/support/desk/1.0.0/agent.yaml:①: error: delegation goes in a circle in 'prod': it/b -> it/c -> support/desk -> it/b [delegation-cycle]
                  hint: remove one of the delegations
                """
        )
    }

    @Test("The incremental check finds the same circle from any agent in it")
    func cyclesFromOneAgent() throws {
        var fixture = FleetFixture()
        fixture.replace(
            "instructions: prompt.md",
            with: "instructions: prompt.md\n  needs: {agents: [support/triage]}",
            in: "fleet/agents/support/desk/1.0.0/agent.yaml"
        )
        for agent in [AgentID.triage, .desk] {
            let found = try EnvironmentCompiler(fleet: fixture.fleet(), environment: "prod").cycles(from: [agent])
            #expect(codes(found) == ["delegation-cycle"])
        }
        #expect(try EnvironmentCompiler(fleet: fixture.fleet(), environment: "dev").cycles(from: [.triage]).isEmpty)
    }

    @Test("A chain of delegations as long as the fleet overflows no stack")
    func longChain() throws {
        var graph = DelegationGraph()
        let count = 20_000
        let manifest = try #require(
            ManifestLoader.load(Agent.self, Array((FleetFixture()[agent] ?? "").utf8), path: agent).value
        )
        for index in 0..<count {
            var next = manifest
            next.delegates = [Located(AgentID(team: "a", name: "n\((index + 1) % count)"), at: .start)]
            graph.add(AgentID(team: "a", name: "n\(index)"), next, path: "p")
        }
        let found = graph.cycles(in: "prod")
        #expect(codes(found) == ["delegation-cycle"])
        #expect(try #require(found.first).message.utf8.count < 300)
    }

    @Test("A deployment names an agent and a version that exist")
    func deployments() {
        #expect(
            check(deployment, "version: 1.0.0", "version: ①1.0.1") == """
                \(deployment):①: error: agent 'support/triage' has no version 1.0.1 [unknown-version]
                  hint: its versions: 1.0.0
                """
        )
        #expect(
            check(
                "environments/prod/agents/support/traige.yaml",
                "apiVersion: ensign.dev/v1\nkind: Deployment\nspec: {version: 1.0.0}\n"
            )
                == """
                environments/prod/agents/support/traige.yaml:1:1: error: there is no agent 'support/traige' in fleet/agents [unknown-agent]
                  hint: did you mean 'support/triage'?
                """
        )
    }

    @Test("Only an environment with mutable versions deploys 'next'")
    func mutableVersions() {
        var fixture = FleetFixture()
        for (path, text) in fixture.entries where path.hasPrefix("fleet/agents/support/triage/1.0.0/") {
            fixture.entries[path.replacing("1.0.0", with: "next")] = text
        }
        fixture.replace("version: 1.0.0", with: "version: ①next", in: deployment)
        #expect(
            fixture.check() == """
                \(deployment):①: error: 'prod' deploys released versions only, and this is 'next' [mutable-version]
                  hint: release it with 'ensign release support/triage X.Y.Z', or set mutableVersions: true in environments/prod/environment.yaml
                """
        )
        fixture.replace("keepFor: 7d", with: "keepFor: 7d\n  mutableVersions: true", in: FleetFixture.environmentPath)
        #expect(fixture.check() == "")
        fixture.replace("version: next", with: "version: 1.0.0", in: deployment)
        #expect(fixture.check() == "")
        // And 'next' must be there.
        fixture.replace("version: 1.0.0", with: "version: ①next", in: deployment)
        fixture[agent.replacing("1.0.0", with: "next")] = nil
        fixture[FleetFixture.promptPath.replacing("1.0.0", with: "next")] = nil
        #expect(
            fixture.check() == """
                \(deployment):①: error: agent 'support/triage' has no version next [unknown-version]
                  hint: its versions: 1.0.0
                """
        )
    }

    @Test("An agent's team, and a tool's owner, are declared")
    func teams() {
        var fixture = FleetFixture()
        fixture[FleetFixture.teamPath] = nil
        fixture["fleet/teams/suport.yaml"] = team("{members: []}")
        fixture.replace("owner: support", with: "owner: ①support", in: FleetFixture.toolPath)
        #expect(
            fixture.check() == """
                fleet/agents/support:1:1: error: there is no team 'support' [unknown-team]
                  hint: did you mean 'suport'?
                \(FleetFixture.toolPath):①: error: there is no team 'support' [unknown-team]
                  hint: did you mean 'suport'?
                """
        )
        #expect(
            check(FleetFixture.toolPath, "owner: support", "owner: ①payments") == """
                \(FleetFixture.toolPath):①: error: there is no team 'payments' [unknown-team]
                  hint: declare it in fleet/teams/payments.yaml
                """
        )
    }

    @Test("promotesFrom names another environment")
    func promotesFrom() {
        let path = FleetFixture.environmentPath
        #expect(
            check(path, "promotesFrom: dev", "promotesFrom: ①dve") == """
                \(path):①: error: there is no environment 'dve' [unknown-environment]
                  hint: did you mean 'dev'?
                """
        )
        #expect(
            check(path, "promotesFrom: dev", "promotesFrom: ①staging") == """
                \(path):①: error: there is no environment 'staging' [unknown-environment]
                  hint: environments: dev
                """
        )
        #expect(
            check(path, "promotesFrom: dev", "promotesFrom: ①prod") == """
                \(path):①: error: an environment cannot promote from itself [unknown-environment]
                  hint: environments: dev
                """
        )
    }

    @Test("A binding is for a tool that exists")
    func bindings() {
        #expect(
            check("environments/prod/tools/cmr.yaml", "apiVersion: ensign.dev/v1\nkind: Binding\nspec: {}\n") == """
                environments/prod/tools/cmr.yaml:1:1: error: there is no tool 'cmr' [unknown-tool]
                  hint: did you mean 'crm'?
                """
        )
    }

    @Test("Checking one environment finds what concerns it, and nothing else")
    func oneEnvironment() throws {
        var fixture = FleetFixture()
        fixture["environments/dev/agents/support/triage.yaml"] = "kind: [\n"
        fixture["fleet/roles/other.yaml"] = "&a b\n"
        fixture["fleet/agents/support/triage/2.0.0/agent.yaml"] = "x\n"
        fixture["fleet/tools/other/1.0.0.yaml"] = "x\n"
        #expect(fixture.check() != "")
        let fleet = fixture.fleet()
        let compiler = EnvironmentCompiler(fleet: fleet, environment: "prod")
        try compiler.checkFolder()
        for team in try compiler.teams() {
            for agent in try compiler.agents(of: team) { #expect(try compiler.compile(agent) != nil) }
        }
        #expect(fleet.findings == [])
    }
}
