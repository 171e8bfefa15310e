import EnsignTestSupport
import Foundation
import Testing

/// A disk that does not answer, or a process without a file handle left, says nothing about manifests and signatures.
@Suite struct UnreadableTests {
    /// A host whose prod has changed once, and whose branch has moved on since.
    private static func prepared() throws -> Host {
        let host = try Host(fleet: FleetFixture())
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/post-receive")
        try host.push(FleetFixture.deploymentPath, "maximum: 90", "maximum: 80")
        return host
    }

    /// Runs a command on copies in which one call after the other fails, every `stride`-th.
    private static func each(
        _ words: [String],
        _ kinds: String,
        _ error: Int32,
        stride: Int,
        _ check: (CommandResult, _ repository: String, _ step: String) throws -> Void
    ) throws {
        let host = try prepared()
        func copy() throws -> String {
            let path = "\(host.scratch.path)/copy.git"
            try? FileManager.default.removeItem(atPath: path)
            #expect(try run("cp", ["-a", host.bare, path], in: host.scratch.path).status == 0)
            return path
        }
        let calls = try Faults.count(host, try copy(), words, kinds)
        #expect(calls > 20)
        for call in Swift.stride(from: 1, through: calls, by: stride) {
            let repository = try copy()
            let environment = try Faults.failing(call, kinds, error)
            let result = try run(Host.ensign, words, in: repository, environment: environment)
            try check(result, repository, "\(words[0]), \(kinds) \(call), \(error)")
        }
    }

    @Test(
        "A ledger is never called broken, nor manifests invalid, for what could not be read",
        arguments: [
            ["verify", "--env", "prod"], ["plan", "--env", "prod"], ["diff", "main~1", "main", "--env", "prod"],
            ["rollback", "support/triage", "--env", "prod", "--branch", "back"], ["reconcile", "--env", "prod"],
        ]
    )
    func asking(_ words: [String]) throws {
        for (kinds, error) in [("open", EMFILE), ("open", EACCES), ("read", EIO), ("look", EIO)] {
            try Self.each(words, kinds, error, stride: 9) { result, repository, step in
                #expect([0, 1].contains(result.status), "\(step): \(result.status) \(result.output)\(result.errors)")
                #expect(result.status == 0 || !result.errors.isEmpty, "\(step): it says why")
            }
        }
    }

    @Test("A file of a commit that is gone from the disk hides no stop that another file asks for")
    func goneBesideStop() throws {
        let host = try Host(fleet: FleetFixture())
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/post-receive")
        let other = "environments/prod/agents/support/desk.yaml"
        try host.edit(FleetFixture.deploymentPath, "spec:", "spec:\n  halted: true")
        try host.edit(other, "kind:", "# damaged\nkind:")
        try host.git("commit", "-q", "-a", "-m", "Stop it")
        try host.git("push", "-q", "origin", "main")
        let blob = try host.hostGit("rev-parse", "main:\(other)")
        try FileManager.default.removeItem(atPath: "\(host.bare)/objects/\(blob.prefix(2))/\(blob.dropFirst(2))")
        let result = try host.ensign("reconcile", "--env", "prod")
        #expect(result.status == 1, "\(result.errors)")
        #expect(result.errors.contains("\(other) may ask for a stop, and cannot be read"), "\(result.errors)")
        #expect(try host.liveJSON("agents/support/triage.json")["phase"] as? String == "halted", "\(result.errors)")
    }

    @Test("A host that cannot be looked at is not called one that nobody set up")
    func lookingAt() throws {
        try Self.each(["keys", "--env", "prod", "--prepare"], "look", EIO, stride: 1) { result, _, step in
            #expect(!result.errors.contains("is not set up"), "\(step): \(result.errors)")
        }
    }

    @Test("A rotation that cannot read the ledger it has just extended does not call it broken, and goes on")
    func rotating() throws {
        let rotate = ["keys", "--env", "prod", "--rotate"]
        try Self.each(rotate, "open,read,look", EIO, stride: 11) { result, repository, step in
            #expect([0, 1].contains(result.status), "\(step): \(result.status) \(result.output)\(result.errors)")
            let again = try run(Host.ensign, ["reconcile", "--env", "prod"], in: repository)
            let isInterrupted = again.errors.contains("a rotation of the signing key of 'prod' was interrupted")
            #expect(again.status == 0 || again.status == 1 && isInterrupted, "\(step): \(again.errors)")
            if isInterrupted { #expect(try run(Host.ensign, rotate, in: repository).status == 0, "\(step)") }
            #expect(try run(Host.ensign, ["verify", "--env", "prod"], in: repository).status == 0, "\(step)")
        }
    }
}
