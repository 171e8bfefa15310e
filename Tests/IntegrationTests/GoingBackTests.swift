import EnsignTestSupport
import Foundation
import Testing

/// Rollbacks that close the loop in git: the version before is live, the bad one is quarantined, and a commit waits to be
/// merged.
@Suite struct GoingBackTests {
    private let deployment = FleetFixture.deploymentPath
    private static let branch = "ensign/rollback/prod/support/triage"
    private static let canary =
        "  rollout: {canary: {steps: [{weight: 20, hold: 1s}], analysis: {metrics: [{name: success, kind: rate, "
        + "good: true, margin: 0.05}], deadline: 1s, onInconclusive: abort}}}\n"

    /// The small fleet with further versions of `support/triage`.
    private func fleet(canary: Bool) -> FleetFixture {
        var fleet = FleetFixture()
        for version in ["1.1.0", "1.2.0"] {
            for path in [FleetFixture.agentPath, FleetFixture.promptPath] {
                let text = (fleet[path] ?? "") + (path.hasSuffix(".md") ? "Be \(version).\n" : "")
                fleet[path.replacingOccurrences(of: "1.0.0", with: version)] = text
            }
        }
        if canary {
            fleet.replace("  keepFor: 7d\n", with: "  keepFor: 7d\n" + Self.canary, in: FleetFixture.environmentPath)
        }
        return fleet
    }

    /// A host whose canary of 1.1.0 is past its deadline, so that the next reconcile rolls it back.
    private func doomed() throws -> Host {
        let host = try Host(fleet: fleet(canary: true))
        try host.push(deployment, "version: 1.0.0", "version: 1.1.0", message: "Deploy 1.1.0")
        #expect(try host.liveJSON("agents/support/triage.json")["phase"] as? String == "canary")
        host.pass(seconds: 2)
        return host
    }

    private func rolledBack() throws -> Host {
        let host = try doomed()
        let result = try host.ensign("reconcile", "--env", "prod")
        #expect(result.status == 0, "\(result.errors)")
        return host
    }

    private func tip(_ host: Host) throws -> String { try host.hostGit("rev-parse", Self.branch) }

    private func hasBranch(_ repository: String) throws -> Bool {
        try run("git", ["rev-parse", "-q", "--verify", "refs/heads/\(Self.branch)"], in: repository).status == 0
    }

    /// The branch is main and one signed commit that sets the pin back.
    private func expectPin(
        _ host: Host,
        from bad: String,
        to good: String,
        sourceLocation: SourceLocation = #_sourceLocation
    )
        throws
    {
        let parent = try host.hostGit("rev-parse", "\(Self.branch)~1")
        #expect(try parent == host.hostGit("rev-parse", "main"), sourceLocation: sourceLocation)
        let diff = try host.hostGit("diff", "-U0", "main", Self.branch).split(separator: "\n").map(String.init)
        #expect(diff.filter { $0.hasPrefix("--- ") } == ["--- a/\(deployment)"], sourceLocation: sourceLocation)
        #expect(
            diff.filter { $0.hasPrefix("-  ") || $0.hasPrefix("+  ") } == [
                "-  version: \(bad)", "+  version: \(good)",
            ],
            sourceLocation: sourceLocation
        )
        let keys = try host.ensign("keys").output
        try host.scratch.write("allowed", keys)
        let verify = try run(
            "git",
            ["-c", "gpg.ssh.allowedSignersFile=\(host.scratch.path)/allowed", "verify-commit", Self.branch],
            in: host.bare
        )
        #expect(verify.status == 0, "\(verify.errors)", sourceLocation: sourceLocation)
        #expect(verify.errors.contains("prod@ensign.invalid"), sourceLocation: sourceLocation)
    }

    // MARK: The commit

    @Test("A plan shows what is quarantined and still asked for, with what it would change")
    func planned() throws {
        let host = try rolledBack()
        let plan = try host.ensign("plan", "--env", "prod").output
        #expect(
            plan.contains("= support/triage  1.0.0 -> 1.1.0  [behaviour]  held, the version is quarantined"),
            "\(plan)"
        )
        #expect(plan.contains("+Be 1.1.0."), "\(plan)")
        let status = try host.ensign("plan", "--env", "prod", "--detailed-exitcode").status
        #expect(status == 0, "nothing would change")
    }

    @Test(
        "A branch that is in the way is named, and the commit comes when it is gone",
        arguments: ["ensign", "ensign/rollback"]
    )
    func obstacle(_ name: String) throws {
        let host = try doomed()
        try host.hostGit("branch", name, "main")
        let blocked = try host.ensign("reconcile", "--env", "prod")
        #expect(blocked.status == 0)
        #expect(blocked.errors.contains("there is a branch '\(name)'"), "\(blocked.errors)")
        #expect(try host.liveJSON("agents/support/triage.json")["phase"] as? String == "stable")
        try host.hostGit("branch", "-m", name, "mine")
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try hasBranch(host.bare))
    }

    @Test(
        "A canary that fails leaves a signed commit of one line; merging it changes nothing live and removes the branch"
    )
    func merged() throws {
        let host = try rolledBack()
        try expectPin(host, from: "1.1.0", to: "1.0.0")
        let message = try host.hostGit("show", "-s", "--format=%an <%ae>%n%B", Self.branch)
        #expect(message.hasPrefix("Ensign prod <prod@ensign.invalid>\nprod: roll back support/triage 1.1.0 -> 1.0.0\n"))
        #expect(message.contains("This reverts commit \(try host.git("rev-parse", "HEAD"))."))
        #expect(message.contains("1.1.0 is quarantined in prod: no verdict before the deadline."))
        let trailers = try host.hostGit("show", "-s", "--format=%(trailers:key=Ensign-Entry,valueonly)", Self.branch)
        #expect(trailers.contains(try host.hostGit("rev-parse", "refs/ensign/ledger/prod")))
        let subject = try host.hostGit("show", "-s", "--format=%s", "refs/ensign/ledger/prod")
        #expect(subject == "prod: support/triage 1.1.0 -> 1.0.0, rollback, 1.1.0 quarantined")
        let status = try host.ensign("status", "--env", "prod").errors
        #expect(status.contains("git wants support/triage 1.1.0, which is quarantined here: merge \(Self.branch), or"))
        #expect(try host.ensign("log", "--env", "prod", "support/triage").output.contains("quarantine 1.1.0"))
        let entry = try host.hostGit("rev-parse", "refs/ensign/ledger/prod")
        let files = try host.liveFiles()
        try host.git("fetch", "-q", "origin", Self.branch)
        try host.git("merge", "-q", "--no-edit", "FETCH_HEAD")
        let push = try host.tryGit("push", "origin", "main")
        #expect(push.status == 0 && push.errors.contains("removed \(Self.branch): git agrees"), "\(push.errors)")
        #expect(try host.liveFiles() == files)
        #expect(try host.hostGit("rev-parse", "refs/ensign/ledger/prod") == entry)
        #expect(try !hasBranch(host.bare))
        try host.expectSound()
    }

    @Test("The commit follows the branch's tip, and another version goes ahead at once")
    func renewed() throws {
        let host = try rolledBack()
        let first = try tip(host)
        try host.push("environments/dev/environment.yaml", "spec:", "# unrelated\nspec:")
        #expect(try tip(host) != first)
        try expectPin(host, from: "1.1.0", to: "1.0.0")
        let entry = "--format=%(trailers:key=Ensign-Entry,valueonly)"
        #expect(try host.hostGit("show", "-s", entry, first) == host.hostGit("show", "-s", entry, Self.branch))
        let second = try tip(host)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try tip(host) == second)
        try host.push(deployment, "version: 1.1.0", "version: 1.2.0")
        let route = try host.liveJSON("agents/support/triage.json")
        #expect(route["phase"] as? String == "canary")
        #expect((route["routes"] as? [[String: Any]])?.first?["version"] as? String == "1.2.0")
        #expect(try !hasBranch(host.bare))
    }

    @Test("Commits that Ensign did not make are left alone, and said")
    func foreign() throws {
        let host = try rolledBack()
        try host.git("fetch", "-q", "origin", Self.branch)
        try host.git("checkout", "-q", "-b", "mine", "FETCH_HEAD")
        try host.git("commit", "-q", "--allow-empty", "-m", "A thought")
        try host.git("push", "-q", "origin", "mine:\(Self.branch)")
        let mine = try host.git("rev-parse", "mine")
        try host.git("checkout", "-q", "main")
        let push = try { () throws in
            try host.edit("environments/dev/environment.yaml", "spec:", "# unrelated\nspec:")
            try host.git("commit", "-q", "-a", "-m", "Unrelated")
            return try host.tryGit("push", "origin", "main")
        }()
        #expect(push.errors.contains("\(Self.branch) has commits that Ensign did not make"), "\(push.errors)")
        #expect(try tip(host) == mine)
        // Nor is it removed when git agrees.
        try host.push(deployment, "version: 1.1.0", "version: 1.0.0")
        #expect(try tip(host) == mine)
        // A commit in Ensign's name that its key has not signed is somebody's.
        try host.hostGit("update-ref", "-d", "refs/heads/\(Self.branch)")
        let text = "Ensign-Rollback: prod support/triage\nEnsign-Quarantined: x\nEnsign-Stable: y"
        let forged = try host.hostGit("commit-tree", "main^{tree}", "-p", "main", "-m", "x", "-m", text)
        try host.hostGit("update-ref", "refs/heads/\(Self.branch)", forged)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try tip(host) == forged)
    }

    @Test("A run that dies after the outcome leaves the commit to the next one")
    func killed() throws {
        let host = try doomed()
        let shim = "\(host.scratch.path)/faults.so"
        let made = try run(
            "cc",
            ["-shared", "-fPIC", "-O1", "-o", shim, "\(Host.package)/Tests/Faults/faults.c", "-ldl"],
            in: host.scratch.path
        )
        try #require(made.status == 0, "\(made.errors)")
        let counter = "\(host.scratch.path)/count"
        let reconcile = ["reconcile", "--env", "prod"]
        let time = try host.time()
        /// With the faults beside whatever moves the clock.
        func faults(_ variables: [String: String]) -> [String: String] {
            let preloads = [shim] + [time["LD_PRELOAD"]].compactMap { $0 }
            return time.merging(variables) { $1 }.merging(["LD_PRELOAD": preloads.joined(separator: ":")]) { $1 }
        }
        func copy(_ name: String) throws -> String {
            let path = "\(host.scratch.path)/\(name)"
            try? FileManager.default.removeItem(atPath: path)
            try #require(try run("cp", ["-a", host.bare, path], in: host.scratch.path).status == 0)
            return path
        }
        let whole = try copy("whole.git")
        _ = try run(Host.ensign, reconcile, in: whole, environment: faults(["FAULT_COUNT": counter]))
        let text = try String(contentsOfFile: counter, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
        let steps = try #require(Int(text))
        let wanted = try run("git", ["rev-parse", "\(Self.branch)^{tree}"], in: whole).output
        var unwritten = 0
        // The last few calls are not made in every run: an object's folder may be there already.
        for step in stride(from: steps - 4, to: steps - 44, by: -2) {
            let repository = try copy("crash.git")
            let environment = faults(["FAULT_AT": String(step), "FAULT_MODE": "kill"])
            #expect(try run(Host.ensign, reconcile, in: repository, environment: environment).status == 128 + 9)
            if try !hasBranch(repository) { unwritten += 1 }
            // What a killed process has locked is free again after a minute.
            let lock = "\(repository)/refs/heads/\(Self.branch).lock"
            if FileManager.default.fileExists(atPath: lock) {
                let again = try run(Host.ensign, reconcile, in: repository, environment: time)
                #expect(again.status == 0, "step \(step): \(again.errors)")
                #expect(
                    try again.errors.contains("could not be written") || hasBranch(repository),
                    "step \(step): \(again.errors)"
                )
                try FileManager.default.removeItem(atPath: lock)
            }
            let again = try run(Host.ensign, reconcile, in: repository, environment: time)
            #expect(again.status == 0, "step \(step): \(again.errors)")
            let tree = try run("git", ["rev-parse", "\(Self.branch)^{tree}"], in: repository).output
            #expect(tree == wanted, "step \(step)")
        }
        #expect(unwritten > 3)
    }

    @Test("What a revert has taken back comes again as a canary, not at once")
    func revertOfARevert() throws {
        let host = try Host(fleet: fleet(canary: true))
        func phase() throws -> String? { try host.liveJSON("agents/support/triage.json")["phase"] as? String }
        try host.push(deployment, "version: 1.0.0", "version: 1.1.0", message: "Deploy 1.1.0")
        let promoted = try host.ensign("rollout", "promote", "support/triage", "--env", "prod", "--reason", "x")
        #expect(promoted.status == 0, "\(promoted.errors)")
        #expect(try phase() == "stable")
        try host.push(deployment, "version: 1.1.0", "version: 1.0.0", message: "Go back")
        #expect(try phase() == "stable")
        try host.push(deployment, "version: 1.0.0", "version: 1.1.0", message: "Revert the revert")
        #expect(try phase() == "canary")
    }

    // MARK: By hand

    @Test("rollback --now: the version before at once, the bad one quarantined, the same commit")
    func now() throws {
        let host = try Host(fleet: fleet(canary: false))
        let good = try host.digest("support/triage")
        try host.push(deployment, "version: 1.0.0", "version: 1.1.0")
        let bad = try host.digest("support/triage")
        let words = ["rollback", "support/triage", "--env", "prod", "--now"]
        #expect(try run(Host.ensign, words, in: host.bare).status == 64)
        let result = try run(
            Host.ensign,
            words + ["--reason", "refuses everything", "--output", "json"],
            in: host.bare
        )
        #expect(result.status == 0, "\(result.errors)")
        let report = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
        let actions = (report["changes"] as? [[String: Any]])?.compactMap { $0["action"] as? String }
        #expect(actions == ["rollback", "quarantine"])
        let disagreement = try #require((report["disagreements"] as? [[String: Any]])?.first)
        #expect(disagreement["remedy"] as? String == "merge" && disagreement["branch"] as? String == Self.branch)
        #expect(try host.digest("support/triage") == good)
        try expectPin(host, from: "1.1.0", to: "1.0.0")
        try host.expectSound()
        // There is nothing before it: what is quarantined does not come back.
        let again = try run(Host.ensign, words + ["--reason", "still bad"], in: host.bare)
        #expect(again.status == 4 && again.errors.contains("no earlier version"), "\(again.errors)")
        #expect(try host.kinds().suffix(2) == ["intent", "outcome"])
        // The commit can be merged by fast-forward too.
        try host.git("pull", "-q", "--ff-only", "origin", Self.branch)
        try host.git("push", "-q", "origin", "main")
        #expect(try host.digest("support/triage") == good && host.digest("support/triage") != bad)
        #expect(try !hasBranch(host.bare))
    }

    @Test("rollback --now asked again soon goes no further back unless the version is named; --to is safe to repeat")
    func twice() throws {
        let host = try Host(fleet: fleet(canary: false))
        try host.push(deployment, "version: 1.0.0", "version: 1.1.0")
        try host.push(deployment, "credit: {maximum: 100}", "credit: {maximum: 90}")
        func back(_ more: String...) throws -> CommandResult {
            let words = ["rollback", "support/triage", "--env", "prod", "--now", "--reason", "refuses everything"]
            return try run(Host.ensign, words + more, in: host.bare, environment: host.time())
        }
        #expect(try back("--to", "9.9.9").status == 4)
        #expect(try host.ensign("rollback", "support/triage", "--env", "prod", "--to", "1.0.0").status == 64)
        // Its own permissions are no other version: 1.1.0 with 100 and with 90 are told apart by their digests.
        #expect(try back("--to", "1.1.0").errors.contains("1.1.0 is what sessions have already"))
        let first = try back("--to", "1.0.0")
        #expect(
            first.status == 0 && first.output.contains("rolled back 1.1.0 -> 1.0.0"),
            "\(first.output)\(first.errors)"
        )
        let entries = try host.entries().count
        let repeated = try back("--to", "1.0.0")
        #expect(repeated.status == 0 && repeated.errors.contains("1.0.0 is what sessions have already"))
        #expect(try host.entries().count == entries)
    }

    @Test("A second rollback --now within minutes says what it would do and does nothing; later it goes on")
    func guarded() throws {
        let host = try Host(fleet: fleet(canary: false))
        for version in ["1.1.0", "1.2.0"] {
            let next = "fleet/agents/support/triage/\(version)"
            if !FileManager.default.fileExists(atPath: "\(host.work)/\(next)") {
                #expect(try run("cp", ["-r", "fleet/agents/support/triage/1.0.0", next], in: host.work).status == 0)
                try host.scratch.write("work/\(next)/prompt.md", "Sort it, \(version).\n")
            }
        }
        try host.git("add", "-A")
        try host.push(deployment, "version: 1.0.0", "version: 1.1.0")
        try host.push(deployment, "version: 1.1.0", "version: 1.2.0")
        func back() throws -> CommandResult {
            try host.ensign("rollback", "support/triage", "--env", "prod", "--now", "--reason", "refuses everything")
        }
        #expect(try back().output.contains("rolled back 1.2.0 -> 1.1.0"))
        let again = try back()
        #expect(again.status == 4, "\(again.output)")
        #expect(again.errors.contains("once more would go to 1.0.0 and quarantine 1.1.0"), "\(again.errors)")
        #expect(again.errors.contains("--now --to 1.0.0"))
        host.pass(seconds: 700)
        #expect(try back().output.contains("rolled back 1.1.0 -> 1.0.0"))
    }

    @Test("Where the artifact is the same, the digest is quarantined; edits made since stay")
    func permissions() throws {
        let host = try Host(fleet: fleet(canary: false))
        try host.push(deployment, "credit: {maximum: 100}", "credit: {maximum: 200}")
        let result = try host.ensign("rollback", "support/triage", "--env", "prod", "--now", "--reason", "too generous")
        #expect(result.status == 0, "\(result.errors)")
        let state = try host.hostGit("show", "refs/ensign/ledger/prod:state/support/triage.json")
        #expect(state.contains("\"quarantine\":[{\"digest\":\"sha256:"))
        #expect(try host.hostGit("diff", "--numstat", "main~1", Self.branch) == "")
        // 1.1.0 with that limit is another digest, and goes ahead; its rollback keeps a comment that came later.
        try host.push(deployment, "version: 1.0.0", "version: 1.1.0")
        try host.push(deployment, "  limits:", "  # checked by finance\n  limits:")
        #expect(
            try host.ensign("rollback", "support/triage", "--env", "prod", "--now", "--reason", "no").status == 0
        )
        #expect(try host.liveJSON("agents/support/triage.json")["phase"] as? String == "stable")
        let file = try host.hostGit("show", "\(Self.branch):\(deployment)")
        #expect(file.contains("version: 1.0.0") && file.contains("maximum: 100"))
    }

    @Test("An edit since the pin stays when the pin alone is enough; a halt in git is not lifted")
    func keepsEdits() throws {
        let host = try Host(fleet: fleet(canary: false))
        try host.push(deployment, "version: 1.0.0", "version: 1.1.0")
        #expect(try host.ensign("rollback", "support/triage", "--env", "prod", "--now", "--reason", "no").status == 0)
        try host.push(deployment, "  limits:", "  halted: true   # until Monday\n  limits:")
        #expect(try host.liveJSON("agents/support/triage.json")["phase"] as? String == "halted")
        let diff = try host.hostGit("diff", "-U0", "main", Self.branch).split(separator: "\n")
        #expect(diff.filter { $0.hasPrefix("+  ") } == ["+  version: 1.0.0"])
        let halted = try host.ensign("rollback", "support/triage", "--env", "prod", "--now", "--reason", "more")
        #expect(halted.status == 4 && halted.errors.contains("it is halted"), "\(halted.errors)")
        let never = try host.ensign("rollback", "support/desk", "--env", "prod", "--now", "--reason", "more")
        #expect(never.status == 4)
        let unknown = try host.ensign("rollback", "support/nobody", "--env", "prod", "--now", "--reason", "more")
        #expect(unknown.status == 64 && unknown.errors.contains("there is no agent"), "\(unknown.errors)")
    }

    @Test("Where more than the deployment changed there is no commit, and people are told what to do")
    func byHand() throws {
        let host = try Host(fleet: fleet(canary: false))
        let good = try host.digest("support/triage")
        try host.push(FleetFixture.environmentPath, "agents.example.com", "example.net")
        #expect(try host.digest("support/triage") != good)
        let result = try host.ensign("rollback", "support/triage", "--env", "prod", "--now", "--reason", "no")
        #expect(result.status == 0, "\(result.errors)")
        #expect(try host.digest("support/triage") == good)
        #expect(try !hasBranch(host.bare))
        let sentence = "\(deployment) alone does not bring 1.0.0 back"
        #expect(result.errors.contains(sentence), "\(result.errors)")
        #expect(try host.ensign("status").errors.contains(sentence))
        // Undone by hand, nothing changes live.
        try host.push(FleetFixture.environmentPath, "example.net", "agents.example.com")
        #expect(try host.digest("support/triage") == good)
        #expect(try !host.ensign("status").errors.contains("quarantined"))
    }

    @Test("A branch that cannot be applied does not keep anybody from going back")
    func brokenBranch() throws {
        let host = try Host(fleet: fleet(canary: false))
        let good = try host.digest("support/triage")
        try host.push(deployment, "version: 1.0.0", "version: 1.1.0")
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/pre-receive")
        try host.push(FleetFixture.rolePath, "kind: Role", "kind: Rule")
        let result = try host.ensign("rollback", "support/triage", "--env", "prod", "--now", "--reason", "no")
        #expect(result.status == 0, "\(result.errors)")
        #expect(try host.digest("support/triage") == good)
        #expect(result.errors.contains("cannot be applied"), "\(result.errors)")
        #expect(try host.kinds().suffix(3) == ["refused", "intent", "outcome"])
        try host.expectSound()
    }

    // MARK: A forge

    @Test("A clone of a forge pushes the branch there, and takes it away when it is merged")
    func forge() throws {
        let forge = try Host(fleet: fleet(canary: false), pushes: false)
        try FileManager.default.removeItem(atPath: "\(forge.bare)/hooks")
        try forge.hostGit("config", "--unset-all", "receive.hideRefs")
        try forge.git("push", "-q", "origin", "main")
        let clone = "\(forge.scratch.path)/clone.git"
        func ensign(_ words: String...) throws -> CommandResult { try run(Host.ensign, words, in: clone) }
        func git(_ words: String...) throws { try #require(try run("git", words, in: clone).status == 0) }
        func follow() throws {
            try git("fetch", "-q", "origin", "+refs/heads/main:refs/remotes/origin/main")
            let result = try ensign("reconcile", "--env", "prod")
            #expect(result.status == 0, "\(result.errors)")
        }
        try #require(try run("git", ["clone", "-q", "--bare", forge.bare, clone], in: forge.scratch.path).status == 0)
        try git("config", "ensign.remote", "origin")
        #expect(try ensign("init").status == 0)
        try follow()
        try forge.push(deployment, "version: 1.0.0", "version: 1.1.0")
        try follow()
        let result = try ensign("rollback", "support/triage", "--env", "prod", "--now", "--reason", "no")
        #expect(result.status == 0, "\(result.errors)")
        try expectPinned(forge)
        // The tip moves on: renewed there too, over Ensign's own commit.
        try forge.push("environments/dev/environment.yaml", "spec:", "# unrelated\nspec:")
        try follow()
        try expectPinned(forge)
        try forge.git("fetch", "-q", "origin", Self.branch)
        try forge.git("merge", "-q", "--no-edit", "FETCH_HEAD")
        try forge.git("push", "-q", "origin", "main")
        try follow()
        #expect(try !hasBranch(forge.bare))
        #expect(try !hasBranch(clone))
        // Somebody else's branch of that name stays as it is.
        try forge.push(deployment, "version: 1.0.0", "version: 1.2.0")
        try follow()
        try forge.hostGit("branch", Self.branch, "main")
        let foreign = try ensign("rollback", "support/triage", "--env", "prod", "--now", "--reason", "no")
        #expect(foreign.errors.contains("at origin has commits that Ensign did not make"), "\(foreign.errors)")
        #expect(try tip(forge) == forge.hostGit("rev-parse", "main"))
    }

    private func expectPinned(_ forge: Host, sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(try forge.hostGit("rev-parse", "\(Self.branch)~1") == forge.hostGit("rev-parse", "main"))
        let numbers = try forge.hostGit("diff", "--numstat", "main", Self.branch)
        #expect(numbers == "1\t1\t\(deployment)", sourceLocation: sourceLocation)
    }
}
