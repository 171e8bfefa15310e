import EnsignTestSupport
import Foundation
import Testing

/// `ensign halt` and `ensign resume`: safety first, the record when it can be.
@Suite struct HaltTests {
    static let triage = "agents/support/triage.json"
    static let halted = #"{"agent":"support/triage","environment":"prod","phase":"halted","routes":[]}"# + "\n"

    func host() throws -> Host {
        try Host(fleet: FleetFixture())
    }

    func isHalted(_ host: Host, _ path: String = triage) -> Bool {
        (try? host.liveJSON(path)["phase"] as? String) == "halted"
    }

    @discardableResult
    func halt(_ host: Host, _ what: String..., environment: [String: String] = [:]) throws -> CommandResult {
        let arguments = ["halt"] + what + ["--env", "prod", "--reason", "it lies"]
        return try run(Host.ensign, arguments, in: host.bare, environment: environment)
    }

    func pending(_ host: Host) throws -> Bool {
        try Data(contentsOf: URL(fileURLWithPath: "\(host.bare)/ensign/halts/prod")).enumerated().contains {
            $0.offset >= 1_024 && $0.offset % 1_024 == 0 && $0.element == UInt8(ascii: "P")
        }
    }

    func evidence(_ host: Host) throws -> [String: Any] {
        let changes = try #require(try host.entry()["changes"] as? [[String: Any]])
        return try #require(changes.first?["evidence"] as? [String: Any])
    }

    /// What a route says, whoever proves it.
    func said(_ path: String) throws -> String {
        String(decoding: Host.bare(try Data(contentsOf: URL(fileURLWithPath: path))), as: UTF8.self)
    }

    @Test("Everything is resumed though a halted agent is gone where nothing is removed: its halt stays, and is said")
    func goneMeanwhile() throws {
        let host = try host()
        #expect(try halt(host, "--all").status == 0)
        try host.git("rm", "-q", FleetFixture.deploymentPath)
        try host.git("commit", "-q", "-m", "Retire it")
        #expect(try host.tryGit("push", "-q", "origin", "main").status == 0)
        #expect(try host.push(FleetFixture.environmentPath, "keepFor: 7d", "keepFor: 7d\n  prune: false").status == 0)
        let resumed = try host.ensign("resume", "--all", "--env", "prod", "--reason", "x")
        #expect(resumed.status == 0, "\(resumed.errors)")
        #expect(resumed.errors.contains("support/triage, which is gone, stays halted"), "\(resumed.errors)")
        #expect(!isHalted(host, "agents/support/desk.json"))
        try host.expectSound()
    }

    @Test("Where no reconcile would write, no halt does: it says that nobody is stopped, and is carried out later")
    func elsewhere() throws {
        let host = try host()
        let other = "\(host.scratch.path)/other"
        try FileManager.default.copyItem(atPath: host.live(), toPath: other)
        let header = "\(other)/fleet.json"
        let mine = try String(contentsOfFile: header, encoding: .utf8)
        try mine.replacingOccurrences(of: #""environment":"prod""#, with: #""environment":"staging""#)
            .write(toFile: header, atomically: true, encoding: .utf8)
        let documents = "\(host.scratch.path)/documents"
        try host.scratch.write("documents/README", "mine")
        for folder in [other, documents] {
            let before = try FileManager.default.subpathsOfDirectory(atPath: folder).sorted()
            let route = try? Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(Self.triage)"))
            try host.hostGit("config", "ensign.prod.target", "directory:\(folder)")
            let result = try halt(host, "support/triage")
            #expect(result.status == 1 && result.errors.contains("no agent is stopped"), "\(result.errors)")
            #expect(try FileManager.default.subpathsOfDirectory(atPath: folder).sorted() == before)
            #expect((try? Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(Self.triage)"))) == route)
        }
        #expect(!isHalted(host))
        try host.hostGit("config", "--unset", "ensign.prod.target")
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(isHalted(host))
        // A live directory without its header still holds the routes that agents read.
        #expect(try run(Host.ensign, ["resume", "--all", "--env", "prod", "--reason", "x"], in: host.bare).status >= 0)
        let moved = "\(host.scratch.path)/moved"
        try FileManager.default.copyItem(atPath: host.live(), toPath: moved)
        try FileManager.default.removeItem(atPath: "\(moved)/fleet.json")
        try host.hostGit("config", "ensign.prod.target", "directory:\(moved)")
        try halt(host, "support/desk")
        #expect(try said("\(moved)/agents/support/desk.json").contains("halted"))
    }

    @Test(
        "A route that was put back, by hand or with an older live directory, is halted again when the command returns",
        arguments: [["support/triage"], ["--team", "support"], ["--all"]]
    )
    func putBack(_ scope: [String]) throws {
        let host = try host()
        let before = try Data(contentsOf: URL(fileURLWithPath: "\(host.live())/\(Self.triage)"))
        let command = ["halt"] + scope + ["--env", "prod", "--reason", "it lies"]
        let first = try host.ensign(arguments: command)
        let ending = "until 'ensign resume \(scope.joined(separator: " "))'"
        #expect(first.status == 0 && first.errors.contains(ending) == (scope[0].hasPrefix("--")), "\(first.errors)")
        let count = try host.entries().count
        try before.write(to: URL(fileURLWithPath: "\(host.live())/\(Self.triage)"))
        let again = try host.ensign(arguments: command)
        #expect(
            again.status == 0 && again.output.contains("halted support/triage in"),
            "\(again.output)\(again.errors)"
        )
        #expect(isHalted(host))
        #expect(try host.entries().count == count)
        #expect(try host.ensign("drift", "--env", "prod", "--detailed-exitcode").status == 0)
    }

    @Test(
        "A resume that waits for its turn does not end a stop that came since, whatever the first one was",
        arguments: [["support/triage"], ["--all"]],
        [true, false]
    )
    func haltedWhileResuming(_ scope: [String], _ isRecorded: Bool) throws {
        let host = try host()
        let lock = "\(host.bare)/ensign/locks/prod"
        let key = "\(host.bare)/ensign/keys/prod"
        if !isRecorded { try FileManager.default.moveItem(atPath: key, toPath: key + ".away") }
        #expect(try host.ensign(arguments: ["halt"] + scope + ["--env", "prod", "--reason", "first"]).status == 0)
        if !isRecorded { try FileManager.default.moveItem(atPath: key + ".away", toPath: key) }
        let script = """
            exec 9>>"$1"; flock 9
            "$2" resume $3 --env prod --reason go 9>&- & resume=$!
            sleep 1
            "$2" halt support/triage --env prod --reason second 9>&- & halt=$!
            sleep 1
            exec 9>&-
            wait $halt; echo "halt $?"; wait $resume; echo "resume $?"
            """
        let arguments = ["-c", script, "sh", lock, Host.ensign, scope.joined(separator: " ")]
        let result = try run("sh", arguments, in: host.bare)
        #expect(result.output.contains("halt 0"), "\(result.output)\(result.errors)")
        #expect(isHalted(host), "\(result.output)\(result.errors)")
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(isHalted(host), "\(result.output)\(result.errors)")
        try host.expectSound()
        #expect(try host.ensign("resume", "support/triage", "--env", "prod", "--reason", "x").status == 0)
        #expect(!isHalted(host))
    }

    @Test("A halt that could not be recorded is no failure of the environment once it is")
    func recordedLater() throws {
        let host = try host()
        let key = "\(host.bare)/ensign/keys/prod"
        try FileManager.default.moveItem(atPath: key, toPath: key + ".away")
        #expect(try halt(host, "support/triage").errors.contains("not recorded yet"))
        try FileManager.default.moveItem(atPath: key + ".away", toPath: key)
        #expect(try halt(host, "support/desk").status == 0)
        #expect(try host.ensign("status", "--env", "prod", "--output", "json").output.contains(#""result": "ok""#))
    }

    // MARK: The usual way

    @Test("A halted agent has no route, is on record, and comes back with its stable version")
    func there() throws {
        let host = try host()
        let digest = try host.digest("support/triage")
        let result = try halt(host, "support/triage")
        #expect(result.status == 0 && result.output.hasPrefix("prod: halted support/triage in "))
        #expect(result.errors == "prod: recorded as entry 3\n")
        #expect(String(decoding: Host.bare(try host.liveFile(Self.triage)), as: UTF8.self) == Self.halted)
        #expect(try host.kinds().last == "halt")
        #expect(try evidence(host)["reason"] as? String == "it lies")
        #expect(try evidence(host)["recordedLate"] == nil)
        #expect(!(try pending(host)))
        try host.expectSound()
        let again = try halt(host, "support/triage")
        #expect(again.status == 0 && again.errors == "prod: support/triage was halted already\n")
        #expect(again.output.isEmpty)
        #expect(try host.ensign("reconcile", "--env", "prod").errors.contains("nothing to do"))
        #expect(try host.ensign("status", "--env", "prod").errors.contains("halted: support/triage since "))
        let resume = try host.ensign("resume", "support/triage", "--env", "prod", "--reason", "it learned")
        #expect(resume.status == 0 && resume.output == "prod: support/triage resumed 1.0.0 (it learned)\n")
        #expect(try host.digest("support/triage") == digest)
        #expect(try host.kinds().suffix(3) == ["halt", "resume", "outcome"])
        try host.expectSound()
    }

    @Test(
        "It is recorded also where nobody can read what is said of it",
        arguments: zip([">/dev/full", "| (exec <&-; true)"], [1, 0])
    )
    func nobodyReads(_ output: String, _ status: Int32) throws {
        let host = try host()
        let command = "'\(Host.ensign)' halt support/triage --env prod --reason r --repo '\(host.bare)' \(output)"
        let result = try run("bash", ["-o", "pipefail", "-c", command], in: host.scratch.path)
        #expect(result.status == status, "\(result.errors)")
        #expect(isHalted(host))
        #expect(try host.entry()["kind"] as? String == "halt")
        #expect(try !pending(host))
    }

    @Test("What waits for a halt to end is shown by each plan, and again to who ends it")
    func waiting() throws {
        var fleet = FleetFixture()
        let canary = "  rollout: {canary: {steps: [{weight: 20, hold: 1h}]}}\n"
        fleet.replace("  keepFor: 7d\n", with: "  keepFor: 7d\n" + canary, in: FleetFixture.environmentPath)
        let host = try Host(fleet: fleet)
        #expect(try halt(host, "support/triage").status == 0)
        let push = try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 400")
        #expect(
            push.errors.contains("= support/triage  1.0.0  [widening]  held, the agent is halted"),
            "\(push.errors)"
        )
        #expect(
            push.errors.contains("+ may call crm.update with arguments that were not allowed before"),
            "\(push.errors)"
        )
        let plan = try host.ensign("plan", "--env", "prod")
        #expect(plan.output.contains("authority gained:"), "\(plan.output)")
        #expect(plan.output.contains("(1 of them held)"), "\(plan.output)")
        let markdown = try host.ensign("plan", "--env", "prod", "--output", "markdown").output
        #expect(
            markdown.contains("held, the agent is halted") && markdown.contains("**Authority gained**"),
            "\(markdown)"
        )
        let json = try host.ensign("plan", "--env", "prod", "--output", "json").output
        let value = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
        let held = try #require((value["held"] as? [[String: Any]])?.first)
        #expect(held["reason"] as? String == "halted" && held["class"] as? String == "widening")
        let resume = try host.ensign("resume", "support/triage", "--env", "prod", "--reason", "over")
        #expect(resume.status == 0)
        #expect(resume.errors.contains("support/triage gains: may call crm.update"), "\(resume.errors)")
        #expect(try !host.ensign("plan", "--env", "prod").output.contains("held"))
    }

    @Test("What cannot be asked is refused")
    func refused() throws {
        let host = try host()
        #expect(try halt(host, "support/nobody").status == 64)
        #expect(try halt(host, "--team", "nobody").status == 4)
        #expect(try halt(host).status == 64)
        #expect(try halt(host, "support/triage", "--all").status == 64)
        #expect(try host.ensign("halt", "support/triage", "--env", "prod").status == 64)
        let resume = try host.ensign("resume", "support/triage", "--env", "prod", "--reason", "x")
        #expect(resume.status == 4 && resume.errors.contains("is not halted in 'prod'"))
        #expect(try host.kinds() == ["genesis", "intent", "outcome"])
    }

    @Test("A halt of a team or of everything covers what comes, until a resume of the same scope")
    func many() throws {
        let host = try host()
        #expect(try halt(host, "--team", "support").status == 0)
        #expect(isHalted(host) && isHalted(host, "agents/support/desk.json"))
        let all = try host.ensign("halt", "--all", "--env", "prod", "--reason", "x", "--output", "json")
        #expect(all.status == 0 && all.output.contains(#""already": ["#))
        let text = "apiVersion: ensign.dev/v1\nkind: Deployment\nspec: {version: 1.0.0}\n"
        try host.scratch.write("work/environments/prod/agents/support/later.yaml", text)
        let folder = "work/fleet/agents/support/later/1.0.0"
        try FileManager.default.createDirectory(
            atPath: "\(host.scratch.path)/\(folder)",
            withIntermediateDirectories: true
        )
        for name in ["agent.yaml", "prompt.md"] {
            let source = "\(host.work)/fleet/agents/support/desk/1.0.0/\(name)"
            try FileManager.default.copyItem(atPath: source, toPath: "\(host.scratch.path)/\(folder)/\(name)")
        }
        try host.git("add", "-A")
        try host.git("commit", "-q", "-m", "Another agent")
        try host.git("push", "-q", "origin", "main")
        #expect(isHalted(host, "agents/support/later.json") && isHalted(host))
        let status = try host.ensign("status", "--env", "prod").errors
        #expect(
            status.contains("halted: everything since") && status.contains("halted: team support since"),
            "\(status)"
        )
        #expect(try host.ensign("resume", "--all", "--env", "prod", "--reason", "x").status == 0)
        for agent in ["triage", "desk", "later"] { #expect(!isHalted(host, "agents/support/\(agent).json")) }
        // The team is halted itself, and nobody has said otherwise.
        #expect(try host.ensign("status", "--env", "prod").errors.contains("halted: team support since"))
        try host.git("mv", "environments/prod/agents/support/later.yaml", "later.yaml")
        try host.git("commit", "-q", "-m", "Not later")
        try host.git("push", "-q", "origin", "main")
        try host.git("mv", "later.yaml", "environments/prod/agents/support/later.yaml")
        try host.git("commit", "-q", "-m", "Later again")
        try host.git("push", "-q", "origin", "main")
        #expect(isHalted(host, "agents/support/later.json") && !isHalted(host))
        #expect(try host.ensign("resume", "--team", "support", "--env", "prod", "--reason", "x").status == 0)
        #expect(!isHalted(host, "agents/support/later.json"))
        #expect(try !host.ensign("status", "--env", "prod").errors.contains("halted:"))
        #expect(try host.ensign("resume", "--team", "support", "--env", "prod", "--reason", "x").status == 4)
        try host.expectSound()
    }

    @Test("Git's flag and the operator's are two: an agent runs when neither is set")
    func gitFlag() throws {
        let host = try host()
        let asked = "  # halted: true until Monday\n  version: 1.0.0\n  \"halted\":\n    true\n"
        try host.push(FleetFixture.deploymentPath, "  version: 1.0.0\n", asked)
        #expect(isHalted(host))
        let refused = try host.ensign("resume", "support/triage", "--env", "prod", "--reason", "x")
        #expect(refused.status == 4)
        #expect(refused.errors.contains("environments/prod/agents/support/triage.yaml:6:3: halted: true"))
        #expect(try halt(host, "support/triage").status == 0)
        try host.push(FleetFixture.deploymentPath, "  \"halted\":\n    true\n", "")
        #expect(isHalted(host))
        #expect(try host.ensign("resume", "support/triage", "--env", "prod", "--reason", "x").status == 0)
        #expect(!isHalted(host))
        try host.expectSound()
    }

    @Test("It survives new commits, reverts, rollbacks and deletion, until somebody resumes")
    func survives() throws {
        let host = try host()
        try halt(host, "support/triage")
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        #expect(isHalted(host))
        try host.git("revert", "--no-edit", "HEAD")
        try host.git("push", "-q", "origin", "main")
        #expect(isHalted(host))
        try host.git("rm", "-q", FleetFixture.deploymentPath)
        try host.git("commit", "-q", "-m", "Gone")
        try host.git("push", "-q", "origin", "main")
        #expect(!FileManager.default.fileExists(atPath: "\(host.live())/\(Self.triage)"))
        try host.git("revert", "--no-edit", "HEAD")
        try host.git("push", "-q", "origin", "main")
        #expect(isHalted(host))
        try FileManager.default.removeItem(atPath: "\(host.bare)/ensign/cache")
        try FileManager.default.removeItem(atPath: "\(host.bare)/ensign/halts")
        try FileManager.default.removeItem(atPath: host.live())
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(isHalted(host))
        try host.expectSound()
    }
}
