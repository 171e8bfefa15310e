import EnsignTestSupport
import Foundation
import Testing

@Suite struct RenameTests {
    @Test("A commit that renames a halted agent and is invalid leaves it halted; once mended, the stop goes along")
    func invalid() throws {
        let host = try Host(fleet: FleetFixture())
        #expect(try host.ensign("halt", "support/triage", "--env", "prod", "--reason", "it lies").status == 0)
        let renamed = "environments/prod/agents/support/helper.yaml"
        try host.git("mv", "fleet/agents/support/triage", "fleet/agents/support/helper")
        try host.git("mv", FleetFixture.deploymentPath, renamed)
        let text = try String(contentsOfFile: "\(host.work)/\(renamed)", encoding: .utf8)
        try host.scratch.write("work/\(renamed)", text + "bogus: 1\n")
        try host.git("commit", "-q", "-a", "-m", "Rename it, badly")
        // Somebody has got it past the check.
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/pre-receive")
        #expect(try host.tryGit("push", "-q", "origin", "main").errors.contains("not applied"))
        func agents() throws -> String { try host.ensign("get", "agents", "--env", "prod").output }
        #expect(try agents().contains(#/support\/triage .* halted .*it lies/#))
        #expect(try agents().contains(#/support\/helper .* not-live/#))

        try host.scratch.write("work/\(renamed)", text)
        try host.git("commit", "-q", "-a", "-m", "Mend it")
        let push = try host.tryGit("push", "-q", "origin", "main")
        #expect(push.errors.contains("it was support/triage"), "\(push.errors)")
        #expect(try agents().contains(#/support\/helper .* halted .*as support\/triage: it lies/#))
        #expect(try !agents().contains("support/triage "))
        try host.expectSound()
    }
}
