import EnsignTestSupport
import Foundation
import Testing

/// Releasing, promoting, rolling back.
@Suite struct PromotionTests {
    private let deployment = "environments/prod/agents/support/refund-triage.yaml"

    @Test("A release is a copy of next, byte for byte, and never overwrites")
    func release() throws {
        let host = try Host()
        let result = try host.ensignInWork("release", "support/refund-triage", "1.6.0")
        #expect(result.status == 0)
        let agent = "\(host.work)/fleet/agents/support/refund-triage"
        #expect(try run("diff", ["-r", "\(agent)/next", "\(agent)/1.6.0"], in: host.work).status == 0)
        #expect(try host.git("diff", "--cached", "--name-only").contains("1.6.0/agent.yaml"))
        #expect(try host.ensignInWork("release", "support/refund-triage", "1.6.0").status == 4)
        #expect(try host.ensignInWork("release", "support/refund-triage", "1.6").status == 64)
        #expect(try host.ensignInWork("release", "support/nobody", "1.0.0").status == 64)
    }

    @Test("promote changes the version and not one other byte, on a branch of its own")
    func promote() throws {
        let host = try Host()
        let head = try host.git("rev-parse", "HEAD")
        let before = try host.git("show", "HEAD:\(deployment)")
        let result = try host.ensignInWork("promote", "support/refund-triage", "--to", "prod", "--output", "markdown")
        #expect(result.status == 0)
        #expect(result.output.hasPrefix("# Promote support/refund-triage 1.4.0 -> 1.5.0 to prod\n"))
        #expect(result.output.contains("**Authority gained**"))
        let branch = "ensign/promote/prod/support/refund-triage-1.5.0"
        #expect(
            try host.git("show", "\(branch):\(deployment)") == before.replacingOccurrences(of: "1.4.0", with: "1.5.0")
        )
        #expect(try host.git("diff", "--name-only", head, branch) == deployment)
        #expect(try host.git("rev-parse", "HEAD") == head)
        #expect(try host.git("status", "--porcelain").isEmpty)
        // Again: the same branch. With other changes on it: refused.
        #expect(try host.ensignInWork("promote", "support/refund-triage", "--to", "prod").status == 0)
        try host.git("branch", "-f", branch, head)
        #expect(try host.ensignInWork("promote", "support/refund-triage", "--to", "prod").status == 4)
    }

    @Test("A release is taken by its name before its source runs it; without a name only what is proven there goes")
    func promoteReleasedNext() throws {
        let host = try Host()
        try host.git("fetch", "-q", "origin", "refs/ensign/ledger/*:refs/ensign/ledger/*")
        let agent = "support/refund-triage"
        func release(_ version: String) throws -> CommandResult {
            #expect(try host.ensignInWork("release", agent, version).status == 0)
            try host.git("add", "-A")
            try host.git("commit", "-q", "-m", version)
            return try host.ensignInWork("promote", agent, "--to", "staging", "--version", version)
        }
        let proven = try release("1.6.0")
        #expect(proven.status == 0, "\(proven.errors)")
        try host.edit("fleet/agents/\(agent)/next/prompt.md", "Read the ticket.", "Read the ticket twice.")
        let early = try release("1.7.0")
        #expect(early.status == 0, "\(early.errors)")
    }

    @Test("promote takes nothing that its source has stopped, also where that is not on record yet")
    func promoteStopped() throws {
        let host = try Host()
        let agent = "support/refund-triage"
        let key = "\(host.bare)/ensign/keys/staging"
        try FileManager.default.moveItem(atPath: key, toPath: key + ".away")
        #expect(try host.ensign("halt", agent, "--env", "staging", "--reason", "x").status == 0)
        for words in [["promote", agent, "--to", "prod"], ["promote", agent, "--to", "prod", "--version", "1.5.0"]] {
            let refused = try host.ensign(arguments: words)
            #expect(refused.status == 4 && refused.errors.contains("on record yet"), "\(refused.errors)")
        }
    }

    @Test("promote keeps comments, quotes and odd formatting")
    func promoteKeepsBytes() throws {
        let host = try Host()
        try host.edit(deployment, "  version: 1.4.0\n", "  version:   '1.4.0'   # pinned: ä\n")
        try host.git("commit", "-q", "-a", "-m", "Odd")
        let before = try host.git("show", "HEAD:\(deployment)")
        #expect(try host.ensignInWork("promote", "support/refund-triage", "--to", "prod", "--branch", "b").status == 0)
        #expect(try host.git("show", "b:\(deployment)") == before.replacingOccurrences(of: "'1.4.0'", with: "'1.5.0'"))
    }

    @Test("promote --all takes everything that differs; 'next' is not promoted")
    func promoteAll() throws {
        let host = try Host()
        for name in ["bad..name", "-x", "a b"] {
            let bad = try host.ensignInWork("promote", "--all", "--to", "prod", "--branch=\(name)")
            #expect(bad.status != 0 && bad.errors.contains("cannot be the name of a branch"), "\(bad)")
        }
        let result = try host.ensignInWork("promote", "--all", "--to", "prod", "--branch", "all", "--output", "json")
        #expect(result.status == 0)
        #expect(try host.git("diff", "--name-only", "HEAD", "all").split(separator: "\n").count == 3)
        let refused = try host.ensignInWork("promote", "support/refund-triage", "--to", "staging")
        #expect(refused.status == 4)
        #expect(refused.errors.contains("ensign release"))
    }

    @Test("promote --all says whom it left out and why, also when nothing is left, and its JSON is never empty")
    func leftOut() throws {
        var fleet = FleetFixture()
        fleet["environments/dev/agents/support/desk.yaml"] =
            "apiVersion: ensign.dev/v1\nkind: Deployment\nspec: {version: next}\n"
        fleet["environments/dev/agents/support/usher.yaml"] =
            "apiVersion: ensign.dev/v1\nkind: Deployment\nspec: {version: 1.0.0}\n"
        for (agent, version) in [("desk", "next"), ("usher", "1.0.0")] {
            let folder = "fleet/agents/support/\(agent)/\(version)"
            fleet["\(folder)/agent.yaml"] = fleet["fleet/agents/support/desk/1.0.0/agent.yaml"]
            fleet["\(folder)/prompt.md"] = "Be kind.\n"
        }
        let host = try Host(fleet: fleet)
        let result = try host.ensignInWork("promote", "--all", "--to", "prod", "--output", "json")
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.errors.contains("left out: support/usher: 'prod' does not deploy it"))
        #expect(result.errors.contains("left out: support/triage: 'dev' does not deploy 'support/triage'"))
        #expect(result.errors.contains("left out: support/desk: 'support/desk' runs 'next' there"))
        #expect(result.errors.contains("3 agents left out") && !result.errors.contains("same versions already"))
        let json = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
        let agents = (json["leftOut"] as? [[String: String]])?.compactMap { $0["agent"] }
        #expect(agents == ["support/desk", "support/triage", "support/usher"])
        #expect(json["branch"] is NSNull && json["plan"] is NSNull)
        let one = try host.ensignInWork("promote", "support/usher", "--to", "prod")
        #expect(one.status == 64)
        #expect(one.errors.contains("ensign new deployment support/usher --env prod"))
    }

    @Test("rollback makes the revert of the last change, and merging it brings back the digest")
    func rollback() throws {
        let host = try Host()
        let before = try host.digest("support/refund-triage")
        try host.push(deployment, "version: 1.4.0", "version: 1.5.0", message: "Promote it")
        let promoted = try host.git("rev-parse", "HEAD")
        try host.push("environments/dev/environment.yaml", "spec:", "# unrelated\nspec:")
        let result = try host.ensignInWork("rollback", "support/refund-triage", "--env", "prod")
        #expect(result.status == 0, "\(result.errors)")
        let message = try host.git("show", "-s", "--format=%B", "ensign/rollback/prod/support/refund-triage")
        #expect(message.hasPrefix("Revert \"Promote it\"\n\nThis reverts commit \(promoted)."))
        try host.git("merge", "-q", "ensign/rollback/prod/support/refund-triage")
        try host.git("push", "-q", "origin", "main")
        #expect(try host.digest("support/refund-triage") == before)
        let change = try #require((try host.entry()["changes"] as? [[String: Any]])?.first)
        #expect(change["action"] as? String == "rollback")
    }

    @Test("rollback run again gives the branch that is there, and --branch another one")
    func rollbackAgain() throws {
        let host = try Host(fleet: FleetFixture())
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90", message: "Less")
        func rollback(_ more: String...) throws -> (commit: String, errors: String) {
            let arguments = ["rollback", "support/triage", "--env", "prod", "--output", "json"] + more
            // A commit of another second is another commit.
            let dates = ["GIT_COMMITTER_DATE": "2026-01-0\(more.count + 1)T00:00:00Z"]
            let result = try run(Host.ensign, arguments, in: host.work, environment: dates)
            #expect(result.status == 0, "\(result.errors)")
            let match = try #require(result.output.firstMatch(of: #/"commit": "([0-9a-f]{40})"/#))
            return (String(match.1), result.errors)
        }
        let branch = "ensign/rollback/prod/support/triage"
        let first = try rollback()
        #expect(try host.git("rev-parse", branch) == first.commit)
        let second = try rollback("--reason", "late")
        #expect(second.commit == first.commit)
        #expect(second.errors.contains("its message stays, without the new reason"))
        // A merged branch has nothing left to merge.
        try host.git("branch", "-f", branch, "HEAD~1")
        #expect(try rollback().commit == host.git("rev-parse", branch))
        #expect(try host.git("rev-parse", "\(branch)~1") == host.git("rev-parse", "HEAD"))
        try host.git("branch", "-f", branch, "HEAD")
        let refused = try host.ensignInWork("rollback", "support/triage", "--env", "prod")
        #expect(refused.status == 4)
        #expect(refused.errors.contains("--branch NAME"))
        let other = try rollback("--branch", "other")
        #expect(try host.git("rev-parse", "other") == other.commit)
    }

    @Test("In a bare repository rollback commits to the branch itself")
    func rollbackOnHost() throws {
        let host = try Host()
        let before = try host.digest("support/refund-triage")
        try host.push(deployment, "version: 1.4.0", "version: 1.5.0", message: "Promote it")
        #expect(try host.ensign("rollback", "support/refund-triage", "--env", "prod").status == 0)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try host.digest("support/refund-triage") == before)
    }

    @Test("What 'new' writes validates as it is, from an empty repository on")
    func scaffolds() throws {
        let scratch = try ScratchDirectory()
        func ensign(_ arguments: String...) throws -> CommandResult {
            try run(Host.ensign, arguments, in: scratch.path)
        }
        #expect(try run("git", ["init", "-q", "-b", "main"], in: scratch.path).status == 0)
        #expect(try ensign("new", "env", "dev").status == 0)
        #expect(try ensign("new", "env", "prod").status == 0)
        #expect(try ensign("new", "agent", "support/greeter").status == 0)
        #expect(try ensign("new", "tool", "crm").status == 0)
        #expect(try ensign("release", "support/greeter", "0.1.0").status == 0)
        let result = try ensign("validate")
        #expect(result.status == 0)
        #expect(
            result.errors.contains("1 agent, 2 versions, 1 tool version, 2 environments, 1 deployment; all valid")
        )
        #expect(try ensign("new", "agent", "support/greeter").status == 4)
    }
}
