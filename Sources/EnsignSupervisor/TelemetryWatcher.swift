import EnsignHost
import EnsignJudge
import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignReconciler
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
    /// How often where there are folders that cannot be watched.
    private static let unwatchedInterval = Duration.seconds(1)
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
        var said = Said()
        var lastFull = ContinuousClock.now
        var lastRefresh = ContinuousClock.now - Self.refreshInterval
        while !stopping.isSet {
            let interval = said.hasUnwatched ? Self.unwatchedInterval : Self.fullInterval
            if ContinuousClock.now - lastFull >= interval { changed = nil }
            _ = try watch(pipeline, monitor, again: changed == nil, &said)
            if changed == nil { lastFull = ContinuousClock.now }
            let refreshes = ContinuousClock.now - lastRefresh >= Self.refreshInterval
            if refreshes { lastRefresh = ContinuousClock.now }
            let step = try pipeline.step(book, changed: changed, refreshing: refreshes)
            succeeded()
            tell(step)
            try pipeline.report()
            tellReading(step, &said)
            // Folders that were found just now: what came into them before they were watched is found by looking.
            if try watch(pipeline, monitor, again: false, &said) {
                changed = nil
                continue
            }
            changed = try wait(monitor, pipeline, until: step.isComplete ? step.nextDue : Moment(nanoseconds: 0))
        }
    }

    /// States that last and are said once.
    private struct Said {
        var unread = false
        var behind = false
        var problems: [String] = []
        var hasUnwatched = false
    }

    private func tellReading(_ step: TelemetryPipeline.Step, _ said: inout Said) {
        if let unread = step.unreadFiles {
            if !said.unread, let sentence = TelemetryPipeline.sentence(unread: unread) {
                report(.note(environment, sentence))
            }
            said.unread = unread > 0
        }
        if let behind = step.behind, !said.behind {
            report(.note(environment, behind.sentence))
            said.behind = true
        } else if step.isComplete, said.behind {
            report(.note(environment, "telemetry: everything is read again"))
            said.behind = false
        }
        for problem in step.problems where !said.problems.contains(problem) {
            report(.note(environment, "telemetry: \(problem)"))
        }
        said.problems = step.problems
    }

    /// Watches the directory and the folders in it, or what is above it while it does not exist.
    ///
    /// - Parameter again: Whether another directory may stand there: a folder above it was renamed, a link changed.
    /// - Returns: Whether a folder is watched that was not before.
    private func watch(
        _ pipeline: TelemetryPipeline,
        _ monitor: ChangeMonitor,
        again: Bool,
        _ said: inout Said
    ) throws -> Bool {
        var folders: [String] = []
        var isNew = false
        // It may come to be before the folder above it is watched.
        while folders != pipeline.foldersToWatch {
            folders = pipeline.foldersToWatch
            for folder in folders {
                do throws(SystemError) {
                    let isAdded = try again ? monitor.watchAgain(folder) : monitor.watch(folder)
                    isNew = isNew || isAdded
                } catch {
                    // The monitor is blind now: what it does not see is looked at by the clock.
                    if !said.hasUnwatched {
                        report(.note(environment, "\(error); telemetry is looked at by the clock"))
                    }
                    said.hasUnwatched = true
                    return isNew
                }
            }
        }
        return isNew
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
    /// - Parameter due: When to go on in any case; what is over does not wait.
    /// - Returns: The files that changed, below the directory; nil to look at all.
    private func wait(_ monitor: ChangeMonitor, _ pipeline: TelemetryPipeline, until due: Moment?) throws -> Set<
        String
    >? {
        var time = Self.fullInterval
        if let due {
            let left = due.nanoseconds(since: Moment(nanoseconds: Machine.nanoseconds))
            time = min(time, due.nanoseconds == 0 ? .zero : .nanoseconds(max(left, 1_000_000)))
        }
        if monitor.isBlind { time = min(time, .milliseconds(250)) }
        let ready = Wakeup.wait(for: [wakeup.readEnd, monitor.number], atMost: time)
        if monitor.isBlind { return nil }
        guard ready.contains(monitor.number) else { return [] }
        guard let events = try monitor.events() else { return nil }
        let directory = pipeline.directory
        var names: Set<String> = []
        for event in events {
            // Above the directory, while it does not exist; or a folder itself came or went.
            guard !event.name.isEmpty else { return nil }
            if event.folder == directory {
                if event.isNewFolder { return nil }
                names.insert(event.name)
            } else if event.folder.hasPrefix(directory + "/") {
                let folder = event.folder.dropFirst(directory.utf8.count + 1)
                // In a team's folder there are the folders of its agents.
                guard folder.contains("/") else { return nil }
                names.insert("\(folder)/\(event.name)")
            } else {
                return nil
            }
        }
        return names
    }
}
