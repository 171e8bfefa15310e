import EnsignTestSupport
import Foundation
import Testing

/// The first ten minutes: each command says what comes next, and that works.
@Suite struct FirstStepsTests {
    private let scratch: ScratchDirectory

    init() throws {
        scratch = try ScratchDirectory()
        try #require(try run("git", ["init", "-q", "-b", "main"], in: scratch.path).status == 0)
    }

    private func ensign(_ line: String) throws -> CommandResult {
        try run(Host.ensign, line.split(separator: " ").map(String.init), in: scratch.path)
    }

    /// Runs a command that must succeed, and returns what it says comes next.
    @discardableResult
    private func done(_ line: String) throws -> String {
        let result = try ensign(line)
        #expect(result.status == 0, "\(line): \(result.errors)")
        #expect(!result.errors.hasPrefix("\n"), "\(line)")
        return result.errors
    }

    private func text(_ path: String) throws -> String {
        try String(contentsOfFile: "\(scratch.path)/\(path)", encoding: .utf8)
    }

    private func commit() throws {
        for arguments in [["add", "-A"], ["commit", "-q", "-m", "x"]] {
            #expect(try run("git", arguments, in: scratch.path).status == 0)
        }
    }

    @Test("Before the first push a plan creates what was committed, and is not compared with itself")
    func firstPlan() throws {
        for words in [["init", "-q", "--bare", "-b", "main", "host.git"], ["clone", "-q", "host.git", "work"]] {
            #expect(try run("git", words, in: scratch.path).status == 0)
        }
        let work = "\(scratch.path)/work"
        func plan(_ environment: String) throws -> String {
            for words in [["add", "-A"], ["commit", "-q", "--allow-empty", "-m", "x"]] {
                #expect(try run("git", words, in: work).status == 0)
            }
            let result = try run(Host.ensign, ["plan", "--env", environment], in: work)
            #expect(result.status == 0, "\(result.errors)")
            return result.output + result.errors
        }
        for words in [["init", "--client"], ["new", "env", "dev"], ["new", "agent", "a/b"]] {
            #expect(try run(Host.ensign, words, in: work).status == 0)
        }
        let first = try plan("dev")
        #expect(first.contains("1 to create"), "\(first)")
        #expect(try run("git", ["push", "-q", "origin", "HEAD:main"], in: work).status == 0)
        for words in [
            ["release", "a/b", "1.0.0"], ["new", "env", "prod"], ["new", "deployment", "a/b", "--env", "prod"],
        ] {
            #expect(try run(Host.ensign, words, in: work).status == 0)
        }
        let second = try plan("prod")
        #expect(second.contains("1 to create") && second.contains("origin/main@sha1:"), "\(second)")
        #expect(try run("git", ["push", "-q", "origin", "HEAD:main"], in: work).status == 0)
        // What is pushed may be live, and is told apart from what is not.
        #expect(try plan("prod").contains("0 to create"))
    }

    @Test("From nothing to a promotion, along what each step says")
    func allTheWay() throws {
        #expect(try done("new env dev").contains("Next: ensign new agent TEAM/NAME"))
        #expect(try done("new agent support/greeter").contains("then ensign release support/greeter 0.1.0"))
        let staging = try done("new env staging")
        #expect(staging.contains("ensign new deployment TEAM/AGENT --env staging"))
        #expect(staging.contains("promotes from 'dev', the only other environment"))
        #expect(try done("new env prod").contains("promotes from 'staging', the end of dev -> staging"))
        #expect(try text("environments/prod/environment.yaml").contains("promotesFrom: staging"))
        try commit()
        #expect(
            try done("release support/greeter 0.1.0").contains(
                "then ensign new deployment support/greeter --env staging"
            )
        )
        let deployed = try done("new deployment support/greeter --env staging")
        #expect(deployed.contains("Next: grant in environments/staging/") && deployed.contains("raise autonomy there"))
        try done("new deployment support/greeter --env prod")
        #expect(
            try ensign("validate").errors.contains(
                "1 agent, 2 versions, 0 tool versions, 3 environments, 3 deployments"
            )
        )
        try commit()
        #expect(
            try done("release support/greeter 0.2.0")
                .contains("then ensign promote support/greeter --to staging --version 0.2.0")
        )
        try commit()
        try done("promote support/greeter --to staging --version 0.2.0")
    }

    @Test("An agent before any environment, and an environment that takes releases only")
    func otherOrders() throws {
        let next = try done("new agent support/greeter")
        #expect(next.contains("ensign new env dev") && next.contains("ensign new deployment support/greeter --env dev"))
        try done("new env dev")
        try done("new deployment support/greeter --env dev")
        #expect(try text("environments/dev/agents/support/greeter.yaml").contains("version: next"))
        try done("new env prod")
        let none = try ensign("new deployment support/greeter --env prod")
        #expect(none.status == 4)
        #expect(none.errors.contains("ensign release support/greeter 0.1.0"))
        #expect(try ensign("new deployment support/greeter").errors.contains("'new deployment' needs --env ENV"))
        #expect(try ensign("new deployment support/greeter --env nope").status == 64)
        #expect(
            try ensign("new deployment support/greter --env dev").errors.contains("did you mean 'support/greeter'?")
        )
        #expect(try ensign("new deployment support/greeter --env dev").status == 4)
    }

    @Test("A deployment names what the agent needs, and whom it hands work to")
    func deployment() throws {
        try FleetFixture().write(to: "", in: scratch)
        try done("new env qa")
        let said = try done("new deployment support/triage --env qa")
        #expect(said.contains("ensign new deployment support/desk --env qa"))
        #expect(
            try text("environments/qa/agents/support/triage.yaml")
                .contains("  #   - {tool: crm, operations: [find, update, erase]}\n")
        )
        try done("new deployment support/desk --env qa")
        #expect(try ensign("validate").status == 0)
    }

    @Test("A tool goes on from its newest version, a role grants what there is")
    func toolsAndRoles() throws {
        #expect(try ensign("new role reader").errors.contains("ensign new tool NAME"))
        try done("new tool crm --team sales")
        #expect(try done("new role reader").contains("Next: "))
        let next = try ensign("new tool crm")
        #expect(next.output == "fleet/tools/crm/0.2.0.yaml\n")
        #expect(next.errors.contains("It starts as a copy of 0.1.0"))
        #expect(try text("fleet/tools/crm/0.2.0.yaml") == text("fleet/tools/crm/0.1.0.yaml"))
        #expect(try ensign("new tool crm --team sales").status == 64)
        #expect(try done("new tool mail").contains("Its owner is 'sales'"))
        #expect(try ensign("validate").status == 0)
    }

    @Test(
        "A team that is nearly one that exists is not quietly made",
        arguments: ["tool mail --team slaes", "agent slaes/x"]
    )
    func slips(_ what: String) throws {
        try done("new tool crm --team sales")
        let slip = try ensign("new \(what)")
        #expect(slip.status == 64)
        #expect(slip.errors.contains("did you mean 'sales'?"))
        #expect(!scratch.exists("fleet/teams/slaes.yaml"))
        try done("new tool chat --team support")
    }
}

/// Wrong use of the command line.
@Suite struct CommandLineTests {
    @Test("help of an unknown command, and a setting without a value, are wrong use; hints are not said twice")
    func wrongUse() throws {
        func ensign(_ arguments: String...) throws -> CommandResult { try run(Host.ensign, arguments, in: "/") }
        for arguments in [["help", "foo"], ["foo"], ["-c", "foo", "version"]] {
            #expect(try run(Host.ensign, arguments, in: "/").status == 64, "\(arguments)")
        }
        let unknown = try ensign("foo")
        #expect(unknown.errors == "ensign: error: there is no command 'foo'\n  hint: ensign --help\n")
        for words in [["foo", "--env", "prod"], ["foo", "--bogus"]] {
            #expect(try run(Host.ensign, words, in: "/").errors.contains("there is no command 'foo'"))
        }
        #expect(try ensign("help", "plna").errors.contains("did you mean 'plan'?"))
        #expect(try ensign("help", "plan").output == ensign("plan", "-h").output)
        #expect(try ensign("-c", "foo", "version").errors.contains("'foo' is not KEY=VALUE"))
    }

    @Test("Verifying where no ledger was fetched proves nothing, and says so; on a new host there is none yet")
    func nothingVerified() throws {
        let host = try Host(fleet: FleetFixture(), pushes: false)
        #expect(try host.ensign("verify").status == 0)
        let clone = try host.ensignInWork("verify")
        #expect(clone.status == 1)
        #expect(clone.errors.contains("nothing was verified") && clone.errors.contains("git fetch"), "\(clone.errors)")
    }
}
