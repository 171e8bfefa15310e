import EnsignModel

/// What a plan says about one agent.
extension Planner {
    static func change(_ work: AgentWork, _ recorded: RecordedFleet, _ environment: String) throws
        -> PlannedChange?
    {
        var changes = work.machine.changes
        guard let first = changes.first, let last = changes.indices.last else { return nil }
        let agent = work.item.agent
        let state = work.machine.state.isWorthKeeping ? work.machine.state : nil
        // The entry alone must determine the route and the state that follow.
        if let state { changes[last].remember(state) }
        let route = work.machine.state.route(agent, environment)
        let isDeleted = first.action == .delete
        let after = work.machine.state
        let shown = work.item.compiled?.digest
        let isPublished = shown == after.stable?.digest || shown == after.canary?.candidate.side.digest
        let recompiled = work.recompiled.flatMap { $0.digest == after.stable?.digest ? $0 : nil }
        var planned = PlannedChange(
            agent: agent,
            change: changes[0],
            further: Array(changes.dropFirst()),
            difference: .nothing,
            route: route,
            state: state,
            bundle: isPublished ? work.item.compiled : nil,
            recompiled: recompiled,
            declaredOnly: work.item.declaredOnly,
            rollout: work.item.rollout,
            startsCanary: state?.trial.map { $0.side != work.before?.state.trial?.side } ?? false
        )
        let present = try work.succession?.before ?? work.before?.stable.flatMap { try recorded.bundle($0.digest) }
        if isDeleted {
            // An agent that continues under another name loses nothing.
            if work.movedTo == nil {
                planned.differs = PlannedDifference(BundleDifference(before: present, after: nil))
            }
        } else if let was = work.before?.state.canary?.candidate.side, first.action == .update, first.from == was {
            // Narrowed in both routes: the difference is what the candidate loses.
            let candidate = try recorded.bundle(was.digest)
            let bundle = try work.item.compiled?.bundle
            planned.differs = PlannedDifference(BundleDifference(before: candidate, after: bundle))
            planned.startsCanary = false
        } else if let was = work.succession?.before, shown == after.stable?.digest {
            let bundle = try work.item.compiled?.bundle
            planned.differs = PlannedDifference(
                BundleDifference(before: was, after: bundle, former: work.succession?.renamedFrom)
            )
        } else if shown == after.stable?.digest || shown == after.rollout?.candidate.side.digest {
            planned.differs = work.difference ?? planned.differs
        }
        if let recompiled, let present {
            planned.stableDifference = BundleDifference(
                before: present,
                after: try recompiled.bundle,
                former: work.succession?.renamedFrom
            )
        }
        planned.movedTo = work.movedTo
        planned.notes = notes(work, isDeleted: isDeleted)
        return planned
    }

    /// What a person should know about a name that disappears or appears: halts and quarantines outlive it.
    private static func notes(_ work: AgentWork, isDeleted: Bool) -> [String] {
        var notes: [String] = []
        let state = work.machine.state
        if isDeleted {
            if let halt = state.halt {
                notes.append("it is halted (\(halt.reason)); what comes in its place is halted too")
            }
            if let name = work.movedTo { notes.append(Succession.note(successor: name)) }
            for quarantine in state.quarantine {
                notes.append(
                    "\(quarantine.version) is quarantined (\(quarantine.reason)); what comes in its place is held too"
                )
            }
        }
        if let succession = work.succession {
            if let other = succession.renamedFrom { notes.append(Succession.note(former: other)) }
        }
        let isNew = !isDeleted && work.before?.isLive != true
        if isNew || work.succession?.halt != nil, let halt = state.halt {
            notes.append("it starts halted (\(halt.reason)) until 'ensign resume'")
        }
        return notes
    }
}
