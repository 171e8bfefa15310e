import EnsignTestSupport
import Foundation
import Testing

/// An agent that stays although git no longer declares it.
@Suite struct UndeclaredAgentTests {
    private func host() throws -> Host {
        var fleet = FleetFixture()
        fleet.replace("keepFor: 7d", with: "keepFor: 7d\n  prune: false", in: FleetFixture.environmentPath)
        return try Host(fleet: fleet)
    }

    private func remove(_ host: Host) throws {
        try host.git("rm", "-q", FleetFixture.deploymentPath)
        try host.git("commit", "-q", "-m", "Remove it")
        let push = try host.tryGit("push", "origin", "main")
        #expect(push.status == 0, "\(push.errors)")
    }

    @Test("What a role or a tool no longer allows is gone for it too, and nothing comes to it")
    func narrowed() throws {
        let host = try host()
        try remove(host)
        func limits() throws -> String { try host.ensign("who-can", "crm.find", "--env", "prod").output }
        #expect(try limits().contains("support/triage") && !limits().contains("5"))
        let (open, tight) = (
            "operations: [find]}", "operations: [find], arguments: {properties: {name: {maxLength: 5}}}}"
        )
        let push = try host.push(FleetFixture.rolePath, open, tight)
        #expect(push.errors.contains("support/triage updated 1.0.0 (git allows it less)"), "\(push.errors)")
        #expect(try limits().contains("5"))
        try host.push(FleetFixture.rolePath, tight, open)
        #expect(try limits().contains("5"))
        try host.expectSound()
    }

    @Test("What ends for it is planned, shown and recorded once", arguments: ["canary", "halted"])
    func once(_ state: String) throws {
        let host = try Host()
        let deployment = "environments/prod/agents/support/refund-triage.yaml"
        #expect(try host.push("environments/prod/environment.yaml", "prune: true", "prune: false").status == 0)
        if state == "halted" {
            #expect(try host.push(deployment, "halted: false", "halted: true").status == 0)
        } else {
            let canary = "version: 1.5.0\n  rollout: {canary: {steps: [{weight: 5, hold: 1h}]}}"
            #expect(try host.push(deployment, "version: 1.4.0", canary).errors.contains("canary 5 %"))
        }
        try host.git("rm", "-q", deployment)
        try host.git("commit", "-q", "-m", "Remove it")
        let push = try host.tryGit("push", "origin", "main")
        #expect(push.status == 0, "\(push.errors)")
        let said = state == "halted" ? "git had stopped it" : "git no longer declares it"
        #expect(push.errors.split(separator: said, omittingEmptySubsequences: false).count == 2, "\(push.errors)")
        let changes = try #require(try host.entry()["changes"] as? [[String: Any]])
        #expect(changes.count == 1, "\(changes)")
        try host.expectSound()
    }

    @Test("An operator steers it as any other, and what cannot be done ends with 4")
    func steered() throws {
        let host = try host()
        try remove(host)
        func ask(_ words: String...) throws -> CommandResult {
            try run(Host.ensign, words + ["support/triage", "--env", "prod", "--reason", "x"], in: host.bare)
        }
        #expect(try ask("rollback", "--now").status == 4)
        #expect(try ask("rollout", "abort").status == 4)
        #expect(try ask("rollout", "retry").status == 4)
        #expect(try ask("halt").status == 0)
        #expect(try ask("rollback", "--now").status == 4)
        #expect(try ask("resume").status == 0)
        #expect(try host.ensign("status", "--env", "prod").errors.contains("halted:") == false)
        try host.expectSound()
    }
}
