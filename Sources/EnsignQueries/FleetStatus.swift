package import EnsignHost
package import EnsignModel

/// The state of each environment.
package struct FleetStatus: Sendable {
    package var time: Timestamp
    package var environments: [EnvironmentStatus]
    /// What is wrong with the settings of all of them, in sentences.
    package var warnings: [String]

    /// Reads what each environment's files and ledger say. One that cannot be read says so, and does not hide the others.
    ///
    /// - Parameter names: The environments; all of the clone when empty.
    package static func make(_ site: Site, _ names: [String], now: Timestamp) throws -> FleetStatus {
        FleetStatus(
            time: now,
            environments: try site.environments(names).map { EnvironmentStatus.of($0, site, now: now) },
            // Each row says what cannot be read.
            warnings: [(try? site.branchSlip()) ?? nil].compactMap { $0 } + ((try? site.environmentSlips()) ?? [])
        )
    }

    package var json: JSONValue {
        [
            "v": 1, "environments": .array(environments.map(\.json)),
            "warnings": .array(warnings.map { .string($0) }),
        ]
    }
}
