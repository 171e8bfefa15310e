import EnsignCrypto
import EnsignGit
import EnsignLedger
import EnsignModel
import EnsignTestSupport
import Foundation
import Testing

@Suite("Appending to a ledger")
struct AppendTests {
    private let one = compiled(bundle("support/triage", "1.0.0"))
    private let two = compiled(bundle("support/triage", "2.0.0"))

    @Test("Genesis is number 0, has no parents and no source, and lists the key that signs it")
    func genesis() throws {
        let scratch = try ScratchLedger()
        let tip = try #require(try scratch.reopened().tip())
        #expect(tip.entry.kind == .genesis && tip.entry.sequence == 0)
        #expect(tip.parents == [] && tip.acceptedSource == nil && tip.entry.previous == nil && tip.entry.source == nil)
        #expect(tip.entry.keys == [scratch.key.publicKey.line] && tip.signer == scratch.key.publicKey)
        #expect(try Ledger.environments(in: scratch.scratch.repository) == ["prod"])
    }

    @Test("A ledger that has not begun has no tip, and is intact")
    func nothing() throws {
        let scratch = try ScratchLedger(begins: false)
        #expect(try scratch.ledger.tip() == nil)
        #expect(try Ledger.environments(in: scratch.scratch.repository) == [])
        #expect(try scratch.verify().verdict == .intact)
        try scratch.ledger.checkHighWater(nil)
    }

    @Test("What is appended is what another process reads")
    func readsBack() throws {
        let scratch = try ScratchLedger()
        let appended = try scratch.publish([.create(one)], bundles: [one])
        let read = try #require(try scratch.reopened().tip())
        #expect(read.commit == appended.commit && read.tree == appended.tree && read.parents == appended.parents)
        #expect(read.entry == appended.entry && read.sha256 == appended.sha256 && read.signer == appended.signer)
        #expect(read.root == appended.root)
        #expect(read.agents == 1 && read.entry.counts["create"] == 1)
    }

    @Test("Each entry names the one before it by commit and by content, and keeps its tree")
    func chain() throws {
        let scratch = try ScratchLedger()
        try scratch.publish([.create(one)], bundles: [one])
        scratch.source = try scratch.scratch.commit(["a": "2"])
        try scratch.publish([.update(one, two)], bundles: [two])
        try scratch.append(.refused, reason: "invalid", result: .failed)
        var entries: [RecordedEntry] = []
        try scratch.ledger.walk(from: #require(try scratch.ledger.tip())) {
            entries.append($0)
            return true
        }
        #expect(entries.map(\.entry.sequence) == [5, 4, 3, 2, 1, 0])
        #expect(entries.map(\.entry.kind) == [.refused, .outcome, .intent, .outcome, .intent, .genesis])
        for (newer, older) in zip(entries, entries.dropFirst()) {
            #expect(newer.entry.previous == Entry.Previous(commit: older.commit, sha256: older.sha256))
            #expect(newer.parents.first == older.commit)
        }
        // What an entry does not edit stays as it was: the old bundle, and after a refusal everything.
        for bundle in [one, two] {
            #expect(try RecordedTree(repository: scratch.ledger.repository, tip: entries[0]).keeps(bundle.digest))
        }
        #expect(["agents", "bundles"].allSatisfy { entries[0].folder($0) == entries[1].folder($0) })
        #expect(try scratch.verify().verdict == .intact)
    }

    @Test("A walk ends where it is told to")
    func walkEnds() throws {
        let scratch = try ScratchLedger()
        for _ in 0..<3 { try scratch.append(.refused, result: .failed) }
        var seen: [Int64] = []
        try scratch.ledger.walk(from: #require(try scratch.ledger.tip())) {
            seen.append($0.entry.sequence)
            return $0.entry.sequence > 2
        }
        #expect(seen == [3, 2])
    }

    @Test("The tip moves by compare-and-swap: of two writers that know the same tip one is told that it lost")
    func race() throws {
        let scratch = try ScratchLedger()
        let known = try #require(try scratch.ledger.tip())
        let first = try scratch.append(.refused, reason: "first", result: .failed)
        let mark = try String(contentsOfFile: scratch.highWater, encoding: .utf8)
        scratch.pretend(known)
        #expect(throws: LedgerError.lostRace(environment: "prod")) {
            try scratch.append(.refused, reason: "second", result: .failed)
        }
        #expect(try scratch.reopened().tip()?.commit == first.commit)
        #expect(try String(contentsOfFile: scratch.highWater, encoding: .utf8) == mark)
        #expect(try scratch.verify().verdict == .intact)
    }

    @Test("A second genesis loses the race, too")
    func twoBeginnings() throws {
        let scratch = try ScratchLedger()
        let first = try #require(try scratch.ledger.tip())
        scratch.pretend(nil)
        #expect(throws: LedgerError.lostRace(environment: "prod")) {
            try scratch.append(.genesis, keys: [scratch.key.publicKey.line])
        }
        #expect(try scratch.ledger.tip()?.commit == first.commit)
    }

    @Test("A lock that a killed run of Ensign left on the ref does not block the next one, at any step")
    func ownLock() throws {
        let scratch = try ScratchLedger()
        let path = "\(scratch.scratch.path)/\(scratch.ledger.ref)"
        let (lock, own) = ("\(path).lock", "\(path).move.lock")
        let files = FileManager.default
        for step in 0..<3 {
            try Data("torn".utf8).write(to: URL(fileURLWithPath: own))
            // Before the lock, with it, and after the rename.
            if step == 1 { try files.linkItem(atPath: own, toPath: lock) }
            if step == 2 {
                try files.removeItem(atPath: own)
                try files.linkItem(atPath: path, toPath: own)
            }
            let entry = try scratch.append(.refused, result: .failed)
            #expect(try scratch.reopened().tip()?.commit == entry.commit)
            #expect(!files.fileExists(atPath: lock) && !files.fileExists(atPath: own))
        }
        #expect(try Ledger.environments(in: scratch.scratch.another()) == ["prod"])
    }

    @Test("Another process's lock is waited for, and what it has done with the ref counts")
    func foreignLock() throws {
        let scratch = try ScratchLedger()
        let genesis = try #require(scratch.tip)
        let older = try scratch.append(.refused, result: .failed)
        try scratch.point(at: genesis.commit)
        scratch.pretend(genesis)
        let path = "\(scratch.scratch.path)/\(scratch.ledger.ref)"
        /// Holds the lock as git does, and does something to the ref before it lets go.
        func holding(_ what: String, _ body: () throws -> Void) throws {
            try Data().write(to: URL(fileURLWithPath: "\(path).lock"))
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = ["-c", "sleep 0.3; \(what)", "sh", path, "\(older.commit)"]
            try process.run()
            try body()
            process.waitUntilExit()
        }
        // Its check and its removal of the file are one step for everybody else.
        try holding("rm \"$1.lock\"") { try scratch.append(.refused, result: .failed) }
        let newest = try #require(scratch.tip)
        #expect(try scratch.reopened().tip()?.commit == newest.commit)
        scratch.pretend(genesis)
        try scratch.point(at: genesis.commit)
        try holding("echo \"$2\" > \"$1.lock\"; mv \"$1.lock\" \"$1\"") {
            #expect(throws: LedgerError.lostRace(environment: "prod")) {
                try scratch.append(.refused, reason: "another", result: .failed)
            }
        }
        #expect(try scratch.reopened().tip()?.commit == older.commit)
    }

    @Test("A reflog is kept where git would keep one")
    func reflog() throws {
        let scratch = try ScratchLedger()
        let log = "\(scratch.scratch.path)/logs/\(scratch.ledger.ref)"
        #expect(!FileManager.default.fileExists(atPath: log))
        try scratch.scratch.scratch.write("logs/\(scratch.ledger.ref)", "")
        let (before, entry) = (try #require(scratch.tip), try scratch.append(.refused, result: .failed))
        let line = try String(contentsOfFile: log, encoding: .utf8)
        #expect(line.hasPrefix("\(before.commit) \(entry.commit) Ensign prod <prod@ensign.invalid> "))
        #expect(line.hasSuffix("\tprod: refused \(scratch.source.short)\n"))
    }

    @Test("Environments have ledgers of their own")
    func environments() throws {
        let scratch = try ScratchLedger()
        let other = Ledger(repository: scratch.scratch.repository, environment: "dev")
        let draft = scratch.draft(.genesis, keys: [scratch.key.publicKey.line])
        let genesis = try other.append(draft, after: nil, key: scratch.key)
        try scratch.append(.refused, result: .failed)
        #expect(try other.tip()?.commit == genesis.commit)
        #expect(try Ledger.environments(in: scratch.scratch.repository) == ["dev", "prod"])
        // One's entry is not the other's, wherever the ref points.
        try scratch.point(at: genesis.commit)
        #expect(throws: LedgerError.broken(environment: "prod", sequence: 0, why: "the entry is about 'dev'")) {
            try scratch.ledger.tip()
        }
    }

    @Test("Texts of somebody else's are cut before they are recorded; what does not fit all the same is refused")
    func bounds() throws {
        let scratch = try ScratchLedger()
        var draft = scratch.draft(.refused, reason: Hostile.letter, result: .failed)
        draft.error = String(repeating: "e", count: 100_000)
        draft.actor.name = String(repeating: "n", count: 100_000)
        draft.source?.author = String(repeating: "a", count: 100_000)
        let tip = try scratch.ledger.append(draft, after: scratch.tip, key: scratch.key)
        #expect(tip.entry.bytes.count < Entry.maxBytes)
        #expect(tip.entry.error?.utf8.count ?? 0 <= 2_000 && tip.entry.error?.isEmpty == false)
        let keys = (0..<1_000).map { "ssh-ed25519 \(String(repeating: "A", count: 68))\($0)" }
        let tooLarge = scratch.draft(.key, keys: keys)
        #expect {
            try scratch.ledger.append(tooLarge, after: tip, key: scratch.key)
        } throws: { error in
            guard case LedgerError.tooLarge = error else { return false }
            return true
        }
        #expect(try scratch.reopened().tip()?.commit == tip.commit)
    }

    // MARK: The header

    @Test("The header names the newest entry that published: refusals, drift and keys leave it as it is")
    func header() throws {
        let scratch = try ScratchLedger()
        let genesis = try #require(try scratch.ledger.tip())
        #expect(try scratch.ledger.isComplete(genesis) == false)
        let outcome = try scratch.publish([.create(one)], bundles: [one])
        for kind in [Entry.Kind.refused, .drift, .key] {
            let keys = kind == .key ? [scratch.key.publicKey.line] : nil
            let tip = try scratch.append(kind, reason: "drift", result: .failed, keys: keys)
            #expect(try scratch.ledger.publishing(tip).commit == outcome.commit)
            #expect(try scratch.ledger.isComplete(tip))
        }
        let intent = try scratch.append(.intent, [.update(one, two)], result: .pending)
        #expect(try scratch.ledger.publishing(intent).commit == outcome.commit)
        let partial = try scratch.append(.recovery, reason: "interrupted", result: .partial)
        #expect(try scratch.ledger.publishing(partial).commit == partial.commit)
        #expect(try scratch.ledger.isComplete(partial) == false)
        // A halt publishes, and does not say how far the accepted source is live.
        let edits = try scratch.edits([.halt(one)], [])
        let halt = try scratch.append(.halt, [.halt(one)], edits: edits, reason: "halt")
        #expect(try scratch.ledger.publishing(halt).commit == halt.commit)
        #expect(try scratch.ledger.isComplete(halt) == false)
    }

    // MARK: Many changes

    @Test("100 changes are in the entry, 101 in a file of their own that the entry names", arguments: [100, 101, 250])
    func changesFile(_ count: Int) throws {
        let scratch = try ScratchLedger()
        let bundles = (0..<count).map { compiled(bundle("team/agent-\($0)", "1.0.0")) }
        let changes = bundles.map(Change.create)
        try scratch.publish(changes, bundles: bundles)
        let ledger = try scratch.reopened()
        let tip = try #require(try ledger.tip())
        #expect(try ledger.changes(of: tip) == changes)
        #expect((tip.entry.changesElsewhere != nil) == (count > Entry.maxChanges))
        #expect(tip.entry.changesElsewhere?.total ?? Int64(count) == Int64(count))
        #expect(tip.entry.counts["create"] == Int64(count) && tip.agents == Int64(count))
        // The next entry does not carry it along.
        let next = try scratch.append(.refused, result: .failed)
        #expect(!next.root.contains { $0.name.elementsEqual("changes.jsonl".utf8) })
        #expect(try scratch.verify().verdict == .intact)
    }

    @Test(
        "A file of changes that is not the one that the entry names is a broken ledger",
        arguments: ["", "x", "{}\n"]
    )
    func damagedChanges(_ text: String) throws {
        let scratch = try ScratchLedger()
        let bundles = (0..<101).map { compiled(bundle("team/agent-\($0)", "1.0.0")) }
        try scratch.publish(bundles.map(Change.create), bundles: bundles)
        var tip = try #require(try scratch.ledger.tip())
        var writer = ObjectWriter(scratch.ledger.repository)
        let blob = try writer.write(Array(text.utf8), .blob)
        let index = try #require(tip.root.firstIndex { $0.name.elementsEqual("changes.jsonl".utf8) })
        tip.root[index].id = blob
        #expect(throws: LedgerError.self) { try scratch.ledger.changes(of: tip) }
        tip.root.remove(at: index)
        #expect(throws: LedgerError.self) { try scratch.ledger.changes(of: tip) }
    }
}
