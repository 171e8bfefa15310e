package import EnsignModel

extension FleetGuards {
    /// What changes for whom, loosenings first.
    ///
    /// A created or removed agent is a change of its own: the comparison covers only the guards of agents on both
    /// sides, and those of an undeclared agent that stays because nothing is pruned.
    ///
    /// An agent that goes on under another name is on both: it is compared with what guarded it before.
    ///
    /// - Parameters:
    ///   - renamed: Agents that go on under another name: the new one by the former.
    ///   - roster: The agents that are declared now. Called only when something changes.
    package static func changes(
        from old: FleetGuards,
        to new: FleetGuards,
        renamed: [AgentID: AgentID] = [:],
        roster: () throws -> [AgentID]
    ) rethrows -> [GuardChange] {
        let everybody =
            settingsDifferences(old, new) + TrustedKey.differences(old.signers, new.signers)
            + PolicyDifferences.guards(old.policy, new.policy)
        let priced = PriceDifferences.between(old.prices, new.prices)
        let grouped = agentDifferences(old, new, renamed).merging(movedTeams(old, new, renamed)) { $0 + $1 }
        let arrived = Set(renamed.values)
        guard !everybody.isEmpty || !priced.isEmpty || !grouped.isEmpty else { return [] }
        let scopes = GuardScopes(
            environment: new.environment,
            roster: try roster().filter { new.own[$0] == nil || old.own[$0] != nil || arrived.contains($0) }
        )
        var changes = everybody.map { $0.change(scopes.all) }
        changes += priced.map { model, difference in
            difference.change(model.map { ("every agent on \($0)", nil) } ?? scopes.all)
        }
        changes += grouped.map { difference, agents in difference.change(scopes.scope(of: agents)) }
        return changes.sorted { $0.order < $1.order }
    }

    /// The differences, and the agents that they concern; no agent means future ones.
    private static func agentDifferences(
        _ old: FleetGuards,
        _ new: FleetGuards,
        _ renamed: [AgentID: AgentID]
    ) -> [GuardDifference: [AgentID]] {
        var grouped: [GuardDifference: [AgentID]] = [:]
        // Most agents have no settings of their own, or the same ones as others.
        var known: [[OwnGuards]: [GuardDifference]] = [:]
        func differences(_ before: OwnGuards, _ after: OwnGuards) -> [GuardDifference] {
            if let found = known[[before, after]] { return found }
            let found =
                KillRuleDifferences.between(
                    old.settings.killSwitch + before.killSwitch,
                    new.settings.killSwitch + after.killSwitch
                )
                + RolloutDifferences.between(
                    before.rollout ?? old.settings.rollout,
                    after.rollout ?? new.settings.rollout
                )
            known[[before, after]] = found
            return found
        }
        for (former, before) in old.own {
            let agent = renamed[former] ?? former
            guard let after = new.own[agent] ?? (new.settings.prune ? nil : OwnGuards()) else { continue }
            for difference in differences(before, after) { grouped[difference, default: []].append(agent) }
        }
        for difference in differences(OwnGuards(), OwnGuards()) where grouped[difference] == nil {
            grouped[difference] = []
        }
        return grouped
    }

    /// What agents of another team may spend together, for those that go to it.
    private static func movedTeams(
        _ old: FleetGuards,
        _ new: FleetGuards,
        _ renamed: [AgentID: AgentID]
    ) -> [GuardDifference: [AgentID]] {
        var found: [GuardDifference: [AgentID]] = [:]
        for (former, agent) in renamed where former.team != agent.team {
            let difference = limit(
                "limits.costUSDPerDay",
                "the cost of its team's agents a day, \(agent.team) now and \(former.team) before,",
                "USD",
                old.policy?.teams[former.team]?.costUSDPerDay,
                new.policy?.teams[agent.team]?.costUSDPerDay
            )
            if let difference { found[difference, default: []].append(agent) }
        }
        return found
    }
}

extension GuardDifference {
    fileprivate func change(_ scope: (scope: String, agents: Int64?)) -> GuardChange {
        GuardChange(what: what, direction: direction, scope: scope.scope, agents: scope.agents, text: text)
    }
}

extension GuardChange {
    /// Loosenings first, and rules that stop agents before those about versions.
    fileprivate var order: (Int, Int, String, String) {
        let direction = Direction.allCases.firstIndex(of: direction) ?? 0
        let subject = Self.subjects.firstIndex { what.hasPrefix($0) } ?? Self.subjects.count
        return (direction, subject, "\(what) \(scope)", text)
    }

    private static let subjects = ["killSwitch", "rollout", "limits", "approvers", "trust", "prices"]
}

/// Describes a set of agents in few words.
private struct GuardScopes {
    let environment: String
    private let roster: Set<AgentID>
    private let teams: [String: Int]

    init(environment: String, roster: [AgentID]) {
        self.environment = environment
        self.roster = Set(roster)
        teams = roster.reduce(into: [:]) { $0[$1.team, default: 0] += 1 }
    }

    var all: (scope: String, agents: Int64?) { ("every agent of \(environment)", Int64(roster.count)) }

    func scope(of agents: [AgentID]) -> (scope: String, agents: Int64?) {
        if agents.isEmpty { return ("agents that come to \(environment)", nil) }
        let isAll = roster.count > 1 && agents.count(where: roster.contains) == roster.count
        if isAll { return (all.scope, Int64(agents.count)) }
        var names: [String] = []
        for (team, members) in Dictionary(grouping: agents, by: \.team).sorted(by: { $0.key < $1.key }) {
            if members.count > 1, members.count(where: roster.contains) == teams[team] {
                names.append("\(team)/*")
            } else {
                names += members.sorted().map(\.description)
            }
        }
        let more = names.count > 3 ? " and \(names.count - 3) more" : ""
        return (names.prefix(3).joined(separator: ", ") + more, Int64(agents.count))
    }
}
