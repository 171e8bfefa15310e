import EnsignCrypto
import EnsignGit
import EnsignLedger
import EnsignModel
import EnsignTestSupport
import Foundation
import Testing

@Suite("What the ledger remembers of agents")
struct RecordedTests {
    private let one = compiled(bundle("support/triage", "1.0.0"))
    private let two = compiled(bundle("support/triage", "2.0.0"))
    private let three = compiled(bundle("support/triage", "3.0.0"))
    private let lead = compiled(bundle("sales/lead", "1.0.0"))
    private let now = Timestamp(seconds: 1_800_000_000)
    private var triage: AgentID { one.agent }

    private func recorded(_ scratch: ScratchLedger) throws -> RecordedTree {
        let ledger = try scratch.reopened()
        return RecordedTree(repository: ledger.repository, tip: try ledger.tip())
    }

    // MARK: The tree

    @Test("Before the first entry, and after genesis, nothing is recorded")
    func empty() throws {
        let scratch = try ScratchLedger(begins: false)
        for begins in [false, true] {
            if begins { try scratch.append(.genesis, keys: [scratch.key.publicKey.line]) }
            let tree = try recorded(scratch)
            #expect(try tree.live == 0 && tree.agents() == [] && tree.agents(of: "support") == [])
            #expect(try tree.remembered() == [] && !tree.waitsForTime() && !tree.hasCanaries())
            #expect(try tree.agent(triage) == nil && !tree.isLive(triage) && tree.bundle(one.digest) == nil)
            #expect(try tree.halts().isEmpty && tree.node("agents") == nil && tree.children(of: "agents") == nil)
        }
    }

    @Test("Agents, bundles and folders are those of the newest outcome")
    func tree() throws {
        let scratch = try ScratchLedger()
        try scratch.publish([.create(one), .create(lead)], bundles: [one, lead])
        try scratch.publish([.update(one, two)], bundles: [two])
        let tree = try recorded(scratch)
        #expect(try tree.live == 2 && tree.agents() == [lead.bundle.agent, triage])
        #expect(try tree.agents(of: "sales") == [lead.bundle.agent] && tree.agents(of: "nobody") == [])
        #expect(try tree.agent(triage)?.stable == two.side && tree.isLive(triage))
        #expect(try tree.bundle(two.digest) == two.bundle && tree.keeps(one.digest) && !tree.keeps(three.digest))
        #expect(try tree.children(of: "agents")?.keys.sorted() == ["sales", "support"])
        #expect(try tree.children(of: "agents/nobody") == nil)
        let node = try #require(try tree.node(LivePath.bundle(one.digest)))
        #expect(try tree.bytes(node) == one.bytes)
        #expect(try tree.node("agents/support/triage.json/more") == nil)
        #expect(try tree.remembered() == [])
    }

    private func remembering(_ state: AgentState, _ action: Change.Action = .update) -> Change {
        var change = Change(agent: triage, action: action, from: one.side, to: one.side, kind: .behaviour)
        change.remember(state)
        return change
    }

    @Test("A state is remembered beside the route, and what it says of rollouts is found")
    func states() throws {
        let candidate = Candidate(
            side: two.side,
            artifact: two.artifact,
            kind: .behaviour,
            source: .zero,
            wanted: now
        )
        let progress = CanaryProgress(step: 0, weight: 5, stepSince: now, started: now, evidenceSince: now)
        let (mark, failed) = (Quarantine.Mark.digest(three.digest), three.version)
        let quarantine = Quarantine(mark: mark, version: failed, since: now, reason: "bad")
        for (rollout, hasCanaries) in [(RolloutState.queued(candidate), false), (.canary(candidate, progress), true)] {
            let scratch = try ScratchLedger()
            try scratch.publish([.create(one)], bundles: [one])
            let state = AgentState(stable: one.side, rollout: rollout, quarantine: [quarantine])
            try scratch.publish([remembering(state)], bundles: [two])
            let tree = try recorded(scratch)
            #expect(try tree.remembered() == [triage] && tree.waitsForTime() && tree.hasCanaries() == hasCanaries)
            #expect(try tree.agent(triage)?.state == state)
            #expect(try tree.agent(triage)?.route == state.route(triage, "prod"))
        }
    }

    @Test(
        "A route or a state that this Ensign has not written is an error, not an agent without one",
        arguments: ["", "{}", "[]"]
    )
    func damaged(_ text: String) throws {
        for path in [LivePath.route(triage), AgentState.path(triage), FleetHalts.path] {
            let scratch = try ScratchLedger()
            try scratch.append(.intent, result: .pending)
            try scratch.append(.outcome, edits: [path: .bytes(Array(text.utf8))])
            let tree = try recorded(scratch)
            #expect(throws: (any Error).self) { _ = (try tree.agent(triage), try tree.halts()) }
        }
    }

    // MARK: Histories

    @Test("Which versions were stable is read from the entries, going back and rollouts included")
    func stableIndex() throws {
        let scratch = try ScratchLedger()
        var times: [Timestamp] = []
        for (old, new) in [(nil, one), (one, two), (two, three), (three, two)] {
            let change = old.map { Change.update($0, new) } ?? .create(new)
            times.append(try scratch.publish([change], bundles: [new]).entry.time)
        }
        let tree = try recorded(scratch)
        let index = StableIndex(ledger: scratch.ledger, tip: scratch.tip, recorded: tree)
        #expect(try index.earlier(triage) == [three.digest, one.digest])
        #expect(try index.earlier(lead.bundle.agent) == [])
        let first = try #require(try index.history(triage, one.digest))
        #expect(first.isEarlier && first.stableUntil == times[1])
        // It came after the present one first was stable.
        let third = try #require(try index.history(triage, three.digest))
        #expect(!third.isEarlier && third.stableUntil == times[3])
        #expect(try index.history(triage, lead.digest) == nil)
    }

    @Test("A version that was left by going back is known as one that was taken away, until it is replaced by another")
    func takenBack() throws {
        let scratch = try ScratchLedger()
        func history() throws -> StableHistory? {
            try StableIndex(ledger: scratch.ledger, tip: scratch.tip, recorded: recorded(scratch))
                .history(triage, two.digest)
        }
        try scratch.publish([.create(one)], bundles: [one])
        try scratch.publish([.update(one, two)], bundles: [two])
        let back = Change(agent: triage, action: .rollback, from: two.side, to: one.side, kind: .behaviour)
        try scratch.publish([back], bundles: [one])
        #expect(try history()?.wasTakenBack == true)
        try scratch.publish([.update(one, two)], bundles: [two])
        try scratch.publish([.update(two, three)], bundles: [three])
        #expect(try history()?.wasTakenBack == false)
    }

    @Test("A bundle that is no longer kept cannot be gone back to")
    func notKept() throws {
        let scratch = try ScratchLedger()
        try scratch.publish([.create(one)], bundles: [one])
        try scratch.publish([.update(one, two)], bundles: [two])
        try scratch.append(.intent, result: .pending)
        try scratch.append(.outcome, edits: [LivePath.bundle(one.digest): nil])
        #expect(try scratch.verify().verdict == .intact)
        let index = StableIndex(ledger: scratch.ledger, tip: scratch.tip, recorded: try recorded(scratch))
        #expect(try index.earlier(triage) == [] && index.history(triage, one.digest) == nil)
    }

    @Test("When a bundle lost its last route is the same from the ledger alone and from a cache that catches up")
    func retired() throws {
        let scratch = try ScratchLedger()
        let file = StateFile<RetiredBundles>(path: "\(scratch.scratch.path)/retired")
        let steps: [(CompiledBundle?, CompiledBundle?)] = [(nil, one), (one, two), (two, one), (one, nil)]
        var last: [Digest: Int64] = [:]
        for (old, new) in steps {
            let change = old.map { old in new.map { Change.update(old, $0) } ?? .delete(old) } ?? .create(one)
            let time = try scratch.publish([change], bundles: [new].compactMap { $0 }).entry.time.seconds
            if let old { last[old.digest] = time }
            let tip = try #require(scratch.tip)
            let cached = try RetiredBundles.upTo(tip, of: scratch.ledger, keptIn: file)
            try file.write(cached)
            let anew = try RetiredBundles.upTo(tip, of: scratch.ledger)
            #expect(cached.retired(before: .max) == anew.retired(before: .max))
            #expect(Set(anew.retired(before: .max).map(\.digest)) == Set(last.keys))
        }
        // A bundle that came back and went again counts from the last time.
        let tip = try #require(scratch.tip)
        for text in ["", "x\n", "3\nnonsense\n", "99\n", Hostile.letter] {
            try scratch.scratch.scratch.write("retired", text)
            let retired = try RetiredBundles.upTo(tip, of: scratch.ledger, keptIn: file)
            let end = try #require(last[one.digest])
            #expect(Set(retired.retired(before: end).map(\.digest)) == Set(last.keys), "\(text.prefix(20))")
            #expect(retired.retired(before: end - 1).map(\.digest) == [two.digest], "\(text.prefix(20))")
        }
    }
}
