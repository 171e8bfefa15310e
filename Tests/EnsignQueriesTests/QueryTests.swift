import EnsignGit
import EnsignHost
import EnsignJudge
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignQueries
import EnsignReconciler
import EnsignTargets
import EnsignTestSupport
import Testing

/// Each question, asked of a host that is made in this process.
@Suite("Questions are answered with values, which say the same in JSON")
struct QueryTests {
    private static let now = Timestamp(seconds: 1_800_000_000)
    private static let triage = agent("support/triage")

    /// Four agents, of which three are deployed. Its files are there as long as it is.
    private let fleet: TestFleet

    init() throws { fleet = try TestFleet() }

    /// Makes the fleet live.
    private func live(rollout: String = TestFleet.rollouts[0]) throws {
        _ = try (fleet.environment(rollout: rollout), fleet.commit("the rollout"))
        _ = try fleet.reconcile()
    }

    /// Deploys a version; a canary begins with the next reconcile.
    private func deploy(_ version: String) throws {
        _ = try (fleet.deploy("support/triage", version, ["find", "update"], 100), fleet.commit("to \(version)"))
        _ = try fleet.reconcile()
    }

    /// Lets the ledger's ref name a commit that is not an entry.
    private func damage(_ site: Site) throws {
        let ref = "refs/ensign/ledger/prod"
        let commit = try #require(try site.desiredCommit())
        try site.repository.move(ref, from: try site.repository.reference(ref), to: commit, message: "damage")
    }

    private func desired() throws -> (Fleet, ObjectID) {
        let site = try fleet.site()
        let commit = try #require(try site.desiredCommit())
        let tree = try site.repository.commit(commit).tree
        return (Fleet(snapshot: GitSnapshot(site.repository, tree: tree), today: Self.now.date), commit)
    }

    // MARK: status

    @Test("An environment that nobody has reconciled is there, with nothing recorded")
    func unreconciled() throws {
        let site = try fleet.site()
        let status = try FleetStatus.make(site, [], now: Self.now)
        try #require(status.environments.map(\.name) == ["prod"])
        #expect(status.environments[0].tip == nil)
        #expect(status.environments[0].age == nil)
        #expect(status.json["environments"]?[0]?["entry"] == .null)
        #expect(status.json["environments"]?[0]?["error"] == .null)
    }

    @Test("After a reconcile there are its entry, its agents and its age")
    func reconciled() throws {
        try live()
        let row = try #require(try FleetStatus.make(try fleet.site(), ["prod"], now: Self.now).environments.first)
        let tip = try #require(try fleet.tip())
        #expect(row.tip?.commit == tip.commit)
        #expect(row.json["agents"] == 3)
        #expect(row.json["entry"]?["seq"] == .integer(tip.entry.sequence))
        #expect(row.json["source"] == row.json["desired"])
        #expect(row.age == 0)
        #expect(row.waiting == nil && row.halted.isEmpty && row.drifts.isEmpty)
    }

    @Test("A ledger that cannot be read is a row with the reason, and what else is known stays")
    func unreadable() throws {
        try live()
        let site = try fleet.site()
        try damage(site)
        let row = try #require(try FleetStatus.make(try fleet.site(), ["prod"], now: Self.now).environments.first)
        #expect(row.unreadable != nil)
        #expect(row.status?.result == "ok")
        #expect(row.json["entry"] == .null)
        #expect(row.json["error"]?.string?.isEmpty == false)
    }

    @Test("Halted agents are named, with who halted them")
    func halted() throws {
        try live()
        _ = try fleet.reconcile(
            OperatorRequest(agent: Self.triage, operation: .halt, by: "ada@here", reason: "it leaks")
        )
        let site = try fleet.site()
        let row = try #require(try FleetStatus.make(site, ["prod"], now: Self.now).environments.first)
        #expect(row.halted.keys.sorted() == [Self.triage])
        #expect(row.json["halted"]?[0]?["operator"]?["reason"] == "it leaks")
        let halted = try HaltedAgents(site, "prod")
        #expect(halted.isHaltedByOperator(Self.triage))
        #expect(halted.resumable(.all) == [Self.triage])
        #expect(halted.resumable(.team("sales")).isEmpty)
        #expect(halted.keptByGit(.all).isEmpty)
        #expect(try halted.isLive(Self.triage))
    }

    // MARK: rollouts

    @Test("A canary is a row of the rollouts; without one there is none")
    func rollouts() throws {
        try live()
        #expect(try RolloutReport.make(fleet.site(), "prod", agent: nil, version: TestFleet.version).rows.isEmpty)
        try deploy("1.1.0")
        let report = try RolloutReport.make(fleet.site(), "prod", agent: nil, version: TestFleet.version)
        let row = try #require(report.rows.first)
        #expect(report.rows.count == 1)
        #expect(row.agent == Self.triage)
        #expect(row.phase == "canary")
        #expect(row.wanted?.version == version("1.1.0"))
        #expect(row.holdEnds != nil)
        #expect(report.waiting != nil, "nobody watches")
        #expect(report.json["rollouts"]?[0]?["phase"] == "canary")
        #expect(report.json["canaryWaiting"]?["since"] == .null)
        let status = try FleetStatus.make(try fleet.site(), ["prod"], now: Self.now)
        #expect(status.environments[0].waiting == report.waiting)
    }

    @Test("Evidence knows the canary that is under way and what was decided before, and an agent that is unknown")
    func evidence() throws {
        try live()
        try deploy("1.1.0")
        _ = try fleet.reconcile(
            OperatorRequest(agent: Self.triage, operation: .promote, by: "ada@here", reason: "good")
        )
        try deploy("1.2.0")
        func ask(_ name: String, limit: Int = 10) throws -> EvidenceReport {
            try EvidenceReport.make(
                fleet.site(),
                "prod",
                agent: agent(name),
                limit: limit,
                version: TestFleet.version,
                now: Self.now
            )
        }
        let report = try ask("support/triage")
        #expect(report.canary?.candidate.version == version("1.2.0"))
        #expect(report.canary?.stable.version == version("1.1.0"))
        #expect(report.history.map(\.change.action) == [.promote])
        #expect(report.json["history"]?[0]?["to"]?["version"] == "1.1.0")
        #expect(report.json["canary"]?["weight"] == 20)
        #expect(try !ask("support/nobody").isKnown)
    }

    // MARK: plan, reconcile

    @Test("A plan's JSON has each change with its differences, and what a reconcile says has it too")
    func plan() throws {
        try live(rollout: "{immediate: {}}")
        _ = try (fleet.deploy("support/triage", "1.1.0", ["find", "update"], 200), fleet.commit("more"))
        let plan = try #require(try fleet.decide().plan)
        let json = try PlanReport(plan).json()
        #expect(json["counts"]?["update"] == 1)
        #expect(json["changes"]?[0]?["agent"] == "support/triage")
        #expect(json["changes"]?[0]?["authority"]?["gained"]?.array?.isEmpty == false)
        #expect(json["changes"]?[0]?["instructions"]?.string?.contains("+Be 1.1.0") == true)
        let answer = ReconcileReport(try fleet.reconcile(), "prod")
        #expect(answer.json["result"] == "converged")
        #expect(answer.changes.map(\.agent) == [Self.triage])
        #expect(!answer.didNothing)
        #expect(ReconcileReport(try fleet.reconcile(), "prod").isUneventful)
    }

    @Test("What is not valid is said instead of a plan")
    func invalid() throws {
        let finding = Finding(code: "x", "wrong", path: "a.yaml")
        let json = try PlanReport.invalid([finding], meanwhile: nil)
        #expect(json["valid"] == false)
        #expect(json["findings"]?[0]?["code"] == "x")
        #expect(json["meanwhile"] == .null)
    }

    @Test("Nothing of a target that is as recorded is drift")
    func drift() throws {
        #expect(try DriftReport.make(fleet.site(), "prod").files.isEmpty, "nothing was published")
        try live()
        let report = try DriftReport.make(fleet.site(), "prod")
        #expect(report.files.isEmpty)
        #expect(report.json["drift"] == [])
    }

    // MARK: the record

    @Test("The log is newest first, without intents whose outcome follows, and can be one agent's")
    func log() throws {
        try live(rollout: "{immediate: {}}")
        try deploy("1.1.0")
        let site = try fleet.site()
        let all = try LedgerLog.read(site, "prod", LedgerLog.Filter())
        #expect(all.rows.map(\.entry.entry.sequence) == all.rows.map(\.entry.entry.sequence).sorted(by: >))
        #expect(!all.rows.contains { $0.entry.entry.kind.isIntent })
        var filter = LedgerLog.Filter()
        filter.hasIntents = true
        #expect(try LedgerLog.read(site, "prod", filter).rows.contains { $0.entry.entry.kind == .intent })
        filter = LedgerLog.Filter()
        filter.agent = Self.triage
        let own = try LedgerLog.read(site, "prod", filter)
        #expect(own.rows.map { $0.own.map(\.action) } == [[.update], [.create]])
        filter.limit = 1
        #expect(try LedgerLog.read(site, "prod", filter).rows.count == 1)
        filter.agent = agent("support/nobody")
        #expect(try LedgerLog.read(site, "prod", filter).rows.isEmpty)
        #expect(try LedgerLog.read(site, "nowhere", LedgerLog.Filter()).rows.isEmpty)
        #expect(all.json["entries"]?[0]?["commit"] == .string(all.rows[0].entry.commit.description))
    }

    @Test("A ledger is proven, and one that is damaged hides no other")
    func verify() throws {
        try live()
        let site = try fleet.site()
        #expect(try LedgerCheck.environments(site) == ["prod"])
        let check = LedgerCheck.run(site, "prod")
        #expect(check.report.verdict == .intact)
        #expect(check.failure == nil)
        try damage(site)
        let broken = LedgerCheck.run(try fleet.site(), "prod")
        #expect(broken.report.verdict != .intact)
        #expect(LedgerCheck.json([check, broken])["ledgers"]?.array?.count == 2)
    }

    @Test("Keys are there once the ledger has begun")
    func keys() throws {
        #expect(try SigningKey.all(fleet.site(), "prod").isEmpty)
        _ = try fleet.reconcile()
        let keys = try SigningKey.all(fleet.site(), "prod")
        #expect(keys.map(\.from) == [0] && keys.map(\.to) == [nil])
        #expect(keys[0].allowedSigner.hasPrefix("prod@ensign.invalid namespaces=\"git,ensign-live\" ssh-ed25519 "))
        #expect(SigningKey.json(keys)["keys"]?[0]?["fingerprint"]?.string?.hasPrefix("SHA256:") == true)
        // A prepared key signs nothing of the ledger yet, and one that was handed over nothing live any more.
        let actor = Entry.Actor(mode: .cli, name: "ada", host: "here", version: "0")
        let rotation = try KeyRotation(site: fleet.site(), environment: "prod", actor: actor)
        _ = try rotation.prepare()
        func namespaces() throws -> [String] {
            try SigningKey.all(fleet.site(), "prod").map { String($0.allowedSigner.split(separator: " ")[1]) }
        }
        #expect(try namespaces() == ["namespaces=\"git,ensign-live\"", "namespaces=\"ensign-live\""])
        _ = try rotation.run(now: Timestamp(seconds: 1_800_000_000))
        #expect(try namespaces() == ["namespaces=\"git\"", "namespaces=\"git,ensign-live\""])
    }

    // MARK: what is declared

    @Test("The registry has agents with what each environment runs, tools and teams")
    func registry() throws {
        let (declared, commit) = try desired()
        let agents = try Registry.read(.agents, declared, at: commit).json
        #expect(agents["agents"]?.array?.count == 4)
        #expect(agents["commit"] == .string(commit.description))
        let triage = agents["agents"]?.array?.first { $0["agent"] == "support/triage" }
        #expect(triage?["environments"]?["prod"] == "1.0.0")
        #expect(triage?["versions"] == ["1.0.0", "1.1.0", "1.2.0"])
        let lead = agents["agents"]?.array?.first { $0["agent"] == "sales/lead" }
        #expect(lead?["environments"]?["prod"] == .null)
        let tools = try Registry.read(.tools, declared, at: commit).json
        #expect(tools["tools"]?[0]?["operations"]?.object?.map(\.key) == ["erase", "find", "update"])
        let teams = try Registry.read(.teams, declared, at: commit).json
        #expect(teams["teams"]?.array?.map { $0["team"] } == ["sales", "support"])
    }

    @Test("Who may call what, and which line says so")
    func permissions() throws {
        let (declared, _) = try desired()
        let check = PermissionCheck(fleet: declared, environment: "prod", today: Self.now.date)
        func ask(_ operation: String, _ arguments: JSONValue? = nil) throws -> PermissionCheck.Answer? {
            try check.answer(Self.triage, tool: "crm", operation: operation, arguments: arguments)
        }
        #expect(try ask("find")?.verdict == .allowed)
        #expect(try ask("erase")?.verdict == .refused)
        #expect(try ask("update", ["credit": 100])?.verdict == .allowed)
        let refused = try #require(try ask("update", ["credit": 101]))
        #expect(refused.verdict == .refused)
        #expect(refused.json["path"] == "environments/prod/agents/support/triage.yaml")
        #expect(refused.json["line"]?.int.map { $0 > 1 } == true)
        #expect(try check.answer(agent("sales/lead"), tool: "crm", operation: "find", arguments: nil) == nil)
        let holders = try ToolHolders.find(declared, "prod", tool: "crm", operation: "update", today: Self.now.date)
        #expect(holders.holders.map(\.agent.description) == ["support/clerk", "support/desk", "support/triage"])
        #expect(holders.json["holders"]?[0]?["through"] == "grant")
        let everything = try ToolHolders.find(declared, "prod", tool: "crm", operation: nil, today: Self.now.date)
        #expect(everything.holders.count == 6)
    }

    @Test("What a grant or a need leaves out is refused where it says so")
    func exceptions() throws {
        var fixture = FleetFixture()
        fixture.replace("[find, update, erase]", with: "[\"*\"]", in: FleetFixture.agentPath)
        fixture.replace(
            "operations: [erase]",
            with: "operations: [{access: execute}, {risk: medium}], except: [update]",
            in: FleetFixture.deploymentPath
        )
        fixture.replace("operations: [update]", with: "operations: [find]", in: FleetFixture.deploymentPath)
        fixture.replace(
            "credit: {maximum: 100}",
            with: "name: {maxLength: 100}",
            in: FleetFixture.deploymentPath
        )
        fixture.replace("  roles: [reader]\n", with: "", in: FleetFixture.deploymentPath)
        func answer(_ operation: String) throws -> PermissionCheck.Answer? {
            let check = PermissionCheck(fleet: fixture.fleet(), environment: "prod", today: Self.now.date)
            return try check.answer(.triage, tool: "crm", operation: operation, arguments: nil)
        }
        #expect(try answer("erase")?.verdict == .needsApproval, "\(fixture.check())")
        let granted = try #require(try answer("update"))
        #expect(granted.verdict == .refused && granted.reason == "the deployment's grant leaves out crm.update")
        #expect(granted.path == FleetFixture.deploymentPath)
        let text = try #require(fixture[FleetFixture.deploymentPath])
        let line = text.split(separator: "\n", omittingEmptySubsequences: false).firstIndex { $0.contains("except") }
        #expect(granted.position?.line == line.map { UInt32($0 + 1) })
        fixture.replace("[\"*\"]}", with: "[\"*\"], except: [erase]}", in: FleetFixture.agentPath)
        let needed = try #require(try answer("erase"))
        #expect(needed.reason == "the agent needs 'crm' without 'erase'" && needed.path == FleetFixture.agentPath)
    }

    @Test("A chain of promotions ends where nothing promotes from it")
    func promotions() throws {
        let (declared, _) = try desired()
        let chain = try PromotionChain(declared)
        #expect(chain.order == ["prod"])
        #expect(chain.end?.name == "prod")
        #expect(chain.end?.why == "the only other environment")
    }
}

@Suite("A canary that nobody looks after")
struct WaitingCanaryTests {
    private static let now = Timestamp(seconds: 1_800_000_000)

    @Test("With a watcher or a timer there is nothing to say; without one it says since when")
    func waiting() throws {
        #expect(WaitingCanary("prod", Attendance(isWatched: true, Visits(), now: Self.now)) == nil)
        let never = try #require(WaitingCanary("prod", Attendance(isWatched: false, Visits(), now: Self.now)))
        #expect(never.sentence.hasPrefix("canary waiting, no watcher since init: run 'ensign watch'"))
        #expect(never.json == ["since": .null])
        let seen = Timestamp(seconds: 1_799_990_000)
        let left = try #require(WaitingCanary("prod", Attendance(isWatched: false, Visits(watch: seen), now: Self.now)))
        #expect(left.sentence.contains("no watcher since \(seen)"))
        #expect(left.json == ["since": .string(seen.description)])
    }
}
