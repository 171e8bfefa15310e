import EnsignModel
import EnsignPolicy
import EnsignSystem
import EnsignTestSupport
import Glibc
import Testing

@testable import EnsignGateway

@Suite("Counts of runs, for longer than a process")
struct RunBookTests {
    private let scratch: ScratchDirectory
    private let bundle = Digest(hex: String(repeating: "a", count: 64))

    init() throws { scratch = try ScratchDirectory() }

    private func book(hoursAhead: Int64 = 0) throws -> RunBook {
        try RunBook(state: scratch.path) { Machine.nanoseconds / 1_000_000 + hoursAhead * 3_600_000 }
    }

    private func entry(of run: String = "r") -> RunBook.Entry {
        RunBook.Entry(agent: GateFixture.agent, run: run, operation: "crm.find", arguments: [:])
    }

    /// Counts a call.
    ///
    /// - Returns: What was known before it: calls of the run, and of the agent within a minute.
    private func count(_ book: RunBook, of run: String = "r") throws -> [Int64] {
        let entry = entry(of: run)
        let beginning = RunBook.Beginning(bundle: try #require(bundle), key: "k")
        let known = try book.count(entry, beginning: beginning, conditions: [], rates: []) { progress in
            ([progress.steps, progress.stepsInMinute], .made)
        }
        guard case .counted(let counts) = known else {
            Issue.record("it was not counted: \(known)")
            return []
        }
        return counts
    }

    @Test("When a run is over is known to other processes, and is in a file that is made anew")
    func over() throws {
        let (long, short) = (try mark(1), try mark(2))
        var state = AgentState()
        state.take(.began(run: long), at: 0)
        state.take(.over(run: long), at: 90_000)
        state.take(.call(try mark(9), run: short, isRefused: false), at: 1_000)
        state.take(.over(run: short), at: 1_000)
        var again = AgentState()
        for line in state.shortened(at: 2_000) {
            let (event, time) = try #require(AgentEvent.read(line[...]))
            again.take(event, at: time)
        }
        for known in [state, again] {
            #expect(known.openRuns(besides: short, at: 2_000) == [88_000] && !known.isOpen(short, at: 2_000))
            #expect(known.isOpen(long, at: 89_999) && !known.isOpen(long, at: 90_000))
        }
        // Whatever goes on after all is open.
        again.take(.call(try mark(9), run: long, isRefused: false), at: 100_000)
        #expect(again.openRuns(besides: short, at: 100_000) == [600_000])
    }

    private func mark(_ number: Int) throws -> Mark { try #require(Mark("000000000000000\(number)")) }

    @Test("Each of several processes counts what the others did")
    func shared() throws {
        let books = [try book(), try book(), try book()]
        for step in 0..<12 { #expect(try count(books[step % 3]) == [Int64(step), Int64(step)]) }
        #expect(try count(book()) == [12, 12])
    }

    @Test("A line whose writer died in the middle of it spoils none that comes after")
    func torn() throws {
        #expect(try count(book()) == [0, 0])
        let folder = "\(scratch.path)/runs/\(GateFixture.agent)"
        for name in try #require(try Files.list(folder)) {
            let file = try FileDescriptor("\(folder)/\(name)", O_WRONLY | O_APPEND)
            try file.write(Array("c 17".utf8), to: name)
        }
        let next = try book()
        _ = try next.beginning(of: "r", GateFixture.agent)
        #expect(try count(next) == [1, 1])
        #expect(try count(book()) == [2, 2])
    }

    @Test("A run that was forgotten meanwhile is found out when its next call is counted")
    func forgotten() throws {
        let book = try book()
        #expect(try count(book) == [0, 0])
        let beginning = try #require(try book.beginning(of: "r", GateFixture.agent, isRemembered: true))
        let folder = "\(scratch.path)/runs/\(GateFixture.agent)"
        for name in try #require(try Files.list(folder)) where name.hasPrefix("run-") {
            try Files.remove("\(folder)/\(name)")
        }
        let entry = RunBook.Entry(agent: GateFixture.agent, run: "r", operation: "crm.find", arguments: [:])
        let counted = try book.count(entry, beginning: beginning, isBegun: true, conditions: [], rates: []) { _ in
            (true, .made)
        }
        guard case .begunOtherwise = counted else {
            Issue.record("it was counted: \(counted)")
            return
        }
        #expect(try book.beginning(of: "r", GateFixture.agent) == nil)
        #expect(try count(book) == [0, 1])
    }

    @Test("A run of which nothing was heard for a day is forgotten, and its name begins another one")
    func old() throws {
        #expect(try count(book()) == [0, 0])
        #expect(try count(book(hoursAhead: 23)) == [1, 0])
        #expect(try book(hoursAhead: 46).beginning(of: "r", GateFixture.agent) != nil)
        let late = try book(hoursAhead: 48)
        #expect(try late.beginning(of: "r", GateFixture.agent) == nil)
        #expect(try count(late) == [0, 0])
    }

    @Test("A run for whose call people are asked is kept until they need not answer any more")
    func waiting() throws {
        #expect(try count(book()) == [0, 0])
        try book().asked(entry(), until: Machine.now + 72 * 3_600)
        try book(hoursAhead: 48).sweep()
        #expect(try book(hoursAhead: 71).beginning(of: "r", GateFixture.agent) != nil)
        #expect(try book(hoursAhead: 73).beginning(of: "r", GateFixture.agent) == nil)
    }

    @Test("Files of forgotten runs are removed, so many at a time, and no others")
    func sweeping() throws {
        func files() throws -> Int {
            try #require(try Files.list("\(scratch.path)/runs/\(GateFixture.agent)")).count { $0.hasPrefix("run-") }
        }
        for run in 0..<25 { _ = try count(book(), of: "r\(run)") }
        try book(hoursAhead: 23).sweep()
        #expect(try files() == 25)
        let late = try book(hoursAhead: 25)
        // By its file's time it is old, by its last call it is not.
        _ = try count(late, of: "r3")
        var counts: [Int] = []
        for _ in 0..<4 {
            late.sweep(most: 10)
            counts.append(try files())
        }
        #expect(counts[0] > 10 && counts[0] < 25 && counts[3] == 1, "\(counts)")
        #expect(try count(late, of: "r3") == [1, 1])
        // Another look begins an hour later.
        _ = try count(book(), of: "late")
        late.sweep()
        #expect(try files() == 2)
    }

    @Test("A file that another process has made anew is the one that counts from then on")
    func replaced() throws {
        let books = [try book(), try book()]
        for step in 0..<6_000 { #expect(try count(books[step % 2])[0] == Int64(step)) }
    }

    @Test("A file that has grown long is made anew, and says the same")
    func long() throws {
        let book = try book()
        for step in 0..<8_000 {
            let entry = RunBook.Entry(
                agent: GateFixture.agent,
                run: "r",
                operation: "crm.find",
                arguments: ["number": .integer(Int64(step % 100))]
            )
            let beginning = RunBook.Beginning(bundle: try #require(bundle), key: "k")
            _ = try book.count(entry, beginning: beginning, conditions: [], rates: []) { _ in ((), .made) }
        }
        let folder = "\(scratch.path)/runs/\(GateFixture.agent)"
        for name in try #require(try Files.list(folder)) {
            #expect(try #require(try Files.status("\(folder)/\(name)")).size < 300_000)
        }
        #expect(try count(self.book())[0] == 8_000)
    }

    @Test("A call for which people are asked is counted once by each process, also from a file that was made anew")
    func asked() throws {
        let entry = RunBook.Entry(agent: GateFixture.agent, run: "r", operation: "crm.find", arguments: ["x": 1])
        let beginning = RunBook.Beginning(bundle: try #require(bundle), key: "k")
        let rates: Set<CallRate.Period> = [.hour]
        /// What was known before it: calls of the run, the same ones of it and of its agent, by its rate, and of the agent.
        func ask(_ fate: RunBook.Fate = .asks) throws -> [Int64] {
            let answer = try book().count(entry, beginning: beginning, conditions: [], rates: rates) { progress in
                let same = [progress.sameCalls, progress.sameCallsInMinute]
                return ([progress.steps] + same + [progress.calls[.hour] ?? -1, progress.stepsInMinute], fate)
            }
            guard case .counted(let counts) = answer else { return [] }
            return counts
        }
        #expect(try ask() == [0, 0, 0, 0, 0])
        try book().asked(entry, until: Machine.now + 600)
        for step in 1..<5 { #expect(try ask() == [0, 0, 0, 0, Int64(step)]) }
        let other = try self.book()
        for _ in 0..<6_000 { _ = try count(other) }
        #expect(try ask().prefix(4) == [0, 0, 0, 0])
        #expect(try ask(.made).prefix(4) == [0, 0, 0, 0])
        #expect(try ask().prefix(4) == [6_001, 1, 1, 1], "it was made: this is another one")
    }

    @Test("A file whose lines all count is not made anew by each call: an agent's with many runs, a long run's")
    func doubled() throws {
        let books = [try book(), try book()]
        let beginning = RunBook.Beginning(bundle: try #require(bundle), key: "k")
        let folder = "\(scratch.path)/runs/\(GateFixture.agent)"
        var files: [String: Set<UInt64>] = [:]
        var names: [String] = []
        for step in 0..<9_000 {
            let entry = RunBook.Entry(
                agent: GateFixture.agent,
                run: step < 4_500 ? "one" : "r\(step)",
                operation: "crm.find",
                arguments: ["number": .integer(Int64(step % 4_000))]
            )
            _ = try books[step % 2].count(entry, beginning: beginning, conditions: [], rates: []) { _ in ((), .made) }
            if step < 4_000 { try books[0].succeeded(entry, names: ["number"]) }
            // Often enough: files that are made anew by each call differ each time.
            guard step % 10 == 0 else { continue }
            if step == 0 { names = try #require(try Files.list(folder)) }
            for name in names {
                files[name, default: []].insert(try #require(try Files.status("\(folder)/\(name)")).inode)
            }
        }
        #expect(files.count == 2 && files.values.allSatisfy { $0.count < 12 }, "\(files.mapValues(\.count))")
        #expect(try #require(try Files.status("\(folder)/agent")).size > EventFile.most)
        #expect(try count(self.book())[1] >= 0)
    }
}
