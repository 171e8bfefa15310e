import EnsignJudge
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignTestSupport
import Testing

/// What an earlier version of Ensign recorded goes on under this one, though it writes the same otherwise.
@Suite struct FormerArtifactTests {
    private static func artifact(_ letter: Character) -> Digest {
        guard let digest = Digest(hex: String(repeating: letter, count: 64)) else { preconditionFailure() }
        return digest
    }

    /// As 0.1.0 recorded it: the artifact does not cover `runtime`.
    private func recorded(_ name: String, _ former: Character, instructions: String = "Sort.\n") -> CompiledBundle {
        compiled(
            bundle("support/triage", name) {
                $0.artifact = Self.artifact(former)
                $0.instructions = instructions
            }
        )
    }

    /// As it is compiled now.
    private func renewed(
        _ name: String,
        _ former: Character,
        _ artifact: Character,
        instructions: String = "Sort.\n",
        runtime: JSONValue = ["kind": "langgraph"]
    ) -> CompiledBundle {
        compiled(
            bundle("support/triage", name) {
                $0.artifact = Self.artifact(artifact)
                $0.instructions = instructions
                $0.runtime = runtime
            },
            former: Self.artifact(former)
        )
    }

    private var triage: AgentID { agent("support/triage") }
    private let canary = Rollout.canary(
        Canary(
            steps: [
                Canary.Step(weight: 20, hold: TimeSpan("1h") ?? PrometheusQuery.standardStep),
                Canary.Step(weight: 60, hold: TimeSpan("1h") ?? PrometheusQuery.standardStep),
            ],
            analysis: nil
        )
    )

    @Test("What says the same in other bytes takes over at once, and grows nothing")
    func appliesAtOnce() throws {
        var world = World()
        world.apply(try world.plan([recorded("1.0.0", "a")]))
        let plan = try world.plan([renewed("1.0.0", "a", "b")], rollout: canary)
        let change = try #require(plan.changes.first?.all.first)
        #expect((change.action, change.kind, plan.changes.count) == (.update, .none, 1))
    }

    @Test("A canary goes on with its evidence, and what becomes stable is written anew")
    func canaryGoesOn() throws {
        var world = World()
        let start: Int64 = 1_800_000_000
        world.apply(try world.plan([recorded("1.0.0", "a")]))
        world.apply(
            try world.plan([recorded("1.1.0", "c", instructions: "Sort well.\n")], rollout: canary, context: .at(start))
        )
        let before = try #require(world.recorded[triage]?.state.canary)
        let after = renewed("1.1.0", "c", "d", instructions: "Sort well.\n")
        #expect(try world.plan([after], rollout: canary, context: .at(start + 60)).changes.isEmpty)
        world.apply(try world.plan([after], rollout: canary, context: .at(start + 3_600)))
        let later = try #require(world.recorded[triage]?.state.canary)
        #expect(later.candidate.side == before.candidate.side)
        #expect((later.progress.weight, later.progress.evidenceSince) == (60, before.progress.evidenceSince))
        world.apply(try world.plan([after], rollout: canary, context: .at(start + 7_200)))
        #expect(world.recorded[triage]?.state.canary == nil)
        world.apply(try world.plan([after], rollout: canary, context: .at(start + 7_260)))
        #expect(world.recorded[triage]?.stable == after.side)
    }

    @Test("A quarantine of the former artifact holds, whatever `runtime` says")
    func quarantineByArtifact() throws {
        var world = World()
        world.apply(try world.plan([recorded("1.0.0", "a")]))
        world.apply(try world.plan([recorded("1.1.0", "c", instructions: "Sort well.\n")], rollout: canary))
        try rollBack(&world, [recorded("1.1.0", "c", instructions: "Sort well.\n")])
        for runtime: JSONValue in [["kind": "langgraph"], ["kind": "other"]] {
            let wanted = renewed("1.1.0", "c", "d", instructions: "Sort well.\n", runtime: runtime)
            let plan = try world.plan([wanted], rollout: canary)
            #expect(plan.held.map(\.reason) == [.quarantined])
            #expect(plan.changes.isEmpty)
        }
    }

    @Test("A quarantine of a bundle holds for the bundle that says the same, and not for a fix")
    func quarantineByDigest() throws {
        var world = World()
        world.apply(try world.plan([recorded("1.0.0", "a")]))
        // The artifact is the stable one's: the environment alone differs.
        let more = compiled(
            bundle("support/triage", "1.0.0") {
                $0.artifact = Self.artifact("a")
                $0.limits.costUSDPerDay = 80
            }
        )
        world.apply(try world.plan([more], rollout: canary))
        try rollBack(&world, [more])
        guard case .digest(more.digest)? = world.recorded[triage]?.state.quarantine.first?.mark else {
            Issue.record("it is marked by its artifact")
            return
        }
        func again(_ limit: Double) -> CompiledBundle {
            compiled(
                bundle("support/triage", "1.0.0") {
                    $0.artifact = Self.artifact("b")
                    $0.limits.costUSDPerDay = limit
                },
                former: Self.artifact("a")
            )
        }
        #expect(try world.plan([again(80)], rollout: canary).held.map(\.reason) == [.quarantined])
        #expect(try world.plan([again(70)], rollout: canary).held.map(\.reason) != [.quarantined])
    }

    @Test("A former artifact is the same only with the same `runtime`")
    func identity() throws {
        let old = try recorded("1.0.0", "a").bundle
        #expect(renewed("1.0.0", "a", "b").identity.isArtifact(of: old))
        #expect(!renewed("1.0.0", "a", "b", runtime: ["kind": "other"]).identity.isArtifact(of: old))
        #expect(renewed("1.0.0", "a", "b", runtime: ["kind": "other"]).identity.isNamed(by: old.artifact))
    }

    /// The candidate fails.
    private func rollBack(_ world: inout World, _ wanted: [CompiledBundle]) throws {
        var context = RolloutContext.at(1_800_000_060)
        context.request = OperatorRequest(agents: [triage], operation: .abort, by: "ada@host", reason: "it is bad")
        world.apply(try world.plan(wanted, rollout: canary, context: context))
        try #require(world.recorded[triage]?.state.quarantine.count == 1)
    }
}
