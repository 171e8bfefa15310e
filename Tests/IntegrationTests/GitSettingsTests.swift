import EnsignTestSupport
import Foundation
import Testing

/// What git says of a repository's settings is what Ensign goes by.
@Suite struct GitSettingsTests {
    // MARK: Where settings come from

    /// A way to set something that no file of the repository alone has.
    enum Way: String, CaseIterable, Sendable {
        case global, system, count, parameters, hasconfig, gitdirPattern, gitdirPlain, onbranch, local
    }

    /// The environment in which `[ensign]` has these lines.
    private func set(_ lines: String, by way: Way, _ host: Host) throws -> [String: String] {
        let section = "[ensign]\n\(lines)\n"
        let file = try host.scratch.write("settings", section)
        func included(_ condition: String) throws -> [String: String] {
            ["GIT_CONFIG_GLOBAL": try host.scratch.write("global", "[includeIf \"\(condition)\"]\n\tpath = \(file)\n")]
        }
        switch way {
        case .global: return ["GIT_CONFIG_GLOBAL": file]
        case .system: return ["GIT_CONFIG_SYSTEM": file, "GIT_CONFIG_NOSYSTEM": "0"]
        case .count:
            let words = lines.split(separator: "=").map { $0.trimmingCharacters(in: .whitespaces) }
            return [
                "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "ensign.\(words[0])",
                "GIT_CONFIG_VALUE_0": words.count > 1 ? words[1] : "true",
            ]
        case .parameters:
            let words = lines.split(separator: "=").map { $0.trimmingCharacters(in: .whitespaces) }
            return ["GIT_CONFIG_PARAMETERS": "'ensign.\(words[0])'='\(words.count > 1 ? words[1] : "true")'"]
        case .hasconfig:
            try host.hostGit("remote", "add", "forge", "https://forge.example/fleet.git")
            return try included("hasconfig:remote.*.url:https://forge.example/**")
        case .gitdirPattern: return try included("gitdir:**/\((host.bare as NSString).lastPathComponent)")
        case .gitdirPlain: return try included("gitdir:\(host.bare)")
        case .onbranch:
            try host.hostGit("config", "includeIf.onbranch:main.path", file)
            return [:]
        case .local:
            try host.hostGit("config", "include.path", file)
            return [:]
        }
    }

    @Test(
        "Settings of one work tree alone count where git reads them, in any format and by any spelling, and nowhere else",
        arguments: ["0", "1"],
        ["true", "yes", "1", "on"]
    )
    func ofOneWorkTree(_ format: String, _ spelling: String) throws {
        let host = try Host(fleet: FleetFixture())
        let tree = "\(host.scratch.path)/tree"
        try host.hostGit("worktree", "add", "-q", "-b", "wip", tree)
        try host.hostGit("config", "core.repositoryFormatVersion", format)
        try host.hostGit("config", "extensions.worktreeConfig", spelling)
        try host.hostGit("config", "--worktree", "ensign.client", "yes")
        let refused = try host.ensign("reconcile", "--env", "prod")
        #expect(refused.status == 4 && refused.errors.contains("developer's clone"), "\(refused.errors)")
        #expect(try run(Host.ensign, ["reconcile", "--env", "prod"], in: tree).status == 0)
        #expect(try run("git", ["config", "--worktree", "ensign.client", "yes"], in: tree).status == 0)
        try host.hostGit("config", "--worktree", "--unset", "ensign.client")
        #expect(try run(Host.ensign, ["reconcile", "--env", "prod"], in: tree).status == 4)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        try host.hostGit("config", "extensions.worktreeConfig", "no")
        #expect(try run(Host.ensign, ["reconcile", "--env", "prod"], in: tree).status == 0)
    }

    @Test("A bare repository stays one when a sparse checkout of a work tree moves what says so")
    func bareWithWorkTree() throws {
        let host = try Host(fleet: FleetFixture())
        let tree = "\(host.scratch.path)/tree"
        try host.hostGit("worktree", "add", "-q", "-b", "wip", tree)
        #expect(try run("git", ["sparse-checkout", "set", "fleet"], in: tree).status == 0)
        try #require(try host.hostGit("config", "--file", "config.worktree", "core.bare") == "true")
        let plan = try host.ensign("plan", "--worktree")
        #expect(plan.status == 64 && plan.errors.contains("a bare repository has no work tree"), "\(plan.errors)")
        let push = try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        #expect(push.status == 0 && push.errors.contains("recorded as entry"), "\(push.errors)")
    }

    @Test("What git shows counts, wherever it is set", arguments: Way.allCases)
    func ways(_ way: Way) throws {
        let host = try Host(fleet: FleetFixture())
        let environment = try set("\tclient = yes", by: way, host)
        let git = try run("git", ["config", "ensign.client"], in: host.bare, environment: environment)
        try #require(git.output == "yes\n", "git has no such way here")
        let result = try host.ensign("reconcile", "--env", "prod", environment: environment)
        #expect(result.status == 4, "\(result.errors)")
        #expect(result.errors.contains("developer's clone"))
        // And nowhere else.
        if !environment.isEmpty { #expect(try host.ensign("reconcile", "--env", "prod").status == 0) }
    }

    @Test(
        "Every spelling of a boolean means what it means to git",
        arguments: ["= yes", "= on", "= 1", "= TRUE", "= True", "", "= 2k", "= -1"],
        [true, false]
    )
    func spellings(_ spelling: String, _ asksGit: Bool) throws {
        let host = try Host(fleet: FleetFixture())
        let environment = try set("\tclient \(spelling)", by: asksGit ? .global : .local, host)
        #expect(try host.ensign("reconcile", "--env", "prod", environment: environment).status == 4)
    }

    @Test(
        "ensign.branch takes the branch by its whole name, too, and pre-receive looks at it",
        arguments: ["main", "refs/heads/main"]
    )
    func branch(_ name: String) throws {
        let host = try Host(fleet: FleetFixture())
        try host.hostGit("config", "ensign.branch", name)
        let refused = try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximun: 100")
        #expect(refused.status != 0 && refused.errors.contains("main: refused"), "\(refused.errors)")
        let mended = try host.push(FleetFixture.deploymentPath, "maximun: 100", "maximum: 90")
        #expect(mended.status == 0 && mended.errors.contains("recorded as entry"), "\(mended.errors)")
        #expect(try !host.ensign("status").errors.contains("ensign.branch"))
    }

    @Test("A branch that is not there is said by a push and by status, with the setting's name")
    func missingBranch() throws {
        let host = try Host(fleet: FleetFixture())
        try host.hostGit("config", "ensign.branch", "mian")
        let slip = "git config ensign.branch names 'mian', and there is no refs/heads/mian here"
        let push = try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        #expect(push.status == 0 && push.errors.contains("warning: \(slip): nothing of this push"), "\(push.errors)")
        #expect(try host.ensign("status").errors.contains(slip))
        #expect(try host.ensign("status", "-o", "json").output.contains(slip))
    }

    @Test("What is not a boolean is an error, and not one of the two", arguments: ["maybe", "t", "yes please"])
    func noBoolean(_ text: String) throws {
        let host = try Host(fleet: FleetFixture())
        try host.hostGit("config", "ensign.client", text)
        let result = try host.ensign("reconcile", "--env", "prod")
        #expect(result.status == 1 && result.errors.contains("'\(text)' is not true or false"), "\(result.errors)")
        for text in ["no", "off", "0", "FALSE", ""] {
            try host.hostGit("config", "ensign.client", text)
            #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        }
    }

    @Test(
        "Commits in the user's name are signed where git would sign them",
        arguments: ["yes", "on", "1", "TRUE", "no"]
    )
    func signing(_ spelling: String) throws {
        let host = try Host(fleet: FleetFixture())
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        let key = "\(host.scratch.path)/id"
        #expect(try run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key], in: host.scratch.path).status == 0)
        try host.git("config", "gpg.format", "ssh")
        try host.git("config", "user.signingkey", key)
        try host.git("config", "commit.gpgSign", spelling)
        let result = try host.ensignInWork("rollback", "support/triage", "--env", "prod")
        #expect(result.status == 0, "\(result.errors)")
        let commit = try host.git("cat-file", "commit", "ensign/rollback/prod/support/triage")
        #expect(commit.contains("\ngpgsig ") == (spelling != "no"))
    }

    @Test(
        "What Ensign writes has git's modes in a shared repository",
        arguments: ["group", "all", "0660", "true", "1", "2", "0640"]
    )
    func shared(_ spelling: String) throws {
        let host = try Host(fleet: FleetFixture(), pushes: false)
        try host.hostGit("config", "core.sharedRepository", spelling)
        let folders = ["objects", "refs"]
        let isWritable = spelling != "0640"
        _ = try run("chmod", ["-R", isWritable ? "g+ws" : "g-w,g+s"] + folders, in: host.bare)
        let umask = ["-c", "umask 077; git push -q origin main"]
        #expect(try run("sh", umask, in: host.work).status == 0)
        #expect(try host.kinds().count == 3)
        let wanted = isWritable ? "-2070" : "-2050"
        let wrong = try run("find", folders + ["-type", "d", "!", "-perm", wanted], in: host.bare)
        #expect(wrong.output == "", "\(wrong.output)")
        let files = try run("find", folders + ["-type", "f", "!", "-perm", "-0040"], in: host.bare)
        #expect(files.output == "", "\(files.output)")
        let ref = try run("stat", ["-c", "%A", "refs/ensign/ledger/prod"], in: host.bare).output
        #expect(ref.dropFirst(4).hasPrefix(isWritable ? "rw" : "r-"), "\(ref)")
    }

    /// What stock git gives a folder of objects, an object, folders of refs and a ref.
    private func modes(_ repository: String, ref: String) throws -> String {
        // A second mode of a kind is a second line.
        let list = """
            stat -c 'folder %a' objects/?? | sort -u
            find objects/?? -type f -printf 'object %m\\n' | sort -u
            path=\(ref)
            printf 'ref '; stat -c %a $path
            while path=$(dirname $path); [ $path != refs ]; do printf 'refs '; stat -c %a $path; done
            """
        let result = try run("sh", ["-ec", list], in: repository)
        #expect(result.status == 0, "\(result.errors)")
        return result.output
    }

    private static let sharings = [
        "group", "all", "world", "everybody", "umask", "true", "false", "yes", "0", "1", "2", "01", "0600", "0640",
        "0660",
        "660", "0664", "0666", "0777", "-1", "",
    ]

    @Test(
        "In a shared repository everything that Ensign writes has the very modes of what git writes",
        arguments: sharings.map { ($0, "022") }
            // Of these the umask takes nothing away.
            + ["all", "2", "0600", "0640", "0660", "0664", "0666", "-1"].map { ($0, "077") }
    )
    func sharedAsGit(_ spelling: String, _ umask: String) throws {
        let host = try Host(fleet: FleetFixture(), pushes: false)
        try host.hostGit("config", "core.sharedRepository", spelling)
        let stock = "\(host.scratch.path)/stock.git"
        let words = """
            umask \(umask)
            git init -q --bare '\(stock)'
            git -C '\(stock)' config core.sharedRepository '\(spelling)'
            tree=$(git -C '\(stock)' mktree </dev/null)
            commit=$(git -C '\(stock)' commit-tree -m x $tree)
            git -C '\(stock)' update-ref refs/ensign/ledger/prod $commit
            git push -q origin main
            """
        let result = try run("sh", ["-ec", words], in: host.work)
        #expect(result.status == 0, "\(result.errors)")
        let ref = "refs/ensign/ledger/prod"
        #expect(
            try modes(host.bare, ref: ref) == modes(stock, ref: ref),
            "what Ensign writes, and what git writes"
        )
    }

    @Test(
        "The log of a rollback branch has git's modes too, so that a member can go on with it",
        arguments: [("group", 0o664), ("0660", 0o660), ("0640", 0o640), ("umask", 0o644)]
    )
    func sharedLog(_ spelling: String, _ mode: Int) throws {
        let host = try Host(fleet: GoingBackTests().fleet(canary: false))
        try host.hostGit("config", "core.sharedRepository", spelling)
        try host.hostGit("config", "core.logAllRefUpdates", "true")
        try host.push(FleetFixture.deploymentPath, "version: 1.0.0", "version: 1.1.0")
        let goBack = ["-c", "umask 022; '\(Host.ensign)' rollback support/triage --env prod --now --reason bad"]
        let result = try run("sh", goBack, in: host.bare)
        #expect(result.status == 0, "\(result.errors)")
        for folder in ["refs/heads", "logs/refs/heads"] {
            let path = "\(folder)/ensign/rollback/prod/support/triage"
            #expect(
                try run("stat", ["-c", "%a", path], in: host.bare).output == "\(String(mode, radix: 8))\n",
                "\(path)"
            )
        }
    }

    // MARK: Which repository

    /// A bare repository as any clone can bring one, with a command of its own.
    private func embedded(_ host: Host) throws -> (path: String, ran: String) {
        let (path, ran) = ("\(host.work)/docs/sub", "\(host.scratch.path)/ran")
        try FileManager.default.createDirectory(atPath: "\(host.work)/docs", withIntermediateDirectories: true)
        #expect(try run("cp", ["-a", host.bare, path], in: host.scratch.path).status == 0)
        #expect(try run("git", ["config", "ensign.notify", "touch \(ran)"], in: path).status == 0)
        return (path, ran)
    }

    @Test(
        "A bare repository inside a work tree is not taken because somebody works there",
        arguments: ["", "/refs/heads"]
    )
    func insideWorkTree(_ below: String) throws {
        let host = try Host(fleet: FleetFixture())
        let (path, ran) = try embedded(host)
        let words = ["halt", "support/triage", "--env", "prod", "--reason", "x"]
        let result = try run(Host.ensign, words, in: path + below)
        #expect(result.status == 1, "\(result.output)")
        #expect(result.errors.contains("is a bare repository inside the work tree"), "\(result.errors)")
        #expect(result.errors.contains("--repo \(path)"))
        #expect(!FileManager.default.fileExists(atPath: ran))
        // Whoever names it means it.
        #expect(try run(Host.ensign, words + ["--repo", path], in: host.work).status == 0)
    }

    @Test("safe.bareRepository is honoured, as git honours it: not from the repository itself, and not in hooks")
    func explicit() throws {
        let host = try Host(fleet: FleetFixture())
        let safe = ["GIT_CONFIG_GLOBAL": try host.scratch.write("safe", "[safe]\n\tbareRepository = explicit\n")]
        let result = try host.ensign("status", environment: safe)
        #expect(result.status == 1 && result.errors.contains("safe.bareRepository"), "\(result.errors)")
        #expect(try host.ensign("status", "--repo", host.bare, environment: safe).status == 0)
        #expect(
            try run(Host.ensign, ["status"], in: host.work + "/.git", environment: safe).errors.contains("safe.")
                == false
        )
        try host.hostGit("config", "safe.bareRepository", "explicit")
        #expect(try host.ensign("status").status == 0)
        try host.edit(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        try host.git("commit", "-q", "-a", "-m", "Less")
        let push = try run("git", ["push", "-q", "origin", "main"], in: host.work, environment: safe)
        #expect(push.status == 0 && push.errors.contains("recorded as entry"), "\(push.errors)")
    }

    // MARK: rollback

    @Test("In a bare repository rollback does not move a branch that a work tree has checked out")
    func checkedOut() throws {
        let host = try Host(fleet: FleetFixture())
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        try host.hostGit("worktree", "add", "-q", "\(host.scratch.path)/tree", "main")
        let before = try host.hostGit("rev-parse", "main")
        let result = try host.ensign("rollback", "support/triage", "--env", "prod")
        #expect(result.status == 0 && result.errors.contains("has 'main' checked out"), "\(result.errors)")
        #expect(try host.hostGit("rev-parse", "main") == before)
        #expect(try host.hostGit("rev-parse", "ensign/rollback/prod/support/triage~1") == before)
    }

    @Test("rollback shows what it would do, and never offers what is not valid", arguments: [true, false])
    func planned(_ isHost: Bool) throws {
        let host = try Host(fleet: FleetFixture())
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        func rollback(_ more: String...) throws -> CommandResult {
            let words = ["rollback", "support/triage", "--env", "prod"] + more
            return try run(Host.ensign, words, in: isHost ? host.bare : host.work)
        }
        if !isHost {
            let good = try rollback()
            #expect(good.output.contains("prod: plan from the new branch") && good.output.contains("support/triage"))
            try host.git("branch", "-D", "ensign/rollback/prod/support/triage")
        }
        // The state before knew a role that is gone.
        try host.edit(FleetFixture.deploymentPath, "maximum: 90", "maximum: 80")
        try host.edit(FleetFixture.deploymentPath, "spec:", "spec:\n  labels: {}")
        try host.git("commit", "-q", "-a", "-m", "Past the hooks", "--no-verify")
        try host.edit(FleetFixture.deploymentPath, "spec:\n  labels: {}", "spec:")
        try host.git("commit", "-q", "-a", "-m", "Mended")
        try host.git("push", "-q", "origin", "main")
        let before = try host.hostGit("rev-parse", "main")
        let result = try rollback()
        #expect(result.status == 3, "\(result.output)\(result.errors)")
        #expect(result.errors.contains("Nothing was rolled back: the result would not be valid."))
        #expect(result.errors.contains("unknown field 'labels'"))
        #expect(try host.hostGit("rev-parse", "main") == before)
        #expect(try run("git", ["branch", "--list", "ensign/*"], in: host.work).output == "")
        let json = try rollback("-o", "json")
        #expect(json.status == 3 && json.output.contains("\"plan\": null") && json.output.contains("\"commit\": null"))
    }

    @Test("In a shallow clone rollback says why it finds nothing")
    func shallow() throws {
        let host = try Host(fleet: FleetFixture())
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        try host.push(FleetFixture.environmentPath, "keepFor: 7d", "keepFor: 8d")
        let clone = "\(host.scratch.path)/shallow"
        let made = try run("git", ["clone", "-q", "--depth", "1", "file://\(host.bare)", clone], in: host.scratch.path)
        try #require(made.status == 0)
        let result = try run(Host.ensign, ["rollback", "support/triage", "--env", "prod"], in: clone)
        #expect(result.status == 1 && result.errors.contains("this clone is shallow"), "\(result.errors)")
        #expect(result.errors.contains("git fetch --unshallow"))
    }

    // MARK: Halts

    @Test("A halts file that cannot be written: what is on record is called so")
    func readOnlyHalts() throws {
        let host = try Host(fleet: FleetFixture())
        let file = "\(host.bare)/ensign/halts/prod"
        var words = ["halt", "support/triage", "--env", "prod", "--reason", "x"]
        var program = Host.ensign
        if geteuid() == 0 {
            // Root may write everything.
            guard try run("chown", ["-R", "65534", host.scratch.path], in: "/").status == 0 else { return }
            _ = try run("chown", ["0", file], in: "/")
            words = ["--reuid=65534", "--clear-groups", program] + words
            program = "setpriv"
        }
        _ = try run("chmod", ["444", file], in: "/")
        let result = try run(program, words, in: host.bare)
        #expect(result.status == 0, "\(result.output)\(result.errors)")
        #expect(result.errors.contains("recorded as entry 3"), "\(result.errors)")
        #expect(!result.errors.contains("not recorded"))
    }

    // MARK: Keys

    @Test("A full disk leaves no key that is none: init says what is wrong, and works when there is room")
    func emptyKey() throws {
        let host = try Host(fleet: FleetFixture(), pushes: false)
        try host.hostGit("update-ref", "refs/heads/main", try host.pushedCommit())
        let key = "\(host.bare)/ensign/keys/prod"
        try Data().write(to: URL(fileURLWithPath: key))
        _ = try run("chmod", ["600", key], in: "/")
        #expect(try host.ensign("init").status == 0)
        #expect(try Data(contentsOf: URL(fileURLWithPath: key)).count > 200)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        try host.expectSound()
    }
}

extension Host {
    /// The clone's commit, in the bare repository, without a hook.
    fileprivate func pushedCommit() throws -> String {
        try hostGit("fetch", "-q", work, "main:refs/tmp")
        return try hostGit("rev-parse", "refs/tmp")
    }
}
