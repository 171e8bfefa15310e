import EnsignTestSupport
import Foundation
import Testing

/// Rollbacks that close the loop in git: the version before is live, the bad one is quarantined, and a commit waits to be
/// merged.
@Suite struct GoingBackTests {
    let deployment = FleetFixture.deploymentPath
    static let branch = "ensign/rollback/prod/support/triage"
    static let canary =
        "  rollout: {canary: {steps: [{weight: 20, hold: 1s}], analysis: {metrics: [{name: success, kind: rate, "
        + "good: true, margin: 0.05}], deadline: 1s, onInconclusive: abort}}}\n"

    /// The small fleet with further versions of `support/triage`.
    func fleet(canary: Bool) -> FleetFixture {
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
    func doomed() throws -> Host {
        let host = try Host(fleet: fleet(canary: true))
        try host.push(deployment, "version: 1.0.0", "version: 1.1.0", message: "Deploy 1.1.0")
        #expect(try host.liveJSON("agents/support/triage.json")["phase"] as? String == "canary")
        host.pass(seconds: 2)
        return host
    }

    func rolledBack() throws -> Host {
        let host = try doomed()
        let result = try host.ensign("reconcile", "--env", "prod")
        #expect(result.status == 0, "\(result.errors)")
        return host
    }

    func tip(_ host: Host) throws -> String { try host.hostGit("rev-parse", Self.branch) }

    func hasBranch(_ repository: String) throws -> Bool {
        try run("git", ["rev-parse", "-q", "--verify", "refs/heads/\(Self.branch)"], in: repository).status == 0
    }

    /// The branch is main and one signed commit that sets the pin back.
    func expectPin(
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

    func expectPinned(_ forge: Host, sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(try forge.hostGit("rev-parse", "\(Self.branch)~1") == forge.hostGit("rev-parse", "main"))
        let numbers = try forge.hostGit("diff", "--numstat", "main", Self.branch)
        #expect(numbers == "1\t1\t\(deployment)", sourceLocation: sourceLocation)
    }
}
