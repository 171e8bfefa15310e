import EnsignModel
import EnsignSystem

/// Fetches from the ``Forge`` at an interval with jitter and backoff. Moved refs wake the environments' threads by
/// themselves.
final class ForgeSync: Sendable {
    private let opening: Site.Opening
    private let overrides: [(key: String, value: String)]
    private let report: @Sendable (WatchEvent) -> Void
    private let wakeup: Wakeup
    private let isStopping = Flag()

    init(
        opening: Site.Opening,
        overrides: [(key: String, value: String)],
        report: @escaping @Sendable (WatchEvent) -> Void
    ) throws {
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
            try Forge(Site(opening, overrides: overrides))?.fetch()
            return true
        } catch {
            report(.fetchFailed("\(error)"))
            return false
        }
    }
}
