import EnsignModel
import EnsignPlanner
import EnsignTestSupport
import Testing

@Suite("What changes of what guards agents")
struct GuardChangeTests {
    // MARK: Parts

    static func span(_ text: String) -> TimeSpan {
        guard let span = TimeSpan(text) else { preconditionFailure("'\(text)' is not a duration") }
        return span
    }

    static let plain = Environment(
        trustDomain: "fleet.local",
        promotesFrom: nil,
        soak: nil,
        mutableVersions: false,
        prune: true,
        maxPruneShare: 0.3,
        keepFor: span("7d"),
        costUSDPerDay: nil,
        concurrentRollouts: nil,
        rollout: nil,
        killSwitch: []
    )

    static func canary(
        _ steps: [(Int64, String)] = [(5, "10m"), (50, "1h")],
        _ analysis: Analysis? = nil
    ) -> Rollout {
        .canary(Canary(steps: steps.map { Canary.Step(weight: $0.0, hold: span($0.1)) }, analysis: analysis))
    }

    static func analysis(_ change: (inout Analysis) -> Void = { _ in }) -> Analysis {
        let metrics = ["success", "cost"].map {
            Analysis.Metric(name: $0, kind: .rate, good: true, unit: nil, margin: .relative(0.2))
        }
        var analysis = Analysis(
            metrics: metrics,
            confidence: 0.95,
            deadline: span("24h"),
            onInconclusive: .hold
        )
        change(&analysis)
        return analysis
    }

    static func judged(_ change: (inout Analysis) -> Void = { _ in }) -> Rollout {
        canary([(5, "10m"), (50, "1h")], analysis(change))
    }

    /// Of an environment with five agents of two teams, none of which says anything for itself.
    static func changes(
        _ old: (inout Environment) -> Void,
        _ new: (inout Environment) -> Void
    ) -> [GuardChange] {
        var (was, now) = (plain, plain)
        old(&was)
        new(&now)
        let own = Dictionary(uniqueKeysWithValues: agents.map { ($0, OwnGuards()) })
        return FleetGuards.changes(
            from: FleetGuards(environment: "prod", settings: was, own: own),
            to: FleetGuards(environment: "prod", settings: now, own: own)
        ) { agents }
    }

    static let agents = ["it/desk", "support/a", "support/b", "support/c", "support/d"].map { agent($0) }

    func said(_ changes: [GuardChange]) -> [String] { changes.map { "\($0.direction) \($0.sentence)" } }

    // MARK: Whom

    @Test("An agent under another name is compared with what guarded it before, and its new team with the former one")
    func renamed() {
        let (old, new) = (agent("support/a"), agent("sales/a"))
        var policies = (GatewayPolicy(environment: "prod"), GatewayPolicy(environment: "prod"))
        for team in ["support", "sales"] {
            policies.0.teams[team] = GatewayPolicy.Team(costUSDPerDay: team == "support" ? 10 : nil)
        }
        policies.1 = policies.0
        let own = OwnGuards(killSwitch: [.steps(50)], rollout: Self.canary())
        func changes(_ now: OwnGuards, renamed: [AgentID: AgentID]) -> [GuardChange] {
            var (before, after) = (
                FleetGuards(environment: "prod", settings: Self.plain, own: [old: own]),
                FleetGuards(environment: "prod", settings: Self.plain, own: [new: now])
            )
            (before.policy, after.policy) = policies
            return FleetGuards.changes(from: before, to: after, renamed: renamed) { [new, agent("it/desk")] }
        }
        #expect(
            said(changes(OwnGuards(), renamed: [old: new])) == [
                "loosened sales/a: the halt at 50 calls in one run is gone",
                "loosened sales/a: its canary is gone: every change goes to all sessions at once",
                "loosened sales/a: the cost of its team's agents a day, sales now and support before, is no longer limited (was 10 USD)",
            ]
        )
        #expect(changes(own, renamed: [old: new]).map(\.what) == ["limits.costUSDPerDay"])
        policies.1.teams["sales"]?.costUSDPerDay = 10
        #expect(!changes(own, renamed: [old: new]).contains { $0.scope == "sales/a" })
        #expect(!changes(OwnGuards(), renamed: [:]).contains { $0.scope == "sales/a" })
    }

    func changes(
        _ old: [AgentID: OwnGuards],
        _ new: [AgentID: OwnGuards],
        _ oldSettings: (inout Environment) -> Void = { _ in },
        _ newSettings: (inout Environment) -> Void = { _ in }
    ) -> [String] {
        var (was, now) = (Self.plain, Self.plain)
        oldSettings(&was)
        newSettings(&now)
        return said(
            FleetGuards.changes(
                from: FleetGuards(environment: "prod", settings: was, own: old),
                to: FleetGuards(environment: "prod", settings: now, own: new)
            ) { Self.agents }
        )
    }

    @Test("A deployment's own rule and canary are its own")
    func own() {
        let one = agent("support/a")
        #expect(
            changes([one: OwnGuards(killSwitch: [.steps(5)])], [one: OwnGuards()]) == [
                "loosened support/a: the halt at 5 calls in one run is gone"
            ]
        )
        #expect(
            changes(
                [one: OwnGuards()],
                [one: OwnGuards(rollout: .immediate)],
                { $0.rollout = Self.canary() },
                {
                    $0.rollout = Self.canary()
                }
            ) == ["loosened support/a: its canary is gone: every change goes to all sessions at once"]
        )
        // What the environment says too is not lost.
        let rules = Self.rules(.steps(5))
        #expect(changes([one: OwnGuards(killSwitch: [.steps(5)])], [one: OwnGuards()], rules, rules) == [])
    }

    @Test("The environment's rollout is about those who have none of their own, its rules about all")
    func effective() {
        let canary = OwnGuards(killSwitch: [.steps(5)], rollout: Self.canary())
        let own = Dictionary(uniqueKeysWithValues: Self.agents.map { ($0, $0.team == "it" ? canary : OwnGuards()) })
        #expect(
            changes(own, own, Self.rollout(Self.canary()), Self.rollout(nil)) == [
                "loosened support/* (4): its canary is gone: every change goes to all sessions at once"
            ]
        )
        #expect(
            changes(own, own, Self.rules(.steps(5)), Self.rules()) == [
                "loosened support/* (4): the halt at 5 calls in one run is gone"
            ]
        )
        #expect(
            changes(own, own, Self.rules(.unknownTool(1)), Self.rules()) == [
                "loosened every agent of prod (5): the halt at 1 call of a tool that was not granted is gone"
            ]
        )
    }

    @Test("Where all have their own, the environment's is for those that come")
    func coming() {
        let canary = OwnGuards(rollout: Self.canary())
        let own = Dictionary(uniqueKeysWithValues: Self.agents.map { ($0, canary) })
        let sentence =
            "loosened agents that come to prod: its canary is gone: every change goes to all sessions at once"
        #expect(changes(own, own, Self.rollout(Self.canary()), Self.rollout(nil)) == [sentence])
        #expect(changes([:], [:], Self.rollout(Self.canary()), Self.rollout(nil)) == [sentence])
    }

    @Test("Equal changes of some are said once, with their names")
    func some() {
        func lost(_ names: String...) -> [String] {
            let ruled = OwnGuards(killSwitch: [.steps(5)])
            let agents = names.map { agent($0) }
            return changes(
                Dictionary(uniqueKeysWithValues: agents.map { ($0, ruled) }),
                Dictionary(uniqueKeysWithValues: agents.map { ($0, OwnGuards()) })
            )
        }
        let text = "the halt at 5 calls in one run is gone"
        #expect(lost("support/b", "support/a") == ["loosened support/a, support/b (2): \(text)"])
        #expect(
            lost("support/a", "support/b", "support/c", "support/d") == ["loosened support/* (4): \(text)"]
        )
        #expect(
            lost("it/desk", "support/a", "support/b", "support/c") == [
                "loosened it/desk, support/a, support/b and 1 more (4): \(text)"
            ]
        )
        #expect(
            lost("it/desk", "support/a", "support/b", "support/c", "support/d") == [
                "loosened every agent of prod (5): \(text)"
            ]
        )
    }

    @Test("An agent that comes is not a change of what guards it, nor one that goes; one that is kept loses its own")
    func comingAndGoing() {
        let one = agent("support/a")
        let ruled = OwnGuards(killSwitch: [.steps(5)])
        #expect(changes([:], [one: ruled]) == [])
        #expect(changes([one: ruled], [:]) == [])
        let kept: (inout Environment) -> Void = { $0.prune = false }
        #expect(
            changes([one: ruled], [:], kept, kept) == ["loosened support/a: the halt at 5 calls in one run is gone"]
        )
    }

    // MARK: Beside one another

    @Test("Of two environments only what differs is said, and whom each promotes from is neither looser nor tighter")
    func environments() {
        var (staging, prod) = (Self.plain, Self.plain)
        staging.promotesFrom = Self.located("dev")
        prod.promotesFrom = Self.located("staging")
        prod.killSwitch = [.steps(5)]
        let own = Dictionary(uniqueKeysWithValues: Self.agents.map { ($0, OwnGuards()) })
        let changes = FleetGuards.changes(
            from: FleetGuards(environment: "staging", settings: staging, own: own),
            to: FleetGuards(environment: "prod", settings: prod, own: own)
        ) { Self.agents }
        #expect(
            said(changes) == [
                "tightened every agent of prod (5): a halt at 5 calls in one run is new",
                "changed every agent of prod (5): versions come from staging (was dev)",
            ]
        )
    }

    @Test("Nobody is listed where nothing changes")
    func cheap() {
        let guards = FleetGuards(environment: "prod", settings: Self.plain)
        var isAsked = false
        let changes = FleetGuards.changes(from: guards, to: guards) {
            isAsked = true
            return Self.agents
        }
        #expect(changes == [] && !isAsked)
    }
}
