import EnsignTestSupport
import Foundation
import Testing

/// From a pushed commit to a converged fleet with a signed record.
@Suite struct PushTests {
    private let deployment = "environments/prod/agents/support/refund-triage.yaml"

    @Test("A push is live and recorded before it returns")
    func pushConverges() throws {
        let host = try Host()
        for environment in ["dev", "staging", "prod"] {
            #expect(try host.kinds(environment) == ["genesis", "intent", "outcome"])
            try host.expectSound(environment)
        }
        let header = try host.liveJSON("fleet.json")
        let entry = try #require(header["entry"] as? [String: Any])
        #expect(entry["commit"] as? String == (try host.hostGit("rev-parse", "refs/ensign/ledger/prod")))
        #expect((header["source"] as? [String: Any])?["commit"] as? String == (try host.git("rev-parse", "HEAD")))
        #expect((header["counts"] as? [String: Any])?["agents"] as? Int == 7)
    }

    @Test("The ledger's tree is the live directory, byte for byte, without fleet.json")
    func treeIsLive() throws {
        let host = try Host()
        var live = try host.liveFiles()
        live["fleet.json"] = nil
        var tree: [String: Data] = [:]
        for path in try host.hostGit("ls-tree", "-r", "--name-only", "refs/ensign/ledger/prod").split(separator: "\n")
        where path != "entry.json" {
            tree[String(path)] = Data(try host.hostGit("show", "refs/ensign/ledger/prod:\(path)").utf8) + Data([0x0A])
        }
        #expect(live == tree)
    }

    @Test("sha256sum of a bundle is its name, and a route names bundles that are there")
    func bundlesHashToTheirNames() throws {
        let host = try Host()
        let bundles = try host.liveFiles().keys.filter { $0.hasPrefix("bundles/") }
        #expect(bundles.count == 7)
        for path in bundles {
            let sum = try run("sha256sum", ["\(host.live())/\(path)"], in: host.bare).output.prefix(64)
            let parts = path.split(separator: "/")
            #expect(sum == parts[1] + parts[2].dropLast(5))
        }
        for path in try host.liveFiles().keys where path.hasPrefix("agents/") {
            let digest = try host.digest(String(path.dropFirst(7).dropLast(5))).dropFirst(7)
            #expect(bundles.contains("bundles/\(digest.prefix(2))/\(digest.dropFirst(2)).json"))
        }
    }

    @Test("Stock git says good for every entry, with the lines that 'ensign keys' prints")
    func stockGitVerifies() throws {
        let host = try Host()
        try host.push(deployment, "version: 1.4.0", "version: 1.5.0")
        let signers = try host.scratch.write("signers", try host.ensign("keys").output)
        for environment in ["dev", "staging", "prod"] {
            for commit in try host.entries(environment) {
                let result = try run(
                    "git",
                    ["-c", "gpg.ssh.allowedSignersFile=\(signers)", "verify-commit", commit],
                    in: host.bare
                )
                #expect(result.status == 0)
                #expect(result.errors.contains("Good \"git\" signature for \(environment)@ensign.invalid"))
                // The trailer is the digest of entry.json as sha256sum sees it.
                let body = try host.hostGit("show", "-s", "--format=%B", commit)
                let bytes = try run("git", ["show", "\(commit):entry.json"], in: host.bare).output
                let sum = try run("sha256sum", [], in: host.bare, input: bytes).output.prefix(64)
                #expect(body.contains("Ensign-Entry-SHA256: \(sum)"))
            }
        }
        #expect(try run("git", ["fsck", "--strict", "--no-dangling"], in: host.bare).status == 0)
    }

    @Test("Every entry has the previous entry and its source commit as parents")
    func parents() throws {
        let host = try Host()
        try host.push(deployment, "version: 1.4.0", "version: 1.5.0")
        let head = try host.git("rev-parse", "HEAD")
        let parents = try host.hostGit("show", "-s", "--format=%P", "refs/ensign/ledger/prod").split(separator: " ")
        #expect(parents.count == 2)
        #expect(parents.last.map(String.init) == head)
        let genesis = try #require(try host.entries().last)
        #expect(try host.hostGit("show", "-s", "--format=%P", genesis).isEmpty)
    }

    @Test("A reconcile that finds nothing to do writes nothing")
    func noEntryForNothing() throws {
        let host = try Host()
        let before = try host.entries()
        for _ in 0..<3 { #expect(try host.ensign("reconcile", "--env", "prod").status == 0) }
        try host.push("environments/dev/agents/it/escalation-desk.yaml", "spec:", "# a comment\nspec:")
        #expect(try host.entries() == before)
        try host.expectSound()
    }

    @Test("Reverting the commit brings back the same digest, and the ledger says rollback and which commit")
    func revertIsRollback() throws {
        let host = try Host()
        let before = try host.digest("support/refund-triage")
        try host.push(deployment, "version: 1.4.0", "version: 1.5.0", message: "Promote")
        let bad = try host.git("rev-parse", "HEAD")
        #expect(try host.digest("support/refund-triage") != before)
        try host.git("revert", "--no-edit", "HEAD")
        try host.git("push", "-q", "origin", "main")
        #expect(try host.digest("support/refund-triage") == before)
        let entry = try host.entry()
        let change = try #require((entry["changes"] as? [[String: Any]])?.first)
        #expect(change["action"] as? String == "rollback")
        #expect((change["evidence"] as? [String: Any])?["reverts"] as? [String] == [bad])
        // Going forward again is not a rollback: that version became live later.
        try host.git("revert", "--no-edit", "HEAD")
        try host.git("push", "-q", "origin", "main")
        let again = try #require((try host.entry()["changes"] as? [[String: Any]])?.first)
        #expect(again["action"] as? String == "update")
        try host.expectSound()
    }

    @Test("entry.json is canonical JSON on one line with the documented fields")
    func entryFields() throws {
        let host = try Host()
        let text = try run("git", ["show", "refs/ensign/ledger/prod:entry.json"], in: host.bare).output
        #expect(text.hasSuffix("}\n"))
        #expect(text.split(separator: "\n").count == 1)
        let canonical = try run(
            "python3",
            [
                "-c",
                "import json,sys; print(json.dumps(json.load(sys.stdin), sort_keys=True, separators=(',', ':'), ensure_ascii=False))",
            ],
            in: host.bare,
            input: text
        )
        #expect(canonical.output == text)
        let entry = try host.entry()
        #expect(entry["v"] as? Int == 2)
        #expect(entry["seq"] as? Int == 2)
        #expect(entry["result"] as? String == "ok")
        #expect((entry["actor"] as? [String: Any])?["mode"] as? String == "hook")
        #expect((entry["source"] as? [String: Any])?["ref"] as? String == "refs/heads/main")
        #expect((entry["source"] as? [String: Any])?["signature"] as? String == "none")
        // Seven agents, and policy.json.
        #expect((entry["changes"] as? [[String: Any]])?.count == 8)
    }

    @Test("halted: true in git takes the route away, and false brings the version back")
    func haltInGit() throws {
        let host = try Host()
        try host.push(deployment, "halted: false", "halted: true")
        let route = try host.liveJSON("agents/support/refund-triage.json")
        #expect(route["phase"] as? String == "halted")
        #expect((route["routes"] as? [Any])?.isEmpty == true)
        #expect(try host.ensign("route", "support/refund-triage", "--env", "prod", "--key", "k").status == 4)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        try host.expectSound()
        try host.push(deployment, "halted: true", "halted: false")
        #expect(try host.liveJSON("agents/support/refund-triage.json")["phase"] as? String == "stable")
        #expect(try host.hostGit("ls-tree", "-r", "--name-only", "refs/ensign/ledger/prod").contains("state/") == false)
        try host.expectSound()
    }

    @Test("An agent that is no longer declared goes, one at a time; more than the share is refused until it is allowed")
    func pruning() throws {
        let host = try Host()
        try host.git("rm", "-q", "environments/prod/agents/sales/crm-hygiene.yaml")
        try host.git("commit", "-q", "-m", "Remove one")
        #expect(try host.tryGit("push", "-q", "origin", "main").status == 0)
        #expect(try host.liveFiles()["agents/sales/crm-hygiene.json"] == nil)
        try host.git("rm", "-q", "-r", "environments/prod/agents/support", "environments/prod/agents/finance")
        try host.git("commit", "-q", "-m", "Remove three")
        let push = try host.tryGit("push", "-q", "origin", "main")
        #expect(push.errors.contains("at most 1 at once"))
        #expect(try host.liveFiles()["agents/support/refund-triage.json"] != nil)
        #expect(try host.kinds().last == "refused")
        // Once for each reason and commit.
        let count = try host.entries().count
        #expect(try host.ensign("reconcile", "--env", "prod").status == 4)
        #expect(try host.entries().count == count)
        #expect(try host.ensign("reconcile", "--env", "prod", "--allow-prune").status == 0)
        #expect(try host.liveFiles().keys.filter { $0.hasPrefix("agents/") }.count == 3)
        try host.expectSound()
    }

    @Test("What prune: false keeps is said by the push that removes it, and by each plan after it")
    func keeping() throws {
        let host = try Host()
        try host.push("environments/prod/environment.yaml", "prune: true", "prune: false")
        try host.git("rm", "-q", "environments/prod/agents/sales/crm-hygiene.yaml")
        try host.git("commit", "-q", "-m", "Remove one")
        let push = try host.tryGit("push", "-q", "origin", "main")
        let kept = "sales/crm-hygiene  no longer declared, kept: prune is off"
        #expect(push.errors.contains(kept), "\(push.errors)")
        for _ in 0..<2 {
            #expect(try host.ensign("plan", "--env", "prod").output.contains(kept))
            #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        }
        let warm = try host.ensign("plan", "--env", "prod", "--output", "json").output
        try FileManager.default.removeItem(atPath: "\(host.bare)/ensign/cache")
        #expect(try host.ensign("plan", "--env", "prod", "--output", "json").output == warm)
        #expect(try host.liveFiles()["agents/sales/crm-hygiene.json"] != nil)
    }

    @Test("Bundles stay for keepFor after their last route, and go with a later change")
    func bundlesExpire() throws {
        let host = try Host()
        try host.push("environments/prod/environment.yaml", "keepFor: 7d", "keepFor: 1ms")
        let old = try host.digest("support/refund-triage").dropFirst(7)
        let path = "bundles/\(old.prefix(2))/\(old.dropFirst(2)).json"
        try host.push(deployment, "version: 1.4.0", "version: 1.5.0")
        #expect(try host.liveFiles()[path] != nil)
        try host.push(deployment, "costUSDPerDay: 40", "costUSDPerDay: 41")
        #expect(try host.liveFiles()[path] == nil)
        try host.expectSound()
    }
}
