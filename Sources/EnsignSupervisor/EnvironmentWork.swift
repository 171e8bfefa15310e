import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignReconciler
import EnsignSystem

/// Reconciles one environment on changes of the refs and of the live directory, and now and then in any case.
struct EnvironmentWork: ServiceWork {
    private let environment: WatchedEnvironment
    private let service: Service
    private let desk: EnvironmentDesk
    private let courier: Service
    private let series: Service
    private let forge: ForgeMail?
    private let actor: Entry.Actor
    private var claim: WatchClaim?
    private var generator = SystemRandomNumberGenerator()
    private let pause = Backoff(base: .seconds(30), most: .seconds(30))
    private var retry = Backoff(base: .seconds(1), most: .seconds(60))
    /// Nil before the first turn, and after a failure.
    private var changes: EnvironmentChanges?
    private var news = EnvironmentChanges.News.anything
    private var said = SaidOnce()
    /// Why what is desired cannot be applied, as the last run said it.
    private var standing: String?
    private var saysBlind = false
    private var pace = RepairPace()
    /// Why the last turn failed, as it was said; nil when it did not.
    private var failing: String?

    init(
        _ environment: WatchedEnvironment,
        _ service: Service,
        _ desk: EnvironmentDesk,
        courier: Service,
        series: Service,
        forge: ForgeMail?,
        actor: Entry.Actor,
        claim: WatchClaim?
    ) {
        self.environment = environment
        self.service = service
        self.desk = desk
        self.courier = courier
        self.series = series
        self.forge = forge
        self.actor = actor
        self.claim = claim
    }

    mutating func turn() -> Service.Next {
        do {
            // Watched before reconciling: what changes in between is not lost.
            try environment.place.requireRepository()
            let changes = try self.changes ?? begin()
            self.changes = changes
            let hadTelemetry = desk.pipeline != nil
            let report = try reconcile(changes.site)
            tell(report)
            retry.succeeded()
            news = .nothing
            try changes.watch()
            news = try changes.wait(
                // Judged as soon as the other thread has opened what was read before this start.
                untilTelemetry: report.hasTrials && !hadTelemetry,
                header: report.header,
                calm: calm(after: report),
                atMost: min(pause.delay(using: &generator), untilLook(report))
            )
            if failing != nil { environment.note("reconciling works again") }
            failing = nil
        } catch {
            changes = nil
            // What lasts is said once; the repository that is gone is said by the watch, which ends.
            if !(error is RepositoryGone), failing != "\(error)" {
                environment.place.report(.failed(environment.name, error))
            }
            failing = "\(error)"
            retry.failed()
            news = .anything
            waitToRetry(atMost: retry.delay(using: &generator))
        }
        return .atOnce
    }

    func end() { courier.stop() }

    private mutating func begin() throws -> EnvironmentChanges {
        let changes = try EnvironmentChanges(environment, service, desk)
        try changes.watch()
        tellOfSight(changes.site)
        if let why = changes.blindness, !saysBlind {
            environment.note("\(why): changes are found by the clock. See fs.inotify in sysctl")
        }
        saysBlind = changes.blindness != nil
        return changes
    }

    // MARK: Reconciling

    private mutating func reconcile(_ site: Site) throws -> Reconciler.Report {
        // Another watch may have had it, and ended. A reconcile never fails because of it.
        if claim == nil { claim = try? WatchClaim(environment.name, site) }
        var options = Reconciler.Options()
        options.visitor = .watch
        (options.observeEverything, options.suspectFolders) = (news.everything, news.folders)
        (options.telemetry, options.readsTelemetry) = (desk.pipeline, false)
        options.answers = desk.takeAnswers()
        var report = try Reconciler(
            site: site,
            environment: environment.name,
            actor: actor,
            options: options
        ).run()
        // A state that lasts is said once.
        report.repeats = report.standing != nil && report.standing == standing
        standing = report.standing
        return report
    }

    private mutating func tell(_ report: Reconciler.Report) {
        environment.place.report(.reconciled(environment.name, report))
        if let failure = report.failure, !report.repeats {
            environment.place.report(.failed(environment.name, failure))
        }
        courier.wake()
        if report.hasTrials { series.wake() }
        environment.note(said.news(report.branches.disagreements.map(\.sentence) + report.notes))
        forge?.leave(environment.name, report.branches.disagreements)
    }

    /// A guard that cannot fire is said when the watch begins.
    private func tellOfSight(_ site: Site) {
        let now = Timestamp(seconds: Machine.now)
        guard let tip = try? site.ledger(environment.name).tip() else { return }
        (try? site.sight(environment.name, tip, now: now))??.sentences.forEach(environment.note)
    }

    // MARK: Waiting

    private mutating func calm(after report: Reconciler.Report) -> Duration {
        if pace.looked(hasRepaired: !report.drift.isEmpty, at: .now) {
            environment.note("live files are changed again and again: they are repaired less often until that ends")
        }
        return pace.calm
    }

    /// How long it is until a canary should be looked at: when a hold or a deadline ends, and while one is judged.
    private func untilLook(_ report: Reconciler.Report) -> Duration {
        let judged: Duration = report.hasTrials && desk.pipeline != nil ? .seconds(2) : .seconds(86_400)
        guard let due = report.plan?.due else { return judged }
        // Holds count whole seconds.
        return min(judged, max(.milliseconds(100), .seconds(due.seconds(since: Timestamp(seconds: Machine.now)))))
    }

    /// Waits before the next attempt, but not when a ref moves: the push that mends it should be seen at once.
    private func waitToRetry(atMost time: Duration) {
        do {
            let changes = try EnvironmentChanges(environment, service, desk)
            try changes.watch()
            _ = try changes.wait(atMost: time)
        } catch {
            // What failed is reported by the attempt itself.
            _ = service.wait(atMost: time)
        }
    }
}
