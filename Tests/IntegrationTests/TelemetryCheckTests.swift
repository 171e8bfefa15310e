import EnsignTestSupport
import Foundation
import Testing

/// What of a framework's spans counts, who acts undeclared, and a watch that is told where telemetry is while it runs: the
/// built binary against files as exporters write them.
@Suite struct TelemetryCheckTests {
    private func host() throws -> Host {
        var fleet = FleetFixture()
        fleet.replace(
            "keepFor: 7d",
            with: "keepFor: 7d\n  killSwitch: [{unknownTool: 1}]",
            in: FleetFixture.environmentPath
        )
        return try Host(fleet: fleet)
    }

    private func digest(_ host: Host) throws -> String {
        let route = try host.liveJSON("agents/support/triage.json")
        let routes = try #require(route["routes"] as? [[String: Any]])
        return try #require(routes.last?["digest"] as? String)
    }

    @Test("A link that is named is what it leads to; one that leads nowhere is missing")
    func link() throws {
        let host = try host()
        let spans = try host.scratch.write("data/spans.jsonl", graph(0, bundle: nil))
        for (name, place) in [("link.jsonl", spans), ("latest", spans), ("folder", "\(host.scratch.path)/data")] {
            let link = "\(host.scratch.path)/\(name)"
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: place)
            for words in [["telemetry", "check"], ["discover", "--telemetry"]] {
                let rest = words[0] == "telemetry" ? ["--env", "prod"] : []
                let named = try host.ensign(arguments: words + [link] + rest)
                let real = try host.ensign(arguments: words + [place] + rest)
                #expect(named.status == real.status && named.output == real.output, "\(words) \(name): \(named.errors)")
                #expect(!real.output.isEmpty)
            }
        }
        let lost = "\(host.scratch.path)/lost.jsonl"
        try FileManager.default.createSymbolicLink(atPath: lost, withDestinationPath: "\(host.scratch.path)/none")
        let missing = try host.ensign("telemetry", "check", lost, "--env", "prod")
        #expect(missing.status == 1 && missing.errors.contains("there is no file or folder"), "\(missing.errors)")
    }

    private struct Span {
        var name: String
        var id: Int
        var parent = 0
        var isError = false
        var attributes: [(String, String)]
    }

    private func line(_ spans: [Span], trace: String, scope: String = "framework") -> String {
        let now = Int64(Date().timeIntervalSince1970 * 1e9)
        func id(_ number: Int) -> String { String(format: "%016x", number) }
        let texts = spans.map { span in
            let list = span.attributes.map { #"{"key":"\#($0.0)","value":{"stringValue":"\#($0.1)"}}"# }
            let parent = span.parent == 0 ? "" : #""parentSpanId":"\#(id(span.parent))","#
            return #"{"traceId":"\#(trace)","spanId":"\#(id(span.id))",\#(parent)"name":"\#(span.name)","#
                + #""startTimeUnixNano":"\#(now - 1_000_000)","endTimeUnixNano":"\#(now)","#
                + #""attributes":[\#(list.joined(separator: ","))],"status":{"code":\#(span.isError ? 2 : 1)}}"#
        }
        return #"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"desk"}}]},"#
            + #""scopeSpans":[{"scope":{"name":"\#(scope)"},"spans":[\#(texts.joined(separator: ","))]}]}]}"# + "\n"
    }

    /// A graph as an instrumentation writes it: children first, the graph's own span last.
    private func graph(_ number: Int, bundle: String?, isError: Bool = false) -> String {
        let marks = bundle.map { [("ensign.bundle", $0)] } ?? []
        let trace = String(format: "%032x", number + 1)
        return line(
            [
                Span(
                    name: "answer",
                    id: 3,
                    parent: 2,
                    attributes: [("openinference.span.kind", "LLM"), ("llm.model_name", "m")] + marks
                )
            ],
            trace: trace
        )
            + line(
                [
                    Span(
                        name: "find",
                        id: 4,
                        parent: 2,
                        attributes: [
                            ("openinference.span.kind", "TOOL"), ("tool.name", "crm__find"), ("input.value", "{}"),
                        ] + marks
                    ),
                    Span(
                        name: "step \(10_000 + number)",
                        id: 2,
                        parent: 1,
                        attributes: [("openinference.span.kind", "CHAIN")] + marks
                    ),
                    Span(
                        name: "helper",
                        id: 1,
                        isError: isError,
                        attributes: [("openinference.span.kind", "AGENT"), ("agent.name", "helper")] + marks
                    ),
                ],
                trace: trace
            )
    }

    private func write(_ text: String, _ name: String, in host: Host) throws -> String {
        let path = "\(host.scratch.path)/\(name)"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    @Test("What carries a bundle counts, span name by span name")
    func counts() throws {
        let host = try host()
        let bundle = try digest(host)
        let text = (0..<10).map { graph($0, bundle: bundle, isError: $0 == 0) }.joined()
        let path = try write(text, "spans.jsonl", in: host)
        let result = try host.ensign("telemetry", "check", path, "--env", "prod")
        #expect(result.status == 0, "\(result.errors)\(result.output)")
        #expect(result.output.contains("support/triage 1.0.0: 10 runs (1 failed), 10 calls, 10 model calls"))
        for words in [
            "step *", "10 runs, 1 of them failed", "10 parts of runs", "10 calls with arguments", "no tokens",
        ] {
            #expect(result.output.contains(words), "\(words) in \(result.output)")
        }
        let json = try host.ensign("telemetry", "check", path, "--env", "prod", "--output", "json")
        let value = try #require(
            JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any]
        )
        #expect(value["good"] as? Bool == true)
        #expect((value["names"] as? [Any])?.count == 4)
        // Changes nothing.
        try host.expectSound()
    }

    @Test("A status code that cannot be read is said, with how many there are and how they count")
    func statusCodes() throws {
        let host = try host()
        let bundle = try digest(host)
        let text = (0..<4).map { graph($0, bundle: bundle, isError: $0 < 3) }.joined()
        let codes = [#""ERROR""#, "2.5", "true"]
        let written = codes.reduce(text) { text, code in
            text.replacing(#""code":2}"#, with: #""code":\#(code)}"#, maxReplacements: 1)
        }
        let path = try write(written, "spans.jsonl", in: host)
        let words = "3 spans have a status.code that cannot be read, which counts as not failed"
        for format in ["text", "json"] {
            let result = try host.ensign("telemetry", "check", path, "--env", "prod", "--output", format)
            #expect(result.status == 0 && result.output.contains(words), "\(result.output)")
        }
    }

    @Test("A name that one agent declares for telemetry is that agent's, and follows the fleet")
    func declaredName() throws {
        var fleet = FleetFixture()
        fleet.replace(
            "instructions: prompt.md",
            with: "instructions: prompt.md\n  name: triage_helper",
            in: FleetFixture.agentPath
        )
        let host = try Host(fleet: fleet)
        func check(_ name: String) throws -> CommandResult {
            let run = Span(
                name: "invoke_agent \(name)",
                id: 1,
                attributes: [
                    ("gen_ai.operation.name", "invoke_agent"), ("gen_ai.agent.name", name),
                    ("gen_ai.agent.version", "1.0.0"),
                ]
            )
            let path = try write(line([run], trace: String(repeating: "1", count: 32)), "\(name).jsonl", in: host)
            return try host.ensign("telemetry", "check", path, "--env", "prod")
        }
        let counted = try check("triage_helper")
        #expect(counted.output.contains("support/triage 1.0.0: 1 run"), "\(counted.output)\(counted.errors)")
        let other = try check("other_helper")
        #expect(other.status == 4 && other.output.contains("unknown-agent"), "\(other.output)")
    }

    @Test("What does not count is named, with the reason, an example and the next step")
    func doesNotCount() throws {
        let host = try host()
        let folder = "\(host.scratch.path)/spans"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        _ = try write(graph(0, bundle: nil), "spans/a.jsonl", in: host)
        _ = try write(graph(1, bundle: "sha256:" + String(repeating: "0", count: 64)), "spans/b.jsonl", in: host)
        let result = try host.ensign("telemetry", "check", folder, "--env", "prod")
        #expect(result.status == 4)
        for words in [
            "nothing: no run counts", "unknown-agent: stamp every span", "'helper' is a framework's name",
            "unknown-bundle: ", "no-run: open the run's own span", "of trace 00000000000000000000000000000001",
        ] {
            #expect(result.output.contains(words), "\(words) in \(result.output)")
        }
        let missing = try host.ensign("telemetry", "check", "\(folder)/none", "--env", "prod")
        #expect(missing.status == 1)
        let other = try write("x", "notes.txt", in: host)
        #expect(try host.ensign("telemetry", "check", other, "--env", "prod").status == 1)
        #expect(try host.ensign("telemetry", "read", folder, "--env", "prod").status == 64)
    }

    @Test("Who acts and is not declared is listed; what is written for them validates")
    func shadows() throws {
        let host = try host()
        let declared = graph(0, bundle: try digest(host))
        let hostile = line(
            [
                Span(
                    name: "x",
                    id: 1,
                    attributes: [
                        ("gen_ai.operation.name", "invoke_agent"),
                        ("gen_ai.agent.name", #"ops\u001b[2J\n\"x\": {"#),
                    ]
                )
            ],
            trace: String(repeating: "9", count: 32)
        )
        let path = try write(declared + graph(1, bundle: nil) + hostile, "all.jsonl", in: host)
        let result = try host.ensignInWork("discover", "--telemetry", path)
        // The host has no files: there the branch says what is declared.
        #expect(try host.ensign("discover", "--telemetry", path).output == result.output)
        #expect(result.status == 0)
        #expect(result.output.contains("unowned/helper"))
        #expect(!result.output.contains("\u{1B}"))
        #expect(result.output.contains("1 trace of declared agents, 2 of others"))
        // The fleet has this operation.
        #expect(!result.output.contains("Tools that are not declared"))
        let written = try host.ensignInWork("discover", "--telemetry", path, "--write", "--team", "found")
        #expect(written.status == 0, "\(written.errors)")
        #expect(written.output.contains("fleet/agents/found/helper/next/agent.yaml"))
        let valid = try host.ensignInWork("validate", host.work)
        #expect(valid.status == 0, "\(valid.output)\(valid.errors)")
        // It never overwrites anything: what is declared now is no longer written.
        let again = try host.ensignInWork("discover", "--telemetry", path, "--write", "--team", "found")
        #expect(again.status == 0, "\(again.errors)")
        #expect(again.output.isEmpty)
    }

    @Test("What is found twice is written once, under whatever team, and its framework's name then is the agent's")
    func shadowsAgain() throws {
        let host = try host()
        func span(_ id: Int, _ operation: String, _ more: (String, String)..., parent: Int = 0) -> Span {
            Span(name: "x", id: id, parent: parent, attributes: [("gen_ai.operation.name", operation)] + more)
        }
        let token = "ghp_" + String(repeating: "a1B2", count: 9)
        let text = ["Refund Bot", "refund_bot", token].enumerated().map { index, name in
            line(
                [
                    span(1, "invoke_agent", ("gen_ai.agent.name", name)),
                    span(2, "execute_tool", ("gen_ai.agent.name", name), ("gen_ai.tool.name", "crm__find"), parent: 1),
                    span(3, "execute_tool", ("gen_ai.agent.name", name), ("gen_ai.tool.name", "jira__find"), parent: 1),
                    span(4, "execute_tool", ("gen_ai.agent.name", name), ("gen_ai.tool.name", token), parent: 1),
                ],
                trace: String(repeating: "\(index + 1)", count: 32)
            )
        }
        let first = try write(text[0] + text[2], "first.jsonl", in: host)
        let path = try write(text.joined(), "all.jsonl", in: host)
        let written = try host.ensignInWork("discover", "--telemetry", first, "--write", "--team", "found")
        #expect(written.status == 0, "\(written.errors)")
        let agent = try String(
            contentsOfFile: "\(host.work)/fleet/agents/found/refund-bot/next/agent.yaml",
            encoding: .utf8
        )
        // What the fleet has is needed as it is; the rest is a tool to start from.
        #expect(agent.contains("{tool: crm, version: 1.0.0, operations: [find]}"), "\(agent)")
        #expect(agent.contains("{tool: refund-bot-tools, version: 0.1.0, operations: [jira__find]}"), "\(agent)")
        #expect(agent.contains("name: \"Refund Bot\""), "\(agent)")
        let tool = try String(
            contentsOfFile: "\(host.work)/fleet/tools/refund-bot-tools/0.1.0.yaml",
            encoding: .utf8
        )
        #expect(!tool.contains("command") && !(tool + agent).contains(token), "\(tool)")
        #expect(written.errors.contains("which looks like a secret") && !written.errors.contains(token))
        let valid = try host.ensignInWork("validate", host.work)
        #expect(valid.status == 0, "\(valid.output)\(valid.errors)")
        for more in [["--team", "found"], ["--team", "support"], []] {
            let again = try EnsignTestSupport.run(
                Host.ensign,
                ["discover", "--telemetry", path, "--write"] + more,
                in: host.work
            )
            #expect(again.status == 0 && again.output.isEmpty, "\(more): \(again.output)\(again.errors)")
            #expect(again.errors.contains("'refund_bot' may be found/refund-bot"), "\(again.errors)")
        }
        let listed = try host.ensignInWork("discover", "--telemetry", path)
        #expect(!listed.output.contains("Refund Bot") && listed.output.contains("refund_bot"), "\(listed.output)")
    }

    @Test("A watch follows where telemetry is set while it runs")
    func setting() throws {
        let host = try host()
        let folder = "\(host.scratch.path)/telemetry"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let call = line(
            [
                Span(
                    name: "x",
                    id: 1,
                    attributes: [
                        ("gen_ai.operation.name", "execute_tool"), ("gen_ai.tool.name", "shell__run"),
                        ("ensign.bundle", try digest(host)), ("gen_ai.agent.name", "helper"),
                    ]
                )
            ],
            trace: String(repeating: "8", count: 32)
        )
        _ = try write(call, "telemetry/a.jsonl", in: host)
        let watch = try Background(
            Host.ensign,
            ["watch", "--env", "prod"],
            in: host.bare,
            log: "\(host.scratch.path)/watch.log"
        )
        eventually(within: .seconds(10), watch.output) { watch.output.contains(" watching ") }
        try host.hostGit("config", "ensign.prod.telemetry", folder)
        eventually(within: .seconds(25), watch.output) {
            (try? host.liveJSON("agents/support/triage.json")["phase"] as? String) == "halted"
        }
        // It has looked at the setting by now: what comes next is a change, and is said.
        try host.hostGit("config", "ensign.prod.telemetry", "\(host.scratch.path)/other")
        eventually(within: .seconds(25), watch.output) {
            watch.output.contains("telemetry is read from \(host.scratch.path)/other from now on")
        }
        #expect(try watch.stop() == 0)
    }

    /// A run of the fleet's agent, with one answer of a model that has no price, and a call or none.
    private func run(_ number: Int, _ bundle: String, call arguments: String?) -> String {
        let marks = [("ensign.bundle", bundle)]
        var spans = [
            Span(
                name: "chat",
                id: 2,
                parent: 1,
                attributes: [
                    ("gen_ai.operation.name", "chat"), ("gen_ai.provider.name", "strands-agents"),
                    ("gen_ai.request.model", "m"), ("llm.usage.total_tokens", "1"),
                ] + marks
            )
        ]
        if let arguments {
            spans.append(
                Span(
                    name: "find",
                    id: 3,
                    parent: 1,
                    attributes: [
                        ("gen_ai.operation.name", "execute_tool"), ("gen_ai.tool.name", "crm__find"),
                        ("gen_ai.tool.call.arguments", arguments),
                    ] + marks
                )
            )
        }
        spans.append(Span(name: "run", id: 1, attributes: [("gen_ai.operation.name", "invoke_agent")] + marks))
        return line(spans, trace: String(format: "%032x", number + 1_000))
            .replacing(
                #"{"key":"llm.usage.total_tokens","value":{"stringValue":"1"}}"#,
                with: #"{"key":"gen_ai.usage.input_tokens","value":{"intValue":"1000"}}"#
            )
    }

    @Test(
        "Rules about calls that telemetry keeps blind are named, and costs by the bundle's own model",
        arguments: [nil, #"{\"type\": \"object\", \"properties\": {}}"#, #"{\"id\": 1}"#]
    )
    func blind(_ arguments: String?) throws {
        var fleet = FleetFixture()
        fleet.replace(
            "keepFor: 7d",
            with: "keepFor: 7d\n  killSwitch: [{repeatedCall: 1000, within: 1m}, {steps: 50}]",
            in: FleetFixture.environmentPath
        )
        let host = try Host(fleet: fleet)
        let folder = "\(host.scratch.path)/telemetry"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try host.hostGit("config", "ensign.prod.telemetry", folder)
        let bundle = try digest(host)
        _ = try write((0..<30).map { run($0, bundle, call: arguments) }.joined(), "telemetry/a.jsonl", in: host)
        for _ in 0..<2 {
            #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
            host.pass(seconds: 16)
        }
        let status = try host.ensign("status", "--env", "prod").errors
        switch arguments {
        case nil:
            #expect(status.contains("repeatedCall, steps of support/triage cannot fire: "), "\(status)")
            #expect(status.contains("and not one call"), "\(status)")
        case let text? where text.contains("properties"):
            #expect(status.contains("repeatedCall of support/triage cannot fire: none of its 30 calls"), "\(status)")
        default: #expect(!status.contains("cannot fire"), "\(status)")
        }
        let evidence = try host.ensign("evidence", "support/triage", "--env", "prod")
        #expect(
            evidence.output.contains("tokens of 30 spans are priced as the bundle's own model"),
            "\(evidence.output)\(evidence.errors)"
        )
        #expect(evidence.output.contains("'strands-agents/m', which has no price"))
    }

    @Test("A file in another form is told from its looks, with what to do")
    func forms() throws {
        let host = try Host(fleet: FleetFixture())
        let span =
            #"{"traceId":"4b1356ea552c33bb5f48c0a0e5d12f87","spanId":"be72efc1d9488b3b","name":"x","startTimeUnixNano":"1","endTimeUnixNano":"2"}"#
        let object = #"{"resourceSpans":[{"scopeSpans":[{"spans":[\#(span)]}]}]}"#
        for (text, words) in [
            (
                object.replacingOccurrences(of: ":[{", with: ":[\n{").replacingOccurrences(
                    of: "{\"res",
                    with: "{\n\"res"
                ),
                "objects over several lines"
            ),
            (object + object, "several objects on one line"), ("[\(object)]", "one list"),
            (object.replacingOccurrences(of: "scopeSpans", with: "instrumentationLibrarySpans"), "before 0.19"),
        ] {
            try host.scratch.write("odd.json", text)
            let path = "\(host.scratch.path)/odd.json"
            let result = try host.ensign("telemetry", "check", path, "--env", "prod")
            #expect(result.status == 4)
            #expect((result.output + result.errors).contains(words), "\(words): \(result.output)\(result.errors)")
        }
    }
}
