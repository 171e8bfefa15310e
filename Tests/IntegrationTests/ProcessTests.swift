import EnsignTestSupport
import Foundation
import Testing

/// The surroundings of a process: umask, descriptors, limits, environment, a target that refuses.
@Suite struct ProcessTests {
    private let deployment = FleetFixture.deploymentPath

    /// Runs a line of shell in the bare repository, with `$E` the program.
    private func shell(_ script: String, _ host: Host) throws -> CommandResult {
        try run("bash", ["-c", script], in: host.bare, environment: ["E": Host.ensign])
    }

    /// A host whose branch is ahead of what is live.
    private func pending() throws -> Host {
        let host = try Host(fleet: FleetFixture())
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/post-receive")
        try host.push(deployment, "maximum: 100", "maximum: 90")
        return host
    }

    private func mode(_ path: String) throws -> Int {
        try #require(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
    }

    @Test("The umask decides nothing: keys are for the owner, live files for everybody", arguments: ["000", "077"])
    func umask(_ umask: String) throws {
        let host = try Host(fleet: FleetFixture(), pushes: false)
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/post-receive")
        try host.git("push", "-q", "origin", "main")
        let result = try shell("umask \(umask); \"$E\" init && \"$E\" reconcile --env prod", host)
        #expect(result.status == 0, "\(result.errors)")
        #expect(try mode("\(host.bare)/ensign/keys") == 0o700)
        #expect(try mode("\(host.bare)/ensign/keys/prod") == 0o600)
        for path in ["", "/agents", "/agents/support", "/bundles"] { #expect(try mode(host.live() + path) == 0o755) }
        for path in try host.liveFiles().keys { #expect(try mode("\(host.live())/\(path)") == 0o644) }
        #expect(try mode("\(host.bare)/ensign/high-water/prod") == 0o644)
        try host.expectSound()
    }

    @Test(
        "Closed standard streams are not taken for files, and nothing is written to what was opened in their place",
        arguments: ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]
    )
    func closedStreams(_ closing: String) throws {
        let host = try pending()
        let result = try shell("\"$E\" reconcile --env prod \(closing)", host)
        #expect(result.status == 0, "\(result.errors)")
        #expect(try host.kinds().suffix(2) == ["intent", "outcome"])
        #expect(try host.hostGit("fsck", "--strict", "--no-dangling").isEmpty)
        let lock = try Data(contentsOf: URL(fileURLWithPath: "\(host.bare)/ensign/locks/prod"))
        #expect(lock.isEmpty)
        try host.expectSound()
    }

    @Test("A reader that has gone away is not a failure; a full disk behind standard output is")
    func closedPipe() throws {
        let host = try Host(fleet: FleetFixture())
        let head = try shell("set -o pipefail; \"$E\" log --env prod --all | head -1", host)
        #expect(head.status == 0)
        #expect(head.output.hasPrefix("SEQ"))
        // The reader is gone before the first byte.
        let gone = try shell("{ sleep 0.2; \"$E\" log --env prod --all; echo $? >status; } | true; cat status", host)
        #expect(gone.output == "0\n")
        #expect(gone.errors.isEmpty)
        let full = try shell("\"$E\" log --env prod >/dev/full", host)
        #expect(full.status == 1)
        #expect(full.errors == "ensign: error: cannot write the output\n")
    }

    @Test("post-receive converges every environment, also when the pusher has hung up", arguments: ["closed", "full"])
    func pusherIsGone(_ how: String) throws {
        let host = try Host(fleet: FleetFixture(), pushes: false)
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/post-receive")
        try host.git("push", "-q", "origin", "main")
        let commit = try host.git("rev-parse", "HEAD")
        let line = "\(String(repeating: "0", count: 40)) \(commit) refs/heads/main"
        let hook = "echo \(line) | \"$E\" hook post-receive 2>&1"
        _ = try shell(how == "full" ? "\(hook) >/dev/full" : "{ sleep 0.2; \(hook); } | true", host)
        for environment in ["dev", "prod"] {
            #expect(try host.kinds(environment) == ["genesis", "intent", "outcome"])
        }
        try host.expectSound()
    }

    @Test("HOME, USER, PATH and the locale may be missing")
    func bareEnvironment() throws {
        let host = try pending()
        let result = try shell("env -i \"$E\" reconcile --env prod", host)
        #expect(result.status == 0, "\(result.errors)")
        try host.expectSound()
    }

    @Test(
        "A low limit of open files is enough, or an error; never a crash or half a change",
        arguments: [8, 12, 16, 24]
    )
    func fewDescriptors(_ limit: Int) throws {
        let host = try pending()
        let result = try shell("ulimit -n \(limit); exec \"$E\" reconcile --env prod", host)
        #expect(result.status == 0 || result.status == 1, "\(result.status) \(result.errors)")
        if limit >= 24 { #expect(result.status == 0, "\(result.errors)") }
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        try host.expectSound()
    }

    @Test("A file size limit is an error, never half a file or a crash")
    func fileSizeLimit() throws {
        let host = try pending()
        let before = try host.liveFiles()
        let result = try shell("ulimit -f 0; exec \"$E\" reconcile --env prod", host)
        #expect(result.status == 1, "\(result.status) \(result.errors)")
        #expect(try host.liveFiles() == before)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        try host.expectSound()
    }

    // MARK: The target

    @Test("A file where the live directory belongs is an error before anything is written")
    func fileAsTarget() throws {
        let host = try Host(fleet: FleetFixture(), pushes: false)
        let path = try host.scratch.write("occupied", "keep me\n")
        try host.hostGit("config", "ensign.prod.target", "directory:\(path)")
        let push = try host.tryGit("push", "-q", "origin", "main")
        #expect(push.errors.contains("\(path) is not a directory"), "\(push.errors)")
        #expect(try host.scratch.read("occupied") == "keep me\n")
        #expect(try host.tryGit("ls-remote", "origin", "refs/ensign/ledger/prod").output.isEmpty)
        // The other environment went on.
        try host.expectSound("dev")
    }

    @Test("A live directory that cannot be written is exit 1; it is converged when it can be")
    func readOnlyTarget() throws {
        let host = try pending()
        let before = try host.liveFiles()
        let folders = [host.live(), "\(host.live())/agents/support"]
        // Root may write everywhere: only the file system's own flag stops it.
        guard try run("chattr", ["+i"] + folders, in: host.bare).status == 0 else { return }
        defer { _ = try? run("chattr", ["-i"] + folders, in: host.bare) }
        let reconcile = try host.ensign("reconcile", "--env", "prod")
        #expect(reconcile.status == 1)
        #expect(reconcile.errors.contains(host.live()), "\(reconcile.errors)")
        #expect(try host.liveFiles() == before)
        #expect(try host.ensign("status", "--output", "json").output.contains("\"result\": \"failed\""))
        #expect(try host.ensign("verify", "--env", "prod").status == 0)
        #expect(try run("chattr", ["-i"] + folders, in: host.bare).status == 0)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try host.liveFiles() != before)
        try host.expectSound()
    }
}
