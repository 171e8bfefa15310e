import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("What may be in a fleet's folders")
struct SnapshotRuleTests {
    private func check(_ change: (inout FleetFixture) -> Void) -> String {
        var fixture = FleetFixture()
        change(&fixture)
        return fixture.check()
    }

    @Test("A repository without fleet/ and environments/ is told how to start")
    func empty() {
        #expect(
            FleetFixture(only: ["README.md": .text("hello")]).check() == """
                fleet:1:1: error: there is neither fleet/ nor environments/ here [no-fleet]
                  hint: 'ensign new env dev' and 'ensign new agent TEAM/NAME' make a start
                """
        )
        #expect(FleetFixture(only: [:]).check().contains("[no-fleet]"))
    }

    @Test("fleet and environments are folders")
    func rootFiles() {
        #expect(
            FleetFixture(only: ["fleet": .text("x"), "environments": .symlink]).check() == """
                environments:1:1: error: symbolic links are not followed [symlink]
                  hint: put the file itself here
                fleet:1:1: error: 'fleet' must be a folder [wrong-type]
                """
        )
    }

    @Test("What is beside fleet/ and environments/ is nobody's business")
    func beside() {
        #expect(
            check { fixture in
                fixture.entries["README.md"] = .text("x")
                fixture.entries["src/a b/Ünïcode"] = .symlink
                fixture.entries["vendor"] = .submodule
                fixture.entries["Fleet.md"] = .text("x")
            } == ""
        )
    }

    @Test("A file that no kind names is ignored with a warning; .gitkeep without one")
    func ignored() {
        let found = check { fixture in
            for path in [
                "fleet/notes.txt", "fleet/teams/README.md", "fleet/teams/support.yml", "fleet/roles/sub/x.yaml",
                "fleet/tools/x.yaml", "fleet/tools/crm/README.md", "fleet/agents/README.md",
                "fleet/agents/support/README.md", "fleet/agents/support/triage/README.md",
                "fleet/agents/support/triage/1.0.0/notes.md", "fleet/agents/support/triage/1.0.0/evals/a.json",
                "fleet/trust/README", "environments/README.md", "environments/prod/README.md",
                "environments/prod/tools/README.md", "environments/prod/agents/README.md",
                "environments/prod/agents/support/README.md",
            ] {
                fixture.entries[path] = .text("x")
            }
            for path in [
                "fleet/.gitkeep", "fleet/teams/.gitkeep", "environments/prod/.gitignore", "fleet/.gitattributes",
            ] {
                fixture.entries[path] = .text("x")
            }
        }
        let version = "fleet/agents/support/triage/1.0.0"
        #expect(
            found == """
                environments/README.md:1:1: warning: no kind of manifest belongs here: it is ignored [ignored-file]
                environments/prod/README.md:1:1: warning: no kind of manifest belongs here: it is ignored [ignored-file]
                environments/prod/agents/README.md:1:1: warning: no kind of manifest belongs here: it is ignored [ignored-file]
                  hint: deployments are at environments/<env>/agents/<team>/<agent>.yaml
                environments/prod/agents/support/README.md:1:1: warning: no kind of manifest belongs here: it is ignored [ignored-file]
                environments/prod/tools/README.md:1:1: warning: no kind of manifest belongs here: it is ignored [ignored-file]
                fleet/agents/README.md:1:1: warning: no kind of manifest belongs here: it is ignored [ignored-file]
                  hint: agents are at fleet/agents/<team>/<agent>/<version>/agent.yaml
                fleet/agents/support/README.md:1:1: warning: no kind of manifest belongs here: it is ignored [ignored-file]
                  hint: agents are at fleet/agents/<team>/<agent>/<version>/agent.yaml
                \(version)/evals:1:1: warning: no kind of manifest belongs here: it is ignored [ignored-file]
                  hint: agent.yaml does not name it
                \(version)/notes.md:1:1: warning: no kind of manifest belongs here: it is ignored [ignored-file]
                  hint: agent.yaml does not name it
                fleet/agents/support/triage/README.md:1:1: warning: no kind of manifest belongs here: it is ignored [ignored-file]
                  hint: versions are folders: fleet/agents/support/triage/next/agent.yaml
                fleet/notes.txt:1:1: warning: no kind of manifest belongs here: it is ignored [ignored-file]
                fleet/roles/sub:1:1: warning: no kind of manifest belongs here: it is ignored [ignored-file]
                fleet/teams/README.md:1:1: warning: no kind of manifest belongs here: it is ignored [ignored-file]
                fleet/teams/support.yml:1:1: warning: no kind of manifest belongs here: it is ignored [ignored-file]
                fleet/tools/crm/README.md:1:1: warning: no kind of manifest belongs here: it is ignored [ignored-file]
                fleet/tools/x.yaml:1:1: warning: no kind of manifest belongs here: it is ignored [ignored-file]
                  hint: tools are at fleet/tools/<tool>/<version>.yaml
                fleet/trust/README:1:1: warning: no kind of manifest belongs here: it is ignored [ignored-file]
                """
        )
    }

    @Test("Names of teams, agents, tools, roles and environments are names")
    func names() {
        for (path, text) in [
            ("fleet/teams/Support2.yaml", "'Support2.yaml'"), ("fleet/roles/-x.yaml", ""),
            ("fleet/roles/a_b.yaml", "'a_b.yaml'"),
            ("fleet/tools/CRM2/1.0.0.yaml", "'CRM2'"), ("fleet/agents/My-Team/a/next/agent.yaml", "'My-Team'"),
            ("fleet/agents/support/an agent/next/agent.yaml", "'an agent'"),
            ("environments/Prod2/environment.yaml", "'Prod2'"),
            ("environments/prod/agents/support/Triage2.yaml", "'Triage2.yaml'"),
            ("environments/prod/agents/x-/a.yaml", "'x-'"),
            ("environments/prod/tools/c.r.m.yaml", "'c.r.m.yaml'"),
            ("fleet/teams/\(String(repeating: "a", count: 64)).yaml", "'\(String(repeating: "a", count: 64)).yaml'"),
        ] {
            let found = check { $0.entries[path] = .text("x") }
            let place = path.split(separator: "/").map { String($0) }
            let folders = (1...place.count).map { place.prefix($0).joined(separator: "/") }
            #expect(
                folders.contains { found.contains("\($0):1:1: error: ") } && found.contains("[invalid-name]"),
                "\(path)\n\(found)"
            )
            if !text.isEmpty {
                #expect(
                    found.contains(
                        "\(text) is not a name: 1 to 63 of a-z, 0-9 and '-', not starting or ending with '-'"
                    ),
                    "\(path)"
                )
            }
        }
        #expect(check { $0["fleet/teams/\(String(repeating: "a", count: 63)).yaml"] = team("{members: []}") } == "")
    }

    @Test("Names of version folders and files are versions")
    func versionNames() {
        #expect(
            check { $0.entries["fleet/agents/support/triage/v2/agent.yaml"] = .text("x") } == """
                fleet/agents/support/triage/v2:1:1: error: 'v2' is not a version: write MAJOR.MINOR.PATCH, such as 1.4.0, or next [invalid-version]
                  hint: rename the folder
                """
        )
        #expect(
            check { $0.entries["fleet/tools/crm/1.10.yaml"] = .text("x") } == """
                fleet/tools/crm/1.10.yaml:1:1: error: '1.10' is not SemVer: write MAJOR.MINOR.PATCH, such as 1.4.0 [invalid-version]
                  hint: rename the file
                """
        )
        // Tools have no 'next'.
        #expect(check { $0.entries["fleet/tools/crm/next.yaml"] = .text("x") }.contains("[invalid-version]"))
    }

    @Test("Names that a file system or a reviewer takes for others are refused")
    func hostileNames() {
        for (name, problem) in [
            ("-rf.yaml", "the name starts with '-'"), ("..", "the name is not the name of a file"),
            (".", "the name is not the name of a file"), (".git", "the name is git's own"),
            (".GIT", "the name is git's own"),
            ("a\nb.yaml", "the name has characters other than printable ASCII"),
            ("a\u{1B}[2J.yaml", "the name has characters other than printable ASCII"),
            ("a/b.yaml", "the name has a '/' or a '\\'"), ("..\\x.yaml", "the name has a '/' or a '\\'"),
            ("\u{0430}dmin.yaml", "the name has characters other than printable ASCII"),
            ("a\u{202E}lmay.b", "the name has characters other than printable ASCII"),
            ("cafe\u{301}.yaml", "the name has characters other than printable ASCII"),
            ("", "the name is not the name of a file"),
            ("x\u{7F}.yaml", "the name has characters other than printable ASCII"),
        ] {
            for folder in [
                "fleet", "fleet/teams", "fleet/roles", "fleet/tools", "fleet/tools/crm", "fleet/agents",
                "fleet/agents/support",
                "fleet/agents/support/triage", "fleet/agents/support/triage/1.0.0", "fleet/trust", "environments",
                "environments/prod", "environments/prod/tools", "environments/prod/agents",
                "environments/prod/agents/support",
            ] {
                var fixture = FleetFixture()
                fixture.entries["fleet/trust/allowed_signers"] = .text("")
                let snapshot = fixture.snapshot
                snapshot.add(.text("x"), named: Array(name.utf8), in: folder)
                let shown = "\(folder)/\(name.asPlainName)"
                #expect(
                    fixture.check(in: snapshot) == """
                        \(shown):1:1: error: \(problem) [invalid-name]
                          hint: rename it
                        """,
                    "\(shown)"
                )
            }
        }
    }

    @Test("A name that is not UTF-8 is refused, and shown without its bytes")
    func namesInBytes() {
        let fixture = FleetFixture()
        let snapshot = fixture.snapshot
        snapshot.add(.text("x"), named: [0x61, 0xFF, 0x2E, 0x79], in: "fleet/teams")
        #expect(
            fixture.check(in: snapshot) == """
                fleet/teams/a\\u{fffd}.y:1:1: error: the name is not UTF-8 [invalid-name]
                  hint: rename it
                """
        )
    }

    @Test("Symbolic links, submodules and other modes are refused wherever they are")
    func modes() {
        for path in [
            "fleet/x", "fleet/teams/x.yaml", "fleet/tools/x", "fleet/tools/crm/2.0.0.yaml", "fleet/roles/x.yaml",
            "fleet/agents/x", "fleet/agents/support/x", "fleet/agents/support/triage/2.0.0",
            "fleet/agents/support/triage/1.0.0/x.md", "fleet/trust/allowed_signers", "environments/x",
            "environments/prod/x",
            "environments/prod/tools/x.yaml", "environments/prod/agents/x", "environments/prod/agents/support/x.yaml",
        ] {
            #expect(
                check { $0.entries[path] = .symlink } == """
                    \(path):1:1: error: symbolic links are not followed [symlink]
                      hint: put the file itself here
                    """
            )
            #expect(
                check { $0.entries[path] = .submodule } == """
                    \(path):1:1: error: submodules are not read [submodule]
                      hint: put the files themselves here
                    """
            )
            #expect(
                check { $0.entries[path] = .other } == """
                    \(path):1:1: error: the file has a mode that Ensign does not accept [file-mode]
                      hint: make it a plain file
                    """
            )
        }
    }

    @Test("Links in folders that are ignored otherwise are refused too")
    func deepLinks() {
        for path in [
            "fleet/agents/support/triage/1.0.0/evals/link", "fleet/roles/sub/deeper/link",
            "environments/prod/notes/link",
            "fleet/docs/a/b/c/link",
        ] {
            let found = check { $0.entries[path] = .symlink }
            #expect(
                found.contains("\(path):1:1: error: symbolic links are not followed [symlink]"),
                "\(path)\n\(found)"
            )
        }
    }

    @Test("A link in place of a manifest is refused, never taken for 'not declared'")
    func linkedManifests() throws {
        for path in [
            FleetFixture.deploymentPath, FleetFixture.environmentPath, FleetFixture.agentPath, FleetFixture.promptPath,
            FleetFixture.bindingPath, FleetFixture.toolPath, FleetFixture.rolePath, FleetFixture.teamPath,
        ] {
            var fixture = FleetFixture()
            fixture.entries[path] = .symlink
            #expect(
                fixture.check().contains("\(path):1:1: error: symbolic links are not followed [symlink]"),
                "\(path)"
            )
            // An incremental reconcile asks for one agent alone.
            let fleet = fixture.fleet()
            _ = try EnvironmentCompiler(fleet: fleet, environment: "prod").compile(.triage)
            #expect(fleet.hasErrors, "\(path)")
        }
    }

    @Test("Instructions that are a folder are refused")
    func instructionsFolder() throws {
        var fixture = FleetFixture()
        fixture[FleetFixture.promptPath] = nil
        fixture.entries["\(FleetFixture.promptPath)/x"] = .text("x")
        fixture.replace("prompt.md", with: "①prompt.md", in: FleetFixture.agentPath)
        #expect(
            fixture.check().contains(
                "\(FleetFixture.agentPath):①: error: 'prompt.md' must be a file [wrong-type]"
            )
        )
        #expect(try fixture.compile() == nil)
    }

    @Test("Names that differ in case only are refused, each naming the other")
    func caseCollisions() {
        let found = check { fixture in
            fixture["fleet/teams/Support.yaml"] = team("{members: []}")
            fixture["fleet/teams/SUPPORT.yaml"] = team("{members: []}")
            fixture.entries["environments/Prod/environment.yaml"] = .text("x")
        }
        for (path, other) in [
            ("fleet/teams/Support.yaml", "SUPPORT.yaml"), ("fleet/teams/support.yaml", "SUPPORT.yaml"),
            ("environments/Prod", "prod"), ("environments/prod", "Prod"),
        ] {
            let name = path.split(separator: "/").last ?? ""
            #expect(
                found.contains(
                    """
                    \(path):1:1: error: '\(name)' and '\(other)' differ in case only [case-collision]
                      hint: rename one: a file system that ignores case would hold only one of them
                    """
                ),
                "\(path)\n\(found)"
            )
        }
        #expect(
            check { $0.entries["fleet/agents/support/triage/1.0.0/Prompt.md"] = .text("x") }.contains(
                "[case-collision]"
            )
        )
    }

    @Test("A version's files may have 4 MiB together, whatever their number")
    func versionSize() {
        let folder = "fleet/agents/support/triage/1.0.0"
        func found(_ sizes: [Int]) -> [Substring] {
            check { fixture in
                for (index, size) in sizes.enumerated() { fixture.entries["\(folder)/data\(index)"] = .huge(size) }
            }.split(separator: "\n").filter { $0.contains(": error: ") }
        }
        #expect(found([3 << 20]) == [])
        #expect(found([1 << 20, 1 << 20, 1 << 20, (1 << 20) - 4_096]) == [])
        let refusal = "\(folder):1:1: error: the version's files have more than 4 MiB together [too-large]"
        #expect(found([4 << 20]).map { String($0) } == [refusal])
        #expect(found(Array(repeating: 1 << 20, count: 4)).map { String($0) } == [refusal])
    }

    @Test("A missing manifest is reported at its path")
    func missingFiles() {
        #expect(
            check { $0[FleetFixture.environmentPath] = nil }.contains(
                """
                \(FleetFixture.environmentPath):1:1: error: the environment has no environment.yaml [missing-file]
                  hint: 'ensign new env prod' writes one
                """
            )
        )
        #expect(
            check { $0[FleetFixture.agentPath] = nil }.contains(
                """
                \(FleetFixture.agentPath):1:1: error: fleet/agents/support/triage/1.0.0 has no agent.yaml [missing-file]
                  hint: ensign new agent support/triage shows one
                """
            )
        )
        #expect(
            EnsignManifestTests.check(FleetFixture.agentPath, "prompt.md", "①promt.md") == """
                fleet/agents/support/triage/1.0.0/agent.yaml:①: error: there is no file 'promt.md' beside this one [missing-file]
                  hint: did you mean 'prompt.md'?
                fleet/agents/support/triage/1.0.0/prompt.md:1:1: warning: no kind of manifest belongs here: it is ignored [ignored-file]
                  hint: agent.yaml does not name it
                """
        )
        #expect(
            check { $0[FleetFixture.promptPath] = "" }
                == "\(FleetFixture.promptPath):1:1: error: the instructions are empty [empty-file]"
        )
    }

    @Test("Who may sign is checked line by line")
    func trust() {
        #expect(check { $0["fleet/trust/allowed_signers"] = "" } == "")
        #expect(
            check { $0["fleet/trust/allowed_signers"] = "# nobody yet\nada@example.com nonsense\n" }.hasPrefix(
                "fleet/trust/allowed_signers:2:"
            )
        )
        #expect(
            check { $0["fleet/trust/allowed_signers"] = "ada@example.com ssh-ed25519\n" }.contains("[allowed-signers]")
        )
    }
}

@Suite("Folders without limits", .serialized)
struct FolderLimitTests {
    /// Checks a fleet with many entries in one folder; gives what is said about that folder, and the seconds it took.
    private func check(
        _ count: Int,
        in folder: String,
        _ path: (Int) -> String,
        _ text: String = "x"
    ) throws -> (found: [Finding], seconds: Double) {
        var fixture = FleetFixture()
        for index in 0..<count { fixture.entries["\(folder)/\(path(index))"] = .text(text) }
        let snapshot = fixture.snapshot
        var found: [Finding] = []
        let elapsed = try seconds { found = try fixture.findings(snapshot) }
        return (found, elapsed)
    }

    @Test(
        "A folder of more than 10,000 entries is refused in one finding, and in time",
        arguments: [
            "fleet", "fleet/teams", "fleet/roles", "fleet/tools", "fleet/tools/crm", "fleet/agents",
            "fleet/agents/support",
            "fleet/agents/support/triage", "fleet/agents/support/triage/1.0.0", "fleet/trust", "environments",
            "environments/prod", "environments/prod/tools", "environments/prod/agents",
            "environments/prod/agents/support",
        ]
    )
    func tooMany(folder: String) throws {
        let needsFolders =
            ["fleet/tools", "fleet/agents", "environments", "environments/prod/agents"].contains(folder)
            || folder.hasPrefix("fleet/agents/support") && folder != "fleet/agents/support/triage/1.0.0"
        let (found, elapsed) = try check(12_000, in: folder) { needsFolders ? "n\($0)/x.yaml" : "n\($0).yaml" }
        let said = found.filter { $0.path == folder && $0.code == "too-many" }
        #expect(said.count == 1)
        #expect(said.first?.message.hasSuffix("entries, more than 10000") == true)
        #expect(said.first?.hint == "split it")
        #expect(found.count < 10)
        #expect(elapsed < 10)
    }

    @Test("10,000 names that differ from others in case only: no square in time")
    func manyCapitals() throws {
        let (found, elapsed) = try check(9_000, in: "fleet/teams") { "N\($0).yaml" }
        #expect(found.count { $0.code == "invalid-name" } == 9_000)
        #expect(elapsed < 10)
    }

    @Test("10,000 environments are read in time")
    func manyEnvironments() throws {
        let (found, elapsed) = try check(
            9_900,
            in: "environments",
            { "e\($0)/environment.yaml" },
            "apiVersion: ensign.dev/v1\nkind: Environment\nspec: {}\n"
        )
        #expect(found.isEmpty)
        #expect(elapsed < 20)
    }

    @Test("10,000 agents of one team are read in time")
    func manyAgents() throws {
        var fixture = FleetFixture()
        let agent = try #require(fixture["fleet/agents/support/desk/1.0.0/agent.yaml"])
        for index in 0..<9_000 {
            fixture.entries["fleet/agents/support/a\(index)/1.0.0/agent.yaml"] = .text(agent)
            fixture.entries["fleet/agents/support/a\(index)/1.0.0/prompt.md"] = .text("x")
            fixture.entries["environments/prod/agents/support/a\(index).yaml"] = .text(
                "apiVersion: ensign.dev/v1\nkind: Deployment\nspec: {version: 1.0.0}\n"
            )
        }
        let snapshot = fixture.snapshot
        var found: [Finding] = []
        let elapsed = try seconds { found = try fixture.findings(snapshot) }
        #expect(found.isEmpty)
        #expect(elapsed < 30)
    }
}
