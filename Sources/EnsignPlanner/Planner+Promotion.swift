import EnsignModel

/// Whether versions were proven where they come from.
extension Planner {
    /// Whether the version that git asks for may come in.
    ///
    /// Only a version that brings an artifact which the environment did not have stable within `keepFor` has to be shown.
    /// What is live or under way is let go on, and so is going back to a bundle that was ever stable here.
    ///
    /// - Returns: nil where nothing has to be shown.
    static func promotion(
        _ compiled: CompiledBundle,
        _ work: AgentWork,
        _ recorded: RecordedFleet,
        _ context: RolloutContext
    ) throws -> PromotionVerdict? {
        guard let rule = context.promotion else { return nil }
        let (agent, state) = (work.item.agent, work.machine.state)
        let artifact = compiled.bundle.artifact
        if let stable = state.stable {
            if stable.digest == compiled.digest { return nil }
            if try work.bundle(stable.digest, recorded)?.artifact == artifact { return nil }
        }
        switch state.rollout {
        case .canary(let candidate, _)? where candidate.artifact == artifact: return nil
        case .queued(let candidate)? where candidate.artifact == artifact: return nil
        case .canary?, .queued?, .soaking?, nil: break
        }
        if try wasHere(agent, compiled.digest, artifact, recorded, context) { return nil }
        if let override = state.soakOverride, override.version == compiled.bundle.version {
            return .overridden(override)
        }
        return rule.verdict(compiled.bundle.version, try context.proven(agent, artifact), now: context.now)
    }

    /// Whether an artifact was stable here: this very bundle at any time, another one of it within `keepFor`.
    private static func wasHere(
        _ agent: AgentID,
        _ digest: Digest,
        _ artifact: Digest,
        _ recorded: RecordedFleet,
        _ context: RolloutContext
    ) throws -> Bool {
        if try recorded.wasStable(agent, digest) { return true }
        return try recorded.earlier(agent).contains { earlier in
            guard try recorded.bundle(earlier)?.artifact == artifact,
                let history = try recorded.history(agent, earlier)
            else { return false }
            return history.stableUntil.seconds >= context.now.seconds - context.keepFor
        }
    }
}
