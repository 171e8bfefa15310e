import EnsignLedger
import EnsignModel
import EnsignTestSupport
import Foundation
import Testing

/// The newest entry that a clone has seen is outside of the ledger, so that a cut tail shows.
@Suite("The high-water mark")
struct HighWaterTests {
    private func grown() throws -> (ScratchLedger, [RecordedEntry]) {
        let scratch = try ScratchLedger()
        var entries = [try #require(scratch.tip)]
        for _ in 0..<4 { entries.append(try scratch.append(.refused, result: .failed)) }
        return (scratch, entries)
    }

    @Test("It is moved with every entry")
    func moves() throws {
        let (scratch, entries) = try grown()
        let newest = try #require(entries.last)
        #expect(try String(contentsOfFile: scratch.highWater, encoding: .utf8) == "4 \(newest.commit)\n")
        try scratch.ledger.checkHighWater(newest)
    }

    @Test("A tail that was cut is a ledger that was rolled back", arguments: 0..<4)
    func rolledBack(_ kept: Int) throws {
        let (scratch, entries) = try grown()
        try scratch.point(at: entries[kept].commit)
        #expect(throws: LedgerError.rolledBack(environment: "prod", at: Int64(kept), seen: 4)) {
            try scratch.ledger.checkHighWater(scratch.ledger.tip())
        }
        #expect(try scratch.verify().verdict.description == "rolled back")
    }

    @Test("A ledger that is gone was rolled back")
    func gone() throws {
        let (scratch, _) = try grown()
        try scratch.point(at: nil)
        #expect(throws: LedgerError.rolledBack(environment: "prod", at: -1, seen: 4)) {
            try scratch.ledger.checkHighWater(scratch.ledger.tip())
        }
        #expect(try scratch.verify().verdict.description == "rolled back")
    }

    @Test("Another chain of the same length or longer is a fork", arguments: [2, 3, 6])
    func forked(_ length: Int) throws {
        let (scratch, entries) = try grown()
        let mark = try String(contentsOfFile: scratch.highWater, encoding: .utf8)
        try scratch.point(at: entries[1].commit)
        scratch.pretend(entries[1])
        for _ in 0..<length { try scratch.append(.refused, reason: "another", result: .failed) }
        // The clone that has seen the first chain.
        try Data(mark.utf8).write(to: URL(fileURLWithPath: scratch.highWater))
        let isShorter = length < 3
        #expect(try scratch.verify().verdict.description == (isShorter ? "rolled back" : "forked"))
        #expect(throws: LedgerError.self) { try scratch.ledger.checkHighWater(scratch.ledger.tip()) }
    }

    @Test("A mark that a killed writer left behind is found in the chain", arguments: 0..<4)
    func behind(_ seen: Int) throws {
        let (scratch, entries) = try grown()
        try Data("\(seen) \(entries[seen].commit)\n".utf8).write(to: URL(fileURLWithPath: scratch.highWater))
        try scratch.ledger.checkHighWater(scratch.ledger.tip())
        #expect(try scratch.verify().verdict == .intact)
        try scratch.append(.refused, result: .failed)
        #expect(try String(contentsOfFile: scratch.highWater, encoding: .utf8).hasPrefix("5 "))
    }

    @Test(
        "A mark that cannot be read is none, which verification says",
        arguments: ["x", "4", "4 4 4", "-", "\u{0}\n"]
    )
    func damaged(_ text: String) throws {
        let (scratch, entries) = try grown()
        try Data(text.utf8).write(to: URL(fileURLWithPath: scratch.highWater))
        try scratch.ledger.checkHighWater(entries.last)
        let report = try scratch.verify()
        #expect(report.verdict == .intact)
        #expect(report.caveat?.contains("high-water mark is damaged") == true)
        try scratch.append(.refused, result: .failed)
        #expect(try scratch.verify().caveat == nil)
    }

    @Test("A clone that has seen nothing yet believes what is there")
    func noMark() throws {
        let (scratch, entries) = try grown()
        try FileManager.default.removeItem(atPath: scratch.highWater)
        try scratch.point(at: entries[2].commit)
        #expect(try scratch.verify().verdict == .intact)
    }
}
