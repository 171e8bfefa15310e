package import EnsignHost
import EnsignLedger
import EnsignReconciler
package import EnsignTargets

/// Compares the whole target with the newest entry, without the lock and without changing anything.
package struct DriftCheck {
    private let site: Site
    private let environment: String

    package init(site: Site, environment: String) {
        self.site = site
        self.environment = environment
    }

    /// What differs, sorted by path. Empty when nothing was ever published.
    package func run() throws -> [DriftedFile] {
        let ledger = site.ledger(environment)
        guard let tip = try ledger.tip() else { return [] }
        let expected = try RecordedFiles.at(tip, ledger)
        let drift = try site.target(environment).observe(expected, .everything, sweeping: false).drift
        guard !drift.isEmpty else { return [] }
        // A stop that the ledger does not have yet is ours.
        let halts = try HaltSwitch(site, environment)
        let pending = try halts.file.read().pending
        return try drift.filter { try !halts.explains($0, pending) }
    }
}
