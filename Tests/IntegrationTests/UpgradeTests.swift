import EnsignTestSupport
import Foundation
import Testing

/// What cannot be made again outlives a deleted cache, and an update from 0.1.0, which kept it there.
@Suite struct UpgradeTests {
    /// A host with a rule that needs five calls, a target of its own, and a canary whose hold is long.
    private func host() throws -> Host {
        var fleet = FleetFixture()
        let rules = "killSwitch: [{deniedCalls: 5, within: 1h}]\n  rollout: {canary: {steps: [{weight: 20, hold: 1h}]}}"
        fleet.replace("keepFor: 7d", with: "keepFor: 7d\n  \(rules)", in: FleetFixture.environmentPath)
        let host = try Host(fleet: fleet, pushes: false)
        try host.hostGit("config", "ensign.prod.telemetry", "\(host.scratch.path)/telemetry")
        try host.hostGit("config", "ensign.prod.target", "directory:\(host.scratch.path)/live")
        try host.git("push", "-q", "origin", "main")
        // A canary: what may do more is tried first.
        let push = try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 200")
        try #require(push.status == 0, "\(push.errors)")
        return host
    }

    /// Writes denied calls into a file, and removes the file before it: only a memory of it can count those.
    private func denied(_ count: Int, _ host: Host) throws {
        let folder = "\(host.scratch.path)/telemetry"
        try? FileManager.default.removeItem(atPath: folder)
        var text = ""
        for number in 0..<count {
            let now = Int64(Date().timeIntervalSince1970 * 1e9)
            let id = UUID().uuidString.lowercased().replacing("-", with: "")
            let attributes = [
                ("gen_ai.operation.name", "execute_tool"), ("gen_ai.agent.name", "support/triage"),
                ("gen_ai.tool.name", "crm__find"), ("gen_ai.tool.call.arguments", "\(number)"),
                ("error.type", "permission_denied"),
            ]
            .map { #"{"key":"\#($0.0)","value":{"stringValue":"\#($0.1)"}}"# }.joined(separator: ",")
            text +=
                #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"\#(id)","spanId":"\#(id.prefix(16))","#
                + #""name":"x","startTimeUnixNano":"\#(now - 1_000)","endTimeUnixNano":"\#(now)","#
                + #""attributes":[\#(attributes)],"status":{}}]}]}]}"# + "\n"
        }
        try host.scratch.write("telemetry/traces.jsonl", text)
    }

    private func reconcile(_ host: Host) throws -> String {
        let result = try host.ensign("reconcile", "--env", "prod")
        #expect(result.status == 0, "\(result.errors)")
        return result.output + result.errors
    }

    private func isHalted(_ host: Host) throws -> Bool {
        try host.scratch.read("live/agents/support/triage.json").contains("\"halted\"")
    }

    /// Makes the host believe that its clock was set forwards since it last looked.
    private func advanceClock(_ host: Host) throws {
        let path = "fleet.git/ensign/state/prod/clock"
        let text = try host.scratch.read(path)
        let wall = try #require(text.firstMatch(of: /"wall":(\d+)/))
        let earlier = try #require(Int(wall.1)) - 90_000
        try host.scratch.write(path, text.replacing(wall.0, with: "\"wall\":\(earlier)"))
    }

    @Test("A deleted cache changes no decision: what was counted counts, the clock is known, the target is its own")
    func deletedCache() throws {
        let host = try host()
        try denied(3, host)
        _ = try reconcile(host)
        try advanceClock(host)
        try FileManager.default.removeItem(atPath: "\(host.bare)/ensign/cache")
        // Nothing but what is remembered says whose directory it is.
        try FileManager.default.removeItem(atPath: "\(host.scratch.path)/live/fleet.json")
        let output = try reconcile(host)
        #expect(output.contains("the clock was set: the hold starts again"), "\(output)")
        try denied(1, host)
        _ = try reconcile(host)
        #expect(try !isHalted(host))
        try FileManager.default.removeItem(atPath: "\(host.bare)/ensign/cache")
        try denied(1, host)
        _ = try reconcile(host)
        #expect(try isHalted(host))
    }

    @Test("An update from 0.1.0 loses nothing: what it kept is taken over once")
    func upgrade() throws {
        let host = try host()
        try denied(3, host)
        _ = try reconcile(host)
        try advanceClock(host)
        try downgrade(host)
        // Looking moves nothing.
        _ = try host.ensign("status", "--env", "prod")
        _ = try host.ensign("plan", "--env", "prod")
        #expect(!host.scratch.exists("fleet.git/ensign/state"))
        try FileManager.default.removeItem(atPath: "\(host.scratch.path)/live/fleet.json")
        try denied(2, host)
        let output = try reconcile(host)
        #expect(try isHalted(host), "\(output)")
        for name in ["clock", "target", "telemetry", "traffic"] {
            #expect(!host.scratch.exists("fleet.git/ensign/cache/prod/\(name)"), "\(name)")
            #expect(host.scratch.exists("fleet.git/ensign/state/prod/\(name)"), "\(name)")
        }
        #expect(!host.scratch.exists("fleet.git/ensign/accepted/prod"))
        #expect(host.scratch.exists("fleet.git/ensign/state/prod/accepted"))
        #expect(try host.ensign("verify", "--env", "prod").status == 0)
    }

    /// Brings what is kept back to where 0.1.0 had it.
    private func downgrade(_ host: Host) throws {
        func member(_ name: String, _ text: String) throws -> String {
            let json = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
            return "\(try #require(json[name]))"
        }
        func read(_ name: String) throws -> String { try host.scratch.read("fleet.git/ensign/state/prod/\(name)") }
        func write(_ path: String, _ text: String) throws { try host.scratch.write("fleet.git/ensign/\(path)", text) }
        let (clock, target, accepted) = (try read("clock"), try read("target"), try read("accepted"))
        let times = [try member("boot", clock), try member("sinceBoot", clock), try member("wall", clock)]
        try write("cache/prod/clock", times.joined(separator: "\n") + "\n")
        let place = "\(try member("device", target)) \(try member("inode", target))\n\(try member("path", target))\n"
        try write("cache/prod/target", place)
        try write("accepted/prod", "\(try member("recorded", accepted))\n\(try member("commit", accepted))\n")
        try write("cache/prod/telemetry", try read("telemetry"))
        try write("cache/prod/traffic", "")
        try FileManager.default.removeItem(atPath: "\(host.bare)/ensign/state")
    }
}
