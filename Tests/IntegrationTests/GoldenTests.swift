import EnsignTestSupport
import Foundation
import Testing

/// What people and programs read, whole, as committed in `Golden/`. `ENSIGN_RECORD=1` records it anew.
@Suite struct GoldenTests {
    private func expect(_ result: CommandResult, _ name: String, status: Int32 = 0) throws {
        #expect(result.status == status, "\(result.errors)")
        let golden = try Golden(name).expected(recording: Array(result.output.utf8))
        let expected = golden.map { String(decoding: $0, as: UTF8.self) }
        #expect(result.output == expected, "Golden/\(name) differs; ENSIGN_RECORD=1 swift test records it")
    }

    /// Not by `--help`, which a verb that becomes another program passes on.
    private static func help(_ verb: String...) throws -> CommandResult {
        try run(Host.ensign, ["help"] + verb, in: "/")
    }

    /// Every verb that the overview lists.
    static let verbs: [String] = (try? help().output).map(verbs) ?? []

    private static func verbs(in overview: String) -> [String] {
        let end = overview.firstRange(of: "OPTIONS OF EVERY COMMAND:")?.lowerBound ?? overview.endIndex
        return overview[..<end].matches(of: #/(?m)^  ([a-z][a-z-]*)  /#).map { String($0.1) }
    }

    // MARK: Help

    @Test("The overview")
    func overview() throws { try expect(Self.help(), "help/overview.txt") }

    @Test("The help of each verb", arguments: verbs)
    func verb(_ verb: String) throws { try expect(Self.help(verb), "help/\(verb).txt") }

    @Test("Each verb has its help recorded, and nothing else has")
    func nothingElse() throws {
        let folder = (#filePath as NSString).deletingLastPathComponent + "/Golden/help"
        let files = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        #expect(Self.verbs.count > 20)
        #expect(files == (Self.verbs + ["overview"]).map { "\($0).txt" }.sorted())
    }

    @Test("Help fits a terminal of 80 columns, but for examples and usage", arguments: verbs)
    func width(_ verb: String) throws {
        let lines = try Self.help(verb).output.split(separator: "\n").prefix { $0 != "EXAMPLES:" }
        #expect(lines.filter { $0.count > 80 && !$0.hasPrefix("USAGE:") } == [])
    }

    // MARK: Findings

    /// A small fleet with one typo of each kind.
    private func brokenFleet() throws -> ScratchDirectory {
        var fleet = FleetFixture()
        fleet.replace("description: Sorts", with: "descripton: Sorts", in: FleetFixture.agentPath)
        fleet.replace("maximum: 100", with: "maximun: 100", in: FleetFixture.deploymentPath)
        fleet.replace("version: 1.0.0", with: "version: 1.10", in: "environments/prod/agents/support/desk.yaml")
        fleet.replace("ref: \"vault:crm-prod\"", with: "ref: s3cret", in: FleetFixture.bindingPath)
        fleet.replace("mutableVersions: true", with: "mutableVersions: yes", in: "environments/dev/environment.yaml")
        fleet.replace("apiVersion: ensign.dev/v1", with: "apiVersion: &a ensign.dev/v1", in: FleetFixture.rolePath)
        fleet["fleet/teams/support.yaml"] = "spec: {members: [ada@example.com], escalation: \"\u{202E}evil\"\n"
        fleet["fleet/notes.txt"] = "Nobody reads this.\n"
        let scratch = try ScratchDirectory()
        try fleet.write(to: "fleet", in: scratch)
        return scratch
    }

    @Test(
        "The findings of a broken fleet, for people, programs and forges",
        arguments: [("text", "txt"), ("json", "json"), ("sarif", "sarif.json")]
    )
    func findings(_ format: (name: String, ending: String)) throws {
        let scratch = try brokenFleet()
        let result = try run(Host.ensign, ["validate", "fleet", "--output", format.name], in: scratch.path)
        try expect(result, "findings.\(format.ending)", status: 3)
    }

    // MARK: Plans

    /// A repository whose work tree creates, updates, widens, narrows and deletes.
    private func changedFleet() throws -> ScratchDirectory {
        let scratch = try ScratchDirectory()
        // A date that never passes: an expired grant is a warning.
        var fleet = FleetFixture()
        fleet.replace("2027-06-30", with: "2999-12-31", in: FleetFixture.deploymentPath)
        let metrics = "[{name: success, kind: rate, good: true, margin: 0.05, guard: true}]"
        fleet.replace(
            "keepFor: 7d",
            with: """
                keepFor: 7d
                  rollout:
                    canary:
                      steps: [{weight: 25, hold: 1h}, {weight: 50, hold: 1h}]
                      analysis: {metrics: \(metrics), deadline: 24h}
                """,
            in: FleetFixture.environmentPath
        )
        let greeter = "environments/prod/agents/support/greeter.yaml"
        for version in ["1.0.0", "2.0.0"] {
            let folder = "fleet/agents/support/greeter/\(version)"
            fleet["\(folder)/agent.yaml"] = """
                apiVersion: ensign.dev/v1
                kind: Agent
                spec:
                  description: Says hello.
                  model: {provider: anthropic, name: claude-haiku-4-5}
                  instructions: prompt.md

                """
            fleet["\(folder)/prompt.md"] = "Say hello.\n" + (version == "2.0.0" ? "Smile.\n" : "")
        }
        fleet[greeter] = "apiVersion: ensign.dev/v1\nkind: Deployment\nspec: {version: 1.0.0}\n"
        fleet["environments/prod/agents/support/usher.yaml"] = nil
        try fleet.write(to: "", in: scratch)
        let dates = ["GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z"]
        for arguments in [["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "The fleet"]] {
            let result = try run("git", arguments, in: scratch.path, environment: dates)
            try #require(result.status == 0, "\(result.errors)")
        }
        fleet.replace("maximum: 100", with: "maximum: 500", in: FleetFixture.deploymentPath)
        fleet.replace("approval: manager", with: "approval: dual", in: FleetFixture.deploymentPath)
        fleet.replace("version: 1.0.0", with: "version: 2.0.0", in: greeter)
        fleet["environments/dev/agents/support/greeter.yaml"] = fleet[greeter]
        try fleet.write(to: "", in: scratch)
        try FileManager.default.removeItem(atPath: "\(scratch.path)/environments/prod/agents/support/desk.yaml")
        let deployment = "\(scratch.path)/\(FleetFixture.agentPath)"
        let text = try String(contentsOfFile: deployment, encoding: .utf8)
        try text.replacingOccurrences(of: "    agents: [support/desk]\n", with: "")
            .write(toFile: deployment, atomically: true, encoding: .utf8)
        return scratch
    }

    @Test(
        "A plan that updates, widens, narrows and deletes",
        arguments: [("text", "txt"), ("markdown", "md"), ("json", "json")]
    )
    func plan(_ format: (name: String, ending: String)) throws {
        let scratch = try changedFleet()
        let arguments = ["plan", "--env", "prod", "--worktree", "--output", format.name]
        try expect(try run(Host.ensign, arguments, in: scratch.path), "plan.\(format.ending)")
    }

    @Test("A plan for an environment that nothing runs in yet")
    func firstPlan() throws {
        let scratch = try changedFleet()
        let arguments = ["plan", "--env", "dev", "--worktree"]
        try expect(try run(Host.ensign, arguments, in: scratch.path), "plan-first.txt")
    }

    // MARK: Completion

    @Test("The script for bash is good bash, that for zsh good zsh if there is one", arguments: ["bash", "zsh"])
    func syntax(_ shell: String) throws {
        guard try run("sh", ["-c", "command -v \(shell)"], in: "/").status == 0 else { return }
        let script = try run(Host.ensign, ["completion", shell], in: "/").output
        let check = try run(shell, ["-n"], in: "/", input: script)
        #expect(check.status == 0)
        #expect(check.errors.isEmpty, "\(check.errors)")
    }

    @Test("Bash completes verbs, options, choices and names, in a folder, a bare repository, and one that --repo names")
    func completes() throws {
        let host = try Host(fleet: FleetFixture())
        try FleetFixture().write(to: "plain", in: host.scratch)
        try host.scratch.write("completion", try run(Host.ensign, ["completion", "bash"], in: "/").output)
        func complete(_ line: String, in place: String) throws -> String {
            let script = """
                source \(host.scratch.path)/completion
                COMP_LINE='\(line)'; COMP_POINT=${#COMP_LINE}
                _ensign
                echo "${COMPREPLY[@]}"
                """
            let path = (Host.ensign as NSString).deletingLastPathComponent + ":/usr/bin:/bin"
            let result = try run("bash", ["-c", script], in: place, environment: ["PATH": path])
            #expect(result.errors.isEmpty, "\(line): \(result.errors)")
            return String(result.output.dropLast())
        }
        for place in ["plain", "fleet.git", "work/fleet/teams"].map({ "\(host.scratch.path)/\($0)" }) {
            for (line, expected) in [
                ("ensign reco", "reconcile"), ("ensign plan --wor", "--worktree"), ("ensign notif", "notify"),
                ("ensign plan --output mark", "markdown"), ("ensign log --env pr", "prod"),
                ("ensign log --env=pr", "prod"), ("ensign halt support/tri", "support/triage"),
                ("ensign log --env prod support/tri", "support/triage"), ("ensign --repo . reco", "reconcile"),
                ("ensign who-can c", "crm"), ("ensign who-can crm.up", "crm.update"),
                ("ensign check support/triage crm.e", "crm.erase"), ("ensign completion z", "zsh"),
                ("ensign promote support/triage --to prod --version 1", "1.0.0"),
                ("ensign diff support/triage@", "1.0.0"), ("ensign diff dev pr", "prod"),
                ("ensign get agents --team sup", "support"),
            ] {
                #expect(try complete(line, in: place) == expected, "\(line) in \(place)")
            }
        }
        let named = "ensign --repo \(host.bare) rollback --env prod --to 1.0.0 support/tri"
        #expect(try complete(named, in: "/") == "support/triage")
        #expect(try complete("ensign plan mai", in: host.bare) == "main")
        #expect(try complete("ensign log --env ", in: "/").isEmpty)
    }
}
