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
        try host.hostGit("config", "ensign.branch", "refs/heads/main")
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
