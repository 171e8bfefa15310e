import EnsignCrypto
import EnsignGit
import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignLedger

/// Many files go into one pack.
@Suite struct PackTests {
    @Test("Many files are one pack, which stock git reads and finds whole")
    func one() throws {
        let ledger = try ScratchLedger()
        let entry = try ledger.append(.intent, edits: files(1_000))
        #expect(try packs(ledger).map { ($0 as NSString).pathExtension }.sorted() == ["idx", "pack"])
        #expect(try loose(ledger) < 30)
        #expect(try git(ledger, "fsck", "--full", "--strict") == "")
        let listed = try git(ledger, "ls-tree", "-r", "--name-only", "\(entry.commit)").split(separator: "\n")
        #expect(listed.count == 1_001)
        for number in [0, 1, 7, 500, 998, 999] {
            #expect(try git(ledger, "cat-file", "blob", "\(entry.commit):\(path(number))") == text(number))
        }
        // Another handle, and one that was open before, read it as well.
        #expect(try ledger.reopened().tip()?.commit == entry.commit)
        #expect(try ledger.scratch.repository.entry(at: path(3), in: entry.tree) != nil)
    }

    @Test("A file that goes and a file that comes twice are in a pack with others")
    func goesAndTwice() throws {
        let ledger = try ScratchLedger()
        try ledger.append(.intent, edits: files(1_000))
        var edits = files(1_000)
        for number in 0..<500 { edits[path(number)] = .some(.bytes(Array("the same".utf8))) }
        edits[path(999)] = .some(nil)
        edits[path(998)] = .some(.bytes([]))
        let entry = try ledger.append(.outcome, edits: edits)
        #expect(try git(ledger, "fsck", "--full", "--strict") == "")
        #expect(try git(ledger, "cat-file", "blob", "\(entry.commit):\(path(499))") == "the same")
        #expect(try git(ledger, "cat-file", "blob", "\(entry.commit):\(path(998))") == "")
        #expect(
            try git(ledger, "ls-tree", "-r", "--name-only", "\(entry.commit)").split(separator: "\n").count == 1_000
        )
    }

    @Test("What a crash left of a pack is cleared, and what was written is written again")
    func crash() throws {
        let ledger = try ScratchLedger()
        let left = "\(ledger.scratch.path)/objects/tmp_objdir-ensign-prod"
        try FileManager.default.createDirectory(atPath: "\(left)/deeper", withIntermediateDirectories: true)
        try Data("half".utf8).write(to: URL(fileURLWithPath: "\(left)/entries"))
        let genesis = try ledger.ledger.tip()
        try ledger.append(.intent, edits: files(600))
        #expect(!FileManager.default.fileExists(atPath: left))
        // As after a crash between the pack and the ref: the same files again.
        ledger.pretend(genesis)
        try ledger.point(at: genesis?.commit)
        try ledger.append(.intent, edits: files(600))
        #expect(try git(ledger, "fsck", "--full", "--strict", "--no-dangling") == "")
    }

    /// A disk that gives back some and not all.
    private final class BrokenShelf: BundleShelf {
        func bytes(at place: ShelfPlace) throws -> [UInt8] { throw LedgerError.lostRace(environment: "shelf") }
        func bundle(at place: ShelfPlace) throws -> EnsignModel.Bundle {
            throw LedgerError.lostRace(environment: "shelf")
        }
    }

    @Test("What fails in the middle leaves nothing that takes room, and no entry")
    func fails() throws {
        let ledger = try ScratchLedger()
        let before = try ledger.ledger.tip()?.commit
        var edits = files(1_000)
        edits[path(999)] = .some(.shelved(BrokenShelf(), ShelfPlace(offset: 0, count: 1, check: 0)))
        #expect(throws: LedgerError.self) { try ledger.append(.intent, edits: edits) }
        #expect(!FileManager.default.fileExists(atPath: "\(ledger.scratch.path)/objects/tmp_objdir-ensign-prod"))
        #expect(try packs(ledger).isEmpty)
        #expect(try ledger.reopened().tip()?.commit == before)
    }

    @Test("git prune clears what a crash left, once it is old")
    func prune() throws {
        let ledger = try ScratchLedger()
        let left = "\(ledger.scratch.path)/objects/tmp_objdir-ensign-prod"
        try FileManager.default.createDirectory(atPath: left, withIntermediateDirectories: true)
        try Data("half".utf8).write(to: URL(fileURLWithPath: "\(left)/entries"))
        _ = try git(ledger, "prune", "--expire=now")
        #expect(!FileManager.default.fileExists(atPath: left))
    }

    @Test("In a shared repository the group may read and the owner's mode stays")
    func shared() throws {
        let ledger = try ScratchLedger(begins: false)
        _ = try git(ledger, "config", "core.sharedRepository", "group")
        let again = Ledger(repository: try ledger.scratch.another(), environment: "prod")
        var draft = ledger.draft(.genesis, keys: [ledger.key.publicKey.line])
        draft.format = .current
        _ = try again.append(draft, after: nil, edits: files(600), key: ledger.key)
        for name in try packs(ledger) {
            let path = "\(ledger.scratch.path)/objects/pack/\(name)"
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(mode.map { $0 & 0o777 } == 0o440 || mode.map { $0 & 0o777 } == 0o444)
        }
    }

    private func path(_ number: Int) -> String { "agents/team-\(number % 7)/agent-\(number).json" }
    private func text(_ number: Int) -> String { String(repeating: "agent \(number) ", count: number) }

    private func files(_ count: Int) -> [String: FileContent?] {
        Dictionary(uniqueKeysWithValues: (0..<count).map { (path($0), .some(.bytes(Array(text($0).utf8)))) })
    }

    private func git(_ ledger: ScratchLedger, _ arguments: String...) throws -> String {
        let result = try run("git", arguments, in: ledger.scratch.path)
        try #require(result.status == 0, "\(result.errors)")
        return result.output.trimmingCharacters(in: .newlines)
    }

    private func packs(_ ledger: ScratchLedger) throws -> [String] {
        try (Files.list("\(ledger.scratch.path)/objects/pack") ?? []).sorted()
    }

    private func loose(_ ledger: ScratchLedger) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "\(ledger.scratch.path)/objects").filter { $0.count == 2 }
            .map { try FileManager.default.contentsOfDirectory(atPath: "\(ledger.scratch.path)/objects/\($0)").count }
            .reduce(0, +)
    }
}
