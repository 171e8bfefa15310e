import EnsignHost
import EnsignModel
import EnsignSystem

/// Delivers one environment's notifications beside its watcher: a command that hangs holds up nothing else.
final class CourierThread: Sendable {
    private let environment: String
    private let opening: Site.Opening
    private let overrides: [(key: String, value: String)]
    private let report: @Sendable (WatchEvent) -> Void
    private let wakeup: Wakeup
    private let isStopping = Flag()

    init(
        _ environment: String,
        opening: Site.Opening,
        overrides: [(key: String, value: String)],
        report: @escaping @Sendable (WatchEvent) -> Void
    ) throws {
        self.environment = environment
        self.opening = opening
        self.overrides = overrides
        self.report = report
        wakeup = try Wakeup()
    }

    /// Looks at the ledger again.
    func wake() { wakeup.wake() }

    /// Ends the thread; a command that runs is ended too, and run again by the next watcher.
    func stop() {
        isStopping.set()
        wakeup.wake()
    }

    func run() {
        var said: String?
        while !isStopping.isSet {
            var pause = Duration.seconds(3_600)
            do {
                let site = try Site(opening, overrides: overrides)
                if let courier = Courier(site: site, environment: environment) {
                    let result = try courier.deliver(
                        onlyDue: true,
                        patience: .seconds(1),
                        isCancelled: { [isStopping] in isStopping.isSet }
                    )
                    if let failure = result.failure, failure != said {
                        report(.note(environment, "notify failed, and is tried again: \(failure)"))
                    }
                    said = result.failure ?? (result.delivered > 0 ? nil : said)
                    if let wait = result.wait { pause = max(wait, .seconds(1)) }
                }
            } catch {
                report(.note(environment, "notify: \(error)"))
                pause = .seconds(60)
            }
            if isStopping.isSet { return }
            _ = Wakeup.wait(for: [wakeup.readEnd], atMost: pause)
            wakeup.clear()
        }
    }
}
