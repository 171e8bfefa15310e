import EnsignCrypto
import EnsignLedger
import EnsignModel
import EnsignTestSupport
import Foundation
import Testing

/// Entries of version 1 are verified for ever, and a ledger goes on with version 2.
@Suite("The versions of an entry")
struct EntryFormatTests {
    private let one = compiled(bundle("support/triage", "1.0.0"))

    private static func rules() throws -> Change {
        var change = Change(agent: nil, action: .update, from: nil, to: nil, kind: .widening)
        let rules = try #require(
            Evidence.RuleChanges(from: ["soak": "1d", "prune": true], to: ["soak": "1h", "prune": true])
        )
        change.explain { $0.rules = rules }
        return change
    }

    private static func policy(_ bytes: [UInt8]?) -> Change {
        var change = Change(agent: nil, action: .update, from: nil, to: nil, kind: .none)
        change.explain {
            $0.file = Evidence.LiveFile(
                path: LivePath.policy,
                digest: bytes.flatMap { Digest(hex: SHA256.hex(of: $0)) }
            )
        }
        return change
    }

    /// A ledger as the first version of Ensign wrote it.
    private func former() throws -> ScratchLedger {
        let scratch = try ScratchLedger(begins: false)
        scratch.format = .v1
        try scratch.append(.genesis, keys: [scratch.key.publicKey.line])
        try scratch.publish([.create(one)], bundles: [one])
        return scratch
    }

    @Test("A ledger of version 1 is intact, and goes on as version 2 in place")
    func inPlace() throws {
        let scratch = try former()
        #expect(try scratch.verify().verdict == .intact && scratch.tip?.entry.json["v"] == 1)
        scratch.format = .current
        try scratch.publish([try Self.rules()])
        #expect(scratch.tip?.entry.json["v"] == 2)
        #expect(try scratch.verify().verdict == .intact)
    }

    @Test("An entry of version 1 does not follow one of version 2")
    func order() throws {
        let scratch = try ScratchLedger()
        scratch.format = .v1
        try scratch.append(.refused, result: .failed)
        guard case .broken(1, let why) = try scratch.verify().verdict else {
            Issue.record("\(try scratch.verify().verdict)")
            return
        }
        #expect(why.contains("its format is older"))
    }

    @Test("What version 1 does not have makes it no entry", arguments: 0..<5)
    func strict(_ which: Int) throws {
        let scratch = try former()
        var change = Change.create(one)
        var source = Entry.Source(ref: "r", commit: scratch.source, author: "a", signer: nil, signature: .none)
        switch which {
        case 0: source.signature = .unsupported
        case 1:
            change.explain { $0.soak = Evidence.Soak(environment: "dev", entry: .zero, since: Timestamp(seconds: 0)) }
        case 2: change.explain { $0.override = Evidence.Override(reason: "now") }
        case 3: change = try Self.rules()
        default: change = Self.policy([1])
        }
        var draft = scratch.draft(.refused, [change], result: .failed)
        draft.source = source
        var read: [Entry?] = []
        for format in [Entry.Format.v1, .v2] {
            draft.format = format
            let entry = try scratch.ledger.append(draft, after: scratch.tip, key: scratch.key)
            read.append(Entry(json: entry.entry.json))
            try scratch.point(at: scratch.tip?.commit)
        }
        #expect(read[0] == nil && read[1]?.changes == [change])
    }

    @Test("A change of no agent says of what, and of one thing alone")
    func ofNoAgent() throws {
        func isRead(_ evidence: JSONValue) throws -> Bool {
            var json = try #require(try Self.rules().json.object)
            json["evidence"] = evidence
            return Change(json: .object(json)) != nil
        }
        let digest = JSONValue.string("sha256:" + String(repeating: "a", count: 64))
        let rules: JSONValue = ["soak": ["from": .null, "to": "1h"]]
        #expect(try isRead(["rules": rules]) && isRead(["path": "policy.json", "digest": digest]))
        #expect(try isRead(["path": "policy.json", "digest": .null]))
        for evidence: JSONValue in [
            .null, [:], ["reason": "x"], ["rules": [:]], ["rules": ["soak": "1h"]], ["rules": ["soak": ["from": 1]]],
            ["path": "policy.json"], ["path": "other.json", "digest": digest], ["path": "policy.json", "digest": "x"],
            ["rules": rules, "path": "policy.json", "digest": digest], ["path": "../policy.json", "digest": digest],
            ["path": "policy.json", "digest": digest, "found": "edited"],
        ] {
            #expect(try !isRead(evidence), "\(evidence.text)")
        }
    }

    // MARK: Files of no agent

    @Test("A file of no agent changes only to what a change says")
    func sharedFile() throws {
        let (first, second) = (Array("{}\n".utf8), Array("{\"a\":1}\n".utf8))
        func ledger(_ changes: [Change], _ bytes: [UInt8]?) throws -> Verifier.Verdict {
            let scratch = try ScratchLedger()
            for (change, file) in [([Self.policy(first)], first), (changes, bytes)] as [([Change], [UInt8]?)] {
                try scratch.append(.intent, change, result: .pending)
                try scratch.append(.outcome, change, edits: [LivePath.policy: file.map { .bytes($0) }])
            }
            return try scratch.verify().verdict
        }
        #expect(try ledger([Self.policy(second)], second) == .intact)
        #expect(try ledger([Self.policy(nil)], nil) == .intact)
        #expect(try ledger([Self.policy(second), Self.policy(first)], first) == .intact)
        for (changes, bytes) in [
            ([], second), ([Self.policy(second)], first), ([Self.policy(first)], second), ([Self.policy(nil)], second),
            ([Self.policy(second)], nil), ([], nil), ([try Self.rules()], second),
        ] as [([Change], [UInt8]?)] {
            let verdict = try ledger(changes, bytes)
            guard case .broken(4, _) = verdict else {
                Issue.record("\(verdict)")
                continue
            }
        }
        // An intent changes nothing, whatever it announces.
        let scratch = try ScratchLedger()
        try scratch.append(.intent, [Self.policy(first)], edits: [LivePath.policy: .bytes(first)], result: .pending)
        #expect(try scratch.verify().verdict.description == "broken at 1")
    }

    @Test("An entry says in its subject what of no agent it changes")
    func subjects() throws {
        let scratch = try ScratchLedger()
        let rules = try scratch.publish([try Self.rules()])
        #expect(LedgerCommit.subject(of: rules.entry) == "prod: rules of the environment changed")
        try scratch.append(.intent, [Self.policy([1])], result: .pending)
        let file = try scratch.append(.outcome, [Self.policy([1])], edits: [LivePath.policy: .bytes([1])])
        #expect(LedgerCommit.subject(of: file.entry) == "prod: policy.json changed")
        #expect(ChangeSentence(try Self.rules()).past == "rules of the environment (soak) changed")
    }
}
