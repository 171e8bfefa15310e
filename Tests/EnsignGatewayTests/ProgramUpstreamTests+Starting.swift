import EnsignMCP
import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Foundation
import Synchronization
import Testing

@testable import EnsignGateway

/// How a program is started, again after it ended, and how long that may take.
extension ProgramUpstreamTests {
    @Test("a crash leaves the calls under way unknown, and the next call starts it again")
    func crash() throws {
        let upstream = upstream("legacy")
        defer { upstream.end() }
        _ = upstream.call(call("echo"))
        let other = try EnsignSystem.Thread { [self] in
            guard case .unknown(let failure) = upstream.call(call("slow", ["seconds": 20])) else {
                return #expect(Bool(false))
            }
            #expect(failure.kind == .ended)
        }
        hears("slow")
        guard case .unknown(let failure) = upstream.call(call("die")) else { return #expect(Bool(false)) }
        #expect(failure.kind == .ended)
        other.join()
        #expect(try upstream.call(call("echo", ["a": 4])).result()["structuredContent"] == ["a": 4])
        #expect(starts == 2)
    }

    @Test("a call waits for a short rest: a program that ended twice is there for the next one")
    func shortRest() throws {
        let upstream = upstream("legacy")
        defer { upstream.end() }
        for _ in 0..<2 { guard case .unknown = upstream.call(call("die")) else { return #expect(Bool(false)) } }
        let start = ContinuousClock.now
        #expect(try upstream.call(call("echo", ["a": 1])).result()["structuredContent"] == ["a": 1])
        #expect(ContinuousClock.now - start > .milliseconds(200))
        #expect(starts == 3)
    }

    @Test("a program that keeps ending is given a rest")
    func rest() {
        let upstream = ProgramUpstream(ProgramAddress(words: ["/bin/false"]), secrets: { [] }, version: "0")
        var messages: [String] = []
        for _ in 0..<20 {
            guard case .notSent(let failure) = upstream.call(call("echo")) else { return #expect(Bool(false)) }
            messages.append(failure.message)
        }
        #expect(messages.contains { $0.contains("started again after a moment") })
    }

    @Test("a server that takes its time to start is asked what it offers when it serves, and never told to forget that")
    func sleepy() throws {
        let upstream = upstream("sleepy")
        defer { upstream.end() }
        let first = try EnsignSystem.Thread {
            #expect((try? upstream.listing(within: .seconds(20)))?.tools.count == 3)
        }
        let end = ContinuousClock.now + .seconds(20)
        while !((try? scratch.read("seen")) ?? "").contains("initialize"), ContinuousClock.now < end { usleep(5_000) }
        #expect(throws: UpstreamFailure.self) { try upstream.listing(within: .milliseconds(50), waitsForStart: false) }
        // Calls look at the list first, and wait as long as a start may take.
        #expect(try upstream.listing(within: .milliseconds(200)).tools.count == 3)
        first.join()
        let read = try scratch.read("seen")
        #expect(!read.contains("cancelled"), "\(read)")
        #expect(starts == 1)
    }

    @Test(
        "a server that does not come to serve within startTimeout fails whoever waits for it, and is begun once for all"
    )
    func startTimeout() throws {
        let upstream = upstream("hangs", startTimeout: .seconds(1))
        defer { upstream.end() }
        let start = ContinuousClock.now
        let failures = Condition([UpstreamOutcome]())
        let threads = try (0..<3).map { _ in
            try EnsignSystem.Thread { [call = call("echo")] in
                let outcome = upstream.call(call)
                failures.update { $0.append(outcome) }
            }
        }
        for thread in threads { thread.join() }
        for outcome in failures.withLock({ $0 }) {
            guard case .notSent(let failure) = outcome else { return #expect(Bool(false)) }
            #expect(failure.message == "the server did not serve within 1 s of its start: startTimeout")
        }
        #expect(starts == 1 && ContinuousClock.now - start < .seconds(10))
    }

    @Test("what is not started any more fails whoever waits for its start at once, and what runs goes on")
    func startsNoMore() throws {
        let (starting, running) = (upstream("hangs"), upstream("legacy"))
        defer { for each in [starting, running] { each.end() } }
        _ = try running.call(call("echo")).result()
        let start = ContinuousClock.now
        let outcomes = Condition([UpstreamOutcome]())
        let threads = try (0..<3).map { _ in
            try EnsignSystem.Thread { [call = call("echo")] in
                let outcome = starting.call(call)
                outcomes.update { $0.append(outcome) }
            }
        }
        while starts < 2, ContinuousClock.now - start < .seconds(10) { usleep(5_000) }
        for each in [starting, running] { each.startNoMore() }
        for thread in threads { thread.join() }
        #expect(try running.call(call("echo", ["a": 1])).result()["structuredContent"] == ["a": 1])
        for outcome in outcomes.withLock({ $0 }) + [starting.call(call("echo"))] {
            guard case .notSent(let failure) = outcome else { return #expect(Bool(false), "\(outcome)") }
            #expect(failure == UpstreamFailure(.cancelled, "the gateway is being stopped"))
        }
        running.end()
        #expect(throws: UpstreamFailure.self) { try running.listing(within: .seconds(5)) }
        #expect(starts == 2 && ContinuousClock.now - start < .seconds(15))
    }
}
