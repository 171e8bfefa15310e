import EnsignTestSupport
import Foundation
import Testing

/// Telemetry of many writers, from files to rules: one of them keeps nobody's rules from firing, and what looks odd in it
/// halts nobody.
@Suite struct TelemetryTests {
    private static let second = Duration.seconds(2)

    private func host(_ rules: String = "[{steps: 50}, {unknownTool: 1}]") throws -> Host {
        var fleet = FleetFixture()
        fleet.replace("keepFor: 7d", with: "keepFor: 7d\n  killSwitch: \(rules)", in: FleetFixture.environmentPath)
        let host = try Host(fleet: fleet)
        try FileManager.default.createDirectory(atPath: telemetry(host), withIntermediateDirectories: true)
        try host.hostGit("config", "ensign.prod.telemetry", telemetry(host))
        return host
    }

    private func telemetry(_ host: Host) -> String { "\(host.scratch.path)/telemetry" }

    private func watch(_ host: Host) throws -> Background {
        let log = "\(host.scratch.path)/watch.log"
        let watch = try Background(Host.ensign, ["watch", "--env", "prod"], in: host.bare, log: log)
        eventually(within: .seconds(10), watch.output) { watch.output.contains(" watching ") }
        return watch
    }

    private func isHalted(_ host: Host, _ agent: String = "support/triage") -> Bool {
        (try? host.liveJSON("agents/\(agent).json")["phase"] as? String) == "halted"
    }

    private func hex(_ digits: Int) -> String {
        String((0..<digits).map { _ in "0123456789abcdef".randomElement() ?? "1" })
    }

    private struct Span {
        var id: String
        var parent = ""
        var attributes: [(String, String)]
    }

    private func line(_ spans: [Span], trace: String) -> String {
        let now = Int64(Date().timeIntervalSince1970 * 1e9)
        let texts = spans.map { span in
            let list = span.attributes.map { #"{"key":"\#($0.0)","value":{"stringValue":"\#($0.1)"}}"# }
            return #"{"traceId":"\#(trace)","spanId":"\#(span.id)","parentSpanId":"\#(span.parent)","name":"x","#
                + #""startTimeUnixNano":"\#(now - 1_000_000)","endTimeUnixNano":"\#(now)","#
                + #""attributes":[\#(list.joined(separator: ","))],"status":{}}"#
        }
        return #"{"resourceSpans":[{"scopeSpans":[{"spans":[\#(texts.joined(separator: ","))]}]}]}"# + "\n"
    }

    private func call(_ tool: String, by agent: String = "support/triage") -> String {
        let attributes = [
            ("gen_ai.operation.name", "execute_tool"), ("gen_ai.agent.name", agent), ("gen_ai.tool.name", tool),
        ]
        return line([Span(id: hex(16), attributes: attributes)], trace: hex(32))
    }

    private func append(_ text: String, to name: String, in host: Host) throws {
        let path = "\(telemetry(host))/\(name)"
        let folder = (path as NSString).deletingLastPathComponent
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        if !FileManager.default.fileExists(atPath: path) {
            _ = FileManager.default.createFile(atPath: path, contents: nil)
        }
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try file.seekToEnd()
        try file.write(contentsOf: Data(text.utf8))
        try file.close()
    }

    private func setTime(_ name: String, _ seconds: Double, in host: Host) throws {
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSince1970: seconds)],
            ofItemAtPath: "\(telemetry(host))/\(name)"
        )
    }

    // MARK: One writer and the others

    @Test("A file of four terabytes without anything in it keeps nobody's rules from firing")
    func sparse() throws {
        let host = try host()
        try append("", to: "a.jsonl", in: host)
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: "\(telemetry(host))/a.jsonl"))
        try file.truncate(atOffset: 4 << 40)
        try file.close()
        let watch = try watch(host)
        watch.rests()
        try append(call("shell__run"), to: "z.jsonl", in: host)
        eventually(within: Self.second, watch.output) { isHalted(host) }
        #expect(try watch.stop() == 0)
        try host.expectSound()
    }

    @Test(
        "A flood, and a backlog, keep nobody's rules from firing; being behind is said",
        arguments: ["{}\n", "spans"]
    )
    func flood(_ kind: String) throws {
        let host = try host()
        try append(call("crm__find"), to: "z.jsonl", in: host)
        let text = kind == "spans" ? call("crm__find", by: "support/nobody") : kind
        let block = String(repeating: text, count: (1 << 20) / text.utf8.count)
        for _ in 0..<(kind == "spans" ? 100 : 40) { try append(block, to: "a.jsonl", in: host) }
        try setTime("a.jsonl", 0, in: host)
        let watch = try watch(host)
        let flood = Thread {
            while !Thread.current.isCancelled {
                try? append(block, to: "a.jsonl", in: host)
                usleep(30_000)
            }
        }
        flood.start()
        defer { flood.cancel() }
        eventually(within: .seconds(10), watch.output) { watch.output.contains("telemetry is behind: 1 file, ") }
        try eventually(within: .seconds(3), "status says it") {
            let status = try host.ensign("status", "--env", "prod")
            let json = try host.ensign("status", "--env", "prod", "--output", "json").output
            return status.errors.contains("prod: telemetry is behind: 1 file, ") && json.contains(#""behind": {"#)
        }
        try append(call("shell__run"), to: "z.jsonl", in: host)
        try setTime("z.jsonl", 0, in: host)
        eventually(within: Self.second, watch.output) { isHalted(host) }
        flood.cancel()
        if kind == "spans" {
            eventually(within: .seconds(60), watch.output) {
                watch.output.contains("telemetry: everything is read again")
            }
            let json = try host.ensign("status", "--env", "prod", "--output", "json").output
            #expect(json.contains(#""behind": null"#))
        }
        #expect(try watch.stop() == 0)
        try host.expectSound()
    }

    // MARK: Folders of agents

    @Test("A folder speaks for its agent alone, and nobody else speaks for it; new ones are seen at once")
    func folders() throws {
        let host = try host()
        let watch = try watch(host)
        watch.rests()
        // Somebody else in the name of the desk, then in its own.
        try append(call("crm__find"), to: "support/triage/a.jsonl", in: host)
        try append("\n", to: "support/desk/a.jsonl", in: host)
        try watch.readsToEnd(of: "\(telemetry(host))/support/desk/a.jsonl")
        try append(call("shell__run", by: "support/desk"), to: "support/triage/a.jsonl", in: host)
        try append(call("shell__run", by: "support/desk"), to: "all.jsonl", in: host)
        for file in ["support/triage/a.jsonl", "all.jsonl"] { try watch.readsToEnd(of: "\(telemetry(host))/\(file)") }
        #expect(!isHalted(host) && !isHalted(host, "support/desk"), "\(watch.output)")
        let nameless = call("shell__run", by: "helper")
        try append(nameless, to: "support/triage/a.jsonl", in: host)
        eventually(within: Self.second, watch.output) { isHalted(host) }
        #expect(!isHalted(host, "support/desk"))
        try append(call("shell__run", by: "support/desk"), to: "support/desk/b.jsonl", in: host)
        eventually(within: Self.second, watch.output) { isHalted(host, "support/desk") }
        #expect(try watch.stop() == 0)
        let evidence = try host.ensign("evidence", "support/desk", "--env", "prod")
        #expect(evidence.output.contains("foreign-agent  1"), "\(evidence.output)\(evidence.errors)")
        #expect(evidence.output.contains("bound-agent  1"), "\(evidence.output)")
        try host.expectSound()
    }

    @Test("A folder that binds nobody is told of")
    func strangeFolder() throws {
        let host = try host()
        try append(call("shell__run"), to: "support/triage/a.jsonl", in: host)
        let changed = unsafe chmod("\(telemetry(host))/support", 0o777)
        #expect(changed == 0)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(!isHalted(host))
        let status = try host.ensign("status", "--env", "prod").errors
        #expect(status.contains("prod: telemetry: support/ binds nobody: "), "\(status)")
    }

    // MARK: Calls within calls, and what they are called

    @Test("Spans of one call within one another halt nobody; several calls within one, and another tool, do")
    func nested() throws {
        let host = try host()
        func lines(_ count: Int, inside: Int, _ inner: String) -> [String] {
            let trace = hex(32)
            let run = hex(16)
            return (0..<count).map { _ in
                let (outer, between) = (hex(16), hex(16))
                let views = (0..<inside).map { _ in
                    Span(
                        id: hex(16),
                        parent: between,
                        attributes: [
                            ("gen_ai.operation.name", "execute_tool"), ("gen_ai.tool.name", inner),
                            ("mcp.method.name", "tools/call"),
                        ]
                    )
                }
                return line(
                    views + [
                        Span(id: between, parent: outer, attributes: [("mcp.method.name", "tools/call")]),
                        Span(
                            id: outer,
                            parent: run,
                            attributes: [
                                ("gen_ai.operation.name", "execute_tool"), ("gen_ai.agent.name", "support/triage"),
                                ("gen_ai.tool.name", "crm.find"),
                            ]
                        ),
                    ],
                    trace: trace
                )
            } + [
                line(
                    [
                        Span(
                            id: run,
                            attributes: [
                                ("gen_ai.operation.name", "invoke_agent"), ("gen_ai.agent.name", "support/triage"),
                                ("gen_ai.agent.version", "1.0.0"),
                            ]
                        )
                    ],
                    trace: trace
                )
            ]
        }
        try append(lines(40, inside: 1, "find_customer").joined(), to: "a.jsonl", in: host)
        for name in ["crm_find", "mcp__crm__find", "FIND", "crm.Find"] {
            try append(call(name), to: "a.jsonl", in: host)
        }
        let result = try host.ensign("reconcile", "--env", "prod")
        #expect(result.status == 0 && !isHalted(host), "\(result.output)")
        try append(lines(20, inside: 3, "find_customer").joined(), to: "a.jsonl", in: host)
        #expect(try host.ensign("reconcile", "--env", "prod").output.contains("made 60 calls in one run"))
        #expect(isHalted(host))
    }
}
