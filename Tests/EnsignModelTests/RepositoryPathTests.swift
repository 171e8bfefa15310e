import EnsignModel
import Testing

@Suite("Paths in a repository")
struct RepositoryPathTests {
    private static let agent = AgentID(team: "support", name: "triage")

    @Test(
        "What is built is read back",
        arguments: [
            (
                RepositoryPath.manifest(of: agent, "1.0.0"),
                RepositoryPath.Meaning.version("1.0.0", of: agent, file: "agent.yaml")
            ),
            (
                RepositoryPath.version(AgentVersion.next, of: agent) + "/prompts/a.md",
                .version("next", of: agent, file: "prompts/a.md")
            ),
            (RepositoryPath.version("1.0.0", of: agent), .version("1.0.0", of: agent, file: "")),
            (RepositoryPath.tool("crm", "1.0.0"), .tool("crm", file: "1.0.0.yaml")),
            (RepositoryPath.role("reader"), .role("reader")), (RepositoryPath.team("support"), .team("support")),
            (RepositoryPath.binding("crm", in: "prod"), .binding("crm", environment: "prod")),
            (RepositoryPath.deployment(agent, in: "prod"), .deployment(agent, environment: "prod")),
        ]
    )
    func roundTrip(path: String, meaning: RepositoryPath.Meaning) {
        #expect(RepositoryPath.meaning(of: path) == meaning)
    }

    @Test(
        "Anything else means nothing",
        arguments: [
            "", "/", "fleet", "environments", "fleet/agents", "fleet/agents/support/triage", "fleet/prices.yaml",
            "fleet/trust/allowed_signers", "fleet/roles/reader.yml", "fleet/roles/a/b.yaml", "fleet/tools/crm",
            "fleet/tools/crm/1.0.0/a.yaml", "fleet/agents/Support/triage/1.0.0/agent.yaml",
            "environments/prod/environment.yaml", "environments/prod/agents/support",
            "environments/prod/tools/a/b.yaml",
            "environments/prod/agents/support/triage.json", "environments/prod/agents/support/a/b.yaml",
            "environments/prod/agents/SUPPORT/triage.yaml", "other/prod/agents/support/triage.yaml",
        ]
    )
    func nothing(path: String) {
        #expect(RepositoryPath.meaning(of: path) == nil)
    }

    @Test("A comparison enters what leads to a place and what is below it, and nothing beside it")
    func leads() {
        let places = [RepositoryPath.deployments(in: "prod"), RepositoryPath.prices]
        for path in [
            "environments", "environments/prod", "environments/prod/agents", "environments/prod/agents/a/b.yaml",
            "fleet",
            "fleet/prices.yaml",
        ] {
            #expect(RepositoryPath.leads(path, toOrBelow: places), "\(path)")
        }
        for path in [
            "environments/prod2", "environments/production", "environments/prod/agents2", "fleet/agents", "fle",
        ] {
            #expect(!RepositoryPath.leads(path, toOrBelow: places), "\(path)")
        }
    }
}
