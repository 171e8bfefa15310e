import EnsignTestSupport
import Foundation
import Testing

/// What operators do themselves.
extension GoingBackTests {
    @Test("rollback --now: the version before at once, the bad one quarantined, the same commit")
    func now() throws {
        let host = try Host(fleet: fleet(canary: false))
        let good = try host.digest("support/triage")
        try host.push(deployment, "version: 1.0.0", "version: 1.1.0")
        let bad = try host.digest("support/triage")
        let words = ["rollback", "support/triage", "--env", "prod", "--now"]
        #expect(try run(Host.ensign, words, in: host.bare).status == 64)
        let result = try run(
            Host.ensign,
            words + ["--reason", "refuses everything", "--output", "json"],
            in: host.bare
        )
        #expect(result.status == 0, "\(result.errors)")
        let report = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
        let actions = (report["changes"] as? [[String: Any]])?.compactMap { $0["action"] as? String }
        #expect(actions == ["rollback", "quarantine"])
        let disagreement = try #require((report["disagreements"] as? [[String: Any]])?.first)
        #expect(disagreement["remedy"] as? String == "merge" && disagreement["branch"] as? String == Self.branch)
        #expect(try host.digest("support/triage") == good)
        try expectPin(host, from: "1.1.0", to: "1.0.0")
        try host.expectSound()
        // There is nothing before it: what is quarantined does not come back.
        let again = try run(Host.ensign, words + ["--reason", "still bad"], in: host.bare)
        #expect(again.status == 4 && again.errors.contains("no earlier version"), "\(again.errors)")
        #expect(try host.kinds().suffix(2) == ["intent", "outcome"])
        // The commit can be merged by fast-forward too.
        try host.git("pull", "-q", "--ff-only", "origin", Self.branch)
        try host.git("push", "-q", "origin", "main")
        #expect(try host.digest("support/triage") == good && host.digest("support/triage") != bad)
        #expect(try !hasBranch(host.bare))
    }

    @Test("rollback --now asked again soon goes no further back unless the version is named; --to is safe to repeat")
    func twice() throws {
        let host = try Host(fleet: fleet(canary: false))
        try host.push(deployment, "version: 1.0.0", "version: 1.1.0")
        try host.push(deployment, "credit: {maximum: 100}", "credit: {maximum: 90}")
        func back(_ more: String...) throws -> CommandResult {
            let words = ["rollback", "support/triage", "--env", "prod", "--now", "--reason", "refuses everything"]
            return try run(Host.ensign, words + more, in: host.bare, environment: host.time())
        }
        #expect(try back("--to", "9.9.9").status == 4)
        #expect(try host.ensign("rollback", "support/triage", "--env", "prod", "--to", "1.0.0").status == 64)
        // Its own permissions are no other version: 1.1.0 with 100 and with 90 are told apart by their digests.
        #expect(try back("--to", "1.1.0").errors.contains("1.1.0 is what sessions have already"))
        let first = try back("--to", "1.0.0")
        #expect(
            first.status == 0 && first.output.contains("rolled back 1.1.0 -> 1.0.0"),
            "\(first.output)\(first.errors)"
        )
        let entries = try host.entries().count
        let repeated = try back("--to", "1.0.0")
        #expect(repeated.status == 0 && repeated.errors.contains("1.0.0 is what sessions have already"))
        #expect(try host.entries().count == entries)
    }

    @Test("A second rollback --now within minutes says what it would do and does nothing; later it goes on")
    func guarded() throws {
        let host = try Host(fleet: fleet(canary: false))
        for version in ["1.1.0", "1.2.0"] {
            let next = "fleet/agents/support/triage/\(version)"
            if !FileManager.default.fileExists(atPath: "\(host.work)/\(next)") {
                #expect(try run("cp", ["-r", "fleet/agents/support/triage/1.0.0", next], in: host.work).status == 0)
                try host.scratch.write("work/\(next)/prompt.md", "Sort it, \(version).\n")
            }
        }
        try host.git("add", "-A")
        try host.push(deployment, "version: 1.0.0", "version: 1.1.0")
        try host.push(deployment, "version: 1.1.0", "version: 1.2.0")
        func back() throws -> CommandResult {
            try host.ensign("rollback", "support/triage", "--env", "prod", "--now", "--reason", "refuses everything")
        }
        #expect(try back().output.contains("rolled back 1.2.0 -> 1.1.0"))
        let again = try back()
        #expect(again.status == 4, "\(again.output)")
        #expect(again.errors.contains("once more would go to 1.0.0 and quarantine 1.1.0"), "\(again.errors)")
        #expect(again.errors.contains("--now --to 1.0.0"))
        host.pass(seconds: 700)
        #expect(try back().output.contains("rolled back 1.1.0 -> 1.0.0"))
    }

    @Test("Where the artifact is the same, the digest is quarantined; edits made since stay")
    func permissions() throws {
        let host = try Host(fleet: fleet(canary: false))
        try host.push(deployment, "credit: {maximum: 100}", "credit: {maximum: 200}")
        let result = try host.ensign("rollback", "support/triage", "--env", "prod", "--now", "--reason", "too generous")
        #expect(result.status == 0, "\(result.errors)")
        let state = try host.hostGit("show", "refs/ensign/ledger/prod:state/support/triage.json")
        #expect(state.contains("\"quarantine\":[{\"digest\":\"sha256:"))
        #expect(try host.hostGit("diff", "--numstat", "main~1", Self.branch) == "")
        // 1.1.0 with that limit is another digest, and goes ahead; its rollback keeps a comment that came later.
        try host.push(deployment, "version: 1.0.0", "version: 1.1.0")
        try host.push(deployment, "  limits:", "  # checked by finance\n  limits:")
        #expect(
            try host.ensign("rollback", "support/triage", "--env", "prod", "--now", "--reason", "no").status == 0
        )
        #expect(try host.liveJSON("agents/support/triage.json")["phase"] as? String == "stable")
        let file = try host.hostGit("show", "\(Self.branch):\(deployment)")
        #expect(file.contains("version: 1.0.0") && file.contains("maximum: 100"))
    }

    @Test("An edit since the pin stays when the pin alone is enough; a halt in git is not lifted")
    func keepsEdits() throws {
        let host = try Host(fleet: fleet(canary: false))
        try host.push(deployment, "version: 1.0.0", "version: 1.1.0")
        #expect(try host.ensign("rollback", "support/triage", "--env", "prod", "--now", "--reason", "no").status == 0)
        try host.push(deployment, "  limits:", "  halted: true   # until Monday\n  limits:")
        #expect(try host.liveJSON("agents/support/triage.json")["phase"] as? String == "halted")
        let diff = try host.hostGit("diff", "-U0", "main", Self.branch).split(separator: "\n")
        #expect(diff.filter { $0.hasPrefix("+  ") } == ["+  version: 1.0.0"])
        let halted = try host.ensign("rollback", "support/triage", "--env", "prod", "--now", "--reason", "more")
        #expect(halted.status == 4 && halted.errors.contains("it is halted"), "\(halted.errors)")
        let never = try host.ensign("rollback", "support/desk", "--env", "prod", "--now", "--reason", "more")
        #expect(never.status == 4)
        let unknown = try host.ensign("rollback", "support/nobody", "--env", "prod", "--now", "--reason", "more")
        #expect(unknown.status == 64 && unknown.errors.contains("there is no agent"), "\(unknown.errors)")
    }

    @Test("Where more than the deployment changed there is no commit, and people are told what to do")
    func byHand() throws {
        let host = try Host(fleet: fleet(canary: false))
        let good = try host.digest("support/triage")
        try host.push(FleetFixture.environmentPath, "agents.example.com", "example.net")
        #expect(try host.digest("support/triage") != good)
        let result = try host.ensign("rollback", "support/triage", "--env", "prod", "--now", "--reason", "no")
        #expect(result.status == 0, "\(result.errors)")
        #expect(try host.digest("support/triage") == good)
        #expect(try !hasBranch(host.bare))
        let sentence = "\(deployment) alone does not bring 1.0.0 back"
        #expect(result.errors.contains(sentence), "\(result.errors)")
        #expect(try host.ensign("status").errors.contains(sentence))
        // Undone by hand, nothing changes live.
        try host.push(FleetFixture.environmentPath, "example.net", "agents.example.com")
        #expect(try host.digest("support/triage") == good)
        #expect(try !host.ensign("status").errors.contains("quarantined"))
    }

    @Test("A branch that cannot be applied does not keep anybody from going back")
    func brokenBranch() throws {
        let host = try Host(fleet: fleet(canary: false))
        let good = try host.digest("support/triage")
        try host.push(deployment, "version: 1.0.0", "version: 1.1.0")
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/pre-receive")
        try host.push(FleetFixture.rolePath, "kind: Role", "kind: Rule")
        let result = try host.ensign("rollback", "support/triage", "--env", "prod", "--now", "--reason", "no")
        #expect(result.status == 0, "\(result.errors)")
        #expect(try host.digest("support/triage") == good)
        #expect(result.errors.contains("cannot be applied"), "\(result.errors)")
        #expect(try host.kinds().suffix(3) == ["refused", "intent", "outcome"])
        try host.expectSound()
    }
}
