import EnsignTestSupport
import Foundation
import Testing

/// In a clone the server's branch decides what is new, and not the local one.
@Suite struct PushedBaseTests {
    private static let release = "fleet/agents/support/triage/1.1.0"

    /// A clone with a commit that was not pushed: a release.
    private func clone(secret: Bool, upstream: Bool) throws -> Host {
        let host = try Host(fleet: FleetFixture())
        try host.git("config", "--unset", "branch.main.remote")
        if upstream { try host.git("branch", "-q", "--set-upstream-to", "origin/main", "main") }
        #expect(try host.ensignInWork("init", "--client").status == 0)
        let folder = "\(host.work)/fleet/agents/support/triage"
        try FileManager.default.copyItem(atPath: "\(folder)/1.0.0", toPath: "\(folder)/1.1.0")
        if secret {
            try host.scratch.write(
                "work/\(Self.release)/prompt.md",
                "Take ghp_\(String(repeating: "a1B2", count: 9)).\n"
            )
        }
        try host.git("add", "-A")
        try host.git("commit", "-q", "--no-verify", "-m", "Release")
        return host
    }

    @Test("A secret in a commit that was not pushed is an error, however it is asked", arguments: [true, false])
    func secret(_ upstream: Bool) throws {
        let host = try clone(secret: true, upstream: upstream)
        for words in [[], ["."], [host.work], ["--rev", "HEAD"], ["--rev", "main"]] {
            let result = try run(Host.ensign, ["validate"] + words, in: host.work)
            #expect(result.status == 3 && result.output.contains("literal-secret"), "\(words): \(result.output)")
        }
        let commit = try host.tryGit("commit", "-q", "--amend", "-m", "Again")
        #expect(commit.status != 0 && commit.errors.contains("literal-secret"), "\(commit.errors)")
        #expect(try host.tryGit("push", "-q", "origin", "main").status != 0)
    }

    @Test("Once the server has it, it is a warning, however it is asked")
    func pushedSecret() throws {
        let host = try clone(secret: true, upstream: false)
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/pre-receive")
        #expect(try host.tryGit("push", "-q", "origin", "main").status == 0)
        for words in [[], ["."], ["--rev", "HEAD"]] {
            let result = try run(Host.ensign, ["validate"] + words, in: host.work)
            #expect(result.status == 0 && result.output.contains("literal-secret"), "\(words): \(result.output)")
        }
    }

    @Test("Whatever the remote is called, and without any, a released version does not change")
    func otherRemotes() throws {
        let host = try Host(fleet: FleetFixture())
        func refused(_ setUp: [[String]]) throws -> Bool {
            try? FileManager.default.removeItem(atPath: "\(host.scratch.path)/other")
            let clone = try run("git", ["clone", "-q", "-o", "up", host.bare, "other"], in: host.scratch.path)
            let other = "\(host.scratch.path)/other"
            let client = try run(Host.ensign, ["init", "--client"], in: other)
            #expect(clone.status == 0 && client.status == 0, "\(client.errors)")
            for words in setUp { #expect(try run("git", words, in: other).status == 0, "\(words)") }
            try host.scratch.write("other/fleet/agents/support/triage/1.0.0/prompt.md", "Another one.\n")
            let person = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
            let commit = try run("git", person + ["commit", "-q", "-a", "-m", "Late"], in: other)
            return commit.status != 0 && commit.errors.contains("frozen-version")
        }
        let away = [["checkout", "-q", "-b", "feature"], ["branch", "-q", "-D", "main"]]
        #expect(try refused([]))
        #expect(try refused(away))
        #expect(try refused([["branch", "--unset-upstream", "main"]]))
        #expect(try refused([["remote", "remove", "up"]]))
    }

    @Test("A release that was not pushed may still change; one that was may not", arguments: [true, false])
    func frozen(_ upstream: Bool) throws {
        let host = try clone(secret: false, upstream: upstream)
        try host.edit("\(Self.release)/prompt.md", "Sort the ticket.", "Sort the ticket twice.")
        let amended = try host.tryGit("commit", "-q", "-a", "--amend", "-m", "Again")
        #expect(amended.status == 0, "\(amended.errors)")
        #expect(try host.tryGit("push", "-q", "origin", "main").status == 0)
        try host.edit("\(Self.release)/prompt.md", "twice", "thrice")
        let commit = try host.tryGit("commit", "-q", "-a", "-m", "Late")
        #expect(commit.status != 0 && commit.errors.contains("frozen-version"), "\(commit.errors)")
    }
}
