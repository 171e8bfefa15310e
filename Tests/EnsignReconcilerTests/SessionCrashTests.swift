import EnsignHost
import EnsignJSON
import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignReconciler
import EnsignTargets
import EnsignTestSupport
import Testing

/// Dying at any step of the target leads to the same end as not dying.
@Suite("A run that dies")
struct SessionCrashTests {
    /// What is asked for: more agents, fewer, other versions, less permission, a repair.
    enum Story: String, CaseIterable, Sendable {
        case first, changes, canary, promotion, drift, halt, rules, approvers, noApprovers, bare, rotated, operatorHalt
    }

    /// A fleet to which the story is about to happen.
    private func prepare(_ story: Story) throws -> TestFleet {
        let fleet = try TestFleet(rollout: story == .changes ? "{immediate: {}}" : TestFleet.rollouts[0])
        if story == .noApprovers {
            fleet.files[RepositoryPath.allowedSigners] = TestFleet.signers[0] + "\n"
            try fleet.commit("ada may agree")
        }
        guard story != .first else { return fleet }
        try fleet.reconcile()
        switch story {
        case .first: break
        case .changes:
            fleet.deploy("support/triage", "1.1.0", ["find"], 100)
            fleet.deploy("sales/lead", "1.2.0", ["find", "update"], 50)
            fleet.remove("support/clerk")
            try fleet.commit("one more, one less, one other")
        case .canary, .promotion:
            fleet.deploy("support/triage", "1.1.0", ["find", "update"], 100)
            try fleet.commit("to 1.1.0")
            guard story == .promotion else { break }
            for seconds in [0, 601, 3_601] as [Int64] {
                fleet.advance(seconds)
                if seconds < 3_601 { try fleet.reconcile() }
            }
        case .drift:
            fleet.target.set("agents/support/triage.json", .file([1]))
            fleet.target.set("agents/support/desk.json", nil)
            fleet.target.set("notes", .file([2]))
        case .halt:
            fleet.deploy("support/triage", "1.1.0", ["find"], 100, halted: true)
            try fleet.commit("stopped by git")
        case .approvers:
            fleet.files[RepositoryPath.allowedSigners] = TestFleet.signers.joined(separator: "\n") + "\n"
            fleet.deploy("support/triage", "1.1.0", ["find", "update"], 100)
            try fleet.commit("two may agree, and 1.1.0")
        case .noApprovers:
            fleet.files[RepositoryPath.allowedSigners] = nil
            try fleet.commit("nobody may agree")
        case .rules:
            fleet.environment(rollout: TestFleet.rollouts[0], share: 0.2)
            fleet.deploy("support/triage", "1.1.0", ["find", "update"], 100)
            try fleet.commit("other rules, and 1.1.0")
        case .bare: try fleet.takeProofsAway()
        case .rotated: try fleet.rotateKey()
        case .operatorHalt: try fleet.halt(.team("support"))
        }
        return fleet
    }

    @Test(
        "At every single step of the target, once or for good: the next run ends in the same state",
        arguments: Story.allCases
    )
    func everyStep(_ story: Story) throws {
        let undisturbed = try prepare(story)
        undisturbed.target.fail(nil)
        try undisturbed.reconcile()
        let steps = undisturbed.target.steps
        let wanted = undisturbed.live()
        let agents = try #require(try undisturbed.tip()).agents
        #expect(steps > 3)
        for step in 0..<steps {
            // Where an error ends the run, failing once and failing for good are the same: some of each are enough.
            let troubles: [MemoryTarget.Trouble] = step % 4 == 0 ? [.at(step), .from(step)] : [.from(step)]
            for trouble in troubles {
                let fleet = try prepare(story)
                fleet.target.fail(trouble)
                do {
                    try fleet.reconcile()
                    // A stop is tried twice, before and after telemetry is read.
                    #expect(story == .operatorHalt && trouble == .at(step), "\(trouble)")
                } catch is MemoryTarget.Failure {}
                if story == .operatorHalt { try fleet.expectHalted("\(trouble)") }
                try expectUnbroken(fleet, "\(trouble)")
                fleet.target.fail(nil)
                try fleet.reconcile()
                #expect(fleet.live() == wanted, "\(trouble)")
                #expect(try fleet.unproven() == [], "\(trouble)")
                let tip = try #require(try fleet.tip())
                #expect(tip.agents == agents, "\(trouble)")
                #expect(try fleet.hasHeader(), "\(trouble)")
                #expect(try rulesOnRecord(fleet) == (story == .rules ? 1 : 0), "\(trouble)")
                // And nothing is left to do.
                let last = try fleet.reconcile()
                #expect(last.drift.isEmpty && !last.recovered && last.plan?.isEmpty ?? true, "\(trouble)")
                #expect(try fleet.tip()?.commit == tip.commit, "\(trouble)")
                #expect(try Verifier(fleet.site().ledger(TestFleet.environment)).run().verdict == .intact, "\(trouble)")
            }
        }
    }

    /// How many changes of the environment's own rules the ledger has, besides those that are only announced.
    private func rulesOnRecord(_ fleet: TestFleet) throws -> Int {
        var count = 0
        let ledger = try fleet.site().ledger(TestFleet.environment)
        try ledger.walk(from: #require(try fleet.tip())) { entry in
            if !entry.entry.kind.isIntent { count += try ledger.changes(of: entry).count { $0.rules != nil } }
            return true
        }
        return count
    }

    /// No route that this Ensign wrote names a bundle that is not there.
    private func expectUnbroken(_ fleet: TestFleet, _ what: String) throws {
        for case (let path, .file(let bytes)) in fleet.target.nodes where LivePath.agent(atRoute: path) != nil {
            guard let route = (try? JSONParser.parse(bytes)).flatMap({ Route(json: $0) }) else { continue }
            for target in route.targets {
                #expect(fleet.target.nodes[LivePath.bundle(target.digest)] != nil, "\(what)")
            }
        }
    }
}
