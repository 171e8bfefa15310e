import EnsignModel

extension FleetGuards {
    /// Compares an environment's settings for all its agents together, without the rules for each agent.
    static func settingsDifferences(_ old: FleetGuards, _ new: FleetGuards) -> [GuardDifference] {
        let (was, now) = (old.settings, new.settings)
        return promotion(old, new) + pruning(was, now)
            + [
                limit(
                    "limits.costUSDPerDay",
                    "the cost of all agents a day",
                    "USD",
                    was.costUSDPerDay,
                    now.costUSDPerDay
                ),
                limit(
                    "limits.concurrentRollouts",
                    "the number of canaries at the same time",
                    nil,
                    was.concurrentRollouts.map(Double.init),
                    now.concurrentRollouts.map(Double.init)
                ), keepFor(was, now), mutable(was, now),
            ].compactMap { $0 }
    }

    private static func promotion(_ old: FleetGuards, _ new: FleetGuards) -> [GuardDifference] {
        var found: [GuardDifference] = []
        let (was, now) = (old.settings.promotesFrom?.value, new.settings.promotesFrom?.value)
        if was != now {
            let text =
                switch (was, now) {
                case (let was?, nil): "versions no longer have to come from \(was)"
                case (nil, let now?): "versions come from \(now)"
                case (let was, let now): "versions come from \(now ?? "anywhere") (was \(was ?? "anywhere"))"
                }
            // Two environments each have their own value; within one, a changed value must count as looser.
            let isAside = old.environment != new.environment && was != nil && now != nil
            found.append(
                GuardDifference(
                    "promotesFrom",
                    isAside ? .changed : now != nil && was == nil ? .tightened : .loosened,
                    text
                )
            )
        }
        let (soaked, soaks) = (old.settings.soak, new.settings.soak)
        if (soaked?.milliseconds ?? 0) != (soaks?.milliseconds ?? 0) {
            let isLooser = (soaks?.milliseconds ?? 0) < (soaked?.milliseconds ?? 0)
            let text =
                soaks.map {
                    "versions must have been stable for \($0) before (was \(soaked?.description ?? "no time"))"
                }
                ?? "versions no longer have to have been stable for \(soaked?.description ?? "any time") before"
            found.append(GuardDifference("soak", isLooser: isLooser, text))
        }
        return found
    }

    private static func pruning(_ was: Environment, _ now: Environment) -> [GuardDifference] {
        var found: [GuardDifference] = []
        if was.prune != now.prune {
            // Both directions are looser for some agent: one that is removed by mistake, or one that should have been
            // removed.
            let text =
                now.prune
                ? "an agent that is no longer declared is removed: it stayed before"
                : "an agent that is no longer declared stays live: it was removed before"
            found.append(GuardDifference("prune", .loosened, text))
        }
        if was.maxPruneShare != now.maxPruneShare {
            let (old, new) = (JSONValue(was.maxPruneShare).text, JSONValue(now.maxPruneShare).text)
            let text = "the share of agents that one commit may remove is \(new) (was \(old))"
            found.append(GuardDifference("maxPruneShare", isLooser: now.maxPruneShare > was.maxPruneShare, text))
        }
        return found
    }

    static func limit(
        _ field: String,
        _ name: String,
        _ unit: String?,
        _ was: Double?,
        _ now: Double?
    ) -> GuardDifference? {
        guard was != now else { return nil }
        func words(_ value: Double?) -> String {
            guard let value else { return "not limited" }
            return JSONValue(value).text + (unit.map { " \($0)" } ?? "")
        }
        let text =
            now == nil
            ? "\(name) is no longer limited (was \(words(was)))"
            : "\(name) is limited to \(words(now)) (was \(words(was)))"
        return GuardDifference(field, isLooser: (now ?? .infinity) > (was ?? .infinity), text)
    }

    private static func keepFor(_ was: Environment, _ now: Environment) -> GuardDifference? {
        guard was.keepFor != now.keepFor else { return nil }
        let text =
            "bundles stay for \(now.keepFor) after their last route (was \(was.keepFor)): so long a way back is open, without soak"
        return GuardDifference("keepFor", isLooser: now.keepFor.milliseconds < was.keepFor.milliseconds, text)
    }

    private static func mutable(_ was: Environment, _ now: Environment) -> GuardDifference? {
        guard was.mutableVersions != now.mutableVersions else { return nil }
        let text =
            now.mutableVersions
            ? "deployments may run 'next', which changes without a release"
            : "deployments run released versions only"
        return GuardDifference("mutableVersions", isLooser: now.mutableVersions, text)
    }
}
