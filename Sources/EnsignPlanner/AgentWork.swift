import EnsignModel

/// One agent on its way through the planner.
struct AgentWork {
    let item: DesiredAgent
    let before: RecordedAgent?
    var machine: RolloutMachine
    /// The recorded stable version, if it differs from what git asks for.
    @BoxedOptional var stableBundle: Bundle?
    var difference: PlannedDifference?
    /// A stable version that no entry has yet: narrowed, restored under the present permissions, or renamed.
    @BoxedOptional var recompiled: CompiledBundle?
    @BoxedOptional var succession: Succession?
    /// Whether the version that git asks for may come in; nil where nothing has to be shown.
    var promotion: PromotionVerdict?
    /// The name under which the agent continues.
    var movedTo: AgentID?

    var queued: Candidate? {
        guard case .queued(let candidate) = machine.state.rollout else { return nil }
        return candidate
    }

    /// What git still allows the stable version of an agent that it no longer declares; nil when that is all that it has.
    var narrowedStable: Change.Side? {
        item.compiled == nil && machine.state.stable == before?.state.stable ? recompiled?.side : nil
    }

    /// The artifacts that this plan quarantines or stops.
    var failed: Set<Digest> {
        let (was, now) = (before?.state, machine.state)
        var failed: Set<Digest> = []
        if let halt = now.halt, halt != was?.halt, !halt.isGits {
            failed.formUnion(halt.stopped + [machine.stableArtifact].compactMap { $0 })
        }
        for quarantine in now.quarantine where was?.quarantine.contains(quarantine) != true {
            if case .artifact(let artifact) = quarantine.mark { failed.insert(artifact) }
        }
        return failed
    }

    /// Whether its canary was under way under another name.
    var hadPlace: Bool { succession?.state?.canary != nil }

    /// A bundle that the agent has afterwards; nil when nothing knows it.
    func bundle(_ digest: Digest, _ recorded: RecordedFleet) throws -> Bundle? {
        if let compiled = [item.compiled, recompiled].compactMap({ $0 }).first(where: { $0.digest == digest }) {
            return try compiled.bundle
        }
        return try recorded.bundle(digest)
    }

    /// Whether the agent is about to go: it goes now, or begins to leave.
    var isLeavingNow: Bool {
        item.compiled == nil && before?.isLive == true && before?.state.leaving == nil
    }
}
