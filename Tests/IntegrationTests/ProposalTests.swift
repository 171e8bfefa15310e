import EnsignTestSupport
import Foundation
import Testing

/// A service's own repository offers what its agent is to the fleet.
@Suite struct ProposalTests {
    private let next = "fleet/agents/support/refund-triage/next"

    /// A folder of a service with what the fleet has as 'next'.
    private func service(_ host: Host) throws -> String {
        let folder = "\(host.scratch.path)/service/agent"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for name in ["agent.yaml", "prompt.md"] {
            try FileManager.default.copyItem(atPath: "\(host.work)/\(next)/\(name)", toPath: "\(folder)/\(name)")
        }
        return folder
    }

    private func propose(_ host: Host, _ folder: String, _ more: String...) throws -> CommandResult {
        try run(
            Host.ensign,
            ["propose", folder, "--agent", "support/refund-triage", "--to", host.work] + more,
            in: host.scratch.path
        )
    }

    @Test("A changed prompt becomes a branch that changes nothing else; the same again is the same branch")
    func prompt() throws {
        let host = try Host()
        let folder = try service(host)
        let nothing = try propose(host, folder)
        #expect(nothing.status == 0 && nothing.errors.contains("says this already"), "\(nothing.errors)")
        try host.scratch.write("service/agent/prompt.md", "Be kind.\n")
        let dry = try propose(host, folder, "--dry-run")
        #expect(dry.status == 0 && dry.output.hasSuffix("+ \(next)/prompt.md\n"), "\(dry.output)\(dry.errors)")
        #expect(dry.output.contains("+Be kind.") && dry.output.contains("instructions"), "\(dry.output)")
        for _ in 0..<2 {
            let result = try propose(host, folder)
            #expect(result.status == 0, "\(result.errors)")
            #expect(result.output.contains("+Be kind."), "\(result.output)")
        }
        let json = try propose(host, folder, "--dry-run", "--output", "json")
        #expect(json.output.contains("\"plan\": {") && json.output.contains("Be kind."), "\(json.output)")
        let branch = "ensign/propose/support/refund-triage"
        #expect(try host.git("show", "\(branch):\(next)/prompt.md") == "Be kind.")
        #expect(try host.git("diff", "--name-only", "HEAD", branch) == "\(next)/prompt.md")
        #expect(try host.git("status", "--porcelain").isEmpty)
    }

    @Test("What would not be valid is not proposed, and what is no longer named goes")
    func validity() throws {
        let host = try Host()
        let folder = try service(host)
        let text = try host.scratch.read("service/agent/agent.yaml")
        try host.scratch.write("service/agent/agent.yaml", text + "  oops: 1\n")
        let invalid = try propose(host, folder, "--output", "json")
        #expect(invalid.status == 3 && invalid.errors.contains("unknown-field"), "\(invalid.errors)")
        #expect(invalid.output.contains("\"branch\": null"), "\(invalid.output)")
        let renamed = text.replacing("instructions: prompt.md", with: "instructions: text.md")
        try host.scratch.write("service/agent/agent.yaml", renamed)
        #expect(try propose(host, folder).status == 1)
        try host.scratch.write("service/agent/text.md", "Be kind.\n")
        #expect(try propose(host, folder).status == 0)
        let files = try host.git("ls-tree", "--name-only", "ensign/propose/support/refund-triage:\(next)")
        #expect(files == "agent.yaml\ntext.md")
        // A link may lead anywhere.
        try FileManager.default.removeItem(atPath: "\(folder)/text.md")
        try FileManager.default.createSymbolicLink(atPath: "\(folder)/text.md", withDestinationPath: "/etc/hostname")
        #expect(try propose(host, folder).status == 1)
        let nowhere = try run(
            Host.ensign,
            ["propose", folder, "--agent", "support/refund-triage", "--to", "\(host.scratch.path)/none"],
            in: host.scratch.path
        )
        #expect(nowhere.errors.contains("there is no folder '\(host.scratch.path)/none'"), "\(nowhere.errors)")
        #expect(try run(Host.ensign, ["propose", folder, "--to", host.work], in: host.scratch.path).status == 64)
    }

    @Test("The origin is a commit only as far as the files are that commit's")
    func origin() throws {
        let host = try Host()
        let folder = try service(host)
        let root = "\(host.scratch.path)/service"
        func git(_ words: String...) throws -> String {
            let result = try run("git", words, in: root)
            #expect(result.status == 0, "\(result.errors)")
            return result.output.trimmingCharacters(in: .newlines)
        }
        func origin(_ branch: String) throws -> String {
            let result = try propose(host, folder, "--branch", branch)
            #expect(result.status == 0, "\(result.errors)")
            return try host.git("log", "-1", "--format=%b", branch).trimmingCharacters(in: .whitespacesAndNewlines)
        }
        try host.scratch.write("service/agent/prompt.md", "Be kind.\n")
        try host.scratch.write("service/main.py", "x")
        _ = try git("init", "-q", "-b", "main")
        #expect(try origin("none").isEmpty)
        _ = try git("add", "main.py")
        _ = try git("commit", "-q", "-m", "Code")
        #expect(try origin("untracked").isEmpty)
        _ = try git("add", ".")
        #expect(try origin("staged").isEmpty)
        _ = try git("commit", "-q", "-m", "Agent")
        let commit = try git("rev-parse", "HEAD")
        #expect(try origin("committed") == "From service at \(commit).")
        // What else is there is not proposed.
        try host.scratch.write("service/main.py", "y")
        #expect(try origin("code") == "From service at \(commit).")
        try host.scratch.write("service/agent/prompt.md", "Be kinder.\n")
        #expect(try origin("edited") == "From service at \(commit), with uncommitted changes.")
        _ = try git("add", ".")
        #expect(try origin("added") == "From service at \(commit), with uncommitted changes.")
    }

    @Test("Every proposal says that the branch it is made from lacks commits of its upstream")
    func behind() throws {
        let host = try Host()
        let deployment = "environments/prod/agents/support/refund-triage.yaml"
        try host.push(deployment, "maximum: 100", "maximum: 90")
        try host.git("branch", "-q", "--set-upstream-to", "origin/main", "main")
        let folder = try service(host)
        try host.scratch.write("service/agent/prompt.md", "Be kind.\n")
        let agent = "support/refund-triage"
        let proposals = [
            ["rollback", agent, "--env", "prod"], ["promote", agent, "--to", "prod"],
            ["propose", folder, "--agent", agent, "--dry-run"],
        ]
        func errors(_ words: [String], _ branch: String) throws -> String {
            let made = words.contains("--dry-run") ? words : words + ["--branch", "\(branch)-\(words[0])"]
            return try run(Host.ensign, made, in: host.work).errors
        }
        for words in proposals {
            let said = try errors(words, "level")
            #expect(!said.contains("behind"), "\(words): \(said)")
        }
        try host.push(deployment, "maximum: 90", "maximum: 80")
        try host.git("reset", "-q", "--hard", "HEAD~1")
        for words in proposals {
            #expect(
                try errors(words, "late").contains(
                    "warning: main is 1 commit behind origin/main, and this is made from it"
                )
            )
        }
    }

    @Test(
        "A name that git would take for something else is none of a branch, for every command that makes one",
        arguments: ["HEAD", "@", "refs/heads/x", "refs/x", "-x", "a..b", "x.lock", "@{-1}", ""]
    )
    func branchName(_ name: String) throws {
        let host = try Host(fleet: FleetFixture())
        try host.edit(FleetFixture.deploymentPath, "maximum: 100", "maximum: 50")
        try host.git("commit", "-q", "-a", "-m", "Less")
        // What '@{-1}' would stand for.
        try host.git("switch", "-q", "-c", "other")
        try host.git("switch", "-q", "main")
        let before = try host.git("for-each-ref")
        let result = try host.ensignInWork("rollback", "support/triage", "--env", "prod", "--branch", name)
        #expect(result.status == 4 && result.errors.contains("cannot be the name of a branch"), "\(result.errors)")
        #expect(try host.git("for-each-ref") == before)
    }

    @Test("Who commits may be said on the command line")
    func committer() throws {
        let host = try Host(fleet: FleetFixture())
        try host.edit(FleetFixture.deploymentPath, "maximum: 100", "maximum: 50")
        try host.git("commit", "-q", "-a", "-m", "Less")
        // What the environment says would win, as in git.
        let names = ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"]
        let rollback = ["rollback", "support/triage", "--env", "prod"]
        let known = ["-c", "user.name=Bob", "-c", "user.email=bob@example.com"]
        let result = try run("env", names.flatMap { ["-u", $0] } + [Host.ensign] + known + rollback, in: host.work)
        #expect(result.status == 0, "\(result.errors)")
        let people = try host.git("log", "-1", "--format=%an <%ae> %cn <%ce>", "ensign/rollback/prod/support/triage")
        #expect(people == "Bob <bob@example.com> Bob <bob@example.com>")
        // Nobody: what to do is said.
        try host.git("config", "user.useConfigOnly", "true")
        let nobody = try run("env", names.flatMap { ["-u", $0] } + [Host.ensign] + rollback, in: host.work)
        #expect(nobody.status == 1 && nobody.errors.contains("hint: git config user.email"), "\(nobody.errors)")
    }
}
