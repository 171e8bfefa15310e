import EnsignHost
import EnsignJSON
import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignReconciler
import EnsignTargets
import EnsignTestSupport
import Foundation
import Synchronization
import Testing

/// The life of a fleet in one process: what `Reconciler` does, without git, a live directory or a clock of its own.
@Suite("A session without other processes")
struct SessionTests {
    private let triage = AgentID(team: "support", name: "triage")

    private func kinds(_ fleet: TestFleet) throws -> [Entry.Kind] {
        var kinds: [Entry.Kind] = []
        guard let tip = try fleet.tip() else { return [] }
        try fleet.site().ledger(TestFleet.environment).walk(from: tip) {
            kinds.append($0.entry.kind)
            return true
        }
        return kinds.reversed()
    }

    private func route(_ fleet: TestFleet, _ agent: AgentID? = nil) throws -> Route {
        let bytes = try #require(try fleet.target.read(LivePath.route(agent ?? triage)))
        return try #require(Route(json: try JSONParser.parse(bytes)))
    }

    /// The versions that sessions get, each with its share: `1.1.0 20 %, 1.0.0 80 %`.
    private func shares(_ fleet: TestFleet, _ agent: AgentID? = nil) throws -> String {
        try route(fleet, agent).targets.map { "\($0.version) \($0.weight) %" }.joined(separator: ", ")
    }

    private func update(_ fleet: TestFleet) throws {
        fleet.deploy("support/triage", "1.1.0", ["find", "update"], 100)
        try fleet.commit("to 1.1.0")
        try fleet.reconcile()
    }

    // MARK: Stories

    @Test("A push is live and on record, and the next run has nothing to do")
    func live() throws {
        let fleet = try TestFleet()
        let report = try fleet.reconcile()
        #expect(report.plan?.changes.map(\.change.action) == [.create, .create, .create])
        #expect(try kinds(fleet) == [.genesis, .intent, .outcome])
        let tip = try #require(try fleet.tip())
        #expect(tip.acceptedSource == fleet.repository.head && tip.entry.result == .ok && tip.agents == 3)
        #expect(try fleet.hasHeader())
        #expect(try fleet.unproven() == [])
        let agents = try fleet.target.agents(of: nil)
        #expect(agents.map(\.description) == ["support/clerk", "support/desk", "support/triage"])
        for agent in agents {
            let digest = try #require(try route(fleet, agent).stable?.digest)
            #expect(fleet.target.nodes[LivePath.bundle(digest)] != nil)
        }
        let before = fleet.target.nodes
        let again = try fleet.reconcile()
        #expect(again.plan == nil && again.drift.isEmpty)
        #expect(try fleet.tip()?.commit == tip.commit && fleet.target.nodes == before)
    }

    @Test("Stock git is asked to pack and for nothing else, and may be missing")
    func noGit() throws {
        let fleet = try TestFleet(rollout: "{immediate: {}}")
        try fleet.reconcile()
        try update(fleet)
        #expect(try shares(fleet) == "1.1.0 100 %")
        #expect(fleet.git.calls.allSatisfy { $0.contains("maintenance run --auto") })
    }

    @Test("A canary takes its steps as time passes, and never sooner")
    func canary() throws {
        let fleet = try TestFleet(rollout: "{canary: {steps: [{weight: 20, hold: 10m}, {weight: 50, hold: 1h}]}}")
        try fleet.reconcile()
        try update(fleet)
        for (seconds, wanted) in [
            (0, "1.1.0 20 %, 1.0.0 80 %"), (599, "1.1.0 20 %, 1.0.0 80 %"), (1, "1.1.0 50 %, 1.0.0 50 %"),
            (3_599, "1.1.0 50 %, 1.0.0 50 %"), (1, "1.1.0 100 %"), (1_000_000, "1.1.0 100 %"),
        ] as [(Int64, String)] {
            fleet.advance(seconds)
            let report = try fleet.reconcile()
            #expect(try shares(fleet) == wanted, "\(fleet.story)")
            #expect(report.hasTrials == (wanted != "1.1.0 100 %"))
        }
        #expect(try fleet.site().ledger("prod").changes(of: #require(try fleet.tip())).map(\.action) == [.promote])
        #expect(try Verifier(fleet.site().ledger("prod")).run().verdict == .intact)
    }

    @Test("What is recorded of one agent and cannot be read keeps no other agent's canary")
    func damagedRecord() throws {
        let fleet = try TestFleet(rollout: "{canary: {steps: [{weight: 20, hold: 10m}, {weight: 50, hold: 1h}]}}")
        try fleet.reconcile()
        try update(fleet)
        let other = try #require(AgentID(TestFleet.agents.first { $0 != "support/triage" } ?? ""))
        let site = try fleet.site()
        let tip = try #require(try fleet.tip())
        let draft = EntryDraft(
            kind: .outcome,
            source: tip.entry.source,
            parent: tip.acceptedSource,
            actor: tip.entry.actor,
            time: tip.entry.time,
            reason: Entry.Reason(.sync),
            changes: [],
            agents: tip.agents,
            result: .ok
        )
        let path = site.settings.signingKey(TestFleet.environment, site.files)
        _ = try site.ledger(TestFleet.environment).append(
            draft,
            after: tip,
            edits: [LivePath.route(other): .bytes(Array("{}".utf8))],
            key: #require(try LedgerKey.load(TestFleet.environment, path: path))
        )
        fleet.target.set(LivePath.route(other), .file(Array("{}".utf8)))
        fleet.deploy("\(other)", "1.1.0", ["find"], 100)
        try fleet.commit("another agent to 1.1.0")
        fleet.advance(600)
        let report = try fleet.reconcile()
        #expect(report.failure != nil)
        #expect(try shares(fleet) == "1.1.0 50 %, 1.0.0 50 %")
    }

    @Test("Less permission holds at once, for the version that takes sessions and for the one on its way")
    func narrowed() throws {
        let fleet = try TestFleet()
        try fleet.reconcile()
        try update(fleet)
        #expect(try shares(fleet) == "1.1.0 20 %, 1.0.0 80 %")
        fleet.deploy("support/triage", "1.1.0", ["find"], 100)
        try fleet.commit("no updates any more")
        try fleet.reconcile()
        let targets = try route(fleet).targets
        #expect(targets.map(\.weight) == [20, 80])
        for target in targets {
            let bytes = try #require(try fleet.target.read(LivePath.bundle(target.digest)))
            let bundle = try #require(Bundle(json: try JSONParser.parse(bytes)))
            #expect(bundle.tools.flatMap { $0.operations.keys } == ["find"], "\(target.version)")
        }
    }

    @Test("A clock that is set does not end a hold")
    func clockSet() throws {
        let fleet = try TestFleet()
        try fleet.reconcile()
        try update(fleet)
        fleet.setClock(by: 7_200)
        try fleet.reconcile()
        #expect(try shares(fleet) == "1.1.0 20 %, 1.0.0 80 %")
        fleet.advance(600)
        try fleet.reconcile()
        #expect(try shares(fleet) == "1.1.0 50 %, 1.0.0 50 %")
    }

    @Test("Drift is found, recorded and repaired, and what nobody recorded goes")
    func drift() throws {
        let fleet = try TestFleet()
        try fleet.reconcile()
        let good = fleet.target.nodes
        let bundle = LivePath.bundle(try #require(try route(fleet).stable?.digest))
        fleet.target.set(LivePath.route(triage), .file([1, 2, 3]))
        fleet.target.set(bundle, .other)
        fleet.target.set("notes/of/somebody.txt", .file([1]))
        fleet.target.set("agents/support/desk.json", nil)
        let report = try fleet.reconcile()
        #expect(
            report.drift.map { "\($0.path) \($0.found)" }
                == [
                    "agents/support/desk.json removed", "agents/support/triage.json edited", "\(bundle) replaced",
                    "notes added",
                ]
        )
        #expect(try kinds(fleet).suffix(3) == [.drift, .intent, .outcome])
        #expect(try fleet.tip()?.entry.counts["repair"] == 4)
        #expect(fleet.target.nodes.filter { $0.key != LivePath.header } == good.filter { $0.key != LivePath.header })
        #expect(try fleet.reconcile().drift.isEmpty)
    }

    @Test("Too much at once is refused once, nothing is touched, and what an operator lets past goes")
    func pruneGuard() throws {
        let fleet = try TestFleet()
        try fleet.reconcile()
        let before = fleet.target.nodes
        fleet.remove("support/triage")
        fleet.remove("support/desk")
        try fleet.commit("two of three go")
        for _ in 0..<3 {
            let report = try fleet.reconcile()
            guard case .refused = report.result else {
                Issue.record("\(report.result)")
                return
            }
            #expect(fleet.target.nodes == before)
        }
        #expect(try kinds(fleet) == [.genesis, .intent, .outcome, .refused])
        let report = try fleet.reconciler { $0.allowPrune = true }.run()
        #expect(report.plan?.changes.map(\.change.action) == [.delete, .delete])
        #expect(try fleet.target.agents(of: nil).map(\.description) == ["support/clerk"])
    }

    @Test("A change of the environment's own rules is on record, once, although no agent changes")
    func rules() throws {
        let fleet = try TestFleet()
        try fleet.reconcile()
        let before = fleet.target.nodes.filter { $0.key != LivePath.header }
        fleet.environment(rollout: TestFleet.rollouts[0], share: 0.75)
        try fleet.commit("more may go at once")
        let shown = try #require(try fleet.decide().plan?.rules)
        for _ in 0..<3 { try fleet.reconcile() }
        #expect(try kinds(fleet) == [.genesis, .intent, .outcome, .intent, .outcome])
        let tip = try #require(try fleet.tip())
        let change = try #require(tip.entry.changes.first)
        #expect(tip.entry.changes.count == 1 && change == shown && change.kind == .widening && change.agent == nil)
        #expect(change.rules?.fields["maxPruneShare"] == ["from": 0.5, "to": 0.75])
        #expect(tip.acceptedSource == fleet.repository.head && tip.agents == 3)
        #expect(fleet.target.nodes.filter { $0.key != LivePath.header } == before)
        // What is written otherwise and means the same is not a change.
        fleet.environment(rollout: TestFleet.rollouts[0], share: 0.75, more: "  prune: true # as always\n")
        try fleet.commit("the same")
        try fleet.reconcile()
        #expect(try fleet.tip()?.commit == tip.commit && fleet.decide().plan?.rules == nil)
        #expect(try Verifier(fleet.site().ledger(TestFleet.environment)).run().verdict == .intact)
    }

    @Test("An invalid commit is refused once, and what is live stays")
    func invalid() throws {
        let fleet = try TestFleet()
        try fleet.reconcile()
        let before = fleet.target.nodes
        fleet.environment(rollout: TestFleet.rollouts[0], more: "  no-such-field: 1\n")
        try fleet.commit("invalid")
        for _ in 0..<2 {
            let report = try fleet.reconcile()
            #expect(report.findings.filter { $0.severity == .error }.map(\.code) == ["unknown-field"])
        }
        #expect(try kinds(fleet) == [.genesis, .intent, .outcome, .refused])
        #expect(fleet.target.nodes == before)
    }

    @Test("A refusal is on record once, whatever else is recorded while its commit is the newest")
    func refusedOnce() throws {
        let fleet = try TestFleet()
        try fleet.reconcile()
        fleet.environment(rollout: TestFleet.rollouts[0], more: "  no-such-field: 1\n")
        try fleet.commit("invalid")
        try fleet.reconcile()
        for _ in 0..<2 {
            _ = try halt(fleet)
            try fleet.reconcile()
            #expect(try kinds(fleet).filter { $0 == .refused }.count == 1)
        }
        #expect(try kinds(fleet).contains(.halt))
        // Another commit, and the first after one was accepted.
        fleet.environment(rollout: TestFleet.rollouts[0], more: "  no-such-field: 2\n")
        try fleet.commit("invalid, too")
        try fleet.reconcile()
        try fleet.reconcile()
        #expect(try kinds(fleet).filter { $0 == .refused }.count == 2)
    }

    @Test("A target that cannot be used is said, and nothing is recorded that did not happen")
    func obstacle() throws {
        let fleet = try TestFleet()
        fleet.target.setObstacle("it is somebody else's")
        #expect(throws: ReconcileError.self) { try fleet.reconcile() }
        #expect(try kinds(fleet) == [])
        fleet.target.setObstacle(nil)
        try fleet.reconcile()
        let tip = try fleet.tip()?.commit
        fleet.target.setObstacle("it is somebody else's")
        #expect(throws: ReconcileError.self) { try fleet.reconcile() }
        #expect(try fleet.tip()?.commit == tip)
    }

    // MARK: Halts

    private func halt(_ fleet: TestFleet) throws -> HaltSwitch.Effect {
        let record = HaltRecord(
            scope: .agent(triage),
            reason: "it loops",
            by: "ada@here",
            time: Moment(Timestamp(seconds: fleet.clock.wall()))
        )
        return try HaltSwitch(fleet.site(), TestFleet.environment).pull([record])
    }

    @Test("A halt stops the agent before anything else, and the next run records it")
    func halts() throws {
        let fleet = try TestFleet()
        try fleet.reconcile()
        #expect(try halt(fleet).agents == [triage])
        #expect(try route(fleet).phase == .halted)
        #expect(try kinds(fleet) == [.genesis, .intent, .outcome])
        let report = try fleet.reconcile()
        #expect(report.halts.map(\.action) == [.halt] && report.drift.isEmpty)
        #expect(try kinds(fleet) == [.genesis, .intent, .outcome, .halt])
        // It stays halted, whatever git asks for.
        try update(fleet)
        #expect(try route(fleet).phase == .halted)
        #expect(try Verifier(fleet.site().ledger("prod")).run().verdict == .intact)
    }

    @Test("Whenever an agent is halted, whom its version hands work to stays as long as that version does")
    func haltedMeanwhile() throws {
        let desk = try #require(AgentID("support/desk"))
        var kept = 0
        for moment in 1...24 {
            let fleet = try TestFleet(rollout: "{immediate: {}}")
            let manifest = "fleet/agents/support/triage/1.0.0/agent.yaml"
            fleet.files[manifest] = fleet.files[manifest]?.replacing(
                "needs: {",
                with: "needs: {agents: [support/desk], "
            )
            try fleet.commit("triage hands work to desk")
            try fleet.reconcile()
            fleet.deploy("support/triage", "1.1.0", ["find", "update"], 100)
            fleet.remove("support/desk")
            try fleet.commit("1.1.0 does without")
            let calls = Atomic<Int>(0)
            let clock = fleet.clock
            let unshared = Unshared(fleet)
            _ = try fleet.reconciler { options in
                options.clock = SystemClock {
                    if calls.add(1, ordering: .relaxed).newValue == moment { _ = try? halt(unshared.value) }
                    return clock.wall()
                }
            }.run()
            let recorded = RecordedTree(repository: try fleet.site().repository, tip: try fleet.tip())
            if try recorded.agent(triage)?.stable?.version.description == "1.0.0" {
                kept += 1
                #expect(try recorded.isLive(desk), "halted at moment \(moment)")
                #expect(fleet.target.nodes[LivePath.route(desk)] != nil, "halted at moment \(moment)")
            }
            #expect(try Verifier(fleet.site().ledger("prod")).run().verdict == .intact)
        }
        #expect(kept > 0)
    }

    @Test("What is known of earlier commits can be set aside: everything is compiled again, and nothing changes")
    func withoutCache() throws {
        let fleet = try TestFleet()
        try fleet.reconcile()
        let tip = try fleet.tip()?.commit
        #expect(try fleet.reconcile().plan == nil)
        let report = try fleet.reconciler { $0.ignoresCache = true }.run()
        #expect(report.plan?.isEmpty == true && report.plan?.unchanged == 3)
        #expect(try fleet.tip()?.commit == tip)
    }

    @Test("Where there is no room for another route it is taken away, and put back as a halted one when there is")
    func noRoom() throws {
        let fleet = try TestFleet()
        try fleet.reconcile()
        fleet.target.fail(.full)
        #expect(try halt(fleet).removed == [triage])
        #expect(fleet.target.nodes[LivePath.route(triage)] == nil)
        fleet.target.fail(nil)
        try fleet.reconcile()
        #expect(try route(fleet).phase == .halted)
        #expect(try fleet.reconcile().drift.isEmpty)
    }

    // MARK: Several runs

    @Test("Of several runs at once one does the work, and the others find nothing left to do")
    func severalRuns() throws {
        let fleet = try TestFleet()
        let runs = 4
        // Each has a handle of its own on the repository, as a process has.
        let reconcilers = try (0..<runs).map { _ in Unshared(try fleet.reconciler()) }
        DispatchQueue.concurrentPerform(iterations: runs) { index in
            #expect(throws: Never.self) { _ = try reconcilers[index].value.run() }
        }
        #expect(try kinds(fleet) == [.genesis, .intent, .outcome])
        #expect(try fleet.target.agents(of: nil).count == 3)
    }

    /// What one thread alone uses.
    private struct Unshared<Value>: @unchecked Sendable {
        let value: Value
        init(_ value: Value) { self.value = value }
    }
}
