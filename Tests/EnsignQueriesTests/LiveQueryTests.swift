import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignPolicy
import EnsignQueries
import EnsignReconciler
import EnsignTestSupport
import Testing

/// What is live is asked of the ledger, at any of its entries.
@Suite("Questions about what is live")
struct LiveQueryTests {
    private static let triage = agent("support/triage")
    private static let today = Timestamp(seconds: 1_800_000_000).date

    private let fleet: TestFleet

    /// Three agents live, and a canary of one: 1.1.0 beside 1.0.0.
    init() throws {
        fleet = try TestFleet()
        _ = try (fleet.environment(rollout: TestFleet.rollouts[0]), fleet.commit("the rollout"))
        _ = try fleet.reconcile()
        _ = try (fleet.deploy("support/triage", "1.1.0", ["find"], 100), fleet.commit("to 1.1.0"))
        _ = try fleet.reconcile()
    }

    private func request(_ operation: RolloutOperation) throws {
        _ = try fleet.reconcile(
            OperatorRequest(agent: Self.triage, operation: operation, by: "ada@here", reason: "it leaks")
        )
    }

    private func live(_ moment: LedgerMoment = .newest) throws -> LiveAgents {
        try LiveAgents.make(fleet.site(), "prod", at: moment, version: TestFleet.version)
    }

    private func row(_ moment: LedgerMoment = .newest) throws -> LiveAgents.Row {
        try #require(try live(moment).rows.first { $0.agent == Self.triage })
    }

    private func tip() throws -> RecordedEntry { try #require(try fleet.site().ledger("prod").tip()) }

    // MARK: Agents

    @Test("During a canary a row has both versions, the weight, and what it waits for; the others are stable")
    func canary() throws {
        let row = try row()
        #expect(row.wanted == version("1.1.0") && row.stable?.version == version("1.0.0"))
        #expect(row.candidate?.version == version("1.1.0") && row.weight == 20 && row.phase == "canary")
        #expect(row.reason == "waits for the end of the hold" && row.since != nil && row.bundles.count == 2)
        #expect(try live().rows.filter { $0.phase == "stable" && $0.reason == nil }.count == 2)
        #expect(try live().json["agents"]?.array?.count == 3)
    }

    @Test("A halt is the phase and the reason; after an abort the quarantine is")
    func held() throws {
        try request(.halt)
        #expect(try row().phase == "halted" && row().reason == "halted by ada@here: it leaks")
        try request(.unhalt)
        try request(.abort)
        #expect(try row().phase == "quarantined" && row().candidate?.version == version("1.1.0"))
        #expect(try row().reason?.contains("quarantined") == true)
    }

    @Test("An earlier entry is told as it was, and one that is not there is an error")
    func earlier() throws {
        let before = try tip().entry.sequence - 2
        #expect(try row(.entry(before)).phase == "stable" && row(.entry(before)).wanted == version("1.0.0"))
        #expect(try row(.time(tip().entry.time)).phase == "canary")
        #expect(throws: NoSuchMoment.self) { try live(.entry(999)) }
        #expect(throws: NoSuchMoment.self) { try live(.time(Timestamp(seconds: 0))) }
    }

    @Test("Every condition of a filter must hold, by a version that sessions have")
    func filter() throws {
        var filter = AgentFilter()
        filter.tool = "crm"
        #expect(try live().filtered(filter).rows.map(\.agent).contains(Self.triage))
        filter.team = "sales"
        #expect(try live().filtered(filter).rows.isEmpty)
        filter = AgentFilter()
        filter.labels = ["nobody": ["has it"]]
        #expect(try live().filtered(filter).rows.isEmpty)
    }

    // MARK: Permissions

    private func holders(_ operation: String) throws -> ToolHolders {
        let site = try fleet.site()
        let live = LiveFleet(site, "prod", at: try tip())
        return try ToolHolders.find(live: live, nil, tool: "crm", operation: operation, today: Self.today)
    }

    @Test("Of two versions each answers for itself; without the manifests' commit it says so much")
    func versions() throws {
        let all = try holders("find").holders.filter { $0.agent == Self.triage }
        #expect(all.map(\.weight) == [20, 80] && all.map(\.version) == [version("1.1.0"), version("1.0.0")])
        #expect(all.allSatisfy { $0.path == nil && $0.via == nil })
        // The candidate may not update; what the stable version may was narrowed with it, or was not.
        let check = try #require(
            try LiveCheck.make(
                LiveFleet(fleet.site(), "prod", at: tip()),
                nil,
                Self.triage,
                CallPolicy.Call(tool: "crm", operation: "update", arguments: nil),
                today: Self.today
            )
        )
        #expect(check.versions.count == 2 && check.versions[0].answer.verdict == .refused)
        #expect(check.json["versions"]?.array?.count == 2)
        #expect(check.json["entry"] == .integer(try tip().entry.sequence))
    }

    @Test("In a canary each version's answer points to the version's own manifest")
    func ownLines() throws {
        let site = try fleet.site()
        let tree = try site.repository.commit(#require(try tip().acceptedSource)).tree
        for call in [("crm", "erase"), ("crm", "nothing"), ("mail", "send")] {
            let check = try LiveCheck.make(
                LiveFleet(site, "prod", at: tip()),
                Fleet(snapshot: GitSnapshot(site.repository, tree: tree), today: Self.today),
                Self.triage,
                CallPolicy.Call(tool: call.0, operation: call.1, arguments: nil),
                today: Self.today
            )
            let versions = try #require(check).versions
            #expect(versions.map(\.version) == [version("1.1.0"), version("1.0.0")])
            for version in versions where version.answer.path?.hasPrefix("fleet/agents/") == true {
                #expect(version.answer.path == "fleet/agents/support/triage/\(version.version)/agent.yaml", "\(call)")
            }
            #expect(call.1 == "erase" || versions.allSatisfy { $0.answer.path?.hasPrefix("fleet/agents/") == true })
        }
    }

    @Test("A halted agent holds nothing, and stands apart")
    func halted() throws {
        try request(.halt)
        let found = try holders("find")
        #expect(!found.holders.contains { $0.agent == Self.triage })
        #expect(found.halted.map(\.agent) == [Self.triage])
        #expect(found.json["halted"]?.array?.count == 1)
    }

    // MARK: Promotion, and what became of commits

    /// Why a version of triage is not one to take further, by its content.
    private func objection(_ text: String, _ name: AgentID = triage) throws -> PromotionSource.Objection? {
        let site = try fleet.site()
        let tree = try site.repository.commit(#require(try site.desiredCommit())).tree
        let files = Fleet(snapshot: GitSnapshot(site.repository, tree: tree), today: Self.today)
        let loaded = try files.agent(Self.triage, version(text))
        let compiled = try loaded.flatMap { try Compiler.compileAlone($0, fleet: files) }
        let identity = try #require(compiled?.identity)
        return try PromotionSource(site, "prod").objection(to: version(text), identity, of: name)
    }

    @Test("What is in a canary, failed, or never ran is not to be taken further; what is stable is, or was in the end")
    func promotion() throws {
        #expect(try objection("1.0.0") == nil)
        #expect(try objection("1.1.0")?.reason.contains("in a canary there, at 20 %") == true)
        #expect(try objection("1.2.0")?.reason == "'prod' runs 1.0.0, not yet 1.2.0")
        #expect(try objection("1.0.0", agent("support/nobody"))?.reason == "'prod' does not run it yet")
        try request(.abort)
        let failed = try #require(try objection("1.1.0"))
        #expect(failed.reason.contains("1.1.0 is quarantined") && failed.stable == version("1.0.0"))
        try request(.retry(nil))
        try request(.promote)
        #expect(try objection("1.1.0") == nil && objection("1.0.0") == nil)
        // By its name alone only what runs now counts.
        #expect(try PromotionSource(fleet.site(), "prod").objection(to: version("1.0.0"), nil, of: Self.triage) != nil)
    }

    @Test(
        "What was being tried when the agent was halted is not to be taken further, whoever halted it",
        arguments: [true, false]
    )
    func promotionOfHalted(_ byGit: Bool) throws {
        if byGit {
            fleet.deploy("support/triage", "1.1.0", ["find"], 100, halted: true)
            try fleet.commit("halted")
            _ = try fleet.reconcile()
        } else {
            try request(.halt)
        }
        for text in ["1.0.0", "1.1.0", "1.2.0"] { #expect(try objection(text) != nil, "\(text)") }
        #expect(try objection("1.1.0")?.reason == "'prod' has halted the agent with 1.1.0 in its canary")
        #expect(try objection("1.0.0")?.reason == "'prod' has halted 1.0.0")
    }

    @Test(
        "A commit that was refused is found with the reason, until it is applied after all; one that was applied is not"
    )
    func refused() throws {
        let site = try fleet.site()
        let desired = try #require(try site.desiredCommit())
        #expect(try RefusedCommit.find([desired], site.ledger("prod"), tip()) == nil)
        let applied = try AppliedCommit.find(desired, site.ledger("prod"), tip())
        #expect(applied.count == 1 && applied[0].changes.map(\.action).contains(.weight))
        _ = try (fleet.environment(rollout: "{nonsense: {}}"), fleet.commit("a slip"))
        _ = try? fleet.reconcile()
        let bad = try #require(try fleet.site().desiredCommit())
        let found = try #require(try RefusedCommit.find([bad], fleet.site().ledger("prod"), tip()))
        #expect(found.commit == bad && found.sentence.contains("): invalid: "))
        #expect(found.json["reason"] == "invalid")
        #expect(try live().obstacle?.contains("is invalid") == true)
    }
}
