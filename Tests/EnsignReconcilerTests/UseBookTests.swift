import EnsignLedger
import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignReconciler

@Suite("What agents were seen to call")
struct UseBookTests {
    private func day(_ number: Int64) -> Day { Day(number: number) }

    @Test("Days of telemetry are ranges: their gaps, and since when they are whole, are those of the days put in")
    func ranges() throws {
        var random = SeededGenerator(for: "watched days", standard: 3)
        for _ in rounds(300) {
            var (days, model) = (WatchedDays(), Set<Int64>())
            for _ in 0..<random.int(0...40) {
                let number = Int64(random.int(0...30))
                #expect(days.insert(day(number)) == model.insert(number).inserted)
            }
            for number in Int64(-1)...32 { #expect(days.contains(day(number)) == model.contains(number)) }
            for (one, next) in zip(days.ranges, days.ranges.dropFirst()) {
                #expect(one.upperBound.advanced(by: 1) < next.lowerBound)
            }
            let (first, last) = (Int64(random.int(0...30)), Int64(random.int(0...30)))
            let gap = first > last ? nil : (first...last).first { !model.contains($0) }
            #expect(days.gap(from: day(first), to: day(last))?.number == gap, "seed \(random.seed)")
            var since: Int64? = model.contains(last) ? last : nil
            while let known = since, model.contains(known - 1) { since = known - 1 }
            #expect(days.since(upTo: day(last))?.number == since, "seed \(random.seed)")
            var other = WatchedDays()
            for number in [5, 6, 20] { other.insert(day(Int64(number))) }
            days.formUnion(other)
            #expect((0...31).allSatisfy { days.contains(day($0)) == (model.contains($0) || [5, 6, 20].contains($0)) })
            #expect(WatchedDays(days.contents) == days)
        }
    }

    @Test("Only a day that is newer is news; several files are read and written each for its team")
    func news() throws {
        let scratch = try ScratchDirectory()
        let files = LedgerFiles(commonDirectory: scratch.path)
        let other = AgentID(team: "sales", name: "lead")
        var book = UseBook()
        book.note("crm__find", ["crm.find"], by: .triage, on: day(10))
        book.note("find", ["crm.find"], by: .triage, on: day(9))
        book.note("x", [], by: other, on: day(11))
        book.completed(day(10))
        try book.takeNews().write(files, "prod")
        #expect(!book.hasNews)
        book.note("crm__find", ["crm.find"], by: .triage, on: day(10))
        book.completed(day(10))
        #expect(!book.hasNews)
        // Another process knows nothing of it, and takes nothing away.
        var next = UseBook()
        next.note("crm__find", ["crm.find"], by: .triage, on: day(8))
        next.note("both", ["crm.find", "crm.update"], by: .triage, on: day(12))
        next.completed(day(12))
        try next.takeNews().write(files, "prod")
        let support = try #require(try StateFile<TeamUse>(files, "prod", part: "support").read())
        #expect(support.since == day(10))
        #expect(support.agents[.triage]?.operations == ["crm.find": day(12), "crm.update": day(12)])
        #expect(support.agents[.triage]?.lastCall == day(12))
        let sales = try #require(try StateFile<TeamUse>(files, "prod", part: "sales").read())
        #expect(sales.agents[other]?.operations == [:] && sales.agents[other]?.unknown == ["x": day(11)])
        let days = try #require(try StateFile<WatchedDays>(files, "prod").read())
        #expect(days.ranges == [day(10)...day(10), day(12)...day(12)])
    }

    @Test("A day counts once everything is read, not when reading of it has begun")
    func begun() {
        var book = UseBook()
        book.happened(day(3))
        book.happened(day(4))
        #expect(!book.hasNews)
        book.completed(day(9))
        #expect(book.takeNews().days.ranges == [day(3)...day(4), day(9)...day(9)])
        book.happened(day(4))
        book.completed(day(9))
        #expect(!book.hasNews)
    }

    @Test("After damage it is known only since then; what cannot be read is not replaced, and is tried again")
    func damage() throws {
        let scratch = try ScratchDirectory()
        let files = LedgerFiles(commonDirectory: scratch.path)
        func note(_ number: Int64) -> UseBook {
            var book = UseBook()
            book.note("find", ["crm.find"], by: .triage, on: day(number))
            return book
        }
        var book = note(10)
        try book.takeNews().write(files, "prod")
        let file = StateFile<TeamUse>(files, "prod", part: "support")
        try scratch.write("ensign/state/prod/use.support", "{\"v\":1}\n")
        book = note(20)
        try book.takeNews().write(files, "prod")
        #expect(try file.read()?.since == day(20))
        // A folder in its place.
        try file.remove()
        try scratch.write("ensign/state/prod/use.support/x", "")
        book = note(21)
        let news = book.takeNews()
        #expect(throws: (any Error).self) { try news.write(files, "prod") }
        book.putBack(news)
        #expect(book.hasNews)
    }

    @Test("Names that telemetry makes up take little room, and the operations that were called last stay")
    func bounds() {
        var use = OperationUse()
        for index in 0..<1_000 {
            _ = use.note("made-up-\(index)-" + String(repeating: "x", count: 500), [], day(1))
        }
        #expect(use.unknown.count == OperationUse.mostUnknown)
        #expect(use.unknown.keys.allSatisfy { $0.utf8.count <= 80 })
        var many = OperationUse()
        for index in 0..<(OperationUse.mostOperations + 10) { _ = many.note("n", ["t.o\(index)"], day(Int64(index))) }
        use.formUnion(many)
        #expect(use.operations.count == OperationUse.mostOperations)
        #expect(use.operations["t.o9"] == nil && use.operations["t.o10"] != nil)
    }
}
