package import EnsignModel

/// Compares what all agents of an environment share, as `policy.json` has it.
enum PolicyDifferences {
    /// Who may agree for whom, and what teams may spend: what no other guard says.
    static func guards(_ old: GatewayPolicy?, _ new: GatewayPolicy?) -> [GuardDifference] {
        let (old, new) = (old ?? GatewayPolicy(environment: ""), new ?? GatewayPolicy(environment: ""))
        return members(old, new) + others(old, new) + owners(old, new) + teamLimits(old, new)
    }

    /// People of a team who have a key.
    private static func members(_ old: GatewayPolicy, _ new: GatewayPolicy) -> [GuardDifference] {
        Set(old.teams.keys).union(new.teams.keys).sorted().flatMap { team -> [GuardDifference] in
            let (was, now) = (Set(old.teams[team]?.members ?? []), Set(new.teams[team]?.members ?? []))
            return now.subtracting(was).sorted().map { person in
                GuardDifference("approvers", .loosened, "\(person) may agree to calls for \(team) now")
            }
                + was.subtracting(now).sorted().map { person in
                    GuardDifference("approvers", .tightened, "\(person) no longer agrees to calls for \(team)")
                }
        }
    }

    /// People without a key, who agree only where the operator of a gateway trusts an issuer for them. Of a team that was
    /// there before: what a new one may is said by the grants that name it, and by what it owns.
    private static func others(_ old: GatewayPolicy, _ new: GatewayPolicy) -> [GuardDifference] {
        old.teams.keys.sorted().flatMap { team -> [GuardDifference] in
            let (was, now) = (old.teams[team], new.teams[team])
            let before = Set((was?.members ?? []) + (was?.others ?? []))
            let after = Set((now?.members ?? []) + (now?.others ?? []))
            return after.subtracting(before).intersection(now?.others ?? []).sorted().map { person in
                GuardDifference(
                    "approvers",
                    .loosened,
                    "\(person) may agree to calls for \(team) now, by an issuer's word"
                )
            }
                + before.subtracting(after).intersection(was?.others ?? []).sorted().map { person in
                    GuardDifference("approvers", .tightened, "\(person) no longer agrees to calls for \(team)")
                }
        }
    }

    /// Of a tool that was there before: until then nobody could call a new one.
    private static func owners(_ old: GatewayPolicy, _ new: GatewayPolicy) -> [GuardDifference] {
        new.owners.sorted { $0.key < $1.key }.compactMap { tool, owner in
            guard let was = old.owners[tool], was != owner else { return nil }
            let text = "\(owner) may agree to calls of \(tool) where a grant names nobody (was \(was))"
            return GuardDifference("approvers", .loosened, text)
        }
    }

    private static func teamLimits(_ old: GatewayPolicy, _ new: GatewayPolicy) -> [GuardDifference] {
        Set(old.teams.keys).union(new.teams.keys).sorted().compactMap { team in
            let (was, now) = (old.teams[team]?.costUSDPerDay, new.teams[team]?.costUSDPerDay)
            return FleetGuards.limit(
                "limits.costUSDPerDay",
                "the cost of all agents of \(team) a day",
                "USD",
                was,
                now
            )
        }
    }

    /// The class of a change: whatever might let somebody do more widens.
    static func kind(_ old: GatewayPolicy?, _ new: GatewayPolicy?) -> Change.Class {
        let (was, now) = (old ?? GatewayPolicy(environment: ""), new ?? GatewayPolicy(environment: ""))
        var directions = guards(old, new).map(\.direction)
        directions += PriceDifferences.between(was.prices, now.prices).map(\.difference.direction)
        let limit = FleetGuards.limit("limits.costUSDPerDay", "", nil, was.costUSDPerDay, now.costUSDPerDay)
        directions += [limit?.direction].compactMap { $0 }
        for person in Set(was.approvers.keys).union(now.approvers.keys) {
            let (before, after) = (was.approvers[person] ?? [], now.approvers[person] ?? [])
            if !after.allSatisfy({ key in before.contains { $0.covers(key) } }) { directions.append(.loosened) }
            if !before.allSatisfy({ key in after.contains { $0.covers(key) } }) { directions.append(.tightened) }
        }
        if directions.contains(.loosened) { return .widening }
        return directions.contains(.tightened) ? .narrowing : .none
    }
}

extension GatewayPolicy.Key {
    /// Whether this counts whenever the other one does.
    fileprivate func covers(_ other: GatewayPolicy.Key) -> Bool {
        key == other.key && from.map { from in other.from.map { from <= $0 } ?? false } ?? true
            && until.map { until in other.until.map { until >= $0 } ?? false } ?? true
    }
}

/// The change of `policy.json`.
package struct PolicyChange: Sendable, Hashable {
    package let before: GatewayPolicy?
    /// Nil when there is nothing left to publish.
    package let after: GatewayPolicy?
    package let kind: Change.Class
    /// Of the file as it is published; nil when it goes.
    package var digest: Digest?

    /// - Returns: nil when both say the same.
    package init?(from before: GatewayPolicy?, to after: GatewayPolicy?, digest: Digest?) {
        guard before != after else { return nil }
        (self.before, self.after, self.digest) = (before, after, digest)
        kind = PolicyDifferences.kind(before, after)
    }

    /// As the ledger records it: of no agent.
    package var change: Change {
        var change = Change(agent: nil, action: .update, from: nil, to: nil, kind: kind)
        change.explain { $0.file = Evidence.LiveFile(path: LivePath.policy, digest: digest) }
        return change
    }
}
