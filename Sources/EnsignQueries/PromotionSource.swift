package import EnsignHost
import EnsignLedger
package import EnsignModel

/// Whether an environment really runs the version that its manifests name: what `promote` asks before it takes it further.
package struct PromotionSource {
    private let environment: String
    /// Nil where the ledger is not here: then the manifests are all that is known.
    private let live: LiveFleet?

    package init(_ site: Site, _ environment: String) throws {
        self.environment = environment
        live = try site.ledger(environment).checkedTip().map { LiveFleet(site, environment, at: $0) }
    }

    /// Why a version is not one to take further.
    package struct Objection: Sendable, Hashable {
        /// In a sentence without a full stop.
        package var reason: String
        /// The version that sessions have instead; nil for none.
        package var stable: AgentVersion?
        /// Whether it failed there, or is being tried.
        package var isTried: Bool
    }

    /// - Returns: nil when all its sessions have the version, and where that is not known.
    package func objection(to version: AgentVersion, of agent: AgentID) throws -> Objection? {
        guard let live else { return nil }
        guard let state = try live.agent(agent)?.state else {
            return Objection(reason: "'\(environment)' does not run it yet", isTried: false)
        }
        let stable = state.stable?.version
        let runs = stable.map { "'\(environment)' runs \($0)" } ?? "'\(environment)' runs none"
        if let quarantine = state.quarantine.last(where: { $0.version == version }), stable != version {
            return Objection(
                reason: "\(runs): \(version) is quarantined there (\(quarantine.reason))",
                stable: stable,
                isTried: true
            )
        }
        if stable == version, state.isHalted {
            return Objection(reason: "'\(environment)' has halted \(version)", stable: nil, isTried: true)
        }
        guard stable != version else { return nil }
        if let canary = state.canary, canary.candidate.side.version == version {
            return Objection(
                reason: "\(runs): \(version) is in a canary there, at \(canary.progress.weight) %",
                stable: stable,
                isTried: true
            )
        }
        return Objection(reason: "\(runs), not yet \(version)", stable: stable, isTried: false)
    }
}
