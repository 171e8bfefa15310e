import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignReconciler
import EnsignTestSupport
import Foundation
import Synchronization

/// A host in one process whose clock, commits and operators a test decides about.
final class TestFleet {
    let scratch: ScratchDirectory
    private let seconds = Mutex<(wall: Int64, boot: Int64)>((1_800_000_000, 100))
    private var random: SeededGenerator
    /// What was done, for the report of a failure.
    private(set) var story: [String] = []

    static let environment = "prod"
    static let version = "0.0.0"
    private static let agents = ["support/triage", "support/desk", "support/clerk", "sales/lead"]

    /// - Parameter rollout: Of the environment.
    init(_ random: SeededGenerator = SeededGenerator(seed: 1), rollout: String = TestFleet.rollouts[0]) throws {
        self.random = random
        scratch = try ScratchDirectory()
        try git("init", "-q", "-b", "main", ".")
        for (key, value) in [("user.name", "Ada"), ("user.email", "ada@example.com"), ("commit.gpgSign", "false")] {
            try git("config", key, value)
        }
        try scratch.write(".git/ensign/.keep", "")
        try scratch.write("fleet/teams/support.yaml", Self.team)
        try scratch.write("fleet/teams/sales.yaml", Self.team)
        try scratch.write("fleet/tools/crm/1.0.0.yaml", Self.tool)
        for agent in Self.agents { for version in ["1.0.0", "1.1.0", "1.2.0"] { try release(agent, version) } }
        try environment(rollout: rollout)
        for agent in Self.agents.dropLast() { try deploy(agent, "1.0.0", ["find", "update"], 100) }
        try commit("The fleet")
    }

    // MARK: Files

    private static let team =
        "apiVersion: ensign.dev/v1\nkind: Team\nspec: {members: [ada@example.com], escalation: a@b.c}\n"

    private static let tool = """
        apiVersion: ensign.dev/v1
        kind: Tool
        spec:
          owner: support
          description: The CRM.
          server: {mcp: {command: [crm]}}
          operations:
            find: {access: read, risk: low, input: {type: object}}
            update:
              access: write
              risk: medium
              input: {type: object, properties: {credit: {type: number}}}
            erase: {access: execute, risk: high, input: {type: object}}

        """

    static let rollouts = [
        "{canary: {steps: [{weight: 20, hold: 10m}, {weight: 50, hold: 1h}]}}",
        "{canary: {steps: [{weight: 5, hold: 1m}], analysis: {metrics: [{name: success, kind: rate, margin: 0.05}], deadline: 2h, onInconclusive: hold}}}",
        "{canary: {steps: [{weight: 5, hold: 1m}], analysis: {metrics: [{name: success, kind: rate, margin: 0.05}], deadline: 2h, onInconclusive: abort}}}",
        "{canary: {steps: [{weight: 30, hold: 1m}], analysis: {metrics: [{name: success, kind: rate, margin: 0.05}], deadline: 1h, onInconclusive: promote}}}",
        "{immediate: {}}",
    ]

    func environment(rollout: String, share: Double = 0.5, more: String = "") throws {
        try scratch.write(
            "environments/prod/environment.yaml",
            "apiVersion: ensign.dev/v1\nkind: Environment\nspec:\n  keepFor: 1d\n  maxPruneShare: \(share)\n  limits: {concurrentRollouts: 1}\n  rollout: \(rollout)\n\(more)"
        )
    }

    private func release(_ agent: String, _ version: String) throws {
        let folder = "fleet/agents/\(agent)/\(version)"
        try scratch.write(
            "\(folder)/agent.yaml",
            "apiVersion: ensign.dev/v1\nkind: Agent\nspec:\n  description: Works.\n  model: {provider: a, name: b}\n  instructions: prompt.md\n  needs: {tools: [{tool: crm, version: 1.0.0, operations: [find, update, erase]}]}\n"
        )
        try scratch.write("\(folder)/prompt.md", "Be \(version) of \(agent).\n")
    }

    func path(_ agent: String) -> String { "environments/prod/agents/\(agent).yaml" }

    func deploy(_ agent: String, _ version: String, _ operations: [String], _ credit: Int, halted: Bool = false)
        throws
    {
        var text = "apiVersion: ensign.dev/v1\nkind: Deployment\nspec:\n  version: \(version)\n  halted: \(halted)\n"
        if !operations.isEmpty { text += "  grants:\n" }
        for operation in operations {
            text += "    - {tool: crm, operations: [\(operation)]"
            if operation == "update" { text += ", arguments: {properties: {credit: {maximum: \(credit)}}}" }
            text += "}\n"
        }
        try scratch.write(path(agent), text)
    }

    // MARK: Steps

    /// Does one thing that may happen to a fleet.
    func step() throws {
        let agent = random.pick(Self.agents)
        let version = random.pick(["1.0.0", "1.1.0", "1.2.0"])
        let operations = ["find", "update", "erase"].filter { _ in !random.once(in: 3) }
        let credit = random.pick([50, 100, 200])
        switch random.int(0...15) {
        case 0...4:
            try deploy(agent, version, operations, credit, halted: random.once(in: 8))
            try commit("deploy \(agent) \(version) \(operations) \(credit)")
        case 5:
            try environment(rollout: random.pick(Self.rollouts))
            try commit("another rollout")
        case 6:
            guard scratch.exists(path(agent)) else { return }
            try git("rm", "-q", "-f", path(agent))
            try commit("remove \(agent)")
        case 7: try rename(agent, to: random.pick(Self.agents))
        case 8:
            try environment(rollout: Self.rollouts[0], more: "  no-such-field: 1\n")
            try commit("invalid")
        case 9:
            try git("rm", "-q", "-r", "-f", "--ignore-unmatch", "environments/prod/agents")
            try deploy(agent, version, operations, credit, halted: random.once(in: 2))
            try commit("nearly everything goes")
        case 10: if try git("rev-list", "--count", "HEAD") != "1" { try revert() }
        default: advance()
        }
    }

    /// Moves an agent with all its versions, as `git mv` does.
    func rename(_ agent: String, to other: String) throws {
        guard scratch.exists(path(agent)), !scratch.exists(path(other)), other != agent else { return }
        for version in ["1.0.0", "1.1.0", "1.2.0"] {
            for file in ["agent.yaml", "prompt.md"] {
                let text = try scratch.read("fleet/agents/\(agent)/\(version)/\(file)")
                try scratch.write("fleet/agents/\(other)/\(version)/\(file)", text)
            }
        }
        try scratch.write(path(other), try scratch.read(path(agent)))
        try git("rm", "-q", "-f", path(agent))
        try commit("rename \(agent) \(other)")
    }

    private func revert() throws {
        _ = try run("git", ["revert", "--no-edit", "HEAD"], in: scratch.path)
        _ = try? run("git", ["revert", "--abort"], in: scratch.path)
        story.append("revert")
    }

    private func advance() {
        advance(random.pick([0, 30, 60, 601, 3_601, 7_300, 90_000]))
        if random.once(in: 6) {
            let jump = random.pick([-7_200, -40, 40, 7_200]) as Int64
            seconds.withLock { $0.wall += jump }
            story.append("the clock jumps by \(jump) s")
        }
        if random.once(in: 10), random.once(in: 2) { try? removeBranch() }
    }

    /// Lets time pass, in seconds.
    func advance(_ time: Int64) {
        seconds.withLock { $0 = ($0.wall + time, $0.boot + time) }
        story.append("after \(time) s")
    }

    /// Takes the branch away; the next commit brings it back.
    func removeBranch() throws {
        guard (try? git("rev-parse", "-q", "--verify", "refs/heads/main")) != nil else { return }
        try git("update-ref", "refs/kept", "refs/heads/main")
        try git("update-ref", "-d", "refs/heads/main")
        story.append("the branch is gone")
    }

    /// What an operator asks for now and then.
    func request() -> OperatorRequest? {
        guard random.once(in: 3) else { return nil }
        let agent = random.pick(Self.agents)
        let operation: RolloutOperation = random.pick([
            .pause, .resume, .promote, .abort, .retry(nil), .halt, .unhalt, .unhalt, .rollback(to: nil),
        ])
        story.append("\(operation) \(agent)")
        guard let id = AgentID(agent) else { return nil }
        return OperatorRequest(agent: id, operation: operation, by: "ada", reason: "trial")
    }

    func commit(_ what: String) throws {
        if (try? git("rev-parse", "-q", "--verify", "refs/heads/main")) == nil,
            (try? git("rev-parse", "-q", "--verify", "refs/kept")) != nil
        {
            try git("update-ref", "refs/heads/main", "refs/kept")
        }
        try git("add", "-A", "fleet", "environments")
        try git("commit", "-q", "--allow-empty", "-m", what)
        story.append(what)
    }

    @discardableResult
    func git(_ words: String...) throws -> String {
        let result = try run("git", words, in: scratch.path)
        guard result.status == 0 else { throw Failed(text: "git \(words): \(result.errors)") }
        return result.output.trimmingCharacters(in: .newlines)
    }

    struct Failed: Error { var text: String }

    // MARK: Ensign

    var clock: SystemClock {
        let now = { self.seconds.withLock { $0 } }
        let (wall, boot) = now()
        return SystemClock(wall: { wall }, sinceBoot: { ("a", boot) })
    }

    func site() throws -> Site { try Site(Site.Opening(path: scratch.path)) }

    func reconcile(_ request: OperatorRequest? = nil) throws -> Reconciler.Report {
        var options = Reconciler.Options()
        options.clock = clock
        options.request = request
        let actor = Entry.Actor(mode: .cli, name: "ada", host: "here", version: Self.version)
        return try Reconciler(site: site(), environment: Self.environment, actor: actor, options: options).run()
    }

    /// What `plan` shows now.
    func decide(_ request: OperatorRequest? = nil) throws -> Decision {
        let site = try site()
        var situation = try Situation.look(site, Self.environment, version: Self.version, clock: clock)
        situation.request = request
        return try situation.decide(site.desiredCommit().map { try Desired(site, $0, name: "main") })
    }

    func tip() throws -> RecordedEntry? { try site().ledger(Self.environment).tip() }
}
