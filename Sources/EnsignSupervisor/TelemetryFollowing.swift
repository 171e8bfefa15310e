import EnsignHost
import EnsignJudge
import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignReconciler
import EnsignSystem

/// Follows the telemetry of one environment: what one step after the other has read, and what it waits for.
struct TelemetryFollowing {
    private let pipeline: TelemetryPipeline
    private let book: TelemetryBook
    private let environment: WatchedEnvironment
    private let service: Service
    private let desk: EnvironmentDesk
    private let monitor: ChangeMonitor
    /// The files that changed, below the directory; nil to look at all.
    private var changed: Set<String>?
    private var lastFull = ContinuousClock.now
    private var lastRefresh = ContinuousClock.now - Self.refreshInterval
    // States that last and are said once.
    private var unread = false
    private var behind = false
    private var problems = SaidOnce()
    private var hasUnwatched = false

    /// How often all files are looked at, for removed and forgotten ones.
    private static let fullInterval = Duration.seconds(10)
    /// How often where there are folders that cannot be watched.
    private static let unwatchedInterval = Duration.seconds(1)
    /// How often the refs are looked at while telemetry comes in.
    private static let refreshInterval = Duration.milliseconds(20)

    init(
        _ pipeline: TelemetryPipeline,
        _ site: Site,
        _ environment: WatchedEnvironment,
        _ service: Service,
        _ desk: EnvironmentDesk
    ) {
        self.pipeline = pipeline
        self.environment = environment
        self.service = service
        self.desk = desk
        monitor = environment.monitor(waking: service)
        book = TelemetryBook(site: site, environment: environment.name)
    }

    /// Reads what is new, reports the result, and waits for more.
    ///
    /// - Parameter succeeded: Called when it was read.
    mutating func step(_ succeeded: () -> Void) throws {
        let interval = hasUnwatched ? Self.unwatchedInterval : Self.fullInterval
        if ContinuousClock.now - lastFull >= interval { changed = nil }
        _ = try watch(again: changed == nil)
        if changed == nil { lastFull = ContinuousClock.now }
        let refreshes = ContinuousClock.now - lastRefresh >= Self.refreshInterval
        if refreshes { lastRefresh = ContinuousClock.now }
        let step = try pipeline.step(book, changed: changed, refreshing: refreshes)
        succeeded()
        tell(step)
        try pipeline.report()
        tellReading(step)
        // Folders that were found just now: what came into them before they were watched is found by looking.
        if try watch(again: false) {
            changed = nil
        } else {
            changed = try wait(until: step.isComplete ? step.nextDue : Moment(nanoseconds: 0))
        }
    }

    // MARK: Saying

    private func tell(_ step: TelemetryPipeline.Step) {
        for trip in step.trips { environment.note("kill switch: \(trip.sentence)") }
        if let effect = step.effect {
            let names = effect.agents.map(\.description).joined(separator: ", ")
            let milliseconds = effect.duration.milliseconds
            environment.note("halted \(names) in \(effect.duration.components.seconds * 1_000 + milliseconds) ms")
            if let forgotten = effect.forgotten {
                environment.note("the halt could not be remembered and is tried again: \(forgotten)")
            }
        }
        for drift in step.drifts { environment.note("guard: \(drift.agent): \(drift.sentence)") }
        if !step.drifts.isEmpty { desk.wakeMain() }
        for agent in step.alarms { environment.note("alarm: \(agent) acts although it is halted") }
    }

    private mutating func tellReading(_ step: TelemetryPipeline.Step) {
        if let count = step.unreadFiles {
            if !unread { TelemetryPipeline.sentence(unread: count).map(environment.note) }
            unread = count > 0
        }
        if let lasting = step.behind, !behind {
            environment.note(lasting.sentence)
            behind = true
        } else if step.isComplete, behind {
            environment.note("telemetry: everything is read again")
            behind = false
        }
        environment.note(problems.news(step.problems.map { "telemetry: \($0)" }))
    }

    // MARK: Waiting

    /// Watches the directory and the folders in it, or what is above it while it does not exist.
    ///
    /// - Parameter again: Whether another directory may be there: a folder above it was renamed, a link changed.
    /// - Returns: Whether a folder is watched that was not before.
    private mutating func watch(again: Bool) throws -> Bool {
        var folders: [String] = []
        var isNew = false
        // It may appear before the folder above it is watched.
        while folders != pipeline.foldersToWatch {
            folders = pipeline.foldersToWatch
            for folder in folders {
                do throws(SystemError) {
                    let isAdded = try again ? monitor.watchAgain(folder) : monitor.watch(folder)
                    isNew = isNew || isAdded
                } catch {
                    // The monitor is blind now: what it does not see is looked at by the clock.
                    if !hasUnwatched {
                        environment.note("\(error); telemetry is looked at by the clock")
                    }
                    hasUnwatched = true
                    return isNew
                }
            }
        }
        return isNew
    }

    /// Waits for telemetry.
    ///
    /// - Parameter due: When to go on in any case; what is over does not wait.
    /// - Returns: The files that changed, below the directory; nil to look at all.
    private func wait(until due: Moment?) throws -> Set<String>? {
        var time = Self.fullInterval
        if let due {
            let left = due.nanoseconds(since: Moment(nanoseconds: Machine.nanoseconds))
            time = min(time, due.nanoseconds == 0 ? .zero : .nanoseconds(max(left, 1_000_000)))
        }
        if monitor.isBlind { time = min(time, .milliseconds(250)) }
        _ = service.wait(atMost: time)
        if monitor.isBlind { return nil }
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
