import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Synchronization
import Testing

@testable import EnsignGateway

extension ProgramUpstreamTests {
    /// What the operator is told.
    private final class Told: Sendable {
        let failures = Condition<[UpstreamFailure]>([])

        func tell(_ failure: UpstreamFailure) { failures.update { $0.append(failure) } }

        /// The first, which may take its time.
        var first: UpstreamFailure? { failures.wait(until: .now + .seconds(20)) { $0.first } }
        var count: Int { failures.withLock { $0.count } }
    }

    private func upstream(_ behaviour: String, telling told: Told, idle: Duration = .seconds(600)) -> ProgramUpstream {
        var address = ProgramAddress(words: ["/usr/bin/python3", "\(servers)/upstream.py", behaviour])
        address.directory = scratch.path
        let environment = [("PATH", "/usr/bin:/bin"), ("SEEN", seen), ("STARTS", "\(scratch.path)/starts")]
        return ProgramUpstream(
            address,
            secrets: { environment.map { (name: $0.0, value: $0.1) } },
            version: "0",
            idle: idle,
            deaf: .seconds(1),
            tell: told.tell
        )
    }

    @Test("that a program is ended for reading nothing is told, though nobody waits for it")
    func deafIsTold() throws {
        let told = Told()
        let upstream = upstream("deaf", telling: told)
        defer { upstream.end() }
        let long = call("echo", ["a": .string(String(repeating: "x", count: 200_000))], timeout: .milliseconds(100))
        guard case .unknown = upstream.call(long) else { return #expect(Bool(false)) }
        #expect(told.first?.message == "the server took nothing of its input for 1 s, and was ended")
    }

    @Test("that a program is ended for asking without reading is told")
    func askingIsTold() throws {
        let told = Told()
        let upstream = upstream("serial", telling: told)
        defer { upstream.end() }
        _ = upstream.call(call("asks", ["seconds": 60, "times": 20_000]))
        #expect(told.first?.message == "the server asks, and does not read what it is answered: it was ended")
        #expect(told.count == 1)
    }

    @Test("that a program ends, or is ended for rest, is told by its calls alone")
    func restIsNotTold() throws {
        let told = Told()
        let upstream = upstream("legacy", telling: told, idle: .milliseconds(300))
        defer { upstream.end() }
        _ = upstream.call(call("die"))
        _ = try upstream.call(call("echo")).result()
        Machine.pause(milliseconds: 1_500)
        _ = try upstream.call(call("echo")).result()
        #expect(told.count == 0 && starts == 3)
    }
}
