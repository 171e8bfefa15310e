import EnsignTestSupport
import Foundation
import Testing

/// Repositories without the older part of their history.
@Suite struct ShallowTests {
    private func deepHost() throws -> Host {
        let host = try Host(fleet: FleetFixture())
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        return host
    }

    @Test("A shallow host takes pushes, and says where it cannot know whether history was rewritten")
    func shallowHost() throws {
        let host = try deepHost()
        let shallow = "\(host.scratch.path)/shallow.git"
        try host.git("clone", "-q", "--bare", "--depth", "1", "file://\(host.bare)", shallow)
        try host.git("--git-dir", shallow, "remote", "rm", "origin")
        #expect(try run(Host.ensign, ["init", "--repo", shallow], in: host.scratch.path).status == 0)
        try host.git("remote", "add", "shallow", shallow)
        try host.edit(FleetFixture.deploymentPath, "maximum: 90", "maximum: 80")
        try host.git("commit", "-q", "-a", "-m", "Less")
        let push = try host.tryGit("push", "-q", "shallow", "main")
        #expect(push.status == 0 && !push.errors.contains("rewritten"), "\(push.errors)")
        let route = "\(shallow)/ensign/live/prod/agents/support/triage.json"
        #expect(FileManager.default.fileExists(atPath: route))
        #expect(try run(Host.ensign, ["reconcile", "--env", "prod"], in: shallow).status == 0)
        try host.edit(FleetFixture.deploymentPath, "maximum: 80", "maximum: 70")
        try host.git("commit", "-q", "-a", "--amend", "-m", "Less")
        let forced = try host.tryGit("push", "-q", "-f", "shallow", "main")
        #expect(forced.status == 0, "\(forced.errors)")
        #expect(forced.errors.contains("whether history is rewritten is not known"), "\(forced.errors)")
        #expect(try run(Host.ensign, ["verify"], in: shallow).status == 0)
    }

    @Test("Questions and plans are answered in a clone of one commit; what needs more says how to get it")
    func shallowClone() throws {
        let host = try deepHost()
        let clone = "\(host.scratch.path)/clone"
        try host.git("clone", "-q", "--depth", "1", "file://\(host.bare)", clone)
        for isClient in [false, true] {
            if isClient {
                #expect(try run(Host.ensign, ["init", "--client"], in: clone).status == 0)
                #expect(try run("git", ["fetch", "-q"], in: clone).status == 0)
            }
            for command in [
                ["validate"], ["validate", "--rev", "HEAD"], ["plan", "--env", "prod"],
                ["plan", "--env", "prod", "HEAD"],
                ["plan", "--env", "prod", "origin/main"], ["plan", "--env", "prod", "--worktree"],
                ["diff", "dev", "prod"], ["get", "agents"],
            ] {
                let result = try run(Host.ensign, command, in: clone)
                #expect([0, 64].contains(result.status), "\(command): \(result.status) \(result.errors)")
                #expect(!result.errors.contains("cannot "), "\(command): \(result.errors)")
            }
        }
    }
}
