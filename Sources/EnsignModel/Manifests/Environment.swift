/// `kind: Environment`: the rules of one environment.
package struct Environment: Sendable {
    /// Of agent identities, `spiffe://<trust domain>/...`.
    package var trustDomain: String
    package var promotesFrom: Located<String>?
    package var soak: TimeSpan?
    /// Whether deployments may name `version: next`.
    package var mutableVersions: Bool
    /// Whether agents that are no longer declared are removed.
    package var prune: Bool
    /// Of the live agents; more than `max(1, share x live)` removals at once are refused.
    package var maxPruneShare: Double
    /// How long bundles stay after their last route.
    package var keepFor: TimeSpan
    /// US dollars; nil means unlimited.
    package var costUSDPerDay: Double?
    package var concurrentRollouts: Int64?
    package var rollout: Rollout?
    package var killSwitch: [KillRule]

    package init(
        trustDomain: String,
        promotesFrom: Located<String>?,
        soak: TimeSpan?,
        mutableVersions: Bool,
        prune: Bool,
        maxPruneShare: Double,
        keepFor: TimeSpan,
        costUSDPerDay: Double?,
        concurrentRollouts: Int64?,
        rollout: Rollout?,
        killSwitch: [KillRule]
    ) {
        self.trustDomain = trustDomain
        self.promotesFrom = promotesFrom
        self.soak = soak
        self.mutableVersions = mutableVersions
        self.prune = prune
        self.maxPruneShare = maxPruneShare
        self.keepFor = keepFor
        self.costUSDPerDay = costUSDPerDay
        self.concurrentRollouts = concurrentRollouts
        self.rollout = rollout
        self.killSwitch = killSwitch
    }
}

/// `kind: Prices`: US dollars for a million tokens, by `<provider>/<model>`.
package struct Prices: Sendable {
    package var models: [String: Price]

    package init(models: [String: Price]) {
        self.models = models
    }

    /// One model's prices; nil where none is declared.
    package struct Price: Sendable, Hashable {
        package var input: Double
        package var output: Double
        package var cacheRead: Double?
        package var cacheWrite: Double?

        package init(input: Double, output: Double, cacheRead: Double?, cacheWrite: Double?) {
            self.input = input
            self.output = output
            self.cacheRead = cacheRead
            self.cacheWrite = cacheWrite
        }
    }
}
