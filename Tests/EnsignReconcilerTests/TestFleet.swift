import EnsignCrypto
import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignPolicy
import EnsignReconciler
import EnsignSystem
import EnsignTargets
import EnsignTestSupport
import Foundation
import Synchronization
import Testing

/// A host in one process, without any other: its repository is real, its live directory is in memory, and a test decides
/// about its clock, its commits and its operators.
final class TestFleet {
    let repository: ScratchRepository
    let target = MemoryTarget()
    /// Requests to stock git, which is not there.
    let git = MissingGit()
    private let seconds = Mutex<(wall: Int64, boot: Int64)>((1_800_000_000, 100))
    private var random: SeededGenerator
    /// The text of each file, and what of it is committed.
    var files: [String: String] = [:]
    private var committed: [String: String] = [:]
    /// The files of the commit before the newest.
    private var before: [String: String]?
    /// What was done, for the report of a failure.
    private(set) var story: [String] = []

    static let environment = "prod"
    static let version = "0.0.0"
    static let agents = ["support/triage", "support/desk", "support/clerk", "sales/lead"]

    /// - Parameter rollout: Of the environment.
    init(_ random: SeededGenerator = SeededGenerator(seed: 1), rollout: String = TestFleet.rollouts[0]) throws {
        self.random = random
        repository = try ScratchRepository()
        try repository.scratch.write("ensign/.keep", "")
        files["fleet/teams/support.yaml"] = Self.team
        files["fleet/teams/sales.yaml"] = Self.team
        files["fleet/tools/crm/1.0.0.yaml"] = Self.tool
        for agent in Self.agents { for version in ["1.0.0", "1.1.0", "1.2.0"] { release(agent, version) } }
        environment(rollout: rollout)
        for agent in Self.agents.dropLast() { deploy(agent, "1.0.0", ["find", "update"], 100) }
        try commit("The fleet")
    }

    // MARK: Files

    private static let team =
        "apiVersion: ensign.dev/v1\nkind: Team\nspec: {members: [ada@example.com], escalation: a@b.c}\n"

    /// Lines of people who may agree to calls.
    static let signers = ["ada@example.com", "bo@example.com"].map {
        "\($0) namespaces=\"ensign-approval\" \(SSHPrivateKey.generate().publicKey.line)"
    }

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

    func environment(rollout: String, share: Double = 0.5, more: String = "") {
        files["environments/prod/environment.yaml"] =
            "apiVersion: ensign.dev/v1\nkind: Environment\nspec:\n  keepFor: 1d\n  maxPruneShare: \(share)\n  limits: {concurrentRollouts: 1}\n  rollout: \(rollout)\n\(more)"
    }

    private func release(_ agent: String, _ version: String) {
        let folder = "fleet/agents/\(agent)/\(version)"
        files["\(folder)/agent.yaml"] =
            "apiVersion: ensign.dev/v1\nkind: Agent\nspec:\n  description: Works.\n  model: {provider: a, name: b}\n  instructions: prompt.md\n  needs: {tools: [{tool: crm, version: 1.0.0, operations: [find, update, erase]}]}\n"
        files["\(folder)/prompt.md"] = "Be \(version) of \(agent).\n"
    }

    func path(_ agent: String) -> String { "environments/prod/agents/\(agent).yaml" }

    func deploy(_ agent: String, _ version: String, _ operations: [String], _ credit: Int, halted: Bool = false) {
        var text = "apiVersion: ensign.dev/v1\nkind: Deployment\nspec:\n  version: \(version)\n  halted: \(halted)\n"
        if !operations.isEmpty { text += "  grants:\n" }
        for operation in operations {
            text += "    - {tool: crm, operations: [\(operation)]"
            if operation == "update" { text += ", arguments: {properties: {credit: {maximum: \(credit)}}}" }
            text += "}\n"
        }
        files[path(agent)] = text
    }

    /// Removes the deployment of an agent.
    func remove(_ agent: String) { files[path(agent)] = nil }

    /// Removes all deployments.
    func removeAll() { files = files.filter { !$0.key.hasPrefix("environments/prod/agents/") } }

    // MARK: Steps

    /// Does one thing that may happen to a fleet.
    func step() throws {
        let agent = random.pick(Self.agents)
        let version = random.pick(["1.0.0", "1.1.0", "1.2.0"])
        let operations = ["find", "update", "erase"].filter { _ in !random.once(in: 3) }
        let credit = random.pick([50, 100, 200])
        switch random.int(0...17) {
        case 0...4:
            deploy(agent, version, operations, credit, halted: random.once(in: 8))
            try commit("deploy \(agent) \(version) \(operations) \(credit)")
        case 5:
            environment(rollout: random.pick(Self.rollouts))
            try commit("another rollout")
        case 6:
            guard files[path(agent)] != nil else { return }
            remove(agent)
            try commit("remove \(agent)")
        case 7: try rename(agent, to: random.pick(Self.agents))
        case 8:
            environment(rollout: Self.rollouts[0], more: "  no-such-field: 1\n")
            try commit("invalid")
        case 9:
            removeAll()
            deploy(agent, version, operations, credit, halted: random.once(in: 2))
            try commit("nearly everything goes")
        case 10: try revert()
        case 11, 12:
            let lines = Self.signers.filter { _ in random.once(in: 2) }
            files[RepositoryPath.allowedSigners] = lines.isEmpty ? nil : lines.joined(separator: "\n") + "\n"
            files["fleet/teams/support.yaml"] =
                random.once(in: 2) ? Self.team : Self.team.replacing("ada@", with: "bo@")
            try commit("who may agree")
        default: advance()
        }
    }

    /// Moves an agent with all its versions, as `git mv` does.
    func rename(_ agent: String, to other: String) throws {
        guard let deployment = files[path(agent)], files[path(other)] == nil, other != agent else { return }
        for version in ["1.0.0", "1.1.0", "1.2.0"] {
            for file in ["agent.yaml", "prompt.md"] {
                files["fleet/agents/\(other)/\(version)/\(file)"] =
                    files["fleet/agents/\(agent)/\(version)/\(file)"]
            }
        }
        files[path(other)] = deployment
        remove(agent)
        try commit("rename \(agent) \(other)")
    }

    /// Makes the commit that `git revert HEAD` makes.
    func revert() throws {
        guard let before, let head = repository.head else { return }
        files = before
        try commit("Revert\n\nThis reverts commit \(head).")
    }

    private func advance() {
        advance(random.pick([0, 30, 60, 601, 3_601, 7_300, 90_000]))
        if random.once(in: 6) { setClock(by: random.pick([-7_200, -40, 40, 7_200])) }
        if random.once(in: 10), random.once(in: 2) { try? removeBranch() }
    }

    /// Lets time pass, in seconds.
    func advance(_ time: Int64) {
        seconds.withLock { $0 = ($0.wall + time, $0.boot + time) }
        story.append("after \(time) s")
    }

    /// Sets the wall clock forward, or back.
    func setClock(by jump: Int64) {
        seconds.withLock { $0.wall += jump }
        story.append("the clock jumps by \(jump) s")
    }

    /// Removes the branch; the next commit brings it back.
    func removeBranch() throws {
        guard try site().desiredCommit() != nil else { return }
        try repository.removeBranch()
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
        var edits: [String: String?] = [:]
        for (path, text) in files where committed[path] != text { edits[path] = text }
        for path in committed.keys where files[path] == nil { edits[path] = .some(nil) }
        before = repository.head == nil ? nil : committed
        try repository.commit(edits, message: what, at: seconds.withLock { $0.wall })
        committed = files
        story.append(what)
    }

    // MARK: Ensign

    var clock: SystemClock {
        let now = { self.seconds.withLock { $0 } }
        let (wall, boot) = now()
        return SystemClock(wall: { wall }, sinceBoot: { ("a", boot) })
    }

    func site() throws -> Site {
        var site = try Site(Repository.Opening(path: repository.path))
        site.substitute = target
        site.runGit = { [git] (process) throws(SystemError) in try git.run(process) }
        return site
    }

    func reconciler(_ change: (inout Reconciler.Options) -> Void = { _ in }) throws -> Reconciler {
        var options = Reconciler.Options()
        options.clock = clock
        change(&options)
        let actor = Entry.Actor(mode: .cli, name: "ada", host: "here", version: Self.version)
        return Reconciler(site: try site(), environment: Self.environment, actor: actor, options: options)
    }

    @discardableResult
    func reconcile(_ request: OperatorRequest? = nil) throws -> Reconciler.Report {
        try reconciler { $0.request = request }.run()
    }

    /// What `plan` shows now.
    func decide(_ request: OperatorRequest? = nil) throws -> Decision {
        let site = try site()
        var situation = try Situation.look(site, Self.environment, version: Self.version, clock: clock)
        situation.request = request
        return try situation.decide(site.desiredCommit().map { try Desired(site, $0, name: "main") })
    }

    // MARK: What is live

    /// What agents read, but for the header, which names an entry, and without the proofs.
    func live() -> [String: MemoryTarget.Node] { Self.bare(target.nodes) }

    static func bare(_ nodes: [String: MemoryTarget.Node]) -> [String: MemoryTarget.Node] {
        var nodes = nodes.filter { $0.key != LivePath.header }
        for case (let path, .file(let bytes)) in nodes where LiveProof.File(path: path) != nil {
            guard let parts = try? LiveProof.withoutProof(bytes) else { continue }
            nodes[path] = .file(JSONValue.object(parts.value).canonicalBytes())
        }
        return nodes
    }

    /// The live files that a reader who has the ledger's present key would refuse, and why.
    func unproven() throws -> [String] {
        guard let tip = try tip() else { return [] }
        let keys = LiveKeys(environment: Self.environment, keys: tip.successors)
        return target.nodes.compactMap { path, node in
            guard let file = LiveProof.File(path: path) else { return nil }
            guard case .file(let bytes) = node else { return "\(path): not a file" }
            switch LiveProof.verify(bytes, as: file, of: Self.environment, keys: keys) {
            case .success(let proven): return proven.entry <= tip.entry.sequence ? nil : "\(path): of a later entry"
            case .failure(let refusal): return "\(path): \(refusal)"
            }
        }.sorted()
    }

    /// Whether the header is the one that the newest entry which published asks for.
    func hasHeader() throws -> Bool {
        guard let tip = try tip(), case .file(let bytes) = target.nodes[LivePath.header] else { return false }
        let ledger = try site().ledger(Self.environment)
        return try ExpectedHeader(ledger.publishing(tip), tip: tip, allowsBare: false).matches(bytes)
    }

    /// Makes of the newest state what a version left that did not sign: the same routes without proofs, recorded and live.
    func takeProofsAway() throws {
        let site = try site()
        let ledger = site.ledger(Self.environment)
        guard let tip = try ledger.tip(), let accepted = tip.acceptedSource,
            let key = try LedgerKey.load(Self.environment, path: site.files.key(Self.environment))
        else { return }
        let source = try SourceInspector.inspect(accepted, in: site)
        let recorded = RecordedTree(repository: site.repository, tip: tip)
        var changes: [Change] = []
        var edits: [String: FileContent?] = [:]
        for agent in try recorded.agents() {
            guard let known = try recorded.agent(agent), let route = known.route else { continue }
            var change = Change(agent: agent, action: .update, from: known.stable, to: known.stable, kind: .none)
            if try recorded.node(AgentState.path(agent)) != nil { change.remember(known.state) }
            changes.append(change)
            edits[LivePath.route(agent)] = .bytes(route.bytes)
            target.set(LivePath.route(agent), .file(route.bytes))
        }
        func draft(_ kind: Entry.Kind, _ result: Entry.Result) -> EntryDraft {
            EntryDraft(
                kind: kind,
                source: source,
                parent: accepted,
                actor: Entry.Actor(mode: .cli, name: "ada", host: "here", version: Self.version),
                time: Timestamp(seconds: clock.wall()),
                reason: Entry.Reason(.sync),
                changes: changes,
                agents: tip.agents,
                result: result
            )
        }
        let intent = try ledger.append(draft(.intent, .pending), after: tip, key: key)
        let outcome = try ledger.append(draft(.outcome, .ok), after: intent, edits: edits, key: key)
        target.set(LivePath.header, .file(outcome.header.bytes))
        story.append("an earlier version ran")
    }

    /// Hands over to another key.
    func rotateKey() throws {
        let actor = Entry.Actor(mode: .cli, name: "ada", host: "here", version: Self.version)
        _ = try KeyRotation(site: site(), environment: Self.environment, actor: actor)
            .run(now: Timestamp(seconds: clock.wall()))
        story.append("another key")
    }

    /// Stops agents at once; nothing is recorded by that.
    func halt(_ scope: HaltScope) throws {
        let time = Moment(Timestamp(seconds: clock.wall()))
        let record = HaltRecord(scope: scope, reason: "it loops", by: "ada@here", time: time)
        _ = try HaltSwitch(site(), Self.environment).pull([record])
        story.append("halt \(scope)")
    }

    /// No agent of support has an open route.
    func expectHalted(_ what: String) throws {
        for case (let path, .file(let bytes)) in target.nodes where path.hasPrefix("agents/support/") {
            #expect(Route.isHalted(bytes), "\(what): \(path)")
        }
    }

    /// The entry that a live route names.
    func entry(of agent: String) throws -> Int64? {
        guard case .file(let bytes) = target.nodes["agents/\(agent).json"] else { return nil }
        return try LiveProof.withoutProof(bytes).entry
    }

    func tip() throws -> RecordedEntry? { try site().ledger(Self.environment).tip() }
}

/// A machine without git: remembers what it was asked to do.
final class MissingGit: Sendable {
    private let asked = Mutex<[String]>([])

    var calls: [String] { asked.withLock { $0 } }

    func run(_ process: Subprocess) throws(SystemError) -> Subprocess.Outcome {
        asked.withLock { $0.append(process.arguments.joined(separator: " ")) }
        throw SystemError(code: ENOENT, operation: "run git")
    }
}
