import EnsignTestSupport
import Foundation
import Testing

/// `tighten`: what telemetry never saw called goes from the grants.
@Suite struct TightenTests {
    private static let day = 86_400.0
    private let deployment = FleetFixture.deploymentPath

    private func host(telemetry: Bool = true) throws -> Host {
        let host = try Host(fleet: FleetFixture())
        guard telemetry else { return host }
        let folder = "\(host.scratch.path)/telemetry"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try host.hostGit("config", "ensign.prod.telemetry", folder)
        return host
    }

    /// Writes a call of the agent, now.
    private func call(_ tool: String, in host: Host) throws {
        let now = Int64(host.now * 1e9)
        let attributes = [
            ("gen_ai.operation.name", "execute_tool"), ("gen_ai.agent.name", "support/triage"),
            ("gen_ai.tool.name", tool),
        ].map { #"{"key":"\#($0.0)","value":{"stringValue":"\#($0.1)"}}"# }.joined(separator: ",")
        let id = String(UInt64.random(in: (1 << 60)...(.max)), radix: 16)
        let line =
            #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"\#(id)\#(id)","spanId":"\#(id)","name":"x","#
            + #""startTimeUnixNano":"\#(now - 1_000_000)","endTimeUnixNano":"\#(now)","#
            + #""attributes":[\#(attributes)],"status":{}}]}]}]}"#
        let path = "\(host.scratch.path)/telemetry/traces.jsonl"
        let old = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        try (old + line + "\n").write(toFile: path, atomically: false, encoding: .utf8)
    }

    /// Days in which the agent calls what `calls` says, and a reconcile reads it each day.
    private func days(_ calls: [[String]], _ host: Host) throws {
        for names in calls {
            for name in names { try call(name, in: host) }
            let result = try host.ensign("reconcile", "--env", "prod")
            #expect(result.status == 0, "\(result.errors)")
            host.pass(seconds: Self.day)
        }
    }

    private func tighten(_ host: Host, _ arguments: String...) throws -> CommandResult {
        try host.ensign(arguments: ["tighten", "support/triage", "--env", "prod"] + arguments)
    }

    @Test("What was not called for so long goes, on a branch; what a role grants stays, and is listed")
    func removal() throws {
        let host = try host()
        try days([["erase"], ["crm_update", "erase"], ["mystery"], ["crm__update"], ["update"]], host)
        let before = try host.git("show", "HEAD:\(deployment)")
        let dry = try tighten(host, "--days", "3", "--dry-run")
        #expect(dry.status == 0, "\(dry.errors)")
        #expect(dry.output.contains(/crm\.erase +\d{4}-\d\d-\d\d +grant +remove/), "\(dry.output)")
        #expect(dry.output.contains(/crm\.find +- +role reader +keep: role 'reader' grants it/), "\(dry.output)")
        #expect(dry.output.contains(/crm\.update +\d{4}-\d\d-\d\d +grant +-/), "\(dry.output)")
        #expect(dry.errors.contains("support/triage also called 'mystery', which means none of its grants"))
        #expect(dry.output.contains("may no longer call crm.erase") && !dry.output.contains("Branch "), "\(dry.output)")
        let branch = "ensign/tighten/prod/support/triage"
        #expect(try host.hostGit("branch", "--list", branch).isEmpty)
        let result = try tighten(host, "--days", "3")
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.output.contains("may no longer call crm.erase") && result.output.contains("narrowing"))
        let after = try host.hostGit("show", "\(branch):\(deployment)")
        #expect(
            after
                == before.replacingOccurrences(of: "    - {tool: crm, operations: [erase], approval: dual}\n", with: "")
        )
        // Asked about the whole time, everything was called but what the role grants.
        let all = try tighten(host, "--days", "4", "--output", "json", "--branch", "none")
        #expect(all.status == 0, "\(all.errors)")
        let json = try #require(try JSONSerialization.jsonObject(with: Data(all.output.utf8)) as? [String: Any])
        let operations = try #require(json["operations"] as? [[String: Any]])
        #expect(operations.map { $0["verdict"] as? String } == ["used", "keep", "used"])
        #expect(json["branch"] is NSNull)
    }

    @Test("Without telemetry for the whole time, or of the agent, it refuses, and says what it knows")
    func refusals() throws {
        let none = try tighten(try host(telemetry: false))
        #expect(none.status == 4 && none.errors.contains("'prod' has no telemetry here: nothing says what is called"))
        let host = try host()
        try days([[], []], host)
        let silent = try tighten(host, "--days", "1")
        #expect(
            silent.status == 4 && silent.errors.contains("no call of 'support/triage' was seen in 'prod'"),
            "\(silent.errors)"
        )
        try days([["update"]], host)
        #expect(try tighten(host, "--days", "1").status == 0)
        let long = try tighten(host, "--days", "30")
        #expect(
            long.status == 4 && long.errors.contains("telemetry of 'prod' is not known for 30 days"),
            "\(long.errors)"
        )
        #expect(long.errors.contains("--days 3 asks about what is known"), "\(long.errors)")
        // A hole of some days.
        host.pass(seconds: 3 * Self.day)
        try days([["update"]], host)
        let hole = try tighten(host, "--days", "3")
        #expect(hole.status == 4 && hole.errors.contains("and it begins on"), "\(hole.errors)")
        for days in ["0", "-1", "x", "3651"] { #expect(try tighten(host, "--days", days).status == 64) }
        #expect(try host.ensign("tighten", "support/nobody", "--env", "prod").status == 64)
    }
}
