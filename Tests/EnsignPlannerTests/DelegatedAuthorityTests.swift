import EnsignModel
import EnsignPlanner
import EnsignTestSupport
import Testing

/// Whoever hands work on can have done what the others may do.
@Suite("What an agent reaches through the agents that it hands work to")
struct DelegatedAuthorityTests {
    /// `support/triage` hands work to `it/desk`, and that to `it/payer`.
    private func fleet(
        triage: (inout Bundle) -> Void = { _ in },
        desk: (inout Bundle) -> Void = { _ in },
        payer: (inout Bundle) -> Void = { _ in }
    ) -> [CompiledBundle] {
        [
            compiled(
                bundle("support/triage") {
                    $0.delegates = [agent("it/desk")]
                    triage(&$0)
                }
            ),
            compiled(
                bundle("it/desk") {
                    $0.delegates = [agent("it/payer")]
                    $0.tools = []
                    desk(&$0)
                }
            ),
            compiled(bundle("it/payer", "1.0.0", payer)),
        ]
    }

    private func change(_ plan: Plan, _ name: String = "support/triage") throws -> PlannedChange {
        try #require(plan.changes.first { $0.agent == agent(name) })
    }

    @Test("Another prompt is behaviour, unless a delegate of a delegate gains with it")
    func indirect() throws {
        let world = try World().with(fleet())
        #expect(try change(world.plan(fleet(triage: { $0.instructions = "x" }))).change.kind == .behaviour)
        let wider = try change(
            world.plan(
                fleet(triage: { $0.instructions = "x" }, payer: { $0.tools[0].operations["update"]?.approval = .none })
            )
        )
        #expect(wider.change.kind == .widening)
        #expect(
            try wider.difference.authority.gained == [
                "hands work to it/payer, which gains too: may call crm.update without approval (was: a manager's approval)"
            ]
        )
    }

    @Test("A long line of delegates that all gain is compared once each, and a few are named")
    func longLine() throws {
        func line(_ steps: Int64) -> [CompiledBundle] {
            (0..<300).map { number in
                compiled(
                    bundle("it/a\(1_000 + number)") {
                        if number < 299 { $0.delegates = [agent("it/a\(1_001 + number)")] }
                        $0.limits.run.steps = steps
                    }
                )
            }
        }
        let plan = try World().with(line(8)).plan(line(9))
        #expect(plan.changes.count == 300 && plan.changes.allSatisfy { $0.change.kind == .widening })
        let first = try change(plan, "it/a1000").difference.authority.gained
        #expect(first.count == 7)
        #expect(first.contains("294 more agents that it reaches gain too"))
        #expect(try change(plan, "it/a1298").difference.authority.gained.count == 2)
    }

    @Test("Fewer permissions of its own are not a narrowing while a delegate gains")
    func narrowing() throws {
        let world = try World().with(fleet())
        let fewer: (inout Bundle) -> Void = { $0.tools[0].operations["find"] = nil }
        #expect(try change(world.plan(fleet(triage: fewer))).change.kind == .narrowing)
        let both = try world.plan(fleet(triage: fewer, payer: { $0.limits.run.steps = 99 }))
        #expect(try change(both).change.kind == .widening)
        // A delegate that loses something changes nothing about that.
        let lost = try world.plan(fleet(triage: fewer, payer: { $0.limits.run.steps = 2 }))
        #expect(try change(lost).change.kind == .narrowing)
    }

    @Test("A new delegate is named with what it may call, and so are those behind it")
    func newDelegate() throws {
        let world = try World().with(fleet(triage: { $0.delegates = [] }))
        let gained = try change(world.plan(fleet())).difference.authority.gained
        #expect(
            gained == ["may now hand work to it/desk", "through it/payer may now have called: crm.find, crm.update"]
        )
        let desk = try change(try World().with(fleet(desk: { $0.delegates = [] })).plan(fleet()), "it/desk")
        #expect(
            try desk.difference.authority.gained == [
                "may now hand work to it/payer", "through it/payer may now have called: crm.find, crm.update",
            ]
        )
    }

    @Test("Agents that hand work to each other in a circle are compared, and end")
    func circle() throws {
        let round: (inout Bundle) -> Void = { $0.delegates = [agent("support/triage")] }
        let world = try World().with(fleet(payer: round))
        let plan = try world.plan(fleet(triage: { $0.instructions = "x" }, payer: round))
        #expect(try change(plan).change.kind == .behaviour)
    }

    @Test("An agent that did not change is not changed by what its delegates gain: they are named themselves")
    func unchanged() throws {
        let plan = try World().with(fleet()).plan(fleet(payer: { $0.limits.run.steps = 99 }))
        #expect(plan.changes.map(\.agent) == [agent("it/payer")])
    }
}
