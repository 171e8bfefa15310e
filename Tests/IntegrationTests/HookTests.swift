import EnsignTestSupport
import Foundation
import Testing

/// What stock `git push` and `git commit` are told.
@Suite struct HookTests {
    private let deployment = "environments/prod/agents/support/refund-triage.yaml"

    @Test("An invalid manifest is refused with file, line and column, and what is live stays")
    func invalidManifest() throws {
        let host = try Host()
        let before = try host.liveFiles()
        let push = try host.push(deployment, "maximum: 100", "maximun: 100")
        #expect(push.status != 0)
        #expect(push.errors.contains("remote: \(deployment):14:20: error: "))
        #expect(push.errors.contains("did you mean 'maximum'?"))
        #expect(try host.liveFiles() == before)
        #expect(try host.kinds().count == 3)
    }

    @Test("A change to a released version is refused; deleting one that nothing deploys is not")
    func frozenVersion() throws {
        let host = try Host()
        let prompt = "fleet/agents/support/refund-triage/1.4.0/prompt.md"
        let push = try host.push(prompt, "# Refund triage", "# Refund triage!")
        #expect(push.status != 0)
        #expect(push.errors.contains("\(prompt):1:1: error: version 1.4.0 is released and never changes"))
        try host.git("reset", "-q", "--hard", "HEAD~1")
        let tool = try host.push("fleet/tools/crm/2.1.0.yaml", "spec:", "# more\nspec:")
        #expect(tool.errors.contains("[frozen-version]"))
        try host.git("reset", "-q", "--hard", "HEAD~1")
        try host.scratch.write("work/fleet/agents/support/refund-triage/1.4.0/more.md", "x")
        try host.git("add", "-A")
        try host.git("commit", "-q", "-m", "Add a file")
        #expect(try host.tryGit("push", "-q").errors.contains("a file is added"))
        try host.git("reset", "-q", "--hard", "HEAD~1")
        try host.git("rm", "-q", "-r", "fleet/agents/support/refund-triage/1.3.0")
        try host.git("commit", "-q", "-m", "Nobody runs 1.3.0")
        #expect(try host.tryGit("push", "-q", "origin", "main").status == 0)
    }

    @Test("Nobody can push to the ledger or delete the branch")
    func protectedRefs() throws {
        let host = try Host()
        let tip = try host.hostGit("rev-parse", "refs/ensign/ledger/prod")
        #expect(try host.tryGit("push", "origin", "HEAD:refs/ensign/ledger/prod").status != 0)
        #expect(try host.tryGit("push", "origin", "HEAD:refs/ensign/anything").status != 0)
        #expect(try host.tryGit("push", "origin", ":refs/ensign/ledger/prod").status != 0)
        #expect(try host.hostGit("rev-parse", "refs/ensign/ledger/prod") == tip)
        try host.hostGit("config", "receive.denyDeleteCurrent", "ignore")
        let deletion = try host.tryGit("push", "origin", ":main")
        #expect(deletion.status != 0)
        #expect(deletion.errors.contains("deleting it would leave the fleet without one"))
    }

    @Test("A good push shows the plan, with authority gained in a section of its own")
    func showsPlan() throws {
        let host = try Host()
        let push = try host.push(deployment, "maximum: 100", "maximum: 500")
        #expect(push.status == 0)
        #expect(push.errors.contains("authority gained:"))
        #expect(
            push.errors.contains(
                "may call payments.refund with arguments that were not allowed before: amount: maximum 500 (was 100)"
            )
        )
        #expect(push.errors.contains("support/refund-triage  update  1.4.0  [widening]"))
    }

    @Test("A rewritten history is said, and the ledger keeps the old commit reachable")
    func forcePush() throws {
        let host = try Host()
        let old = try host.git("rev-parse", "HEAD")
        try host.git("commit", "-q", "--amend", "-m", "Rewritten")
        let push = try host.tryGit("push", "-q", "--force", "origin", "main")
        #expect(push.status == 0)
        #expect(push.errors.contains("history is rewritten"))
        try host.hostGit("-c", "gc.reflogExpire=now", "gc", "-q", "--prune=now")
        #expect(try host.hostGit("cat-file", "-t", old) == "commit")
        try host.expectSound()
    }

    @Test("pre-commit refuses what is staged, not what lies around")
    func preCommit() throws {
        let host = try Host()
        #expect(try host.ensignInWork("init", "--client").status == 0)
        try host.edit(deployment, "version: 1.4.0", "version: 9.9.9")
        try host.scratch.write("work/notes.txt", "x")
        try host.git("add", "notes.txt")
        #expect(try host.tryGit("commit", "-q", "-m", "Notes").status == 0)
        let commit = try host.tryGit("commit", "-q", "-a", "-m", "Bad")
        #expect(commit.status != 0)
        #expect(commit.errors.contains("\(deployment):4:12: error: agent 'support/refund-triage' has no version 9.9.9"))
    }

    @Test("A developer's clone gets no key, never reconciles, and fetches the ledger")
    func clientClone() throws {
        let host = try Host()
        try host.ensignInWork("init", "--client")
        #expect(!FileManager.default.fileExists(atPath: "\(host.work)/.git/ensign/keys"))
        #expect(try host.ensignInWork("reconcile", "--env", "prod").status == 4)
        try host.git("fetch", "-q")
        #expect(
            try host.git("rev-parse", "refs/ensign/ledger/prod")
                == (try host.hostGit("rev-parse", "refs/ensign/ledger/prod"))
        )
        #expect(try host.ensignInWork("verify").status == 0)
        #expect(try host.ensignInWork("log", "--env", "prod").output.contains("genesis"))
    }

    @Test("init never overwrites a hook that it did not write, and running it again changes nothing")
    func foreignHook() throws {
        let host = try Host(pushes: false)
        let path = "\(host.bare)/hooks/pre-receive"
        try "#!/bin/sh\nexit 0\n".write(toFile: path, atomically: true, encoding: .utf8)
        let result = try host.ensign("init")
        #expect(result.status == 0)
        #expect(result.errors.contains("is not Ensign's: it stays as it is"))
        #expect(result.errors.contains("hook pre-receive"))
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "#!/bin/sh\nexit 0\n")
        let config = try String(contentsOfFile: "\(host.bare)/config", encoding: .utf8)
        try host.ensign("init")
        #expect(try String(contentsOfFile: "\(host.bare)/config", encoding: .utf8) == config)
    }

    @Test("Another branch is none of Ensign's business")
    func otherBranch() throws {
        let host = try Host()
        try host.git("checkout", "-q", "-b", "wip")
        try host.edit(deployment, "version: 1.4.0", "version: 9.9.9")
        try host.git("commit", "-q", "-a", "-m", "Work in progress")
        #expect(try host.tryGit("push", "-q", "origin", "wip").status == 0)
        #expect(try host.kinds().count == 3)
    }
}
