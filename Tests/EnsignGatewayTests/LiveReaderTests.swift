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
