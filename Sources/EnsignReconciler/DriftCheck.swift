import EnsignLedger
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
        return try site.target(environment).observe(expected, .everything, sweeping: false).drift
    }
}
