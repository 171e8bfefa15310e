import EnsignCrypto
import EnsignJSON
import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Synchronization
import Testing

@testable import EnsignGateway

@Suite("Calls that must not be made twice, among processes")
struct FlightFolderTests {
    private let scratch: ScratchDirectory

    init() throws { scratch = try ScratchDirectory() }

    /// What another process has of the same state.
    private func folder(ahead seconds: Int64 = 0) throws -> FlightFolder {
        let ahead = seconds * 1_000_000_000
        return try FlightFolder(state: scratch.path, clock: { Machine.nanoseconds + ahead }) {
            SHA256.hex(of: Array($0.text.utf8))
        }
    }

    private static let digest = compiled(bundle()).digest

    private func key(_ amount: Int64 = 1) -> SingleFlight.Key {
        SingleFlight.Key(
            agent: GateFixture.agent,
            run: "r",
            bundle: Self.digest,
            operation: "crm.update",
            arguments: ["amount": .integer(amount)]
        )
    }

    private func begin(_ folder: FlightFolder, isAgreed: Bool = false) throws -> FlightFolder.Flight {
        guard case .first(let flight) = try folder.join(key(), isAgreed: isAgreed) else {
            throw RecordFailure("somebody else makes it")
        }
        return flight
    }

    /// What a process leaves that dies in the middle of a call.
    private func leaveSent() throws { try begin(try folder()).begins() }

    private func outcome(_ place: FlightFolder.Place) -> String {
        switch place {
        case .first: "first"
        case .over(let outcome): outcome.text
        case .unknown: "unknown"
        case .left: "left"
        }
    }

    private func ask(_ folder: FlightFolder) throws -> String { outcome(try folder.join(key(), isAgreed: false)) }

    private var files: [String] { get throws { try Files.list("\(scratch.path)/flights") ?? [] } }

    @Test("Who asks elsewhere while a call is made gets its outcome, and others ask for something else")
    func joining() throws {
        let (one, other) = (try folder(), try folder())
        let flight = try begin(one)
        try flight.begins()
        #expect(other.isKnown(key()) && !other.isKnown(key(2)))
        guard case .first(let second) = try other.join(key(2), isAgreed: false) else { return #expect(Bool(false)) }
        second.end(nil, .none)
        let answers = Mutex<[String]>([])
        let threads = try (0..<3).map { _ in
            try Thread {
                let answer = (try? ask(other)) ?? "failed"
                answers.withLock { $0.append(answer) }
            }
        }
        while try !(scratch.read("flights/\(files[0])").hasPrefix("w")) { Machine.pause(milliseconds: 1) }
        flight.end(["done": 1], .none)
        for thread in threads { thread.join() }
        #expect(answers.withLock { $0 } == Array(repeating: #"{"done":1}"#, count: 3))
    }

    @Test("Who waits no longer leaves the call alone, and its outcome waits for whoever asks again")
    func left() throws {
        let flight = try begin(try folder())
        try flight.begins()
        let other = try folder()
        var looks = 0
        let place = try other.join(key(), isAgreed: false) {
            looks += 1
            return looks < 3
        }
        #expect(outcome(place) == "left" && looks == 3)
        flight.end(7, .none)
        #expect(try ask(other) == "7")
    }

    @Test("A call that is over and taken leaves no file, and may be made again")
    func taken() throws {
        let folder = try folder()
        for _ in 0..<3 {
            let flight = try begin(folder)
            try flight.begins()
            flight.end([:], .none)
            #expect(try files.isEmpty && !folder.isKnown(key()))
        }
    }

    @Test("An outcome that nobody took is told once, one that is told again for its minute")
    func kept() throws {
        for (keeping, wanted) in [(SingleFlight.Keeping.untilTaken, ["7", "first"]), (.aMinute, ["7", "7"])] {
            let flight = try begin(try folder())
            try flight.begins()
            flight.end(7, keeping)
            #expect(try folder().isKnown(key()) && !folder(ahead: 61).isKnown(key()))
            #expect(try [ask(folder()), ask(folder())] == wanted)
            #expect(try ask(folder(ahead: 61)) == "first")
            try folder(ahead: 200).sweep()
            #expect(try files.isEmpty)
        }
    }

    @Test("What is made with the word of fewer people than are needed is not known to whoever needs more")
    func words() throws {
        let other = try folder()
        let cases: [(Approval, [Bool])] = [
            (.none, [true, false, false]), (.manager, [true, true, false]), (.dual, [true, true, true]),
        ]
        for (with, known) in cases {
            func isKnown() -> [Bool] { Approval.allCases.map { other.isKnown(key(), with: $0) } }
            let flight = try begin(try folder(), isAgreed: true)
            #expect(isKnown() == [true, false, false], "it is not sent yet")
            try flight.begins(with: with)
            #expect(isKnown() == known)
            var landed = Landed(result: 7, outcome: .ok)
            landed.approval = with
            flight.end(landed.json, .untilTaken)
            #expect(isKnown() == known)
            #expect(try Landed(JSONParser.parse(Array(ask(other).utf8))).approval == with)
        }
    }

    @Test("A late outcome takes the place of the one that is kept, of the same call alone")
    func amended() throws {
        let folder = try folder()
        func amend(_ intent: Int64) -> String {
            folder.amend(key(), Landed(result: "late", intent: intent, outcome: .ok).json)
            return (try? ask(folder)) ?? ""
        }
        let unknown = Landed(result: "a long text that says so", intent: 5, outcome: .timeout).json
        let flight = try begin(folder)
        try flight.begins()
        flight.end(unknown, .aMinute)
        #expect(amend(4) == unknown.text)
        #expect(amend(5).contains("late") && amend(5).contains("late"))
        try self.folder(ahead: 200).sweep()
        folder.amend(key(), Landed(result: "late", intent: 5, outcome: .ok).json)
        #expect(try files.isEmpty)
    }

    @Test("What was sent by a process that has died is unknown for a minute, unless people agree to it anew")
    func died() throws {
        try leaveSent()
        #expect(try [ask(folder()), ask(folder())] == ["unknown", "unknown"])
        #expect(try !folder().isKnown(key()), "people are asked again")
        #expect(try ask(folder(ahead: 61)) == "first")
        try leaveSent()
        _ = try begin(try folder(), isAgreed: true)
    }

    @Test("What is unknown is so for a minute from when that was found, however long ago the call was sent")
    func foundLate() throws {
        try leaveSent()
        #expect(try [ask(folder(ahead: 301)), ask(folder(ahead: 360))] == ["unknown", "unknown"])
        #expect(try ask(folder(ahead: 362)) == "first")
        // Who only cleans up finds it, too, and takes nothing away from those who ask.
        try leaveSent()
        try folder(ahead: 301).sweep()
        #expect(try ask(folder(ahead: 360)) == "unknown")
        try folder(ahead: 362).sweep()
        #expect(try files.isEmpty)
    }

    @Test("Where the clock is set back, the minute of an outcome and of what is unknown begins then")
    func setBack() throws {
        try leaveSent()
        #expect(
            try [3_600, 0, 50, 61].map { try ask(folder(ahead: $0)) } == ["unknown", "unknown", "unknown", "first"]
        )
        let flight = try begin(try folder())
        try flight.begins()
        flight.end(7, .aMinute)
        #expect(try folder(ahead: -3_600).isKnown(key()))
        #expect(try [-3_600, -3_550, -3_539].map { try ask(folder(ahead: $0)) } == ["7", "7", "first"])
        // Who only cleans up sets it right, too.
        try leaveSent()
        #expect(try ask(folder(ahead: 3_600)) == "unknown")
        try folder().sweep()
        try folder(ahead: 62).sweep()
        #expect(try files.isEmpty)
    }

    @Test("Who waits for a process that dies is told that it is unknown, however long ago the call was sent")
    func diedWhileAwaited() throws {
        var flight: FlightFolder.Flight? = try begin(try folder())
        try flight?.begins()
        let answer = Mutex("")
        let thread = try Thread { [late = try folder(ahead: 301)] in
            let found = (try? ask(late)) ?? "failed"
            answer.withLock { $0 = found }
        }
        while try !(scratch.read("flights/\(files[0])").hasPrefix("w")) { Machine.pause(milliseconds: 1) }
        flight = nil
        thread.join()
        #expect(answer.withLock { $0 } == "unknown")
    }

    @Test("What was not sent is made by whoever waits for it, or asks later")
    func notSent() throws {
        let folder = try folder()
        let flight = try begin(folder)
        let answer = Mutex("")
        let thread = try Thread {
            let found = (try? ask(folder)) ?? "failed"
            answer.withLock { $0 = found }
        }
        while try !(scratch.read("flights/\(files[0])").hasPrefix("w")) { Machine.pause(milliseconds: 1) }
        flight.end(nil, .none)
        thread.join()
        #expect(answer.withLock { $0 } == "first")
        // One who died before sending has done nothing.
        _ = try begin(folder)
        #expect(try ask(folder) == "first")
    }

    @Test("An outcome that cannot be read is unknown, not made again")
    func damaged() throws {
        let flight = try begin(try folder())
        try flight.begins()
        flight.end("x", .aMinute)
        let file = "flights/\(try files[0])"
        let text = try scratch.read(file)
        try scratch.write(file, String(text.dropLast(3)))
        #expect(try ask(folder()) == "unknown")
    }
}
