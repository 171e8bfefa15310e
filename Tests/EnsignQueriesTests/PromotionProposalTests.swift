import EnsignGit
import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignQueries
import EnsignTestSupport
import Testing

/// Decided from the files of a commit and the ledger of the source, before anything is written.
@Suite("What promote proposes")
struct PromotionProposalTests {
    private let fleet: TestFleet

    /// In prod: triage with a canary of 1.1.0, desk on 1.0.0, clerk on 1.0.0. Stage is behind with one, ahead with another.
    init() throws {
        fleet = try TestFleet()
        _ = try (fleet.environment(rollout: TestFleet.rollouts[0]), fleet.commit("the rollout"))
        _ = try fleet.reconcile()
        _ = try (fleet.deploy("support/triage", "1.1.0", ["find"], 100), fleet.commit("to 1.1.0"))
        _ = try fleet.reconcile()
        fleet.files["environments/stage/environment.yaml"] =
            "apiVersion: ensign.dev/v1\nkind: Environment\nspec: {promotesFrom: prod}\n"
        stage("support/triage", "1.0.0")
        stage("support/desk", "1.2.0")
        try fleet.commit("stage")
    }

    private func stage(_ agent: String, _ version: String) {
        fleet.files["environments/stage/agents/\(agent).yaml"] =
            "apiVersion: ensign.dev/v1\nkind: Deployment\nspec:\n  version: \(version)\n"
    }

    private func find(
        _ agent: String? = nil,
        _ version: String? = nil,
        isForced: Bool = false
    ) throws -> (found: PromotionProposal, edits: [String: [UInt8]?]) {
        let site = try fleet.site()
        let commit = try #require(try site.desiredCommit())
        let snapshot = GitSnapshot(site.repository, tree: try site.repository.commit(commit).tree)
        let files = Fleet(snapshot: snapshot, today: Timestamp(seconds: 1_800_000_000).date)
        let request = PromotionProposal.Request(
            environment: "stage",
            agent: agent.flatMap { AgentID($0) },
            version: version.flatMap { AgentVersion($0) },
            isForced: isForced
        )
        let environment = try #require(try files.environment("stage")?.value)
        let found = try PromotionProposal.find(site, files, environment, request)
        return (found, try found.edits(files))
    }

    @Test(
        "Of all agents those stand back that are in a canary at the source, that would go back, that are not deployed"
    )
    func all() throws {
        let found = try find().found
        #expect(found.moves.isEmpty)
        #expect(found.leftOut.map(\.agent.description) == ["support/clerk", "support/desk", "support/triage"])
        let reasons = found.leftOut.map(\.reason)
        #expect(reasons[0] == "'stage' does not deploy it" && reasons[1] == "1.0.0 goes back from 1.2.0")
        #expect(reasons[2].contains("in a canary"))
        #expect(found.json["leftOut"]?.array?.count == 3)
    }

    @Test("Whoever forces it takes all that differs, and the files change in the version alone")
    func forced() throws {
        let (found, edits) = try find(isForced: true)
        #expect(found.title == "Promote 2 agents to stage")
        #expect(found.body == "support/desk 1.2.0 -> 1.0.0\nsupport/triage 1.0.0 -> 1.1.0")
        let path = "environments/stage/agents/support/desk.yaml"
        let before = try #require(fleet.files[path])
        #expect(edits.count == 2 && edits[path] == Array(before.replacing("1.2.0", with: "1.0.0").utf8))
    }

    @Test("One agent that cannot be promoted is an obstacle: a refusal where a rule says no, else a name that is none")
    func one() throws {
        let canary = #expect(throws: PromotionProposal.Obstacle.self) { try find("support/triage") }
        #expect(canary?.kind == .refusal && canary?.hints.first?.contains("--force; what runs there") == true)
        let missing = #expect(throws: PromotionProposal.Obstacle.self) { try find("support/clerk") }
        #expect(missing?.kind == .unknownName && missing?.message == "'stage' does not deploy 'support/clerk'")
        let unknown = #expect(throws: PromotionProposal.Obstacle.self) { try find("support/desk", "9.0.0") }
        #expect(unknown?.kind == .unknownName && unknown?.message == "'support/desk' has no version 9.0.0")
        #expect(try find("support/desk", "1.2.0").found.moves.isEmpty)
        // A version that is named is held by the same rule, but for one that nobody has run there.
        let named = #expect(throws: PromotionProposal.Obstacle.self) { try find("support/triage", "1.1.0") }
        #expect(named?.kind == .refusal && named?.message.hasPrefix("'prod' runs 1.0.0") == true)
        #expect(try find("support/triage", "1.1.0", isForced: true).found.moves.count == 1)
        #expect(try find("support/triage", "1.2.0").found.moves.count == 1)
    }
}
