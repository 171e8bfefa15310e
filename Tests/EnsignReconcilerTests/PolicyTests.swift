import EnsignHost
import EnsignJSON
import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignReconciler
import EnsignTargets
import EnsignTestSupport
import Testing

/// What all agents share: published, recorded and repaired like their own files.
@Suite("policy.json in the live directory")
struct PolicyTests {
    private func live(_ fleet: TestFleet) throws -> GatewayPolicy? {
        try fleet.target.read(LivePath.policy).map { try #require(GatewayPolicy(json: JSONParser.parse($0))) }
    }

    private func changes(_ fleet: TestFleet) throws -> [Change] {
        try fleet.site().ledger("prod").changes(of: #require(try fleet.tip()))
    }

    private func set(_ fleet: TestFleet, _ lines: [String]) throws {
        fleet.files[RepositoryPath.allowedSigners] = lines.isEmpty ? nil : lines.joined(separator: "\n") + "\n"
        try fleet.commit("who may agree")
    }

    @Test("Without approvers, prices and limits there is none, and the ledger is as it always was")
    func none() throws {
        let fleet = try TestFleet()
        try fleet.reconcile()
        #expect(try live(fleet) == nil)
        #expect(try changes(fleet).map(\.action) == [.create, .create, .create])
    }

    @Test("A new approver is authority and live with its commit; one who leaves is worth nothing from the commit on")
    func approvers() throws {
        let fleet = try TestFleet()
        try fleet.reconcile()
        try set(fleet, TestFleet.signers)
        let plan = try #require(try fleet.decide().plan)
        #expect(plan.policy?.kind == .widening && plan.hasDifferences)
        #expect(
            plan.guards.filter { $0.what == "approvers" }.map(\.sentence) == [
                "every agent of prod (3): ada@example.com may agree to calls for sales now",
                "every agent of prod (3): ada@example.com may agree to calls for support now",
            ]
        )
        #expect(plan.guards.filter { $0.what == "trust" }.count == 2)
        try fleet.reconcile()
        let change = try #require(try changes(fleet).first { $0.file != nil })
        #expect(try changes(fleet).count == 1 && change.kind == .widening)
        let policy = try #require(try live(fleet))
        #expect(policy.approvers.keys.sorted() == ["ada@example.com", "bo@example.com"])
        #expect(policy.teams["support"]?.members == ["ada@example.com"])
        #expect(policy.owners == ["crm": "support"])

        fleet.files["fleet/teams/support.yaml"] = fleet.files["fleet/teams/support.yaml"]?
            .replacing("ada@example.com", with: "bo@example.com")
        try fleet.commit("ada leaves, bo comes")
        #expect(
            try fleet.decide().plan?.guards.map(\.text) == [
                "bo@example.com may agree to calls for support now",
                "ada@example.com no longer agrees to calls for support",
            ]
        )
        try fleet.reconcile()
        #expect(try live(fleet)?.teams["support"]?.members == ["bo@example.com"])
        #expect(try changes(fleet).map(\.kind) == [.widening])

        try set(fleet, [])
        try fleet.reconcile()
        // Not removed: a gateway that misses what it has seen must refuse.
        #expect(try live(fleet) == GatewayPolicy(environment: "prod"))
        #expect(try changes(fleet).map(\.kind) == [.narrowing])
        #expect(try changes(fleet).first?.file?.path == LivePath.policy)
        #expect(try Verifier(fleet.site().ledger("prod")).run().verdict == .intact)
    }

    @Test("What does not concern it leaves it alone, and the next run has nothing to do")
    func untouched() throws {
        let fleet = try TestFleet(rollout: "{immediate: {}}")
        try set(fleet, [TestFleet.signers[0]])
        try fleet.reconcile()
        let before = try fleet.target.read(LivePath.policy)
        #expect(before != nil)
        fleet.deploy("support/triage", "1.1.0", ["find", "update"], 100)
        try fleet.commit("to 1.1.0")
        #expect(try fleet.decide().plan?.policy == nil)
        try fleet.reconcile()
        #expect(try fleet.target.read(LivePath.policy) == before)
        #expect(try changes(fleet).contains { $0.file != nil } == false)
        let tip = try fleet.tip()?.commit
        try fleet.reconcile()
        #expect(try fleet.tip()?.commit == tip)
    }

    @Test("Edited, removed or in another's place, it is drift, and is put back")
    func drift() throws {
        let fleet = try TestFleet()
        try set(fleet, [TestFleet.signers[0]])
        try fleet.reconcile()
        let good = try #require(try fleet.target.read(LivePath.policy))
        for found in [.file(Array("{}".utf8)), nil, .other] as [MemoryTarget.Node?] {
            fleet.target.set(LivePath.policy, found)
            let report = try fleet.reconciler { $0.observeEverything = true }.run()
            #expect(report.drift.map(\.path) == [LivePath.policy])
            #expect(try fleet.target.read(LivePath.policy) == good)
        }
        #expect(try Verifier(fleet.site().ledger("prod")).run().verdict == .intact)
    }

    @Test("One that nobody recorded is removed: who may agree comes from git alone")
    func foreign() throws {
        let fleet = try TestFleet()
        try fleet.reconcile()
        fleet.target.set(LivePath.policy, .file(GatewayPolicy(environment: "prod").bytes))
        let report = try fleet.reconciler { $0.observeEverything = true }.run()
        #expect(report.drift.map(\.found) == [.added])
        #expect(try live(fleet) == nil)
    }

    @Test("A team or prices that cannot be read change no limit, and nobody of such a team agrees")
    func unreadable() throws {
        let fleet = try TestFleet()
        let good =
            "apiVersion: ensign.dev/v1\nkind: Team\nspec: {members: [ada@example.com], limits: {costUSDPerDay: 5}}\n"
        fleet.files["fleet/teams/sales.yaml"] = good
        fleet.files["fleet/prices.yaml"] =
            "apiVersion: ensign.dev/v1\nkind: Prices\nspec: {models: {a/b: {input: 1, output: 2}}}\n"
        try set(fleet, [TestFleet.signers[0]])
        try fleet.reconcile()
        #expect(try live(fleet)?.teams["sales"] == GatewayPolicy.Team(members: ["ada@example.com"], costUSDPerDay: 5))
        fleet.files["fleet/teams/sales.yaml"] = good.replacing("members", with: "membrs")
        fleet.files["fleet/prices.yaml"] = "apiVersion: ensign.dev/v1\nkind: Prices\nspec: {}\n"
        try fleet.commit("broken, past the hook")
        try fleet.reconcile()
        #expect(try live(fleet)?.teams["sales"] == GatewayPolicy.Team(members: [], costUSDPerDay: 5))
        #expect(try live(fleet)?.prices.keys.sorted() == ["a/b"])
    }
}
