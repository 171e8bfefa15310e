package import EnsignModel

extension Plan {
    /// The plan as it would be if the plan `base` had been applied. Both start from nothing: all their changes create.
    ///
    /// - Parameters:
    ///   - rules: What may be removed at once; nil where nothing is, because two states are only compared.
    ///   - compile: Compiles a version of an agent as the plan has it, to find who goes on under another name; nil where
    ///     nobody can, because the plans are of two environments.
    package func compared(
        with base: Plan,
        rules: PlanRules? = nil,
        compile: ((AgentID, AgentVersion) throws -> CompiledBundle?)? = nil
    ) throws -> Plan {
        var before: [AgentID: CompiledBundle] = [:]
        for change in base.changes { before[change.agent] = change.bundle }
        let (was, now) = (before, Dictionary(changes.map { ($0.agent, $0.bundle) }) { first, _ in first })
        let delegated = DelegatedAuthority(was: { try was[$0]?.bundle }, now: { try now[$0]??.bundle })
        let renamed = try compile.map { try renames(from: was, compile: $0) } ?? [:]
        var result = self
        result.liveBefore = Int64(before.count)
        result.unchanged = 0
        result.changes = []
        for planned in changes {
            guard let new = planned.bundle else {
                result.changes.append(planned)
                continue
            }
            guard let old = before.removeValue(forKey: planned.agent) else {
                let former = try renamed[planned.agent].map { try $0.bundle }
                result.changes.append(try former.map { try planned.goingOn(from: $0, as: new) } ?? planned)
                continue
            }
            if old.digest == new.digest, old.halted == new.halted {
                result.unchanged += 1
                continue
            }
            result.changes.append(try planned.compared(with: old, new, delegated))
        }
        let moved = Dictionary(renamed.map { ($0.value.agent, $0.key) }) { first, _ in first }
        for (agent, old) in before { result.changes.append(try PlannedChange(removing: old, movedTo: moved[agent])) }
        result.changes.sort { $0.agent < $1.agent }
        let removed = rules?.prune == true ? Int64(before.count) : 0
        result.refusal = rules.flatMap { Planner.refusal(result, removed: removed, $0) }
        result.policy = PolicyChange(from: base.policy?.after, to: policy?.after, digest: policy?.digest)
        return result
    }

    /// Which removed agents go on under which new name, by that.
    private func renames(
        from was: [AgentID: CompiledBundle],
        compile: (AgentID, AgentVersion) throws -> CompiledBundle?
    ) throws -> [AgentID: CompiledBundle] {
        let stays = Set(changes.map(\.agent))
        let leaving = try was.values.filter { !stays.contains($0.agent) }.map {
            Renames.Leaving(agent: $0.agent, stable: $0.side, bundle: try $0.bundle)
        }
        guard !leaving.isEmpty else { return [:] }
        let created = changes.filter { was[$0.agent] == nil }.map { DesiredAgent(agent: $0.agent, compiled: $0.bundle) }
        return try Renames.find(leaving, created, compile: compile).compactMapValues { was[$0.leaving.agent] }
    }

    /// Agents that go on under another name: the new one by the former.
    package var renamed: [AgentID: AgentID] {
        Dictionary(changes.compactMap { change in change.movedTo.map { (change.agent, $0) } }) { first, _ in first }
    }
}

extension PlannedChange {
    /// The change from a version before to what is planned.
    fileprivate func compared(
        with old: CompiledBundle,
        _ new: CompiledBundle,
        _ delegated: DelegatedAuthority
    ) throws -> PlannedChange {
        var changed = self
        let (before, after) = (try old.bundle, try new.bundle)
        let gained = try delegated.gained(before: before, after: after)
        let difference = BundleDifference(before: before, after: after, delegated: gained)
        changed.differs = PlannedDifference(difference)
        changed.change.from = old.side
        changed.change.kind = difference.kind
        changed.change.action = old.halted == new.halted ? .update : new.halted ? .halt : .resume
        switch changed.change.kind {
        case .behaviour, .widening: changed.startsCanary = !old.halted && !new.halted
        case .narrowing, .none: changed.startsCanary = false
        }
        return changed
    }

    /// A new agent that was another one until now: what differs is what it did not have as that.
    fileprivate func goingOn(from former: Bundle, as new: CompiledBundle) throws -> PlannedChange {
        var changed = self
        let after = try new.bundle
        changed.differs = PlannedDifference(
            BundleDifference(before: former.named(as: after), after: after, former: former.agent)
        )
        changed.notes.append(Succession.note(former: former.agent))
        return changed
    }

    /// The removal of an agent.
    fileprivate init(removing old: CompiledBundle, movedTo: AgentID?) throws {
        self.init(
            agent: old.agent,
            change: Change(agent: old.agent, action: .delete, from: old.side, to: nil, kind: .narrowing),
            // An agent that continues under another name loses nothing.
            difference: movedTo == nil
                ? PlannedDifference(BundleDifference(before: try old.bundle, after: nil)) : .nothing,
            route: nil,
            state: nil,
            bundle: nil,
            declaredOnly: []
        )
        self.movedTo = movedTo
        if let movedTo { notes.append(Succession.note(successor: movedTo)) }
    }
}
