package import EnsignHost
package import EnsignLedger
package import EnsignModel

/// The result of proving one environment's ledger.
package struct LedgerCheck: Sendable {
    package var environment: String
    /// Incomplete where the ledger could not be looked at.
    package var report: Verifier.Report
    /// Why the ledger could not be looked at: nothing is proven about it.
    package var failure: (any Error)?

    /// What is said where there is nothing to look at.
    package struct NoLedger: Error, Sendable, Hashable, CustomStringConvertible {
        package init() {}

        package var description: String { "there is no ledger here: nothing was verified" }
    }

    /// The ledgers that are here, and those that once were; sorted.
    package static func environments(_ site: Site) throws -> [String] {
        try site.writtenEnvironments()
    }

    /// Verifies one. Never throws: all ledgers are looked at, whatever is wrong with one.
    ///
    /// - Parameter progress: Called with the number of entries done, now and then, on any thread.
    package static func run(
        _ site: Site,
        _ environment: String,
        progress: @escaping @Sendable (Int64) -> Void = { _ in }
    ) -> LedgerCheck {
        do {
            let report = try Verifier(site.ledger(environment)).run(progress: progress)
            // On a host nothing was recorded yet. Anywhere else the ledger was not fetched, and nothing is proven.
            if report.tip == nil, report.verdict == .intact, !site.reconciles { throw NoLedger() }
            return LedgerCheck(environment: environment, report: report)
        } catch {
            return LedgerCheck(
                environment: environment,
                report: Verifier.Report(verdict: .incomplete(why: "\(error)"), entries: 0, tip: nil),
                failure: error
            )
        }
    }

    package static func json(_ checks: [LedgerCheck]) -> JSONValue {
        ["v": 1, "ledgers": .array(checks.map(\.json))]
    }

    private var json: JSONValue {
        let verdict = report.verdict
        return [
            "environment": .string(environment), "verdict": .string(verdict.description),
            "reason": verdict.reason.map { .string($0) } ?? .null, "entries": .integer(report.entries),
            "caveat": report.caveat.map { .string($0) } ?? .null,
            "tip": report.tip.map { .string($0.commit.description) } ?? .null,
        ]
    }
}
