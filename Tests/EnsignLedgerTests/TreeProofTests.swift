import EnsignCrypto
import EnsignGit
import EnsignLedger
import EnsignModel
import EnsignTestSupport
import Foundation
import Testing

/// What is proven of the trees of a ledger: that they are what their names say, and that nothing is missing.
@Suite("Trees that verification proves")
struct TreeProofTests {
    private let one = compiled(bundle("support/triage", "1.0.0"))
    private let two = compiled(bundle("support/triage", "2.0.0"))
    private let desk = compiled(bundle("support/desk", "1.0.0"))

    private func grown() throws -> ScratchLedger {
        let scratch = try ScratchLedger()
        try scratch.publish([.create(one), .create(desk)], bundles: [one, desk])
        try scratch.publish([.update(one, two)], bundles: [two])
        try scratch.append(.halt, [.halt(desk)], edits: try scratch.edits([.halt(desk)], []), reason: "halt")
        return scratch
    }

    /// All trees below those of all entries, with one of the entries that have each.
    private func trees(_ scratch: ScratchLedger) throws -> Set<ObjectID> {
        var found: Set<ObjectID> = []
        func add(_ tree: ObjectID) throws {
            guard found.insert(tree).inserted else { return }
            for entry in try scratch.ledger.repository.tree(tree) where entry.mode == .directory { try add(entry.id) }
        }
        try scratch.ledger.walk(from: #require(try scratch.ledger.tip())) {
            try add($0.tree)
            return true
        }
        return found
    }

    /// The lines of a tree: what is before the name, the name with its end, the id.
    private func lines(_ bytes: [UInt8]) -> [[UInt8]] {
        var (result, rest): ([[UInt8]], ArraySlice<UInt8>) = ([], bytes[...])
        while let end = rest.firstIndex(of: 0) {
            result.append(Array(rest[...(end + 20)]))
            rest = rest[(end + 21)...]
        }
        return result
    }

    /// What may be put in a tree's place: every line gone, twice, with other modes, another name or another id.
    private func mutations(_ bytes: [UInt8]) -> [[UInt8]] {
        let lines = lines(bytes)
        var results: [[UInt8]] = [[]]
        for index in lines.indices {
            func with(_ line: [[UInt8]]) {
                results.append(Array((lines[..<index] + line + lines[(index + 1)...]).joined()))
            }
            let line = lines[index]
            let space = line.firstIndex(of: 0x20) ?? 0
            with([])
            with([line, line])
            for mode in ["100644", "0100644", "100755", "100664", "120000", "40000", "040000", "160000", "10064:"] {
                with([Array(mode.utf8) + line[space...]])
            }
            var named = line
            named[space + 1] ^= 1
            with([named])
            var other = line
            other[other.count - 1] ^= 1
            with([other])
            if let next = lines.dropFirst(index + 1).first { with([line.dropLast(20) + next.suffix(20)]) }
        }
        return results.filter { $0 != bytes }
    }

    @Test("Whatever is put under the name of any tree of any entry, the ledger is not intact")
    func everyTree() throws {
        let scratch = try grown()
        #expect(try scratch.verify().verdict == .intact)
        var tried = 0
        for tree in try trees(scratch) {
            let bytes = try scratch.scratch.another().bytes(of: tree, .tree)
            for mutation in mutations(bytes) {
                try LooseObject.put(mutation, "tree", at: tree, in: scratch.scratch.path)
                tried += 1
                let verdict = try scratch.verify().verdict
                #expect(verdict != .intact, "\(tree): \(String(decoding: mutation, as: UTF8.self))")
            }
            try LooseObject.put(bytes, "tree", at: tree, in: scratch.scratch.path)
        }
        #expect(tried > 200)
        #expect(try scratch.verify().verdict == .intact)
    }

    @Test("Whatever is put under the name of a file of the tree, the ledger is not intact")
    func everyFile() throws {
        let scratch = try grown()
        for tree in try trees(scratch) {
            for entry in try scratch.ledger.repository.tree(tree) where entry.mode == .file {
                let bytes = try scratch.scratch.another().bytes(of: entry.id, .blob)
                for mutation in [[], bytes + [0x0A], Array(bytes.dropLast())] {
                    try LooseObject.put(mutation, "blob", at: entry.id, in: scratch.scratch.path)
                    #expect(try scratch.verify().verdict != .intact, "\(String(decoding: entry.name, as: UTF8.self))")
                }
                try LooseObject.put(bytes, "blob", at: entry.id, in: scratch.scratch.path)
            }
        }
        #expect(try scratch.verify().verdict == .intact)
    }

    // MARK: What a signer must not write

    /// Writes an outcome whose tree nobody but the signer would make.
    private func outcome(_ change: [Change], _ make: (ObjectID, inout ObjectWriter) throws -> ObjectID) throws
        -> ScratchLedger
    {
        let scratch = try ScratchLedger()
        try scratch.append(.intent, change, result: .pending)
        let honest = try scratch.append(.outcome, change, edits: try scratch.edits(change, [one]), agents: 1)
        var writer = ObjectWriter(scratch.ledger.repository)
        let tree = try make(honest.tree, &writer)
        let payload = LedgerCommit.payload(
            honest.entry,
            entrySHA256: honest.sha256,
            tree: tree,
            parents: honest.parents
        )
        let commit = try writer.write(
            LedgerCommit.signed(payload, signature: scratch.key.sign(payload)),
            .commit
        )
        try scratch.point(at: commit)
        try Data("\(honest.entry.sequence) \(commit)\n".utf8).write(to: URL(fileURLWithPath: scratch.highWater))
        return scratch
    }

    @Test(
        "A mode that Ensign never writes is not intact, although it is signed",
        arguments: ["120000", "100755", "100664"]
    )
    func signedMode(_ mode: String) throws {
        let scratch = try outcome([.create(one)]) { tree, writer in
            let repository = writer.repository
            let agents = try #require(try repository.entry(at: "agents", in: tree)).id
            let team = try #require(try repository.entry(at: "agents/support", in: tree)).id
            func replace(_ tree: ObjectID, _ old: [UInt8], _ new: [UInt8]) throws -> ObjectID {
                let bytes = try repository.bytes(of: tree, .tree)
                return try writer.write(bytes.replacing(old, with: new), .tree)
            }
            let spoilt = try replace(team, Array("100644".utf8), Array(mode.utf8))
            let folder = try replace(agents, team.bytes, spoilt.bytes)
            return try replace(tree, agents.bytes, folder.bytes)
        }
        guard case .broken(2, let why) = try scratch.verify().verdict else {
            Issue.record("\(try scratch.verify().verdict)")
            return
        }
        #expect(why.contains("100644"))
    }

    @Test("A route whose bundle is not there is not intact, although it is signed")
    func signedLoss() throws {
        let scratch = try outcome([.create(one)]) { tree, writer in
            let rest = try writer.tree(tree, edits: [LivePath.bundle(one.digest): nil])
            return try #require(rest)
        }
        guard case .broken(2, let why) = try scratch.verify().verdict else {
            Issue.record("\(try scratch.verify().verdict)")
            return
        }
        #expect(why.contains("support/triage has bundle"))
    }

    // MARK: What is not there

    @Test("A missing high-water mark is said, and the verdict stays")
    func noMark() throws {
        let scratch = try grown()
        #expect(try scratch.verify().caveat == nil)
        try FileManager.default.removeItem(atPath: scratch.highWater)
        let report = try scratch.verify()
        #expect(report.verdict == .intact && report.caveat?.contains("high-water mark is missing") == true)
        try FileManager.default.removeItem(atPath: scratch.ledger.files.key("prod"))
        #expect(try scratch.verify().caveat?.contains("has written no entry") == true)
    }

    @Test("A symbolic ref that leads to nothing is not a ledger without entries")
    func dangling() throws {
        let scratch = try grown()
        try FileManager.default.removeItem(atPath: scratch.highWater)
        try Data("ref: refs/ensign/elsewhere\n".utf8)
            .write(to: URL(fileURLWithPath: "\(scratch.scratch.path)/\(scratch.ledger.ref)"))
        #expect(throws: GitError.self) { try scratch.verify() }
        #expect(throws: GitError.self) { try scratch.reopened().tip() }
    }

    @Test("A pipe in the place of the ref is an error, and nobody waits for it", .timeLimit(.minutes(1)))
    func pipe() throws {
        let scratch = try grown()
        let path = "\(scratch.scratch.path)/\(scratch.ledger.ref)"
        try FileManager.default.removeItem(atPath: path)
        let status = unsafe mkfifo(path, 0o644)
        #expect(status == 0)
        #expect(throws: GitError.self) { try scratch.verify() }
    }
}
