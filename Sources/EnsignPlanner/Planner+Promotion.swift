import EnsignModel

/// Whether versions were proven where they come from.
extension Planner {
    /// What the version that git asks for must have shown: by the last accepted commit. One that asks for a version and
    /// loosens the rule does not do so for this version, however often it is looked at: only a later commit does.
    static func promotionRule(
        _ compiled: CompiledBundle,
        _ state: AgentState,
        _ context: RolloutContext
    ) throws -> PromotionRule? {
        guard case .soaking(let candidate, let soak)? = state.rollout, candidate.artifact == compiled.artifact,
            let began = soak.rule, began != context.promotion,
            try context.promotionRule(candidate.source) == context.promotion
        else { return context.promotion }
        return began
    }

    /// Whether the version that git asks for may come in.
    ///
    /// Only a version that brings an artifact which the environment did not have stable within `keepFor` has to be shown.
    /// What is live or under way is let go on, and so is going back to a bundle that was ever stable here.
    ///
    /// - Returns: nil where nothing has to be shown.
    static func promotion(
        _ compiled: CompiledBundle,
        _ rule: PromotionRule,
        _ work: AgentWork,
        _ recorded: RecordedFleet,
        _ context: RolloutContext
    ) throws -> PromotionVerdict? {
        let (agent, state) = (work.item.agent, work.machine.state)
        let version = compiled.identity
        if let stable = state.stable {
            if stable.digest == compiled.digest { return nil }
            if let present = try work.bundle(stable.digest, recorded), version.isArtifact(of: present) { return nil }
        }
        // What is under way stays known by its bundle: a former artifact alone names others too.
        func isArtifact(_ candidate: Candidate) throws -> Bool {
            if candidate.artifact == version.artifact { return true }
            return try recorded.bundle(candidate.side.digest).map(version.isArtifact) ?? false
        }
        // What was under way under its former name is under way.
        if let candidate = work.succession?.state?.trial, try isArtifact(candidate) { return nil }
        switch state.rollout {
        case .canary(let candidate, _)? where try isArtifact(candidate): return nil
        case .queued(let candidate)? where try isArtifact(candidate): return nil
        case .canary?, .queued?, .soaking?, nil: break
        }
        let since = context.now.seconds - (rule.keepFor ?? context.keepFor)
        if try wasHere(agent, version, since: since, recorded) { return nil }
        if let override = state.soakOverride, override.lets(compiled.version, version) { return .overridden(override) }
        return rule.verdict(compiled.version, try context.proven(rule, agent, version), now: context.now)
    }

    /// Whether an artifact was stable here: this very bundle at any time, another one of it since then.
    private static func wasHere(
        _ agent: AgentID,
        _ version: VersionIdentity,
        since: Int64,
        _ recorded: RecordedFleet
    ) throws -> Bool {
        if try recorded.wasStable(agent, version.digest) { return true }
        return try recorded.earlier(agent).contains { earlier in
            guard let bundle = try recorded.bundle(earlier), version.isArtifact(of: bundle),
                let history = try recorded.history(agent, earlier)
            else { return false }
            return history.stableUntil.seconds >= since
        }
    }
}
