package import EnsignHost
package import EnsignJudge
import EnsignLedger
package import EnsignModel
package import EnsignPlanner
import EnsignSystem
package import EnsignTargets

/// Brings one environment to what its repository says.
///
/// Level-triggered: it looks at the newest desired commit and the present state, never at what woke it. Each step below
/// leaves a state that the next run can go on from, so that it may be killed anywhere and run twice at once.
package struct Reconciler {
    package let site: Site
    package let environment: String
    package let actor: Entry.Actor
    package private(set) var options: Options

    /// How one reconcile works.
    package struct Options: Sendable {
        package var allowPrune = false
        /// What an operator lets past, for the record.
        package var override: Override?
        /// Whether to read every live file instead of a slice.
        package var observeEverything = false
        /// Whether to compile everything, whatever is known of commits that were looked at.
        package var ignoresCache = false
        /// Whether the ledger counts as it is, although newer entries are known to be lost.
        package var acceptsLoss = false
        /// Live folders in which something is known to have happened: looked at whatever their times say.
        package var suspectFolders: Set<String> = []
        package var lockTimeout: Duration = .seconds(60)
        /// The stops that were remembered when an operator asked for the end of some; nil where nobody did. Those that came
        /// since are not what ends: they hold, and wait with their record until it is over.
        package var knownStops: Set<UInt64>?
        /// What an operator asks of an agent along with it.
        package var request: OperatorRequest?
        /// Telemetry that something else reads all the time.
        package var telemetry: TelemetryPipeline?
        /// Whether to read telemetry for this run when nobody else does.
        package var readsTelemetry = true
        /// Whether to ask Prometheus for this run: never where somebody waits for what it does.
        package var asksPrometheus = false
        /// What somebody else has asked Prometheus.
        package var answers: [SeriesAnswer] = []
        package var visitor = Visitor.passing
        package var clock = SystemClock()

        package init() {}
    }

    package init(site: Site, environment: String, actor: Entry.Actor, options: Options = Options()) {
        self.site = site
        self.environment = environment
        self.actor = actor
        self.options = options
    }

    /// The result of a reconcile.
    package struct Report: Sendable {
        package enum Result: Sendable {
            /// Nothing is declared and nothing was ever live.
            case nothingDeclared
            /// Everything was as it should be, or is now.
            case converged
            /// The manifests are invalid: the last good state stays.
            case invalid
            /// A rule says no: the last good state stays.
            case refused(String)
            /// An operator asked for what cannot be done.
            case impossible(RolloutRefusal)
        }

        package var result: Result
        /// What became of the desired commit where an operator's request was met without it; nil where `result` says it.
        package var desired: Result?
        /// Whether nobody looked at git: what the run before has made of it still stands.
        package var leavesStatus = false
        /// Why the desired commit could not even be looked at; what is live followed the last accepted commit.
        package var failure: (any Error)?
        /// Whether the run before this one could not apply what is desired either, for the same reason.
        package var repeats = false
        /// What was done.
        package var plan: Plan?
        /// Whether a canary is under way or waits for its turn: time and new telemetry may decide about it.
        package var hasTrials = false
        package var findings: [Finding] = []
        /// What was found in the target and repaired.
        package var drift: [DriftedFile] = []
        /// Whether a run before this one had died between intent and outcome.
        package var recovered = false
        /// Drifts of stable versions that were recorded on the way: behaviour that changed though nothing was deployed.
        package var behaviour: [Change] = []
        /// Stops and alarms that were recorded on the way.
        package var halts: [Change] = []
        /// Agents that are stopped because a stop came under the name that they had.
        package var followed: [AgentID] = []
        /// What somebody should look at, in sentences.
        package var warnings: [String] = []
        /// The newest entry afterwards.
        package var entry: PlanEntry?
        /// Where git asks for what is quarantined, and what became of the branches that make it agree.
        package var branches = RollbackBranches.Report()
        /// `fleet.json` as this run wrote it last; nil when it did not.
        package var header: [UInt8]?
        /// Routes that were signed although nothing else of them changed.
        package var sealed: [AgentID] = []
        /// What else could not be done, in sentences; none of it changes what is live.
        package var notes: [String] = []

        /// Why what is desired could not be applied; nil when it could.
        package var standing: String? {
            if let failure { return "\(failure)" }
            switch result {
            case .invalid: return findings.filter { $0.severity == .error }.map(\.message).joined(separator: "\n")
            case .refused(let why): return why
            case .nothingDeclared, .converged, .impossible: return nil
            }
        }
    }

    /// Reconciles once, and waits for nobody: ``Forge`` informs the forge afterwards.
    ///
    /// - Throws: ``LedgerError``, ``GitError``, ``SystemError`` when the world failed; what was applied by then is
    ///   recorded or will be found by the next run.
    package func run() throws -> Report {
        // A stop that a crash left half done does not wait for what is read and asked. What fails here fails again below,
        // after telemetry had its turn.
        if site.reconciles { try? HaltSwitch(site, environment).enforce() }
        let (telemetry, warning) = readTelemetry()
        let (answers, failure) = askPrometheus(telemetry)
        let report = try locked { session in
            session.telemetry = telemetry
            session.answers = answers
            session.report.warnings += [warning, failure].compactMap { $0 }
            return try session.run()
        }
        // After what became of it is on record: a crash in between reads it again.
        if options.telemetry == nil { try telemetry?.checkpoint() }
        return report
    }

    /// Reads what telemetry there is, and stops agents that break a rule. What cannot be read does not stop the
    /// reconcile.
    private func readTelemetry() -> (pipeline: TelemetryPipeline?, warning: String?) {
        if let telemetry = options.telemetry { return (telemetry, nil) }
        guard options.readsTelemetry, site.reconciles else { return (nil, nil) }
        do {
            guard let opened = try TelemetryPipeline.open(site, environment) else { return (nil, nil) }
            let isComplete = try opened.catchUp(TelemetryBook(site: site, environment: environment))
            return (opened, isComplete ? nil : "telemetry is behind: the next run reads on")
        } catch {
            return (nil, "telemetry was not read: \(error)")
        }
    }

    /// Asks Prometheus what canaries need, before the lock: a server that does not answer holds up nobody else.
    private func askPrometheus(_ telemetry: TelemetryPipeline?) -> (answers: [SeriesAnswer], warning: String?) {
        guard options.asksPrometheus, site.reconciles else { return (options.answers, nil) }
        do {
            guard let store = try EvidenceStore(site, environment, telemetry),
                let reader = SeriesReader(site, environment)
            else { return (options.answers, nil) }
            let now = Moment(Timestamp(seconds: options.clock.wall()))
            let open = try OpenSeries(site, environment, store, now: now)
            return (options.answers + reader.answers(to: open.requests), nil)
        } catch {
            return (options.answers, "Prometheus was not asked: \(error)")
        }
    }

    /// Records stops that are pending, and does nothing else.
    ///
    /// - Parameter more: Stops that could not be remembered.
    package func recordHalts(_ more: [HaltRecord] = []) throws -> Report {
        try locked { try $0.recordHaltsAlone(more) }
    }

    private func locked(_ body: (inout ReconcileSession) throws -> Report) throws -> Report {
        guard site.isInitialised else { throw ReconcileError.notInitialised }
        if site.settings.isClient { throw ReconcileError.client }
        let halts = try HaltSwitch(site, environment)
        // Whatever the ledger is like: stops first.
        try halts.enforce()
        do {
            return try underLock(halts, body)
        } catch {
            // With the stops that now have to wait for their record.
            if let pending = try? halts.file.read().pending, !pending.isEmpty { try? halts.file.note("\(error)") }
            throw error
        }
    }

    private func underLock(
        _ halts: HaltSwitch,
        _ body: (inout ReconcileSession) throws -> Report
    ) throws -> Report {
        let lockPath = site.files.lock(environment)
        if let folder = Files.parent(of: lockPath) { try Files.makeDirectories(folder) }
        let lock = try FileLock(lockPath, timeout: options.lockTimeout)
        defer { withExtendedLifetime(lock) {} }
        // While there is room: the next halt must not depend on what is left of it.
        try? halts.file.prepare()
        try LeftoverFiles.sweep(site.files, environment: environment, now: Timestamp(seconds: options.clock.wall()))
        FormerState.takeOver(site.files, environment)
        var reconciler = self
        reconciler.options.request = try options.request.map { try halts.meant(by: $0, known: options.knownStops) }
        var session = try ReconcileSession(reconciler)
        session.prepareNotifications()
        do {
            let report = try body(&session)
            try session.writeStatus(report)
            return report
        } catch {
            try? session.writeFailure("\(error)")
            throw error
        }
    }
}
