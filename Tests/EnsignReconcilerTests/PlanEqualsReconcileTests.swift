import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignReconciler
import EnsignTestSupport
import Testing

/// What is shown is what is done, in every state that a fleet can get into.
@Suite("A plan is what the next reconcile records")
struct PlanEqualsReconcileTests {
    @Test("In every state that random commits, clocks and operators reach", arguments: 0..<6)
    func property(_ run: Int) throws {
        var seeds = SeededGenerator(for: "PlanEqualsReconcile", standard: 20_261_128)
        for _ in 0..<run { _ = seeds.next() }
        let fleet = try TestFleet(SeededGenerator(seed: seeds.next()))
        _ = try fleet.reconcile()
        var phases: Set<String> = []
        for _ in 0..<30 {
            try fleet.step()
            let request = fleet.request()
            try compare(fleet, request)
            // And what was done leaves nothing to do.
            if request != nil { try compare(fleet, nil) }
            try expectBounded(fleet)
            try phases.formUnion(states(fleet))
        }
        #expect(!phases.isEmpty, "the walk went nowhere")
    }

    private func compare(_ fleet: TestFleet, _ request: OperatorRequest?) throws {
        var shown: Decision?
        var refused: RolloutRefusal?
        do { shown = try fleet.decide(request) } catch let refusal as RolloutRefusal { refused = refusal }
        let before = try fleet.tip()
        let report = try fleet.reconcile(request)
        let story = fleet.story.suffix(12).joined(separator: "\n")
        if let refused {
            guard case .impossible(let refusal) = report.result else {
                Issue.record("shown as refused, and done: \(story)")
                return
            }
            #expect(refusal == refused)
            return
        }
        if report.plan == nil {
            // What is known to be live is not planned again.
            #expect(shown?.plan?.isEmpty ?? true, "\(story)")
        } else {
            #expect(shown?.plan?.lines == report.plan?.lines, "\(story)")
            #expect(shown?.plan == report.plan, "\(story)")
        }
        // The record says the same.
        let tip = try fleet.tip()
        let planned = (shown?.plan).map { $0.common + $0.changes.flatMap(\.all) } ?? []
        guard !planned.isEmpty, let tip else { return }
        #expect(tip.commit != before?.commit, "\(story)")
        let recorded = try Ledger(repository: fleet.site().repository, environment: TestFleet.environment).changes(
            of: tip
        )
        #expect(recorded.map(\.line) == planned.map(\.line), "\(story)")
    }

    private func states(_ fleet: TestFleet) throws -> Set<String> {
        let recorded = RecordedTree(repository: try fleet.site().repository, tip: try fleet.tip())
        return Set(
            try recorded.remembered().compactMap { agent in
                guard let state = try recorded.agent(agent)?.state else { return nil }
                if state.isHalted { return "halted" }
                switch state.rollout {
                case .soaking: return "soaking"
                case .queued: return "queued"
                case .canary(_, let progress): return progress.pause == nil ? "canary" : "paused"
                case nil: return state.quarantine.isEmpty ? nil : "quarantined"
                }
            }
        )
    }

    /// No version that takes sessions, or would after a resume, may do more than the accepted commit allows it.
    private func expectBounded(_ fleet: TestFleet) throws {
        let site = try fleet.site()
        let tip = try fleet.tip()
        guard let accepted = try site.acceptedCommit(TestFleet.environment, tip: tip) else { return }
        let recorded = RecordedTree(repository: site.repository, tip: tip)
        let snapshot = try Desired(site, accepted, name: "main").snapshots()
        let compiler = EnvironmentCompiler(
            fleet: Fleet(snapshot: snapshot, today: fleet.clock.today),
            environment: TestFleet.environment
        )
        for agent in Set(try recorded.agents() + recorded.remembered()) {
            guard let state = try recorded.agent(agent)?.state else { continue }
            for side in [state.stable, state.canary?.candidate.side].compactMap({ $0 }) {
                guard let bundle = try recorded.bundle(side.digest),
                    let allowed = try compiler.compile(agent, as: side.version, isLive: recorded.isLive)?.bundle
                else { continue }
                let more = AuthorityDifference(before: allowed, after: bundle).gained
                #expect(more.isEmpty, "\(agent) \(side.version): \(fleet.story.suffix(12).joined(separator: "\n"))")
            }
        }
    }
}

extension SystemClock {
    fileprivate var today: CalendarDate { Timestamp(seconds: wall()).date }
}

extension Plan {
    fileprivate var lines: [String] {
        changes.flatMap(\.all).map { "\($0.line) \($0.evidence?.reason ?? "")" }
            + held.map { "\($0.agent) \($0.reason)" }
    }
}

extension Change {
    /// What the record must say, without why.
    fileprivate var line: String {
        "\(action) \(agent?.description ?? "") \(from?.digest.short ?? "-") \(to?.digest.short ?? "-") \(kind) \(weight?.from ?? -1) \(weight?.to ?? -1)"
    }
}
