import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignPlanner

extension Plan {
    /// Says of each agent that is only observed, or no longer, what would have been refused; and counts who is.
    mutating func addObservations(_ site: Site) {
        let ledger = site.ledger(environment)
        let tip = try? ledger.tip()
        let observing = tip.flatMap { try? ObservingAgents.find($0, ledger) } ?? [:]
        let recorded = RecordedTree(repository: site.repository, tip: tip)
        var after = Set(observing.keys)
        var concerned: [(index: Int, ends: Bool)] = []
        for (index, planned) in changes.enumerated() {
            let own = Set(observing[planned.agent] ?? [])
            let observes = planned.observes(own, recorded)
            if observes { after.insert(planned.agent) } else { after.remove(planned.agent) }
            let ends = !observes && planned.takesSessions && (planned.leavesObservation || !own.isEmpty)
            if ends || observes && !own.isEmpty { concerned.append((index, ends)) }
        }
        if !observing.isEmpty || !after.isEmpty {
            self.observing = PlannedObserving(before: observing.count, after: after.count)
        }
        guard !concerned.isEmpty else { return }
        let known = Observations.kept(site, environment, of: Set(concerned.map { changes[$0.index].agent }))
        for (index, ends) in concerned {
            let planned = changes[index]
            let bundles = observing[planned.agent] ?? [planned.change.from?.digest].compactMap { $0 }
            let hasNoGateway = site.reconciles && site.settings.gateway(environment) == nil
            changes[index].observation = PlannedObservation(
                ends: ends,
                evidence: known.book.evidence(of: planned.agent, with: bundles),
                obstacle: known.obstacle?.text(environment),
                noGateway: hasNoGateway ? Observations.noGateway(environment) : nil
            )
        }
    }
}

extension PlannedChange {
    /// Whether a session may be one that is only observed, afterwards.
    ///
    /// - Parameter known: Bundles of which that is known.
    fileprivate func observes(_ known: Set<Digest>, _ recorded: RecordedTree) -> Bool {
        (route?.targets ?? []).contains { target in
            if known.contains(target.digest) { return true }
            if let new = bundles.first(where: { $0.digest == target.digest }) { return new.mode == .observe }
            return (try? recorded.bundle(target.digest))?.mode == .observe
        }
    }

    fileprivate var takesSessions: Bool { route?.targets.isEmpty == false }

    fileprivate var leavesObservation: Bool {
        [differs.compared, stableDifference].compactMap { $0 }.flatMap(\.authority.changes).contains { change in
            if case .mode = change.what { change.direction == .lost } else { false }
        }
    }
}
