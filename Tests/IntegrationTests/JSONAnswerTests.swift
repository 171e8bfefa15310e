import EnsignTestSupport
import Foundation
import Testing

/// `--output json`: whoever asks for it gets one value, whatever the answer is.
@Suite struct JSONAnswerTests {
    private func object(_ result: CommandResult) throws -> [String: Any] {
        let value = try? JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
        return try #require(value, "\(result.output)\(result.errors)")
    }

    @Test("Every answer is one object with the number of its form")
    func numbered() throws {
        let host = try Host(fleet: FleetFixture())
        let tools = #"{"tools": [{"name": "a", "inputSchema": {"type": "object"}}]}"#
        let listing = try host.scratch.write("tools.json", tools)
        let spans = try host.scratch.write("spans.jsonl", "")
        for words in [
            ["status"], ["get", "agents"], ["get", "tools"], ["get", "teams"], ["get", "agents", "--env", "prod"],
            ["plan"], ["plan", "--env", "prod"], ["diff", "dev", "prod"], ["diff", "main", "main"], ["validate"],
            ["route", "support/triage", "--env", "prod", "--key", "k"], ["who-can", "crm.find", "--env", "prod"],
            ["check", "support/triage", "crm.find", "--env", "prod"], ["log", "--env", "prod"], ["verify"], ["keys"],
            ["drift", "--env", "prod"], ["evidence", "support/triage", "--env", "prod"],
            ["rollout", "status", "--env", "prod"], ["version"], ["reconcile", "--env", "prod"],
            ["discover", "--telemetry", spans], ["telemetry", "check", spans, "--env", "prod"],
            ["rollback", "support/triage", "--env", "prod", "--now", "--to", "1.0.0", "--reason", "x"],
            ["keys", "--env", "prod", "--prepare"], ["keys", "--env", "prod", "--rotate"],
            ["halt", "support/triage", "--env", "prod", "--reason", "x"],
            ["resume", "support/triage", "--env", "prod", "--reason", "x"],
        ] {
            let result = try host.ensign(arguments: words + ["--output", "json"])
            #expect(try object(result)["v"] as? Int == 1, "\(words): \(result.output)\(result.errors)")
        }
        for words in [
            ["import", "mcp", "t", "--from", listing], ["promote", "--all", "--to", "prod"],
            ["plan", "--worktree", "--env", "prod"],
        ] {
            let result = try run(Host.ensign, words + ["--output", "json"], in: host.work)
            #expect(try object(result)["v"] as? Int == 1, "\(words): \(result.output)\(result.errors)")
        }
    }

    @Test("A version that sessions have already is an answer of reconcile; a rotation answers with the keys")
    func done() throws {
        let host = try Host(fleet: FleetFixture())
        let words = ["rollback", "support/triage", "--env", "prod", "--now", "--to", "1.0.0", "--reason", "x"]
        let back = try host.ensign(arguments: words + ["-o", "json"])
        #expect(back.status == 0 && back.errors.contains("what sessions have already"), "\(back.errors)")
        #expect(try object(back)["result"] as? String == "converged", "\(back.output)")
        let rotated = try host.ensign("keys", "--env", "prod", "--rotate", "-o", "json")
        #expect(rotated.status == 0, "\(rotated.errors)")
        let asked = try host.ensign("keys", "--env", "prod", "-o", "json")
        #expect(rotated.output == asked.output && !asked.output.isEmpty, "\(rotated.output)")
    }

    @Test("Manifests that are not valid are the answer of every question that they leave without one")
    func invalid() throws {
        let host = try Host(fleet: FleetFixture(), pushes: false)
        try host.edit(FleetFixture.bindingPath, "ref: \"vault:crm-prod\"", "reff: \"vault:crm-prod\"")
        try host.git("commit", "-q", "--no-verify", "-a", "-m", "A slip")
        for words in [
            ["check", "support/triage", "crm.update", "--env", "prod", "--rev", "HEAD"], ["diff", "HEAD~1", "HEAD"],
            ["diff", "dev", "prod"], ["plan", "--env", "prod"], ["validate"],
        ] {
            let result = try run(Host.ensign, words + ["-o", "json"], in: host.work)
            #expect(result.status == 3, "\(words): \(result.errors)")
            let answer = try object(result)
            #expect(answer["v"] as? Int == 1 && answer["valid"] as? Bool == false, "\(words): \(result.output)")
            let findings = answer["findings"] as? [[String: Any]] ?? []
            #expect(findings.contains { $0["path"] as? String == FleetFixture.bindingPath }, "\(words)")
        }
    }

    @Test("A plan has the warnings of its manifests, which the text shows above it")
    func warnings() throws {
        let host = try Host(fleet: FleetFixture())
        try host.edit(FleetFixture.deploymentPath, "2027-06-30", "2020-06-30")
        let text = try host.ensignInWork("plan", "--env", "prod", "--worktree")
        #expect(text.errors.contains("[expired-grant]"), "\(text.errors)")
        let answer = try object(host.ensignInWork("plan", "--env", "prod", "--worktree", "-o", "json"))
        let findings = answer["findings"] as? [[String: Any]]
        #expect(findings?.contains { $0["code"] as? String == "expired-grant" } == true, "\(findings ?? [])")
    }

    @Test("A reconcile in the future has an age below 0")
    func future() throws {
        let host = try Host(fleet: FleetFixture())
        host.pass(seconds: 7_200)
        try host.ensign("reconcile", "--env", "prod")
        host.pass(seconds: -3_600)
        let text = try host.ensign("status", "--env", "prod")
        #expect(text.output.contains("in the future"), "\(text.output)")
        let rows = try object(host.ensign("status", "--env", "prod", "-o", "json"))["environments"] as? [[String: Any]]
        #expect(try #require(rows?.first?["ageSeconds"] as? Int) < -3_000)
    }
}
