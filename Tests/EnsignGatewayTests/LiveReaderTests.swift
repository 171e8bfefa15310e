import EnsignGateway
import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Glibc
import Testing

@Suite("What is live is asked for at each call")
struct LiveReaderTests {
    private let fixture: GateFixture

    init() throws { fixture = try GateFixture() }

    /// The bundle that a new run gets.
    private func taken(_ run: String) -> Digest? {
        _ = fixture.call(run: run)
        return fixture.log.last?.bundle
    }

    @Test("A route counts from the next call on, however soon after the last one it came and however alike it is")
    func soon() throws {
        let versions = ["1.0.0", "1.0.1", "1.0.2"].map { open($0) }
        for turn in 0..<300 {
            // Now and then for long enough that a file is known by its status.
            if turn % 30 == 0 { Machine.pause(milliseconds: 60) }
            let digests = try fixture.publish([(versions[turn % 3], 100)])
            #expect(taken("r\(turn)") == digests[0], "turn \(turn)")
            #expect(taken("s\(turn)") == digests[0], "turn \(turn)")
        }
    }

    @Test("A halt and the end of it count at once where the route was known for long")
    func halts() throws {
        for turn in 0..<5 {
            let digests = try fixture.publish([(open(), 100)])
            Machine.pause(milliseconds: 60)
            for step in 0..<3 { #expect(taken("r\(turn)-\(step)") == digests[0]) }
            try fixture.publish([] as [(Bundle, Int64)])
            #expect(fixture.call(run: "r\(turn)-0").reason == "halted")
        }
    }

    @Test("An older route that comes back is refused, though its file is known")
    func older() throws {
        let path = "\(fixture.live)/\(LivePath.route(GateFixture.agent))"
        try fixture.publish(open())
        Machine.pause(milliseconds: 60)
        #expect(taken("a") != nil)
        let old = try #require(try Files.read(path, limit: 1 << 20))
        try fixture.publish(open("1.0.1"))
        #expect(!fixture.call(run: "b").isError)
        try fixture.scratch.write("live/\(LivePath.route(GateFixture.agent))", bytes: old)
        for _ in 0..<2 {
            #expect(fixture.call(run: "c").reason == "unavailable")
            Machine.pause(milliseconds: 60)
        }
    }

    @Test("What another process has seen counts for this one, though the file is known to it")
    func others() throws {
        try fixture.publish([(open(), 100)], entry: 5)
        Machine.pause(milliseconds: 60)
        for run in ["a", "b"] { #expect(!fixture.call(run: run).isError) }
        let seen = try #require(try Files.list("\(fixture.state)/seen")?.first { $0.hasPrefix("agents") })
        let path = "\(fixture.state)/seen/\(seen)"
        let text = String(decoding: try #require(try Files.read(path, limit: 4_096)), as: UTF8.self)
        try Files.replace(path, with: Array(text.replacing(":5,", with: ":9,").utf8), mode: 0o600)
        #expect(fixture.call(run: "c").reason == "unavailable")
    }

    private func put(_ path: String, _ bytes: [UInt8]?) throws {
        guard let bytes else { return try Files.remove("\(fixture.live)/\(path)") }
        try fixture.scratch.write("live/\(path)", bytes: bytes)
    }

    private func bytes(_ path: String) throws -> [UInt8] {
        try #require(try Files.read("\(fixture.live)/\(path)", limit: 1 << 20))
    }

    @Test(
        "A policy that is gone, or not proven, is trouble for each call, whether or not it needs one",
        arguments: [true, false]
    )
    func policy(_ isGone: Bool) throws {
        try fixture.publish(open())
        try fixture.publishPolicy()
        let policy = try bytes(LivePath.policy)
        for turn in 0..<2 {
            // Also for long enough that a file is known by its status.
            Machine.pause(milliseconds: 60)
            for _ in 0...turn { #expect(fixture.call().reason == nil) }
            try put(LivePath.policy, isGone ? nil : policy.dropLast(9) + Array("!".utf8) + policy.suffix(8))
            for _ in 0..<2 { #expect(fixture.call().reason == "unavailable") }
            guard case .failure = fixture.gate.offer(to: fixture.session) else {
                Issue.record("the list of tools is shown")
                return
            }
            try put(LivePath.policy, policy)
        }
        #expect(fixture.call().reason == nil)
    }

    @Test("Where there never was a policy nothing is missing; from the first one on it is")
    func firstPolicy() throws {
        try fixture.publish(open())
        for _ in 0..<3 { #expect(fixture.call().reason == nil) }
        try fixture.publishPolicy()
        #expect(fixture.call().reason == nil)
        try put(LivePath.policy, nil)
        #expect(fixture.call().reason == "unavailable")
    }

    @Test(
        "A bundle that is edited or gone is trouble for each call, though it was known for long",
        arguments: [true, false]
    )
    func touchedBundle(_ isGone: Bool) throws {
        let digest = try #require(try fixture.publish([(open(), 100)]).first)
        let path = LivePath.bundle(digest)
        let good = try bytes(path)
        Machine.pause(milliseconds: 60)
        for run in ["a", "a", "b"] { #expect(taken(run) == digest) }
        let text = String(decoding: good, as: UTF8.self).replacing("\"maximum\":100", with: "\"maximum\":900")
        try put(path, isGone ? nil : Array(text.utf8))
        for run in ["a", "c"] { #expect(fixture.call(run: run).reason == "unavailable") }
        try put(path, good)
        for run in ["a", "c"] { #expect(fixture.call(run: run).reason == nil) }
    }

    @Test("A bundle that only open runs have may be gone, as it is some time, and may not be another one")
    func formerBundle() throws {
        let digest = try #require(try fixture.publish([(open(), 100)]).first)
        let path = LivePath.bundle(digest)
        let good = try bytes(path)
        Machine.pause(milliseconds: 60)
        #expect(taken("a") == digest)
        try fixture.publish(open("1.0.1"))
        try put(path, nil)
        for _ in 0..<2 { #expect(taken("a") == digest && fixture.call(run: "a").reason == nil) }
        try put(path, Array("{}".utf8))
        #expect(fixture.call(run: "a").reason == "unavailable")
        #expect(fixture.call(run: "b").reason == nil)
        try put(path, good)
        #expect(fixture.call(run: "a").reason == nil)
    }

    @Test("A folder that others may write to is trouble at the next call")
    func writable() throws {
        try fixture.publish(open())
        Machine.pause(milliseconds: 60)
        #expect(taken("a") != nil)
        let folder = "\(fixture.live)/agents"
        #expect(unsafe Glibc.chmod(folder, 0o777) == 0)
        #expect(fixture.call(run: "b").reason == "unavailable")
        #expect(unsafe Glibc.chmod(folder, 0o755) == 0)
        #expect(!fixture.call(run: "c").isError)
    }
}
