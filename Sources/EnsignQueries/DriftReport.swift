package import EnsignHost
import EnsignLedger
package import EnsignModel
import EnsignReconciler
package import EnsignTargets

/// What of an environment's target is not as the newest entry records it.
package struct DriftReport: Sendable {
    package var environment: String
    /// Sorted by path. Empty when nothing was ever published.
    package var files: [DriftedFile]

    /// Compares the whole target, without the lock and without changing anything.
    package static func make(_ site: Site, _ environment: String) throws -> DriftReport {
        DriftReport(environment: environment, files: try files(site, environment))
    }

    private static func files(_ site: Site, _ environment: String) throws -> [DriftedFile] {
        let ledger = site.ledger(environment)
        guard let tip = try ledger.checkedTip() else { return [] }
        let expected = try RecordedFiles(tip, ledger)
        let drift = try site.target(environment).observe(expected, .everything, sweeping: false).drift
        guard !drift.isEmpty else { return [] }
        // A stop that the ledger does not have yet is ours.
        let halts = try HaltSwitch(site, environment)
        let pending = try halts.file.read().pending
        return try drift.filter { try !halts.explains($0, pending) }
    }

    package var json: JSONValue {
        ["v": 1, "environment": .string(environment), "drift": .array(files.map(\.json))]
    }
}
