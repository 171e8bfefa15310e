import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignQueries
import EnsignReconciler
import EnsignSupervisor
import EnsignSystem

extension Verb {
    static let hook = Verb(
        name: "hook",
        group: .setUp,
        summary: "Run as a git hook",
        discussion:
            "Called by the hooks that 'ensign init' installs. Your own hook can call it with the same arguments and input.",
        arguments: [
            Argument(
                name: "NAME",
                summary: "The hook: pre-commit, pre-receive or post-receive",
                kind: .choice(["pre-commit", "pre-receive", "post-receive"])
            )
        ],
        examples: [
            Example(command: "exec ensign hook pre-receive", meaning: "the last line of a pre-receive of your own")
        ]
    ) { invocation in
        let hooks = Hooks(site: try invocation.site(insideHook: true), invocation: invocation)
        switch invocation.argument(0) {
        case "pre-commit": return try hooks.preCommit()
        case "pre-receive": return try hooks.preReceive(Hooks.updates("pre-receive", Console.readInput()))
        default: return try hooks.postReceive(Hooks.updates("post-receive", Console.readInput()))
        }
    }
}

/// What the hooks do. What they print reaches the pusher as `remote:` lines.
struct Hooks {
    let site: Site
    let invocation: Invocation

    /// One line of a receive hook's input.
    struct Update: Sendable, Hashable {
        var old: ObjectID
        var new: ObjectID
        var ref: String
    }

    /// Parses `<old> <new> <ref>` lines (githooks(5), pre-receive).
    ///
    /// - Throws: When there are none, or one cannot be read: what nobody looked at must not get past.
    static func updates(_ hook: String, _ input: [UInt8]) throws -> [Update] {
        let updates = try input.split(separator: 0x0A).map { line in
            let text = String(decoding: line, as: UTF8.self)
            let parts = text.split(separator: " ", maxSplits: 2)
            guard text.utf8.elementsEqual(line), parts.count == 3, let old = ObjectID(parts[0]),
                let new = ObjectID(parts[1])
            else {
                throw Failure(
                    message: "\(hook) cannot read '\(text.cut(utf8: 200))'",
                    hints: ["git gives it lines of '<old> <new> <ref>', and the names of refs must be UTF-8"]
                )
            }
            return Update(old: old, new: new, ref: String(parts[2]))
        }
        guard !updates.isEmpty else {
            throw Failure(
                message: "\(hook) got no updates on standard input",
                hints: ["a hook of yours that reads the lines that git writes must hand them on"]
            )
        }
        return updates
    }

    private var console: Console { invocation.console }
    private var validTree: ValidTree { ValidTree(site: site, version: App.version) }

    // MARK: pre-commit

    func preCommit() throws -> ExitCode {
        // With git's own variables: the commit may have an index of its own.
        let place = invocation["repo"].map { ["-C", $0] } ?? []
        let outcome = try Subprocess("git", place + ["write-tree"]).run()
        guard outcome.status == 0, let tree = ObjectID(outcome.outputText.prefix(40)) else {
            throw Failure(message: "git write-tree failed: \(outcome.errorText.cut(utf8: 200))")
        }
        guard try hasFleet(tree) else { return .done }
        let branch = try site.pushedCommit().map { try site.repository.commit($0).tree }
        let result = try validTree.validate(tree, since: branch, today: invocation.today)
        var findings = result.findings
        if let branch {
            findings += try FrozenVersions.violations(from: branch, to: tree, repository: site.repository)
        } else if try site.repository.reference("HEAD") != nil {
            console.note("There is no branch '\(site.settings.branch)' here: released versions were not compared.")
        }
        try show(findings, tree)
        guard findings.contains(where: { $0.severity == .error }) else { return .done }
        console.note("The commit was not made. Fix the findings, or skip this check with 'git commit --no-verify'.")
        return findings.contains { $0.code == "frozen-version" } && result.errors == 0 ? .refused : .invalid
    }

    // MARK: pre-receive

    /// Runs inside git's quarantine and writes neither objects nor refs.
    func preReceive(_ updates: [Update]) throws -> ExitCode {
        var worst = ExitCode.done
        var isLookedAt = false
        for update in updates {
            let ref = try PushedRef(update.ref, isDeleted: update.new == .zero, in: site)
            let result: ExitCode
            if let refusal = try ref.refusal(update.ref, in: site) {
                console.note(refusal.onOneLine)
                result = .refused
            } else {
                result = ref == .branch ? try receive(update) : .done
            }
            isLookedAt = isLookedAt || ref == .branch
            worst = worst.worst(result)
        }
        if !isLookedAt, updates.contains(where: { $0.ref.hasPrefix("refs/heads/") }), site.settings.remote == nil,
            let slip = try site.branchSlip()
        {
            console.note("warning: \(slip.onOneLine): nothing of this push is looked at")
        }
        return worst
    }

    private func receive(_ update: Update) throws -> ExitCode {
        let branch = site.settings.branch
        if update.new == .zero {
            console.note(
                "\(branch): refused: it is the desired state, and deleting it would leave the fleet without one"
            )
            return .refused
        }
        let commit = try site.repository.commit(update.new)
        let environments = try site.environments(in: commit.tree)
        let recorded = try Ledger.environments(in: site.repository)
        guard try hasFleet(commit.tree) || !recorded.isEmpty else {
            console.note("\(branch): there is no fleet/ or environments/ yet: nothing is declared")
            return .done
        }
        // What is there now, whatever git calls the old tip: an old kind of symbolic ref has none.
        let old = try site.repository.reference("refs/heads/\(branch)") ?? update.old
        let before = old == .zero ? nil : try site.repository.commit(old).tree
        let result = try validTree.validate(commit.tree, since: before, today: invocation.today)
        let frozen =
            try before.map { before in
                try FrozenVersions.violations(from: before, to: commit.tree, repository: site.repository)
            } ?? []
        try show(result.findings + frozen, commit.tree)
        if result.errors > 0 || !frozen.isEmpty {
            console.note(
                "\(branch): refused: \(counted(result.errors + frozen.count, "error")); what is live stays as it is"
            )
            return result.errors > 0 ? .invalid : .refused
        }
        if old != .zero {
            switch try site.repository.isAncestor(old, of: update.new) {
            case true?: break
            case false?:
                console.note("\(branch): history is rewritten: the old tip \(old.short) is no longer part of it")
            case nil:
                console.note(
                    "\(branch): whether history is rewritten is not known: this repository is shallow (git fetch --unshallow)"
                )
            }
        }
        if let remote = site.settings.remote,
            try site.repository.finalName(of: site.settings.desiredRef) != site.repository.finalName(of: update.ref)
        {
            console.note(
                "\(branch): this host follows '\(branch)' of '\(remote)', not its own: nothing changes here; push to '\(remote)'"
            )
            return .done
        }
        for slip in try site.environmentSlips(declared: environments) { console.note("warning: \(slip.onOneLine)") }
        var unproven: [HeldAgent] = []
        for environment in configured(environments + recorded) {
            do {
                let held = try showPlan(environment, update.new)
                unproven += try held.filter { try brings($0, environment, since: old, commit.tree) }
            } catch {
                // The push is not what is wrong, and the others' plans are shown; reconciling says it again.
                console.note("\(environment): its plan cannot be shown: \("\(error)".onOneLine)")
            }
        }
        guard let first = unproven.first else { return .done }
        let more = unproven.count > 1 ? ", and \(unproven.count - 1) more" : ""
        console.note("\(branch): refused: \(first.agent) \(first.wanted.version) is not proven\(more)")
        console.note(
            "  hint: push it again when it is; on the host 'ensign rollout override AGENT --env E --version X.Y.Z --reason R' lets one in"
        )
        return .refused
    }

    private func configured(_ names: [String]) -> [String] {
        let all = site.inOrder(Set(names))
        guard let wanted = site.settings.environments else { return all }
        return all.filter(wanted.contains)
    }

    /// The most agents of an environment whose plan a push shows: a pusher reads a page, not ten thousand lines.
    private static let maxAgents = 50

    /// Whether it is this push that names the version: what waits already, for another reason than the push, stops no
    /// other push.
    private func brings(
        _ held: HeldAgent,
        _ environment: String,
        since old: ObjectID,
        _ tree: ObjectID
    ) throws -> Bool {
        guard old != .zero else { return true }
        let pins = try [try site.repository.commit(old).tree, tree].map { tree in
            try Fleet(snapshot: GitSnapshot(site.repository, tree: tree), today: invocation.today)
                .deployment(held.agent, in: environment)?.value?.version?.value
        }
        return pins[0] != pins[1]
    }

    /// - Returns: The agents whose version must wait for its soak.
    private func showPlan(_ environment: String, _ commit: ObjectID) throws -> [HeldAgent] {
        let situation = try Situation.look(site, environment, version: App.version)
        let desired = try Desired(site, commit, name: site.settings.branch)
        let decision = try situation.decide(desired, fallsBack: false)
        guard var plan = decision.shown else { return [] }
        plan.addEvidence(site, now: invocation.now)
        if !plan.hasDifferences, plan.waiting.isEmpty, plan.kept.isEmpty, plan.refusal == nil {
            console.note("\(environment): no changes")
            for warning in plan.warnings { console.note("\(environment): warning: \(warning.onOneLine)") }
        } else {
            console.note(try PlanRenderer(plan: plan, limit: Self.maxAgents).text())
        }
        return plan.held.filter { $0.reason == .soaking }
    }

    // MARK: post-receive

    func postReceive(_ updates: [Update]) throws -> ExitCode {
        let desired = try site.repository.finalName(of: site.settings.desiredRef)
        guard try updates.contains(where: { try site.repository.finalName(of: $0.ref) == desired }) else {
            try explainOtherBranch(updates)
            return .done
        }
        guard try isOwner() else {
            console.note("This account does not own the repository: 'ensign watch' will pick the push up.")
            return .done
        }
        guard site.isInitialised else { throw ReconcileError.notInitialised }
        var worst = ExitCode.done
        var settled: [(environment: String, disagreements: [Disagreement])] = []
        for environment in try site.environments([]) {
            do {
                let reconciler = Reconciler(
                    site: site,
                    environment: environment,
                    actor: invocation.actor(.hook)
                )
                let report = try reconciler.run()
                // pre-receive has shown the warnings.
                settled.append((environment, report.branches.disagreements))
                let faster = try appliedByOthers(environment, updates)
                let result = try invocation.show(
                    report,
                    environment,
                    site,
                    showsWarnings: false,
                    appliedBefore: faster
                )
                invocation.notify(environment, site, detached: true)
                worst = worst.worst(result)
            } catch {
                // One environment that fails does not stop the others.
                let explanation = Explanation(error)
                console.note("\(environment): failed")
                explanation.print(to: console)
                worst = worst.worst(explanation.code)
            }
        }
        // Last: a forge that does not answer holds up no environment.
        if let forge = Forge(site) {
            for (environment, disagreements) in settled {
                for note in forge.settle(environment, disagreements) {
                    console.note("\(environment): \(note.onOneLine)")
                }
            }
        }
        return worst
    }

    /// What a watch did about this push before the hook had its turn; empty when the hook did it itself, or nobody had to.
    private func appliedByOthers(_ environment: String, _ updates: [Update]) throws -> [AppliedCommit] {
        guard let commit = try site.desiredCommit(), updates.contains(where: { $0.new == commit }) else { return [] }
        let ledger = site.ledger(environment)
        return try AppliedCommit.find(commit, ledger, ledger.tip()).filter { $0.entry.entry.actor.mode != .hook }
    }

    /// Without the desired branch a push of another one is mostly meant to be it.
    private func explainOtherBranch(_ updates: [Update]) throws {
        let branches = updates.filter { $0.ref.hasPrefix("refs/heads/") && $0.new != .zero }
        guard let first = branches.first, site.settings.remote == nil, try site.desiredCommit() == nil else { return }
        console.note(
            "'\(site.settings.branch)' is the desired branch; this push to '\(String(first.ref.dropFirst(11)).onOneLine)' changes nothing here"
        )
    }

    private func isOwner() throws -> Bool {
        guard let status = try Files.status(String(site.repository.commonDirectory.dropLast())) else { return true }
        return status.owner == Machine.effectiveUserID
    }

    // MARK: Shared

    private func hasFleet(_ tree: ObjectID) throws -> Bool {
        try site.repository.tree(tree).contains {
            $0.name.elementsEqual(RepositoryPath.fleet.utf8)
                || $0.name.elementsEqual(RepositoryPath.environments.utf8)
        }
    }

    private func show(_ findings: [Finding], _ tree: ObjectID) throws {
        guard !findings.isEmpty else { return }
        let fleet = Fleet(snapshot: GitSnapshot(site.repository, tree: tree), today: invocation.today)
        let text = FindingRenderer(paint: console.paintNote, source: fleet.source).render(findings.sorted())
        console.note(String(text.dropLast()))
    }
}
