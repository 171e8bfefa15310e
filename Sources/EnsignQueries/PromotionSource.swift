package import EnsignHost
import EnsignLedger
package import EnsignModel
import EnsignReconciler

/// Whether an environment has proven a version: what `promote` asks before it takes it further, whoever names the version.
package struct PromotionSource {
    private let environment: String
    private let ledger: Ledger
    /// Nil where the ledger is not here: then the manifests are all that is known.
    private let tip: RecordedEntry?
    /// In effect there, and not on record yet: where both environments are of one host.
    private let stops: [HaltRecord]

    package init(_ site: Site, _ environment: String) throws {
        self.environment = environment
        ledger = site.ledger(environment)
        tip = try ledger.checkedTip()
        stops = try site.pendingHalts(environment)
    }

    /// Why a version is not one to take further.
    package struct Objection: Sendable, Hashable {
        /// In a sentence without a full stop.
        package var reason: String
        /// The version that sessions have instead; nil for none.
        package var stable: AgentVersion?
        /// Whether it has only not run there: nothing is known against it, and whoever names it may mean that.
        package var isOnlyNew = false
    }

    /// - Parameter identity: What the version is recognised by. Nil where that is not known: then only what runs there now
    ///   counts, by its name.
    /// - Returns: nil when the version is proven, and where the ledger is not here.
    package func objection(
        to version: AgentVersion,
        _ identity: VersionIdentity?,
        of agent: AgentID
    ) throws -> Objection? {
        guard let tip else { return nil }
        if stops.contains(where: { $0.scope.covers(agent) }) {
            return Objection(
                reason: "'\(environment)' has stopped it, and does not have that on record yet",
                stable: nil
            )
        }
        let recorded = RecordedTree(repository: ledger.repository, tip: tip)
        let state = try recorded.agent(agent)?.state
        let stable = try state?.stable.flatMap { try recorded.bundle($0.digest) }
        return try PromotionCandidate(version: version, identity: identity).objection(
            in: environment,
            state,
            stable: stable
        ) {
            // Any time at all is enough here; how long is the business of `soak`.
            try identity.map {
                try ledger.stableRecord(of: agent, $0, from: tip, enough: 0, now: tip.entry.time)
            }
        }
    }
}

/// A version that somebody wants to take from one environment to the next.
package struct PromotionCandidate: Sendable, Hashable {
    package var version: AgentVersion
    /// Nil where it is not known.
    package var identity: VersionIdentity?

    package init(version: AgentVersion, identity: VersionIdentity?) {
        (self.version, self.identity) = (version, identity)
    }

    /// Decides by what the ledger of the environment says. Pure, but for what the record costs to read: it is asked for
    /// only where it decides.
    ///
    /// - Parameters:
    ///   - state: The agent's there; nil where it is not live.
    ///   - stable: The bundle of its stable version; nil where there is none, or it is no longer kept.
    ///   - record: When the version was stable there; nil where its identity is not known.
    package func objection(
        in environment: String,
        _ state: AgentState?,
        stable: Bundle?,
        record: () throws -> StableRecord?
    ) rethrows -> PromotionSource.Objection? {
        let runs = state?.stable.map { "'\(environment)' runs \($0.version)" } ?? "'\(environment)' runs none"
        let present = state?.stable?.version
        if let state {
            let isStable = isStable(state, stable)
            if let quarantine = quarantine(state, isStable: isStable) {
                let reason = "\(runs): \(version) is quarantined there (\(quarantine.reason))"
                return PromotionSource.Objection(reason: reason, stable: present)
            }
            if state.isHalted, isStable || wasStopped(state) {
                let what = isStable ? "\(version)" : "the agent with \(version) in its canary"
                return PromotionSource.Objection(reason: "'\(environment)' has halted \(what)", stable: nil)
            }
            if isStable { return nil }
            if let trial = state.trial, isNamed(trial.side.version, trial.artifact) {
                let how = state.canary.map { "in a canary there, at \($0.progress.weight) %" } ?? "queued there"
                return PromotionSource.Objection(reason: "\(runs): \(version) is \(how)", stable: present)
            }
        }
        let record = try record()
        if let record, !record.periods.isEmpty { return nil }
        let why = record?.flaw.map { "; \(version): '\(environment)' \($0)" } ?? ", not yet \(version)"
        let isUnknown = state == nil && record?.flaw == nil
        return PromotionSource.Objection(
            reason: isUnknown ? "'\(environment)' does not run it yet" : runs + why,
            stable: present,
            isOnlyNew: record?.flaw == nil
        )
    }

    private func isStable(_ state: AgentState, _ stable: Bundle?) -> Bool {
        guard let identity, let stable else { return state.stable?.version == version }
        return identity.isArtifact(of: stable)
    }

    private func isNamed(_ other: AgentVersion, _ artifact: Digest) -> Bool {
        other == version || identity?.isNamed(by: artifact) == true
    }

    private func quarantine(_ state: AgentState, isStable: Bool) -> Quarantine? {
        state.quarantine.last { quarantine in
            if case .artifact(let marked) = quarantine.mark, identity?.isNamed(by: marked) == true { return true }
            return quarantine.version == version && !isStable
        }
    }

    /// Whether it was tried when the agent was halted.
    private func wasStopped(_ state: AgentState) -> Bool {
        let stopped = (state.halt?.stopped ?? []) + [state.interrupted].compactMap { $0 }
        return stopped.contains { identity?.isNamed(by: $0) == true }
    }
}
