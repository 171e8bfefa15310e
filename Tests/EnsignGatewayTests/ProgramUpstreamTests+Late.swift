import EnsignModel
import EnsignSystem
import Synchronization
import Testing

@testable import EnsignGateway

/// Answers that come when the time of a call is over.
extension ProgramUpstreamTests {
    @Test("a late answer is told to whoever made the call and wants to know, an error and one that never came are not")
    func lateOutcome() throws {
        let upstream = upstream("legacy")
        defer { upstream.end() }
        let told = Mutex<[String]>([])
        for name in ["late", "error late", "hang"] {
            var call = call(name, timeout: .milliseconds(100))
            call.late = { result in told.withLock { $0.append("\(name): \(result.said ?? "")") } }
            guard case .unknown(let failure) = upstream.call(call) else { return #expect(Bool(false)) }
            #expect(failure.kind == .timedOut)
        }
        #expect(try upstream.call(self.call("slow", ["seconds": 1])).result().said == "slow")
        let end = ContinuousClock.now + .seconds(10)
        while told.withLock({ $0.isEmpty }), .now < end { Machine.pause(milliseconds: 5) }
        #expect(told.withLock { $0 } == ["late: late"])
    }
}
