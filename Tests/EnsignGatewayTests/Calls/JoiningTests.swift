import EnsignCrypto
import EnsignGateway
import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Synchronization
import Testing

@testable import EnsignGateway

@Suite("What is written down of a call that joined the same one")
struct JoiningTests {
    private let folder: ScratchDirectory
    private let fixture: GateFixture

    init() throws {
        folder = try ScratchDirectory()
        fixture = try GateFixture(more: "telemetry: \(folder.path)/spans")
    }

    private func spans() throws -> [Substring] {
        let name = try #require(try Files.list("\(folder.path)/spans")?.first)
        return try folder.read("spans/\(name)").split(separator: "\n")
    }

    private func key(_ name: String) throws -> SingleFlight.Key {
        try SingleFlight.Key(
            agent: GateFixture.agent,
            run: "r1",
            bundle: #require(fixture.publishedDigest()),
            operation: name.replacing("__", with: "."),
            arguments: ["amount": 1]
        )
    }

    /// Makes the same call twice at once: the second one waits for the first.
    private func both(_ name: String) throws -> [GateFixture.Answer] {
        let isHeld = Condition(true)
        let begun = Flag()
        fixture.server.contents.withLock { contents in
            contents.whenListing = {
                begun.set()
                _ = isHeld.wait(until: nil) { $0 ? nil : true }
            }
        }
        let answers = Mutex<[GateFixture.Answer]>([])
        @Sendable func call() {
            let answer = fixture.call(name, ["amount": 1])
            answers.withLock { $0.append(answer) }
        }
        let first = try Thread { call() }
        while !begun.isSet { Machine.pause(milliseconds: 1) }
        let second = try Thread { call() }
        let key = try key(name)
        while !fixture.gate.flights.isWaitedFor(key) { Machine.pause(milliseconds: 1) }
        isHeld.update { $0 = false }
        for thread in [first, second] { thread.join() }
        return answers.withLock { $0 }
    }

    @Test(
        "The intent, its verdict and its outcome, whatever that is; and a span that counts no failure again",
        arguments: [
            (UpstreamOutcome.result(MemoryServer.fine), Decision.Outcome.ok),
            (.result(["content": [], "isError": true]), .toolError),
            (.unknown(UpstreamFailure(.timedOut, "slow")), .timeout),
            (.unknown(UpstreamFailure(.ended, "gone")), .unknown),
        ]
    )
    func outcome(_ came: UpstreamOutcome, _ outcome: Decision.Outcome) throws {
        try fixture.publish(open())
        fixture.server.answer(came)
        let answers = try both("crm__update")
        #expect(answers.count == 2 && answers[0].value == answers[1].value)
        let lines = fixture.log.lines.withLock { $0 }
        #expect(lines.map(\.kind) == [.intent, .outcome, .outcome])
        for line in lines[1...] {
            #expect(line.intent == 1 && line.verdict == .allowed && line.outcome == outcome)
            #expect(line.operation == "crm.update" && line.run?.name == "r1")
        }
        #expect(lines[2].note == "joined the same call" && lines[2].milliseconds != nil)
        let spans = try spans()
        #expect(spans.count == 2)
        #expect(spans.filter { $0.contains("ensign.joined") }.count == 1)
        #expect(spans.filter { $0.contains("error.type") }.count == (outcome == .ok ? 0 : 1))
    }

    @Test("What was refused is refused, with its reason")
    func refusal() throws {
        try fixture.publish(open())
        fixture.server.contents.withLock { $0.listingFailure = UpstreamFailure(.unreachable, "no") }
        for answer in try both("crm__update") { #expect(answer.reason == "unavailable") }
        let lines = fixture.log.lines.withLock { $0 }
        #expect(lines.map(\.kind) == [.refused, .refused])
        for line in lines { #expect(line.verdict == .refused && line.reason == .unavailable && line.outcome == nil) }
        #expect(lines[1].note == "joined the same call")
        let spans = try spans()
        #expect(spans.count == 2 && spans.filter { $0.contains("error.type") }.count == 1)
        for span in spans { #expect(span.contains("unavailable")) }
    }

    @Test("What only an observed agent may has the verdict of its intent, and counts as often as it was asked for")
    func observed() throws {
        try fixture.publishPolicy()
        try fixture.publish(
            open { bundle in
                bundle.mode = .observe
                bundle.tools[0].operations["update"]?.approval = .manager
            }
        )
        _ = try both("crm__update")
        let lines = fixture.log.lines.withLock { $0 }
        #expect(lines.map(\.verdict) == [.wouldRefuse, .wouldRefuse, .wouldRefuse])
        let spans = try spans()
        #expect(spans.count == 2)
        for span in spans { #expect(span.contains("would-refuse") && span.contains("approval-pending")) }
    }

    @Test(
        "Whoever leaves before the end names the intent of the call, where it has one by then",
        arguments: [true, false]
    )
    func left(isSent: Bool) throws {
        try fixture.publish(open())
        let isHeld = Condition(true)
        let begun = Flag()
        let hold: @Sendable () -> Void = {
            begun.set()
            _ = isHeld.wait(until: nil) { $0 ? nil : true }
        }
        fixture.server.contents.withLock { contents in
            if isSent { contents.whenCalled = hold } else { contents.whenListing = hold }
        }
        let first = try Thread { [fixture] in _ = fixture.call("crm__update", ["amount": 1]) }
        while !begun.isSet { Machine.pause(milliseconds: 1) }
        let cancellation = Cancellation()
        cancellation.cancel()
        let answer = fixture.call("crm__update", ["amount": 1], cancellation: cancellation)
        let line = try #require(fixture.log.last)
        isHeld.update { $0 = false }
        first.join()
        #expect(answer.reason == "unknown-outcome" && line.note == "joined the same call, and left before its end")
        #expect(line.kind == .outcome && line.outcome == .unknown && line.intent == (isSent ? 1 : nil))
    }

    @Test(
        "Whoever waits for another process does so for the time of the call, and no longer than it wants",
        arguments: [true, false]
    )
    func elsewhere(isCancelled: Bool) throws {
        try fixture.publish(open { $0.tools[0].operations["update"]?.timeout = TimeSpan(isCancelled ? "60s" : "1s") })
        let other = try FlightFolder(state: fixture.state) { SHA256.hex(of: Array($0.text.utf8)) }
        let key = try key("crm__update")
        guard case .first(let flight) = try other.join(key, isAgreed: false) else { return #expect(Bool(false)) }
        try flight.begins()
        let cancellation = Cancellation()
        let answers = Mutex<[GateFixture.Answer]>([])
        let started = ContinuousClock.now
        // The second waits for the first, and that for the other process.
        let threads = try (0..<2).map { _ in
            try Thread { [fixture] in
                let answer = fixture.call("crm__update", ["amount": 1], cancellation: cancellation)
                answers.withLock { $0.append(answer) }
            }
        }
        while !fixture.gate.flights.isWaitedFor(key) { Machine.pause(milliseconds: 1) }
        if isCancelled { cancellation.cancel() }
        for thread in threads { thread.join() }
        #expect(ContinuousClock.now - started < .seconds(20))
        #expect(answers.withLock { $0.map(\.reason) } == ["unknown-outcome", "unknown-outcome"])
        for line in fixture.log.lines.withLock({ $0 }) { #expect(line.kind == .outcome && line.outcome == .unknown) }
        #expect(!fixture.gate.flights.isKnown(key) && fixture.server.calls.isEmpty)
        flight.end(Landed(result: MemoryServer.fine, outcome: .ok).json, .none)
        #expect(fixture.call("crm__update", ["amount": 1]).text == "fine" && fixture.server.calls.isEmpty)
    }

    @Test(
        "Whoever needs somebody's word by now does not join what is made without, and is not told its outcome",
        arguments: ["crm__update", "crm__find"]
    )
    func stricter(name: String) throws {
        try fixture.publishPolicy()
        try fixture.publish(open())
        func needsWord() throws {
            try fixture.publish(
                open("1.0.1") { bundle in
                    for name in ["update", "find"] { bundle.tools[0].operations[name]?.approval = .manager }
                }
            )
        }
        let isHeld = Condition(true)
        let begun = Flag()
        fixture.server.contents.withLock { contents in
            contents.whenCalled = {
                begun.set()
                _ = isHeld.wait(until: nil) { $0 ? nil : true }
            }
        }
        // Its client goes, so that its outcome is kept.
        let first = try Thread { [fixture] in
            #expect(fixture.call(name, ["amount": 1], cancellation: Cancellation { true }).text == "fine")
        }
        while !begun.isSet { Machine.pause(milliseconds: 1) }
        try needsWord()
        #expect(fixture.call(name, ["amount": 1]).reason == "approval-pending")
        isHeld.update { $0 = false }
        first.join()
        #expect(fixture.call(name, ["amount": 1]).reason == "approval-pending")
        #expect(fixture.server.calls.count == 1)
        // Once somebody has agreed it is the call that was made, or one of its own.
        fixture.desk.contents.withLock { $0.answer = .granted(id: "a1", by: ["ada@example.com"]) }
        #expect(fixture.call(name, ["amount": 1]).text == "fine")
    }

    @Test("What a file has kept for whoever asks again names its intent, too")
    func kept() throws {
        try fixture.publish(open())
        _ = fixture.call("crm__update", ["amount": 1], cancellation: Cancellation { true })
        #expect(fixture.call("crm__update", ["amount": 1]).text == "fine" && fixture.server.calls.count == 1)
        let last = try #require(fixture.log.last)
        #expect(last.kind == .outcome && last.intent == 1 && last.outcome == .ok && last.verdict == .allowed)
    }
}
