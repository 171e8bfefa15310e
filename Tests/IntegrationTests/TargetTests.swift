import EnsignTestSupport
import Foundation
import Testing

/// What is not recorded is removed from a live directory: it must be one.
@Suite struct TargetTests {
    private func precious(_ host: Host) throws -> String {
        try host.scratch.write("precious/letters/1.txt", "keep me")
        return "\(host.scratch.path)/precious"
    }

    @Test("A target that was changed to somebody's folder is refused, and nothing in it is touched")
    func foreign() throws {
        let host = try Host()
        let folder = try precious(host)
        for target in [folder, host.work, host.bare, "\(host.bare)/ensign/live/dev"] {
            let before = try FileManager.default.subpathsOfDirectory(atPath: target).sorted()
            let result = try host.ensign("-c", "ensign.prod.target=directory:\(target)", "reconcile", "--env", "prod")
            #expect(result.status == 1, "\(target): \(result.output)\(result.errors)")
            #expect(result.errors.contains("live directory"), "\(target): \(result.errors)")
            let after = try FileManager.default.subpathsOfDirectory(atPath: target).sorted()
            #expect(after.filter { !$0.hasPrefix("ensign/") } == before.filter { !$0.hasPrefix("ensign/") })
        }
    }

    @Test("A first reconcile into another environment's live directory is refused")
    func anotherEnvironment() throws {
        let host = try Host(pushes: false)
        let live = "\(host.scratch.path)/live"
        try host.hostGit("config", "ensign.dev.target", "directory:\(live)")
        try host.hostGit("config", "ensign.prod.target", "directory:\(live)")
        let push = try host.tryGit("push", "-q", "origin", "main")
        #expect(push.errors.contains("live directory of 'dev', not of 'prod'"), "\(push.errors)")
        let header = try String(contentsOfFile: "\(live)/fleet.json", encoding: .utf8)
        #expect(header.contains("\"environment\":\"dev\""))
    }

    @Test("The folder in the git directory is not one's own where a link in its place leads to somebody's folder")
    func link() throws {
        let host = try Host(pushes: false)
        try host.scratch.write("theirs/notes.txt", "mine")
        let live = host.live()
        try FileManager.default.createDirectory(
            atPath: (live as NSString).deletingLastPathComponent,
            withIntermediateDirectories: true
        )
        try FileManager.default.createSymbolicLink(
            atPath: live,
            withDestinationPath: "\(host.scratch.path)/theirs"
        )
        try host.git("push", "-q", "origin", "main")
        #expect(try host.ensign("reconcile", "--env", "prod").status == 1)
        #expect(try host.scratch.read("theirs/notes.txt") == "mine")
    }

    @Test("A moved target begins empty, and stays the environment's own whatever is done to it")
    func moved() throws {
        let host = try Host()
        let live = "\(host.scratch.path)/live"
        try host.hostGit("config", "ensign.prod.target", "directory:\(live)")
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        try FileManager.default.removeItem(atPath: "\(live)/fleet.json")
        try host.scratch.write("live/agents/support/refund-triage.json", "tampered")
        let repaired = try host.ensign("reconcile", "--env", "prod", "--observe", "all")
        #expect(repaired.status == 0, "\(repaired.errors)")
        #expect(repaired.output.contains("repaired"))
        #expect(FileManager.default.fileExists(atPath: "\(live)/fleet.json"))
        // Without its memory and with its header it is known; without both it is not.
        try FileManager.default.removeItem(atPath: "\(host.bare)/ensign/state")
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        try FileManager.default.removeItem(atPath: "\(host.bare)/ensign/state")
        try FileManager.default.removeItem(atPath: "\(live)/fleet.json")
        #expect(try host.ensign("reconcile", "--env", "prod").status == 1)
    }
}
