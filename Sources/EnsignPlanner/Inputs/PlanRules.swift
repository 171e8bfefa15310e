/// The rules of an environment that planning needs.
package struct PlanRules: Sendable, Hashable {
    package var prune: Bool
    package var maxPruneShare: Double
    package var allowPrune: Bool

    package init(prune: Bool, maxPruneShare: Double, allowPrune: Bool) {
        self.prune = prune
        self.maxPruneShare = maxPruneShare
        self.allowPrune = allowPrune
    }
}
