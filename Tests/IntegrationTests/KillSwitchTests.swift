import EnsignTestSupport
import Foundation
import Testing

/// The kill switch: from a line of telemetry to an agent that is stopped.
@Suite struct KillSwitchTests {
    private static let route = "agents/support/triage.json"
    private static let second = Duration.seconds(2)

    private func traces(_ host: Host) -> String { "\(host.scratch.path)/telemetry/traces.jsonl" }

    /// A host with rules in its environment and telemetry beside it.
    private func host(_ rules: String = "[{deniedCalls: 5, within: 1m}, {unknownTool: 1}]") throws -> Host {
        var fleet = FleetFixture()
        fleet.replace("keepFor: 7d", with: "keepFor: 7d\n  killSwitch: \(rules)", in: FleetFixture.environmentPath)
        let host = try Host(fleet: fleet)
        try host.hostGit("config", "ensign.prod.telemetry", "\(host.scratch.path)/telemetry")
        return host
    }

    private func watch(_ host: Host, _ name: String = "watch") throws -> Background {
        let log = "\(host.scratch.path)/\(name).log"
        let watch = try Background(Host.ensign, ["watch", "--env", "prod"], in: host.bare, log: log)
        eventually(within: .seconds(10), watch.output) { watch.output.contains(" watching ") }
        return watch
    }

    private func isHalted(_ host: Host) -> Bool { (try? host.liveJSON(Self.route)["phase"] as? String) == "halted" }

    /// Writes calls as an exporter does, one on each line.
    private func calls(
        _ count: Int,
        of tool: String = "crm__find",
        by agent: String = "support/triage",
        denied: Bool = false,
        arguments: String? = nil,
        secondsAgo: Double = 0,
        in host: Host
    ) throws {
        let folder = "\(host.scratch.path)/telemetry"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let path = "\(folder)/traces.jsonl"
        if !FileManager.default.fileExists(atPath: path) {
            _ = FileManager.default.createFile(atPath: path, contents: nil)
        }
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try file.seekToEnd()
        for _ in 0..<count {
            let now = Int64((Date().timeIntervalSince1970 - secondsAgo) * 1e9)
            var attributes = [
                ("gen_ai.operation.name", "execute_tool"), ("gen_ai.agent.name", agent), ("gen_ai.tool.name", tool),
                ("gen_ai.tool.call.arguments", arguments ?? "{\\\"n\\\":\(UInt32.random(in: 0 ... .max))}"),
            ]
            if denied { attributes.append(("error.type", "permission_denied")) }
            let list = attributes.map { #"{"key":"\#($0.0)","value":{"stringValue":"\#($0.1)"}}"# }
            let (trace, span) = (hex(32), hex(16))
            let line =
                #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"\#(trace)","spanId":"\#(span)","#
                + #""name":"x","startTimeUnixNano":"\#(now - 1_000_000)","endTimeUnixNano":"\#(now)","#
                + #""attributes":[\#(list.joined(separator: ","))],"status":{}}]}]}]}"#
            try file.write(contentsOf: Data((line + "\n").utf8))
        }
        try file.close()
    }

    private func hex(_ digits: Int) -> String {
        String((0..<digits).map { _ in "0123456789abcdef".randomElement() ?? "1" })
    }

    private func newest(_ host: Host) throws -> [String: Any] {
        let changes = try #require(try host.entry()["changes"] as? [[String: Any]])
        return try #require(changes.first?["evidence"] as? [String: Any])
    }

    @Test("A rule halts when its number is reached and not before; spans count once across restarts")
    func threshold() throws {
        let host = try host()
        let first = try watch(host, "first")
        try calls(3, denied: true, in: host)
        try first.readsToEnd(of: traces(host))
        #expect(!isHalted(host))
        #expect(try first.stop() == 0)
        let second = try watch(host, "second")
        try calls(1, denied: true, in: host)
        try second.readsToEnd(of: traces(host))
        #expect(!isHalted(host), "\(second.output)")
        try calls(1, denied: true, in: host)
        eventually(within: Self.second, second.output) { isHalted(host) }
        try eventually(within: .seconds(5), second.output) { try host.kinds().last == "halt" }
        #expect(try newest(host)["rule"] as? String == "deniedCalls: 5, within: 1m")
        #expect(try newest(host)["observed"] as? Int == 5)
        #expect(try host.entry()["reason"] as? String == "kill-switch")
        // Resumed, it begins anew: what was counted is forgotten, and what is read again does not count.
        let resume = try host.ensign("resume", "support/triage", "--env", "prod", "--reason", "x")
        #expect(resume.status == 0, "\(resume.errors)")
        nextSecond()
        try calls(4, denied: true, in: host)
        try second.readsToEnd(of: traces(host))
        #expect(!isHalted(host), "\(second.output)")
        #expect(try second.stop() == 0)
        // Even without what was counted.
        try FileManager.default.removeItem(atPath: "\(host.bare)/ensign/state")
        let third = try watch(host, "third")
        try third.readsToEnd(of: traces(host))
        #expect(!isHalted(host), "\(third.output)")
        try calls(1, denied: true, in: host)
        eventually(within: Self.second, third.output) { isHalted(host) }
        #expect(try third.stop() == 0)
        try host.expectSound()
    }

    @Test("What a halted agent does is an alarm, once; a resume ends it")
    func alarm() throws {
        let host = try host()
        let watch = try watch(host)
        try calls(1, of: "shell__run", in: host)
        eventually(within: Self.second, watch.output) { isHalted(host) }
        try eventually(within: .seconds(5), watch.output) { try host.kinds().last == "halt" }
        nextSecond()
        for _ in 0..<3 {
            try calls(2, in: host)
            try watch.readsToEnd(of: traces(host))
        }
        try eventually(within: .seconds(5), watch.output) { try newest(host)["activityAfterHalt"] != nil }
        watch.rests()
        #expect(try host.kinds() == ["genesis", "intent", "outcome", "halt", "halt"])
        #expect(try host.entry()["reason"] as? String == "activity-after-halt")
        let status = try host.ensign("status", "--env", "prod")
        #expect(status.errors.contains("prod: alarm: support/triage was seen to act at "))
        try host.expectSound()
        #expect(try host.ensign("resume", "--all", "--env", "prod", "--reason", "x").status == 0)
        #expect(!(try host.ensign("status", "--env", "prod").errors.contains("alarm")))
        #expect(try watch.stop() == 0)
        try host.expectSound()
    }

    @Test("The rules of the deployment hold too, those of the newest commit; other agents run on")
    func deployment() throws {
        let host = try host("[{steps: 1000}]")
        let watch = try watch(host)
        let rule = "  killSwitch: [{repeatedCall: 3, within: 1m}]\n"
        try host.push(FleetFixture.deploymentPath, "  version: 1.0.0\n", "  version: 1.0.0\n" + rule)
        // The watch looks for new rules every 20 ms.
        usleep(100_000)
        try calls(5, by: "support/desk", arguments: "{}", in: host)
        try calls(2, arguments: "{}", in: host)
        try calls(9, in: host)
        try watch.readsToEnd(of: traces(host))
        #expect(!isHalted(host))
        try calls(1, arguments: "{}", in: host)
        eventually(within: Self.second, watch.output) { isHalted(host) }
        #expect(try host.liveJSON("agents/support/desk.json")["phase"] as? String == "stable")
        #expect(try watch.stop() == 0)
        try host.expectSound()
    }

    @Test("An agent is not halted for how its framework spells what it is granted, and is for anything else")
    func spellings() throws {
        var fleet = FleetFixture()
        fleet.replace(
            "keepFor: 7d",
            with: "keepFor: 7d\n  killSwitch: [{unknownTool: 1}]",
            in: FleetFixture.environmentPath
        )
        fleet.replace(
            "    erase:",
            with:
                "    get_weather: {access: read, risk: low}\n    read:\n      {access: read, risk: low, mcp: {tool: fetch_document}}\n    crm_find: {access: read, risk: low}\n    a.very.b__c: {access: read, risk: low}\n    erase:",
            in: FleetFixture.toolPath
        )
        let more = "get_weather, read, crm_find, a.very.b__c"
        fleet.replace("[find, update, erase]", with: "[find, update, erase, \(more)]", in: FleetFixture.agentPath)
        fleet.replace("[erase]", with: "[erase, \(more)]", in: FleetFixture.deploymentPath)
        let host = try Host(fleet: fleet)
        try host.hostGit("config", "ensign.prod.telemetry", "\(host.scratch.path)/telemetry")
        let watch = try watch(host)
        for name in [
            "get_weather", "getWeather", "crm__get_weather", "crm_get_weather", "mcp__crm__get_weather",
            "crm.get_weather",
            "fetch_document", "crm_fetch_document", "read", "crm_find", "a.very.b__c", "a_very_b_c", "crm__a.very.b__c",
        ] { try calls(1, of: name, in: host) }
        try watch.readsToEnd(of: traces(host))
        #expect(!isHalted(host), "\(watch.output)")
        try calls(1, of: "crm_get_weathers", in: host)
        eventually(within: Self.second, watch.output) { isHalted(host) }
        #expect(try watch.stop() == 0)
        try host.expectSound()
    }

    @Test("Without a watch each reconcile reads what is new, and stops first")
    func reconcile() throws {
        let host = try host()
        try calls(4, denied: true, in: host)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(!isHalted(host))
        try calls(1, denied: true, in: host)
        let result = try host.ensign("reconcile", "--env", "prod")
        #expect(result.status == 0 && result.output.contains("prod: support/triage halted 1.0.0"), "\(result.output)")
        #expect(isHalted(host))
        try host.expectSound()
    }

    @Test("It works without the key, and the record follows")
    func withoutKey() throws {
        let host = try host()
        let watch = try watch(host)
        let key = "\(host.bare)/ensign/keys/prod"
        try FileManager.default.moveItem(atPath: key, toPath: key + ".away")
        try calls(1, of: "shell__run", in: host)
        eventually(within: Self.second, watch.output) { isHalted(host) }
        #expect(try host.ensign("reconcile", "--env", "prod").status == 1)
        #expect(isHalted(host))
        try FileManager.default.moveItem(atPath: key + ".away", toPath: key)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(isHalted(host))
        #expect(try newest(host)["recordedLate"] != nil)
        #expect(try watch.stop() == 0)
        try host.expectSound()
    }

    @Test("Nobody is spared because a clock was ahead when somebody resumed or halted an agent")
    func clockAhead() throws {
        let host = try host()
        #expect(try host.ensign("halt", "support/triage", "--env", "prod", "--reason", "x").status == 0)
        host.pass(seconds: 3 * 86_400)
        let resumed = try host.ensign("resume", "support/triage", "--env", "prod", "--reason", "y")
        #expect(resumed.status == 0, "\(resumed.errors)")
        host.pass(seconds: -3 * 86_400)
        try calls(5, denied: true, in: host)
        let stopped = try host.ensign("reconcile", "--env", "prod")
        #expect(isHalted(host), "\(stopped.output)\(stopped.errors)")
        #expect(try host.ensign("resume", "support/triage", "--env", "prod", "--reason", "z").status == 0)
        host.pass(seconds: 3 * 86_400)
        #expect(try host.ensign("halt", "support/triage", "--env", "prod", "--reason", "x").status == 0)
        host.pass(seconds: -3 * 86_400)
        let watch = try watch(host)
        try calls(1, in: host)
        try watch.readsToEnd(of: traces(host))
        try calls(1, in: host)
        try eventually(within: .seconds(5), watch.output) { try newest(host)["activityAfterHalt"] != nil }
        #expect(try watch.stop() == 0)
    }

    @Test("The second of the halt counts as before it, also while the ledger does not have it")
    func secondOfTheHalt() throws {
        let host = try host()
        let watch = try watch(host)
        let key = "\(host.bare)/ensign/keys/prod"
        try FileManager.default.moveItem(atPath: key, toPath: key + ".away")
        // At the beginning of a second, so that there is time left in it.
        while Date().timeIntervalSince1970.truncatingRemainder(dividingBy: 1) > 0.1 { usleep(10_000) }
        try calls(1, of: "shell__run", in: host)
        eventually(within: Self.second, watch.output) { isHalted(host) }
        for _ in 0..<3 {
            usleep(20_000)
            try calls(1, in: host)
        }
        try watch.readsToEnd(of: traces(host))
        nextSecond()
        #expect(!watch.output.contains("alarm: "), "\(watch.output)")
        try calls(1, in: host)
        eventually(within: Self.second, watch.output) { watch.output.contains("alarm: support/triage acts ") }
        #expect(try watch.stop() == 0)
    }

    @Test("A directory of telemetry that is put in the place of another is followed at once")
    func replaced() throws {
        let host = try host()
        let folder = "\(host.scratch.path)/telemetry"
        try calls(1, in: host)
        let watch = try watch(host)
        try watch.readsToEnd(of: traces(host))
        try FileManager.default.moveItem(atPath: folder, toPath: folder + ".old")
        watch.rests()
        try calls(1, denied: true, in: host)
        try watch.readsToEnd(of: traces(host))
        try FileManager.default.removeItem(atPath: folder)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        watch.rests()
        try calls(1, of: "shell__run", in: host)
        eventually(within: Self.second, watch.output) { isHalted(host) }
        #expect(try host.ensign("resume", "--all", "--env", "prod", "--reason", "x").status == 0)
        // Renamed away and another one moved there, as a whole.
        try FileManager.default.createDirectory(atPath: folder + ".new", withIntermediateDirectories: true)
        try FileManager.default.moveItem(atPath: folder, toPath: folder + ".older")
        try FileManager.default.moveItem(atPath: folder + ".new", toPath: folder)
        nextSecond()
        watch.rests()
        try calls(1, of: "shell__run", in: host)
        eventually(within: Self.second, watch.output) { isHalted(host) }
        #expect(try watch.stop() == 0)
        try host.expectSound()
    }

    @Test("Of more files than are followed the one that arrives is read, whatever their times say")
    func tooManyFiles() throws {
        let host = try host()
        let folder = "\(host.scratch.path)/telemetry"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        // Lines that were never finished, and were changed in the year 2100.
        for number in 0...1_200 {
            let path = "\(folder)/\(number).jsonl"
            _ = FileManager.default.createFile(atPath: path, contents: Data("{\"resourceSpans\":".utf8))
            let time = Date(timeIntervalSince1970: 4_102_444_800)
            try FileManager.default.setAttributes([.modificationDate: time], ofItemAtPath: path)
        }
        for _ in 0..<2 { #expect(try host.ensign("reconcile", "--env", "prod").status == 0) }
        let status = try host.ensign("status", "--env", "prod").errors
        #expect(!status.contains("telemetry"), "\(status)")
        try calls(1, of: "shell__run", in: host)
        let time = Date(timeIntervalSince1970: 0)
        try FileManager.default.setAttributes([.modificationDate: time], ofItemAtPath: "\(folder)/traces.jsonl")
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(isHalted(host))
        try host.expectSound()
    }

    @Test("Telemetry that lies stops nobody and nothing: strangers, other environments, old news, garbage")
    func lies() throws {
        let host = try host()
        let watch = try watch(host)
        for index in 0..<50 { try calls(1, of: "shell__run", by: "support/made-up-\(index)", in: host) }
        try calls(9, denied: true, secondsAgo: 2 * 86_400, in: host)
        let path = "\(host.scratch.path)/telemetry/traces.jsonl"
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try file.seekToEnd()
        try file.write(contentsOf: Data("{\"resourceSpans\": 1}\n\u{0}\u{1}garbage\n{\n".utf8))
        try file.write(contentsOf: Data(repeating: UInt8(ascii: "a"), count: 10 << 20) + Data("\n".utf8))
        try file.close()
        try watch.readsToEnd(of: path)
        #expect(!isHalted(host))
        try calls(1, of: "shell__run", in: host)
        eventually(within: .seconds(4), watch.output) { isHalted(host) }
        // Stopped first, recorded then.
        try eventually(within: .seconds(10), watch.output) { try host.kinds().last == "halt" }
        #expect(try watch.stop() == 0)
        let kinds = try host.kinds()
        #expect(kinds == ["genesis", "intent", "outcome", "halt"], "\(watch.output)")
        try host.expectSound()
    }
}
