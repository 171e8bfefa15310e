import EnsignTestSupport
import Foundation
import Testing

/// A canary without a watcher is reported, wherever somebody would look.
@Suite struct AttendanceTests {
    private static let prompt = "fleet/agents/support/triage/1.0.0/prompt.md"
    private static let hint = "canary waiting"

    /// A host whose prod begins with a canary of an hour when the agent changes.
    private func host() throws -> Host {
        var fleet = FleetFixture()
        fleet.replace(
            "keepFor: 7d",
            with: "keepFor: 7d\n  rollout: {canary: {steps: [{weight: 20, hold: 1h}]}}",
            in: FleetFixture.environmentPath
        )
        for file in ["agent.yaml", "prompt.md"] {
            let text = fleet["fleet/agents/support/triage/1.0.0/\(file)"]
            fleet["fleet/agents/support/triage/1.1.0/\(file)"] = text.map { $0 + (file == "prompt.md" ? "Now.\n" : "") }
        }
        return try Host(fleet: fleet)
    }

    private func promote(_ host: Host) throws -> CommandResult {
        try host.push(FleetFixture.deploymentPath, "version: 1.0.0", "version: 1.1.0")
    }

    private func watch(_ host: Host) throws -> Background {
        let log = "\(host.scratch.path)/watch.log"
        let watch = try Background(Host.ensign, ["watch", "--env", "prod"], in: host.bare, log: log)
        eventually(within: .seconds(10), watch.output) { watch.output.contains(" watching ") }
        return watch
    }

    /// What each command that shows canaries says of them.
    private func said(_ host: Host) throws -> [String] {
        try [["status"], ["rollout", "status", "--env", "prod"]].map { arguments in
            let result = try run(Host.ensign, arguments, in: host.bare)
            #expect(result.status == 0)
            return result.errors
        }
    }

    private func json(_ host: Host, _ arguments: String...) throws -> [String: Any] {
        let result = try run(Host.ensign, arguments + ["--output", "json"], in: host.bare)
        let value = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
        return try #require(value)
    }

    private func environment(_ host: Host) throws -> [String: Any] {
        let status = try json(host, "status", "--env", "prod")
        return try #require((status["environments"] as? [[String: Any]])?.first)
    }

    @Test("Without a canary nobody is missed")
    func noCanary() throws {
        let host = try host()
        for text in try said(host) { #expect(!text.contains(Self.hint)) }
        #expect(try !host.ensign("reconcile", "--env", "prod").errors.contains(Self.hint))
        let environment = try environment(host)
        #expect(environment["canaryWaiting"] is NSNull)
        #expect((environment["watcher"] as? [String: Any])?["by"] is NSNull)
    }

    @Test("Without a watcher the push, reconcile and both kinds of status say so, with what to run")
    func nobody() throws {
        let host = try host()
        let push = try promote(host)
        #expect(push.status == 0)
        let sentence =
            "prod: canary waiting, no watcher since init: run 'ensign watch', or 'ensign reconcile --env prod' from a timer"
        #expect(push.errors.contains(sentence), "\(push.errors)")
        for text in try said(host) { #expect(text.contains(sentence), "\(text)") }
        #expect((try environment(host)["canaryWaiting"] as? [String: Any])?["since"] is NSNull)
        #expect(try json(host, "rollout", "status", "--env", "prod")["canaryWaiting"] is [String: Any])
        // Once is a person, twice is a timer.
        #expect(try host.ensign("reconcile", "--env", "prod").errors.contains(sentence))
        #expect(try json(host, "reconcile", "--env", "prod")["canaryWaiting"] is NSNull)
        for text in try said(host) { #expect(!text.contains(Self.hint), "\(text)") }
        #expect((try environment(host)["watcher"] as? [String: Any])?["by"] as? String == "timer")
    }

    @Test("A running watch is enough; killed, it is missed at once, since it was last seen")
    func watched() throws {
        let host = try host()
        let watch = try watch(host)
        let push = try promote(host)
        #expect(push.status == 0)
        #expect(!push.errors.contains(Self.hint), "\(push.errors)")
        for text in try said(host) { #expect(!text.contains(Self.hint), "\(text)") }
        let watched = try environment(host)
        #expect((watched["watcher"] as? [String: Any])?["by"] as? String == "watch")
        #expect(watched["canaryWaiting"] is NSNull)
        #expect(try watch.stop("KILL") == 128 + 9)
        let pattern = #/prod: canary waiting, no watcher since [0-9-]+T[0-9:]+Z: run 'ensign watch'/#
        for text in try said(host) { #expect(text.contains(pattern), "\(text)") }
        let since = (try environment(host)["canaryWaiting"] as? [String: Any])?["since"] as? String
        #expect(since != nil)
        let again = try self.watch(host)
        for text in try said(host) { #expect(!text.contains(Self.hint), "\(text)") }
        #expect(try again.stop() == 0)
        for text in try said(host) { #expect(text.contains(Self.hint), "\(text)") }
    }

    @Test("One of two watches is enough: the other takes its place")
    func two() throws {
        let host = try host()
        let first = try watch(host)
        let log = "\(host.scratch.path)/second.log"
        let second = try Background(Host.ensign, ["watch", "--env", "prod"], in: host.bare, log: log)
        eventually(within: .seconds(10), second.output) { second.output.contains(" watching ") }
        #expect(try first.stop("KILL") == 128 + 9)
        // It looks again with the next reconcile; a push wakes it.
        _ = try promote(host)
        try eventually(within: .seconds(10), "the second is the watcher") {
            try said(host).allSatisfy { !$0.contains(Self.hint) }
        }
        #expect(try second.stop() == 0)
    }

    @Test("A developer's clone cannot know, and says nothing")
    func clone() throws {
        let host = try host()
        _ = try promote(host)
        try host.ensignInWork("init", "--client")
        try host.git("fetch", "-q")
        let text = try host.ensignInWork("rollout", "status", "--env", "prod")
        #expect(text.output.contains("canary") && text.errors.isEmpty, "\(text.output)\(text.errors)")
        let status = try host.ensignInWork("status").errors
        #expect(status.contains("prod: canary: support/triage 1.1.0 at ") && !status.contains(Self.hint), "\(status)")
        let json = try host.ensignInWork("status", "--env", "prod", "--output", "json").output
        #expect(json.contains(#""watcher": null"#) && json.contains(#""canaryWaiting": null"#), "\(json)")
    }
}
