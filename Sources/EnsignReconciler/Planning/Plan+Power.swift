package import EnsignHost
import EnsignJudge
import EnsignLedger
package import EnsignModel
package import EnsignPlanner

extension Plan {
    /// Says what telemetry knows of the agents that change: what their canaries can see, and what the gateway would have
    /// refused of those that it only observes.
    ///
    /// - Parameter runsPerHour: What somebody has named; nil for what telemetry says.
    package mutating func addEvidence(_ site: Site, runsPerHour: Double? = nil, now: Timestamp) {
        addPower(site, runsPerHour: runsPerHour, now: now)
        addObservations(site)
    }

    /// Says of each canary that would start what it can see, and by when.
    ///
    /// Reads no telemetry when none would.
    ///
    /// - Parameter runsPerHour: As in ``addEvidence(_:runsPerHour:now:)``.
    private mutating func addPower(_ site: Site, runsPerHour: Double?, now: Timestamp) {
        let starting = changes.indices.filter { changes[$0].startingCanary?.analysis != nil }
        guard !starting.isEmpty else { return }
        let agents = Set(starting.map { changes[$0].agent })
        let traffic = TrafficBook.kept(in: StateFile(site.files, environment), of: agents)
        for index in starting {
            changes[index].power = changes[index].startingCanary.flatMap {
                PlannedPower($0, traffic: traffic[changes[index].agent], runsPerHour: runsPerHour, now: now)
            }
        }
    }
}
