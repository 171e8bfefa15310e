import EnsignTestSupport
import Foundation
import Testing

/// Repositories of every kind that git knows, at every path.
@Suite struct RepositoryTests {
    private let deployment = FleetFixture.deploymentPath

    @Test(
        "A path with anything in it works, from push to drift",
        arguments: [
            "with space.git", "new\nline.git", "flötte-艦隊.git", "a:b.git", "quo'te\"$HOME`.git", "-n.git", "%s.git",
        ]
    )
    func paths(_ name: String) throws {
        let host = try Host(named: name, fleet: FleetFixture())
        let push = try host.push(deployment, "maximum: 100", "maximum: 90")
        #expect(push.status == 0)
        #expect(push.errors.contains("remote: prod: support/triage updated 1.0.0"), "\(push.errors)")
        try Data("{}".utf8).write(to: URL(fileURLWithPath: "\(host.live())/agents/support/desk.json"))
        #expect(try host.ensign("drift", "--env", "prod", "--detailed-exitcode").status == 2)
        #expect(try host.ensign("reconcile", "--env", "prod", environment: ["LANG": "C", "LC_ALL": "C"]).status == 0)
        try host.expectSound()
        let refused = try host.push(deployment, "maximum: 90", "maximun: 90")
        #expect(refused.errors.contains("did you mean 'maximum'?"), "\(refused.errors)")
        let elsewhere = try run(Host.ensign, ["status", "--repo", host.bare], in: host.scratch.path)
        #expect(elsewhere.status == 0)
    }

    /// A repository with a work tree that hosts the small fleet itself.
    private func nonBare() throws -> ScratchDirectory {
        let scratch = try ScratchDirectory()
        try FleetFixture().write(to: "main", in: scratch)
        let repository = "\(scratch.path)/main"
        for arguments in [["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "The fleet"]] {
            let result = try run("git", arguments, in: repository)
            try #require(result.status == 0, "\(result.errors)")
        }
        return scratch
    }

    @Test("Linked work trees share one ledger, one lock and one live directory")
    func linkedWorkTree() throws {
        let scratch = try nonBare()
        let (main, linked) = ("\(scratch.path)/main", "\(scratch.path)/linked")
        #expect(try run("git", ["worktree", "add", "-q", "-b", "wip", linked], in: main).status == 0)
        #expect(try run(Host.ensign, ["init"], in: linked).status == 0)
        #expect(try run(Host.ensign, ["reconcile", "--env", "prod"], in: linked).status == 0)
        #expect(scratch.exists("main/.git/ensign/live/prod/fleet.json"))
        for place in [main, linked] {
            #expect(try run(Host.ensign, ["verify", "--env", "prod"], in: place).output.hasPrefix("prod: intact, 3"))
            let again = try run(Host.ensign, ["reconcile", "--env", "prod"], in: place)
            #expect(again.errors.contains("nothing to do, at entry 2"))
        }
        // pre-commit judges what is staged there, not in the main work tree.
        try scratch.write("linked/environments/prod/environment.yaml", "kind: Nonsense\n")
        #expect(try run("git", ["commit", "-q", "-a", "-m", "Bad"], in: linked).status != 0)
        #expect(try run("git", ["commit", "-q", "--allow-empty", "-m", "Good"], in: main).status == 0)
        // In a folder below the work tree too.
        #expect(try run(Host.ensign, ["status"], in: "\(linked)/environments").status == 0)
    }

    @Test("A detached HEAD and an index full of changes do not matter: the branch is what counts")
    func detachedHead() throws {
        let scratch = try nonBare()
        let main = "\(scratch.path)/main"
        #expect(try run(Host.ensign, ["init"], in: main).status == 0)
        #expect(try run(Host.ensign, ["reconcile", "--env", "prod"], in: main).status == 0)
        #expect(try run("git", ["checkout", "-q", "--detach"], in: main).status == 0)
        try FileManager.default.removeItem(atPath: "\(main)/environments")
        #expect(try run("git", ["add", "-A"], in: main).status == 0)
        let reconcile = try run(Host.ensign, ["reconcile", "--env", "prod"], in: main)
        #expect(reconcile.errors.contains("nothing to do, at entry 2"))
        #expect(try run(Host.ensign, ["drift", "--env", "prod", "--detailed-exitcode"], in: main).status == 0)
    }

    @Test("An unborn branch is 'nothing declared yet' and no error")
    func unborn() throws {
        let host = try Host(fleet: FleetFixture(), pushes: false)
        let reconcile = try host.ensign("reconcile", "--env", "prod")
        #expect(reconcile.status == 0)
        #expect(reconcile.errors.contains("nothing is declared yet"))
        #expect(try host.ensign("status").status == 0)
        #expect(try host.ensign("verify").errors.contains("there is no ledger here yet"))
        let validate = try host.ensign("validate")
        #expect(validate.errors.contains("refs/heads/main does not exist yet"), "\(validate.output)\(validate.errors)")
        #expect(!FileManager.default.fileExists(atPath: host.live()))
    }

    @Test("A branch that is gone leaves everything live, is recorded once, and goes on when it is back")
    func deletedBranch() throws {
        let host = try Host(fleet: FleetFixture())
        let live = try host.liveFiles()
        let tip = try host.hostGit("rev-parse", "refs/heads/main")
        try host.hostGit("update-ref", "-d", "refs/heads/main")
        for _ in 0..<2 {
            let reconcile = try host.ensign("reconcile", "--env", "prod")
            #expect(reconcile.status == 1)
            #expect(reconcile.errors.contains("refs/heads/main no longer exists"))
        }
        #expect(try host.kinds() == ["genesis", "intent", "outcome", "refused"])
        #expect(try host.liveFiles() == live)
        try host.hostGit("update-ref", "refs/heads/main", tip)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        try host.push(deployment, "maximum: 100", "maximum: 90")
        try host.expectSound()
    }

    @Test(
        "A repository that libgit2 cannot read is named by its extension, with a way out",
        arguments: ["objectformat", "compatobjectformat"]
    )
    func extensions(_ name: String) throws {
        let host = try Host(fleet: FleetFixture())
        let path = "\(host.scratch.path)/other"
        let commands: [[String]] =
            switch name {
            case "objectformat": [["init", "-q", "--object-format=sha256", path]]
            default:
                [
                    ["init", "-q", path], ["-C", path, "config", "core.repositoryFormatVersion", "1"],
                    ["-C", path, "config", "extensions.worktreeConfig", "true"],
                    ["-C", path, "config", "extensions.\(name)", "sha256"],
                ]
            }
        for command in commands { #expect(try run("git", command, in: host.scratch.path).status == 0) }
        for arguments in [["validate"], ["status"], ["init"], ["verify"], ["reconcile", "--env", "prod"]] {
            let result = try run(Host.ensign, arguments, in: path)
            #expect(result.status == 1)
            #expect(result.errors.contains("git's extension 'extensions.\(name)'"), "\(result.errors)")
            #expect(result.errors.contains("hint: "))
        }
        let below = try run(Host.ensign, ["status", "--repo", path], in: host.scratch.path)
        #expect(below.errors.contains("extensions.\(name)"), "\(below.errors)")
    }

    @Test("In a partial clone a missing object is not damage: it says what kind of clone this is")
    func partialClone() throws {
        let host = try Host(fleet: FleetFixture())
        try host.hostGit("config", "uploadpack.allowFilter", "true")
        let path = "\(host.scratch.path)/partial"
        let clone = ["clone", "-q", "--no-checkout", "--filter=blob:none", "file://\(host.bare)", path]
        #expect(try run("git", clone, in: host.scratch.path).status == 0)
        let ledgers = "refs/ensign/ledger/*:refs/ensign/ledger/*"
        #expect(try run("git", ["fetch", "-q", "origin", ledgers], in: path).status == 0)
        for arguments in [["verify", "--env", "prod"], ["plan", "--env", "prod", "HEAD"], ["log", "--env", "prod"]] {
            let result = try run(Host.ensign, arguments, in: path)
            #expect(result.status == 1, "\(arguments): \(result.output)\(result.errors)")
            #expect(result.errors.contains("clone it again without --filter"), "\(arguments): \(result.errors)")
        }
        // Older versions of git wrote it down as an extension.
        for setting in [["core.repositoryFormatVersion", "1"], ["extensions.partialClone", "origin"]] {
            #expect(try run("git", ["config"] + setting, in: path).status == 0)
        }
        let named = try run(Host.ensign, ["status"], in: path)
        #expect(named.errors.contains("git's extension 'extensions.partialclone'"), "\(named.errors)")
    }

    @Test("The extension is named in a folder below the work tree too")
    func extensionBelow() throws {
        let scratch = try ScratchDirectory()
        #expect(try run("git", ["init", "-q", "--object-format=sha256"], in: scratch.path).status == 0)
        try scratch.write("environments/prod/environment.yaml", "")
        let result = try run(Host.ensign, ["status"], in: "\(scratch.path)/environments/prod")
        #expect(result.errors.contains("extensions.objectformat"), "\(result.errors)")
    }

    @Test("Where there is no repository, that is what it says")
    func none() throws {
        let scratch = try ScratchDirectory()
        let result = try run(Host.ensign, ["status"], in: scratch.path)
        #expect(result.status == 1)
        #expect(result.errors.contains("there is no git repository at \(scratch.path)"))
    }

    @Test("A repository of another account is not opened, and the way to trust it is said")
    func otherOwner() throws {
        let host = try Host(fleet: FleetFixture())
        // Only root can give files away.
        guard try run("chown", ["-R", "65534", host.bare], in: host.scratch.path).status == 0 else { return }
        for (arguments, place) in [(["status"], host.bare), (["status", "--repo", host.bare], host.scratch.path)] {
            let result = try run(Host.ensign, arguments, in: place)
            #expect(result.status == 1)
            #expect(result.errors.contains("\(host.bare) belongs to another account"), "\(result.errors)")
            #expect(result.errors.contains("safe.directory"))
        }
        // Pushing works: git itself has let the pusher in. The hook leaves reconciling to the owner.
        let trust = ["GIT_CONFIG_GLOBAL": try host.scratch.write("trust", "[safe]\n\tdirectory = *\n")]
        try host.edit(deployment, "maximum: 100", "maximum: 90")
        try host.git("commit", "-q", "-a", "-m", "Change")
        let push = try run("git", ["push", "-q", "origin", "main"], in: host.work, environment: trust)
        #expect(push.status == 0, "\(push.errors)")
        #expect(push.errors.contains("'ensign watch' will pick the push up"), "\(push.errors)")
        #expect(push.errors.contains("support/triage  update"))
    }

    @Test("A branch called 'ensign' is refused; one that is there already does not get in the way of the ledger")
    func branchCalledEnsign() throws {
        let host = try Host(fleet: FleetFixture())
        #expect(try host.tryGit("push", "-q", "origin", "HEAD:refs/heads/ensign").status != 0)
        try host.hostGit("update-ref", "refs/heads/ensign", "refs/heads/main")
        try host.git("push", "-q", "origin", "HEAD:refs/tags/ensign")
        #expect(try host.push(deployment, "maximum: 100", "maximum: 90").status == 0)
        try host.expectSound()
    }

    // MARK: Released versions

    @Test(
        "Nothing about a released version changes, however it is done",
        arguments: [
            "mode", "rename", "file for folder", "link", "deep file", "force-push",
        ]
    )
    func frozen(_ how: String) throws {
        let host = try Host(fleet: FleetFixture())
        let version = "fleet/agents/support/desk/1.0.0"
        switch how {
        case "mode": try host.git("update-index", "--chmod=+x", "\(version)/prompt.md")
        case "rename":
            try host.git("mv", "\(version)/prompt.md", "\(version)/text.md")
            try host.edit("\(version)/agent.yaml", "prompt.md", "text.md")
            try host.git("add", "-A")
        case "file for folder":
            try FileManager.default.removeItem(atPath: "\(host.work)/\(version)")
            try host.scratch.write("work/\(version)", "x")
            try host.git("add", "-A")
        case "link":
            try FileManager.default.removeItem(atPath: "\(host.work)/\(version)/prompt.md")
            try FileManager.default.createSymbolicLink(
                atPath: "\(host.work)/\(version)/prompt.md",
                withDestinationPath: "agent.yaml"
            )
            try host.git("add", "-A")
        case "deep file":
            try host.scratch.write("work/\(version)/examples/one/two.md", "x")
            try host.git("add", "-A")
        default:
            try host.edit("\(version)/prompt.md", "Call", "Ring")
            try host.git("add", "-A")
            try host.git("reset", "-q", "--soft", "HEAD")
        }
        if how == "force-push" {
            try host.git("commit", "-q", "--amend", "-m", "Another first commit")
        } else {
            try host.git("commit", "-q", "-m", "Change what is released")
        }
        let push = try host.tryGit("push", "-q", "--force", "origin", "main")
        #expect(push.status != 0)
        #expect(push.errors.contains("[frozen-version]"), "\(push.errors)")
        #expect(try host.kinds().count == 3)
    }

    @Test(
        "A version that a deployment names cannot be deleted, nor can a tool that an agent needs",
        arguments: [
            "fleet/agents/support/desk/1.0.0", "fleet/tools/crm/1.0.0.yaml",
        ]
    )
    func deployedVersion(_ path: String) throws {
        let host = try Host(fleet: FleetFixture())
        try host.git("rm", "-q", "-r", path)
        try host.git("commit", "-q", "-m", "Tidy up")
        let push = try host.tryGit("push", "-q", "origin", "main")
        #expect(push.status != 0)
        #expect(push.errors.contains("main: refused"), "\(push.errors)")
    }

    @Test("refs/ensign is closed to pushes by stock git itself, whatever hooks there are")
    func closedRefs() throws {
        let host = try Host(fleet: FleetFixture())
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks")
        let before = try host.hostGit("for-each-ref")
        for refspec in [
            "HEAD:refs/ensign/ledger/prod", "HEAD:refs/ensign/ledger/new", ":refs/ensign/ledger/prod",
            "HEAD:refs/ensign/x",
        ] {
            let push = try host.tryGit("push", "--force", "origin", refspec)
            #expect(push.status != 0)
            #expect(push.errors.contains("hidden ref"), "\(refspec): \(push.errors)")
        }
        #expect(try host.hostGit("for-each-ref") == before)
        // Fetching works all the same.
        try host.git("fetch", "-q", "origin", "refs/ensign/ledger/*:refs/ensign/ledger/*")
    }

    @Test("Nothing is written beside a repository that is there and cannot be opened")
    func notOpened() throws {
        let scratch = try ScratchDirectory()
        #expect(try run("git", ["init", "-q", "--object-format=sha256"], in: scratch.path).status == 0)
        try scratch.write("below/api.json", #"{"openapi":"3.0.0","info":{"title":"b","version":"1"},"paths":{}}"#)
        try scratch.write("below/traces.jsonl", "{}\n")
        let lines = [
            ["new", "env", "dev"], ["new", "agent", "a/b"], ["new", "tool", "t", "--team", "a"],
            ["import", "openapi", "b", "api.json", "--team", "a"],
            ["discover", "--telemetry", "traces.jsonl", "--write", "--team", "a"],
        ]
        for words in lines {
            let result = try run(Host.ensign, words, in: "\(scratch.path)/below")
            #expect(result.status == 1, "\(words): \(result.output)")
            #expect(result.errors.contains("extensions.objectformat"), "\(words): \(result.errors)")
        }
        let files = try FileManager.default.contentsOfDirectory(atPath: "\(scratch.path)/below").sorted()
        #expect(files == ["api.json", "traces.jsonl"])
    }

    @Test("A key that cannot be used is told by init, before anything was signed with it")
    func brokenKeys() throws {
        let host = try Host(fleet: FleetFixture(), pushes: false)
        let key = "\(host.bare)/ensign/keys/prod"
        try FileManager.default.createDirectory(atPath: "\(host.bare)/ensign/keys", withIntermediateDirectories: true)
        try host.hostGit("fetch", "-q", host.work, "main:main")
        for bytes in [Data(repeating: 0, count: 100), Data("\n".utf8), Data("no key".utf8), nil] {
            try? FileManager.default.removeItem(atPath: key)
            if let bytes {
                try bytes.write(to: URL(fileURLWithPath: key))
                try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key)
            } else {
                try FileManager.default.createDirectory(atPath: key, withIntermediateDirectories: true)
            }
            let result = try host.ensign("init")
            #expect(result.status == 1, "\(result.output)")
            #expect(result.errors.contains("mv \(key)") || result.errors.contains("mv "), "\(result.errors)")
            #expect(!result.errors.contains("others may read it"), "\(result.errors)")
        }
        try FileManager.default.removeItem(atPath: key)
        #expect(try host.ensign("init").status == 0)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
    }

    @Test("Beside a work tree init says how what is committed goes live, as git takes no push to what is checked out")
    func besideAWorkTree() throws {
        let host = try Host(fleet: FleetFixture())
        let own = "\(host.scratch.path)/own"
        try host.git("clone", "-q", host.bare, own)
        let ready = try run(Host.ensign, ["init"], in: own).output
        #expect(ready.contains("ensign reconcile --env") && !ready.contains("push to 'main'"), "\(ready)")
        _ = try run("git", ["config", "receive.denyCurrentBranch", "updateInstead"], in: own)
        #expect(try run(Host.ensign, ["init"], in: own).output.contains("push to 'main'"))
    }

    @Test("A mirror takes whatever is there for the ledger, and is told to be no witness")
    func mirror() throws {
        let host = try Host(fleet: FleetFixture())
        let mirror = "\(host.scratch.path)/mirror.git"
        try host.git("clone", "-q", "--mirror", host.bare, mirror)
        let result = try run(Host.ensign, ["init", "--client"], in: mirror)
        #expect(result.status == 0)
        #expect(result.errors.contains("no witness of it"), "\(result.errors)")
        #expect(!result.output.contains("is a witness"), "\(result.output)")
        #expect(!(try host.ensignInWork("init", "--client").errors.contains("no witness")))
    }
}
