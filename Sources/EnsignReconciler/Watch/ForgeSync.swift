import EnsignLedger
import EnsignModel
import EnsignSystem

/// Fetches the desired branch and the ledger from a forge, at an interval with jitter and backoff.
///
/// Stock git does it, with the operator's own credentials. Moved refs wake the environments' threads by themselves.
final class ForgeSync: Sendable {
    private let remote: String
    private let opening: Site.Opening
    private let overrides: [(key: String, value: String)]
    private let report: @Sendable (WatchEvent) -> Void
    private let wakeup: Wakeup
    private let isStopping = Flag()

    init(
        _ remote: String,
        opening: Site.Opening,
        overrides: [(key: String, value: String)],
        report: @escaping @Sendable (WatchEvent) -> Void
    ) throws {
        self.remote = remote
        self.opening = opening
        self.overrides = overrides
        self.report = report
        wakeup = try Wakeup()
    }

    func stop() {
        isStopping.set()
        wakeup.wake()
    }

    func run() {
        var generator = SystemRandomNumberGenerator()
        let site = try? Site(opening, overrides: overrides)
        let interval = site?.settings.interval.flatMap { TimeSpan($0) }?.milliseconds ?? 10_000
        var backoff = Backoff(base: .milliseconds(max(interval, 100)), most: .seconds(300))
        while !isStopping.isSet {
            _ = Wakeup.wait(for: [wakeup.readEnd], atMost: backoff.delay(using: &generator))
            if isStopping.isSet { return }
            if fetchOnce() { backoff.succeeded() } else { backoff.failed() }
        }
    }

    /// Fetches once; false when git could not.
    @discardableResult
    func fetchOnce() -> Bool {
        do {
            let site = try Site(opening, overrides: overrides)
            let branch = site.settings.branch
            try Git.check(
                [
                    "fetch", "--quiet", "--no-tags", "--", remote,
                    "+refs/heads/\(branch):refs/remotes/\(remote)/\(branch)",
                ],
                in: site,
                deadline: .seconds(60)
            )
            // The ledger without '+': a forge that holds another chain is refused by git, and nothing is overwritten.
            let ledgers = try Git.run(
                ["fetch", "--quiet", "--no-tags", "--", remote, "\(Ledger.prefix)*:\(Ledger.prefix)*"],
                in: site,
                deadline: .seconds(60)
            )
            if ledgers.status != 0,
                ledgers.errorText.contains("non-fast-forward") || ledgers.errorText.contains("rejected")
            {
                // Usual while our own entries wait to be pushed; a real fork shows when pushing is refused too.
                return true
            }
            return true
        } catch {
            report(.fetchFailed("\(error)"))
            return false
        }
    }
}
