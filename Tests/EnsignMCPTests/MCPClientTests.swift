import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignMCP

private let servers = (#filePath as NSString).deletingLastPathComponent + "/Servers"

/// As the program does: a server that has ended is an error, not a signal.
private let ignoresBrokenPipes: Bool = {
    signal(SIGPIPE, SIG_IGN)
    return true
}()

@Suite("Asking a server of the Model Context Protocol")
struct MCPClientTests {
    private func listing(
        _ behaviour: String,
        time: Duration = .seconds(20),
        bytes: Int = 4 << 20
    ) throws(MCPError) -> ServerListing {
        _ = ignoresBrokenPipes
        let budget = MCPBudget(time: time, bytes: bytes, message: 1 << 20)
        let open = { () throws(MCPError) -> any MCPTransport in
            try StdioTransport(["python3", "\(servers)/server.py", behaviour], environment: ["PATH": "/usr/bin:/bin"])
        }
        return try MCPClient.listing(open, budget: budget, version: "0")
    }

    @Test(
        "Both eras are spoken, and what a server asks for itself is refused without harm",
        arguments: [
            ("modern", "v2.1.1"), ("legacy", "1.4.0"), ("banner", "v2.1.1"), ("elicit", "v2.1.1"), ("ping", "v2.1.1"),
            ("slow", "v2.1.1"), ("mark", "v2.1.1"),
        ]
    )
    func eras(behaviour: String, version: String) throws {
        let listing = try listing(behaviour)
        #expect(listing.name == "tracker" && listing.version == version)
        #expect(listing.tools.map(\.name) == ["search_issues", "close_issue"])
        #expect(listing.tools.map(\.isReadOnly) == [true, nil])
        #expect(listing.tools.map(\.isDestructive) == [nil, true])
    }

    @Test("A server that does not answer what it does not know is asked in the old way")
    func silent() throws {
        let listing = try listing("silent")
        #expect(listing.version == "1.4.0")
    }

    @Test("A server that ends at what it does not know is started again, and asked in the old way")
    func ends() throws {
        #expect(try listing("ends").version == "1.4.0")
        #expect(try withServer("ends") { url in try asked(url) }.version == "1.0.0")
    }

    @Test("A server that refuses the first question late, without its id, is asked in the old way")
    func late() throws {
        #expect(try listing("late").version == "1.4.0")
    }

    @Test("What is no tool and what is nested deep does not spoil the others, and an empty cursor is none")
    func odd() throws {
        let listing = try listing("odd")
        #expect(listing.tools.map(\.name) == ["search_issues", "deep", "close_issue"])
        #expect(listing.unread == [0: "it has no name", 2: "it is not a tool", 4: "it is not a tool"])
        #expect((0..<3).map { listing.index(ofTool: $0) } == [1, 3, 5])
        let mark = "\u{feff}"
        let kept = try ServerListing(
            answer: Array("\(mark){\"tools\": [null, {\"name\": \"a\"}], \"nextCursor\": \"\"}".utf8)
        )
        #expect(kept.tools.map(\.name) == ["a"] && kept.unread == [0: "it is not a tool"])
        #expect(throws: MCPError.self) {
            _ = try ServerListing(answer: Array("{\"tools\": [], \"nextCursor\": \"b\"}".utf8))
        }
    }

    @Test("A web page is not taken for a server: its kind is said")
    func webPage() {
        let error = #expect(throws: MCPError.self) { _ = try withServer("page") { url in try asked(url) } }
        #expect(error?.message.contains("text/html, which is not MCP") == true, "\(String(describing: error))")
    }

    @Test("All pages are read")
    func pages() throws {
        let listing = try listing("pages")
        #expect(listing.tools.map(\.name) == (0..<5).map { "tool_\($0)" })
    }

    @Test(
        "A server that lies, hangs or floods ends the import in time, with the reason",
        arguments: [
            ("circle", "go round in a circle"), ("endless", "more than 1000 pages"), ("million", "more than"),
            ("hang", "did not answer 'tools/list' within 3 seconds"), ("die", "ended before it answered"),
            ("flood", "says more than is read"), ("huge", "is longer than"), ("garbage", "not JSON"),
            ("wrong-id", "did not answer"),
        ]
    )
    func hostile(behaviour: String, reason: String) throws {
        let clock = ContinuousClock()
        var found: MCPError?
        let elapsed = clock.measure {
            do throws(MCPError) {
                _ = try listing(behaviour, time: .seconds(behaviour == "hang" || behaviour == "wrong-id" ? 3 : 20))
            } catch {
                found = error
            }
        }
        let error = try #require(found)
        #expect(error.message.contains(reason), "\(error)")
        #expect(elapsed < .seconds(24))
        #expect(!error.said.contains("\u{1b}"))
        if behaviour == "die" { #expect(error.said.contains("no such database")) }
    }

    @Test(
        "What a server has started is ended with it, whatever it has done to get away",
        arguments: [
            "sleep 300 & echo $! > FILE; cat > /dev/null; sleep 300",
            "setsid sh -c 'echo $$ > FILE; exec sleep 300' & cat > /dev/null; sleep 300",
            // A daemon: of a session and a parent of its own, and deaf to requests.
            "setsid sh -c \"trap '' TERM; sh -c 'echo \\$\\$ > FILE; sleep 300' & exit\" & cat > /dev/null; trap '' TERM; sleep 9",
            "setsid sh -c 'echo $$ > FILE; exec sleep 300' & while [ ! -s FILE ]; do sleep 0.01; done; exit 3",
        ]
    )
    func group(script: String) throws {
        let scratch = try ScratchDirectory()
        let file = "\(scratch.path)/child"
        let words = ["sh", "-c", script.replacing("FILE", with: file)]
        let budget = MCPBudget(time: .seconds(1))
        #expect(throws: MCPError.self) {
            _ = try MCPClient.listing(
                { () throws(MCPError) in try StdioTransport(words, environment: ["PATH": "/usr/bin:/bin"]) },
                budget: budget,
                version: "0"
            )
        }
        let text = try String(contentsOfFile: file, encoding: .utf8)
        let child = try #require(pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(isGone(child))
    }

    private func isGone(_ child: pid_t) -> Bool {
        // A child of nobody may be a zombie for a moment: init has to take it.
        for _ in 0..<100 {
            let stat = (try? String(contentsOfFile: "/proc/\(child)/stat", encoding: .utf8)) ?? ""
            if stat.isEmpty || stat.contains(") Z ") { return true }
            usleep(20_000)
        }
        return false
    }

    @Test("A program gets its streams, its folder and its variables, and nothing else that is open here")
    func inheritance() throws {
        let scratch = try ScratchDirectory()
        // One that is not closed by itself.
        let marker = unsafe open("\(scratch.path)/marker", O_RDWR | O_CREAT, 0o600)
        defer { close(marker) }
        let script = "(pwd; env; ls -l /proc/self/fd) > seen; cat > /dev/null"
        let transport = try StdioTransport(
            ["sh", "-c", script],
            environment: ["PATH": "/usr/bin:/bin", "A": "b"],
            directory: scratch.path
        )
        var budget = MCPBudget(time: .seconds(10))
        #expect(marker >= 0)
        transport.finish()
        let seen = try String(contentsOfFile: "\(scratch.path)/seen", encoding: .utf8).split(separator: "\n")
        #expect(seen.first == scratch.path[...] && seen.contains("A=b"))
        #expect(!seen.contains { $0.hasPrefix("HOME=") || $0.hasSuffix("/marker") })
        #expect(throws: MCPError.self) {
            _ = try transport.exchange([:], method: "x", version: nil, patience: nil, budget: &budget, take: nil)
        }
    }

    @Test("A program that is not there is said to be so")
    func missing() {
        #expect(throws: MCPError.self) { _ = try StdioTransport(["/does/not/exist"], environment: [:]) }
    }

    // MARK: HTTP

    private func withServer<Result>(_ behaviour: String, _ body: (String) throws -> Result) throws -> Result {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "\(servers)/http_server.py", behaviour]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        defer {
            try? input.fileHandleForWriting.close()
            process.waitUntilExit()
        }
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        return try body("http://127.0.0.1:\(line.trimmingCharacters(in: .whitespacesAndNewlines))/mcp")
    }

    private func asked(
        _ url: String,
        _ headers: [(name: String, value: String)] = [],
        time: Duration = .seconds(20)
    ) throws -> ServerListing {
        let budget = MCPBudget(time: time, bytes: 4 << 20, message: 1 << 20)
        return try MCPClient.listing(
            { () throws(MCPError) in try HTTPTransport(url, headers: headers) },
            budget: budget,
            version: "0"
        )
    }

    @Test(
        "A server is asked by HTTP: plain answers, streams of events, sessions",
        arguments: [("modern", "3.0.0"), ("legacy", "1.0.0"), ("events", "1.0.0"), ("streams", "1.0.0")]
    )
    func http(behaviour: String, version: String) throws {
        let listing = try withServer(behaviour) { url in try asked(url) }
        #expect(listing.version == version && listing.tools.map(\.name) == ["search"])
    }

    @Test("Headers are sent, and their lack is said")
    func headers() throws {
        try withServer("who") { url in
            #expect(throws: MCPError.self) { _ = try asked(url) }
            let listing = try asked(url, [("Authorization", "Bearer t0ken")])
            #expect(listing.tools.count == 1)
        }
    }

    @Test(
        "A server by HTTP that hangs, floods or sends elsewhere ends the import in time",
        arguments: [("hang", "did not answer"), ("flood", "is longer than"), ("redirect", "another address")]
    )
    func hostileHTTP(behaviour: String, reason: String) throws {
        try withServer(behaviour) { url in
            do {
                _ = try asked(url, time: .seconds(behaviour == "hang" ? 2 : 20))
                Issue.record("no error")
            } catch let error as MCPError {
                #expect(error.message.contains(reason), "\(error)")
            }
        }
    }

    @Test(
        "An address in the clear is of this machine alone",
        arguments: [
            "http://example.com/", "http://localhost@example.com/", "ftp://localhost/", "http://127.0.0.1.example.com/",
            "https://a b/",
        ]
    )
    func addresses(url: String) {
        #expect(throws: MCPError.self) { _ = try HTTPTransport(url) }
    }

    @Test("Events are read whole, whatever their line ends and however they arrive")
    func events() {
        let stream = ": hi\r\nevent: x\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\ndata:2\n\nid: 3\ndata: "
        for ends in ["\r\n", "\n", "\r"] {
            let stream = stream.replacingOccurrences(of: "\r\n", with: ends)
            #expect(events(of: stream) == [["{\"a\":\n1}", "2"]])
            #expect(events(of: "\u{FEFF}\(stream)") == [["{\"a\":\n1}", "2"]])
            #expect(events(of: "\u{FEFF}data: 1\(ends)\(ends)\u{FEFF}data: 2\(ends)\(ends)") == [["1", ""]])
        }
        #expect(events(of: "data: 1\r\rdata: 2\n\r\ndata: 3\r\n\rdata: 4\r\r\n") == [["1", "2", "3", "4"]])
        #expect(events(of: "\u{FEFF}") == [[]] && events(of: "data: \u{FEFF}\n\n") == [["\u{FEFF}"]])
    }

    @Test("An event is there with the CR that ends it: nobody waits for an LF that may never come")
    func carriageReturn() {
        var events = EventStream()
        events.add("data: 1\r\r".utf8)
        #expect(events.next() == Array("1".utf8) && events.next() == nil && events.pending == 0)
        events.add("\n".utf8)
        #expect(events.next() == nil && events.pending == 0)
        events.add("\n".utf8)
        #expect(events.next() == [])
    }

    @Test("An id counts with the end of its event, until another does; a retry at once, where it is digits")
    func places() {
        var events = EventStream()
        func place(after text: String) -> EventPlace {
            events.add(text.utf8)
            while events.next() != nil {}
            return events.place
        }
        #expect(place(after: "id: 1\ndata: x\n") == EventPlace())
        #expect(place(after: "\n").id == "1")
        #expect(place(after: "data: x\n\n").id == "1")
        #expect(place(after: "id:2\nretry: 30\n").retry == .milliseconds(30))
        #expect(place(after: "retry: 3s\nretry: -1\nretry:\nretry: 0x3\n\n") == place(after: ""))
        #expect(events.place.id == "2" && events.place.retry == .milliseconds(30))
        #expect(place(after: "id: ü 3\nretry: 99999999999999999999\n\n").id == "ü 3")
        #expect(events.place.retry == .seconds(86_400))
        for unfit in ["", " 4", "4 ", "a\u{0}b", "\t", String(repeating: "x", count: 1_025)] {
            #expect(place(after: "id: 4\n\nid: \(unfit)\n\n").id.isEmpty)
        }
        #expect(EventStream(from: events.place).place == events.place)
    }

    /// The events of a stream that arrives in pieces of several sizes: one list where they do not matter.
    private func events(of stream: String) -> Set<[String]> {
        let stream = Array(stream.utf8)
        return Set(
            [1, 2, 3, 1_000].map { size in
                var (pending, found): (EventStream, [String]) = (EventStream(), [])
                for start in stride(from: 0, to: stream.count, by: size) {
                    pending.add(stream[start..<min(start + size, stream.count)])
                    while let event = pending.next() { found.append(String(decoding: event, as: UTF8.self)) }
                }
                return found
            }
        )
    }

    @Test("The time to find an event grows with its bytes, not with how small it is cut")
    func pieces() {
        let line = Array("data: \(String(repeating: "x", count: 2 << 20))\n\n".utf8)
        var (events, found) = (EventStream(), 0)
        let elapsed = ContinuousClock().measure {
            for start in stride(from: 0, to: line.count, by: 128) {
                events.add(line[start..<min(start + 128, line.count)])
                while let event = events.next() { found += event.count }
            }
        }
        #expect(found == 2 << 20 && events.pending == 0)
        // Each byte again for each piece would be 17 thousand million looks.
        #expect(elapsed < .seconds(30))
    }
}
