import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignTestSupport
import Testing

@testable import EnsignReconciler

/// Time, verdicts, operators and stops do not wait for git.
@Suite("What is live goes on by the last accepted commit")
struct AcceptedRulesTests {
    /// What may become of the newest commit.
    enum Trouble: String, CaseIterable, Sendable {
        case invalid, refused, gone, unreadable
    }

    private static let triage = "support/triage"
    private static let deadline =
        "{canary: {steps: [{weight: 20, hold: 10m}], analysis: {metrics: [{name: success, kind: rate, margin: 0.05}], deadline: 1h, onInconclusive: abort}}}"

    private func make(_ trouble: Trouble, _ fleet: TestFleet) throws {
        switch trouble {
        case .invalid:
            fleet.environment(rollout: Self.deadline, more: "  no-such-field: 1\n")
            try fleet.commit("invalid")
        case .refused:
            fleet.removeAll()
            fleet.deploy(Self.triage, "1.1.0", ["find", "update"], 100)
            try fleet.commit("two of three go")
        case .gone: try fleet.removeBranch()
        case .unreadable: try fleet.repository.spoilBranch()
        }
    }

    private func state(_ fleet: TestFleet, _ agent: String = triage) throws -> AgentState? {
        let recorded = RecordedTree(repository: try fleet.site().repository, tip: try fleet.tip())
        return try AgentID(agent).flatMap { try recorded.agent($0)?.state }
    }

    @Test("A candidate that fails goes back", arguments: Trouble.allCases)
    func goesBack(_ trouble: Trouble) throws {
        let fleet = try TestFleet(rollout: Self.deadline)
        _ = try fleet.reconcile()
        fleet.deploy(Self.triage, "1.1.0", ["find", "update"], 100)
        try fleet.commit("to 1.1.0")
        _ = try fleet.reconcile()
        #expect(try state(fleet)?.canary?.progress.weight == 20)
        try make(trouble, fleet)
        let early = try fleet.reconcile()
        #expect(early.plan?.isEmpty == true && early.standing != nil)
        #expect(try state(fleet)?.canary?.progress.weight == 20)
        fleet.advance(3_601)
        let report = try fleet.reconcile()
        #expect(report.standing != nil, "what is wrong with git is said all the same")
        #expect(report.plan?.changes.map(\.change.action) == [.rollback])
        let after = try state(fleet)
        #expect(after?.canary == nil && after?.stable?.version.description == "1.0.0")
        #expect(after?.quarantinedVersions.map(\.description) == ["1.1.0"])
        #expect(try Verifier(fleet.site().ledger("prod")).run().verdict == .intact)
    }

    @Test("An operator is heard", arguments: Trouble.allCases)
    func operators(_ trouble: Trouble) throws {
        let fleet = try TestFleet(rollout: Self.deadline)
        _ = try fleet.reconcile()
        fleet.deploy(Self.triage, "1.1.0", ["find", "update"], 100)
        try fleet.commit("to 1.1.0")
        _ = try fleet.reconcile()
        try make(trouble, fleet)
        for operation in [RolloutOperation.pause, .resume, .promote, .rollback(to: nil), .retry(nil)] {
            let agent = try #require(AgentID(Self.triage))
            let request = OperatorRequest(agent: agent, operation: operation, by: "ada", reason: "x")
            let report = try fleet.reconcile(request)
            #expect(report.plan?.isEmpty == false, "\(operation)")
        }
    }

    @Test("A commit that cannot be applied stops an agent all the same, until one that can says otherwise")
    func halted() throws {
        let fleet = try TestFleet()
        _ = try fleet.reconcile()
        fleet.deploy(Self.triage, "1.0.0", ["find", "update"], 100, halted: true)
        try make(.invalid, fleet)
        let report = try fleet.reconcile()
        #expect(report.plan?.changes.map(\.change.action) == [.halt])
        #expect(try state(fleet)?.haltedByGit == true)
        // Another commit that cannot be applied does not let it go.
        fleet.deploy(Self.triage, "1.0.0", ["find", "update"], 100)
        try fleet.commit("still invalid")
        _ = try fleet.reconcile()
        #expect(try state(fleet)?.haltedByGit == true)
        fleet.environment(rollout: Self.deadline)
        try fleet.commit("mended")
        _ = try fleet.reconcile()
        #expect(try state(fleet)?.haltedByGit != true)
    }

    @Test(
        "A commit that cannot be applied takes no rule of the kill switch away; one that changes nothing else adds one"
    )
    func killSwitch() throws {
        let fleet = try TestFleet()
        _ = try fleet.reconcile()
        let agent = try #require(AgentID(Self.triage))
        func rules() throws -> Int {
            let book = TelemetryBook(site: try fleet.site(), environment: "prod")
            _ = book.refresh()
            return book.killRules(agent).count
        }
        #expect(try rules() == 0)
        let rule = "  killSwitch: [{unknownTool: 1}]\n"
        fleet.environment(rollout: TestFleet.rollouts[0], more: rule)
        try fleet.commit("a rule, and nothing else")
        #expect(try rules() == 0, "it is not accepted yet")
        _ = try fleet.reconcile()
        #expect(try fleet.tip()?.entry.changes.map { $0.rules?.names } == [["killSwitch"]])
        #expect(try rules() == 1)
        for trouble in [Trouble.invalid, .refused, .gone] {
            try make(trouble, fleet)
            _ = try fleet.reconcile()
            #expect(try rules() == 1, "\(trouble)")
        }
    }

    @Test("An agent that stays for others keeps the kill switch of its last deployment")
    func leaving() throws {
        let fleet = try TestFleet(rollout: Self.deadline)
        let manifest = "fleet/agents/\(Self.triage)/1.0.0/agent.yaml"
        fleet.files[manifest] = fleet.files[manifest]?.replacing("needs: {", with: "needs: {agents: [support/desk], ")
        let desk = fleet.path("support/desk")
        fleet.files[desk] = (fleet.files[desk] ?? "") + "  killSwitch: [{unknownTool: 1}]\n"
        try fleet.commit("triage hands work to desk")
        _ = try fleet.reconcile()
        fleet.deploy(Self.triage, "1.1.0", ["find", "update"], 100)
        fleet.remove("support/desk")
        try fleet.commit("1.1.0 does without")
        let report = try fleet.reconcile()
        #expect(report.plan?.leaving.map(\.agent.description) == ["support/desk"])
        let book = TelemetryBook(site: try fleet.site(), environment: "prod")
        _ = book.refresh()
        #expect(book.killRules(try #require(AgentID("support/desk"))).count == 1)
    }

    @Test("A commit that removes agents cannot raise its own limit")
    func pruneShare() throws {
        let fleet = try TestFleet()
        _ = try fleet.reconcile()
        fleet.environment(rollout: TestFleet.rollouts[0], share: 1)
        fleet.removeAll()
        fleet.deploy(Self.triage, "1.0.0", ["find", "update"], 100)
        try fleet.commit("two of three go, and may")
        let refused = try fleet.reconcile()
        guard case .refused = refused.result else {
            Issue.record("\(refused.result)")
            return
        }
        // Raised by a commit of its own first, it holds.
        try fleet.revert()
        fleet.environment(rollout: TestFleet.rollouts[0], share: 1)
        try fleet.commit("any share")
        _ = try fleet.reconcile()
        fleet.removeAll()
        fleet.deploy(Self.triage, "1.0.0", ["find", "update"], 100)
        try fleet.commit("two of three go")
        #expect(try fleet.reconcile().plan?.changes.count == 2)
    }

    @Test("A rename takes along what runs, what is halted and what is quarantined")
    func renamed() throws {
        let fleet = try TestFleet(rollout: Self.deadline)
        _ = try fleet.reconcile()
        fleet.deploy(Self.triage, "1.1.0", ["find", "update"], 100)
        try fleet.commit("to 1.1.0")
        _ = try fleet.reconcile()
        let agent = try #require(AgentID(Self.triage))
        for operation in [RolloutOperation.abort, .halt] {
            _ = try fleet.reconcile(OperatorRequest(agent: agent, operation: operation, by: "ada", reason: "bad"))
        }
        try fleet.rename(Self.triage, to: "sales/lead")
        let report = try fleet.reconcile()
        let lead = try state(fleet, "sales/lead")
        #expect(lead?.stable?.version.description == "1.0.0" && lead?.halt != nil)
        #expect(lead?.quarantinedVersions.map(\.description) == ["1.1.0"])
        #expect(report.plan?.held.map(\.agent.description) == ["sales/lead"])
        #expect(try state(fleet) == nil, "the old name has nothing left to remember")
        #expect(try Verifier(fleet.site().ledger("prod")).run().verdict == .intact)
    }
}
