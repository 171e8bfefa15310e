import EnsignTestSupport
import Foundation
import Testing

/// `ensign status`: every environment has a row, and an empty answer says why.
@Suite struct StatusTests {
    @Test("A ledger that cannot be read is a row with the reason, and the others keep theirs")
    func broken() throws {
        let host = try Host(fleet: FleetFixture())
        try host.hostGit("update-ref", "refs/ensign/ledger/dev", "refs/heads/main")
        let text = try host.ensign("status")
        #expect(text.status == 5)
        #expect(text.output.contains(#/dev .* unreadable/#), "\(text.output)")
        #expect(text.output.contains(#/prod +2 .* ok/#), "\(text.output)")
        #expect(text.errors.contains("dev: "))
        let json = try host.ensign("status", "--output", "json")
        #expect(json.status == 5)
        #expect(json.output.contains(#/"error": "[^"]*not a signed/#), "\(json.output)")
        #expect(json.output.contains(#""error": null"#))
    }

    @Test("What became of the newest commit is said while operators act, until a commit is accepted")
    func operatorsAct() throws {
        let host = try Host(fleet: FleetFixture())
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/pre-receive")
        try host.edit(FleetFixture.deploymentPath, "version: 1.0.0", "version: 1.0.0\n  halted: true")
        try host.scratch.write("work/environments/prod/agents/support/desk.yaml", "kind: [\n")
        try host.git("commit", "-q", "-a", "-m", "Stop it, badly")
        #expect(try host.tryGit("push", "-q", "origin", "main").errors.contains("not applied"))
        func result() throws -> String {
            let answer = try host.ensign("status", "--env", "prod", "--output", "json").output
            let value = try JSONSerialization.jsonObject(with: Data(answer.utf8)) as? [String: Any]
            return (value?["environments"] as? [[String: Any]])?.first?["result"] as? String ?? answer
        }
        #expect(try result() == "invalid")
        for words in [["halt", "support/triage"], ["halt", "--all"], ["resume", "--all"]] {
            let answer = try host.ensign(arguments: words + ["--env", "prod", "--reason", "x"])
            #expect(try result() == "invalid", "\(words): \(answer.errors)")
        }
        // The stop of a refused commit holds, whatever the newest one says, and nobody is sent to a line that is not there.
        try host.edit(FleetFixture.deploymentPath, "\n  halted: true", "")
        try host.git("commit", "-q", "-a", "-m", "Let it go, badly")
        #expect(try host.tryGit("push", "-q", "origin", "main").errors.contains("not applied"))
        let resumed = try host.ensign("resume", "support/triage", "--env", "prod", "--reason", "x")
        #expect(
            resumed.status == 4 && resumed.errors.contains("a commit said so that was not accepted"),
            "\(resumed.errors)"
        )
        #expect(try result() == "invalid")
    }

    @Test("Where no ledger was fetched it says to fetch")
    func noLedger() throws {
        let host = try Host(fleet: FleetFixture())
        let plain = try host.ensignInWork("status")
        #expect(plain.status == 0)
        #expect(plain.errors.contains("git fetch origin 'refs/ensign/ledger/*:refs/ensign/ledger/*' first"))
        try host.ensignInWork("init", "--client")
        #expect(try host.ensignInWork("status").errors.contains("there is no ledger here: git fetch first"))
        try host.git("fetch", "-q")
        #expect(try host.ensignInWork("status").errors.isEmpty)
    }

    @Test("Agents that are live where the desired branch is not here are no success")
    func noBranch() throws {
        let host = try Host(fleet: FleetFixture())
        try host.hostGit("config", "ensign.branch", "mian")
        let status = try host.ensign("status", "--env", "prod")
        #expect(status.output.contains("no-branch") && !status.output.contains(" ok"), "\(status.output)")
        #expect(status.errors.contains("prod: the desired branch is not here: what is live stays"), "\(status.errors)")
    }

    // MARK: Settings

    @Test(
        "A setting of environments that names what nothing declares is said by a push, status and watch",
        arguments: [
            ("prodd", "names 'prodd', which nothing declares: did you mean 'prod'?"),
            ("prod nowhere", "names 'nowhere', which nothing declares: environments: dev, prod"),
            ("", "names no environment: nothing is reconciled here"),
            ("prod;dev", "'prod;dev' is not the name of an environment; separate names with spaces or commas"),
            ("*", "'*' is not the name of an environment; separate names with spaces or commas"),
        ]
    )
    func environments(_ value: String, _ said: String) throws {
        let host = try Host(fleet: FleetFixture())
        try host.hostGit("config", "ensign.environments", value)
        let push = try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        #expect(push.status == 0 && push.errors.contains("warning: git config ensign.environments"), "\(push.errors)")
        #expect(push.errors.contains(said), "\(push.errors)")
        let status = try host.ensign("status")
        #expect(status.status == 0 && status.errors.contains(said), "\(status.errors)")
        #expect(!status.errors.contains("declares no environment"), "\(status.errors)")
        let json = try host.ensign("status", "--output", "json").output
        let object = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
        #expect((object["warnings"] as? [String])?.count == 1, "\(json)")
        let watch = try Background(Host.ensign, ["watch"], in: host.bare, log: "\(host.scratch.path)/watch.log")
        eventually(within: .seconds(10), watch.output) { watch.output.contains(" watching ") }
        #expect(watch.output.contains("warning: git config ensign.environments"), "\(watch.output)")
        #expect(try watch.stop() == 0)
    }

    @Test(
        "A target that cannot work is named before a reconcile meets it",
        arguments: ["nonsense", "directory:relative", "directory:/", "directory:/proc/x", ""]
    )
    func target(_ value: String) throws {
        let host = try Host(fleet: FleetFixture())
        #expect(try !host.ensign("status").errors.contains("target"))
        try host.hostGit("config", "ensign.prod.target", value)
        let status = try host.ensign("status")
        #expect(status.errors.contains("prod: git config ensign.prod.target: "), "\(status.errors)")
        #expect(
            try host.ensign("status", "-o", "json").output.contains(
                #""targetProblem": "git config ensign.prod.target: "#
            )
        )
        // Once, also when a reconcile has met it.
        #expect(try host.ensign("reconcile", "--env", "prod").status == 1)
        let again = try host.ensign("status").errors
        #expect(again.components(separatedBy: "ensign.prod.target").count == 2, "\(again)")
    }

    @Test("No rows at all: which branch is missing, or what it does not declare")
    func nothing() throws {
        let scratch = try ScratchDirectory()
        func ensign(_ arguments: String...) throws -> CommandResult {
            try run(Host.ensign, arguments, in: scratch.path)
        }
        #expect(try run("git", ["init", "-q", "-b", "master"], in: scratch.path).status == 0)
        #expect(try ensign("status").errors.contains("there is no refs/heads/main yet"))
        #expect(try run("git", ["commit", "-q", "--allow-empty", "-m", "x"], in: scratch.path).status == 0)
        let named = try ensign("-c", "ensign.branch=master", "status")
        #expect(named.errors.contains("refs/heads/master declares no environment"))
    }
}
