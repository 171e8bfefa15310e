import EnsignTestSupport
import Foundation
import Testing

/// What somebody meant is said where it can be known.
@Suite struct SlipTests {
    @Test("An environment without its option, an agent without its team, an option cut short: each has its hint")
    func hints() throws {
        let host = try Host(fleet: FleetFixture())
        for (words, hint) in [
            ("plan prod", "did you mean '--env prod'?"), ("log prod", "did you mean '--env prod'?"),
            ("status prod", "did you mean '--env prod'?"), ("drift prod", "did you mean '--env prod'?"),
            ("promote support/triage prod", "did you mean '--to prod'?"),
            ("promote triage --to prod", "did you mean 'support/triage'?"),
            ("log --env prod helpdesk/triage", "did you mean 'support/triage'?"),
            ("plan --env prod --out json", "did you mean '--output'?"),
            ("diff prod", "compare two: ensign diff dev prod, or ensign diff main~1 main --env prod"),
        ] {
            let result = try run(Host.ensign, words.split(separator: " ").map(String.init), in: host.bare)
            #expect(result.status == 64, "\(words): \(result.output)")
            #expect(result.errors.contains(hint), "\(words): \(result.errors)")
        }
        // Nothing is guessed.
        #expect(try !host.ensignInWork("plan", "nowhere").errors.contains("did you mean '--env"))
    }

    @Test("plan without --env plans every environment, in the order of promotion")
    func everywhere() throws {
        let host = try Host(fleet: FleetFixture(), pushes: false)
        let text = try host.ensign("--repo", host.work, "plan", "--worktree")
        #expect(text.status == 0, "\(text.errors)")
        let dev = try #require(text.output.range(of: "dev: plan from"))
        let prod = try #require(text.output.range(of: "prod: plan from"))
        #expect(dev.lowerBound < prod.lowerBound)
        let markdown = try host.ensignInWork("plan", "--output", "markdown")
        #expect(markdown.output.contains("### Plan for `dev`") && markdown.output.contains("### Plan for `prod`"))
        let json = try host.ensignInWork("plan", "--output", "json")
        let value = try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any]
        #expect((value?["plans"] as? [[String: Any]])?.compactMap { $0["environment"] as? String } == ["dev", "prod"])
        try host.edit(FleetFixture.deploymentPath, "maximum: 100", "maximun: 100")
        let invalid = try host.ensignInWork("plan", "--worktree")
        #expect(invalid.status == 3 && invalid.output.contains("dev: plan from"), "\(invalid.output)")
        #expect(invalid.errors.components(separatedBy: "maximun").count <= 4, "\(invalid.errors)")
    }

    @Test("log has the entries of a time or of a number")
    func times() throws {
        let host = try Host(fleet: FleetFixture())
        func log(_ more: String...) throws -> String {
            let result = try run(Host.ensign, ["log", "--env", "prod"] + more, in: host.bare, environment: host.time())
            #expect(result.status == 0, "\(result.errors)")
            return result.output
        }
        host.pass(seconds: 2 * 86_400)
        #expect(try host.ensign("halt", "support/triage", "--env", "prod", "--reason", "x").status == 0)
        #expect(try log("--since", "1d").split(separator: "\n").count == 2 && log("--since", "1d").contains(" halt "))
        #expect(try !log("--until", "1d").contains(" halt ") && log("--until", "1d").contains("create"))
        #expect(try log("--entry", "1").contains("intent") && log("--entry", "1").split(separator: "\n").count == 2)
        #expect(try log("--since", "2100-01-01").isEmpty)
        #expect(try log("--at", "1d").split(separator: "\n").count == 2 && log("--at", "1d").contains("create"))
        #expect(try host.ensign("log", "--env", "prod", "--since", "soon").status == 64)
        // A moment that the ledger does not have is said as by 'get agents'.
        for (option, value, why) in [("at", "2020-01-01", "begins at"), ("entry", "999", "has the entries 0 to")] {
            for words in [["log"], ["get", "agents"]] {
                let result = try host.ensign(arguments: words + ["--env", "prod", "--\(option)", value])
                #expect(
                    result.status == 64 && result.errors.contains("the ledger of 'prod' \(why)"),
                    "\(words): \(result)"
                )
            }
        }
    }

    @Test("status leaves out an environment that is retired, and names it below; asked for, it is there")
    func retired() throws {
        let host = try Host(fleet: FleetFixture())
        #expect(try host.ensign("status").output.contains("dev "))
        try host.git("rm", "-q", "-r", "environments/dev")
        try host.edit("environments/prod/environment.yaml", "  promotesFrom: dev\n", "")
        try host.git("commit", "-q", "-a", "-m", "No dev any more")
        try host.git("push", "-q", "origin", "main")
        let status = try host.ensign("status")
        #expect(!status.output.contains("dev ") && status.output.contains("prod "), "\(status.output)")
        #expect(status.errors.contains("no longer declared, and nothing is live: dev"), "\(status.errors)")
        #expect(try host.ensign("status", "--env", "dev").output.contains("dev "))
        #expect(try host.ensign("status", "-o", "json").output.contains("\"retired\": true"))
    }

    // MARK: new

    @Test("new team, binding and role validate as they are, with the author as member and a tool that fits")
    func scaffold() throws {
        let host = try Host(fleet: FleetFixture(), pushes: false)
        try host.git("config", "user.email", "grace@example.com")
        try host.scratch.write(
            "work/fleet/tools/tracker/1.0.0.yaml",
            String(contentsOfFile: "\(host.work)/\(FleetFixture.toolPath)", encoding: .utf8)
        )
        func new(_ words: String) throws -> CommandResult {
            try run(Host.ensign, ["new"] + words.split(separator: " ").map(String.init), in: host.work)
        }
        func read(_ path: String) throws -> String {
            try String(contentsOfFile: "\(host.work)/\(path)", encoding: .utf8)
        }
        #expect(try new("team billing").status == 0)
        #expect(try read("fleet/teams/billing.yaml").contains("members: [grace@example.com]"))
        #expect(try new("team billing").status == 4)
        #expect(try new("binding tracker --env prod").status == 0)
        #expect(try read("environments/prod/tools/tracker.yaml").contains("kind: Binding"))
        #expect(try new("binding trakcer --env prod").errors.contains("did you mean 'tracker'?"))
        #expect(try new("binding tracker").status == 64)
        #expect(try new("role tracker-reader").status == 0)
        #expect(try read("fleet/roles/tracker-reader.yaml").contains("{tool: tracker, operations: [find]}"))
        #expect(try new("role anything --tool tracker").status == 0)
        #expect(try read("fleet/roles/anything.yaml").contains("tool: tracker"))
        #expect(try new("role other --tool nothing").status == 1)
        let valid = try host.ensignInWork("validate")
        #expect(valid.status == 0, "\(valid.errors)")
    }

    @Test("new deployment takes the version that runs where the environment promotes from")
    func deployment() throws {
        let host = try Host(fleet: FleetFixture())
        #expect(
            try run(
                "cp",
                ["-r", "fleet/agents/support/triage/1.0.0", "fleet/agents/support/triage/1.1.0"],
                in: host.work
            )
            .status == 0
        )
        #expect(try host.ensignInWork("new", "env", "eu").status == 0)
        let made = try host.ensignInWork("new", "deployment", "support/triage", "--env", "eu")
        #expect(made.status == 0 && made.errors.contains("It takes 1.0.0, which 'prod' runs"), "\(made.errors)")
        let text = try String(
            contentsOfFile: "\(host.work)/environments/eu/agents/support/triage.yaml",
            encoding: .utf8
        )
        #expect(text.contains("version: 1.0.0"))
    }
}
