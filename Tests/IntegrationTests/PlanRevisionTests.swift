import EnsignTestSupport
import Foundation
import Testing

/// A plan says for which revision it is, and what it cannot know.
@Suite struct PlanRevisionTests {
    private func client() throws -> Host {
        let host = try Host(fleet: FleetFixture())
        #expect(try host.ensignInWork("init", "--client").status == 0)
        try host.git("fetch", "-q")
        try host.git("branch", "-q", "--set-upstream-to", "origin/main", "main")
        return host
    }

    private func plan(_ host: Host, _ more: String...) throws -> CommandResult {
        try run(Host.ensign, ["plan", "--env", "prod"] + more, in: host.work)
    }

    @Test("On another branch it is what is checked out; the desired branch when it is named")
    func checkedOut() throws {
        let host = try client()
        try host.git("switch", "-q", "-c", "fewer-credits")
        try host.edit(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        try host.git("commit", "-q", "-a", "-m", "Fewer")
        let own = try plan(host).output
        #expect(own.contains("prod: plan from fewer-credits@sha1:") && own.contains("1 to update"), "\(own)")
        let main = try plan(host, "main").output
        #expect(main.contains("prod: plan from main@sha1:") && main.contains("0 to update"), "\(main)")
        try host.git("switch", "-q", "--detach")
        #expect(try plan(host).output.contains("prod: plan from HEAD@sha1:"))
        try host.git("switch", "-q", "main")
        #expect(try plan(host).output.contains("prod: plan from main@sha1:"))
        // The host knows what is desired.
        #expect(try host.ensign("plan", "--env", "prod").output.contains("prod: plan from main@sha1:"))
    }

    @Test("A branch that lacks commits of its upstream says so, in every format")
    func behind() throws {
        let host = try client()
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        try host.push(FleetFixture.deploymentPath, "maximum: 90", "maximum: 80")
        try host.git("fetch", "-q")
        try host.git("reset", "-q", "--hard", "HEAD~2")
        let text = try plan(host).output
        #expect(text.contains("Warning: main is 2 commits behind origin/main: "), "\(text)")
        #expect(try plan(host, "--output", "json").output.contains("main is 2 commits behind origin/main"))
        #expect(try plan(host, "--output", "markdown").output.contains("main is 2 commits behind origin/main"))
        #expect(try !plan(host, "origin/main").output.contains("behind"))
    }

    @Test("A revision is written as git writes it, whatever repository is asked, and means what its id means")
    func expressions() throws {
        let host = try client()
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        try host.git("tag", "v1")
        try host.git("push", "-q", "origin", "v1")
        try host.git("fetch", "-q")
        let (plain, bare) = ("\(host.scratch.path)/plain", "\(host.scratch.path)/bare.git")
        try host.git("clone", "-q", host.bare, plain)
        try host.git("clone", "-q", "--bare", host.bare, bare)
        let expressions = [
            "HEAD~1", "HEAD^", "HEAD^1", "main~1", "main^", "v1~1", "v1^", "@~1", "@^", "HEAD~1^{commit}", "v1~1^{}",
        ]
        for place in [host.bare, host.work, plain, bare] {
            let before = try #require(
                run("git", ["rev-parse", "main~1"], in: place).output.split(separator: "\n").first.map(String.init)
            )
            for command in [["plan", "--env", "prod"], ["validate", "--rev"]] {
                let expected = try run(Host.ensign, command + [before], in: place)
                #expect(expected.status != 1, "\(place): \(expected.errors)")
                for expression in expressions {
                    let result = try run(Host.ensign, command + [expression], in: place)
                    #expect(result.status == expected.status, "\(place) \(command) \(expression): \(result.errors)")
                    #expect(
                        result.output.replacingOccurrences(of: expression, with: before) == expected.output,
                        "\(place) \(command) \(expression)"
                    )
                }
                for expression in ["main@{0}", "@{-1}", "HEAD~99", "main^{tree}", "..", "~", "a b", "x~1"] {
                    let result = try run(Host.ensign, command + [expression], in: place)
                    #expect(result.status != 1, "\(place) \(command) \(expression): \(result.errors)")
                }
            }
        }
    }

    @Test("All that happens to an agent in one run is shown: the end of git's stop, and the version that comes with it")
    func further() throws {
        let host = try Host(fleet: FleetFixture())
        let deployment = FleetFixture.deploymentPath
        try host.push(deployment, "  version: 1.0.0\n", "  version: 1.0.0\n  halted: true\n")
        try host.edit(deployment, "  halted: true\n", "")
        try host.edit(deployment, "maximum: 100", "maximum: 200")
        try host.git("commit", "-q", "-a", "-m", "Go on, with more")
        try host.hostGit("fetch", "-q", host.work, "main:main")
        for format in ["text", "markdown"] {
            let plan = try host.ensign("plan", "--env", "prod", "--output", format).output
            #expect(plan.contains("resume") && plan.contains("then update"), "\(plan)")
            #expect(plan.contains("widening"), "\(plan)")
        }
        let plan = try object(host.ensign("plan", "--env", "prod", "--output", "json"))
        let change = try #require((plan["changes"] as? [[String: Any]])?.first)
        let further = try #require(change["further"] as? [[String: Any]])
        let planned = ([change] + further).map { $0["action"] as? String }
        #expect(planned == ["resume", "update"])
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        let log = try object(host.ensign("log", "--env", "prod", "--output", "json"))
        let entry = try #require((log["entries"] as? [[String: Any]])?.first)
        let done = (entry["changes"] as? [[String: Any]])?.map { $0["action"] as? String }
        #expect(done == planned, "\(entry)")
    }

    private func object(_ result: CommandResult) throws -> [String: Any] {
        let value = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
        return try #require(value as? [String: Any], "\(result.output)")
    }

    @Test("While a canary is under way nothing is shown that nobody will do, on the host and in a clone")
    func underWay() throws {
        let host = try client()
        let analysis = "analysis: {metrics: [{name: success, kind: rate, margin: 0.05}]}"
        let rollout = "{canary: {steps: [{weight: 20, hold: 1h}], \(analysis)}}"
        try host.push(FleetFixture.environmentPath, "spec:\n", "spec:\n  rollout: \(rollout)\n")
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 200")
        let aside = try host.push(FleetFixture.teamPath, "spec:", "spec: ")
        #expect(aside.errors.contains("remote: prod: no changes"), "\(aside.errors)")
        let plan = try host.ensign("plan", "--env", "prod", "--detailed-exitcode")
        #expect(plan.status == 0 && plan.output.contains("0 to update"), "\(plan.output)")
        #expect(try host.ensign("rollout", "pause", "support/triage", "--env", "prod", "--reason", "x").status == 0)
        #expect(try host.ensign("plan", "--env", "prod", "--detailed-exitcode").status == 0)
        try host.git("fetch", "-q")
        let clone = try self.plan(host, "--detailed-exitcode")
        #expect(clone.status == 0)
        #expect(clone.output.contains("what its analysis says is known on the host alone"), "\(clone.output)")
        let status = try host.ensignInWork("rollout", "status", "support/triage", "--env", "prod").output
        #expect(status.contains("verdict    not known here"), "\(status)")
    }

    @Test("What happens while the newest commit cannot be applied is shown too")
    func meanwhile() throws {
        let host = try client()
        let rollout = "{canary: {steps: [{weight: 20, hold: 1s}]}}"
        try host.push(FleetFixture.environmentPath, "spec:\n", "spec:\n  rollout: \(rollout)\n")
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 200")
        try host.edit(FleetFixture.deploymentPath, "version: 1.0.0", "version: 9.9.9")
        try host.git("commit", "-q", "-a", "-m", "Broken", "--no-verify")
        try host.git("push", "-q", "origin", "HEAD:refs/heads/aside")
        try host.hostGit("update-ref", "refs/heads/main", "refs/heads/aside")
        host.pass(seconds: 2)
        let plan = try host.ensign("plan", "--env", "prod")
        #expect(plan.status == 3)
        #expect(plan.errors.contains("It cannot be applied. Meanwhile prod goes by "), "\(plan.errors)")
        #expect(plan.output.contains("support/triage  promote"), "\(plan.output)")
        let reconcile = try host.ensign("reconcile", "--env", "prod")
        #expect(reconcile.status == 3)
        #expect(reconcile.output.contains("prod: support/triage promoted"), "\(reconcile.output)")
        try host.expectSound()
    }

    @Test("Guards that cannot fire are told: in the plan, the push, the status and its JSON")
    func blind() throws {
        let host = try client()
        let rules = "killSwitch: [{unknownTool: 1}, {steps: 50}]"
        let push = try host.push(FleetFixture.environmentPath, "spec:\n", "spec:\n  \(rules)\n")
        let notSet = "2 kill-switch rules of prod cannot fire: no telemetry is set"
        #expect(push.errors.contains(notSet), "\(push.errors)")
        #expect(try host.ensign("plan", "--env", "prod").output.contains(notSet))
        #expect(try host.ensign("status", "--env", "prod").errors.contains(notSet))
        #expect(try host.ensign("status", "--output", "json").output.contains(notSet))
        let folder = "\(host.scratch.path)/telemtry"
        try host.hostGit("config", "ensign.prod.telemetry", folder)
        let missing = "\(folder) is not a directory (ensign.prod.telemetry)"
        #expect(try host.ensign("status", "--env", "prod").errors.contains(missing))
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        #expect(try host.ensign("status", "--env", "prod").errors.contains("nothing was ever read from \(folder)"))
        try host.scratch.write("telemtry/a.jsonl", "{}\n")
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try !host.ensign("status", "--env", "prod").errors.contains("cannot fire"))
        // A developer's clone knows nothing of it.
        #expect(try !plan(host).output.contains("cannot fire"))
    }

    @Test("diff takes each way in which git names a revision, on either side; a version is <team>/<agent>@<version>")
    func sides() throws {
        let host = try Host(fleet: FleetFixture())
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        try host.git("tag", "rel@2")
        for side in ["HEAD@{0}", "@", "rel@2", "@{0}", "main@{1}", "HEAD^"] {
            for words in [["HEAD~1", side], [side, "HEAD"]] {
                let result = try run(Host.ensign, ["diff"] + words, in: host.work)
                #expect(result.status == 0, "\(words): \(result.errors)")
            }
        }
        #expect(try host.ensignInWork("diff", "HEAD~1", "@", "--detailed-exitcode").status == 2)
        let version = "support/triage@1.0.0"
        #expect(try host.ensignInWork("diff", version, version).status == 0)
        for words in [[version, "HEAD"], ["HEAD", version], [version, "support/triage@9.9.9"]] {
            #expect(try run(Host.ensign, ["diff"] + words, in: host.work).status == 64)
        }
        let slip = try host.ensignInWork("diff", "support/triage@1.x", "support/triage@1.0")
        #expect(slip.status == 64 && slip.errors.contains("<team>/<agent>@<version>"), "\(slip.errors)")
    }
}
