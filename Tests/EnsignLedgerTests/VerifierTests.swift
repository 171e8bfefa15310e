import EnsignCrypto
import EnsignGit
import EnsignLedger
import EnsignModel
import EnsignTestSupport
import Foundation
import Testing

@Suite("What verification says of a ledger")
struct VerifierTests {
    private let one = compiled(bundle("support/triage", "1.0.0"))
    private let two = compiled(bundle("support/triage", "2.0.0"))
    private let desk = compiled(bundle("support/desk", "1.0.0"))

    private func begun() throws -> ScratchLedger {
        let scratch = try ScratchLedger()
        try scratch.publish([.create(one)], bundles: [one])
        return scratch
    }

    private func expectBroken(
        at sequence: Int64,
        because part: String,
        _ scratch: ScratchLedger,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        guard case .broken(let at, let why) = try scratch.verify().verdict else {
            Issue.record("\(try scratch.verify().verdict)", sourceLocation: sourceLocation)
            return
        }
        #expect(at == sequence, sourceLocation: sourceLocation)
        #expect(why.contains(part), "\(why)", sourceLocation: sourceLocation)
    }

    @Test("A ledger that nobody touched is intact, with everything that may be in it")
    func intact() throws {
        let scratch = try begun()
        scratch.source = try scratch.scratch.commit(["a": "2"])
        try scratch.publish([.update(one, two), .create(desk)], bundles: [two, desk])
        try scratch.append(.refused, reason: "invalid", result: .failed)
        try scratch.append(.intent, [.delete(two)], result: .pending)
        try scratch.append(.recovery, reason: "interrupted", result: .failed)
        try scratch.append(.halt, [.halt(desk)], edits: try scratch.edits([.halt(desk)], []), reason: "halt")
        try scratch.publish([.delete(two)])
        let report = try scratch.verify()
        #expect(report.verdict == .intact && report.entries == 11 && report.caveat == nil)
        #expect(report.tip?.commit == scratch.tip?.commit)
        #expect(report.verdict.description == "intact" && report.verdict.reason == nil)
    }

    @Test("Any changed byte of the newest commit is found, whatever it makes of it")
    func everyByte() throws {
        let scratch = try begun()
        let tip = try #require(scratch.tip)
        let bytes = try scratch.ledger.repository.bytes(of: tip.commit, .commit)
        for index in stride(from: 0, to: bytes.count, by: 3) {
            var changed = bytes
            changed[index] ^= 1
            let forged = try scratch.ledger.repository.write(changed, .commit)
            let ledger = try scratch.reopened()
            // Whether it is the ledger's fault or git's that it cannot be read: it is never taken for an entry.
            #expect(throws: (any Error).self, "byte \(index)") { try ledger.read(forged) }
        }
    }

    @Test("A commit with something added is not in the canonical form", arguments: ["\n", "x", "\u{0}", "tree 00\n"])
    func added(_ text: String) throws {
        let scratch = try begun()
        let bytes = try scratch.ledger.repository.bytes(of: #require(scratch.tip).commit, .commit)
        try scratch.point(at: try scratch.ledger.repository.write(bytes + Array(text.utf8), .commit))
        guard case .broken = try scratch.verify().verdict else {
            Issue.record("\(try scratch.verify().verdict)")
            return
        }
    }

    @Test("An entry of a key that no entry before it lists is broken, although its signature is good")
    func strangeKey() throws {
        let scratch = try begun()
        scratch.key = try LedgerKey.create("prod", path: "\(scratch.scratch.path)/other")
        try scratch.append(.refused, result: .failed)
        #expect(try scratch.ledger.tip()?.signer == scratch.key.publicKey)
        try expectBroken(at: 3, because: "not allowed to sign it", scratch)
    }

    @Test("A key may sign from the entry that lists it until one lists others")
    func rotation() throws {
        let scratch = try begun()
        let (old, new) = (scratch.key, try LedgerKey.create("prod", path: "\(scratch.scratch.path)/new"))
        try scratch.append(.key, reason: "rotation", keys: [new.publicKey.line])
        scratch.key = new
        try scratch.append(.refused, result: .failed)
        #expect(try scratch.verify().verdict == .intact)
        let keys = try scratch.ledger.keys()
        #expect(keys.map(\.line) == [old.publicKey.line, new.publicKey.line])
        #expect(keys.map(\.from) == [0, 4] && keys.map(\.to) == [3, nil])
        scratch.key = old
        try scratch.append(.refused, result: .failed)
        try expectBroken(at: 5, because: "not allowed to sign it", scratch)
    }

    @Test("A new key cannot let itself in")
    func selfInvited() throws {
        let scratch = try begun()
        scratch.key = try LedgerKey.create("prod", path: "\(scratch.scratch.path)/new")
        try scratch.append(.key, reason: "rotation", keys: [scratch.key.publicKey.line])
        try scratch.append(.refused, result: .failed)
        try expectBroken(at: 3, because: "not allowed to sign it", scratch)
    }

    @Test("A source commit that is not there makes the ledger incomplete, and not broken")
    func missingSource() throws {
        let scratch = try begun()
        try scratch.lose(scratch.source)
        let verdict = try scratch.verify().verdict
        guard case .incomplete(let why) = verdict else {
            Issue.record("\(verdict)")
            return
        }
        #expect(why.contains("\(scratch.source)") && verdict.description == "incomplete")
    }

    @Test("An entry that is not there makes the ledger incomplete")
    func missingEntry() throws {
        let scratch = try begun()
        let middle = try #require(scratch.tip?.entry.previous).commit
        try scratch.append(.refused, result: .failed)
        try scratch.lose(middle)
        #expect(try scratch.verify().verdict.description == "incomplete")
    }

    // MARK: What a signer must not write

    /// An entry that is signed by the right key, and says what has not happened or does what it does not say.
    enum Lie: String, CaseIterable, Sendable {
        case intentChangesState, outcomeWithoutIntent, outcomeOfOtherChanges, routeNobodyNamed, routeNotMade
        case wrongCount, strangeFile, bundleOfOtherBytes, bundleNobodyAskedFor, removedBundleInUse, haltThatStarts
        case secondGenesis, acceptedByRefusal, driftThatDoesMore
    }

    private func tell(_ lie: Lie, _ scratch: ScratchLedger) throws -> String {
        let update = [Change.update(one, two)]
        let honest = try scratch.edits(update, [two])
        func outcome(_ change: (inout [String: FileContent?]) throws -> Void) throws {
            try scratch.append(.intent, update, result: .pending)
            var edits = honest
            try change(&edits)
            try scratch.append(.outcome, update, edits: edits)
        }
        switch lie {
        case .intentChangesState:
            try scratch.append(.intent, update, edits: honest, result: .pending)
            return "must not change the recorded state"
        case .outcomeWithoutIntent:
            try scratch.append(.outcome, update, edits: honest)
            return "there is no intent before it"
        case .outcomeOfOtherChanges:
            try scratch.append(.intent, [.delete(one)], result: .pending)
            try scratch.append(.outcome, update, edits: honest)
            return "its changes are not those of the intent"
        case .routeNobodyNamed:
            try outcome { $0["agents/support/ghost.json"] = .bytes(Array("{}\n".utf8)) }
            return "the entry does not say so"
        case .routeNotMade:
            try outcome { $0[LivePath.route(one.agent)] = nil }
            return "is not what the entry says"
        case .wrongCount:
            try scratch.append(.intent, update, result: .pending)
            try scratch.append(.outcome, update, edits: honest, agents: 7)
            return "it counts 7 live agents"
        case .strangeFile:
            try outcome { $0["notes.txt"] = .bytes([1]) }
            return "the tree has an entry that no ledger has"
        case .bundleOfOtherBytes:
            try outcome { $0[LivePath.bundle(two.digest)] = .bytes(try two.bytes + [0x0A]) }
            return "is not what its name says"
        case .bundleNobodyAskedFor:
            try outcome { $0[LivePath.bundle(desk.digest)] = desk.file }
            return "nobody asked for it"
        case .removedBundleInUse:
            try outcome { $0[LivePath.bundle(two.digest)] = two.file }
            try scratch.append(.intent, result: .pending)
            try scratch.append(.outcome, edits: [LivePath.bundle(two.digest): nil])
            return "is routed to is gone"
        case .haltThatStarts:
            try scratch.append(.halt, update, edits: honest, reason: "halt")
            return "a halt does more than stop agents"
        case .secondGenesis:
            try scratch.append(.genesis, keys: [scratch.key.publicKey.line])
            return "a genesis that is not the first entry"
        case .acceptedByRefusal:
            scratch.source = try scratch.scratch.commit(["a": "3"])
            try scratch.append(.refused, result: .failed)
            return "it changes the accepted source"
        case .driftThatDoesMore:
            try scratch.append(.drift, update, reason: "drift")
            return "a drift of files does more"
        }
    }

    @Test("An entry that lies is named, whoever signed it", arguments: Lie.allCases)
    func lies(_ lie: Lie) throws {
        let scratch = try begun()
        let why = try tell(lie, scratch)
        try expectBroken(at: #require(scratch.tip).entry.sequence, because: why, scratch)
        // What is honest afterwards does not mend it.
        let sequence = try #require(scratch.tip).entry.sequence
        if lie != .intentChangesState { try scratch.append(.refused, result: .failed) }
        guard case .broken(let at, _) = try scratch.verify().verdict else {
            Issue.record("\(try scratch.verify().verdict)")
            return
        }
        #expect(at == sequence)
    }

    // MARK: Long ledgers

    @Test(
        "A long ledger is cut into parts: the oldest entry that is wrong is named, wherever it is",
        arguments: [1, 20, 39, 40, 79]
    )
    func long(_ wrong: Int64) throws {
        let scratch = try ScratchLedger()
        let stranger = try LedgerKey.create("prod", path: "\(scratch.scratch.path)/other")
        let own = scratch.key
        for sequence in 1..<80 as Range<Int64> {
            scratch.key = sequence == wrong || sequence == 79 ? stranger : own
            try scratch.append(.refused, result: .failed)
        }
        #expect(try scratch.verify().entries == 80)
        try expectBroken(at: wrong, because: "not allowed to sign it", scratch)
    }
}
