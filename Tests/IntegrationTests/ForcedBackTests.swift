import EnsignTestSupport
import Foundation
import Testing

/// The branch is forced back to a commit that was applied before: that one's rules and stops hold again, whatever was
/// accepted or refused since, and though nothing live differs.
@Suite struct ForcedBackTests {
    private let deployment = FleetFixture.deploymentPath

    /// The commit to which the branch goes back: one that changed something live, so that the ledger names it.
    private func host() throws -> (Host, String) {
        var fleet = FleetFixture()
        fleet.replace("limits: {", with: "killSwitch: [{steps: 5}]\n  limits: {", in: deployment)
        let host = try Host(fleet: fleet)
        #expect(try host.push(deployment, "maximum: 100", "maximum: 90").status == 0)
        return (host, try host.git("rev-parse", "HEAD").trimmingCharacters(in: .newlines))
    }

    private func goBack(_ host: Host, _ commit: String) throws -> CommandResult {
        try host.hostGit("config", "receive.denyNonFastForwards", "false")
        try host.git("reset", "-q", "--hard", commit)
        return try host.tryGit("push", "-q", "--force", "origin", "main")
    }

    @Test("A rule of the kill switch that a later commit took away, without an entry, is in force again")
    func rule() throws {
        let (host, commit) = try host()
        let before = try host.entries().count
        #expect(try host.push(deployment, "  killSwitch: [{steps: 5}]\n", "").status == 0)
        #expect(try host.entries().count == before)
        _ = try goBack(host, commit)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        let plan = try host.ensign("plan", "--env", "prod")
        #expect(!plan.output.contains("tightened"), "\(plan.output)")
        // The file that says whose rules are in force.
        let accepted = try String(contentsOfFile: "\(host.bare)/ensign/state/prod/accepted", encoding: .utf8)
        #expect(accepted.contains("\"commit\":\"\(commit)\""), "\(accepted)")
        try host.expectSound()
    }

    @Test("A stop of a commit that was refused ends with the commit")
    func stop() throws {
        let (host, commit) = try host()
        try host.edit(deployment, "  version: 1.0.0", "  version: 1.0.0\n  halted: true")
        try host.scratch.write("work/environments/prod/agents/support/desk.yaml", "kind: [\n")
        try host.git("commit", "-q", "-a", "-m", "Stop it, badly")
        let hook = "\(host.bare)/hooks/pre-receive"
        let text = try Data(contentsOf: URL(fileURLWithPath: hook))
        try FileManager.default.removeItem(atPath: hook)
        #expect(try host.tryGit("push", "-q", "origin", "main").errors.contains("not applied"))
        func agents() throws -> String { try host.ensign("get", "agents", "--env", "prod").output }
        #expect(try agents().contains(#/support\/triage .* halted/#))
        try text.write(to: URL(fileURLWithPath: hook))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: hook)

        let push = try goBack(host, commit)
        #expect(try agents().contains(#/support\/triage .* stable/#), "\(push.errors)")
        let entries = try host.entries()
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try host.entries() == entries)
        try host.expectSound()
    }
}
