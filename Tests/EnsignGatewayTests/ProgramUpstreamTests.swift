import EnsignMCP
import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Foundation
import Synchronization
import Testing

@testable import EnsignGateway

let servers = (#filePath as NSString).deletingLastPathComponent + "/Servers"

@Suite("A program behind the gateway")
struct ProgramUpstreamTests {
    let scratch: ScratchDirectory
    var seen: String { "\(scratch.path)/seen" }

    init() throws {
        _ = ignoresBrokenPipes
        scratch = try ScratchDirectory()
    }

    func upstream(
        _ behaviour: String,
        idle: Duration = .seconds(600),
        deaf: Duration = .seconds(10),
        startTimeout: Duration = ProgramAddress.startTimeout
    ) -> ProgramUpstream {
        let environment = [
            ("PATH", "/usr/bin:/bin"), ("SEEN", seen), ("STARTS", "\(scratch.path)/starts"), ("SECRET", "s3cret"),
        ]
        var address = ProgramAddress(words: ["/usr/bin/python3", "\(servers)/upstream.py", behaviour])
        (address.directory, address.startTimeout) = (scratch.path, startTimeout)
        return ProgramUpstream(
            address,
            secrets: { environment.map { (name: $0.0, value: $0.1) } },
            version: "0",
            idle: idle,
            deaf: deaf
        )
    }

    func call(
        _ tool: String,
        _ arguments: JSONValue = [:],
        timeout: Duration = .seconds(20),
        most: Int = 4 << 20,
        cancellation: Cancellation = Cancellation(),
        progress: (@Sendable (JSONObject) -> Void)? = nil
    ) -> UpstreamCall {
        UpstreamCall(
            tool: tool,
            arguments: arguments,
            timeout: timeout,
            most: most,
            cancellation: cancellation,
            progress: progress
        )
    }

    /// Makes a call once more where its server had ended before it was sent, as the gate does.
    private func make(_ call: UpstreamCall, _ upstream: ProgramUpstream) -> UpstreamOutcome {
        let outcome = upstream.call(call)
        guard case .notSent(let failure) = outcome, failure.kind == .ended else { return outcome }
        return upstream.call(call)
    }

    /// Waits until the server has read so many calls of a tool.
    func hears(_ tool: String, times: Int = 1) {
        let end = ContinuousClock.now + .seconds(10)
        let name = "\"name\":\"\(tool)\""
        while ((try? scratch.read("seen")) ?? "").components(separatedBy: name).count <= times {
            guard ContinuousClock.now < end else { return #expect(Bool(false), "it never reads \(tool)") }
            usleep(5_000)
        }
    }

    var starts: Int { (try? scratch.read("starts"))?.split(separator: "\n").count ?? 0 }

    @Test(
        "both eras are spoken, also with servers that end when they are asked in the other one",
        arguments: [
            ("legacy", "1"), ("modern", "2"), ("greets", "1"), ("mark", "1"),
        ]
    )
    func eras(behaviour: String, version: String) throws {
        let upstream = upstream(behaviour)
        defer { upstream.end() }
        let listing = try upstream.listing(within: .seconds(20))
        #expect(listing.name == "up" && listing.version == version)
        #expect(listing.tools.map(\.name) == ["tool_0_v1", "tool_1_v1", "tool_2_v1"])
        let result = try upstream.call(call("echo", ["a": 1])).result()
        #expect(result["structuredContent"] == ["a": 1])
        #expect(starts == 1)
    }

    @Test("a server that ends at a handshake is started again, and asked in the newer way")
    func exits() throws {
        let upstream = upstream("exits")
        defer { upstream.end() }
        #expect(try make(call("echo", ["a": 2]), upstream).result()["structuredContent"] == ["a": 2])
        #expect(starts == 2)
    }

    @Test("a server of no known version is not used, and one that is not there is said to be so")
    func unusable() {
        let other = upstream("other")
        guard case .notSent(let failure) = other.call(call("echo")) else { return #expect(Bool(false)) }
        #expect(failure.kind == .malformed)
        let missing = ProgramUpstream(ProgramAddress(words: ["/does/not/exist"]), secrets: { [] }, version: "0")
        guard case .notSent(let failure) = missing.call(call("echo")) else { return #expect(Bool(false)) }
        #expect(failure.kind == .unreachable)
    }

    @Test("secrets that cannot be resolved are a call that was not made")
    func secrets() {
        let upstream = ProgramUpstream(
            ProgramAddress(words: ["/bin/cat"]),
            secrets: { () throws(UpstreamFailure) in throw UpstreamFailure(.unreachable, "no vault") },
            version: "0"
        )
        guard case .notSent(let failure) = upstream.call(call("echo")) else { return #expect(Bool(false)) }
        #expect(failure.message == "no vault")
    }

    @Test("the program gets exactly the environment and folder that it is given")
    func surroundings() throws {
        let upstream = upstream("legacy")
        defer { upstream.end() }
        let text = try #require(try upstream.call(call("environment")).result().said)
        let environment = try read(Array(text.utf8))
        // Python itself sets LC_CTYPE.
        #expect(
            Set(environment.object?.map(\.key) ?? []).subtracting(["LC_CTYPE"]) == ["PATH", "SEEN", "STARTS", "SECRET"]
        )
        #expect(try upstream.call(call("where")).result().said == scratch.path)
    }

    @Test("the server sees the name, the canonical arguments, the trace, and nothing else")
    func canonical() throws {
        let upstream = upstream("legacy")
        defer { upstream.end() }
        var call = call("echo", ["b": 1e2, "a": "é"])
        call.meta = ["traceparent": "00-1"]
        _ = upstream.call(call)
        let line = try scratch.read("seen").split(separator: "\n").last { $0.contains("tools/call") }
        #expect(
            line
                == #"{"id":2,"jsonrpc":"2.0","method":"tools/call","params":{"_meta":{"traceparent":"00-1"},"arguments":{"a":"é","b":100},"name":"echo"}}"#
        )
    }

    @Test("calls run beside each other")
    func concurrent() throws {
        let upstream = upstream("legacy")
        defer { upstream.end() }
        _ = upstream.call(call("echo"))
        let time = ContinuousClock().measure {
            let results = try? Parallel.map(8) { index in
                try upstream.call(call("slow", ["seconds": 0.5, "n": .integer(Int64(index))])).result().said
            }
            #expect(results == Array(repeating: "slow", count: 8))
        }
        #expect(time < .seconds(3))
        #expect(starts == 1)
    }

    @Test("whoever reads for all and leaves is followed by another one who waits")
    func following() throws {
        let upstream = upstream("legacy")
        defer { upstream.end() }
        _ = upstream.call(call("echo"))
        let cancellation = Cancellation()
        let reader = try EnsignSystem.Thread { [self] in
            guard case .unknown = upstream.call(call("cancellable", cancellation: cancellation)) else {
                return #expect(Bool(false))
            }
        }
        hears("cancellable")
        let others = try (0..<3).map { index in
            try EnsignSystem.Thread { [self] in
                let seconds = 0.2 + Double(index) / 10
                #expect((try? upstream.call(call("slow", ["seconds": JSONValue(seconds)])).result().said) == "slow")
            }
        }
        hears("slow", times: 3)
        cancellation.cancel()
        for thread in [reader] + others { thread.join() }
    }

    @Test("whoever waits alone looks after its client as well; whoever waits beside others lets another one do it")
    func client() throws {
        let upstream = upstream("legacy")
        defer { upstream.end() }
        _ = upstream.call(call("echo"))
        let client = Pipe()
        let passed = Condition(0)
        var alone = call("slow", ["seconds": 1])
        alone.reading = ClientReading(client.fileHandleForReading.fileDescriptor) { passed.update { $0 += 1 } }
        let (first, second) = (alone, alone)
        let thread = try EnsignSystem.Thread { #expect((try? upstream.call(first).result().said) == "slow") }
        hears("slow")
        #expect(passed.withLock { $0 } == 0)
        let other = try EnsignSystem.Thread { #expect((try? upstream.call(second).result().said) == "slow") }
        #expect(passed.wait(until: .now + .milliseconds(500)) { $0 == 1 ? true : nil } == true)
        try client.fileHandleForWriting.write(contentsOf: Data("{".utf8))
        #expect(passed.wait(until: .now + .milliseconds(500)) { $0 == 2 ? true : nil } == true, "its client speaks")
        thread.join()
        other.join()
        withExtendedLifetime(client) {}
    }

    @Test("a server that ended a moment ago is started again for the next call, and nothing of it is sent twice")
    func endsBetween() throws {
        let upstream = upstream("legacy")
        defer { upstream.end() }
        let process = try #require(pid_t(try upstream.call(call("leave")).result().said ?? ""))
        // Sooner than the session's own thread looks.
        while let stat = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8), !stat.contains(") Z ") {
            usleep(200)
        }
        #expect(try make(call("echo", ["a": 1]), upstream).result()["structuredContent"] == ["a": 1])
        #expect(starts == 2)
    }

    @Test("a call that was held against the list of another start is not sent")
    func otherStart() throws {
        let upstream = upstream("legacy")
        defer { upstream.end() }
        var echo = call("echo", ["a": 1])
        echo.start = try upstream.listing(within: .seconds(20)).start
        #expect(try upstream.call(echo).result()["structuredContent"] == ["a": 1])
        upstream.end()
        let listing = try upstream.listing(within: .seconds(20))
        guard case .notSent(let failure) = upstream.call(echo) else { return #expect(Bool(false)) }
        #expect(failure.kind == .ended && listing.start != echo.start)
        echo.start = listing.start
        #expect(try upstream.call(echo).result()["structuredContent"] == ["a": 1])
        #expect(starts == 2)
    }

    @Test("a late answer reaches nobody")
    func late() throws {
        let upstream = upstream("legacy")
        defer { upstream.end() }
        _ = upstream.call(call("echo"))
        guard case .unknown(let failure) = upstream.call(call("late", timeout: .milliseconds(100))) else {
            return #expect(Bool(false))
        }
        #expect(failure.kind == .timedOut)
        // The late answer comes while this one is awaited.
        #expect(try upstream.call(call("slow", ["seconds": 1])).result().said == "slow")
        #expect(try upstream.call(call("echo", ["a": 3])).result()["structuredContent"] == ["a": 3])
    }

    @Test("a cancelled call is over at once, and the server is told")
    func cancelled() throws {
        let upstream = upstream("legacy")
        defer { upstream.end() }
        _ = upstream.call(call("echo"))
        let cancellation = Cancellation()
        let thread = try EnsignSystem.Thread {
            hears("cancellable")
            cancellation.cancel()
        }
        guard case .unknown(let failure) = upstream.call(call("cancellable", cancellation: cancellation)) else {
            return #expect(Bool(false))
        }
        thread.join()
        #expect(failure.kind == .cancelled)
        var isTold = false
        for _ in 0..<100 where !isTold {
            isTold = scratch.exists("seen.cancelled")
            usleep(20_000)
        }
        #expect(isTold)
        // One that was cancelled before it was sent is not sent.
        guard case .notSent = upstream.call(call("echo", ["never": true], cancellation: cancellation)) else {
            return #expect(Bool(false))
        }
        #expect(try !scratch.read("seen").contains("never"))
    }

    @Test("progress reaches the caller who wants it, before the answer")
    func progress() throws {
        let upstream = upstream("legacy")
        defer { upstream.end() }
        let steps = Mutex<[Int64]>([])
        let call = call("progress") { said in steps.withLock { $0.append(said["progress"]?.int ?? -1) } }
        #expect(try upstream.call(call).result().said == "done")
        #expect(steps.withLock { $0 } == [0, 1, 2])
        #expect(try upstream.call(self.call("progress")).result().said == "done")
    }

    @Test("whoever cannot be told of its progress holds up nobody else")
    func slowListener() throws {
        let upstream = upstream("legacy")
        defer { upstream.end() }
        _ = upstream.call(call("echo"))
        // All of them wait when the first word of progress comes; each may be the one who reads.
        let told = Condition((begun: 0, isOver: false))
        let slow = try (0..<3).map { _ in
            try EnsignSystem.Thread { [self] in
                let call = call("progress", ["seconds": 0.3]) { _ in
                    told.update { $0.begun += 1 }
                    _ = told.wait(until: .now + .seconds(10)) { $0.isOver ? true : nil }
                }
                #expect((try? upstream.call(call).result().said) == "done")
            }
        }
        let other = try EnsignSystem.Thread { [self] in
            #expect((try? upstream.call(call("slow", ["seconds": 1], timeout: .seconds(5))).result().said) == "slow")
        }
        hears("slow")
        #expect(told.wait(until: .now + .seconds(5)) { $0.begun >= 3 ? true : nil } == true)
        let time = ContinuousClock().measure {
            #expect((try? upstream.call(call("echo", ["a": 1])).result().said) != nil)
        }
        #expect(time < .seconds(2))
        other.join()
        told.update { $0.isOver = true }
        for thread in slow { thread.join() }
    }

    @Test("a call whose time is over in the middle of its line ends nobody else's, and the line is finished later")
    func halfLine() throws {
        let upstream = upstream("serial")
        defer { upstream.end() }
        _ = upstream.call(call("echo"))
        let other = try EnsignSystem.Thread { [self] in
            #expect((try? upstream.call(call("slow", ["seconds": 1.5])).result().said) == "slow")
        }
        hears("slow")
        let long = String(repeating: "x", count: 300_000)
        guard
            case .unknown(let failure) = upstream.call(
                call("echo", ["long": .string(long)], timeout: .milliseconds(300))
            )
        else { return #expect(Bool(false)) }
        #expect(failure.kind == .timedOut)
        // Nobody else's words come into that line.
        guard case .notSent(let failure) = upstream.call(call("echo", ["late": 1], timeout: .milliseconds(300))) else {
            return #expect(Bool(false))
        }
        #expect(failure.kind == .timedOut)
        other.join()
        #expect(try upstream.call(call("echo", ["a": 1])).result()["structuredContent"] == ["a": 1])
        #expect(starts == 1)
        let lines = try scratch.read("seen").split(separator: "\n")
        #expect(lines.contains { $0.contains(long) && $0.hasSuffix("}") })
        #expect(try lines.allSatisfy { try read(Array($0.utf8)).object != nil })
        #expect(lines.contains { $0.contains("notifications/cancelled") } && !lines.contains { $0.contains("late") })
    }

    @Test(
        "what a server says is bounded, and never ends more than itself",
        arguments: [
            ("babble", UpstreamFailure.Kind.malformed), ("endless", .malformed), ("nan", .malformed),
        ]
    )
    func hostile(tool: String, kind: UpstreamFailure.Kind) throws {
        let upstream = upstream("legacy")
        defer { upstream.end() }
        guard case .unknown(let failure) = upstream.call(call(tool)) else { return #expect(Bool(false)) }
        #expect(failure.kind == kind)
        usleep(100_000)
        #expect(try upstream.call(call("echo", ["a": 5])).result()["structuredContent"] == ["a": 5])
    }

    @Test("an answer longer than it may be is not taken")
    func big() throws {
        let upstream = upstream("legacy")
        defer { upstream.end() }
        guard case .unknown(let failure) = upstream.call(call("big", ["bytes": 5000], most: 4096)) else {
            return #expect(Bool(false))
        }
        #expect(failure.kind == .malformed)
        #expect(try upstream.call(call("big", ["bytes": 300_000])).result().said?.utf8.count == 300_000)
    }

    @Test("errors are refusals, what the server asks for itself is refused, and nobody speaks for the gateway")
    func words() throws {
        let upstream = upstream("legacy")
        defer { upstream.end() }
        guard case .refused(let code, let message) = upstream.call(call("error")) else { return #expect(Bool(false)) }
        #expect(code == -32000 && message.contains("way"))
        #expect(try upstream.call(call("elicit")).result().said == "the question was refused")
        guard case .refused = upstream.call(call("input")) else { return #expect(Bool(false)) }
        let spoof = try upstream.call(call("spoof")).result()
        #expect(spoof["_meta"] == ["own": 1] && spoof["resultType"] == nil)
        #expect(try upstream.call(call("noise")).result().said == "noise")
        // Whole lines alone, as they were written.
        #expect(upstream.said.count < 20_000 && upstream.said.starts(with: "secret\u{1b}[2J\nsecret".utf8))
    }

    @Test("a list is asked for again when the server says that it has changed, or has been started anew")
    func listing() throws {
        let upstream = upstream("legacy")
        defer { upstream.end() }
        #expect(try upstream.listing(within: .seconds(20)).tools[0].name == "tool_0_v1")
        #expect(try upstream.listing(within: .seconds(20)).tools[0].name == "tool_0_v1")
        let asked = try scratch.read("seen").components(separatedBy: "tools/list").count - 1
        #expect(asked == 3)
        _ = upstream.call(call("changed"))
        #expect(try upstream.listing(within: .seconds(20)).tools[0].name == "tool_0_v2")
        _ = upstream.call(call("die"))
        #expect(try upstream.listing(within: .seconds(20)).tools[0].name == "tool_0_v1")
    }

    @Test("a program that nobody uses is ended, and started when it is needed again")
    func idle() throws {
        let upstream = upstream("legacy", idle: .milliseconds(300))
        defer { upstream.end() }
        let child = try #require(pid_t(try upstream.call(call("child")).result().said ?? ""))
        #expect(isGone(child))
        _ = try upstream.call(call("echo")).result()
        #expect(starts == 2)
    }

    @Test(
        "the end of a program is the end of what it has started, also if it is stubborn",
        arguments: [
            "legacy", "stubborn",
        ]
    )
    func end(behaviour: String) throws {
        let upstream = upstream(behaviour)
        let child = try #require(pid_t(try upstream.call(call("child")).result().said ?? ""))
        upstream.end()
        #expect(isGone(child))
        _ = try upstream.call(call("echo")).result()
        upstream.end()
        #expect(starts == 2)
    }

    @Test("a server that does not read holds up only its own calls, and not for longer than they may take")
    func deaf() throws {
        let upstream = upstream("deaf")
        defer { upstream.end() }
        let long = String(repeating: "x", count: 200_000)
        let time = ContinuousClock().measure {
            guard
                case .unknown(let failure) = upstream.call(
                    call("echo", ["a": .string(long)], timeout: .milliseconds(500))
                )
            else { return #expect(Bool(false)) }
            #expect(failure.kind == .timedOut)
        }
        #expect(time < .seconds(10))
    }

    @Test("a server that reads no more in the middle of a line, and has nothing to answer, is started again")
    func neverReads() throws {
        let upstream = upstream("deaf", deaf: .milliseconds(300))
        defer { upstream.end() }
        let long = String(repeating: "x", count: 200_000)
        guard case .unknown = upstream.call(call("echo", ["a": .string(long)], timeout: .milliseconds(100))) else {
            return #expect(Bool(false))
        }
        // Whoever waits for its turn is sent to the next one, which reads as little and has room for a short line.
        guard case .unknown(let failure) = make(call("echo", timeout: .seconds(3)), upstream) else {
            return #expect(Bool(false))
        }
        #expect(failure.kind == .timedOut && starts == 2)
    }

    @Test("a server that asks and does not read takes nobody's time, and gets its answers when it reads on")
    func asksAndReadsNothing() throws {
        let upstream = upstream("serial")
        defer { upstream.end() }
        _ = upstream.call(call("echo"))
        let time = ContinuousClock().measure {
            let asks = call("asks", ["seconds": 3, "times": 2_000], timeout: .seconds(1))
            guard case .unknown(let failure) = upstream.call(asks) else { return #expect(Bool(false)) }
            #expect(failure.kind == .timedOut)
        }
        #expect(time < .seconds(2))
        #expect(try upstream.call(call("echo", ["a": 1])).result()["structuredContent"] == ["a": 1])
        let lines = try scratch.read("seen").split(separator: "\n")
        #expect(lines.count { $0.contains("not offered") } == 2_000)
        #expect(lines.contains { $0.contains("notifications/cancelled") } && starts == 1)
    }

    @Test("a server that asks more than is kept for it is ended with its calls")
    func asksWithoutEnd() throws {
        let upstream = upstream("serial")
        defer { upstream.end() }
        let time = ContinuousClock().measure {
            let asks = call("asks", ["seconds": 60, "times": 20_000])
            guard case .unknown(let failure) = upstream.call(asks) else { return #expect(Bool(false)) }
            #expect(failure.kind == .malformed)
        }
        #expect(time < .seconds(15))
        #expect(try upstream.call(call("echo", ["a": 1])).result()["structuredContent"] == ["a": 1])
        #expect(starts == 2)
    }

    /// A child of nobody may be a zombie for a moment: init has to take it.
    private func isGone(_ process: pid_t) -> Bool {
        for _ in 0..<300 {
            let stat = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
            if stat.isEmpty || stat.contains(") Z ") { return true }
            usleep(20_000)
        }
        return false
    }
}

extension UpstreamOutcome {
    /// The result; fails the test for anything else.
    func result() throws -> JSONValue {
        guard case .result(let result) = self else { throw Surprise(outcome: self) }
        return result
    }

    struct Surprise: Error { var outcome: UpstreamOutcome }
}

extension JSONValue {
    /// The text of a result's first block.
    var said: String? { self["content"]?[0]?["text"]?.string }
}
