package import EnsignModel

extension Change {
    /// The change of an environment's own rules, as the ledger records it; nil when no rule changes.
    ///
    /// It belongs to no agent, and takes effect with the entry: nothing is published for it. What of it guards agents
    /// decides its class.
    package static func ofRules(from old: Environment, to new: Environment, environment: String) -> Change? {
        guard let rules = Evidence.RuleChanges(from: old.rules, to: new.rules) else { return nil }
        let guards = FleetGuards.changes(
            from: FleetGuards(environment: environment, settings: old),
            to: FleetGuards(environment: environment, settings: new)
        ) { [] }
        let kind: Change.Class =
            if guards.contains(where: { $0.direction == .loosened }) {
                .widening
            } else if guards.contains(where: { $0.direction == .tightened }) {
                .narrowing
            } else {
                .none
            }
        var change = Change(agent: nil, action: .update, from: nil, to: nil, kind: kind)
        change.explain { $0.rules = rules }
        return change
    }
}
