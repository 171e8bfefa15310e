import EnsignLedger
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("How long an artifact has been stable, by the ledger")
struct StableRecordTests {
    private let one = compiled(bundle("support/triage", "1.0.0") { $0.artifact = Self.artifact(1) })
    private let two = compiled(bundle("support/triage", "2.0.0") { $0.artifact = Self.artifact(2) })
    /// The same artifact as two, under other permissions.
    private let twoWithLess = compiled(
        bundle("support/triage", "2.0.0") {
            $0.artifact = Self.artifact(2)
            $0.tools = []
        }
    )
    private let other = compiled(bundle("sales/lead", "1.0.0"))
    private var triage: AgentID { one.agent }
    private let now = Timestamp(seconds: 1_800_100_000)

    private static func artifact(_ number: Int) -> Digest {
        guard let digest = Digest(hex: String(repeating: "0", count: 63) + "\(number)") else { preconditionFailure() }
        return digest
    }

    private func record(
        _ scratch: ScratchLedger,
        _ version: VersionIdentity? = nil,
        enough: Int64 = .max
    ) throws -> StableRecord {
        let tip = try #require(scratch.tip)
        let version = version ?? VersionIdentity(digest: two.digest, artifact: Self.artifact(2))
        return try scratch.ledger.stableRecord(of: triage, version, from: tip, enough: enough, now: now)
    }

    private func remembering(_ change: Change, _ state: AgentState) -> Change {
        var change = change
        change.remember(state)
        return change
    }

    @Test("It counts from the entry that made it stable, through changes that keep the artifact")
    func stable() throws {
        let scratch = try ScratchLedger()
        try scratch.publish([.create(one)], bundles: [one])
        #expect(try record(scratch) == StableRecord(periods: [], flaw: nil))
        let began = try scratch.publish([.update(one, two)], bundles: [two])
        try scratch.publish([.create(other)], bundles: [other])
        try scratch.publish([.update(two, twoWithLess)], bundles: [twoWithLess])
        let period = StablePeriod(since: began.entry.time, until: nil, sequence: began.entry.sequence)
        #expect(try record(scratch) == StableRecord(periods: [period], flaw: nil))
    }

    @Test("What was replaced in the ordinary way keeps its time; what was taken back does not")
    func replaced() throws {
        for isTakenBack in [false, true] {
            let scratch = try ScratchLedger()
            try scratch.publish([.create(one)], bundles: [one])
            let began = try scratch.publish([.update(one, two)], bundles: [two])
            var change = Change.update(two, one)
            if isTakenBack { change.action = .rollback }
            let ended = try scratch.publish([change], bundles: [one])
            let period = StablePeriod(
                since: began.entry.time,
                until: ended.entry.time,
                sequence: began.entry.sequence
            )
            let expected =
                isTakenBack
                ? StableRecord(periods: [], flaw: "has taken it back") : StableRecord(periods: [period], flaw: nil)
            #expect(try record(scratch) == expected)
        }
    }

    @Test("A halt begins its time anew, a quarantine ends it, and the canary of another version does neither")
    func flaws() throws {
        let scratch = try ScratchLedger()
        try scratch.publish([.create(two)], bundles: [two])
        let stop = Halt(since: now, reason: "x", by: "ada")
        let halted = AgentState(stable: two.side, halt: stop)
        let halt = Change(agent: triage, action: .halt, from: two.side, to: two.side, kind: .none)
        try scratch.publish([remembering(halt, halted)])
        #expect(try record(scratch) == StableRecord(periods: [], flaw: "has halted it"))
        let resume = Change(agent: triage, action: .resume, from: two.side, to: two.side, kind: .none)
        let resumed = try scratch.publish([resume])
        let period = StablePeriod(since: resumed.entry.time, until: nil, sequence: resumed.entry.sequence)
        #expect(try record(scratch) == StableRecord(periods: [period], flaw: "has halted it"))
        let back = Change(agent: triage, action: .rollback, from: one.side, to: two.side, kind: .none)
        var state = AgentState(stable: two.side)
        state.quarantine = [
            Quarantine(mark: .artifact(Self.artifact(1)), version: one.version, since: now, reason: "x")
        ]
        try scratch.publish([remembering(back, state)])
        #expect(try record(scratch).periods == [period])
        state.quarantine[0].mark = .artifact(Self.artifact(2))
        try scratch.publish([remembering(resume, state)])
        #expect(try record(scratch) == StableRecord(periods: [], flaw: "has quarantined it"))
    }

    @Test("Nothing is read beyond what is enough")
    func bounded() throws {
        let scratch = try ScratchLedger()
        let first = try scratch.publish([.create(two)], bundles: [two])
        let last = try scratch.publish([.create(other)], bundles: [other])
        let enough = now.seconds(since: last.entry.time)
        #expect(try record(scratch, enough: enough).periods.first?.sequence == last.entry.sequence)
        #expect(try record(scratch, enough: enough + 1).periods.first?.sequence == last.entry.sequence - 1)
        #expect(try record(scratch).periods.first?.since == first.entry.time)
    }
}
