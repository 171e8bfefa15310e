import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignPlanner
package import EnsignReconciler
import EnsignSystem
import EnsignTargets
import Synchronization

/// Keeps one environment converged until it is told to stop. Runs on a thread of its own with its own repository handle.
final class EnvironmentWatcher: Sendable {
    let environment: String
    private let opening: Site.Opening
    private let overrides: [(key: String, value: String)]
    private let actor: Entry.Actor
    private let report: @Sendable (WatchEvent) -> Void
    private let wakeup: Wakeup
    private let telemetry: TelemetryWatcher
    private let series: SeriesWatcher
    /// Nil where no forge is followed.
    private let forge: ForgeSync?
    private let isStopping = Mutex(false)
    /// Taken before the watch says that it watches.
    private let firstClaim: WatchClaim?

    init(
        _ environment: String,
        opening: Site.Opening,
        overrides: [(key: String, value: String)],
        actor: Entry.Actor,
        forge: ForgeSync?,
        report: @escaping @Sendable (WatchEvent) -> Void
    ) throws {
        self.forge = forge
        self.environment = environment
        self.opening = opening
        self.overrides = overrides
        self.actor = actor
        self.report = report
        let wakeup = try Wakeup()
        let telemetry = try TelemetryWatcher(
            environment,
            opening: opening,
            overrides: overrides,
            report: report,
            wakeEnvironment: { wakeup.wake() }
        )
        (self.wakeup, self.telemetry) = (wakeup, telemetry)
        series = try SeriesWatcher(
            environment,
            opening: opening,
            overrides: overrides,
            telemetry: { telemetry.pipeline },
            report: report,
            answered: { wakeup.wake() }
        )
        firstClaim = try? WatchClaim(environment, try Site(opening, overrides: overrides))
    }

    /// Asks the thread to end after what it is doing.
    func stop() {
        isStopping.withLock { $0 = true }
        telemetry.stop()
        series.stop()
        wakeup.wake()
    }

    private var stops: Bool { isStopping.withLock { $0 } }

    /// Reconciles on changes of the refs and of the live directory, and now and then in any case.
    func run() {
        let reading = started("telemetry is not read") { [telemetry] in telemetry.run() }
        let asking = started("Prometheus is not asked") { [series] in series.run() }
        defer {
            reading?.join()
            asking?.join()
        }
        let pause = Backoff(base: .seconds(30), most: .seconds(30))
        var retry = Backoff(base: .seconds(1), most: .seconds(60))
        var generator = SystemRandomNumberGenerator()
        var observeEverything = true
        var suspects: Set<String> = []
        var claim = firstClaim
        var said: Set<String> = []
        var standing: String?
        var lacksTelemetry = false
        var saysBlind = false
        let courier = try? CourierThread(environment, opening: opening, overrides: overrides, report: report)
        let delivery = try? courier.map { courier in try Thread { courier.run() } }
        defer {
            courier?.stop()
            delivery?.join()
        }
        while !stops {
            do {
                let site = try Site(opening, overrides: overrides)
                let monitor = ChangeMonitor()
                // Watched before reconciling: what changes in between is not lost.
                try watch(site, monitor)
                tellOfSight(site)
                if let why = monitor.blindness, !saysBlind {
                    report(.note(environment, "\(why): changes are found by the clock. See fs.inotify in sysctl"))
                }
                saysBlind = monitor.isBlind
                while !stops {
                    // Another watch may have had it, and ended. Nobody is kept from reconciling for want of it.
                    if claim == nil { claim = try? WatchClaim(environment, site) }
                    var options = Reconciler.Options()
                    options.visitor = .watch
                    options.observeEverything = observeEverything
                    options.suspectFolders = suspects
                    (options.telemetry, options.readsTelemetry) = (telemetry.pipeline, false)
                    options.answers = series.take()
                    var result = try Reconciler(
                        site: site,
                        environment: environment,
                        actor: actor,
                        options: options
                    ).run()
                    // A state that lasts is said once.
                    result.repeats = result.standing != nil && result.standing == standing
                    standing = result.standing
                    report(.reconciled(environment, result))
                    if let failure = result.failure, !result.repeats { report(.failed(environment, failure)) }
                    courier?.wake()
                    if result.hasRollouts { series.wake() }
                    // Judged as soon as the other thread has opened what was read before this start.
                    lacksTelemetry = result.hasRollouts && options.telemetry == nil
                    let lasting = result.branches.disagreements.map(\.sentence) + result.notes
                    for sentence in lasting where !said.contains(sentence) { report(.note(environment, sentence)) }
                    said = Set(lasting)
                    retry.succeeded()
                    (observeEverything, suspects) = (false, [])
                    forge?.tell(environment, result.branches.disagreements)
                    try watch(site, monitor)
                    (observeEverything, suspects) = try waitForChange(
                        site,
                        monitor,
                        lacksTelemetry: lacksTelemetry,
                        atMost: min(pause.delay(using: &generator), untilLook(result))
                    )
                }
            } catch {
                report(.failed(environment, error))
                retry.failed()
                observeEverything = true
                waitToRetry(atMost: retry.delay(using: &generator))
            }
        }
    }

    /// A guard that cannot fire is said when the watch begins.
    private func tellOfSight(_ site: Site) {
        let now = Timestamp(seconds: Machine.now)
        guard let tip = try? site.ledger(environment).tip() else { return }
        if let sentence = (try? site.sight(environment, tip, now: now))??.sentence {
            report(.note(environment, sentence))
        }
    }

    /// A thread that works beside this one; nil when there is no room for it, which is said.
    private func started(_ otherwise: String, _ body: @escaping @Sendable () -> Void) -> Thread? {
        do { return try Thread(body) } catch {
            report(.note(environment, "\(otherwise): \(error)"))
            return nil
        }
    }

    // MARK: Waiting

    /// How long it is until a canary should be looked at: when a hold or a deadline ends, and while one is judged.
    private func untilLook(_ report: Reconciler.Report) -> Duration {
        let judged: Duration = report.hasRollouts && telemetry.pipeline != nil ? .seconds(2) : .seconds(86_400)
        guard let due = report.plan?.due else { return judged }
        // Holds count whole seconds.
        return min(judged, max(.milliseconds(100), .seconds(due.seconds(since: Timestamp(seconds: Machine.now)))))
    }

    /// Waits for a change that matters.
    ///
    /// - Parameter lacksTelemetry: Whether a canary is under way that could not be judged yet, for want of the pipeline.
    /// - Returns: Whether everything must be observed, and the live folders in which something happened.
    private func waitForChange(
        _ site: Site,
        _ monitor: ChangeMonitor,
        lacksTelemetry: Bool = false,
        atMost time: Duration
    ) throws -> (everything: Bool, folders: Set<String>) {
        let deadline = ContinuousClock.now + (monitor.isBlind ? min(time, .seconds(2)) : time)
        let live = try site.settings.directory(environment, site.files)
        var folders: Set<String> = []
        while !stops {
            let left = deadline - ContinuousClock.now
            guard left > .zero, !lacksTelemetry || telemetry.pipeline == nil else { return (false, folders) }
            let ready = Wakeup.wait(for: [wakeup.readEnd, monitor.number], atMost: left)
            guard !ready.isEmpty else { return (false, []) }
            if ready.contains(wakeup.readEnd) {
                wakeup.clear()
                if series.hasAnswers || telemetry.pipeline?.hasDrifts == true { return (false, folders) }
            }
            guard ready.contains(monitor.number) else { continue }
            guard let events = try monitor.events() else { return (true, []) }
            var isRelevant = false
            for event in events where !event.name.hasSuffix(".lock") && !event.name.hasPrefix(LivePath.temporaryPrefix)
            {
                if event.folder == live || event.folder.hasPrefix(live + "/") {
                    folders.insert(String(event.folder.dropFirst(live.count + 1)))
                    isRelevant = true
                } else if event.folder.hasSuffix("/refs") || event.folder.contains("/refs/")
                    || event.name == "packed-refs"
                    || event.folder == site.files.haltsFolder && event.name == environment
                {
                    isRelevant = true
                }
                if event.isNewFolder { try watch(site, monitor) }
            }
            if isRelevant { return (false, folders) }
        }
        return (false, [])
    }

    /// Waits before the next attempt, but not when a ref moves: the push that mends it should be seen at once.
    private func waitToRetry(atMost time: Duration) {
        do {
            let site = try Site(opening, overrides: overrides)
            let monitor = ChangeMonitor()
            try watch(site, monitor)
            _ = try waitForChange(site, monitor, atMost: time)
        } catch {
            // What failed is reported by the attempt itself.
            _ = Wakeup.wait(for: [wakeup.readEnd], atMost: time)
            if !stops { wakeup.clear() }
        }
    }

    private func watch(_ site: Site, _ monitor: ChangeMonitor) throws {
        let common = site.commonDirectory
        let live = try site.settings.directory(environment, site.files)
        do {
            try monitor.watch(String(common.dropLast()))
            try monitor.watch(site.files.haltsFolder)
            // Every folder on the way to the ref: git makes and removes them as branches come and go.
            var folder = common + "refs"
            try monitor.watch(folder)
            for part in site.settings.desiredRef.split(separator: "/").dropFirst().dropLast() {
                folder += "/\(part)"
                try monitor.watch(folder)
            }
            try monitor.watch(live)
            for top in [LivePath.agents, LivePath.bundles] {
                try monitor.watch("\(live)/\(top)")
                for name in try Files.list("\(live)/\(top)") ?? [] { try monitor.watch("\(live)/\(top)/\(name)") }
            }
        } catch {
            // The monitor is blind now, which is said. Drift is still found by the rotating slice.
        }
    }
}

/// What a watch has to say.
package enum WatchEvent: Sendable {
    case reconciled(String, Reconciler.Report)
    case failed(String, any Error)
    case note(String, String)
    case fetchFailed(String)
}
