import EnsignTestSupport
import Foundation
import Testing

/// What guards agents is shown, counted and said when it changes, though no bundle changes with it.
@Suite struct GuardChangeTests {
    private let environment = FleetFixture.environmentPath
    private let deployment = FleetFixture.deploymentPath

    /// Everything that guards agents, in an environment and in a deployment.
    private static func guarded() -> FleetFixture {
        var fleet = FleetFixture()
        fleet.replace(
            "keepFor: 7d",
            with: """
                keepFor: 7d
                  soak: 24h
                  maxPruneShare: 0.5
                  limits: {costUSDPerDay: 40, concurrentRollouts: 1}
                  killSwitch:
                    - {spend: 25, within: 5m}
                    - {deniedCalls: 5, within: 1m}
                """,
            in: FleetFixture.environmentPath
        )
        fleet.replace(
            "limits: {costUSDPerDay: 40}",
            with: """
                limits: {costUSDPerDay: 40}
                  rollout: {canary: {steps: [{weight: 5, hold: 10m}]}}
                  killSwitch: [{steps: 50}]
                """,
            in: FleetFixture.deploymentPath
        )
        return fleet
    }

    /// What each edit loosens, as a plan says it.
    private static let edits: [(path: String, old: String, new: String, said: String)] = [
        (
            FleetFixture.environmentPath, "    - {deniedCalls: 5, within: 1m}\n", "",
            "every agent of prod (2): the halt at 5 denied calls within 1m is gone"
        ),
        (
            FleetFixture.environmentPath, "spend: 25", "spend: 50",
            "every agent of prod (2): the halt at 25 USD within 5m is now at 50 USD within 5m"
        ),
        (
            FleetFixture.environmentPath, "costUSDPerDay: 40, ", "",
            "every agent of prod (2): the cost of all agents a day is no longer limited (was 40 USD)"
        ),
        (
            FleetFixture.environmentPath, "concurrentRollouts: 1", "concurrentRollouts: 2",
            "every agent of prod (2): the number of canaries at the same time is limited to 2 (was 1)"
        ),
        (
            FleetFixture.environmentPath, "maxPruneShare: 0.5", "maxPruneShare: 1",
            "every agent of prod (2): the share of agents that one commit may remove is 1 (was 0.5)"
        ),
        (
            FleetFixture.environmentPath, "  soak: 24h\n", "",
            "every agent of prod (2): versions no longer have to have been stable for 24h before"
        ),
        (
            FleetFixture.environmentPath, "  promotesFrom: dev\n", "",
            "every agent of prod (2): versions no longer have to come from dev"
        ),
        (
            FleetFixture.environmentPath, "keepFor: 7d", "keepFor: 1d",
            "every agent of prod (2): bundles stay for 1d after their last route (was 7d): so long a way back is open, without soak"
        ),
        (
            FleetFixture.environmentPath, "keepFor: 7d", "keepFor: 7d\n  mutableVersions: true",
            "every agent of prod (2): deployments may run 'next', which changes without a release"
        ),
        (
            FleetFixture.environmentPath, "keepFor: 7d", "keepFor: 7d\n  prune: false",
            "every agent of prod (2): an agent that is no longer declared stays live: it was removed before"
        ),
        (
            FleetFixture.deploymentPath, "  killSwitch: [{steps: 50}]\n", "",
            "support/triage: the halt at 50 calls in one run is gone"
        ),
        (
            FleetFixture.deploymentPath, "  rollout: {canary: {steps: [{weight: 5, hold: 10m}]}}\n", "",
            "support/triage: its canary is gone: every change goes to all sessions at once"
        ),
        (
            FleetFixture.pricesPath, "input: 3.00", "input: 0.03",
            "every agent on anthropic/claude-sonnet-4-5: its price is input 0.03 (was 3) USD per million tokens: rules on spending halt later"
        ),
        (
            FleetFixture.pricesPath, "anthropic/claude-sonnet-4-5: {input: 3.00, output: 15.00, cacheRead: 0.30}", "",
            "every agent on anthropic/claude-sonnet-4-5: the model no longer has a price: what is spent on it is not counted"
        ),
    ]

    private func guards(_ result: CommandResult) throws -> [[String: Any]] {
        let object = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
        return try #require(object?["guards"] as? [[String: Any]])
    }

    private static let recorded = [FleetFixture.environmentPath, FleetFixture.pricesPath]

    @Test("Each loosening is in the plan before the push, in the push, in what reconcile says, and then no more")
    func eachLoosening() throws {
        let host = try Host(fleet: Self.guarded())
        let entries = try host.entries()
        for edit in Self.edits {
            let plain = try String(contentsOfFile: "\(host.work)/\(edit.path)", encoding: .utf8)
            try host.edit(edit.path, edit.old, edit.new)
            // In a clone without a ledger, against the branch's tip.
            let clone = try host.ensignInWork("plan", "--env", "prod", "--worktree", "--detailed-exitcode")
            #expect(clone.status == 2, "\(edit.said)")
            #expect(clone.output.contains("\n  guards loosened, at once  [widening]\n      + \(edit.said)\n"))
            #expect(clone.output.contains("0 to update, 0 to delete, 2 unchanged, 1 guard loosened."))
            try host.git("commit", "-q", "-a", "-m", "Looser")
            try host.git("push", "-q", "origin", "HEAD:refs/heads/proposed")
            let plan = try host.ensign("plan", "--env", "prod", "proposed", "--detailed-exitcode", "-o", "json")
            #expect(plan.status == 2)
            let said = try #require(try guards(plan).first)
            #expect(said["direction"] as? String == "loosened" && said["class"] as? String == "widening")
            #expect(edit.said.hasSuffix(": \(said["text"] as? String ?? "?")"))
            let markdown = try host.ensign("plan", "--env", "prod", "proposed", "-o", "markdown")
            #expect(markdown.output.contains("**Guards loosened, at once (widening)**\n\n- "))
            let push = try host.tryGit("push", "origin", "main")
            let remote = push.errors.replacing(/[ ]*\n/, with: "\n")
            #expect(remote.contains("remote:       + \(edit.said)\n"), "\(remote)")
            #expect(!remote.contains("prod: no changes"))
            #expect(remote.contains("remote: prod: loosened: \(edit.said)\n"), "\(remote)")
            // The environment's own rules are on record, and the prices, as a part of policy.json; what others say of it is not.
            let isRule = Self.recorded.contains(edit.path)
            #expect(
                remote.contains("remote: prod: \(isRule ? "converged, recorded as" : "nothing else to do, at") entry ")
            )
            // It holds now.
            #expect(try host.ensign("plan", "--env", "prod", "--detailed-exitcode").status == 0)
            #expect(try host.ensign("reconcile", "--env", "prod").errors.contains("prod: nothing to do, at entry "))
            let diff = try host.ensign("diff", "main~1", "main", "--env", "prod", "--detailed-exitcode")
            #expect(diff.status == 2)
            #expect(diff.output.contains("\n  guards loosened  [widening]\n      + \(edit.said)\n"))
            // And back.
            try plain.write(toFile: "\(host.work)/\(edit.path)", atomically: true, encoding: .utf8)
            try host.git("commit", "-q", "-a", "-m", "Back")
            let back = try host.tryGit("push", "origin", "main").errors
            let isPrune = edit.new.contains("prune: false")
            #expect(back.contains(isPrune ? "1 guard loosened." : "1 guard tightened."), "\(back)")
        }
        let rules = Self.edits.count { Self.recorded.contains($0.path) }
        #expect(try host.entries().count == entries.count + 4 * rules)
        try host.expectSound()
    }

    @Test("A trusted key that comes is a loosening in every environment, one that goes a tightening")
    func trust() throws {
        let host = try Host(fleet: Self.guarded())
        let key = try host.ensign("keys", "--env", "prod").output.split(separator: " ").suffix(2).joined(separator: " ")
        try FileManager.default.createDirectory(
            atPath: "\(host.work)/fleet/trust",
            withIntermediateDirectories: true
        )
        try "eve@example.com \(key)".write(
            toFile: "\(host.work)/fleet/trust/allowed_signers",
            atomically: true,
            encoding: .utf8
        )
        try host.git("add", "-A")
        try host.git("commit", "-q", "-m", "Trust")
        let push = try host.tryGit("push", "origin", "main").errors
        for environment in ["dev", "prod"] {
            #expect(push.contains("\(environment): loosened: "), "\(push)")
        }
        #expect(push.contains("of eve@example.com is trusted now, for everything but approvals"))
        try host.git("rm", "-q", "fleet/trust/allowed_signers")
        try host.git("commit", "-q", "-m", "Distrust")
        #expect(try host.tryGit("push", "origin", "main").errors.contains("of eve@example.com is no longer trusted"))
    }

    @Test("A change of an agent comes after what no longer guards it")
    func first() throws {
        let host = try Host(fleet: Self.guarded())
        try host.edit(environment, "    - {deniedCalls: 5, within: 1m}\n", "")
        try host.edit(deployment, "maximum: 100", "maximum: 200")
        let plan = try host.ensignInWork("plan", "--env", "prod", "--worktree").output
        let guards = try #require(plan.firstRange(of: "guards loosened"))
        let agents = try #require(plan.firstRange(of: "~ support/triage"))
        #expect(guards.lowerBound < agents.lowerBound)
        #expect(plan.contains("1 to update, 0 to delete, 1 unchanged, 1 guard loosened."))
    }

    @Test("What was accepted without an entry is not said again after a halt or a refused commit")
    func saidOnce() throws {
        let host = try Host(fleet: Self.guarded())
        #expect(try host.push(environment, "spend: 25", "spend: 50").errors.contains("prod: loosened: "))
        #expect(try host.ensign("halt", "support/desk", "--env", "prod", "--reason", "x").status == 0)
        let after = try host.ensign("reconcile", "--env", "prod")
        #expect(!(after.output + after.errors).contains("loosened"))
        // A refused commit loosens nothing: neither is it said, nor does the next one start from it.
        try host.edit(environment, "deniedCalls: 5", "deniedCalls: 6")
        try host.git("rm", "-q", "-r", "environments/prod/agents")
        try host.git("commit", "-q", "-a", "-m", "Too much")
        let push = try host.tryGit("push", "origin", "main").errors
        #expect(push.contains("guards loosened, at once") && push.contains("prod: refused"))
        #expect(!push.contains("prod: loosened"))
        try host.git("checkout", "-q", "HEAD~1", "--", "environments/prod/agents")
        try host.git("commit", "-q", "-m", "Put back")
        let mended = try host.tryGit("push", "origin", "main").errors
        #expect(mended.components(separatedBy: "prod: loosened").count == 2, "\(mended)")
        #expect(mended.contains("is now at 6 denied calls"))
    }

    @Test("A watch that takes up a commit says what it loosens, once")
    func watch() throws {
        let host = try Host(fleet: Self.guarded())
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/post-receive")
        let watch = try Background(
            Host.ensign,
            ["watch", "--env", "prod"],
            in: host.bare,
            log: "\(host.scratch.path)/watch.log"
        )
        eventually(within: .seconds(10), watch.output) { watch.output.contains(" watching ") }
        try host.push(environment, "spend: 25", "spend: 50")
        let line = "prod: loosened: every agent of prod (2): the halt at 25 USD within 5m is now at 50 USD within 5m\n"
        eventually(within: .seconds(10), watch.output) { watch.output.contains(line) }
        let repaired = "\(host.live())/agents/support/desk.json"
        try FileManager.default.removeItem(atPath: repaired)
        eventually(within: .seconds(10), watch.output) { watch.output.contains("repaired") }
        #expect(try watch.stop() == 0)
        #expect(watch.output.components(separatedBy: "loosened").count == 2, "\(watch.output)")
    }

    @Test("A comparison of two environments has their guards")
    func environments() throws {
        let host = try Host(fleet: Self.guarded())
        let diff = try host.ensign("diff", "dev", "prod")
        #expect(diff.output.contains("a halt at 25 USD within 5m is new"))
        #expect(diff.output.contains("deployments run released versions only"))
        #expect(diff.output.contains("guards tightened."))
        let versions = try host.ensign("diff", "prod", "prod", "--detailed-exitcode")
        #expect(versions.status == 0 && versions.output.contains("No differences."))
    }

    @Test("A promotion shows what else its branch loosens")
    func promotion() throws {
        let host = try Host()
        let path = "environments/prod/environment.yaml"
        try host.edit(path, "    - {deniedCalls: 10, within: 1m}    # it keeps trying what it may not\n", "")
        try host.git("commit", "-q", "-a", "-m", "Looser")
        try host.git("fetch", "-q", "origin", "refs/ensign/ledger/*:refs/ensign/ledger/*")
        let text = try host.ensignInWork("promote", "support/refund-triage", "--to", "prod").output
        #expect(text.contains("every agent of prod (7): the halt at 10 denied calls within 1m is gone"), "\(text)")
    }

    @Test("An override of the prune guard leaves its name, who did it and why")
    func pruneOverride() throws {
        let host = try Host(fleet: Self.guarded())
        try host.git("rm", "-q", "-r", "environments/prod/agents")
        try host.git("commit", "-q", "-m", "Close")
        #expect(try host.tryGit("push", "-q", "origin", "main").errors.contains("--allow-prune --reason TEXT"))
        let alone = try host.ensign("reconcile", "--env", "prod", "--reason", "x")
        #expect(alone.status == 64 && alone.errors.contains("--reason is for --allow-prune"))
        // A plan with it is one of what a reconcile with it does.
        #expect(try host.ensign("plan", "--env", "prod").status == 4)
        let plan = try host.ensign("plan", "--env", "prod", "--allow-prune")
        #expect(plan.status == 0 && !plan.output.contains("Refused"), "\(plan.output)")
        let reason = "the desk\u{1B} is closed" + String(repeating: "a\u{301}", count: 40_000)
        #expect(try host.ensign("reconcile", "--env", "prod", "--allow-prune", "--reason", reason).status == 0)
        for revision in ["refs/ensign/ledger/prod", "refs/ensign/ledger/prod~1"] {
            let said = try #require(try host.entry(revision)["reason"] as? String)
            #expect(said.hasPrefix("sync; allow-prune by ") && said.contains("@"))
            #expect(said.contains(": the desk\u{1B} is closed") && said.utf8.count < 700)
        }
        #expect(try host.ensign("log", "--env", "prod").output.contains("[allow-prune by "))
        try host.expectSound()
    }

    @Test("Without a reason the override leaves who did it")
    func pruneOverrideAlone() throws {
        let host = try Host(fleet: Self.guarded())
        try host.git("rm", "-q", "-r", "environments/prod/agents")
        try host.git("commit", "-q", "-m", "Close")
        try host.git("push", "-q", "origin", "main")
        #expect(try host.ensign("reconcile", "--env", "prod", "--allow-prune").status == 0)
        let said = try #require(try host.entry()["reason"] as? String)
        #expect(said.hasPrefix("sync; allow-prune by ") && !said.contains(": "))
        try host.expectSound()
    }
}
