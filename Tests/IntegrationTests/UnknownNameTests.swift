import EnsignTestSupport
import Foundation
import Testing

/// A typo in a name is reported, and never answered as if the name were right.
@Suite struct UnknownNameTests {
    @Test("An environment that nothing knows is wrong use of the command line, for every command that takes one")
    func environments() throws {
        let host = try Host(fleet: FleetFixture())
        let calls = [
            ["verify"], ["log"], ["keys"], ["keys", "--rotate"], ["status"], ["drift"], ["plan"], ["reconcile"],
            ["route", "support/triage", "--key", "k"], ["watch"], ["evidence", "support/triage"], ["notify"],
            ["rollback", "support/triage"], ["rollback", "support/triage", "--now", "--reason", "x"],
            ["get", "agents"],
            ["halt", "--all", "--reason", "x"], ["resume", "--all", "--reason", "x"], ["rollout", "status"],
            ["rollout", "pause", "support/triage", "--reason", "x"], ["who-can", "crm.find"],
            ["check", "support/triage", "crm.find"], ["tighten", "support/triage"], ["telemetry", "check", "."],
            ["diff", "main", "main"],
        ]
        // These two work on a work tree.
        let verbs = try Set(GoldenTests.verbs).subtracting(["new", "dev"]).filter { verb in
            try run(Host.ensign, ["help", verb], in: "/").output.contains("  --env ENV ")
        }
        #expect(Set(calls.map { $0[0] }) == verbs)
        for arguments in calls {
            let result = try run(Host.ensign, arguments + ["--env", "nope"], in: host.bare)
            #expect(result.status == 64, "\(arguments): \(result.output)\(result.errors)")
            #expect(result.errors.contains("there is no environment 'nope'"), "\(arguments): \(result.errors)")
            #expect(result.errors.contains("environments: dev, prod"), "\(arguments): \(result.errors)")
        }
        let left = FileManager.default.enumerator(atPath: "\(host.bare)/ensign")?.compactMap { $0 as? String } ?? []
        #expect(left.filter { $0.contains("nope") } == [])
        // One that was: its ledger answers for ever.
        try host.git("rm", "-q", "-r", "environments/dev")
        try host.edit("environments/prod/environment.yaml", "  promotesFrom: dev\n", "")
        try host.git("commit", "-q", "-a", "-m", "No dev any more")
        try host.git("push", "-q", "origin", "main")
        for verb in ["verify", "log", "status", "keys"] {
            #expect(try host.ensign(verb, "--env", "dev").status == 0)
        }
        // A clone that reconciles one environment answers about the others.
        try host.hostGit("config", "ensign.environments", "dev")
        #expect(try host.ensign("log", "--env", "prod").status == 0)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 64)
    }

    @Test("A misspelt name is told with what was probably meant")
    func nearest() throws {
        let host = try Host(fleet: FleetFixture())
        for (words, meant) in [
            (["status", "--env", "prd"], "'prod'"),
            (["new", "deployment", "support/triage", "--env", "prodd"], "'prod'"),
            (["rollout", "stat"], "'status'"), (["diff", "prod", "deb"], "'dev'"),
            (["diff", "prodd", "dev"], "'prod'"),
            (["rollback", "support/triage", "--env", "prd"], "'prod'"),
            (["dev", "support/triage", "--env", "prd"], "'prod'"),
            (["halt", "--team", "suport", "--env", "prod", "--reason", "x"], "'support'"),
        ] {
            let result = try run(Host.ensign, words, in: host.work)
            #expect(result.status == 64, "\(words): \(result.errors)")
            #expect(result.errors.contains("did you mean \(meant)?"), "\(words): \(result.errors)")
        }
        // The right one is for the host.
        let team = try run(Host.ensign, ["halt", "--team", "support", "--env", "prod", "--reason", "x"], in: host.work)
        #expect(team.status == 4, "\(team.errors)")
        let mixed = try run(Host.ensign, ["diff", "prod", "deb"], in: host.work).errors
        #expect(mixed.contains("'prod' is an environment, and 'deb' is none"), "\(mixed)")
    }

    @Test("A name that nothing has is wrong use, and where a rule has nothing to do it says no")
    func statuses() throws {
        let host = try Host(fleet: FleetFixture())
        for words in [
            ["who-can", "nope.find", "--env", "prod"], ["who-can", "crm.nope", "--env", "prod"],
            ["promote", "support/triage", "--to", "prod", "--version", "9.9.9"],
            ["promote", "support/nobody", "--to", "prod"], ["release", "support/triage", "9.9.9"],
        ] {
            let result = try run(Host.ensign, words, in: host.work)
            #expect(result.status == 64, "\(words): \(result.status) \(result.errors)")
        }
        for words in [
            ["plan", "--env", "prod", "--worktree"], ["release", "support/triage", "9.9.9"],
            ["new", "agent", "support/another"],
        ] {
            let result = try run(Host.ensign, words, in: host.bare)
            #expect(result.status == 64, "\(words): \(result.status) \(result.errors)")
        }
        let back = try run(Host.ensign, ["rollback", "support/triage", "--env", "prod"], in: host.work)
        #expect(back.status == 4, "\(back.errors)")
    }

    @Test(
        "A revision that names no commit is wrong use, and nothing is damaged",
        arguments: ["main^{tree}", "main:fleet", "main:fleet/teams/support.yaml", "main..dev", "ma in"]
    )
    func noCommit(_ revision: String) throws {
        let host = try Host(fleet: FleetFixture())
        for words in [
            ["validate", "--rev", revision], ["who-can", "crm.find", "--env", "prod", "--rev", revision],
            ["diff", revision, "main"],
        ] {
            let result = try run(Host.ensign, words, in: host.work)
            #expect(result.status == 64, "\(words): \(result.errors)")
            #expect(
                result.errors.contains(revision) && !result.errors.contains("git fsck"),
                "\(words): \(result.errors)"
            )
        }
    }

    @Test("A setting of the branch that can be none is named", arguments: ["", "ma in", "a..b"])
    func badBranch(_ name: String) throws {
        let host = try Host(fleet: FleetFixture())
        try host.hostGit("config", "ensign.branch", name)
        for words in [["status"], ["reconcile", "--env", "prod"], ["plan", "--env", "prod"]] {
            let result = try host.ensign(arguments: words)
            #expect(result.status == 1, "\(words): \(result.output)\(result.errors)")
            #expect(
                result.errors.contains("git config ensign.branch: '\(name)' is not the name of a branch"),
                "\(words): \(result.errors)"
            )
            #expect(!result.errors.contains("git fsck"), "\(words): \(result.errors)")
        }
    }

    @Test("The ledger of an environment whose ref is gone is asked about, not unknown")
    func removedLedger() throws {
        let host = try Host(fleet: FleetFixture())
        try host.hostGit("update-ref", "-d", "refs/ensign/ledger/prod")
        #expect(try host.ensign("verify", "--env", "prod").status == 5)
    }

    @Test("A version that an agent does not have is wrong use, and left out where all agents are meant")
    func versions() throws {
        let host = try Host(fleet: FleetFixture())
        for version in ["9.9.9", "next"] {
            let words = ["dev", "support/triage", "--env", "prod", "--version", version]
            let dev = try run(Host.ensign, words, in: host.work)
            #expect(dev.status == 64 && dev.errors.contains("has no version \(version)"), "\(dev.errors)")
            #expect(dev.errors.contains("its versions: 1.0.0"), "\(dev.errors)")
        }
        let folder = "\(host.work)/fleet/agents/support/triage"
        try FileManager.default.copyItem(atPath: "\(folder)/1.0.0", toPath: "\(folder)/1.1.0")
        try host.git("add", "-A")
        try host.git("commit", "-q", "-m", "1.1.0")
        let all = try host.ensignInWork("promote", "--all", "--to", "prod", "--version", "1.1.0")
        #expect(all.status == 0, "\(all.output)\(all.errors)")
        #expect(all.errors.contains("left out: support/desk: 'support/desk' has no version 1.1.0"), "\(all.errors)")
        #expect(all.output.contains("Promote support/triage 1.0.0 -> 1.1.0 to prod"), "\(all.output)")
        let one = try host.ensignInWork("promote", "support/desk", "--to", "prod", "--version", "1.1.0")
        #expect(one.status == 64 && one.errors.contains("'support/desk' has no version 1.1.0"), "\(one.errors)")
    }

    @Test("keys --rotate says what it needs, and is for the host")
    func rotate() throws {
        let host = try Host(fleet: FleetFixture())
        let missing = try host.ensign("keys", "--rotate")
        #expect(missing.status == 64)
        #expect(missing.errors.contains("'keys --rotate' needs --env ENV"))
        #expect(try host.ensignInWork("init", "--client").status == 0)
        let refused = try host.ensignInWork("keys", "--env", "prod", "--rotate")
        #expect(refused.status == 4, "\(refused.errors)")
        #expect(refused.errors.contains("this is a developer's clone"))
    }

    @Test("An agent that never existed has no history; one that has none yet may be asked about")
    func agents() throws {
        let host = try Host(fleet: FleetFixture())
        let unknown = try host.ensign("log", "--env", "prod", "support/triaje")
        #expect(unknown.status == 64, "\(unknown.output)")
        #expect(unknown.errors.contains("did you mean 'support/triage'?"))
        #expect(try host.ensign("log", "--env", "dev", "support/triage").status == 0)
        // One that is gone from the fleet has its history.
        try host.git("rm", "-q", "-r", FleetFixture.deploymentPath, "fleet/agents/support/triage")
        try host.git("commit", "-q", "-m", "Gone")
        try host.git("push", "-q", "origin", "main")
        let gone = try host.ensign("log", "--env", "prod", "support/triage")
        #expect(gone.status == 0)
        #expect(gone.output.contains("delete 1.0.0"))
    }

    @Test("An operation that no version of a tool has is an error, as an unknown tool is; never \"nobody\"")
    func operations() throws {
        let host = try Host(fleet: FleetFixture())
        let unknown = try host.ensignInWork("who-can", "crm.updat", "--env", "prod")
        #expect(unknown.status == 64)
        #expect(unknown.errors.contains("no version of tool 'crm' has an operation 'updat'"))
        #expect(unknown.errors.contains("did you mean 'update'?"))
        #expect(!unknown.errors.contains("no agent"))
        #expect(try host.ensignInWork("who-can", "crm.update", "--env", "prod").output.contains("support/triage"))
    }
}
