import EnsignTestSupport
import Foundation
import Testing

/// What the questions answer.
@Suite struct AnswerTests {
    @Test("The examples in help answer their own question")
    func example() throws {
        let host = try Host(pushes: false)
        let help = try run(Host.ensign, ["check", "--help"], in: "/").output
        let example = try #require(help.split(separator: "\n").first { $0.contains("ensign check support") })
        let command = example.replacing("ensign check", with: "'\(Host.ensign)' check")
        let result = try run("sh", ["-c", String(command)], in: host.work)
        #expect(result.status == 4)
        #expect(result.output.contains("amount: must be at most 100, got 140"), "\(result.output)\(result.errors)")
    }

    @Test("Where a manifest that decides is invalid there is no answer; without a need it points to the needs")
    func check() throws {
        let host = try Host(fleet: FleetFixture(), pushes: false)
        let need = try host.ensignInWork("check", "support/triage", "mail.send", "--env", "prod")
        #expect(need.status == 4)
        #expect(need.output.contains("\(FleetFixture.agentPath):11:5\n"), "\(need.output)")
        try host.edit(FleetFixture.bindingPath, "ref: \"vault:crm-prod\"", "reff: \"vault:crm-prod\"")
        try host.git("commit", "-q", "--no-verify", "-a", "-m", "A slip")
        let invalid = try host.ensignInWork("check", "support/triage", "crm.update", "--env", "prod")
        #expect(invalid.status == 3, "\(invalid.output)")
        #expect(invalid.errors.contains("\(FleetFixture.bindingPath):"))
        let who = try host.ensignInWork("who-can", "crm", "--env", "prod")
        #expect(who.status == 3)
        #expect(who.errors.contains("their manifests are invalid"))
    }

    @Test("Agents that a revision halts are told apart, as those that are halted now")
    func halted() throws {
        let host = try Host(fleet: FleetFixture())
        try host.push(FleetFixture.deploymentPath, "version: 1.0.0", "version: 1.0.0\n  halted: true")
        for place in [[], ["--rev", "main"]] {
            let words = ["who-can", "crm.update", "--env", "prod"] + place
            let text = try host.ensign(arguments: words)
            #expect(text.status == 0 && !text.output.contains("support/triage"), "\(place): \(text.output)")
            let sentence = "support/triage 1.0.0 is halted; resumed it may call crm.update"
            #expect(text.errors.contains(sentence), "\(place): \(text.errors)")
            let json = try host.ensign(arguments: words + ["-o", "json"]).output
            #expect(json.contains(#/"halted": \[\n +{/#), "\(place): \(json)")
        }
    }

    @Test("drift in a developer's clone says that there is nothing to compare")
    func drift() throws {
        let host = try Host(fleet: FleetFixture())
        for _ in 1...2 {
            let result = try host.ensignInWork("drift", "--env", "prod")
            #expect(result.status == 4, "\(result.errors)")
            #expect(result.errors.contains("this clone has no live directory"))
            #expect(!result.errors.contains("reconcile"))
            try host.ensignInWork("init", "--client")
            try host.git("fetch", "-q")
        }
    }

    @Test("diff says which side is invalid, and knows its environments")
    func diff() throws {
        let host = try Host(fleet: FleetFixture(), pushes: false)
        try host.edit(FleetFixture.bindingPath, "ref:", "reff:")
        try host.git("commit", "-q", "--no-verify", "-a", "-m", "A slip")
        #expect(
            try host.ensignInWork("diff", "dev", "prod").errors.contains(
                "'prod' cannot be compared: it is not valid at "
            )
        )
        let revisions = try host.ensignInWork("diff", "HEAD~1", "HEAD")
        #expect(revisions.status == 3)
        #expect(revisions.errors.contains("'HEAD' cannot be compared: it is not valid in 'prod'"))
        #expect(try host.ensignInWork("diff", "HEAD~1", "HEAD", "--env", "nope").status == 64)
    }

    @Test("A file that somebody added is removed, and said to be")
    func addedFile() throws {
        let host = try Host(fleet: FleetFixture())
        try host.scratch.write("fleet.git/ensign/live/prod/agents/support/extra.json", "{}")
        let result = try host.ensign("reconcile", "--env", "prod", "--observe", "all")
        #expect(result.output.contains("prod: repaired agents/support/extra.json (added, now removed)"))
        #expect(try host.ensign("log", "--env", "prod").output.contains("(added, now removed)"))
    }

    @Test("A push says each warning once")
    func warnings() throws {
        let host = try Host(fleet: FleetFixture())
        let push = try host.push(FleetFixture.deploymentPath, "2027-06-30", "2020-06-30")
        #expect(push.errors.components(separatedBy: "[expired-grant]").count == 2, "\(push.errors)")
    }

    @Test("What is too long for a column ends with a word and an ellipsis")
    func cut() throws {
        let host = try Host(pushes: false)
        let table = try host.ensignInWork("get", "agents").output
        let long = table.split(separator: "\n").filter { $0.hasSuffix("...") }
        #expect(!long.isEmpty, "\(table)")
    }
}
