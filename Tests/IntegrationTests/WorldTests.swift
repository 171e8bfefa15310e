import EnsignTestSupport
import Foundation
import Testing

/// What the program needs from its world: where that is missing it fails with words, and never says "done".
@Suite struct WorldTests {
    private func small() throws -> (host: Host, world: World) {
        let host = try Host(fleet: FleetFixture())
        return (host, try World())
    }

    // MARK: Words

    @Test(
        "No command at all is wrong use: 64, and the overview on standard error",
        arguments: [[], ["-q"], ["--repo", "."]]
    )
    func noCommand(words: [String]) throws {
        let scratch = try ScratchDirectory()
        let result = try run(Host.ensign, words, in: scratch.path)
        #expect(result.status == 64 && result.output.isEmpty)
        #expect(result.errors.hasPrefix("OVERVIEW: GitOps for fleets of AI agents"))
        for help in [["--help"], ["help"], ["-h"]] {
            let result = try run(Host.ensign, help, in: scratch.path)
            #expect(result.status == 0 && result.output.hasPrefix("OVERVIEW: ") && result.errors.isEmpty)
        }
    }

    @Test("A program that is started without even its own name has no command")
    func emptyArgv() throws {
        let scratch = try ScratchDirectory()
        let script = """
            import ctypes, sys
            libc = ctypes.CDLL(None, use_errno=True)
            libc.execv(sys.argv[1].encode(), (ctypes.c_char_p * 1)(None))
            """
        let result = try run("python3", ["-c", script, Host.ensign], in: scratch.path)
        #expect(result.status == 64 && result.output.isEmpty, "\(result)")
    }

    @Test("Words, quotes and bytes reach the program as they were given, also without /proc")
    func words() throws {
        let (host, world) = try small()
        for environment in [[:], world.noProc] {
            let result = try host.ensign("no such\ncommand \u{E9}", "", environment: environment)
            #expect(result.status == 64 && result.errors.contains("there is no command 'no such"), "\(result.errors)")
            #expect(try host.ensign("version", environment: environment).output.hasPrefix("ensign "))
        }
    }

    // MARK: Without /proc, without file handles

    @Test("Without /proc hooks refuse what is invalid, and a push is live before it returns")
    func pushWithoutProc() throws {
        let (host, world) = try small()
        let before = try host.liveFiles()
        func push() throws -> CommandResult {
            try run("git", ["push", "-q", "origin", "main"], in: host.work, environment: world.noProc)
        }
        try host.edit(FleetFixture.deploymentPath, "maximum: 100", "maximun: 100")
        try host.git("commit", "-q", "-a", "--no-verify", "-m", "Invalid")
        let refused = try push()
        #expect(refused.status != 0 && refused.errors.contains("did you mean 'maximum'?"), "\(refused.errors)")
        #expect(try host.liveFiles() == before)
        try host.edit(FleetFixture.deploymentPath, "maximun: 100", "maximum: 90")
        try host.git("commit", "-q", "-a", "--amend", "-m", "Valid")
        let accepted = try push()
        #expect(accepted.status == 0 && accepted.errors.contains("recorded as entry 4"), "\(accepted.errors)")
        #expect(try host.liveFiles() != before)
        try host.expectSound()
    }

    @Test("Without /proc a halt halts, and init writes hooks that name the program")
    func haltWithoutProc() throws {
        let (host, world) = try small()
        let halt = try host.ensign(
            "halt",
            "support/triage",
            "--env",
            "prod",
            "--reason",
            "x",
            environment: world.noProc
        )
        #expect(halt.status == 0, "\(halt.errors)")
        #expect(try host.liveJSON("agents/support/triage.json")["phase"] as? String == "halted")
        let hook = "\(host.bare)/hooks/pre-receive"
        let written = try String(contentsOfFile: hook, encoding: .utf8)
        try FileManager.default.removeItem(atPath: hook)
        #expect(try host.ensign("init", environment: world.noProc).status == 0)
        #expect(try String(contentsOfFile: hook, encoding: .utf8) == written)
    }

    @Test(
        "With no file handle left every command fails with words",
        arguments: [
            ["hook", "pre-receive"], ["hook", "post-receive"],
            ["halt", "support/triage", "--env", "prod", "--reason", "x"],
            ["reconcile", "--env", "prod"], ["status"], ["verify"], ["plan", "--env", "prod"],
        ]
    )
    func noFiles(words: [String]) throws {
        let (host, world) = try small()
        let head = try host.hostGit("rev-parse", "main")
        let result = try run(
            Host.ensign,
            words,
            in: host.bare,
            environment: world.noFiles,
            input: "\(head) \(head) refs/heads/main\n"
        )
        #expect(result.status != 0 && result.status < 128 && !result.errors.isEmpty, "\(result)")
    }

    @Test("A hook that is not told what is pushed refuses", arguments: ["pre-receive", "post-receive"])
    func hookWithoutInput(name: String) throws {
        let host = try Host(fleet: FleetFixture(), pushes: false)
        let zero = String(repeating: "0", count: 40)
        for input in ["", "\n", "nonsense\n", "\(zero) \(zero)\n", "\(zero) x refs/heads/main\n"] {
            let result = try run(Host.ensign, ["hook", name], in: host.bare, input: input)
            #expect(result.status == 1 && !result.errors.isEmpty, "\(input): \(result)")
        }
        // Standard input that is closed.
        let closed = try run("sh", ["-c", "exec '\(Host.ensign)' hook \(name) <&-"], in: host.bare)
        #expect(closed.status == 1 && !closed.errors.isEmpty, "\(closed)")
    }

    @Test("Without inotify a watch says so and looks by the clock: what is pushed is live soon")
    func noInotify() throws {
        let (host, world) = try small()
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/post-receive")
        let before = try host.digest("support/triage")
        let settings = world.noInotify.map { "\($0.key)=\($0.value)" }
        let watch = try Background(
            "env",
            settings + [Host.ensign, "watch"],
            in: host.bare,
            log: "\(host.scratch.path)/watch.log"
        )
        eventually(within: .seconds(20), "it says that it is blind: \(watch.output)") {
            watch.output.contains("cannot watch for changes")
        }
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        eventually(within: .seconds(20), "the push is live: \(watch.output)") {
            (try? host.digest("support/triage")) != before
        }
        #expect(try watch.stop() == 0)
    }

    @Test("A watch takes as many files as the system allows, not as many as people's programs have")
    func fewFiles() throws {
        let (host, _) = try small()
        let watch = try Background(
            "sh",
            ["-c", "ulimit -Sn 20; exec '\(Host.ensign)' watch"],
            in: host.bare,
            log: "\(host.scratch.path)/watch.log"
        )
        eventually(within: .seconds(20), "it watches: \(watch.output)") { watch.output.contains(" watching ") }
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        #expect(try watch.stop() == 0)
        #expect(!watch.output.contains("Too many open files"), "\(watch.output)")
    }

    // MARK: The clock

    @Test(
        "Any clock lets every command come to its end",
        arguments: [-62_135_596_800, -1, 0, 9_223_372_036, 9_300_000_000, 100_000_000_000, 253_402_300_799, .max]
            as [Int64]
    )
    func clocks(seconds: Int64) throws {
        let (host, world) = try small()
        let clock = world.clock(seconds)
        try host.push(
            "environments/prod/environment.yaml",
            "spec:",
            "spec:\n  rollout: {canary: {steps: [{weight: 20, hold: 1h}]}}"
        )
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        let commands: [[String]] = [
            ["status"], ["plan", "--env", "prod"], ["rollout", "status", "--env", "prod"],
            ["rollout", "pause", "support/triage", "--env", "prod", "--reason", "x"],
            ["reconcile", "--env", "prod"], ["halt", "support/triage", "--env", "prod", "--reason", "x"],
            ["reconcile", "--env", "prod"], ["resume", "support/triage", "--env", "prod", "--reason", "x"],
            ["drift", "--env", "prod"], ["log", "--env", "prod"], ["keys"],
            ["evidence", "support/triage", "--env", "prod"],
            ["validate"], ["get", "agents"], ["check", "support/triage", "crm.find", "--env", "prod"],
            ["rollback", "support/triage", "--env", "prod", "--now", "--reason", "x"], ["verify"],
            ["status", "-o", "json"],
        ]
        for words in commands {
            let result = try run(Host.ensign, words, in: host.bare, environment: clock)
            #expect(result.status < 64, "\(words): \(result.status) \(result.errors)")
        }
        // Whatever was recorded then can be read and gone on from now.
        #expect(try host.ensign("verify").status == 0)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
    }
}
