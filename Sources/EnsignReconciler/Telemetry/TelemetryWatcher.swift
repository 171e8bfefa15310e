import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignSystem
import Synchronization

/// Reads an environment's telemetry as it is written and stops agents that break a rule, on a thread of its own: a
/// reconcile that takes long must not keep the kill switch waiting.
///
/// A second thread writes checkpoints. Stops wake the environment's own thread through the files that they change.
final class TelemetryWatcher: Sendable {
    private let environment: String
    private let opening: Site.Opening
    private let overrides: [(key: String, value: String)]
    private let report: @Sendable (WatchEvent) -> Void
    /// Called when the pipeline is open, and when there is something for the ledger that changes no file.
    private let wakeEnvironment: @Sendable () -> Void
    private let shared = Mutex<TelemetryPipeline?>(nil)
    private let stopping = Flag()
    private let wakeup: Wakeup
    private let checkpointWakeup: Wakeup

    /// How often what was read is written down: what a crash costs in reading again.
    private static let checkpointInterval = Duration.seconds(10)
    /// How often all files are looked at, for removed and forgotten ones.
    private static let fullInterval = Duration.seconds(10)
    /// How often the refs are looked at while telemetry comes in.
    private static let refreshInterval = Duration.milliseconds(200)

    init(
        _ environment: String,
        opening: Site.Opening,
        overrides: [(key: String, value: String)],
        report: @escaping @Sendable (WatchEvent) -> Void,
        wakeEnvironment: @escaping @Sendable () -> Void
    ) throws {
        self.environment = environment
        self.opening = opening
        self.overrides = overrides
        self.report = report
        self.wakeEnvironment = wakeEnvironment
        wakeup = try Wakeup()
        checkpointWakeup = try Wakeup()
    }

    /// The pipeline; nil until it is open, and when there is no telemetry.
    var pipeline: TelemetryPipeline? { shared.withLock { $0 } }

    func stop() {
        stopping.set()
        wakeup.wake()
        checkpointWakeup.wake()
    }

    /// Runs until it is stopped, or ends at once when no telemetry is configured.
    func run() {
        guard let settings = try? Site(opening, overrides: overrides).settings,
            (try? settings.telemetry(environment)) != .some(nil)
        else { return }
        let checkpoints = try? Thread { [self] in
            while !stopping.isSet {
                _ = Wakeup.wait(for: [checkpointWakeup.readEnd], atMost: Self.checkpointInterval)
                checkpoint()
            }
        }
        read()
        checkpoints?.join()
        checkpoint()
    }

    private func read() {
        var retry = Backoff(base: .seconds(1), most: .seconds(30))
        var generator = SystemRandomNumberGenerator()
        var lastFailure = ""
        while !stopping.isSet {
            do {
                let site = try Site(opening, overrides: overrides)
                let opened = try pipeline ?? TelemetryPipeline.open(site, environment)
                if let opened {
                    shared.withLock { $0 = opened }
                    wakeEnvironment()
                    try follow(opened, site) { retry.succeeded() }
                    return
                }
                // A single reconcile has it; it will not take long.
            } catch {
                if "\(error)" != lastFailure { report(.note(environment, "telemetry cannot be read: \(error)")) }
                lastFailure = "\(error)"
                retry.failed()
            }
            _ = Wakeup.wait(for: [wakeup.readEnd], atMost: retry.delay(using: &generator))
        }
    }

    private func follow(_ pipeline: TelemetryPipeline, _ site: Site, _ succeeded: () -> Void) throws {
        let book = TelemetryBook(site: site, environment: environment)
        let monitor = ChangeMonitor()
        var changed: Set<String>?
        var saysUnread = false
        var lastFull = ContinuousClock.now
        var lastRefresh = ContinuousClock.now - Self.refreshInterval
        while !stopping.isSet {
            if ContinuousClock.now - lastFull >= Self.fullInterval { changed = nil }
            watch(pipeline, monitor, again: changed == nil)
            if changed == nil { lastFull = ContinuousClock.now }
            let refreshes = ContinuousClock.now - lastRefresh >= Self.refreshInterval
            if refreshes { lastRefresh = ContinuousClock.now }
            let step = try pipeline.step(book, changed: changed, refreshing: refreshes)
            succeeded()
            tell(step)
            if let unread = step.unreadFiles {
                // A state that lasts is said once.
                if !saysUnread, let sentence = TelemetryPipeline.sentence(unread: unread) {
                    report(.note(environment, sentence))
                }
                saysUnread = unread > 0
            }
            guard step.isComplete else {
                changed = nil
                continue
            }
            changed = try wait(monitor, pipeline, until: step.nextDue)
        }
    }

    /// Watches the directory, or what is above it while it does not exist.
    ///
    /// - Parameter again: Whether another directory may stand there: a folder above it was renamed, a link changed.
    private func watch(_ pipeline: TelemetryPipeline, _ monitor: ChangeMonitor, again: Bool) {
        var folders: [String] = []
        // It may come to be before the folder above it is watched.
        while folders != pipeline.foldersToWatch {
            folders = pipeline.foldersToWatch
            // What cannot be watched makes the monitor blind, and is looked at by the clock.
            for folder in folders { try? again ? monitor.watchAgain(folder) : monitor.watch(folder) }
        }
    }

    private func checkpoint() {
        do { try pipeline?.checkpoint() } catch {
            report(.note(environment, "how far telemetry was read cannot be written down: \(error)"))
        }
    }

    private func tell(_ step: TelemetryPipeline.Step) {
        for trip in step.trips { report(.note(environment, "kill switch: \(trip.sentence)")) }
        if let effect = step.effect {
            let names = effect.agents.map(\.description).joined(separator: ", ")
            let milliseconds = effect.duration.components.attoseconds / 1_000_000_000_000_000
            report(
                .note(environment, "halted \(names) in \(effect.duration.components.seconds * 1_000 + milliseconds) ms")
            )
            if let forgotten = effect.forgotten {
                report(.note(environment, "the halt could not be remembered and is tried again: \(forgotten)"))
            }
        }
        for drift in step.drifts { report(.note(environment, "guard: \(drift.agent): \(drift.sentence)")) }
        if !step.drifts.isEmpty { wakeEnvironment() }
        for agent in step.alarms { report(.note(environment, "alarm: \(agent) acts although it is halted")) }
    }

    /// Waits for telemetry.
    ///
    /// - Returns: The files that changed; nil to look at all.
    private func wait(_ monitor: ChangeMonitor, _ pipeline: TelemetryPipeline, until due: Moment?) throws -> Set<
        String
    >? {
        var time = Self.fullInterval
        if let due {
            let left = due.nanoseconds(since: Moment(nanoseconds: Machine.nanoseconds))
            time = min(time, .nanoseconds(max(left, 1_000_000)))
        }
        if monitor.isBlind { time = min(time, .milliseconds(250)) }
        let ready = Wakeup.wait(for: [wakeup.readEnd, monitor.number], atMost: time)
        if monitor.isBlind { return nil }
        guard ready.contains(monitor.number) else { return [] }
        guard let events = try monitor.events() else { return nil }
        let directory = pipeline.directory
        var names: Set<String> = []
        for event in events {
            // Above the directory, while it does not exist; or the directory itself went away.
            guard event.folder == directory, !event.name.isEmpty else { return nil }
            names.insert(event.name)
        }
        return names
    }
}
