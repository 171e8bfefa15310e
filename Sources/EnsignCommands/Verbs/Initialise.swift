import EnsignCommandLine
import EnsignCrypto
import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignReconciler
import EnsignSystem

extension Verb {
    static let initialise = Verb(
        name: "init",
        group: .setUp,
        summary: "Set up keys, git config and hooks in this repository",
        discussion: """
            In the repository that hosts the fleet it makes a signing key for each environment that it sees, installs \
            the hooks pre-receive and post-receive (and pre-commit beside a work tree), and hides refs/ensign from \
            pushes. With --client it sets up a developer's clone: pre-commit and fetching of the ledger, no key. \
            Running it again changes nothing. A hook that Ensign did not write is never touched.
            """,
        options: [Option(name: "client", summary: "Set up a developer's clone instead of the host")],
        examples: [
            Example(
                command: "git init --bare -b main fleet.git && ensign init --repo fleet.git",
                meaning: "a repository to push to"
            ),
            Example(command: "ensign init --client", meaning: "a developer's clone"),
        ]
    ) { invocation in
        let site = try invocation.site()
        let setup = RepositorySetup(site: site, invocation: invocation)
        return invocation.has("client") ? try setup.client() : try setup.host()
    }
}

/// Sets up a repository, saying what it did.
struct RepositorySetup {
    let site: Site
    let invocation: Invocation

    private func say(_ text: String) {
        if !invocation.isQuiet { invocation.console.line(text) }
    }

    func host() throws -> ExitCode {
        guard !site.settings.isClient else {
            throw Refusal(
                message: "this is a developer's clone (ensign.client), and it would begin a ledger of its own",
                hints: ["if this is to be the host: git config --unset ensign.client, and then ensign init"]
            )
        }
        try site.settings.checkDesiredRef()
        for folder in site.files.folders { try Files.makeDirectories(folder.path, mode: folder.mode) }
        try hide("refs/ensign", "nobody can push to the ledger")
        try hide("refs/replace", "nobody can push what changes how git shows history")
        if try Git.run(["config", "--local", "--get", "receive.fsckObjects"], in: site).outputText.isEmpty {
            try Git.check(["config", "--local", "receive.fsckObjects", "true"], in: site)
            say("config  receive.fsckObjects true: git refuses objects that are not well formed")
        }
        let environments = try site.environments([])
        for environment in environments {
            // A first reconcile may be under way.
            let lock = try FileLock(site.files.lock(environment), timeout: .seconds(60))
            defer { withExtendedLifetime(lock) {} }
            let path = site.settings.signingKey(environment, site.files)
            guard try site.ledger(environment).tip() == nil else { continue }
            guard try LedgerKey.isMissing(path) else {
                try checkKey(environment, path)
                continue
            }
            let key = try LedgerKey.create(environment, path: path)
            say("key     \(path) (\(key.publicKey.fingerprint))")
        }
        // Room for halts is taken now, while there is some.
        for environment in environments { try HaltSwitch(site, environment).file.prepare() }
        var hooks = ["pre-receive", "post-receive"]
        if site.repository.workTree != nil { hooks.insert("pre-commit", at: 0) }
        try install(hooks)
        try checkHead()
        if let remote = site.settings.remote {
            say(
                "Ready. Next: 'ensign watch' follows \(remote); so does a timer that runs 'ensign reconcile --env ENV'."
            )
            return .done
        }
        guard try takesPushes() else {
            let environment = environments.first ?? "ENV"
            say(
                "Ready. Next: commit to '\(site.settings.branch)', and run 'ensign reconcile --env \(environment)'. "
                    + "Pushes to what is checked out here need: git config receive.denyCurrentBranch updateInstead"
            )
            return .done
        }
        say(
            environments.isEmpty
                ? "Ready. Push a fleet to '\(site.settings.branch)': keys are made when an environment first appears."
                : "Ready. Next: push to '\(site.settings.branch)', or run 'ensign reconcile --env \(environments[0])'."
        )
        return .done
    }

    /// Before the ledger begins nothing was signed with the key: one that cannot be used is nobody's.
    private func checkKey(_ environment: String, _ path: String) throws {
        do {
            _ = try LedgerKey.load(environment, path: path)
        } catch let error as LedgerError {
            throw Failure(
                message: "\(error)",
                hints: ["nothing is signed with it yet: mv \(path) \(path).old, and 'ensign init' makes a key"]
            )
        }
    }

    /// A clone of an empty repository starts on the branch of its HEAD: any other than the desired one leads nowhere.
    private func checkHead() throws {
        let head = try Git.run(["symbolic-ref", "-q", "HEAD"], in: site).outputText.split(separator: "\n").first ?? ""
        let wanted = "refs/heads/\(site.settings.branch)"
        guard site.repository.workTree == nil, site.settings.remote == nil, try site.desiredCommit() == nil,
            head.hasPrefix("refs/heads/"), head != wanted
        else { return }
        invocation.console.note(
            "warning: HEAD is '\(head.dropFirst(11))', and '\(site.settings.branch)' is the desired branch: clones start on the wrong one"
        )
        invocation.console.note(
            "  hint: git symbolic-ref HEAD \(wanted), or name the other: git config ensign.branch \(head.dropFirst(11))"
        )
    }

    /// Whether git takes a push to the desired branch: by default not to one that is checked out.
    private func takesPushes() throws -> Bool {
        guard site.repository.workTree != nil,
            try site.repository.headReference() == "refs/heads/\(site.settings.branch)"
        else { return true }
        let answer = try Git.run(["config", "--get", "receive.denyCurrentBranch"], in: site).outputText
        return ["ignore", "warn", "updateinstead", "false"].contains(answer.prefix { $0 != "\n" }.lowercased())
    }

    private func hide(_ refs: String, _ what: String) throws {
        let hidden = try Git.run(["config", "--local", "--get-all", "receive.hideRefs"], in: site).outputText
        guard !hidden.split(separator: "\n").contains(Substring(refs)) else { return }
        try Git.check(["config", "--local", "--add", "receive.hideRefs", refs], in: site)
        say("config  receive.hideRefs \(refs): \(what)")
    }

    func client() throws -> ExitCode {
        if !site.settings.isClient, try isHost() {
            throw Refusal(
                message: "this repository hosts a fleet, and a developer's clone never reconciles",
                hints: [
                    "set up the clone instead: ensign init --client --repo CLONE",
                    "if another host has taken over: git config ensign.client true",
                ]
            )
        }
        try Files.makeDirectories(site.files.root)
        try Git.check(["config", "--local", "ensign.client", "true"], in: site)
        let remotes = try Git.run(["remote"], in: site).outputText.split(separator: "\n").map(String.init)
        for remote in remotes {
            let key = "remote.\(remote).fetch"
            let line = "refs/ensign/ledger/*:refs/ensign/ledger/*"
            let present = try Git.run(["config", "--local", "--get-all", key], in: site).outputText
            if let forced = present.split(separator: "\n").first(where: Self.overwritesLedger) {
                invocation.console.note(
                    "warning: '\(forced)' of '\(remote)' overwrites the ledger with whatever is there: this clone is no witness of it"
                )
                invocation.console.note("  hint: clone without --mirror, and run 'ensign init --client' there")
                continue
            }
            guard !present.split(separator: "\n").contains(Substring(line)) else { continue }
            try Git.check(["config", "--local", "--add", key, line], in: site)
            say("config  \(key) \(line): this clone is a witness of the ledger")
        }
        try warn(ofPruning: remotes)
        try install(["pre-commit"])
        say("Ready. Commits are checked before they are made; this clone never reconciles.")
        return .done
    }

    /// Whether git takes what a refspec brings for a ledger though it does not continue the one here.
    private static func overwritesLedger(_ refspec: Substring) -> Bool {
        guard refspec.hasPrefix("+"), let target = refspec.split(separator: ":").last, target.hasSuffix("*") else {
            return false
        }
        return "refs/ensign/ledger/".hasPrefix(target.dropFirst(target.hasPrefix("+") ? 1 : 0).dropLast())
    }

    /// git's pruning takes a ledger away that the remote has lost: then this clone is no witness of it.
    private func warn(ofPruning remotes: [String]) throws {
        for remote in remotes {
            var prunes = false
            for key in ["fetch.prune", "remote.\(remote).prune"] {
                let answer = try Git.run(["config", "--type=bool", "--get", key], in: site).outputText
                if !answer.isEmpty { prunes = answer.hasPrefix("true") }
            }
            guard prunes else { continue }
            invocation.console.note(
                "warning: git prunes what '\(remote)' does not have any more: a ledger that is lost there is lost here too"
            )
            invocation.console.note("  hint: git config remote.\(remote).prune false")
        }
    }

    /// Whether this repository has signed, or reconciled, or receives pushes to do so: then agents depend on it.
    private func isHost() throws -> Bool {
        let hook = try Files.read(hooks + "/pre-receive", limit: 1 << 20) ?? []
        return try !site.files.keyedEnvironments().isEmpty || !(Files.list("\(site.files.root)/status") ?? []).isEmpty
            || HookScript.isOwn(hook)
    }

    // MARK: Hooks

    private var hooks: String { site.repository.commonDirectory + "hooks" }

    private func install(_ names: [String]) throws {
        let folder = hooks
        try Files.makeDirectories(folder)
        if let other = site.configuration.values["core.hookspath"] {
            invocation.console.note("warning: git runs the hooks in core.hooksPath (\(other)), not those in \(folder)")
            invocation.console.note("  hint: call 'ensign hook NAME' from the hooks there")
        }
        guard let program = Machine.executable else {
            throw Failure(
                message: "cannot find out where this program is, and the hooks need its absolute path",
                hints: ["mount /proc, or write the hooks yourself: docs/hosting.md"]
            )
        }
        for name in names {
            let path = "\(folder)/\(name)"
            let script = HookScript.text(name, program: program)
            let present = try Files.read(path, limit: 1 << 20)
            if let present, !HookScript.isOwn(present) {
                invocation.console.note("warning: \(path) is not Ensign's: it stays as it is")
                invocation.console.note(
                    "  hint: add this line to it: \(HookScript.call(name, program: program))"
                )
                continue
            }
            if present == Array(script.utf8) { continue }
            try Files.replace(path, with: Array(script.utf8), mode: 0o755)
            say("hook    \(path)")
        }
    }
}

/// The hooks that `init` writes.
enum HookScript {
    /// How Ensign knows its own.
    private static let mark = "# Written by ensign init."

    static func isOwn(_ hook: [UInt8]) -> Bool { String(decoding: hook, as: UTF8.self).contains(mark) }

    static func call(_ name: String, program: String) -> String {
        "exec '\(program.replacing("'", with: "'\\''"))' hook \(name) \"$@\""
    }

    static func text(_ name: String, program: String) -> String {
        """
        #!/bin/sh
        \(mark) Edit nothing here: 'ensign init' writes it again.
        \(call(name, program: program))

        """
    }
}
